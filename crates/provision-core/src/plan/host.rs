//! The `[host.*]` tables: where a plan is applied.

use std::cell::RefCell;
use std::time::Duration;

use indexmap::IndexMap;
use minijinja::Value as Rendered;

use super::fields::Fields;
use super::input::Declaration;
use super::node::{Entry, Node, Table, Value};
use super::problem::{Problems, suggest};
use super::template::{Templates, from_rendered, is_template};
use crate::attribute::Span;
use crate::path::AbsPath;
use crate::shell::Become;

/// A host as a plan describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name in the plan: `registry`; of an element of a `for_each`, `clients[bastion]`.
    pub name: String,
    /// The name that all elements of its `for_each` share.
    pub group: Option<String>,
    /// Whether it has only the resources whose `hosts` name it, or its group.
    pub named_only: bool,
    /// How it is reached.
    pub reach: Reach,
    /// As whom the steps run.
    pub become_: Become,
    /// Longest time without a byte in either direction.
    pub silence: Duration,
    /// Longest time for one step that has no limit of its own.
    pub step_limit: Duration,
    /// How long the host waits for a fresh connection after a change that may have cut it off, before it takes the apply
    /// back by itself.
    pub confirm: Duration,
    /// Where the host keeps what it remembers of plans, one directory a plan; the usual place without it.
    pub state: Option<AbsPath>,
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is this machine.
    Local,
    /// Over SSH.
    Ssh(SshAddress),
}

/// Where and as whom to log in. Keys and known hosts are given by whoever connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAddress {
    /// A name or an address; IPv6 without brackets.
    pub address: String,
    /// The TCP port.
    pub port: u16,
    /// Login name; that of whoever connects without it.
    pub user: Option<String>,
    /// A key file to try before all others, on this side.
    pub identity: Option<String>,
    /// Longest time for connecting and logging in.
    pub connect_limit: Duration,
}

const DEFAULT_CONNECT: Span = Span::seconds(15);
/// Long enough for a tool that says nothing while it works, short enough to notice a dead host the same day.
const DEFAULT_SILENCE: Span = Span::seconds(900);
const DEFAULT_STEP: Span = Span::seconds(600);
/// Long enough for a login over a slow line, short enough for a person to wait for.
const DEFAULT_CONFIRM: Span = Span::seconds(60);

impl Host {
    /// This machine, with the usual limits.
    #[must_use]
    pub fn local(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: None,
            named_only: false,
            reach: Reach::Local,
            become_: Become::No,
            silence: DEFAULT_SILENCE.duration(),
            step_limit: DEFAULT_STEP.duration(),
            confirm: DEFAULT_CONFIRM.duration(),
            state: None,
        }
    }

    /// Whether a name means it: its own, or that of its group.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.group.as_deref() == Some(name)
    }

    /// Its key among the elements of its group.
    pub(crate) fn key(&self) -> Option<&str> {
        self.name.strip_prefix(self.group.as_deref()?)?.strip_prefix('[')?.strip_suffix(']')
    }

    pub(crate) fn read(name: &str, group: Option<&str>, fields: &Fields<'_>) -> Option<Self> {
        let address: Option<String> = fields.required("address");
        let port = fields.integer("port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
        let user: Option<String> = fields.optional("user");
        let identity: Option<String> = fields.optional("identity").filter(|file: &String| !file.is_empty());
        let become_ = if fields.boolean("become").unwrap_or(false) { Become::Root } else { Become::No };
        let connect: Span = fields.optional("connect_timeout").unwrap_or(DEFAULT_CONNECT);
        let silence: Span = fields.optional("silence_timeout").unwrap_or(DEFAULT_SILENCE);
        let step: Span = fields.optional("step_timeout").unwrap_or(DEFAULT_STEP);
        let confirm: Span = fields.optional("confirm_timeout").unwrap_or(DEFAULT_CONFIRM);
        let state: Option<AbsPath> = fields.optional("state");
        let named_only = fields.boolean("named_only").unwrap_or(false);
        // Read before; named here for who misspells it.
        let _elements = fields.raw("for_each");
        fields.finish();
        let spans = [
            ("connect_timeout", connect),
            ("silence_timeout", silence),
            ("step_timeout", step),
            ("confirm_timeout", confirm),
        ];
        for (key, span) in spans {
            if span.duration().is_zero() {
                fields.problem(key, format!("`{key}` is zero"), "give it at least \"1s\"");
            }
        }
        let address = address?;
        let ours = |c: char| c.is_whitespace() || c.is_control() || c == '@' || c == '/';
        if address.is_empty() || address.starts_with('-') || address.contains(ours) || has_port(&address) {
            let help = "a name or an address without user and port, which have keys of their own; or \"local\"";
            fields.problem("address", format!("{address:?} is not an address"), help);
            return None;
        }
        let reach = if address == "local" {
            // A plan that leaves its address open by an input says how to log in for when it is another machine.
            for key in ["port", "user", "identity", "connect_timeout"] {
                if fields.has(key) && !fields.is_rendered("address") {
                    fields.problem(key, format!("`{key}` has no meaning for address = \"local\""), "leave it out");
                }
            }
            Reach::Local
        } else {
            let address = address.trim_start_matches('[').trim_end_matches(']').to_owned();
            let connect_limit = connect.duration();
            Reach::Ssh(SshAddress { address, port: port.unwrap_or(22), user, identity, connect_limit })
        };
        Some(Self {
            name: name.to_owned(),
            group: group.map(str::to_owned),
            named_only,
            reach,
            become_,
            silence: silence.duration(),
            step_limit: step.duration(),
            confirm: confirm.duration(),
            state,
        })
    }
}

/// Whether there is a port behind it, or a colon for another reason than that it is IPv6, with or without brackets and
/// with or without the interface of a link-local address.
fn has_port(address: &str) -> bool {
    let inner = address.strip_prefix('[').map_or(Some(address), |rest| rest.strip_suffix(']'));
    let number = inner.and_then(|inner| inner.split('%').next()).unwrap_or_default();
    address.contains([':', '[', ']']) && number.parse::<std::net::Ipv6Addr>().is_err()
}

/// What `each` has for a host.
const EACH: [&str; 2] = ["key", "value"];

/// Renders the fields of a host, which may use inputs and what it is an element of, and nothing else: nothing else is known
/// before it is reached. `context` has both.
pub(super) fn render(
    table: &Table,
    templates: &Templates,
    declared: &IndexMap<String, Declaration>,
    values: &IndexMap<String, Node>,
    context: &Rendered,
    each: Option<&Node>,
    problems: &RefCell<Problems>,
) -> Table {
    let text = |text: &str, node: &Node| -> Value {
        let mut problems = problems.borrow_mut();
        let found = match templates.references(text) {
            Ok(found) => found,
            Err(failure) => {
                problems.add_help(node.place, failure.message, failure.help);
                return Value::Unknown;
            }
        };
        let mut sound = true;
        for reference in &found {
            let name = reference.part(1);
            if reference.is("each") && each.is_some() {
                let missing = each.is_some_and(|each| name.is_some_and(|name| each.at(&[name.to_owned()]).1 == 0));
                if missing {
                    let message = format!("`{}` refers to something that is not there", reference.text());
                    problems.add_help(node.place, message, suggest(name.unwrap_or_default(), EACH));
                    sound = false;
                }
            } else if !reference.is("input") {
                let message = format!("a host cannot refer to {}", reference.text());
                problems.add_help(node.place, message, "only inputs are known before a host is reached");
                sound = false;
            } else if let Some(name) = name.filter(|name| !declared.contains_key(*name)) {
                let message = format!("`{}` refers to something that is not there", reference.text());
                problems.add_help(node.place, message, suggest(name, declared.keys().map(String::as_str)));
                sound = false;
            } else if name.is_some_and(|name| !values.contains_key(name)) {
                // Without a value, which has been reported.
                sound = false;
            }
        }
        if !sound {
            return Value::Unknown;
        }
        let secret = found.iter().any(|reference| match reference.part(1) {
            _ if reference.is("each") => each.is_some_and(Node::is_secret),
            Some(name) => values.get(name).is_some_and(Node::is_secret),
            None => values.values().any(Node::is_secret),
        });
        templates.render(text, context).and_then(|value| from_rendered(&value, secret)).unwrap_or_else(|failure| {
            let reason = if secret { "it uses a secret, so the reason is not shown" } else { &failure.message };
            problems.add_help(node.place, format!("cannot render this: {reason}"), failure.help);
            Value::Unknown
        })
    };
    let entry = |(key, Entry { key: place, node }): (&String, &Entry)| {
        let node = match &node.value {
            Value::Text(template) if is_template(template.expose()) => {
                Node { value: text(template.expose(), node), place: node.place, rendered: true }
            }
            _ => node.clone(),
        };
        (key.clone(), Entry { key: *place, node })
    };
    Table { entries: table.entries.iter().map(entry).collect() }
}
