//! Reads what a host says while it works through a batch of steps.

use super::{Batch, Flaws, Outcome};
use crate::probe::reply::ReplyError;
use crate::shell::{Section, sections};
use crate::systemd::Managed;
use crate::transport::Sink;

/// What a host says of a task while it works, by the task's place in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It has begun with it.
    Begun(usize),
    /// What it does has printed a line.
    Said(usize, Line),
    /// It has come to its end. What it has said until then is not in its outcome.
    Ended(usize, Outcome),
    /// Somebody else is at it, and the host waits for them: `alice@laptop since 2026-11-23T10:00:00Z`.
    Waiting(String),
    /// Whoever had locked the host is gone, and the lock was taken over.
    TookOver(String),
    /// A unit is up again, which the task had stopped or restarted.
    Served(usize, Outage),
    /// What the task asked has answered, in hundredths of a second since the host's boot.
    Answered(usize, u64),
}

/// How long a unit did not serve, in hundredths of a second since the host's boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The unit.
    pub unit: Managed,
    /// When its stop began; nobody knows without this, since it was down already.
    pub from: Option<u64>,
    /// When systemd had it up again; not by the end of the task without this.
    pub until: Option<u64>,
}

/// A line that something on a host has printed, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its text, or the beginning of it.
    pub text: String,
    /// Whether there is more of it than its text.
    pub cut: bool,
}

impl Line {
    /// How much of a line is kept, in bytes: it is for people, and they do not read on.
    pub const LONGEST: usize = 8 * 1024;
}

/// Why a host did none of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else is still at it after the time to wait.
    Locked(String),
    /// Something was applied, rolled back or destroyed since the host was looked at: its stamp now.
    Moved(String),
    /// What is to be written down cannot be.
    Journal(String),
    /// podman's own generator would not make what it should of the plan's Quadlet files.
    Rehearsal(Flaws),
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchReply {
    /// One for each task, in order.
    pub outcomes: Vec<Outcome>,
    /// Why systemd did not read its units at the end, where it should have.
    pub reload_failed: Option<String>,
    /// Whether the program came to its end.
    pub ended: bool,
    /// Why nothing was done at all.
    pub refused: Option<Refusal>,
    /// The number of the apply that it belongs to, as the host counts.
    pub apply: Option<u32>,
    /// Why the rest is not known, where the connection was lost on the way.
    pub lost: Option<String>,
}

/// Reads a whole reply. Tasks of which nothing was heard count as skipped.
///
/// # Errors
/// When the program did not even start.
pub(crate) fn read(batch: &Batch, reply: &[u8], nonce: &str) -> Result<BatchReply, ReplyError> {
    let sections = sections(reply, nonce);
    let begin = sections.iter().find_map(|section| section.head.strip_prefix("begin "));
    let refused = sections.iter().find_map(refusal);
    if begin.is_none() && refused.is_none() {
        return Err(ReplyError::NotStarted);
    }
    let mut outcomes = vec![Outcome::Skipped { because: None }; batch.tasks.len()];
    let mut reload_failed = None;
    for section in &sections {
        if section.head == "reload-failed" {
            reload_failed = Some(output(section));
        }
        if let Some(Heard::Ended(index, outcome)) = heard(section)
            && let Some(slot) = outcomes.get_mut(index)
        {
            *slot = outcome;
        }
    }
    Ok(BatchReply {
        outcomes,
        reload_failed,
        ended: sections.last().is_some_and(|last| last.head == "end"),
        refused,
        apply: begin.and_then(|number| number.parse().ok()).filter(|number| *number > 0),
        lost: None,
    })
}

fn refusal(section: &Section<'_>) -> Option<Refusal> {
    let rest = section.head.strip_prefix("refused ")?;
    let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(match word {
        "locked" => Refusal::Locked(text.to_owned()),
        "moved" => Refusal::Moved(text.to_owned()),
        "rehearsal" => Refusal::Rehearsal(Flaws::read(&output(section))),
        _ => Refusal::Journal(output(section)),
    })
}

/// What one section says that is told at once.
fn heard(section: &Section<'_>) -> Option<Heard> {
    let (word, rest) = section.head.split_once(' ')?;
    match word {
        "waiting" => return Some(Heard::Waiting(rest.to_owned())),
        "took-over" => return Some(Heard::TookOver(rest.to_owned())),
        "served" => return served(rest),
        _ => {}
    }
    let mut parts = rest.split(' ');
    let index = parts.next()?.parse::<usize>().ok()?;
    let mut number = || parts.next().and_then(|number| number.parse::<usize>().ok());
    let outcome = match word {
        "begun" => return Some(Heard::Begun(index)),
        "done" => Outcome::Done { output: output(section) },
        "unneeded" => Outcome::NotNeeded,
        "skipped" => Outcome::Skipped { because: number() },
        "failed" => Outcome::Failed {
            step: number().unwrap_or_default(),
            status: number().and_then(|status| i32::try_from(status).ok()).unwrap_or(1),
            output: output(section),
        },
        _ => return None,
    };
    Some(Heard::Ended(index, outcome))
}

/// `3 haproxy.service=1200:1350`, or `3 @=1400:1400` of what answered.
fn served(rest: &str) -> Option<Heard> {
    let (index, rest) = rest.split_once(' ')?;
    let (unit, (from, until)) = rest.split_once('=').and_then(|(unit, times)| Some((unit, times.split_once(':')?)))?;
    let (index, until) = (index.parse().ok()?, until.parse().ok()?);
    if unit == ANSWERED {
        return Some(Heard::Answered(index, until));
    }
    let until = Some(until).filter(|until| *until > 0);
    Some(Heard::Served(index, Outage { unit: unit.parse().ok()?, from: from.parse().ok(), until }))
}

/// What no unit is called.
const ANSWERED: &str = "@";

fn output(section: &Section<'_>) -> String {
    String::from_utf8_lossy(section.body).trim_end().to_owned()
}

/// Collects a reply and tells of each task as soon as the host does. What commands print is told line by line and not
/// collected: it may be any amount.
pub(crate) struct Progress<'a> {
    pub(crate) reply: Vec<u8>,
    nonce: String,
    marker: Vec<u8>,
    scanned: usize,
    /// Where the section began that the host is in: what a task printed is whole when the next one begins.
    open: Option<usize>,
    /// The command that the host lets speak.
    speaking: Option<Speaking>,
    tell: &'a mut (dyn FnMut(Heard) + Send),
}

/// A command whose output comes, up to the next marker.
struct Speaking {
    task: usize,
    line: Vec<u8>,
    cut: bool,
    /// An empty line has come, which may be the one that belongs to a marker.
    empty: bool,
    /// The line before was ended by a carriage return, as programs do that draw a bar.
    returned: bool,
}

impl Speaking {
    fn new(task: usize) -> Self {
        Self { task, line: Vec::new(), cut: false, empty: false, returned: false }
    }

    /// Takes the next piece of a line.
    fn add(&mut self, piece: &[u8]) {
        let room = Line::LONGEST.saturating_sub(self.line.len());
        self.cut |= piece.len() > room;
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn take(&mut self) -> Heard {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        Heard::Said(self.task, Line { text, cut: std::mem::take(&mut self.cut) })
    }

    fn take_empty(&mut self) -> Option<Heard> {
        let empty = Heard::Said(self.task, Line { text: String::new(), cut: false });
        std::mem::take(&mut self.empty).then_some(empty)
    }
}

impl<'a> Progress<'a> {
    pub(crate) fn new(nonce: &str, tell: &'a mut (dyn FnMut(Heard) + Send)) -> Self {
        let marker = format!("@{nonce} ").into_bytes();
        Self { reply: Vec::new(), nonce: nonce.to_owned(), marker, scanned: 0, open: None, speaking: None, tell }
    }

    /// Tells the rest, when there is no more to come.
    pub(crate) fn finish(&mut self) {
        if let Some(mut speaking) = self.speaking.take()
            && !speaking.line.is_empty()
        {
            speaking.take_empty().into_iter().for_each(&mut *self.tell);
            (self.tell)(speaking.take());
        }
    }

    fn tell(&mut self, from: usize, to: usize) {
        let heard = self.reply.get(from..to).and_then(|piece| sections(piece, &self.nonce).first().and_then(heard));
        if let Some(heard) = heard {
            (self.tell)(heard);
        }
    }

    /// A marker line from `start`, its own line end at `end`.
    fn marked(&mut self, start: usize, end: usize) {
        // A marker begins with the line end before it.
        let before = start.saturating_sub(1);
        if let Some(open) = self.open.take() {
            self.tell(open, before);
        }
        let head = self.reply.get(start + self.marker.len()..end).unwrap_or_default();
        if let Some(task) = head.strip_prefix(b"output ").and_then(|task| std::str::from_utf8(task).ok()?.parse().ok())
        {
            self.speaking = Some(Speaking::new(task));
            return;
        }
        // What a task printed is whole only when the next section begins; these have nothing to wait for.
        let at_once = |word: &&[u8]| head.starts_with(word);
        if [&b"begun "[..], b"waiting ", b"took-over ", b"served "].iter().any(at_once) {
            self.tell(before, end + 1);
        } else {
            self.open = Some(before);
        }
    }

    /// Collects up to the end of a line, and gives how much that was.
    fn collect(&mut self, piece: &[u8]) -> usize {
        // Only whole lines are looked at: the rest is when its end has come.
        let Some(length) = piece.iter().position(|byte| *byte == b'\n') else {
            self.reply.extend_from_slice(piece);
            return piece.len();
        };
        self.reply.extend_from_slice(piece.get(..=length).unwrap_or(piece));
        let (start, end) = (self.scanned, self.reply.len().saturating_sub(1));
        self.scanned = end + 1;
        if start > 0 && self.reply.get(start..end).is_some_and(|line| line.starts_with(&self.marker)) {
            self.marked(start, end);
        }
        length + 1
    }

    /// Takes up to the end of a line of what a command prints, and gives how much that was.
    fn listen(&mut self, mut speaking: Speaking, piece: &[u8]) -> usize {
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let Some(length) = piece.iter().position(ends) else {
            speaking.add(piece);
            self.speaking = Some(speaking);
            return piece.len();
        };
        speaking.add(piece.get(..length).unwrap_or_default());
        let returned = piece.get(length) == Some(&b'\r');
        if !returned && speaking.line.starts_with(&self.marker) {
            // The line end before it is the marker's own.
            let start = self.reply.len() + 1;
            self.reply.push(b'\n');
            self.reply.extend_from_slice(&speaking.line);
            self.reply.push(b'\n');
            self.scanned = self.reply.len();
            self.marked(start, self.reply.len() - 1);
            return length + 1;
        }
        if speaking.line.is_empty() {
            // A line that ends in both has been told of; a bar that is drawn anew has nothing to tell.
            if !returned && !speaking.returned {
                speaking.take_empty().into_iter().for_each(&mut *self.tell);
                speaking.empty = true;
            }
        } else {
            speaking.take_empty().into_iter().for_each(&mut *self.tell);
            (self.tell)(speaking.take());
        }
        speaking.returned = returned;
        self.speaking = Some(speaking);
        length + 1
    }
}

impl Sink for Progress<'_> {
    fn accept(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let taken = match self.speaking.take() {
                Some(speaking) => self.listen(speaking, piece),
                None => self.collect(piece),
            };
            piece = piece.get(taken..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &[u8] = b"banner\n\n@n begin 1\n\n@n begun 0\n\n@n done 0\nsaid\n@x done 7\n\n@n begun 1\n\n@n served 1 core/a.service=1200:1350\n\n@n served 1 @=1400:1400\n\n@n failed 1 0 3\nno\n\n@n skipped 2 1\n\n@n end\n";

    #[test]
    fn what_is_told_on_the_way_is_what_the_whole_says() {
        for size in [1, 2, 7, REPLY.len()] {
            let mut told = Vec::new();
            let mut tell = |heard| told.push(heard);
            let mut progress = Progress::new("n", &mut tell);
            for piece in REPLY.chunks(size) {
                progress.accept(piece);
            }
            assert_eq!(
                told,
                [
                    Heard::Begun(0),
                    Heard::Ended(0, Outcome::Done { output: "said\n@x done 7".to_owned() }),
                    Heard::Begun(1),
                    Heard::Served(
                        1,
                        Outage { unit: "core/a.service".parse().unwrap(), from: Some(1200), until: Some(1350) }
                    ),
                    Heard::Answered(1, 1400),
                    Heard::Ended(1, Outcome::Failed { step: 0, status: 3, output: "no".to_owned() }),
                    Heard::Ended(2, Outcome::Skipped { because: Some(1) }),
                ]
            );
        }
    }

    #[test]
    fn a_task_is_told_of_when_it_begins() {
        let mut told = Vec::new();
        let mut tell = |heard| told.push(heard);
        let mut progress = Progress::new("n", &mut tell);
        progress.accept(b"\n@n begin 1\n\n@n begun 0\n");
        assert_eq!(told, [Heard::Begun(0)]);
    }

    /// What is told of a reply that comes in pieces of every size; it must be the same each time.
    fn told(reply: &[u8]) -> (Vec<Heard>, Vec<u8>) {
        let attempt = |size: usize| {
            let mut told = Vec::new();
            let mut tell = |heard| told.push(heard);
            let mut progress = Progress::new("n", &mut tell);
            for piece in reply.chunks(size) {
                progress.accept(piece);
            }
            progress.finish();
            let kept = std::mem::take(&mut progress.reply);
            (told, kept)
        };
        let whole = attempt(reply.len());
        for size in [1, 2, 3, 7, 4096] {
            assert_eq!(attempt(size), whole, "{size}");
        }
        whole
    }

    fn said(task: usize, text: &str) -> Heard {
        Heard::Said(task, Line { text: text.to_owned(), cut: false })
    }

    #[test]
    fn what_a_command_prints_is_told_line_by_line_and_not_kept() {
        let reply = b"\n@n begin 1\n\n@n begun 0\n\n@n output 0\none\n\n\ntwo\r\nthree\n@x done 7\n\xff\n\n@n done 0\nits own\n@n begun 1\n\n@n end\n";
        let (told, kept) = told(reply);
        let own = Outcome::Done { output: "its own".to_owned() };
        let lines = ["one", "", "", "two", "three", "@x done 7", "\u{fffd}"].map(|line| said(0, line));
        let mut expected = vec![Heard::Begun(0)];
        expected.extend(lines);
        expected.extend([Heard::Ended(0, own), Heard::Begun(1)]);
        assert_eq!(told, expected);
        assert_eq!(
            String::from_utf8_lossy(&kept),
            "\n@n begin 1\n\n@n begun 0\n\n@n output 0\n\n@n done 0\nits own\n@n begun 1\n\n@n end\n"
        );
    }

    #[test]
    fn a_line_is_told_when_it_ends_and_not_when_the_next_begins() {
        let mut heard = Vec::new();
        let mut tell = |what| heard.push(what);
        Progress::new("n", &mut tell).accept(b"\n@n begin 1\n\n@n begun 0\n\n@n output 0\none\ntw");
        assert_eq!(heard, [Heard::Begun(0), said(0, "one")]);
    }

    #[test]
    fn the_end_of_an_output_needs_no_line_end_and_a_bar_that_is_drawn_is_lines() {
        let begin = "\n@n begin 1\n\n@n begun 0\n\n@n output 0\n";
        for (output, lines) in [
            ("", &[][..]),
            ("\n", &[""]),
            ("no end", &["no end"]),
            ("one\n\n", &["one", ""]),
            ("\r 10 %\r 20 %\r\ndone\r\n", &[" 10 %", " 20 %", "done"]),
        ] {
            let (heard, kept) = told(format!("{begin}{output}\n@n failed 0 0 3\n\n@n end\n").as_bytes());
            let mut expected = vec![Heard::Begun(0)];
            expected.extend(lines.iter().map(|line| said(0, line)));
            expected.push(Heard::Ended(0, Outcome::Failed { step: 0, status: 3, output: String::new() }));
            assert_eq!(heard, expected, "{output:?}");
            assert!(kept.ends_with(b"@n output 0\n\n@n failed 0 0 3\n\n@n end\n"), "{output:?}");
        }
        // Where the connection is lost, the last line is what had come of it.
        assert_eq!(told(format!("{begin}one\n\ntw").as_bytes()).0[1..], [said(0, "one"), said(0, ""), said(0, "tw")]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let mut reply = b"\n@n begin 1\n\n@n output 0\n".to_vec();
        reply.extend(std::iter::repeat_n(b'x', 3 * Line::LONGEST));
        reply.extend(b"\nshort\n\n@n done 0\n\n@n end\n");
        let (told, kept) = told(&reply);
        assert!(kept.len() < 100);
        assert_eq!(told[0], Heard::Said(0, Line { text: "x".repeat(Line::LONGEST), cut: true }));
        assert_eq!(told[1], said(0, "short"));
    }
}
