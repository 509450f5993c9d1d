//! `sysctl`: a kernel parameter, now and after each boot.

use crate::change::{Action, Change, Shown};
use crate::knob::sysctl::SYSCTL;
use crate::knob::{ABSENT, Knob};
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::file::FileSpec;
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "sysctl",
    summary: "A kernel parameter, now and after each boot.",
    fields: &[
        Field {
            name: "key",
            takes: "text",
            required: true,
            doc: "The parameter as sysctl(8) has it: `net.ipv4.ip_forward`. Where a name has a dot of its own, such as that of a VLAN, write slashes: `net/ipv4/conf/eth0.1/forwarding`.",
        },
        Field { name: "value", takes: "text or integer", required: true, doc: "Its value." },
        Field {
            name: "path",
            takes: "path",
            required: false,
            doc: "The file that sets it at boot, sysctl.d(5). Without it `/etc/sysctl.d/90-<key>.conf`.",
        },
    ],
    example: r#"
[sysctl.unprivileged_ports]
key = "net.ipv4.ip_unprivileged_port_start"
value = 443
"#,
    templates: &[],
    assets: &[],
    read,
};

#[derive(Debug)]
struct Sysctl {
    /// As in a file of sysctl.d(5).
    key: String,
    knob: Knob,
    value: String,
    file: FileSpec,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let key: Option<String> = fields.required("key");
    fields.must_have("value");
    let value = fields.scalar("value");
    let path: Option<AbsPath> = fields.optional("path");
    let (key, value) = (key?, value?);
    let Some(name) = below_proc(&key) else {
        let help = "names of letters, digits, `_` and `-`, parted by dots: `net.ipv4.ip_forward`";
        fields.problem("key", format!("{key:?} is not a kernel parameter"), help);
        return None;
    };
    let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    if value.is_empty() || value.chars().any(char::is_control) {
        fields.problem("value", "a kernel parameter cannot have this value", "write it on one line");
        return None;
    }
    let dotted = name.replace('.', "_").replace('/', ".");
    let default = || format!("/etc/sysctl.d/90-{dotted}.conf").parse().ok();
    let path = path.or_else(default)?;
    let file = FileSpec::new(path, format!("{name} = {value}\n"));
    Some(Box::new(Sysctl { key, knob: Knob::new(&SYSCTL, name), value, file }))
}

/// The path below `/proc/sys`. As sysctl(8) reads it: whichever of `.` and `/` comes first parts the names.
fn below_proc(key: &str) -> Option<String> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "_-.:@/".contains(c);
    if !key.chars().all(fit) {
        return None;
    }
    let dots = key.find(['.', '/']).is_some_and(|at| key.as_bytes().get(at) == Some(&b'.'));
    let swap = |c: char| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let name: String = if dots { key.chars().map(swap).collect() } else { key.to_owned() };
    let sound = |part: &str| !part.is_empty() && part != "." && part != "..";
    (name.contains('/') && name.split('/').all(sound)).then_some(name)
}

impl Resource for Sysctl {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Knob(self.knob.clone()), Thing::Path(self.file.path.clone())]
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
        let Self { key, knob, value, file } = self;
        let now = answers.knob(knob)?;
        if now == ABSENT && !context.anything_pending() {
            return Err(Undecided::with_help(
                format!("the host's kernel has no parameter {key}"),
                "check the name; one of a kernel module is there once that is loaded (kind `kernel_module`)",
            ));
        }
        let mut change = file.diff(answers, context)?;
        let before = (now != ABSENT).then(|| Shown::Text(now.clone()));
        change.compare("value", before, value.as_str());
        if !change.attributes.is_empty() && change.is_none() {
            change.action = Action::Update;
        }
        Ok(change)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let mut wanted = self.file.wanted();
        wanted.push(("value", self.value.as_str().into()));
        wanted
    }

    fn steps(&self, change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let mut steps = Vec::new();
        if change.attributes.iter().any(|attribute| attribute.name != "value") {
            steps.push(self.file.step(change, answers)?);
        }
        if answers.knob(&self.knob)? != &self.value {
            steps.push(Step::Turn { knob: self.knob.clone(), state: self.value.clone(), input: None });
        }
        Ok(steps)
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.file.path.to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    const FORWARD: &str = "key = 'net.ipv4.ip_forward'\nvalue = 1";

    fn forward() -> Knob {
        Knob::new(&SYSCTL, "net/ipv4/ip_forward")
    }

    #[test]
    fn a_value_is_set_now_and_for_each_boot() {
        case("sysctl", FORWARD)
            .creates("content: (absent) -> (1 lines), mode: (absent) -> 0644, value: 0 -> 1")
            .steps("put the file /etc/sysctl.d/90-net.ipv4.ip_forward.conf in place; set the kernel parameter net/ipv4/ip_forward");
    }

    #[test]
    fn a_value_that_was_changed_by_hand_is_mended_alone() {
        case("sysctl", FORWARD)
            .applied()
            .in_sync()
            .given(|state| state.turn(&forward(), "0"))
            .updates("value: 0 -> 1")
            .steps("set the kernel parameter net/ipv4/ip_forward");
    }

    #[test]
    fn a_parameter_that_the_kernel_does_not_have_is_refused() {
        case("sysctl", FORWARD)
            .given(|state| state.turn(&forward(), ABSENT))
            .undecided("the host's kernel has no parameter net.ipv4.ip_forward");
    }

    #[test]
    fn keys_are_read_as_sysctl_reads_them() {
        assert_eq!(below_proc("net.ipv4.ip_forward").as_deref(), Some("net/ipv4/ip_forward"));
        assert_eq!(below_proc("net.ipv4.conf.eth0/1.forwarding").as_deref(), Some("net/ipv4/conf/eth0.1/forwarding"));
        assert_eq!(below_proc("net/ipv4/conf/eth0.1/forwarding").as_deref(), Some("net/ipv4/conf/eth0.1/forwarding"));
        for wrong in ["", "a", "../x", "net..x", ".net", "net.ipv4.$(id)", "a/../b", "net ipv4"] {
            assert_eq!(below_proc(wrong), None, "{wrong}");
        }
    }
}
