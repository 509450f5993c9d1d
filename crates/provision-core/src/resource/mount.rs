//! `mount`: a file system that is mounted, now and after each boot.
//!
//! It is a unit of systemd's, not a line of fstab(5): a line would be in a file that others edit, too, and that is read as
//! a whole, whereas a unit is a file of its own, which comes and goes by itself. systemd.mount(5) says the same: fstab for
//! people, units for tools. What is on the file system is never touched.

use crate::change::{Action, Change, Shown, Signal};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, FileState, PathState, Sort, Undecided, Wanted};
use crate::resource::directory::in_the_way;
use crate::resource::file::FileSpec;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::{Step, UnitAction};
use crate::systemd::{Managed, Manager, UnitFile, literal, path_name};

#[cfg(test)]
mod tests;

/// The kind.
pub static KIND: Kind = Kind {
    name: "mount",
    summary: "A file system that is mounted, now and after each boot.",
    fields: &[
        Field {
            name: "where",
            takes: "path",
            required: true,
            doc: "The directory that it is mounted on. It is made when it is not there; what is in it is hidden for as long.",
        },
        Field {
            name: "what",
            takes: "text",
            required: true,
            doc: "The device or source, as in fstab(5): \"/dev/vdb1\", \"UUID=...\", \"server:/export\", \"tmpfs\"; for a bind mount the other directory.",
        },
        Field {
            name: "type",
            takes: "text",
            required: false,
            doc: "The type of the file system: \"ext4\", \"nfs\", \"tmpfs\"; without it mount(8) finds out, and a bind mount needs none.",
        },
        Field {
            name: "options",
            takes: "list of text",
            required: false,
            doc: "As mount(8) has them: \"ro\", \"size=1G\", \"bind\". When only they change it is mounted anew in place; it is unmounted for all else.",
        },
        Field {
            name: "enabled",
            takes: "boolean",
            required: false,
            doc: "Whether it is mounted at boot, which goes on without it when that fails; true without it.",
        },
    ],
    example: r#"
[directory.cache]
path = "/srv/cache"

[mount.cache]
where = "/srv/cache"
what = "tmpfs"
type = "tmpfs"
options = ["size=64M", "mode=0750"]

[mount.exports]
where = "/srv/exports"
what = "storage.example.com:/exports"
type = "nfs"
options = ["ro"]
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Mount {
    place: AbsPath,
    /// What is mounted, where that is a path of the host.
    source: Option<AbsPath>,
    unit: Managed,
    file: FileSpec,
    enabled: bool,
}

/// Types that need the network, as systemd has them (fstype_is_network); a mount of these waits for it by itself.
const NETWORK: [&str; 12] =
    ["afs", "ceph", "cifs", "davfs", "gfs", "gfs2", "glusterfs", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3"];

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let place: Option<AbsPath> = fields.required("where");
    let what: Option<String> = fields.required("what");
    let sort: Option<String> = fields.optional("type");
    let options: Vec<String> = fields.list("options");
    let enabled = fields.boolean("enabled").unwrap_or(true);
    let (place, what) = (place?, what?);
    if place.parent().is_none() || place.as_str().chars().any(char::is_control) {
        fields.problem("where", format!("nothing can be mounted on {place:?}"), "choose a directory below /");
        return None;
    }
    let sound = |text: &str| !text.is_empty() && !text.starts_with('-') && !text.chars().any(char::is_control);
    let word = |text: &str| sound(text) && !text.contains(char::is_whitespace);
    if !sound(&what) || what.trim() != what {
        fields.problem("what", format!("{what:?} cannot be mounted"), "write it as in fstab(5), without escapes");
        return None;
    }
    if sort.as_ref().is_some_and(|sort| !word(sort)) {
        fields.problem("type", "this is not the type of a file system", "one word: \"ext4\", \"nfs\"");
        return None;
    }
    if let Some(option) = options.iter().find(|option| !word(option)) {
        let help = "each is one word, such as \"ro\" or \"size=1G\"";
        fields.problem("options", format!("{option:?} is not an option of mount(8)"), help);
        return None;
    }
    let binds = options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"));
    let source: Option<AbsPath> = what.parse().ok();
    if binds && source.is_none() {
        fields.problem(
            "what",
            format!("{what:?} is not a directory of the host"),
            "a bind mount takes an absolute path",
        );
        return None;
    }
    let is_remote = options.iter().any(|option| option == "_netdev")
        || sort.as_ref().is_some_and(|sort| NETWORK.contains(&sort.as_str()) || sort.starts_with("fuse.sshfs"));
    let target = if is_remote { "remote-fs.target" } else { "local-fs.target" };
    let sort = sort.or_else(|| binds.then(|| "none".to_owned()));
    let options = (!options.is_empty()).then(|| options.join(","));
    let mut file = UnitFile::new();
    let entries = [
        ("Mount", "What", Some(what)),
        ("Mount", "Where", Some(place.to_string())),
        ("Mount", "Type", sort),
        ("Mount", "Options", options),
        ("Install", "WantedBy", Some(target.to_owned())),
    ];
    for (section, key, value) in entries {
        if let Some(Err(error)) = value.map(|value| file.push(section, key, &literal(&value))) {
            fields.problem("", error.to_string(), "see systemd.mount(5)");
            return None;
        }
    }
    let name = format!("{}.mount", path_name(&place));
    let path = format!("/etc/systemd/system/{name}").parse();
    let (Ok(path), true) = (path, name.len() <= LONGEST) else {
        fields.problem("where", format!("the name of a unit for {place} would be too long"), "choose a shorter path");
        return None;
    };
    let (unit, file) = (Managed::system(name), FileSpec::new(path, file.to_string()));
    Some(Box::new(Mount { place, source, unit, file, enabled }))
}

/// Of a unit's name, systemd.unit(5).
const LONGEST: usize = 255;

impl Resource for Mount {
    fn provides(&self) -> Vec<Thing> {
        vec![
            Thing::Mount(self.place.clone()),
            Thing::Path(self.file.path.clone()),
            Thing::Unit(self.unit.clone()),
            Thing::Install(self.unit.clone()),
            Thing::Running(self.unit.clone()),
        ]
    }

    fn objects(&self) -> Vec<Object> {
        vec![Object::Path(self.file.path.clone()), Object::Unit(self.unit.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = vec![
            Want::after(Target::Parent(self.file.path.clone())),
            Want::after(Target::Parent(self.place.clone())),
            Want::after(Target::Thing(Thing::Directory(self.place.clone()))),
        ];
        wants.extend(self.source.clone().map(|source| Want::after(Target::Parent(source))));
        wants.extend(self.source.clone().map(|source| Want::after(Target::Thing(Thing::Directory(source)))));
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = self.file.asks();
        asks.extend(crate::resource::directory::with_parent(&self.place));
        // The whole of it, to tell options from the rest.
        asks.push(Ask::File { path: self.file.path.clone(), content: Wanted::Always });
        asks.push(Ask::Unit(self.unit.clone()));
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { place, source: _, unit, file, enabled } = self;
        let found = answers.unit(unit)?;
        match answers.path(place)? {
            PathState::Absent => context.require_parent(place, answers)?,
            PathState::Present(entry) => match &entry.sort {
                Sort::Directory | Sort::File => {}
                other => return Err(in_the_way(place, other, "directory")),
            },
        }
        if found.load == "masked" {
            return Err(Undecided::with_help(
                format!("{unit} is masked on the host, so that nothing can be mounted there"),
                format!("find out why, and then run systemctl unmask {unit}"),
            ));
        }
        let mut change = file.diff(answers, context)?;
        let content = change.attributes.iter().any(|attribute| attribute.name == "content");
        let unread = !content && (found.load == "not-found" || found.stale);
        if unread {
            change.compare("definition", if found.stale { "older than the file" } else { "not read" }, "read");
        }
        let is_enabled = found.file == "enabled";
        change.compare("enabled", is_enabled.to_string(), enabled.to_string());
        let is_new = change.action == Action::Create && !found.is_up();
        if !found.is_up() {
            change.compare("state", found.active.as_str(), "mounted");
        } else if content || unread {
            let how = match self.remounts(answers) {
                Remount::InPlace => "it is mounted anew in place",
                Remount::Whole => "it is unmounted and mounted anew",
            };
            change.reasons.push(how.to_owned());
        }
        if change.attributes.is_empty() {
            return Ok(Change::none());
        }
        let starts = !found.is_up();
        change.action = match (is_new, starts, change.attributes.len()) {
            (true, ..) => Action::Create,
            (false, true, 1) => Action::Start,
            _ => Action::Update,
        };
        // What runs on it sees another file system.
        let signal = if starts || content || unread { Signal::Content } else { Signal::None };
        Ok(change.signals(signal))
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let changes = |name: &str| change.attributes.iter().any(|attribute| attribute.name == name);
        let act = |action| Step::Unit { unit: self.unit.clone(), action };
        let mut steps = Vec::new();
        if answers.path(&self.place)?.entry().is_none() {
            steps.push(Step::EnsureDirectory { path: self.place.clone() });
        }
        if changes("content") {
            steps.push(self.file.put(answers)?);
        } else if changes("mode") {
            let (path, mode, ownership) = (self.file.path.clone(), Some(self.file.mode), self.file.ownership.clone());
            steps.push(Step::SetAttributes { path, mode, ownership });
        }
        if changes("content") || changes("definition") {
            steps.push(Step::ReloadUnits(Manager::System));
        }
        if changes("enabled") {
            steps.push(act(if self.enabled { UnitAction::Enable } else { UnitAction::Disable }));
        }
        if changes("state") {
            steps.push(act(UnitAction::Start));
        } else if changes("content") || changes("definition") {
            steps.push(act(match self.remounts(answers) {
                Remount::InPlace => UnitAction::Reload,
                Remount::Whole => UnitAction::Restart,
            }));
        }
        Ok(steps)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let mut wanted = self.file.wanted();
        wanted.push(("enabled", self.enabled.to_string().into()));
        wanted.push(("state", "mounted".into()));
        wanted.push(("definition", "read".into()));
        wanted
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("unit", self.unit.name.clone())]
    }
}

/// How what is mounted takes in another definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remount {
    InPlace,
    Whole,
}

impl Mount {
    fn remounts(&self, answers: &Answers) -> Remount {
        let text = match answers.file(&self.file.path, &Wanted::Always) {
            Ok(FileState::Present { content: Some(content), .. }) => String::from_utf8_lossy(content).into_owned(),
            _ => return Remount::Whole,
        };
        let wanted = self.file.content.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let parsed = |text: &str| text.parse::<UnitFile>().ok();
        match (parsed(&text), wanted.and_then(|text| parsed(&text))) {
            (Some(old), Some(new)) => {
                let same =
                    ["What", "Where", "Type"].iter().all(|key| old.value("Mount", key) == new.value("Mount", key));
                if same { Remount::InPlace } else { Remount::Whole }
            }
            _ => Remount::Whole,
        }
    }
}
