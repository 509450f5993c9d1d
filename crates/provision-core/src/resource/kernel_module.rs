//! `kernel_module`: a module of the kernel, loaded now and at each boot, with its options.

use crate::change::{Action, Attribute, Change, Shown};
use crate::knob::kernel_module::KERNEL_MODULE;
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "kernel_module",
    summary: "A kernel module, loaded now and at each boot, with its options.",
    fields: &[
        Field {
            name: "name",
            takes: "name",
            required: false,
            doc: "The module: \"br_netfilter\"; without it the resource's name. It may be part of the kernel. It stands in /etc/modules-load.d/NAME.conf, modules-load.d(5).",
        },
        Field {
            name: "options",
            takes: "table",
            required: false,
            doc: "Its parameters by name, in /etc/modprobe.d/NAME.conf, modprobe.d(5). A module that is loaded already keeps those that it has until it is loaded anew.",
        },
    ],
    example: r#"
[kernel_module.br_netfilter]

[kernel_module.loop]
options.max_loop = 16
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Module {
    name: String,
    knob: Knob,
    boot: FileSpec,
    options: Option<FileSpec>,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let name: Option<String> = fields.optional("name");
    let settings = fields.settings("options");
    if fields.has("name") && name.is_none() {
        return None;
    }
    let name = name.unwrap_or_else(|| setup.address.name().to_owned());
    let fits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !fits(&name) || name.starts_with('-') {
        fields.problem(
            "name",
            format!("{name:?} is not a kernel module"),
            "letters, digits, `_` and `-`: \"br_netfilter\"",
        );
        return None;
    }
    // The kernel itself has no dashes in its names.
    let name = name.replace('-', "_");
    let mut words = Vec::new();
    for setting in &settings {
        let value = setting.values.join(",");
        let sound = |c: char| !c.is_control() && !c.is_whitespace() && c != '"' && c != '\\' && c != '#';
        if !fits(&setting.key) || !value.chars().all(sound) {
            let help = "a name of letters, digits and `_`, and a value without blanks, quotes, `\\` and `#`";
            fields.setting_problem(setting, format!("{:?} is not an option of a module", setting.key), help);
            return None;
        }
        words.push(format!("{}={value}", setting.key));
    }
    let file = |directory: &str, content: String| {
        let path = format!("/etc/{directory}/{name}.conf").parse().ok()?;
        Some(FileSpec::new(path, content))
    };
    let boot = file("modules-load.d", format!("{name}\n"))?;
    let options =
        if words.is_empty() { None } else { file("modprobe.d", format!("options {name} {}\n", words.join(" "))) };
    Some(Box::new(Module { knob: Knob::new(&KERNEL_MODULE, name.as_str()), name, boot, options }))
}

/// The attributes of each file: what stands there, and its mode.
const BOOT: [&str; 2] = ["at_boot", "at_boot_mode"];
const OPTIONS: [&str; 2] = ["options", "options_mode"];

impl Module {
    /// Each file with the names of its attributes; options before the module is loaded.
    fn files(&self) -> impl Iterator<Item = (&FileSpec, [&'static str; 2])> {
        self.options.iter().map(|file| (file, OPTIONS)).chain([(&self.boot, BOOT)])
    }
}

fn named(name: &str, [content, mode]: [&'static str; 2]) -> &'static str {
    if name == "content" { content } else { mode }
}

impl Resource for Module {
    fn provides(&self) -> Vec<Thing> {
        let paths = self.files().map(|(file, _)| Thing::Path(file.path.clone()));
        paths.chain([Thing::Knob(self.knob.clone())]).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let paths = self.files().map(|(file, _)| Object::Path(file.path.clone()));
        paths.chain([Object::Knob(self.knob.clone())]).collect()
    }

    fn wants(&self) -> Vec<Want> {
        self.files().map(|(file, _)| Want::after(Target::Parent(file.path.clone()))).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let files = self.files().flat_map(|(file, _)| file.asks());
        files.chain([Ask::Knob(self.knob.clone())]).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let now = answers.knob(&self.knob)?;
        if now == "unknown" && !context.anything_pending() {
            return Err(Undecided::with_help(
                format!("the host's kernel has no module {}, or the host has no modprobe", self.name),
                "check the name, and that the modules of the running kernel are installed",
            ));
        }
        let mut change = Change::new(Action::Update);
        let mut absent = 0;
        for (file, names) in self.files() {
            let found = file.diff(answers, context)?;
            absent += usize::from(found.action == Action::Create);
            change.attributes.extend(
                found
                    .attributes
                    .into_iter()
                    .map(|attribute| Attribute { name: named(&attribute.name, names).into(), ..attribute }),
            );
        }
        let changes_options = change.attributes.iter().any(|attribute| attribute.name == OPTIONS[0]);
        if changes_options && now != ABSENT {
            change
                .reasons
                .push(format!("{} is {now} already, and keeps its options until it is loaded anew", self.name));
        }
        if now == ABSENT || now == "unknown" {
            change.compare("state", Shown::Absent, "loaded");
        }
        if absent == self.files().count() {
            change.action = Action::Create;
        }
        Ok(if change.attributes.is_empty() { Change::none() } else { change })
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let mut steps = Vec::new();
        for (file, [content, mode]) in self.files() {
            let changes = |name: &str| change.attributes.iter().any(|attribute| attribute.name == name);
            if changes(content) {
                steps.push(file.put(answers)?);
            } else if changes(mode) {
                let (path, mode, ownership) = (file.path.clone(), Some(file.mode), file.ownership.clone());
                steps.push(Step::SetAttributes { path, mode, ownership });
            }
        }
        if matches!(answers.knob(&self.knob)?.as_str(), ABSENT | "unknown") {
            steps.push(Step::Turn { knob: self.knob.clone(), state: "loaded".to_owned(), input: None });
        }
        Ok(steps)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let files = self
            .files()
            .flat_map(|(file, names)| file.wanted().into_iter().map(move |(name, value)| (named(name, names), value)));
        files.chain([("state", "loaded".into())]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Case, case};

    fn loop_device(fields: &str) -> Case {
        case("kernel_module", &format!("name = 'loop'\n{fields}"))
            .given_directory("/etc/modules-load.d", "0755")
            .given_directory("/etc/modprobe.d", "0755")
    }

    fn state(text: &'static str) -> impl FnOnce(&mut crate::testing::State) {
        move |state| state.turn(&Knob::new(&KERNEL_MODULE, "loop"), text)
    }

    #[test]
    fn a_module_is_loaded_now_and_at_each_boot_after_its_options() {
        loop_device("options = { max_loop = 16, hw_queue_depth = [1, 2] }")
            .creates("options: (absent) -> (1 lines), options_mode: (absent) -> 0644, at_boot: (absent) -> (1 lines), at_boot_mode: (absent) -> 0644, state: (absent) -> loaded")
            .steps("put the file /etc/modprobe.d/loop.conf in place; put the file /etc/modules-load.d/loop.conf in place; set the kernel module loop")
            .in_sync();
    }

    #[test]
    fn what_is_loaded_or_built_in_is_only_told_to_the_next_boot() {
        for found in ["loaded", "built-in"] {
            loop_device("")
                .given(state(found))
                .creates("at_boot: (absent) -> (1 lines), at_boot_mode: (absent) -> 0644")
                .steps("put the file /etc/modules-load.d/loop.conf in place")
                .in_sync();
        }
        loop_device("options.max_loop = 1")
            .given(state("loaded"))
            .because("loop is loaded already, and keeps its options until it is loaded anew");
    }

    #[test]
    fn drift_is_mended() {
        loop_device("").applied().given(state(ABSENT)).updates("state: (absent) -> loaded").mended();
        loop_device("")
            .applied()
            .given_file("/etc/modules-load.d/loop.conf", "loop\n", "0600")
            .updates("at_boot_mode: 0600 -> 0644")
            .mended();
    }

    #[test]
    fn one_that_the_kernel_does_not_have_is_refused() {
        loop_device("")
            .given(state("unknown"))
            .undecided("the host's kernel has no module loop, or the host has no modprobe");
        let help = "letters, digits, `_` and `-`: \"br_netfilter\"";
        case("kernel_module", "name = 'a b'").refused(&format!("3:8: \"a b\" is not a kernel module ({help})"));
    }
}
