//! What is large and on its way: an apply that was cut has left the beginning of it on the host, and only the rest is sent.

use std::collections::{BTreeMap, BTreeSet};

use super::EngineError;
use super::changes::Changes;
use super::prepare::Work;
use crate::blob::Blob;
use crate::probe::Undecided;
use crate::step::Step;

/// Tells the steps how much of what they carry the host has already.
///
/// What has no digest yet, such as an image archive, is read for it: that takes less than to send it, and only what is
/// about to be sent is read.
pub(super) async fn resume(changes: &Changes, work: &mut [Work]) -> Result<(), EngineError> {
    let mut arriving: BTreeMap<&str, u64> =
        changes.observed.memory.arriving.iter().map(|(digest, length)| (digest.as_str(), *length)).collect();
    for ((address, _), work) in changes.graph().resources().zip(work) {
        let Work::Steps(steps) = work else { continue };
        for blob in steps.iter_mut().filter_map(Step::blob_mut) {
            if blob.sha256().is_empty() {
                let read = blob.clone();
                let hashed = tokio::task::spawn_blocking(move || read.hashed()).await;
                *blob = hashed
                    .map_err(|error| error.to_string())
                    .and_then(|read| read.map_err(|error| error.to_string()))
                    .map_err(|reason| EngineError::Unprepared {
                        address: address.clone(),
                        reason: Undecided::new(format!("cannot read what is to be sent: {reason}")),
                    })?;
            }
            // Whoever comes first uses it, and then it is gone.
            if let Some(there) = arriving.remove(blob.sha256()).filter(|_| blob.is_kept()) {
                *blob = blob.with_beginning(there);
            }
        }
    }
    Ok(())
}

/// The digests of all that is kept while it arrives.
pub(super) fn awaited(work: &[Work]) -> Vec<String> {
    let steps = work.iter().flat_map(|work| if let Work::Steps(steps) = work { steps.as_slice() } else { &[] });
    let kept = steps.filter_map(Step::kept).map(Blob::sha256);
    kept.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}
