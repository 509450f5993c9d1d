//! `group`: a group of the host's own. Who is in it, the users say.

use crate::attribute::Account;
use crate::change::{Action, Change, Shown};
use crate::knob::group::GROUP;
use crate::knob::{ABSENT, Knob};
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Thing};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "group",
    summary: "A group; the users say who is in it.",
    fields: &[
        Field {
            name: "name",
            takes: "name",
            required: false,
            doc: "Its name; without it the resource's, `web` of `[group.web]`.",
        },
        Field {
            name: "gid",
            takes: "integer",
            required: false,
            doc: "Its number; without it the host chooses one. Files keep the number that they have when it changes.",
        },
        Field {
            name: "system",
            takes: "boolean",
            required: false,
            doc: "Whether a new one gets its number from the range of the system's own; false without it.",
        },
    ],
    example: r#"
[group.web]
system = true

[group.team]
name = "team-a"
gid = 2000
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Group {
    knob: Knob,
    gid: Option<i64>,
    origin: Origin,
}

/// From which range a number is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    System,
    People,
}

/// The largest number of a user or group: the one above it means none, credentials(7).
pub(super) const LARGEST: i64 = 4_294_967_294;

/// Reads `system`.
pub(super) fn origin(fields: &Fields<'_>) -> Origin {
    if fields.boolean("system").unwrap_or(false) { Origin::System } else { Origin::People }
}

/// Reads `name`, for which the resource's own stands in.
pub(super) fn name(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<String> {
    let name = match fields.optional::<Account>("name") {
        None if fields.has("name") => return None,
        None => setup.address.name().parse().ok()?,
        Some(account) => account,
    };
    match name {
        Account::Name(name) => Some(name),
        Account::Id(id) => {
            fields.problem("name", format!("{id} is a number"), "write the name; the number has a field of its own");
            None
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let name = name(fields, setup);
    let gid = fields.integer("gid", 0..=LARGEST);
    let origin = origin(fields);
    Some(Box::new(Group { knob: Knob::new(&GROUP, name?), gid, origin }))
}

impl Resource for Group {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Knob(self.knob.clone())]
    }

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Knob(self.knob.clone())]
    }

    fn diff(&self, answers: &Answers, _context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { knob, gid, origin: _ } = self;
        let now = answers.knob(knob)?;
        let mut change = Change::new(if now == ABSENT { Action::Create } else { Action::Update });
        if let Some(gid) = gid {
            change.compare("gid", number(now), gid.to_string());
        }
        Ok(if now != ABSENT && change.attributes.is_empty() { Change::none() } else { change })
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { knob, gid, origin } = self;
        let system = (*origin == Origin::System).then(|| "system yes".to_owned());
        let lines: Vec<String> = system.into_iter().chain(gid.map(|gid| format!("gid {gid}"))).collect();
        // No state is without text.
        let state = if lines.is_empty() { "system no".to_owned() } else { lines.join("\n") };
        Ok(vec![Step::Turn { knob: knob.clone(), state, input: None }])
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        self.gid.iter().map(|gid| ("gid", gid.to_string().into())).collect()
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("name", self.knob.name().to_owned())]
    }
}

fn number(state: &str) -> Option<Shown> {
    state.lines().find_map(|line| line.strip_prefix("gid ")).map(Shown::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    #[test]
    fn a_group_is_made_and_kept() {
        case("group", "").creates("").steps("set the group x").in_sync();
        case("group", "name = 'team-a'\ngid = 7").creates("gid: (absent) -> 7").mended();
    }

    #[test]
    fn another_number_is_set() {
        let knob = Knob::new(&GROUP, "x");
        case("group", "gid = 7")
            .given(|state| state.turn(&knob, "gid 1001"))
            .updates("gid: 1001 -> 7")
            .steps("set the group x")
            .in_sync();
    }

    #[test]
    fn what_is_no_name_is_refused() {
        case("group", "name = '7'").refused("3:8: 7 is a number (write the name; the number has a field of its own)");
        case("group", "gid = -1")
            .refused("3:7: -1 is out of range for `gid` of group.x (it goes from 0 to 4294967294)");
    }
}
