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
use crate::secret::{Revealed, Text};
use crate::step::Step;

use taken::{Found, Source};

mod taken;

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
        Field {
            name: "taken_from",
            takes: "table",
            required: false,
            doc: "Where the first value comes from when `path` is not there yet and another file of the host has one: `path`, and `key` with `format` (yaml, json, toml, ini; with `section`) for one value of it, as in the kinds of these names. Without `key` it is all of the file, but for a newline at its end. Where there is no such file one is made up; a file that does not have it is an error.",
        },
        Field {
            name: "show",
            takes: "boolean",
            required: false,
            doc: "Whether people are to see it once, at the end of the apply that has made it up; false without it. Later it is to be read in `path` alone, and one that was there already or taken over is not shown.",
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
    origin: Origin,
    show: bool,
    /// SHA-256 of all that is in the file, or will be.
    sha256: String,
}

/// Where the value is from.
#[derive(Debug)]
enum Origin {
    /// The host had it already when it was asked for what is in the file.
    Kept,
    /// Another file of the host has it.
    Taken(Source, Found),
    /// It was made up, since nothing is where it could have been taken from.
    MadeUp(Option<(Source, Found)>),
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = fields.required("path");
    let source = fields.table("taken_from").map(|fields| Source::read(&fields));
    let show = fields.boolean("show").unwrap_or(false);
    let made_up = MadeUp::read(fields)?;
    let path = path?;
    let source = match source {
        Some(source) => Some(source?),
        None => None,
    };
    if source.as_ref().is_some_and(|source| source.path == path) {
        let help = "leave `taken_from` out: what is in `path` is used as it is";
        fields.problem("taken_from", format!("{path} is where it is kept"), help);
        return None;
    }
    // What is in both is asked for at once, and where there is a secret already, the other does not count any more.
    let elsewhere = source.as_ref().and_then(|source| setup.kept.of(&source.path));
    let kept = setup.kept.of(&path).and_then(Option::as_ref);
    if let Some(kept) = kept {
        let value = kept.expose();
        let sha256 = sha256_hex(value.as_bytes());
        let value = value.strip_suffix('\n').unwrap_or(value);
        if value.is_empty() || value.contains(['\0', '\u{fffd}']) {
            let help = "put the secret there, as text; or remove the file, and one is made up";
            fields.problem("path", format!("what is in {path} on the host is no secret that could be used"), help);
            return None;
        }
        return Some(Box::new(Random { value: Text::secret(value), path, origin: Origin::Kept, show, sha256 }));
    }
    let found = match (&source, elsewhere) {
        (Some(source), Some(content)) => Some(source.find(content.as_ref(), fields)?),
        _ => None,
    };
    let (value, origin) = match source.zip(found) {
        Some((source, Found { value: Some(value), sha256 })) => {
            (value, Origin::Taken(source, Found { value: None, sha256 }))
        }
        // Of a host that was not asked: nobody gets to see it.
        absent => match made_up.value() {
            Ok(bytes) => (Text::secret(String::from_utf8_lossy(&bytes)), Origin::MadeUp(absent)),
            Err(reason) => {
                fields.problem("", reason.message, "run this where the operating system gives random numbers");
                return None;
            }
        },
    };
    let sha256 = sha256_hex(value.expose().as_bytes());
    Some(Box::new(Random { path, value, origin, show, sha256 }))
}

impl Random {
    fn knob(&self) -> Knob {
        Knob::new(&RANDOM, self.path.as_str())
    }

    /// Where else a secret was looked for, and what was there.
    const fn source(&self) -> Option<(&Source, &Found)> {
        match &self.origin {
            Origin::Taken(source, found) | Origin::MadeUp(Some((source, found))) => Some((source, found)),
            Origin::Kept | Origin::MadeUp(None) => None,
        }
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
        let source = self.source().into_iter().flat_map(|(source, _)| source.asks());
        [Ask::Knob(self.knob()), file].into_iter().chain(self.path.parent().map(Ask::Path)).chain(source).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let now = answers.knob(&self.knob())?;
        // What others are given would be another one than what is there.
        let same = match answers.file(&self.path, &Wanted::Never)? {
            FileState::Present { sha256, .. } => *sha256 == self.sha256,
            _ => !matches!(self.origin, Origin::Kept) && now == ABSENT,
        };
        if !same {
            let message = format!("{} has changed while the host was asked, or cannot be read by who asks", self.path);
            return Err(Undecided::with_help(message, "try again; or connect as its owner, or with `become = true`"));
        }
        if now == ABSENT {
            context.require_parent(&self.path, answers)?;
            if let Some((source, found)) = self.source() {
                source.same(found, answers)?;
            }
            let mut change = Change::new(Action::Create);
            change.differs("value", Shown::Absent, Shown::Secret);
            change.differs("mode", Shown::Absent, MODE);
            change.reasons.push(match &self.origin {
                Origin::Taken(source, _) => format!("it is taken from {source}, and kept"),
                _ => format!("{} characters are made up and kept", self.value.expose().chars().count()),
            });
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
        let input =
            (!matches!(self.origin, Origin::Kept)).then(|| Blob::from_bytes(self.value.expose().as_bytes().to_vec()));
        Ok(vec![Step::Turn { knob: self.knob(), state: MODE.to_owned(), input }])
    }

    fn reveals(&self, change: &Change) -> Option<Revealed> {
        let made_up = matches!(self.origin, Origin::MadeUp(_)) && change.action == Action::Create;
        (self.show && made_up).then(|| Revealed::new(self.value.clone(), self.path.clone()))
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

    fn revealed(case: &Case) -> Vec<String> {
        let report = case.report();
        let revealed = report.revealed.iter().map(|(of, it)| format!("{of} {} {}", it.expose(), it.kept()));
        let told = revealed.collect::<Vec<_>>();
        assert!(report.revealed.iter().all(|(_, it)| !format!("{report:?}").contains(it.expose())), "{report:?}");
        told
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

    const CONFIG: &str = "# theirs\nSECRET_KEY: 'old one'\nDB: {PASSWORD: \"a b\"}\nPORT: 8443\nLIST:\n  - a\n";

    fn taken(fields: &str) -> Case {
        let fields = format!("{PATH}\nshow = true\ntaken_from = {{ path = '/old/config.yaml', {fields} }}");
        config(case("random", &fields)).given_directory("/old", "0755")
    }

    #[test]
    fn the_first_value_is_that_of_another_file_and_then_its_own() {
        for (text, fields, value, said) in [
            (CONFIG, "key = 'SECRET_KEY', format = 'yaml'", "old one", "SECRET_KEY in /old/config.yaml"),
            (CONFIG, "key = 'DB.PASSWORD', format = 'yaml'", "a b", "DB.PASSWORD in /old/config.yaml"),
            (
                "{\"a\": {\"b c\": \"x\"}}",
                "key = 'a.\"b c\"', format = 'json'",
                "x",
                "a.\"b\\u0020c\" in /old/config.yaml",
            ),
            ("[t]\nk = 'y'\n", "key = 't.k', format = 'toml'", "y", "t.k in /old/config.yaml"),
            ("k=0\n[s]\nk = z\n", "key = 'k', section = 's', format = 'ini'", "z", "k of [s] in /old/config.yaml"),
            ("k=0\n[s]\nk = z\n", "key = 'k', format = 'ini'", "0", "k in /old/config.yaml"),
            ("all of it\n\n", "", "all of it\n", "/old/config.yaml"),
        ] {
            let case = taken(fields).given_file("/old/config.yaml", text, "0600");
            let case = case
                .creates("value: (absent) -> (secret), mode: (absent) -> 0600")
                .because(&format!("it is taken from {said}, and kept"));
            assert_eq!(revealed(&case), [""; 0], "it is known already: {fields}");
            assert_eq!(
                (file(&case, "/etc/secret"), file(&case, "/etc/config")),
                (value.to_owned(), format!("p={value}"))
            );
            // From then on nobody cares what is there.
            case.given_file("/old/config.yaml", "torn: [", "0600").in_sync();
        }
    }

    #[test]
    fn without_that_file_one_is_made_up_and_with_another_than_expected_none_is() {
        taken("key = 'a', format = 'yaml'")
            .creates("value: (absent) -> (secret), mode: (absent) -> 0600")
            .because("32 characters are made up and kept");
        let found =
            |fields: &str, text: &str| taken(fields).given_file("/old/config.yaml", text, "0600").refused_of_host();
        let key = "key = 'SECRET_KEY', format = 'yaml'";
        for (fields, text, reason) in [
            (key, "A: b\n", "SECRET_KEY in /old/config.yaml on the host: there is no such key"),
            (key, "SECRET_KEY: 12\n", "SECRET_KEY in /old/config.yaml on the host: it is a number, not text"),
            (
                key,
                "SECRET_KEY: ''\n",
                "SECRET_KEY in /old/config.yaml on the host: what is there could not be used as a secret",
            ),
            (key, "a\u{fffd}", "SECRET_KEY in /old/config.yaml on the host: it is not text"),
            (
                "key = 'k', format = 'ini'",
                "k=a\nk=b\n",
                "k in /old/config.yaml on the host: the key comes several times",
            ),
            ("", "\n", "/old/config.yaml on the host: what is there could not be used as a secret"),
        ] {
            let found = found(fields, text);
            assert!(found.contains(&format!("no secret can be taken from {reason}")), "{found}");
        }
        // It could not be read, and so was taken for absent.
        taken(key).given_link("/old/config.yaml", "/not/for/us").undecided(
            "/old/config.yaml is no file that can be read by who asks, or has changed while the host was asked",
        );
    }

    #[test]
    fn what_is_made_up_is_shown_once_when_it_is_asked_for() {
        let with_show = |show: &str| config(case("random", &format!("{PATH}\nshow = {show}")));
        let case = with_show("true");
        let shown = revealed(&case);
        assert_eq!(shown, [format!("random.x {} /etc/secret", file(&case, "/etc/secret"))]);
        assert_eq!(revealed(&case), [""; 0]);
        assert_eq!(revealed(&with_show("false")), [""; 0]);
    }

    #[test]
    fn what_goes_while_the_host_is_asked_is_not_made_up_anew() {
        case("random", PATH)
            .given(|state| state.turn(&Knob::new(&RANDOM, "/etc/secret"), "0600"))
            .undecided("/etc/secret has changed while the host was asked, or cannot be read by who asks");
    }
}
