//! `hostname`: the name of the host, now and after each boot. What resolves it is another matter.

use crate::change::{Action, Change, Shown};
use crate::knob::hostname::HOSTNAME;
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
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
    file: AbsPath,
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
    Some(Box::new(Hostname { name, file: FILE.parse().ok()? }))
}

/// Each with the name of its attribute, in the order in which they are set.
fn knobs() -> [(&'static str, Knob); 2] {
    ["static", "running"].map(|which| (which, Knob::new(&HOSTNAME, format!("{which} hostname"))))
}

impl Resource for Hostname {
    fn provides(&self) -> Vec<Thing> {
        let knobs = knobs().into_iter().map(|(_, knob)| Thing::Knob(knob));
        knobs.chain([Thing::Path(self.file.clone())]).collect()
    }

    fn objects(&self) -> Vec<Object> {
        knobs().into_iter().map(|(_, knob)| Object::Knob(knob)).collect()
    }

    fn wants(&self) -> Vec<Want> {
        vec![Want::after(Target::Parent(self.file.clone()))]
    }

    fn asks(&self) -> Vec<Ask> {
        knobs().into_iter().map(|(_, knob)| Ask::Knob(knob)).collect()
    }

    fn diff(&self, answers: &Answers, _context: &Context<'_>) -> Result<Change, Undecided> {
        let mut change = Change::new(Action::Update);
        for (which, knob) in knobs() {
            let now = answers.knob(&knob)?;
            change.compare(which, (now != ABSENT).then_some(now.as_str()), self.name.as_str());
        }
        Ok(if change.attributes.is_empty() { Change::none() } else { change })
    }

    fn steps(&self, change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let changes = |which: &str| change.attributes.iter().any(|attribute| attribute.name == which);
        let turn = |(_, knob)| Step::Turn { knob, state: self.name.clone(), input: None };
        Ok(knobs().into_iter().filter(|(which, _)| changes(which)).map(turn).collect())
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        knobs().map(|(which, _)| (which, self.name.as_str().into())).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    #[test]
    fn a_name_is_set_now_and_for_each_boot() {
        case("hostname", "name = 'web-1'")
            .given(|state| state.turn(&knobs()[0].1, ABSENT))
            .updates("static: (absent) -> web-1, running: localhost -> web-1")
            .steps("set the static hostname; set the running hostname")
            .in_sync();
        case("hostname", "name = 'web-1'")
            .applied()
            .given(|state| state.turn(&knobs()[1].1, "other"))
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
