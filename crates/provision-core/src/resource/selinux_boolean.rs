//! `selinux_boolean`: a switch of the host's SELinux policy, now and after each boot.

use std::str::FromStr;

use crate::change::{Action, Change, Shown};
use crate::knob::Knob;
use crate::knob::selinux::SELINUX_BOOLEAN;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Thing, Want, selinux};
use crate::step::Step;

/// The kind.
pub static KIND: Kind = Kind {
    name: "selinux_boolean",
    summary: "A switch of the host's SELinux policy, now and after each boot. Tested against recorded output of its tools only.",
    fields: &[
        Field {
            name: "name",
            takes: "text",
            required: true,
            doc: "The boolean, as `getsebool -a` lists it: \"httpd_can_network_connect\".",
        },
        Field {
            name: "value",
            takes: "true or false",
            required: true,
            doc: "Whether it is on. Both the value in force and the one that is stored for the next boot (`setsebool -P`) are looked at, set, and put back; a value that nobody had stored stays stored as the one that was in force.",
        },
    ],
    example: r#"
[selinux_boolean.proxy]
name = "httpd_can_network_connect"
value = true
"#,
    templates: &[],
    assets: &[],
    read,
};

/// From there on the kernel takes neither another policy nor another boolean until it boots.
const FINAL: &str = "secure_mode_policyload";

/// What a value is while the tools that would tell are yet to come.
const UNTOLD: &str = "not known yet";

/// A name as the policy language has them.
#[derive(Debug)]
struct Name(String);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if fits && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err("a boolean has a name such as \"httpd_can_network_connect\": a letter, then letters, digits and `_`")
        }
    }
}

#[derive(Debug)]
struct Boolean {
    knob: Knob,
    word: &'static str,
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let name: Option<Name> = fields.required("name");
    fields.must_have("value");
    let value = fields.boolean("value");
    let (Name(name), value) = (name?, value?);
    let word = if value { "on" } else { "off" };
    Some(Box::new(Boolean { knob: Knob::new(&SELINUX_BOOLEAN, name), word }))
}

impl Boolean {
    fn state(&self) -> String {
        format!("running {0}\nstored {0}", self.word)
    }

    /// The value in force and the one for the next boot; nothing while nobody can tell.
    fn found<'a>(&self, now: &'a str, context: &Context<'_>) -> Result<Option<(&'a str, &'a str)>, Undecided> {
        if !selinux::is_known(now, context)? {
            return Ok(None);
        }
        let (first, second) = now.split_once('\n').unwrap_or((now, ""));
        if let (Some(running), Some(stored)) = (first.strip_prefix("running "), second.strip_prefix("stored ")) {
            return Ok(Some((running, stored)));
        }
        if context.command_pending() {
            return Ok(None);
        }
        let name = self.knob.name();
        let help = match second {
            "" => {
                "check the name with `getsebool -a`; one of a policy module is there once that is installed".to_owned()
            }
            other => format!("it is now called {other}: write that"),
        };
        Err(Undecided::with_help(format!("the host's SELinux policy has no boolean {name}"), help))
    }
}

/// A value for the next boot.
fn stored(word: &str) -> Shown {
    if word == "unset" { "as the policy has it".into() } else { word.into() }
}

impl Resource for Boolean {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Knob(self.knob.clone())]
    }

    fn wants(&self) -> Vec<Want> {
        selinux::wants()
    }

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Knob(self.knob.clone())]
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { knob, word } = self;
        let mut change = Change::new(Action::Update);
        match self.found(answers.knob(knob)?, context)? {
            Some((running, at_boot)) => {
                change.compare("running", running, *word);
                change.compare("at_boot", stored(at_boot), *word);
            }
            None => {
                change.compare("running", UNTOLD, *word);
                change.compare("at_boot", UNTOLD, *word);
            }
        }
        if change.attributes.is_empty() {
            return Ok(Change::none());
        }
        if knob.name() == FINAL && *word == "on" {
            change.reasons.push("it cannot be taken back before the next boot".to_owned());
        }
        Ok(change)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        vec![("running", self.word.into()), ("at_boot", self.word.into())]
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(vec![Step::Turn { knob: self.knob.clone(), state: self.state(), input: None }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Case, case};

    const PROXY: &str = "name = 'httpd_can_network_connect'\nvalue = true";

    fn on(fields: &str, state: &'static str) -> Case {
        let knob = Knob::new(&SELINUX_BOOLEAN, "httpd_can_network_connect");
        case("selinux_boolean", fields).given(move |host| host.turn(&knob, state))
    }

    #[test]
    fn a_boolean_is_set_now_and_for_the_next_boot() {
        case("selinux_boolean", PROXY)
            .updates("running: off -> on, at_boot: as the policy has it -> on")
            .steps("set the SELinux boolean httpd_can_network_connect")
            .in_sync();
    }

    #[test]
    fn the_two_values_are_told_apart_and_each_is_mended() {
        on(PROXY, "running on\nstored on").in_sync();
        on(PROXY, "running on\nstored off").updates("at_boot: off -> on").mended();
        on(PROXY, "running off\nstored on").updates("running: off -> on").mended();
        on(PROXY, "running on\nstored unset").updates("at_boot: as the policy has it -> on").mended();
        on(&PROXY.replace("true", "false"), "running on\nstored on")
            .updates("running: on -> off, at_boot: on -> off")
            .mended();
    }

    #[test]
    fn a_host_that_cannot_do_it_is_said() {
        on(PROXY, "nowhere").undecided("there is no SELinux on the host, or it is disabled");
        on(PROXY, "toolless setsebool").undecided("the host has SELinux, but no setsebool");
        on(PROXY, "unknown").undecided("the host's SELinux policy has no boolean httpd_can_network_connect");
        on(PROXY, "unknown\nhttpd_connect")
            .undecided("the host's SELinux policy has no boolean httpd_can_network_connect");
        // A package may bring the tools, and not SELinux.
        let package = "[package.policycoreutils]\n";
        on(PROXY, "toolless setsebool")
            .plan(package)
            .updates("running: not known yet -> on, at_boot: not known yet -> on");
        on(PROXY, "nowhere").plan(package).undecided("there is no SELinux on the host, or it is disabled");
    }

    #[test]
    fn what_cannot_be_taken_back_is_said() {
        case("selinux_boolean", "name = 'secure_mode_policyload'\nvalue = true")
            .because("it cannot be taken back before the next boot");
    }

    #[test]
    fn what_is_no_boolean_is_refused() {
        case("selinux_boolean", "name = 'a=b'\nvalue = true").refused(
            "3:8: \"a=b\" does not fit `name` of selinux_boolean.x (a boolean has a name such as \"httpd_can_network_connect\": a letter, then letters, digits and `_`)",
        );
        case("selinux_boolean", "name = 'a'").refused(
            "2:18: selinux_boolean.x lacks `value` (add `value = ...`; `provision kinds` shows what it takes)",
        );
    }
}
