//! `unit`: a unit file of systemd's, or a drop-in for one. Enabling and starting it is a service's business.

use std::error::Error;
use std::str::FromStr;

use crate::attribute::Mode;
use crate::change::{Change, Shown};
use crate::knob::Knob;
use crate::knob::group::GROUP;
use crate::knob::user::USER;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::problem::suggest;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::definition::{Definition, Home, Reader, used_paths};
use crate::resource::file::FileSpec;
use crate::resource::scope::{self, SCOPE};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;
use crate::systemd::{Managed, Manager, Section, UnitFile, UnitName, UnitType};

/// The kind.
pub static KIND: Kind = Kind {
    name: "unit",
    summary: "A unit file of systemd's, or a drop-in for one.",
    fields: &[
        Field {
            name: "unit",
            takes: "unit name",
            required: true,
            doc: "Its full name: \"backup.service\", \"backup.timer\", \"worker@.service\".",
        },
        Field {
            name: "content",
            takes: "text",
            required: false,
            doc: "The whole file. Exactly one of `content` and `sections`.",
        },
        Field {
            name: "sections",
            takes: "table of tables",
            required: false,
            doc: "The file as `[unit.x.sections.Service]` and so on: section names, keys and values are systemd's own; a key that repeats has a list.",
        },
        Field {
            name: "dropin",
            takes: "name",
            required: false,
            doc: "Makes it the drop-in of that name, such as \"10-limits\", for a unit that comes from elsewhere: the file UNIT.d/10-limits.conf, with its directory.",
        },
        Field {
            name: "directory",
            takes: "path",
            required: false,
            doc: "Where unit files stand; without it \"/etc/systemd/system\", or of a user \"~/.config/systemd/user\". systemd is not told of files outside of its own directories.",
        },
        SCOPE,
        Field { name: "mode", takes: "mode", required: false, doc: "Permission bits; \"0644\" without it." },
    ],
    example: r#"
[unit.backup]
unit = "backup.service"

[unit.backup.sections.Unit]
Description = "Backup of the registry"
Wants = "network-online.target"
After = ["network-online.target", "registry.service"]

[unit.backup.sections.Service]
Type = "oneshot"
ExecStart = "/usr/local/bin/backup --keep 7"

[unit.backup_timer]
unit = "backup.timer"
content = """
[Timer]
OnCalendar=daily

[Install]
WantedBy=timers.target
"""

[unit.haproxy_limits]
unit = "haproxy.service"
dropin = "10-limits"
sections.Service.LimitNOFILE = 65536
"#,
    templates: &[],
    assets: &[],
    read,
};

/// Where an administrator's units stand; systemd.unit(5), "System Unit Search Path".
const DEFAULT_DIRECTORY: &str = "/etc/systemd/system";
/// The directories that systemd's system manager reads, from the same page, but for the generators' own.
const READ: [&str; 6] = [
    DEFAULT_DIRECTORY,
    "/etc/systemd/system.control",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Where a user's own units stand, below the home; the same page, "User Unit Search Path".
const USER_DIRECTORY: &str = ".config/systemd/user";
/// The other directories that users' managers read.
const USER_READ: [&str; 4] =
    ["/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];

#[derive(Debug)]
struct Unit {
    unit: UnitName,
    part: Part,
    definition: Definition,
    wants: Vec<Want>,
}

/// What of a unit the file is.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole(Start),
    /// Something added to it.
    DropIn,
}

/// How a unit comes to be started.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// It can be enabled, since it has an `[Install]`.
    Install,
    /// By whatever names it.
    Static,
}

/// The name of a drop-in without `.conf`.
#[derive(Debug)]
pub(crate) struct DropInName(pub(crate) String);

impl FromStr for DropInName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':');
        if text.is_empty() || text.starts_with('.') || !text.chars().all(fits) {
            return Err("a drop-in has a name such as \"10-limits\": letters, digits and - _ . @ :".to_owned());
        }
        match text.strip_suffix(".conf") {
            Some(stem) => Err(format!("write \"{stem}\": the suffix .conf is added")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let manager = scope::manager(fields);
    let unit: Option<UnitName> = fields.required("unit");
    let drop_in: Option<DropInName> = fields.optional("dropin");
    let directory: Option<AbsPath> = fields.optional("directory");
    let mode: Option<Mode> = fields.optional("mode");
    let content: Option<String> = fields.optional("content");
    let sections = fields.sections("sections");
    fields.one_of("content", ["content", "sections"])?;
    let unit = unit?;
    let (file, content) = match content {
        Some(text) => (parse(fields, &text)?, text),
        None if fields.has("content") => return None,
        None => {
            let file = assemble(fields, &sections, &unit)?;
            let text = file.to_string();
            (file, text)
        }
    };
    if drop_in.is_some() && file.section("Install").is_some() {
        let field = if fields.has("content") { "content" } else { "sections" };
        fields.problem(field, "systemd does not read [Install] of a drop-in", "write it into the unit itself");
        return None;
    }
    let manager = manager?;
    let (directory, mut made) = match (directory, &manager) {
        (Some(directory), _) => (directory, Vec::new()),
        (None, _) if fields.has("directory") => return None,
        (None, Manager::System) => (DEFAULT_DIRECTORY.parse().ok()?, Vec::new()),
        (None, user) => {
            let made = scope::below_home(&[".config", "systemd", "user"], user, fields, setup)?;
            (made.last()?.clone(), made)
        }
    };
    let path = match &drop_in {
        Some(DropInName(name)) => directory.join(&format!("{unit}.d/{name}.conf")),
        None => directory.join(unit.as_str()),
    };
    let path = match path {
        Ok(path) => path,
        Err(error) => {
            fields.problem("unit", error.to_string(), "choose shorter names");
            return None;
        }
    };
    let mut spec = FileSpec::new(path, content);
    if let Some(mode) = mode {
        spec.mode = mode;
    }
    let part = match drop_in {
        Some(_) => Part::DropIn,
        None if file.section("Install").is_some() => Part::Whole(Start::Install),
        None => Part::Whole(Start::Static),
    };
    let writer = if made.is_empty() { Manager::System } else { manager.clone() };
    spec.ownership = scope::ownership(&writer);
    if part == Part::DropIn {
        made.extend(spec.path.parent());
    }
    let home = if made.is_empty() { Home::Expected } else { Home::Made(made) };
    let reader = reader(&directory, &manager);
    let definition = Definition { file: spec, reader, home, writer };
    Some(Box::new(Unit { wants: wants(&file, &manager, &unit), unit, part, definition }))
}

/// Who reads what stands in a directory.
pub(crate) fn reader(directory: &AbsPath, manager: &Manager) -> Reader {
    match manager {
        Manager::System => Reader::of(directory, &READ),
        user => Reader::of_user(user, directory, USER_DIRECTORY, &USER_READ),
    }
}

impl Resource for Unit {
    fn provides(&self) -> Vec<Thing> {
        let mut things = vec![Thing::Path(self.definition.file.path.clone())];
        if let Some(manager) = self.definition.reader.manager() {
            let unit = Managed::new(manager, self.unit.as_str());
            things.push(Thing::Unit(unit.clone()));
            if self.part == Part::Whole(Start::Install) {
                things.push(Thing::Install(unit));
            }
        }
        things
    }

    fn wants(&self) -> Vec<Want> {
        self.definition.wants(&self.wants)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        self.definition.file.wanted()
    }

    fn asks(&self) -> Vec<Ask> {
        self.definition.asks()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        self.definition.diff(answers, context)
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        self.definition.steps(change, answers)
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.definition.file.path.to_string())]
    }
}

/// Reads the text of a unit file; what systemd would pass over with a warning is a finding.
fn parse(fields: &Fields<'_>, text: &str) -> Option<UnitFile> {
    match text.parse::<UnitFile>() {
        Ok(file) => Some(file),
        Err(error) => {
            let why = error.source().map_or_else(String::new, |source| format!(": {source}"));
            fields.problem("content", format!("this is not a unit file: {error}{why}"), "see systemd.syntax(7)");
            None
        }
    }
}

/// Makes a unit file of sections.
fn assemble(fields: &Fields<'_>, sections: &[crate::plan::fields::Section], unit: &UnitName) -> Option<UnitFile> {
    let known = section_names(unit.unit_type());
    let mut file = UnitFile::new();
    let mut sound = true;
    for section in sections {
        let name = section.header.key.as_str();
        // systemd leaves such sections to others; systemd.syntax(7).
        if !known.contains(&name) && !name.starts_with("X-") {
            let suffix = unit.unit_type().suffix();
            let message = format!("a .{suffix} has no section [{name}]");
            fields.setting_problem(&section.header, message, suggest(name, known.iter().copied()));
            sound = false;
        }
        for setting in &section.settings {
            for value in &setting.values {
                if let Err(error) = file.push(name, &setting.key, value) {
                    fields.setting_problem(setting, error.to_string(), "see systemd.syntax(7)");
                    sound = false;
                }
            }
        }
    }
    sound.then_some(file)
}

/// The sections that systemd reads in units of a type.
fn section_names(unit_type: UnitType) -> &'static [&'static str] {
    match unit_type {
        UnitType::Service => &["Unit", "Service", "Install"],
        UnitType::Socket => &["Unit", "Socket", "Install"],
        UnitType::Device | UnitType::Target => &["Unit", "Install"],
        UnitType::Mount => &["Unit", "Mount", "Install"],
        UnitType::Automount => &["Unit", "Automount", "Install"],
        UnitType::Swap => &["Unit", "Swap", "Install"],
        UnitType::Path => &["Unit", "Path", "Install"],
        UnitType::Timer => &["Unit", "Timer", "Install"],
        UnitType::Slice => &["Unit", "Slice", "Install"],
        UnitType::Scope => &["Unit", "Scope", "Install"],
    }
}

/// The files a unit uses, and the unit that it starts. Not what it names in `After=`, `Wants=` and their like: two
/// units may well name each other, and all definitions are there before anything is started.
fn wants(file: &UnitFile, manager: &Manager, unit: &UnitName) -> Vec<Want> {
    let mut wants = used_paths(file.sections());
    wants.extend(accounts(file));
    wants.extend(scope::wants(manager));
    if let Some(started) = started_by(file, unit) {
        wants.push(Want::after(Target::Thing(Thing::Unit(Managed::new(manager, started)))));
    }
    wants
}

/// The users and groups that a unit runs as, systemd.exec(5).
fn accounts(file: &UnitFile) -> Vec<Want> {
    let named = |key: &str| match key {
        "User" | "SocketUser" => Some(&USER),
        "Group" | "SocketGroup" | "SupplementaryGroups" => Some(&GROUP),
        _ => None,
    };
    let entries = file.sections().iter().flat_map(Section::entries);
    let lists = entries.filter_map(|entry| Some((named(entry.key())?, entry.value().to_owned())));
    lists
        .flat_map(|(sort, names)| {
            let knob = |name: &str| Want::after(Target::Thing(Thing::Knob(Knob::new(sort, name))));
            names.split_ascii_whitespace().map(knob).collect::<Vec<_>>()
        })
        .collect()
}

/// The unit that a timer, a path or a socket starts: `Unit=`, `Service=`, or the service of its own name.
fn started_by(file: &UnitFile, unit: &UnitName) -> Option<String> {
    let written = match unit.unit_type() {
        UnitType::Timer => file.value("Timer", "Unit"),
        UnitType::Path => file.value("Path", "Unit"),
        UnitType::Socket => file.value("Socket", "Service"),
        _ => return None,
    };
    let own = || unit.as_str().rsplit_once('.').map(|(stem, _)| format!("{stem}.service"));
    written.filter(|name| !name.is_empty()).map(str::to_owned).or_else(own)
}

#[cfg(test)]
mod tests {
    use crate::testing::case;

    const WHOLE: &str = "unit = 'backup.service'\n[unit.x.sections.Service]\nType = 'oneshot'\nExecStart = ['/bin/a', '/bin/b']\n[unit.x.sections.Install]\nWantedBy = 'multi-user.target'";
    const DROP_IN: &str = "unit = 'haproxy.service'\ndropin = '10-limits'\nsections.Service.LimitNOFILE = 65536";
    const RENDERED: &str =
        "[Service]\nType=oneshot\nExecStart=/bin/a\nExecStart=/bin/b\n\n[Install]\nWantedBy=multi-user.target\n";

    #[test]
    fn sections_become_a_file_that_systemd_reads() {
        case("unit", WHOLE)
            .creates("content: (absent) -> (7 lines), mode: (absent) -> 0644")
            .steps("put the file /etc/systemd/system/backup.service in place; let systemd read its units")
            .in_sync();
        case("unit", WHOLE).given_file("/etc/systemd/system/backup.service", RENDERED, "0644").in_sync();
    }

    #[test]
    fn content_is_written_as_it_is() {
        let text = "# Kept.\n[Service]\nExecStart=/bin/a \\\n  -v\n";
        case("unit", &format!("unit = 'a@.service'\ncontent = '''\n{text}'''"))
            .given_file("/etc/systemd/system/a@.service", text, "0644")
            .in_sync();
    }

    #[test]
    fn a_drop_in_brings_its_directory() {
        case("unit", DROP_IN)
            .creates("content: (absent) -> (2 lines), mode: (absent) -> 0644")
            .steps("make the directory /etc/systemd/system/haproxy.service.d unless it is there; put the file /etc/systemd/system/haproxy.service.d/10-limits.conf in place; let systemd read its units")
            .in_sync();
    }

    #[test]
    fn two_drop_ins_share_their_directory() {
        case("unit", DROP_IN)
            .plan("[unit.y]\nunit = 'haproxy.service'\ndropin = '20-more'\nsections.Service.Nice = 1\n")
            .mended();
    }

    #[test]
    fn drifted_mode_is_updated_and_systemd_left_alone() {
        case("unit", WHOLE)
            .given_file("/etc/systemd/system/backup.service", RENDERED, "0600")
            .updates("mode: 0600 -> 0644")
            .steps("set mode and owner of /etc/systemd/system/backup.service")
            .in_sync();
    }

    #[test]
    fn elsewhere_systemd_is_not_told() {
        case("unit", &format!("directory = '/srv'\n{WHOLE}"))
            .steps("put the file /srv/backup.service in place")
            .in_sync();
    }

    #[test]
    fn a_file_where_the_directory_of_a_drop_in_belongs_is_not_removed() {
        case("unit", DROP_IN).given_file("/etc/systemd/system/haproxy.service.d", "", "0644").undecided(
            "/etc/systemd/system/haproxy.service.d is a file on the host, and the plan wants a directory there",
        );
    }

    #[test]
    fn what_systemd_would_pass_over_is_found() {
        for (fields, finding) in [
            ("unit = 'a.service'", "2:7: unit.x has none of `content` and `sections` (write exactly one of them)"),
            (
                "unit = 'a'\ncontent = ''",
                "3:8: \"a\" does not fit `unit` of unit.x (unit name \"a\" has no type; a service is a.service)",
            ),
            (
                "unit = 'a.timer'\nsections.Service.Nice = 1",
                "4:10: a .timer has no section [Service] (known: `Install`, `Timer`, `Unit`)",
            ),
            (
                "unit = 'a.service'\nsections.Servce.Nice = 1",
                "4:10: a .service has no section [Servce] (did you mean `Service`?)",
            ),
            (
                "unit = 'a.service'\nsections.Service.ExecStart = \"a\\nb\"",
                "4:18: value of ExecStart contains '\\n'; a setting is one line, and an argument in it is quoted (see systemd.syntax(7))",
            ),
            (
                "unit = 'a.service'\ncontent = '[Service'",
                "4:11: this is not a unit file: line 1: \"[Service\" is neither a section, a setting nor a comment (see systemd.syntax(7))",
            ),
            (
                "unit = 'a.service'\ndropin = 'x.conf'\ncontent = ''",
                "4:10: \"x.conf\" does not fit `dropin` of unit.x (write \"x\": the suffix .conf is added)",
            ),
            (
                "unit = 'a.service'\ndropin = 'x'\nsections.Install.Alias = 'b.service'",
                "5:1: systemd does not read [Install] of a drop-in (write it into the unit itself)",
            ),
        ] {
            case("unit", fields).refused(finding);
        }
    }

    #[test]
    fn a_secret_has_no_place_in_a_unit() {
        case("unit", "unit = 'a.service'\nsections.Service.Environment = 'PW={{ input.password }}'")
            .secret_input("password", "hunter22")
            .refused("4:32: a secret cannot go into `sections.Service` of unit.x: others could read it there (secrets may stand in the content of a file and in the standard input of a command)");
    }

    #[test]
    fn a_unit_uses_the_files_that_its_commands_name() {
        let changes = case("unit", "unit = 'a.service'\nsections.Service.ExecStart = '-/srv/run --config=/srv/conf'")
            .plan("[file.run]\npath = '/srv/run'\ncontent = ''\n[file.conf]\npath = '/srv/conf'\ncontent = ''\n[file.other]\npath = '/srv/conf.d'\ncontent = ''\n")
            .changes();
        let order: Vec<String> = changes.iter().map(|(address, _)| address.to_string()).collect();
        assert_eq!(order, ["file.run", "file.conf", "unit.x", "file.other"]);
    }
}
