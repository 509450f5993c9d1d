//! `hostname`: the name of the host, now and after each boot. What resolves it is another matter.

use crate::change::{Action, Change, Shown};
use crate::knob::Knob;
use crate::knob::hostname::HOSTNAME;
use crate::object::Object;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "hostname",
    summary: "The host's own name, now and after each boot.",
    fields: &[Field {
        name: "name",
        takes: "host name",
        required: true,
        doc: "The name, with or without a domain, hostname(7). It stands in /etc/hostname, and the kernel has it at once; what resolves it, such as /etc/hosts, is left alone.",
    }],
    example: r#"
[hostname.this]
name = "registry-1.example.com"
"#,
    templates: &[],
    assets: &[],
    read,
};

/// hostname(5). systemd-hostnamed looks at it each time it is asked.
const FILE: &str = "/etc/hostname";

#[derive(Debug)]
struct Hostname {
    name: String,
    knob: Knob,
    file: FileSpec,
}

/// Linux takes no more, hostname(7).
const LONGEST: usize = 64;

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let name: String = fields.required("name")?;
    let label = |label: &str| {
        let fits = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        fits && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > LONGEST || !name.split('.').all(label) {
        let help =
            "letters, digits and `-`, at most 64 of them, in parts with dots between: \"registry-1.example.com\"";
        fields.problem("name", format!("{name:?} cannot be the name of a host"), help);
        return None;
    }
    let file = FileSpec::new(FILE.parse().ok()?, format!("{name}\n"));
    Some(Box::new(Hostname { knob: Knob::new(&HOSTNAME, "hostname"), name, file }))
}

impl Resource for Hostname {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Path(self.file.path.clone()), Thing::Knob(self.knob.clone())]
    }

    fn objects(&self) -> Vec<Object> {
        vec![Object::Path(self.file.path.clone()), Object::Knob(self.knob.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        vec![Want::after(Target::Parent(self.file.path.clone()))]
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = self.file.asks();
        asks.push(Ask::Knob(self.knob.clone()));
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { name, knob, file } = self;
        let mut change = file.diff(answers, context)?;
        change.compare("running", answers.knob(knob)?.as_str(), name.as_str());
        // Every host has a name.
        if !change.attributes.is_empty() {
            change.action = Action::Update;
        }
        Ok(change)
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let mut steps = Vec::new();
        let content = change.attributes.iter().any(|attribute| attribute.name == "content");
        if content {
            steps.push(self.file.put(answers)?);
        } else if change.attributes.iter().any(|attribute| attribute.name == "mode") {
            steps.push(self.file.step(change, answers)?);
        }
        if answers.knob(&self.knob)? != &self.name {
            steps.push(Step::Turn { knob: self.knob.clone(), state: self.name.clone(), input: None });
        }
        Ok(steps)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let mut wanted = self.file.wanted();
        wanted.push(("running", self.name.as_str().into()));
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    #[test]
    fn a_name_is_set_now_and_for_each_boot() {
        case("hostname", "name = 'web-1'")
            .given_file("/etc/hostname", "old\n", "0644")
            .updates("content: (1 lines) -> (1 lines), running: localhost -> web-1")
            .steps("put the file /etc/hostname in place; set the running hostname")
            .in_sync();
        case("hostname", "name = 'web-1'")
            .applied()
            .given(|state| state.turn(&Knob::new(&HOSTNAME, "hostname"), "other"))
            .updates("running: other -> web-1")
            .steps("set the running hostname");
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        let help =
            "letters, digits and `-`, at most 64 of them, in parts with dots between: \"registry-1.example.com\"";
        for wrong in ["-a", "a..b", "a_b", "a b", "$(id)", ""] {
            let expected = format!("3:8: {wrong:?} cannot be the name of a host ({help})");
            case("hostname", &format!("name = '{wrong}'")).refused(&expected);
        }
    }
}
