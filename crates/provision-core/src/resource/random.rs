//! `random`: a secret that is made up once, kept in a file on the host, and handed on to other resources.

use crate::blob::{Blob, sha256_hex};
use crate::change::{Action, Change, Shown};
use crate::knob::random::RANDOM;
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, Undecided, Wanted};
use crate::resource::made_up::MadeUp;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::secret::Text;
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "random",
    summary: "A secret that is made up once, kept in a file on the host, and handed on to other resources.",
    fields: &[
        Field {
            name: "path",
            takes: "path",
            required: true,
            doc: "Where it is kept, with mode 0600. What is there already is used and stays as it is, but for a newline at its end. It is data: it stays when the resource goes, unless data is deleted.",
        },
        Field { name: "length", takes: "integer", required: false, doc: "How many characters; 32 without it." },
        Field {
            name: "alphabet",
            takes: "text",
            required: false,
            doc: "The characters that it is made of; letters and digits without it.",
        },
    ],
    example: r#"
[directory.registry]
path = "/etc/registry"

[random.database]
path = "/etc/registry/database.secret"

[file.config]
path = "/etc/registry/config.yaml"
content = "password: {{ random.database.value }}\n"
"#,
    templates: &[],
    assets: &[],
    read,
};

const MODE: &str = "0600";

#[derive(Debug)]
struct Random {
    path: AbsPath,
    value: Text,
    /// Whether the host had it already when it was asked for what is in it.
    kept: bool,
    /// SHA-256 of all that is in the file, or will be.
    sha256: String,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = fields.required("path");
    let made_up = MadeUp::read(fields)?;
    let path = path?;
    let kept = setup.kept.of(&path).and_then(Option::as_ref);
    let value = match kept {
        Some(kept) => {
            let value = kept.expose();
            let value = value.strip_suffix('\n').unwrap_or(value);
            if value.is_empty() || value.contains(['\0', '\u{fffd}']) {
                let help = "put the secret there, as text; or remove the file, and one is made up";
                fields.problem("path", format!("what is in {path} on the host is no secret that could be used"), help);
                return None;
            }
            Text::secret(value)
        }
        // Of a host that was not asked: nobody gets to see it.
        None => match made_up.value() {
            Ok(bytes) => Text::secret(String::from_utf8_lossy(&bytes)),
            Err(reason) => {
                fields.problem("", reason.message, "run this where the operating system gives random numbers");
                return None;
            }
        },
    };
    let sha256 = sha256_hex(kept.unwrap_or(&value).expose().as_bytes());
    Some(Box::new(Random { kept: kept.is_some(), path, value, sha256 }))
}

impl Random {
    fn knob(&self) -> Knob {
        Knob::new(&RANDOM, self.path.as_str())
    }
}

impl Resource for Random {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Path(self.path.clone()), Thing::Knob(self.knob())]
    }

    fn objects(&self) -> Vec<Object> {
        vec![Object::Knob(self.knob())]
    }

    fn wants(&self) -> Vec<Want> {
        vec![Want::after(Target::Parent(self.path.clone()))]
    }

    fn asks(&self) -> Vec<Ask> {
        let file = Ask::File { path: self.path.clone(), content: Wanted::Never };
        [Ask::Knob(self.knob()), file].into_iter().chain(self.path.parent().map(Ask::Path)).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let now = answers.knob(&self.knob())?;
        // What others are given would be another one than what is there.
        let same = match answers.file(&self.path, &Wanted::Never)? {
            FileState::Present { sha256, .. } => *sha256 == self.sha256,
            _ => !self.kept && now == ABSENT,
        };
        if !same {
            let message = format!("{} has changed while the host was asked, or cannot be read by who asks", self.path);
            return Err(Undecided::with_help(message, "try again; or connect as its owner, or with `become = true`"));
        }
        if now == ABSENT {
            context.require_parent(&self.path, answers)?;
            let mut change = Change::new(Action::Create);
            change.differs("value", Shown::Absent, Shown::Secret);
            change.differs("mode", Shown::Absent, MODE);
            change.reasons.push(format!("{} characters are made up and kept", self.value.expose().chars().count()));
            return Ok(change);
        }
        let mut change = Change::new(Action::Update);
        change.compare("mode", now.as_str(), MODE);
        Ok(if change.attributes.is_empty() { Change::none() } else { change })
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        vec![("value", Shown::Secret), ("mode", MODE.into())]
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let input = (!self.kept).then(|| Blob::from_bytes(self.value.expose().as_bytes().to_vec()));
        Ok(vec![Step::Turn { knob: self.knob(), state: MODE.to_owned(), input }])
    }

    fn secrets(&self) -> Vec<(&'static str, Text)> {
        vec![("value", self.value.clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Case, case};

    const PATH: &str = "path = '/etc/secret'";

    fn config(case: Case) -> Case {
        case.plan("[file.config]\npath = '/etc/config'\ncontent = 'p={{ random.x.value }}'\n")
    }

    fn file(case: &Case, path: &str) -> String {
        case.host().with(|state| String::from_utf8(state.entries[&path.parse::<AbsPath>().unwrap()].1.clone()).unwrap())
    }

    #[test]
    fn a_secret_is_made_up_once_and_the_same_wherever_it_is_used() {
        let case = config(case("random", "path = '/etc/secret'\nlength = 20\nalphabet = '0123456789'"));
        let case = case.creates("value: (absent) -> (secret), mode: (absent) -> 0600").applied().in_sync();
        let value = file(&case, "/etc/secret");
        assert!(value.len() == 20 && value.bytes().all(|b| b.is_ascii_digit()), "{value}");
        assert_eq!(file(&case, "/etc/config"), format!("p={value}"));
        assert_eq!(
            case.host().with(|state| state.entries[&"/etc/config".parse::<AbsPath>().unwrap()].0.mode.to_string()),
            "0600"
        );
    }

    #[test]
    fn what_is_there_is_used_as_it_is_and_only_its_mode_is_mended() {
        let case = config(case("random", PATH)).given(|state| {
            state.put_file("/etc/secret", b"theirs\n", "0644");
            state.turn(&Knob::new(&RANDOM, "/etc/secret"), "0644");
        });
        let case = case.updates("mode: 0644 -> 0600").applied().in_sync();
        assert_eq!(
            (file(&case, "/etc/secret"), file(&case, "/etc/config")),
            ("theirs\n".to_owned(), "p=theirs".to_owned())
        );
    }

    #[test]
    fn what_goes_while_the_host_is_asked_is_not_made_up_anew() {
        case("random", PATH)
            .given(|state| state.turn(&Knob::new(&RANDOM, "/etc/secret"), "0600"))
            .undecided("/etc/secret has changed while the host was asked, or cannot be read by who asks");
    }
}
