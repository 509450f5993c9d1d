//! `secret`: a secret of podman's, podman-secret(1), which containers get as a file or a variable.
//!
//! Whether the value on the host is the one of the plan is told by its digest, which the host makes of what podman keeps;
//! so a value that was changed by hand is found, and one that is the same is left alone, whoever put it there.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::blob::Blob;
use crate::change::{Action, Change, Shown, Signal};
use crate::knob::Knob;
use crate::knob::secret::{DRIVER, SECRET, SecretState};
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, PodmanState, Undecided};
use crate::resource::made_up::MadeUp;
use crate::resource::scope::{self, SCOPE};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Thing, Want, package};
use crate::step::Step;
use crate::systemd::{Managed, Manager};

/// The kind.
pub static KIND: Kind = Kind {
    name: "secret",
    summary: "A secret of podman's, which containers get as a file or a variable.",
    fields: &[
        Field {
            name: "name",
            takes: "text",
            required: false,
            doc: "What podman calls it; the resource's own name without it. A container gets it by `options = { Secret = \"NAME\" }`, and restarts when the value changes.",
        },
        Field {
            name: "content",
            takes: "text",
            required: false,
            doc: "Its value, byte for byte. Exactly one of `content`, `source`, `template` and `generate`; whichever it is, nobody gets to see it.",
        },
        Field { name: "source", takes: "file", required: false, doc: "A file beside the plan that is its value." },
        Field {
            name: "template",
            takes: "file",
            required: false,
            doc: "A file beside the plan that is rendered first.",
        },
        Field {
            name: "generate",
            takes: "table",
            required: false,
            doc: "A value that is made up once, where there is no such secret yet, and kept: `{ length = 32, alphabet = \"abc...\" }`, without them 32 letters and digits. Only podman knows it then.",
        },
        Field {
            name: "labels",
            takes: "table of text",
            required: false,
            doc: "Labels, which everybody who may ask podman can read; other labels go.",
        },
        SCOPE,
    ],
    example: r#"
[input.password]
default = "correct horse"
secret = true

[secret.password]
name = "registry-password"
content = "{{ input.password }}"
labels = { app = "registry" }

[secret.session_key]
generate = { length = 48 }

[container.registry]
image = "quay.io/example/registry:1"
options = { Secret = ["registry-password,type=env,target=PASSWORD", "{{ secret.session_key.name }}"] }
"#,
    templates: &["template"],
    assets: &["source"],
    read,
};

/// podman takes no secret as long as this (`maxSecretSize`), nor one without a value.
const TOO_LONG: u64 = 512_000;

#[derive(Debug)]
struct Secret {
    name: Managed,
    value: Value,
    labels: BTreeMap<String, String>,
}

/// Where the value comes from.
#[derive(Debug)]
enum Value {
    Given(Blob),
    Generated(MadeUp),
}

/// A name that every version of podman takes (`validateSecretName`).
struct Name(String);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let sound = text.chars().all(inside) && end(text.chars().next()) && end(text.chars().next_back());
        if sound && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err("letters, digits, `-`, `_` and `.`, a letter or digit first and last, at most 64")
        }
    }
}

/// A secret as a thing that others want.
pub(crate) fn secret(manager: &Manager, name: &str) -> Thing {
    Thing::Knob(Knob::new(&SECRET, Managed::new(manager, name).to_string()))
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let manager = scope::manager(fields);
    let name = match fields.optional::<Name>("name") {
        None if fields.has("name") => None,
        Some(Name(name)) => Some(name),
        None => match setup.address.stem().parse::<Name>() {
            Ok(Name(name)) => Some(name),
            Err(form) => {
                let message = format!("podman has no secret named {:?}", setup.address.stem());
                fields.problem("", message, format!("write `name`: {form}"));
                None
            }
        },
    };
    let content = fields.text("content");
    let source: Option<String> = fields.optional("source");
    let template = fields.text("template");
    let generate = fields.table("generate").and_then(|fields| generated(&fields));
    let labels = labels(fields);
    let from = fields.one_of("", ["content", "source", "template", "generate"])?;
    let value = match (content.or(template), source) {
        (Some(text), _) => Value::Given(Blob::from_bytes(text.expose().as_bytes().to_vec())),
        (None, Some(source)) => match setup.assets.blob(&source) {
            Ok(blob) => Value::Given(blob),
            Err(reason) => {
                fields.problem("source", reason, "a relative path starts at the plan's directory");
                return None;
            }
        },
        (None, None) => generate?,
    };
    if let Value::Given(blob) = &value {
        match blob.length() {
            0 => fields.problem(from, "podman keeps no secret without a value", "give it one, or `generate` it"),
            TOO_LONG.. => {
                let help = "mount what is longer as a file";
                fields.problem(from, format!("podman keeps no secret of {TOO_LONG} bytes or more"), help);
            }
            _ => {}
        }
    }
    Some(Box::new(Secret { name: Managed::new(&manager?, name?), value, labels: labels? }))
}

fn generated(fields: &Fields<'_>) -> Option<Value> {
    let made_up = MadeUp::read(fields)?;
    fields.finish();
    Some(Value::Generated(made_up))
}

/// Labels that podman's list shows as they are: one with a character that JSON escapes could not be compared.
fn labels(fields: &Fields<'_>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut sound = true;
    for setting in fields.settings("labels") {
        let plain = |text: &str| {
            !text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}'))
        };
        let key = &setting.key;
        match setting.values.as_slice() {
            _ if key.is_empty() || key.contains('=') || !plain(key) => {
                fields.setting_problem(&setting, format!("{key:?} is no key of a label"), LABEL);
                sound = false;
            }
            [value] if plain(value) => _ = labels.insert(key.clone(), value.clone()),
            _ => {
                fields.setting_problem(&setting, format!("the label {key} cannot have this value"), LABEL);
                sound = false;
            }
        }
    }
    sound.then_some(labels)
}

const LABEL: &str = "one text on one line, without \" \\ < > &, and no = in the key";

impl Resource for Secret {
    fn provides(&self) -> Vec<Thing> {
        vec![Thing::Knob(self.knob())]
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants = scope::wants(&self.name.manager);
        wants.push(package::want("podman"));
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let mut asks = scope::asks(&self.name.manager);
        asks.extend([Ask::Podman, Ask::Knob(self.knob())]);
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { name, value, labels: _ } = self;
        let now = SecretState::read(answers.knob(&self.knob())?);
        let mut change = match &now {
            None => {
                let mut change = Change::new(Action::Create);
                change.differs("content", Shown::Absent, Shown::Secret);
                if let Value::Generated(MadeUp { length, .. }) = value {
                    change.reasons.push(format!("a value of {length} characters is made up and kept"));
                }
                change.signals(Signal::Unit)
            }
            Some(now) => {
                if now.driver != DRIVER {
                    return Err(Undecided::with_help(
                        format!(
                            "podman keeps the secret {} with its driver {}, so that its value cannot be compared",
                            name.spelled(),
                            now.driver
                        ),
                        "choose another name, or remove that secret on the host (podman secret rm)",
                    ));
                }
                let mut change = Change::new(Action::Update);
                let same = match value {
                    Value::Given(blob) => now.sha256.as_deref() == Some(blob.sha256()),
                    Value::Generated(_) => !now.is_lost(),
                };
                if !same {
                    change.differs("content", Shown::Secret, Shown::Secret);
                    change = change.signals(Signal::Unit);
                }
                change
            }
        };
        change.compare("labels", now.and_then(|now| shown(&now.labels)), shown(&self.labels()));
        if change.attributes.is_empty() {
            return Ok(Change::none());
        }
        if *answers.podman()? == PodmanState::Absent && !context.command_pending() {
            let help = "install podman there; or let the plan have the package, or what else brings it in `after`";
            return Err(Undecided::with_help("there is no podman on this host, which keeps secrets", help));
        }
        scope::require(&name.manager, answers, context)?;
        Ok(change)
    }

    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        let labels = shown(&self.labels()).map(|labels| ("labels", labels.into()));
        std::iter::once(("content", Shown::Secret)).chain(labels).collect()
    }

    fn steps(&self, _change: &Change, answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let now = SecretState::read(answers.knob(&self.knob())?).filter(|now| !now.is_lost());
        let (sha256, input) = match (&self.value, now) {
            (Value::Given(blob), _) => (Some(blob.sha256().to_owned()), Some(blob.clone())),
            // Only its labels change: the value stays where it is.
            (Value::Generated(_), Some(now)) => (now.sha256, None),
            (Value::Generated(made_up), None) => {
                let blob = Blob::from_bytes(made_up.value()?);
                (Some(blob.sha256().to_owned()), Some(blob))
            }
        };
        let state = SecretState { driver: DRIVER.to_owned(), labels: self.labels(), sha256 }.text();
        Ok(vec![Step::Turn { knob: self.knob(), state, input }])
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("name", self.name.name.clone())]
    }
}

impl Secret {
    fn knob(&self) -> Knob {
        Knob::new(&SECRET, self.name.to_string())
    }

    fn labels(&self) -> Vec<String> {
        self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }
}

fn shown(labels: &[String]) -> Option<String> {
    (!labels.is_empty()).then(|| labels.join(", "))
}

#[cfg(test)]
mod tests;
