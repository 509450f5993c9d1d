//! `linger`: a user whose systemd runs from boot on, so that what belongs to the user runs without a login.

use crate::attribute::UserName;
use crate::change::{Action, Change, Shown};
use crate::knob::linger::{LINGER, LINGERS, NOT};
use crate::knob::user::USER;
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;
use crate::systemd::Manager;

/// The kind.
pub static KIND: Kind = Kind {
    name: "linger",
    summary: "A user whose systemd runs from boot on, without a login.",
    fields: &[
        Field {
            name: "user",
            takes: "user name",
            required: false,
            doc: "Who; the user as whom the steps run without it.",
        },
        Field { name: "enabled", takes: "boolean", required: false, doc: "Whether the user lingers; true without it." },
    ],
    example: r#"
[linger.core]
user = "core"
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Linger {
    knob: Knob,
    state: &'static str,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let user: Option<UserName> = fields.optional("user");
    let enabled = fields.boolean("enabled").unwrap_or(true);
    if fields.has("user") && user.is_none() {
        return None;
    }
    let manager = user.map_or(Manager::Own, Manager::User);
    let state = if enabled { LINGERS } else { NOT };
    Some(Box::new(Linger { knob: Knob::new(&LINGER, manager.word()), state }))
}

/// The attribute, and the word that a record shows for it.
const LINGER_ATTRIBUTE: &str = "linger";

impl Resource for Linger {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Knob(self.knob.clone())]
    }

    fn objects(&self) -> Vec<Object> {
        vec![Object::Knob(self.knob.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        vec![Want::after(Target::Thing(Thing::Knob(Knob::new(&USER, self.knob.name()))))]
    }

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Knob(self.knob.clone())]
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { knob, state } = self;
        let now = answers.knob(knob)?;
        if now == ABSENT && !context.anything_pending() {
            return Err(Undecided::with_help(
                format!("the host has no user {}", knob.name()),
                "check the name; or add the resource that makes the user, named in `after`",
            ));
        }
        let mut change = Change::new(Action::Update);
        // One who is yet to come does not linger.
        let before = if now == ABSENT { NOT } else { now.as_str() };
        change.compare(LINGER_ATTRIBUTE, before, *state);
        Ok(if change.attributes.is_empty() { Change::none() } else { change })
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        vec![(LINGER_ATTRIBUTE, self.state.into())]
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(vec![Step::Turn { knob: self.knob.clone(), state: self.state.to_owned(), input: None }])
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("user", self.knob.name().to_owned())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    #[test]
    fn a_user_is_let_linger_and_kept_so() {
        let core = Knob::new(&LINGER, "core");
        case("linger", "user = 'core'")
            .updates("linger: no -> yes")
            .steps("set the lingering of core")
            .in_sync()
            .given(|state| state.turn(&core, NOT))
            .updates("linger: no -> yes")
            .mended();
        case("linger", "user = 'core'\nenabled = false")
            .given(|state| state.turn(&core, LINGERS))
            .updates("linger: yes -> no");
        case("linger", "").steps("set the lingering of ~");
    }

    #[test]
    fn a_user_who_is_not_there_is_named() {
        case("linger", "user = 'core'")
            .given(|state| state.turn(&Knob::new(&LINGER, "core"), ABSENT))
            .undecided("the host has no user core");
        case("linger", "user = 'a b'")
            .refused("3:8: \"a b\" does not fit `user` of linger.x (a user has a name such as \"core\")");
    }
}
