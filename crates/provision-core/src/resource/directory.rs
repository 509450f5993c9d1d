//! `directory`: a directory with its mode and owner. What is in it is not looked at.

use crate::attribute::{Account, Mode};
use crate::change::{Action, Change, Shown, Signal};
use crate::knob::Knob;
use crate::knob::group::GROUP;
use crate::knob::user::USER;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Entry, PathState, Sort, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::{Ownership, Step};

/// The kind.
pub static KIND: Kind = Kind {
    name: "directory",
    summary: "A directory with its mode and owner.",
    fields: &[
        Field { name: "path", takes: "path", required: true, doc: "Where it is." },
        Field { name: "mode", takes: "mode", required: false, doc: "Permission bits; \"0755\" without it." },
        Field { name: "owner", takes: "user", required: false, doc: "By name or number; left as it is without it." },
        Field { name: "group", takes: "group", required: false, doc: "By name or number; left as it is without it." },
    ],
    example: r#"
[directory.root]
path = "/etc/quay-install"
mode = "0750"
"#,
    templates: &[],
    assets: &[],
    read,
};

const DEFAULT_MODE: Mode = Mode::new(0o755);

#[derive(Debug)]
struct Directory {
    path: AbsPath,
    mode: Mode,
    ownership: Ownership,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path = fields.required("path");
    let mode = fields.optional("mode").unwrap_or(DEFAULT_MODE);
    let ownership = ownership(fields);
    Some(Box::new(Directory { path: path?, mode, ownership }))
}

impl Resource for Directory {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Directory(self.path.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        let parent = Want::after(Target::Parent(self.path.clone()));
        std::iter::once(parent).chain(ownership_wants(&self.ownership)).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        with_parent(&self.path)
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { path, mode, ownership } = self;
        match answers.path(path)? {
            PathState::Absent => {
                context.require_parent(path, answers)?;
                let mut change = Change::new(Action::Create);
                change.compare("mode", Shown::Absent, mode.to_string());
                compare_ownership(&mut change, None, ownership);
                Ok(change)
            }
            PathState::Present(entry) if entry.sort == Sort::Directory => {
                let mut change = Change::new(Action::Update);
                change.compare("mode", entry.mode.to_string(), mode.to_string());
                compare_ownership(&mut change, Some(entry), ownership);
                // Its mode and owner decide who gets in, not what runs with it.
                Ok(if change.attributes.is_empty() { Change::none() } else { change.signals(Signal::None) })
            }
            PathState::Present(entry) => Err(in_the_way(path, &entry.sort, "directory")),
        }
    }

    fn steps(&self, change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { path, mode, ownership } = self;
        let (path, ownership) = (path.clone(), ownership.clone());
        Ok(vec![match change.action {
            Action::Create => Step::MakeDirectory { path, mode: *mode, ownership },
            _ => Step::SetAttributes { path, mode: Some(*mode), ownership },
        }])
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let Self { path: _, mode, ownership } = self;
        let mut wanted = vec![("mode", mode.to_string().into())];
        wanted.extend(wanted_ownership(["owner", "group"], ownership));
        wanted
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.path.to_string()), ("mode", self.mode.to_string())]
    }
}

/// Reads `owner` and `group`.
pub(crate) fn ownership(fields: &Fields<'_>) -> Ownership {
    Ownership { user: fields.optional::<Account>("owner"), group: fields.optional::<Account>("group") }
}

/// Who owns a file that takes another's place: it would belong to whoever writes it, so what the plan leaves open stays with
/// whom it was.
pub(crate) fn kept_ownership(wanted: &Ownership, before: &PathState) -> Ownership {
    let mut ownership = wanted.clone();
    if let Some(entry) = before.entry() {
        ownership.user.get_or_insert(Account::Id(entry.user.id));
        ownership.group.get_or_insert(Account::Id(entry.group.id));
    }
    ownership
}

/// An owner and a group before what is theirs, where the plan makes them.
pub(crate) fn ownership_wants(ownership: &Ownership) -> impl Iterator<Item = Want> {
    let Ownership { user, group } = ownership;
    let named = |account: &Option<Account>, sort| match account {
        Some(Account::Name(name)) => Some(Want::after(Target::Thing(Thing::Knob(Knob::new(sort, name.as_str()))))),
        Some(Account::Id(_)) | None => None,
    };
    [named(user, &USER), named(group, &GROUP)].into_iter().flatten()
}

/// Compares `owner` and `group`, each only where the plan sets it.
pub(crate) fn compare_ownership(change: &mut Change, before: Option<&Entry>, wanted: &Ownership) {
    compare_ownership_as(change, ["owner", "group"], before, wanted);
}

/// The same under other names, for a resource of several files.
pub(crate) fn compare_ownership_as(
    change: &mut Change,
    names: [&'static str; 2],
    before: Option<&Entry>,
    wanted: &Ownership,
) {
    let Ownership { user, group } = wanted;
    let [as_owner, as_group] = names;
    let sides =
        [(as_owner, user, before.map(|entry| &entry.user)), (as_group, group, before.map(|entry| &entry.group))];
    for (name, wanted, found) in sides {
        if let Some(wanted) = wanted
            && found.is_none_or(|found| !found.is(wanted))
        {
            change.differs(name, found.map(crate::probe::Owner::shown), wanted.to_string());
        }
    }
}

/// What [`compare_ownership_as`] shows as wanted.
pub(crate) fn wanted_ownership(names: [&'static str; 2], wanted: &Ownership) -> Vec<(&'static str, Shown)> {
    let Ownership { user, group } = wanted;
    let [as_owner, as_group] = names;
    let sides = [(as_owner, user), (as_group, group)];
    sides.into_iter().filter_map(|(name, account)| Some((name, account.as_ref()?.to_string().into()))).collect()
}

/// Asks what stands at a path and in the place of its directory.
pub(crate) fn with_parent(path: &AbsPath) -> Vec<Ask> {
    std::iter::once(path.clone()).chain(path.parent()).map(Ask::Path).collect()
}

/// The answer to something of another sort that stands where a resource belongs.
pub(crate) fn in_the_way(path: &AbsPath, found: &Sort, wanted: &str) -> Undecided {
    Undecided::with_help(
        format!("{path} is a {} on the host, and the plan wants a {wanted} there", found.name()),
        "move it away by hand, or choose another path: it is not removed without being asked",
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    #[test]
    fn an_absent_directory_is_made() {
        case("directory", "path = '/srv/a'\nmode = '0750'").creates("mode: (absent) -> 0750").mended();
    }

    #[test]
    fn drifted_mode_is_updated() {
        case("directory", "path = '/srv/a'").given_directory("/srv/a", "0700").updates("mode: 0700 -> 0755").mended();
    }

    #[test]
    fn a_file_in_the_way_is_not_removed() {
        case("directory", "path = '/srv/a'")
            .given_file("/srv/a", "x", "0644")
            .undecided("/srv/a is a file on the host, and the plan wants a directory there");
    }

    #[test]
    fn a_missing_parent_is_found_out_beforehand() {
        case("directory", "path = '/nowhere/a'")
            .undecided("the directory /nowhere does not exist on the host, and the plan does not make it");
    }
}
