//! `quadlet_dropin`: a drop-in for a Quadlet file that comes from elsewhere, or for all files of a type. A drop-in for a
//! unit of systemd's own, such as the service that podman makes of a Quadlet file, is of kind `unit`.

use std::error::Error;
use std::str::FromStr;

use crate::change::{Change, Shown};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::problem::suggest;
use crate::probe::{Answers, Ask, Undecided};
use crate::quadlet::{
    Need, PublishedPort, QuadletName, QuadletType, UNSUPPORTED_SERVICE_KEYS, key, nearest, needs_of_drop_in,
    quadlet_key, references,
};
use crate::resource::definition::{Definition, changes_content, used_paths};
use crate::resource::file::FileSpec;
use crate::resource::quadlet::{DIRECTORY, Place, podman, want, without_address};
use crate::resource::scope::{self, SCOPE};
use crate::resource::unit::DropInName;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Thing, Want, package};
use crate::step::{Laid, Rehearsal, Rehearsed, Step};
use crate::systemd::{Managed, Manager, Section, UnitFile};

/// The kind.
pub static KIND: Kind = Kind {
    name: "quadlet_dropin",
    summary: "A drop-in for a Quadlet file that comes from elsewhere, or for all files of a type.",
    fields: &[
        Field {
            name: "quadlet",
            takes: "file name | type",
            required: true,
            doc: "The file that it adds to: \"registry.container\", \"worker@.container\", \"worker@a.container\"; all whose names start alike: \"app-.container\"; or all of a type: \"container\". What runs by a file of the plan restarts when it changes.",
        },
        Field {
            name: "dropin",
            takes: "name",
            required: true,
            doc: "Its name, such as \"10-limits\": the file QUADLET.d/10-limits.conf, with its directory.",
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
            doc: "The file as `[quadlet_dropin.x.sections.Container]` and so on: section names, keys and values are podman's and systemd's own; a key that repeats has a list.",
        },
        DIRECTORY,
        SCOPE,
    ],
    example: r#"
[quadlet_dropin.registry_limits]
quadlet = "registry.container"
dropin = "10-limits"
sections.Container.PidsLimit = 500
sections.Service.MemoryMax = "1G"

[quadlet_dropin.labels]
quadlet = "container"
dropin = "10-labels"
content = """
[Container]
Label=site=north
"""
"#,
    templates: &[],
    assets: &[],
    read,
};

/// Which files a drop-in is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// One, an instance or a template with its instances.
    One(QuadletName),
    /// Those whose names start alike, up to a dash: `app-.container`.
    Alike(QuadletName),
    /// All of a type.
    All(QuadletType),
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(quadlet_type) = QuadletType::from_extension(text) {
            return Ok(Self::All(quadlet_type));
        }
        let name: QuadletName = text.parse().map_err(|error| format!("{error}"))?;
        Ok(if name.stem().ends_with('-') || name.stem().ends_with("-@") { Self::Alike(name) } else { Self::One(name) })
    }
}

impl Subject {
    fn quadlet_type(&self) -> QuadletType {
        match self {
            Self::One(name) | Self::Alike(name) => name.quadlet_type(),
            Self::All(quadlet_type) => *quadlet_type,
        }
    }

    /// The directory of its drop-ins.
    fn directory(&self) -> String {
        match self {
            Self::One(name) | Self::Alike(name) => format!("{name}.d"),
            Self::All(quadlet_type) => format!("{}.d", quadlet_type.extension()),
        }
    }
}

#[derive(Debug)]
struct DropIn {
    subject: Subject,
    definition: Definition,
    /// Whose files it is for.
    manager: Manager,
    wants: Vec<Want>,
    needs: Vec<Need>,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let subject: Option<Subject> = fields.required("quadlet");
    let name: Option<DropInName> = fields.required("dropin");
    let place = Place::read(fields, setup);
    let content: Option<String> = fields.optional("content");
    let sections = fields.sections("sections");
    fields.one_of("content", ["content", "sections"])?;
    let subject = subject?;
    let (file, text) = match content {
        Some(text) => (parse(fields, &text, subject.quadlet_type())?, text),
        None if fields.has("content") => return None,
        None => {
            let file = assemble(fields, &sections, subject.quadlet_type())?;
            let text = file.to_string();
            (file, text)
        }
    };
    let DropInName(name) = name?;
    let place = place?;
    let path = match place.directory.join(&format!("{}/{name}.conf", subject.directory())) {
        Ok(path) => path,
        Err(error) => {
            fields.problem("quadlet", error.to_string(), "choose shorter names");
            return None;
        }
    };
    let (home, reader) = (place.home(path.parent()), place.reader());
    let mut spec = FileSpec::new(path, text);
    spec.ownership = place.ownership();
    let Place { manager, directory, writer, made: _ } = place;
    let definition = Definition { file: spec, reader, home, writer };
    let wants = wants(&file, subject.quadlet_type(), &directory, &manager);
    let wide = !matches!(subject, Subject::One(_));
    let needs = needs_of_drop_in(subject.quadlet_type(), wide, &file);
    Some(Box::new(DropIn { subject, definition, manager, wants, needs }))
}

impl Resource for DropIn {
    fn provides(&self) -> Vec<Thing> {
        let Self { subject, definition, manager, wants: _, needs: _ } = self;
        // The second is what a Quadlet file of the plan looks for.
        let mut things =
            vec![Thing::Path(definition.file.path.clone()), Thing::Quadlet(Managed::new(manager, subject.directory()))];
        if let (Subject::One(name), Some(manager)) = (subject, definition.reader.manager()) {
            things.push(Thing::Unit(Managed::new(manager, name.service().as_str())));
        }
        things
    }

    fn wants(&self) -> Vec<Want> {
        self.definition.wants(&self.wants).into_iter().chain([package::want("podman")]).collect()
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        self.definition.file.wanted()
    }

    fn asks(&self) -> Vec<Ask> {
        let podman = self.definition.reader.manager().map(|_| Ask::Podman);
        self.definition.asks().into_iter().chain(podman).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        if self.definition.reader.manager().is_some() {
            podman::check(&self.needs, answers, context)?;
        }
        self.definition.diff(answers, context)
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let mut steps = Vec::new();
        if let Some(manager) = self.definition.reader.manager().filter(|_| changes_content(change)) {
            let (path, laid) = (self.definition.file.path.clone(), Laid::File(self.definition.text()));
            let files = vec![Rehearsed { path, laid, service: None }];
            steps.push(Step::Rehearse(Rehearsal { manager: manager.clone(), files, gone: Vec::new() }));
        }
        steps.extend(self.definition.steps(change, answers)?);
        Ok(steps)
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.definition.file.path.to_string())]
    }
}

/// Reads the text of a drop-in, and finds in it what podman would not take.
fn parse(fields: &Fields<'_>, text: &str, quadlet_type: QuadletType) -> Option<UnitFile> {
    let file = match text.parse::<UnitFile>() {
        Ok(file) => file,
        Err(error) => {
            let why = error.source().map_or_else(String::new, |source| format!(": {source}"));
            fields.problem("content", format!("this is no drop-in: {error}{why}"), "see systemd.syntax(7)");
            return None;
        }
    };
    let mut sound = true;
    let mut report = |(message, help): (String, String)| {
        fields.problem("content", message, help);
        sound = false;
    };
    for section in file.sections() {
        wrong_section(section.name(), quadlet_type).into_iter().for_each(&mut report);
        for entry in section.entries() {
            wrong_key(section.name(), entry.key(), entry.value(), quadlet_type).into_iter().for_each(&mut report);
        }
    }
    sound.then_some(file)
}

/// Makes a drop-in of sections.
fn assemble(
    fields: &Fields<'_>,
    sections: &[crate::plan::fields::Section],
    quadlet_type: QuadletType,
) -> Option<UnitFile> {
    let mut file = UnitFile::new();
    let mut sound = true;
    for section in sections {
        let name = section.header.key.as_str();
        if let Some((message, help)) = wrong_section(name, quadlet_type) {
            fields.setting_problem(&section.header, message, help);
            sound = false;
        }
        for setting in &section.settings {
            for value in &setting.values {
                if let Some((message, help)) = wrong_key(name, &setting.key, value, quadlet_type) {
                    fields.setting_problem(setting, message, help);
                    sound = false;
                }
                if let Err(error) = file.push(name, &setting.key, value) {
                    fields.setting_problem(setting, error.to_string(), "see systemd.syntax(7)");
                    sound = false;
                }
            }
        }
    }
    sound.then_some(file)
}

fn wrong_section(name: &str, quadlet_type: QuadletType) -> Option<(String, String)> {
    let known = quadlet_type.sections();
    if known.contains(&name) || name.starts_with("X-") {
        return None;
    }
    Some((format!("a .{} has no section [{name}]", quadlet_type.extension()), suggest(name, known)))
}

/// What is wrong with a key or its value, and what to do.
fn wrong_key(section: &str, name: &str, value: &str, quadlet_type: QuadletType) -> Option<(String, String)> {
    if section == quadlet_type.section() {
        if key(quadlet_type, name).is_none() {
            let help = nearest(quadlet_type, name).map_or_else(
                || {
                    format!(
                        "`provision kinds {} --keys` lists those that podman has",
                        super::quadlet::kind_of(quadlet_type)
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            return Some((format!("[{section}] has no key `{name}`"), help));
        }
        if name == "PublishPort" {
            return value.parse::<PublishedPort>().ok().and_then(|port| without_address(&port));
        }
    } else if section == crate::quadlet::QUADLET_SECTION && quadlet_key(name).is_none() {
        return Some((format!("[{section}] has no key `{name}`"), suggest(name, ["DefaultDependencies"])));
    } else if section == "Service" && UNSUPPORTED_SERVICE_KEYS.contains(&name) {
        let help = "use the keys User, Group and UserNS of its own section".to_owned();
        return Some((format!("`{name}` of [Service] is podman's, not the container's"), help));
    }
    None
}

fn wants(file: &UnitFile, quadlet_type: QuadletType, directory: &AbsPath, manager: &Manager) -> Vec<Want> {
    let mut wants = used_paths(file.section("Service"));
    wants.extend(scope::wants(manager));
    for entry in file.section(quadlet_type.section()).into_iter().flat_map(Section::entries) {
        let references = references(quadlet_type, entry.key(), entry.value());
        wants.extend(references.into_iter().filter_map(|reference| want(reference, directory, manager)));
    }
    wants
}

#[cfg(test)]
mod tests {
    use crate::probe::PodmanState;
    use crate::quadlet::PodmanVersion;
    use crate::testing::case;

    const LIMITS: &str = "quadlet = 'app.container'\ndropin = '10-limits'\nsections.Container.PidsLimit = 500";

    #[test]
    fn it_stands_beside_the_file_that_it_is_for() {
        case("quadlet_dropin", LIMITS)
            .creates("content: (absent) -> (2 lines), mode: (absent) -> 0644")
            .steps(
                "make the directory /etc/containers/systemd/app.container.d unless it is there; put the file /etc/containers/systemd/app.container.d/10-limits.conf in place; let systemd read its units",
            )
            .in_sync();
        for (quadlet, path) in
            [("worker@.container", "worker@.container.d"), ("app-.pod", "app-.pod.d"), ("volume", "volume.d")]
        {
            let fields = format!("quadlet = '{quadlet}'\ndropin = 'x'\ncontent = \"[Service]\\nMemoryMax=1G\\n\"");
            case("quadlet_dropin", &fields)
                .given_directory(&format!("/etc/containers/systemd/{path}"), "0755")
                .given_file(&format!("/etc/containers/systemd/{path}/x.conf"), "[Service]\nMemoryMax=1G\n", "0644")
                .in_sync();
        }
    }

    #[test]
    fn a_host_without_quadlets_directory_gets_it() {
        case("quadlet_dropin", LIMITS)
            .given(|state| {
                state.entries.remove(&"/etc/containers/systemd".parse().unwrap());
            })
            .steps(
                "make the directory /etc/containers/systemd unless it is there; make the directory /etc/containers/systemd/app.container.d unless it is there; put the file /etc/containers/systemd/app.container.d/10-limits.conf in place; let systemd read its units",
            )
            .in_sync();
    }

    #[test]
    fn what_runs_by_the_file_restarts_once_with_it() {
        let plan = "[quadlet_dropin.limits]\nquadlet = 'app.container'\ndropin = 'a'\nsections.Container.PidsLimit = 5\n[quadlet_dropin.wide]\nquadlet = 'container'\ndropin = 'b'\nsections.Container.ReadOnly = true\n[container.app]\nimage = 'quay.io/a/b:1'\noptions = { ServiceName = 'web' }\n[service.web]\nunit = 'web.service'";
        for name in ["app.container.d/a.conf", "container.d/b.conf"] {
            let case = case("file", "path = '/srv/f'\ncontent = ''").plan(plan).applied().given_file(
                &format!("/etc/containers/systemd/{name}"),
                "[Container]\n",
                "0644",
            );
            let changes = case.changes();
            let service = changes.iter().find(|(address, _)| address.to_string() == "service.web").unwrap().1.unwrap();
            assert_eq!(service.action.word(), "restart", "{name}");
            assert_eq!(service.reasons.len(), 1, "{name}");
        }
    }

    #[test]
    fn what_podman_would_not_take_is_refused() {
        let with = |rest: &str| format!("quadlet = 'app.container'\ndropin = 'x'\n{rest}");
        let refused = |rest: &str, message: &str| case("quadlet_dropin", &with(rest)).refused(message);
        refused(
            "sections.Container.PidLimits = 5",
            "5:20: [Container] has no key `PidLimits` (did you mean `PidsLimit`?)",
        );
        refused(
            "content = \"[Container]\\nPidLimits=5\\n\"",
            "5:11: [Container] has no key `PidLimits` (did you mean `PidsLimit`?)",
        );
        refused(
            "sections.Pod.PodName = 'x'",
            "5:10: a .container has no section [Pod] (known: `Container`, `Install`, `Quadlet`, `Service`, `Unit`)",
        );
        refused(
            "sections.Container.PublishPort = '80:80'",
            "5:20: 80:80 does not say which address it is published on (write \"0.0.0.0:80:80\" for IPv4, \"[::]:80:80\" for IPv6; `publish = [\"*:80:80\"]` is for both)",
        );
        refused(
            "sections.Quadlet.DefaultDependency = 'no'",
            "5:18: [Quadlet] has no key `DefaultDependency` (did you mean `DefaultDependencies`?)",
        );
        refused(
            "sections.Service.User = 'x'",
            "5:18: `User` of [Service] is podman's, not the container's (use the keys User, Group and UserNS of its own section)",
        );
        refused(
            "content = \"x\"",
            "5:11: this is no drop-in: line 1: \"x\" is neither a section, a setting nor a comment (see systemd.syntax(7))",
        );
        refused("", "2:17: quadlet_dropin.x has none of `content` and `sections` (write exactly one of them)");
        case("quadlet_dropin", "quadlet = 'app.service'\ndropin = 'x'\ncontent = ''").refused("3:11: \"app.service\" does not fit `quadlet` of quadlet_dropin.x (\"app.service\" is no Quadlet file: those end in .container, .pod, .volume, .network, .image, .build or .kube)");
        case("quadlet_dropin", "quadlet = 'app.pod'\ndropin = 'x.conf'\ncontent = ''").refused(
            "4:10: \"x.conf\" does not fit `dropin` of quadlet_dropin.x (write \"x\": the suffix .conf is added)",
        );
    }

    #[test]
    fn a_podman_that_does_not_know_it_is_an_error() {
        let on = |major, minor| PodmanState::Present(PodmanVersion::new(major, minor, 0));
        case("quadlet_dropin", LIMITS)
            .given(|state| state.podman = on(4, 9))
            .undecided("a drop-in needs podman 5.0; the host has 4.9.0");
        case("quadlet_dropin", "quadlet = 'pod'\ndropin = 'x'\ncontent = ''")
            .given(|state| state.podman = on(5, 1))
            .undecided("a drop-in for more than one file needs podman 5.2; the host has 5.1.0");
    }
}
