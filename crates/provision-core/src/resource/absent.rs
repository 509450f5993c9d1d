//! `absent`: nothing at a path. What was there is kept, and comes back.

use crate::change::{Action, Change, Shown, Signal};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, PathState, Sort, Undecided, UnitState};
use crate::resource::definition::Reader;
use crate::resource::file::refuse_root;
use crate::resource::scope::{self, SCOPE};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Thing, Want, quadlet, unit};
use crate::step::{Step, UnitAction};
use crate::systemd::{Managed, Manager, UnitName};

/// The kind.
pub static KIND: Kind = Kind {
    name: "absent",
    summary: "Nothing at a path: a file, a link or an empty directory that is there goes, is kept, and comes back when the resource goes.",
    fields: &[
        Field {
            name: "path",
            takes: "path",
            required: true,
            doc: "Where nothing is to be. Of what is there only a file, a link (never what it leads to) or an empty directory goes, and only with `adopt`. The file of a unit or of Quadlet's is one that its service notices: it restarts, once, with whatever defines a unit of that name then. A unit that runs is stopped before its file goes, by what that file says.",
        },
        SCOPE,
    ],
    example: r#"
[absent.old_unit]
path = "/etc/systemd/system/quay-app.service"
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Absent {
    path: AbsPath,
    /// As whom it is removed: in a user's home root follows no link.
    writer: Manager,
    /// Who reads what stands there.
    reader: Reader,
    /// The unit that it defines or adds to.
    unit: Option<Managed>,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let path: Option<AbsPath> = fields.required("path");
    refuse_root(fields, path.as_ref());
    let writer = scope::manager(fields)?;
    let path = path?;
    let directory = path.parent()?;
    let reader = match unit::reader(&directory, &writer) {
        Reader::Nobody => quadlet::reader(&directory, &writer),
        reader => reader,
    };
    let unit = reader.manager().and_then(|manager| Some(Managed::new(manager, unit_of(&path)?.as_str())));
    Some(Box::new(Absent { path, writer, reader, unit }))
}

/// The unit of which a file is a definition, or a piece of one. A link in the `.wants` of another is none: it only says that
/// the unit is started.
fn unit_of(path: &AbsPath) -> Option<UnitName> {
    let parent = path.parent()?;
    let (name, directory) = (path.name(), parent.name());
    let defines = |name: &str| {
        name.parse()
            .ok()
            .or_else(|| name.parse::<crate::quadlet::QuadletName>().ok().map(|name| name.service().clone()))
    };
    match directory.strip_suffix(".d") {
        Some(of) => defines(of),
        None if directory.ends_with(".wants") || directory.ends_with(".requires") => None,
        None => defines(name),
    }
}

impl Resource for Absent {
    fn provides(&self) -> Vec<Thing> {
        std::iter::once(Thing::Path(self.path.clone())).chain(self.unit.clone().map(Thing::Unit)).collect()
    }

    fn wants(&self) -> Vec<Want> {
        scope::wants(&self.writer)
    }

    fn asks(&self) -> Vec<Ask> {
        let unit = self.unit.clone().map(Ask::Unit);
        [Ask::Path(self.path.clone()), Ask::Listing(self.path.clone())].into_iter().chain(unit).collect()
    }

    fn diff(&self, answers: &Answers, _context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { path, writer: _, reader, unit } = self;
        let PathState::Present(entry) = answers.path(path)? else { return Ok(Change::none()) };
        let before = match &entry.sort {
            Sort::File => "file".to_owned(),
            Sort::Link(target) => format!("link to {target}"),
            Sort::Directory => {
                let names = answers.listing(path)?;
                if !names.is_empty() {
                    return Err(Undecided::with_help(
                        format!("{path} is a directory on the host with {} in it", counted(names.len())),
                        "move away what is in it, or take away each of it by a resource of its own",
                    ));
                }
                "empty directory".to_owned()
            }
            Sort::Other => {
                return Err(Undecided::with_help(
                    format!("{path} is a {} on the host, and there would be nothing to put back", entry.sort.name()),
                    "stop whatever has made it, and remove it by hand",
                ));
            }
        };
        let mut change = Change::new(Action::Remove);
        change.differs("there", before, Shown::Absent);
        Ok(change.signals(match (reader, unit) {
            (Reader::Manager(_), Some(_)) => Signal::Unit,
            _ => Signal::Content,
        }))
    }

    fn steps(&self, _change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        // What runs is stopped as its own definition says: another one, which may come next, does not know how.
        let defines = self.unit.as_ref().filter(|unit| self.path.name() == unit.name);
        let runs = defines.filter(|unit| answers.unit(unit).is_ok_and(UnitState::is_up));
        let stop = runs.map(|unit| Step::Unit { unit: unit.clone(), action: UnitAction::Stop });
        let remove = Step::Remove { manager: self.writer.clone(), path: self.path.clone() };
        let reload = self.reader.manager().map(|manager| Step::ReloadUnits(manager.clone()));
        Ok(stop.into_iter().chain([remove]).chain(reload).collect())
    }
}

fn counted(names: usize) -> String {
    if names == 1 { "one name".to_owned() } else { format!("{names} names") }
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const PATH: &str = "path = '/srv/f'";

    #[test]
    fn a_file_or_a_link_goes_and_comes_back() {
        case("absent", PATH).in_sync();
        case("absent", PATH)
            .given_file("/srv/f", "theirs", "0640")
            .expects(crate::change::Action::Remove, "there: file -> (absent)")
            .holds("path /srv/f")
            .steps("remove what is at /srv/f")
            .in_sync()
            .given_file("/srv/f", "theirs again", "0640")
            .mended();
        case("absent", PATH)
            .given_link("/srv/f", "/etc/passwd")
            .expects(crate::change::Action::Remove, "there: link to /etc/passwd -> (absent)")
            .mended();
    }

    #[test]
    fn a_directory_goes_when_it_is_empty() {
        case("absent", PATH)
            .given_directory("/srv/f", "0755")
            .expects(crate::change::Action::Remove, "there: empty directory -> (absent)")
            .mended();
        case("absent", PATH)
            .given_directory("/srv/f", "0755")
            .given_file("/srv/f/a", "", "0644")
            .undecided("/srv/f is a directory on the host with one name in it");
    }

    #[test]
    fn what_is_theirs_goes_only_when_it_is_taken_over() {
        let changes = case("absent", PATH).given_file("/srv/f", "theirs", "0640").changes();
        assert_eq!(changes.foreign().count(), 1);
    }

    #[test]
    fn systemd_reads_its_units_and_the_service_starts_with_the_other_definition() {
        let unit = "path = '/etc/systemd/system/web.service'";
        let container =
            "[container.web]\nimage = 'quay.io/a/b:1'\n[service.web]\nunit = '{{ container.web.unit_name }}'\n";
        let case = case("absent", unit)
            .plan(container)
            .given_file("/etc/systemd/system/web.service", "[Service]\nExecStart=/old\n", "0644")
            .given_unit("web.service", "active", "static");
        let changes = case.changes();
        let said: Vec<String> =
            changes.changed().map(|(address, change)| format!("{address} {}", change.action.word())).collect();
        assert_eq!(said, ["absent.x remove", "container.web create", "service.web restart"]);
        case.mended();
        case_of_user();
    }

    fn case_of_user() {
        case("absent", "path = '/home/core/.config/systemd/user/a.service'\nscope = 'user:core'")
            .given_file("/home/core/.config/systemd/user/a.service", "[Service]\n", "0644")
            .steps("remove what is at /home/core/.config/systemd/user/a.service; let systemd read the units of core");
        case("absent", "path = '/etc/containers/systemd/a.container.d/x.conf'")
            .given_file("/etc/containers/systemd/a.container.d/x.conf", "[Unit]\n", "0644")
            .steps("remove what is at /etc/containers/systemd/a.container.d/x.conf; let systemd read its units");
        case("absent", "path = '/etc/systemd/system/b.target.wants/a.service'")
            .given_link("/etc/systemd/system/b.target.wants/a.service", "../a.service")
            .steps("remove what is at /etc/systemd/system/b.target.wants/a.service; let systemd read its units");
    }
}
