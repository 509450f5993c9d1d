//! How a plan stands on its hosts.

use provision_core::change::Moved;
use provision_core::engine::{Owned, Standing, Status};
use provision_core::ledger::{Applied, LedgerFound};
use provision_core::plan::Plan;
use serde_json::{Map, Value, json};

use crate::command::order::Waiting;

/// Several hosts.
pub fn status(plan: &Plan, hosts: &[Status], waiting: &[Waiting<'_>]) -> Value {
    let known = hosts.iter().map(|status| of_host(status).into());
    let hosts: Vec<Value> = known.chain(waiting.iter().map(|waiting| super::of_waiting(waiting).into())).collect();
    json!({ "plan": plan.name(), "hosts": hosts })
}

fn of_host(status: &Status) -> Map<String, Value> {
    let Status { changes, plan, owned, unapplied, kept, owed, history } = status;
    let memory = changes.memory();
    let mut host = super::host(changes.host());
    let mut put = |key: &str, value: Value| _ = host.insert(key.to_owned(), value);
    put("known", (memory.ledger != LedgerFound::Absent || memory.touched || memory.last.is_some()).into());
    put("digest", plan.as_str().into());
    put("last", memory.last.as_ref().map_or(Value::Null, applied));
    let is_this = memory.last.as_ref().and_then(|last| last.head.as_ref()).is_some_and(|head| head.plan == *plan);
    put("this_plan", is_this.into());
    let lock = memory.lock.as_ref().map(|lock| json!({ "holder": lock.holder, "alive": lock.alive }));
    put("lock", lock.unwrap_or_default());
    put("resources", owned.iter().map(resource).collect());
    let missing = unapplied
        .iter()
        .map(|(address, moved)| json!({ "resource": address.to_string(), "foreign": *moved == Some(Moved::Foreign) }));
    put("unapplied", missing.collect());
    let kept = kept
        .iter()
        .map(|record| json!({ "resource": record.address.to_string(), "object": record.object.to_string() }));
    put("kept", kept.collect());
    put("owed", json!(owed));
    put("history", history.iter().map(applied).collect());
    host
}

fn resource(owned: &Owned) -> Value {
    let Owned { address, standing, objects } = owned;
    let objects: Vec<Value> = objects
        .iter()
        .map(|(object, was)| json!({ "object": object.to_string(), "was": was.as_ref().map(ToString::to_string) }))
        .collect();
    let mut resource = json!({ "resource": address.to_string(), "state": state(standing), "objects": objects });
    if let (Standing::Undecided(reason), Value::Object(resource)) = (standing, &mut resource) {
        resource.insert("message".to_owned(), reason.to_string().into());
    }
    resource
}

const fn state(standing: &Standing) -> &'static str {
    match standing {
        Standing::Same => "same",
        Standing::Moved(Moved::Host) => "drifted",
        Standing::Moved(Moved::Both) => "both",
        Standing::Moved(Moved::Follows) => "follows",
        Standing::Moved(Moved::Unfinished) => "unfinished",
        Standing::Moved(_) => "changed",
        Standing::Orphaned => "orphaned",
        Standing::Undecided(_) => "undecided",
    }
}

/// One apply.
pub fn applied(applied: &Applied) -> Value {
    let mut object = json!({ "number": applied.number, "result": applied.result.word() });
    if let (Some(head), Value::Object(object)) = (&applied.head, &mut object) {
        for (key, text) in [("verb", &head.verb), ("when", &head.when), ("who", &head.who), ("plan", &head.plan)] {
            object.insert(key.to_owned(), text.as_str().into());
        }
        object.insert("changes".to_owned(), head.changes.into());
    }
    object
}
