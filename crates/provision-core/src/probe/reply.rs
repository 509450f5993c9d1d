//! Reads what a host replied to a batch of questions. All of it is hostile text until it is parsed here.

use std::collections::BTreeMap;

use super::script::{guards, joined, layers, queries, rehearsals, units};
use super::store::{self, StoredImage};
use super::{
    Answer, Answers, Ask, Entry, FileState, ImageState, Owner, PathState, PublicKeyState, Sort, UnitState, Wanted,
    generator, memory, podman,
};
use crate::attribute::Mode;
use crate::blob::sha256_hex;
use crate::path::AbsPath;
use crate::request;
use crate::shell::{Section, sections};
use crate::systemd::{Managed, UnitName};

/// Why a reply as a whole is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The program never started.
    #[error("the host ran none of it")]
    NotStarted,
    /// The program started and did not reach its end.
    #[error("the host's reply was cut short")]
    Cut,
}

/// Everything the sections said, by what it is about.
#[derive(Default)]
struct Reply<'a> {
    entries: BTreeMap<&'a str, Result<Entry, String>>,
    links: BTreeMap<&'a str, String>,
    path_errors: Vec<String>,
    sums: BTreeMap<&'a str, &'a str>,
    no_sums: bool,
    contents: BTreeMap<&'a str, &'a [u8]>,
    keys: BTreeMap<&'a str, &'a str>,
    joined: BTreeMap<usize, Option<String>>,
    layers: BTreeMap<usize, &'a [u8]>,
    podman: Option<String>,
    generated: Vec<generator::Said>,
    /// Of each manager, in the order asked.
    units: BTreeMap<String, Units>,
    images: BTreeMap<String, Result<Vec<ImageState>, String>>,
    /// To whose images the sections belong that come now.
    shelf: String,
    guards: BTreeMap<usize, i32>,
    queries: BTreeMap<usize, request::Reply>,
    owed: BTreeMap<&'a str, Vec<String>>,
    memory: memory::Found,
    listings: BTreeMap<&'a str, Result<Vec<String>, String>>,
    stored: BTreeMap<&'a str, Result<bool, String>>,
    knobs: BTreeMap<&'a str, Result<String, String>>,
}

/// What one manager said of its units.
enum Units {
    /// Their states.
    Told(Vec<UnitState>),
    /// It does not run.
    Asleep,
    /// It could not be asked.
    Failed(String),
}

/// Reads a reply: every question gets an answer, if only that it is unknown.
///
/// # Errors
/// When the program did not start or did not end.
pub(crate) fn read(asks: &[&Ask], reply: &[u8], nonce: &str) -> Result<Answers, ReplyError> {
    let sections = sections(reply, nonce);
    if sections.first().is_none_or(|first| first.head != "begin") {
        return Err(ReplyError::NotStarted);
    }
    if sections.last().is_none_or(|last| last.head != "end") {
        return Err(ReplyError::Cut);
    }
    let found = Reply::collect(&sections);
    let guards = guards(asks.iter().copied());
    let layers = layers(asks.iter().copied());
    let queries = queries(asks.iter().copied());
    let joined = joined(asks.iter().copied());
    let rehearsals = rehearsals(asks.iter().copied());
    let units = units(asks.iter().copied());
    let mut answers = Answers::default();
    for ask in asks {
        let answer = match ask {
            Ask::Path(path) => found.path(path).map(Answer::Path),
            Ask::File { path, content } => found.file(path, content).map(Answer::File),
            Ask::PublicKey(path) => found.public_key(path).map(Answer::PublicKey),
            Ask::Joined(paths) => joined
                .iter()
                .position(|known| known == paths)
                .and_then(|index| found.joined.get(&index))
                .map(|digest| Answer::Joined(digest.clone()))
                .ok_or_else(|| format!("the host did not answer for {paths:?}")),
            Ask::Podman => {
                let told = found.podman.as_deref().ok_or_else(|| "the host did not tell podman's version".to_owned());
                told.and_then(podman::read).map(Answer::Podman)
            }
            Ask::Generated(rehearsal) => rehearsals
                .iter()
                .position(|known| *known == rehearsal)
                .and_then(|index| found.generated.get(index))
                .ok_or_else(|| "the host did not say what podman's unit generator makes".to_owned())
                .and_then(generator::Said::answer)
                .map(Answer::Generated),
            Ask::Unit(unit) => {
                let asked = units.get(&unit.manager).map(Vec::as_slice).unwrap_or_default();
                found.unit(unit, asked).map(Answer::Unit)
            }
            Ask::Layers { manager, digests } => layers
                .iter()
                .position(|known| *known == (manager, digests))
                .and_then(|index| found.layers.get(&index))
                .map(|body| Answer::Layers(store::layers(body, digests)))
                .ok_or_else(|| "the host did not say which layers it has".to_owned()),
            Ask::Images(manager) => found
                .images
                .get(manager.word())
                .cloned()
                .unwrap_or_else(|| Err("the host did not say which images it has".to_owned()))
                .map(Answer::Images),
            Ask::Guard(guard) => guards
                .iter()
                .position(|known| *known == guard)
                .and_then(|index| found.guards.get(&index))
                .map(|status| Answer::Guard(*status))
                .ok_or_else(|| format!("the host did not answer for the command {:?}", guard.argv)),
            Ask::Query(query) => queries
                .iter()
                .position(|known| *known == query)
                .and_then(|index| found.queries.get(&index))
                .map(|reply| Answer::Query(reply.clone()))
                .ok_or_else(|| format!("the host did not say what {} answers", query.request.title())),
            Ask::Owed(plan) => found
                .owed
                .get(plan.as_str())
                .map(|units| Answer::Owed(units.clone()))
                .ok_or_else(|| "the host did not say which restarts are owed".to_owned()),
            Ask::Memory { plan, ledger } => found.memory.memory(plan, ledger).map(Answer::Memory),
            Ask::Records { plan, scope } => found.memory.records(plan, *scope).map(Answer::Records),
            Ask::History(plan) => found.memory.history(plan).map(Answer::History),
            Ask::Listing(path) => found
                .listings
                .get(path.as_str())
                .cloned()
                .unwrap_or_else(|| Err(format!("the host did not say what is in {path}")))
                .map(Answer::Listing),
            Ask::Stored { sort, name } => found
                .stored
                .get(format!("{} {} {}", sort.word(), name.manager.word(), name.name).as_str())
                .cloned()
                .unwrap_or_else(|| {
                    Err(format!("the host did not say whether podman has the {} {}", sort.word(), name.spelled()))
                })
                .map(Answer::Stored),
            Ask::Knob(knob) => found
                .knobs
                .get(knob.to_string().as_str())
                .cloned()
                .unwrap_or_else(|| Err("the host did not say".to_owned()))
                .map(Answer::Knob)
                .map_err(|reason| format!("cannot find out how {} is: {reason}", knob.title())),
            Ask::Here(name) => Err(format!("nobody has said what {name} leads to on this side")),
        };
        answers.insert((*ask).clone(), answer.unwrap_or_else(Answer::Unknown));
    }
    Ok(answers)
}

impl<'a> Reply<'a> {
    fn collect(sections: &[Section<'a>]) -> Self {
        let mut found = Self::default();
        for section in sections {
            let (word, rest) = section.head.split_once(' ').unwrap_or((section.head, ""));
            let body = || String::from_utf8_lossy(section.body);
            match word {
                "paths" => found.stat_lines(section.body),
                "link" => {
                    // readlink ends its answer with one newline, which is not the link's.
                    let target = body().into_owned();
                    found.links.insert(rest, target.strip_suffix('\n').map_or(target.clone(), str::to_owned));
                }
                "sum" => {
                    if let Some((digest, path)) = digest_and_path(rest) {
                        found.sums.insert(path, digest);
                    }
                }
                "key" => {
                    if let Some((digest, path)) = digest_and_path(rest) {
                        found.keys.insert(path, digest);
                    }
                }
                "joined" => {
                    if let Some((index, digest)) = rest.split_once(' ')
                        && let Ok(index) = index.parse()
                    {
                        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
                        found.joined.insert(index, is_digest.then(|| digest.to_owned()));
                    }
                }
                "content" => {
                    found.contents.insert(rest, section.body);
                }
                "units" => found.unit_blocks(rest, &body()),
                "asleep" => {
                    found.units.insert(rest.to_owned(), Units::Asleep);
                }
                "images" => {
                    rest.clone_into(&mut found.shelf);
                    found.images.insert(rest.to_owned(), Ok(Vec::new()));
                }
                "layers" => {
                    if let Ok(index) = rest.parse() {
                        found.layers.insert(index, section.body);
                    }
                }
                "image-store" => found.image_store(rest, section.body),
                "podman" => found.podman = Some(body().into_owned()),
                "generated" => found.generated.push(generator::Said::new(section)),
                _ if word.starts_with("generated-") => {
                    if let Some(said) = found.generated.last_mut() {
                        said.take(word.trim_start_matches("generated-"), rest, section);
                    }
                }
                "guard" => {
                    if let Some((index, status)) = rest.split_once(' ')
                        && let (Ok(index), Ok(status)) = (index.parse(), status.parse())
                    {
                        found.guards.insert(index, status);
                    }
                }
                "query" => {
                    if let Some((index, said)) = rest.split_once(' ')
                        && let Ok(index) = index.parse()
                    {
                        let reply = match (said, said.parse()) {
                            ("yes", _) => Some(request::Reply::Expected),
                            ("none", _) => Some(request::Reply::NoAnswer(body().trim().to_owned())),
                            (_, Ok(status)) => Some(request::Reply::Other(status)),
                            _ => None,
                        };
                        found.queries.extend(reply.map(|reply| (index, reply)));
                    }
                }
                "owed" => {
                    let units = body().lines().filter(|line| !line.is_empty()).map(owed).collect();
                    found.owed.insert(rest, units);
                }
                "listing" => {
                    found.listings.insert(rest, Ok(listed(section.body)));
                }
                "listing-failed" => {
                    found
                        .listings
                        .insert(rest, Err(format!("the directory {rest} cannot be read: permission denied?")));
                }
                "stored" => {
                    if let Some((answer, thing)) = rest.split_once(' ') {
                        found.stored.insert(thing, Ok(answer == "yes"));
                    }
                }
                "stored-failed" => {
                    // `volume core NAME why`: none of the three has a blank.
                    if let Some((at, _)) = rest.match_indices(' ').nth(2) {
                        let (thing, why) = rest.split_at(at);
                        found.stored.insert(thing, Err(why.trim_start().to_owned()));
                    }
                }
                "knob" => _ = found.knobs.insert(rest, Ok(body().into_owned())),
                "knob-unknown" => _ = found.knobs.insert(rest, Err(body().trim().to_owned())),
                "missing" | "failed" => found.failure(word, rest),
                _ => found.memory.take(word, rest, section),
            }
        }
        found
    }

    /// Lines of `stat`: `=mode uid gid size user group path`, or an error of the tool.
    fn stat_lines(&mut self, body: &'a [u8]) {
        let Ok(text) = std::str::from_utf8(body) else {
            self.path_errors.push("stat answered with text that is not UTF-8".to_owned());
            return;
        };
        for line in text.lines().filter(|line| !line.is_empty()) {
            let Some(fields) = line.strip_prefix('=') else {
                if !line.ends_with("No such file or directory") && !line.ends_with("Not a directory") {
                    self.path_errors.push(line.to_owned());
                }
                continue;
            };
            let mut parts = fields.splitn(7, ' ');
            let mut next = || parts.next().unwrap_or_default();
            let (mode, uid, gid, size, user, group, path) = (next(), next(), next(), next(), next(), next(), next());
            self.entries.insert(path, entry(mode, uid, gid, size, user, group));
        }
    }

    fn path(&self, path: &AbsPath) -> Result<PathState, String> {
        match self.entries.get(path.as_str()) {
            Some(Ok(entry)) => {
                let mut entry = entry.clone();
                if matches!(entry.sort, Sort::Link(_)) {
                    let target = self.links.get(path.as_str()).ok_or_else(|| format!("cannot read the link {path}"))?;
                    entry.sort = Sort::Link(target.clone());
                }
                Ok(PathState::Present(entry))
            }
            Some(Err(reason)) => Err(format!("cannot read the state of {path}: {reason}")),
            None => {
                match self.path_errors.iter().find(|line| line.contains(path.as_str())).or(self.path_errors.first()) {
                    Some(line) => Err(format!("cannot read the state of {path}: {line}")),
                    None => Ok(PathState::Absent),
                }
            }
        }
    }

    fn file(&self, path: &AbsPath, wanted: &Wanted) -> Result<FileState, String> {
        let state = self.path(path)?;
        if !state.entry().is_some_and(|entry| entry.sort == Sort::File) {
            return Ok(FileState::Absent);
        }
        let sha256 = self.sums.get(path.as_str()).ok_or_else(|| {
            let why = if self.no_sums { "sha256sum is not installed on the host" } else { "permission denied?" };
            format!("cannot read {path}: {why}")
        })?;
        let shown = match wanted {
            Wanted::Never => false,
            Wanted::Unless(digest) => digest != sha256,
            Wanted::Always => true,
        };
        let content = if shown { self.contents.get(path.as_str()).map(|bytes| bytes.to_vec()) } else { None };
        if shown && content.is_none() {
            return Err(format!("the host did not send the content of {path}"));
        }
        Ok(FileState::Present { sha256: (*sha256).to_owned(), content })
    }

    /// A host without openssl, and a key that only others may read, say nothing: that is no error.
    fn public_key(&self, path: &AbsPath) -> Result<PublicKeyState, String> {
        let state = self.path(path)?;
        if !state.entry().is_some_and(|entry| entry.sort == Sort::File) {
            return Ok(PublicKeyState::Absent);
        }
        Ok(match self.keys.get(path.as_str()) {
            None => PublicKeyState::Unseen,
            // The digest of nothing: openssl printed no key.
            Some(digest) if *digest == sha256_hex(b"") => PublicKeyState::Unreadable,
            Some(digest) => PublicKeyState::Present((*digest).to_owned()),
        })
    }

    /// Blocks of `systemctl show`, parted by empty lines, one a unit in the order asked.
    fn unit_blocks(&mut self, manager: &str, body: &str) {
        let mut units = Vec::new();
        let mut failed = None;
        for block in body.split("\n\n") {
            let mut state = UnitState::default();
            let mut id = String::new();
            for line in block.lines() {
                let Some((key, value)) = line.split_once('=') else {
                    if !line.trim().is_empty() {
                        failed = Some(line.to_owned());
                    }
                    continue;
                };
                let value = value.to_owned();
                match key {
                    "Id" => id = value,
                    "LoadState" => state.load = value,
                    "ActiveState" => state.active = value,
                    "SubState" => state.sub = value,
                    "UnitFileState" => state.file = value,
                    "NeedDaemonReload" => state.stale = value == "yes",
                    _ => {}
                }
            }
            if !id.is_empty() {
                units.push(state);
            }
        }
        self.units.insert(manager.to_owned(), failed.map_or(Units::Told(units), Units::Failed));
    }

    fn unit(&self, unit: &Managed, asked: &[&str]) -> Result<UnitState, String> {
        let units: &[UnitState] = match self.units.get(unit.manager.word()) {
            Some(Units::Told(units)) => units,
            Some(Units::Asleep) => return Ok(UnitState::asleep()),
            Some(Units::Failed(reason)) => return Err(format!("systemctl cannot be asked: {reason}")),
            None => &[],
        };
        // By place, not by Id: an alias answers with its unit's own name.
        let at = asked.iter().position(|asked| *asked == unit.name);
        at.filter(|_| units.len() == asked.len())
            .and_then(|at| units.get(at))
            .cloned()
            .ok_or_else(|| format!("systemctl did not answer for {unit}"))
    }

    /// A store's `images.json`.
    fn image_store(&mut self, path: &str, body: &[u8]) {
        let Some(slot) = self.images.get_mut(&self.shelf) else { return };
        let Ok(images) = slot else { return };
        match serde_json::from_slice::<Vec<StoredImage>>(body) {
            Ok(stored) => {
                images.extend(stored.into_iter().map(StoredImage::state));
                images.sort();
            }
            Err(error) => *slot = Err(format!("cannot read podman's images in {path}: {error}")),
        }
    }

    fn failure(&mut self, word: &str, rest: &str) {
        let (tool, said) = rest.split_once(' ').unwrap_or((rest, ""));
        let reason = if word == "missing" { format!("{tool} is not installed") } else { said.to_owned() };
        match tool {
            "podman" => {
                if let Some(slot @ Ok(_)) = self.images.get_mut(&self.shelf) {
                    *slot = Err(reason);
                }
            }
            "sha256sum" => self.no_sums = true,
            "systemctl" => {
                let (manager, reason) = said.split_once(' ').unwrap_or((said, ""));
                // What it printed before it failed says more.
                if !matches!(self.units.get(manager), Some(Units::Failed(_))) {
                    self.units.insert(manager.to_owned(), Units::Failed(reason.to_owned()));
                }
            }
            _ => {}
        }
    }
}

/// A note of what is owed, by the name of its file, in which a `=` stands for the `/` of a user's unit.
fn owed(name: &str) -> String {
    match name.split_once('=') {
        // What is owed of a command is no unit's name: it has no type, or a character that none has.
        Some((manager, unit)) if unit.parse::<UnitName>().is_ok() => format!("{manager}/{unit}"),
        _ => name.to_owned(),
    }
}

/// Names, each with a NUL behind it: a name may have anything else in it.
fn listed(body: &[u8]) -> Vec<String> {
    let names = body.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort();
    names
}

/// `digest path`, as `sha256sum` prints a digest.
fn digest_and_path(rest: &str) -> Option<(&str, &str)> {
    rest.split_once(' ').filter(|(digest, _)| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn entry(mode: &str, uid: &str, gid: &str, size: &str, user: &str, group: &str) -> Result<Entry, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("stat answered {text:?} for an id"));
    let bits = u32::from_str_radix(mode, 16).map_err(|_| format!("stat answered {mode:?} for a mode"))?;
    // The file type bits of st_mode, inode(7).
    let sort = match bits & 0o170_000 {
        0o040_000 => Sort::Directory,
        0o100_000 => Sort::File,
        0o120_000 => Sort::Link(String::new()),
        _ => Sort::Other,
    };
    let named = |name: &str| (name != "UNKNOWN").then(|| name.to_owned());
    Ok(Entry {
        sort,
        mode: Mode::new(bits),
        user: Owner { id: number(uid)?, name: named(user) },
        group: Owner { id: number(gid)?, name: named(group) },
        size: size.parse().map_err(|_| format!("stat answered {size:?} for a size"))?,
    })
}
