//! Which side has moved since the last apply: the plan, the host, or both.
//!
//! The ledger has what was wanted when a resource was last applied, and an apply ends with the host being so. What the host
//! has now, the plan wants now, and was wanted then are three values; who of the two is the odd one out has moved.

use crate::change::{Action, Change, Moved, Shown};
use crate::ledger::Entry;
use crate::object::Object;
use crate::probe::Undecided;
use crate::resource::Resource;

/// Says of a change, and of each of its attributes, which side has moved.
pub(super) fn tell(change: &mut Change, resource: &dyn Resource, entry: Option<&Entry>, digest: &str) {
    if change.is_none() {
        return;
    }
    change.moved = Some(match entry {
        None => unknown(change, resource),
        Some(entry) => {
            for attribute in &mut change.attributes {
                let applied = entry.wanted.get(attribute.name.as_ref());
                attribute.applied = applied.and_then(|applied| resource.still_wanted(&attribute.name, applied));
            }
            known(change, resource, entry, digest)
        }
    });
}

/// Takes back what was said of the host where the last apply may not have come to it: the host may be as it was before that.
pub(super) fn doubt(change: &mut Change) {
    change.moved = match change.moved {
        Some(Moved::Host) => Some(Moved::Unfinished),
        Some(Moved::Both) => Some(Moved::Plan),
        other => other,
    };
    for attribute in &mut change.attributes {
        attribute.applied = None;
    }
}

/// Of a resource that the host knows nothing of.
fn unknown(change: &Change, resource: &dyn Resource) -> Moved {
    let replaces = matches!(change.action, Action::Update | Action::Replace);
    let holds = |object: &Object| match object {
        Object::Path(_) | Object::Image(_) | Object::Volume { .. } | Object::Network { .. } => true,
        Object::Knob(knob) => knob.sort().thing,
        // Its file is meant to be others', and what is in it.
        Object::Unit(_) | Object::Edit(_) | Object::Snapshot { .. } => false,
    };
    match change.action {
        _ if replaces && resource.objects().iter().any(holds) => Moved::Foreign,
        // What stands at a path is lost with it; a package that is to go comes back as it was.
        Action::Remove if resource.objects().iter().any(|object| matches!(object, Object::Path(_))) => Moved::Foreign,
        Action::Restart | Action::Reload | Action::Run => Moved::Follows,
        _ => Moved::New,
    }
}

fn known(change: &Change, resource: &dyn Resource, entry: &Entry, digest: &str) -> Moved {
    if matches!(change.action, Action::Restart | Action::Reload | Action::Run) && change.attributes.is_empty() {
        return Moved::Follows;
    }
    if entry.digest == digest {
        return Moved::Host;
    }
    // What is at another place now is not what was there before.
    if change.action == Action::Create && resource.objects() != entry.objects {
        return Moved::Plan;
    }
    let (mut plan, mut host) = (false, false);
    for attribute in &change.attributes {
        // Of what was never noted, such as a secret, the plan alone is known to have moved.
        let applied = attribute.applied.as_deref().filter(|_| attribute.after != Shown::Secret);
        match applied {
            None => plan = true,
            Some(applied) => {
                plan |= applied != attribute.after.noted();
                host |= applied != attribute.before.noted();
            }
        }
    }
    match (plan, host) {
        (true, true) => Moved::Both,
        (false, true) => Moved::Host,
        _ => Moved::Plan,
    }
}

/// What a person is to know about something that is there already and does not belong to the plan.
pub(super) fn foreign() -> Undecided {
    Undecided::with_help(
        "it is on the host already, differs from the plan, and was not put there by it",
        "look at the difference; then write `adopt = true` in the resource, or apply with --adopt: what was there is kept \
         on the host, and comes back with a destroy",
    )
}
