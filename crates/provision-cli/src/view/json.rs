//! Results as programs read them: one object on standard output, whatever happens.
//!
//! Its shape is a promise. Fields are added without a new number; anything else is a new [`VERSION`].
//!
//! ```text
//! { "version": 1, "command": "diff", "exit_code": 0, "errors": [ERROR], ... }
//!
//! validate  plan, path, resources, hosts: [name]
//! diff      plan, hosts: [{ name, address, changes: [CHANGE], moves: [{ from, to }], notices: [{ resource, notice }], kept:
//!           [KEPT], cut: APPLY }]; the last only after an apply that was cut; sealed: FILE, where one was written
//! apply     the same, and for each host: apply: its number on the host or null, results: [RESULT], failures: [text],
//!           reverted: bool, outputs: { name: text }; waited_for, took_over: text, where somebody was in the way;
//!           rolled_back: the same from `apply` on, where a failure was taken back, and serving: [RESULT]: what the checks of
//!           services that were down say after that
//!           A host that waits for others has no changes and waits_for: [{ host, resources: [address] }], and nothing else; in
//!           `diff` and `status` too
//! destroy, rollback  as apply
//! status    plan, hosts: [{ name, address, known: bool, digest, last: APPLY, this_plan: bool, lock: { holder, alive },
//!           resources: [{ resource, state: "same" | "drifted" | "changed" | "both" | "follows" | "orphaned" |
//!           "undecided", message, objects: [{ object, was }] }], unapplied: [{ resource, foreign: bool }], kept:
//!           [{ resource, object }], owed: [text], history: [APPLY] }]; `last` and `lock` may be null
//! graph     plan, hosts: [{ name, resources: [{ address, provides: [text], uses: [address], after: [address] }] }]
//! bundle    plan, bundle: FILE, members: number, length, sha256, notes: [text]
//! kinds     kinds: [{ name, summary, fields: [{ name, takes, required, doc }], example }]
//!
//! CHANGE    { resource, action, reason: "new" | "plan" | "host" | "both" | "follows" | "foreign" | "left" | null,
//!           attributes: [{ name, before: VALUE, after: VALUE, applied: text }], reasons: [text] }; first what leaves, then
//!           every resource: those that stay have the action "keep", and those of which it cannot be said have the action
//!           null. `applied` is what the last apply left, where that is known: of content `sha256:...`
//! KEPT      { resource, why }
//! APPLY     { number, result: "done" | "failed" | "cut" | "rolled-back", verb, when, who, plan, changes }; the last five
//!           only where they are known
//! VALUE     { type: "absent" | "secret" | "unknown" }, { type: "text" | "content", text }, { type: "bytes", length,
//!           sha256 }
//! RESULT    { resource, outcome: "unchanged" | "changed" | "not_needed" | "answered" | "failed" | "skipped" |
//!           "not_converged", action, output, message, because, shown_once: { value, kept } }; the last five only where they
//!           say something: shown_once is a secret that was made up and that nothing shows again
//! ERROR     { message, causes: [text], help, host, resource, findings: [{ message, help, file, line, column, end_line,
//!           end_column, text }] }; the last three only where there are any
//! ```

use provision_core::address::Address;
use provision_core::change::{Attribute, Change, Moved, Shown};
use provision_core::engine::Changes;
use provision_core::graph::Graph;
use provision_core::ledger::Ended;
use provision_core::plan::Plan;
use provision_core::plan::host::{Host, Reach};
use provision_core::plan::problem::{PlanError, Problem, position};
use provision_core::quadlet::{Key, PodmanVersion, QuadletType, keys};
use provision_core::report::{Downtime, Outcome, Report, Until};
use provision_core::resource::{Field, Kind, Relation};
use provision_core::secret::{MASK, Revealed};
use serde_json::{Map, Value, json};

use super::human::graph::{addresses, targets};
use super::progress::State;
use super::safe;
use crate::command::order::Waiting;
use crate::error::Error;
use crate::exit::Exit;

pub mod status;

/// Counts the shapes of the object.
pub const VERSION: u32 = 1;

/// The object: what every command says, and what this one says.
pub fn object(command: &str, exit: Exit, body: Value, errors: &[Error]) -> Value {
    let mut object = Map::new();
    object.insert("version".to_owned(), VERSION.into());
    object.insert("command".to_owned(), command.into());
    object.insert("exit_code".to_owned(), exit.code().into());
    if let Value::Object(body) = body {
        object.extend(body);
    }
    object.insert("errors".to_owned(), errors.iter().map(error).collect());
    Value::Object(object)
}

/// The object as it is printed. What could harm a terminal is escaped (RFC 8259, section 7); it means the same.
pub fn text(object: &Value) -> String {
    let mut text = String::new();
    for c in format!("{object:#}\n").chars() {
        if c == '\n' || !safe::is_hostile(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// A plan without mistakes.
pub fn valid(plan: &Plan, path: &str, resources: usize) -> Value {
    let hosts: Vec<&str> = plan.hosts().iter().map(|host| host.name.as_str()).collect();
    json!({ "plan": plan.name(), "path": path, "resources": resources, "hosts": hosts })
}

/// What is said of several hosts.
pub fn changes(plan: &Plan, hosts: impl Iterator<Item = Map<String, Value>>) -> Value {
    let hosts: Vec<Value> = hosts.map(Value::Object).collect();
    json!({ "plan": plan.name(), "hosts": hosts })
}

/// What became of a host, beside what was to be done.
pub fn add_report(host: &mut Map<String, Value>, report: &Report) {
    let Report { host: _, apply, resources, kept, down, reverted, rolled_back, serving, failures, outputs, revealed } =
        report;
    let results: Vec<Value> = resources.iter().map(|(address, outcome)| result(address, outcome, revealed)).collect();
    let outputs: Map<String, Value> = outputs.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect();
    host.insert("apply".to_owned(), json!(apply));
    host.insert("results".to_owned(), results.into());
    host.insert("kept".to_owned(), kept.iter().map(|(address, why)| kept_one(address, why)).collect());
    host.insert("down".to_owned(), down.iter().map(downtime).collect());
    host.insert("failures".to_owned(), json!(failures));
    host.insert("reverted".to_owned(), (*reverted).into());
    if let Some(back) = rolled_back {
        let mut map = Map::new();
        add_report(&mut map, back);
        host.insert("rolled_back".to_owned(), map.into());
        let serving = serving.iter().map(|(address, outcome)| result(address, outcome, &[]));
        host.insert("serving".to_owned(), serving.collect());
    }
    host.insert("outputs".to_owned(), outputs.into());
}

/// How long a service did not serve, in seconds; `until` and `side` say what tells that it serves again.
fn downtime(down: &Downtime) -> Value {
    let Downtime { address, unit, lasted, until, .. } = down;
    let (until, side) = match until {
        Until::Up => (Some("up".to_owned()), Some("host")),
        Until::Answered(check) => (Some(check.to_string()), Some("host")),
        Until::AnsweredHere(check) => (Some(check.to_string()), Some("here")),
        _ => (None, None),
    };
    json!({
        "resource": address.to_string(),
        "unit": unit.to_string(),
        "seconds": lasted.map(|lasted| lasted.as_secs_f64()),
        "until": until,
        "side": side,
    })
}

/// Who was in the way.
pub fn add_waiting(host: &mut Map<String, Value>, state: &State) {
    for (key, holder) in [("waited_for", &state.waited_for), ("took_over", &state.took_over)] {
        if let Some(holder) = holder {
            host.insert(key.to_owned(), holder.as_str().into());
        }
    }
}

fn kept_one(address: &Address, why: &str) -> Value {
    json!({ "resource": address.to_string(), "why": why })
}

/// A host that does not know the plan.
pub fn of_stranger(stranger: &Host) -> Map<String, Value> {
    let mut host = host(stranger);
    host.insert("changes".to_owned(), json!([]));
    host
}

/// A host that waits for others.
pub fn of_waiting(waiting: &Waiting<'_>) -> Map<String, Value> {
    let on = waiting.on.iter().map(|(host, addresses)| {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        json!({ "host": host, "resources": addresses })
    });
    let mut host = of_stranger(waiting.host);
    host.insert("waits_for".to_owned(), on.collect());
    host
}

/// The changes of one host.
pub fn of_host(changes: &Changes) -> Map<String, Value> {
    let items: Vec<Value> = changes
        .iter()
        .map(|(address, item)| match item {
            Ok(found) => change(&address.to_string(), found),
            Err(_) => json!({
                "resource": address.to_string(), "action": null, "reason": null, "attributes": [], "reasons": []
            }),
        })
        .collect();
    let mut host = host(changes.host());
    host.insert("changes".to_owned(), items.into());
    let moves = changes.moves().map(|(old, new)| json!({ "from": old.to_string(), "to": new.to_string() }));
    host.insert("moves".to_owned(), moves.collect());
    let notices =
        changes.notices().map(|(address, notice)| json!({ "resource": address.to_string(), "notice": notice }));
    host.insert("notices".to_owned(), notices.collect());
    host.insert("kept".to_owned(), changes.kept().map(|(address, why)| kept_one(address, why)).collect());
    let memory = changes.memory();
    let is_alive = memory.lock.as_ref().is_some_and(|lock| lock.alive);
    if let Some(last) = memory.last.as_ref().filter(|last| last.result == Ended::Cut && !is_alive) {
        host.insert("cut".to_owned(), status::applied(last));
    }
    host
}

pub(super) fn host(host: &Host) -> Map<String, Value> {
    let address = match &host.reach {
        Reach::Local => "local",
        Reach::Ssh(ssh) => &ssh.address,
    };
    let pairs = [("name", host.name.as_str()), ("address", address)];
    pairs.into_iter().map(|(key, text)| (key.to_owned(), text.into())).collect()
}

fn change(address: &str, change: &Change) -> Value {
    let Change { action, attributes, reasons, signal: _, moved, saves: _ } = change;
    let attributes: Vec<Value> = attributes
        .iter()
        .map(|Attribute { name, before, after, applied }| {
            let mut attribute = json!({ "name": name, "before": shown(before), "after": shown(after) });
            // Of a secret nothing is known.
            let known = applied.as_ref().filter(|applied| *applied != MASK);
            if let (Some(applied), Value::Object(attribute)) = (known, &mut attribute) {
                attribute.insert("applied".to_owned(), applied.as_str().into());
            }
            attribute
        })
        .collect();
    json!({
        "resource": address,
        "action": action.word(),
        "reason": moved.map(Moved::word),
        "attributes": attributes,
        "reasons": reasons,
    })
}

fn shown(value: &Shown) -> Value {
    match value {
        Shown::Absent => json!({ "type": "absent" }),
        Shown::Text(text) => json!({ "type": "text", "text": text }),
        Shown::Content(text) => json!({ "type": "content", "text": text }),
        Shown::Bytes { length, sha256 } => json!({ "type": "bytes", "length": length, "sha256": sha256 }),
        Shown::Secret => json!({ "type": "secret" }),
        Shown::Unknown => json!({ "type": "unknown" }),
    }
}

fn result(address: &Address, outcome: &Outcome, revealed: &[(Address, Revealed)]) -> Value {
    let mut result = json!({ "resource": address.to_string() });
    let (word, extra) = match outcome {
        Outcome::Unchanged => ("unchanged", vec![]),
        Outcome::Changed { action, output } => {
            ("changed", vec![("action", action.word().to_owned()), ("output", output.clone())])
        }
        Outcome::NotNeeded => ("not_needed", vec![]),
        Outcome::Answered { answer } => ("answered", vec![("message", answer.clone())]),
        Outcome::Failed { message } => ("failed", vec![("message", message.clone())]),
        Outcome::Skipped { because } => {
            ("skipped", because.iter().map(|address| ("because", address.to_string())).collect())
        }
        Outcome::NotConverged { message } => ("not_converged", vec![("message", message.clone())]),
        _ => ("unknown", vec![]),
    };
    if let Value::Object(result) = &mut result {
        result.insert("outcome".to_owned(), word.into());
        if let Some((_, secret)) = revealed.iter().find(|(of, _)| of == address) {
            let shown = json!({ "value": secret.expose(), "kept": secret.kept().as_str() });
            result.insert("shown_once".to_owned(), shown);
        }
        result.extend(
            extra.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), text.into())),
        );
    }
    result
}

/// The order of resources on several hosts.
pub fn graph(plan: &Plan, graphs: &[(&str, Graph)]) -> Value {
    let hosts: Vec<Value> = graphs
        .iter()
        .map(|(host, graph)| {
            let all = addresses(graph);
            let resources: Vec<Value> = graph
                .resources()
                .enumerate()
                .map(|(index, (address, resource))| {
                    let provides: Vec<String> = resource.provides().iter().map(ToString::to_string).collect();
                    json!({
                        "address": address.to_string(),
                        "provides": provides,
                        "uses": targets(graph, &all, index, Relation::Uses),
                        "after": targets(graph, &all, index, Relation::After),
                    })
                })
                .collect();
            json!({ "name": host, "resources": resources })
        })
        .collect();
    json!({ "plan": plan.name(), "hosts": hosts })
}

/// The reference of kinds.
pub fn kinds(kinds: &[&Kind]) -> Value {
    let kinds: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let fields: Vec<Value> = kind
                .fields
                .iter()
                .map(|Field { name, takes, required, doc }| {
                    json!({ "name": name, "takes": takes, "required": required, "doc": doc })
                })
                .collect();
            json!({ "name": kind.name, "summary": kind.summary, "fields": fields, "example": kind.example.trim() })
        })
        .collect();
    json!({ "kinds": kinds })
}

/// Every key of a type of Quadlet files.
pub fn quadlet_keys(quadlet_type: QuadletType) -> Value {
    let keys: Vec<Value> = keys(quadlet_type)
        .iter()
        .map(|Key { name, since, shape: _, repeatable_since, deprecated }| {
            let repeatable = repeatable_since.map(PodmanVersion::release);
            json!({ "name": name, "since": since.release(), "repeatable_since": repeatable, "deprecated": deprecated })
        })
        .collect();
    json!({ "section": quadlet_type.section(), "since": quadlet_type.since().release(), "keys": keys })
}

fn error(error: &Error) -> Value {
    let mut object = Map::new();
    object.insert("message".to_owned(), error.to_string().into());
    object.insert("causes".to_owned(), json!(error.causes()));
    object.insert("help".to_owned(), json!(error.help()));
    match error {
        Error::Host { host, .. } | Error::Cut { host, .. } | Error::Reverted { host, .. } => {
            object.insert("host".to_owned(), host.as_str().into());
        }
        Error::Undecided { host, address, .. }
        | Error::Foreign { host, address, .. }
        | Error::Resource { host, address, .. } => {
            object.insert("host".to_owned(), host.as_str().into());
            object.insert("resource".to_owned(), address.to_string().into());
        }
        Error::Moved { host, difference } => {
            for (key, text) in
                [("host", host.clone()), ("resource", difference.resource.as_ref().map(ToString::to_string))]
            {
                if let Some(text) = text {
                    object.insert(key.to_owned(), text.into());
                }
            }
        }
        Error::Plan(error) => {
            object.insert("findings".to_owned(), findings(error));
        }
        _ => {}
    }
    Value::Object(object)
}

fn findings(error: &PlanError) -> Value {
    error
        .problems
        .iter()
        .map(|problem| {
            let Problem { span, message, help } = problem;
            let (file, text) = match error.source_of(problem) {
                Some(source) => (source.name.as_str(), source.text.as_str()),
                None => ("", ""),
            };
            let mut finding = json!({ "message": message, "help": help, "file": file });
            if let (Some(place), Value::Object(finding)) = (span, &mut finding) {
                let (line, column) = position(text, place.start);
                let (end_line, end_column) = position(text, place.end);
                for (key, number) in
                    [("line", line), ("column", column), ("end_line", end_line), ("end_column", end_column)]
                {
                    finding.insert(key.to_owned(), number.into());
                }
                finding.insert("text".to_owned(), text.get(place.start..place.end).unwrap_or_default().into());
            }
            finding
        })
        .collect()
}
