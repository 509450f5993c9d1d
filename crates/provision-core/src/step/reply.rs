//! Reads what a host says while it works through a batch of steps.

use super::{Batch, Outcome};
use crate::probe::reply::ReplyError;
use crate::shell::sections;
use crate::transport::Sink;

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchReply {
    /// One for each task, in order.
    pub outcomes: Vec<Outcome>,
    /// Why systemd did not read its units at the end, where it should have.
    pub reload_failed: Option<String>,
    /// Whether the program came to its end.
    pub ended: bool,
    /// Why the rest is not known, where the connection was lost on the way.
    pub lost: Option<String>,
}

/// Reads a whole reply. Tasks of which nothing was heard count as skipped.
///
/// # Errors
/// When the program did not even start.
pub(crate) fn read(batch: &Batch, reply: &[u8], nonce: &str) -> Result<BatchReply, ReplyError> {
    let sections = sections(reply, nonce);
    if sections.first().is_none_or(|first| first.head != "begin") {
        return Err(ReplyError::NotStarted);
    }
    let mut outcomes = vec![Outcome::Skipped { because: None }; batch.tasks.len()];
    let mut reload_failed = None;
    for section in &sections {
        let mut parts = section.head.split(' ');
        let word = parts.next().unwrap_or_default();
        let output = || String::from_utf8_lossy(section.body).trim_end().to_owned();
        if word == "reload-failed" {
            reload_failed = Some(output());
        }
        let Some(index) = parts.next().and_then(|index| index.parse::<usize>().ok()) else { continue };
        let mut number = || parts.next().and_then(|number| number.parse::<usize>().ok());
        let outcome = match word {
            "done" => Outcome::Done { output: output() },
            "unneeded" => Outcome::NotNeeded,
            "skipped" => Outcome::Skipped { because: number() },
            "failed" => Outcome::Failed {
                step: number().unwrap_or_default(),
                status: number().and_then(|status| i32::try_from(status).ok()).unwrap_or(1),
                output: output(),
            },
            _ => continue,
        };
        if let Some(slot) = outcomes.get_mut(index) {
            *slot = outcome;
        }
    }
    Ok(BatchReply {
        outcomes,
        reload_failed,
        ended: sections.last().is_some_and(|last| last.head == "end"),
        lost: None,
    })
}

/// Collects a reply and tells which task has begun as soon as the host says so.
pub(crate) struct Progress<'a> {
    pub(crate) reply: Vec<u8>,
    marker: Vec<u8>,
    scanned: usize,
    begun: &'a mut (dyn FnMut(usize) + Send),
}

impl<'a> Progress<'a> {
    pub(crate) fn new(nonce: &str, begun: &'a mut (dyn FnMut(usize) + Send)) -> Self {
        Self { reply: Vec::new(), marker: format!("@{nonce} begun ").into_bytes(), scanned: 0, begun }
    }
}

impl Sink for Progress<'_> {
    fn accept(&mut self, piece: &[u8]) {
        self.reply.extend_from_slice(piece);
        // Only whole lines: the rest is looked at when its end has come.
        while let Some(length) =
            self.reply.get(self.scanned..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let line = self.reply.get(self.scanned..self.scanned + length).unwrap_or_default();
            if let Some(index) = line.strip_prefix(self.marker.as_slice())
                && let Some(index) = std::str::from_utf8(index).ok().and_then(|text| text.parse().ok())
            {
                (self.begun)(index);
            }
            self.scanned += length + 1;
        }
    }
}
