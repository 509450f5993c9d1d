//! What a made-up host has.

use std::collections::{BTreeMap, BTreeSet};

use super::memory::Remembered;
use crate::address::Address;
use crate::attribute::{Account, Mode};
use crate::blob::Blob;
use crate::image_archive::Layers;
use crate::knob::extent::EXTENT;
use crate::knob::linger::{LINGER, LINGERS};
use crate::knob::{ABSENT, Knob};
use crate::path::AbsPath;
use crate::probe::{Entry, ImageState, Owner, PodmanState, Sort, UnitState};
use crate::request::Reply;
use crate::resource::quadlet::podman::NEWEST;
use crate::saved::Saved;
use crate::step::{Outage, Ownership, Step};
use crate::systemd::Manager;
use crate::transport::Resolved;

/// What a fake host has.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Directory entries by path; a file has its content.
    pub entries: BTreeMap<AbsPath, (Entry, Vec<u8>)>,
    /// systemd's units, each by the text of its name: `a.service`, `core/a.service`.
    pub units: BTreeMap<String, UnitState>,
    /// Units that have a file which systemd has not read: they appear with the next reload.
    pub unread: BTreeSet<String>,
    /// Units whose file is gone, which systemd has not noticed: they vanish with the next reload, unless they run.
    pub(super) gone: BTreeSet<String>,
    /// Whether systemd is to read its units before the next one is acted upon.
    pub(super) reload: bool,
    /// Which podman there is.
    pub podman: PodmanState,
    /// What podman's generator says of a Quadlet file instead of making a unit of it, by the file's name.
    pub unfit: BTreeMap<String, String>,
    /// What it says of itself, where that is another than of [`crate::facts::Facts::example`].
    pub facts: BTreeMap<String, String>,
    /// What names lead to on this side; any other leads to nothing.
    pub names_here: BTreeMap<String, Resolved>,
    /// podman's images.
    pub images: Vec<ImageState>,
    /// The layers that it has.
    pub layers: Layers,
    /// Managers that do not run: their users neither linger nor are logged in.
    pub asleep: BTreeSet<Manager>,
    /// The images of users.
    pub user_images: BTreeMap<Manager, Vec<ImageState>>,
    /// podman's volumes, each by the text of its name.
    pub volumes: BTreeSet<String>,
    /// podman's networks, each by the text of its name.
    pub networks: BTreeSet<String>,
    /// Knobs by their text, with their states; others are as their sort has it.
    pub knobs: BTreeMap<String, String>,
    /// What a unit makes of a file when it starts, such as of its database, by the text of its name.
    pub migrates: BTreeMap<String, (AbsPath, Vec<u8>)>,
    /// What a unit has in its log.
    pub logs: BTreeMap<String, String>,
    /// Hundredths of a second since its boot: each step takes one second.
    pub uptime: u64,
    /// Units that a step has stopped, and when.
    pub(super) halted: BTreeMap<String, u64>,
    /// What is to be told of units that are up again, or of an answer.
    pub(super) told: Vec<Told>,
    /// Exit status of commands by argument list; others succeed.
    pub statuses: BTreeMap<Vec<String>, i32>,
    /// What a command prints, by argument list.
    pub prints: BTreeMap<Vec<String>, String>,
    /// Files that a command makes, by argument list.
    pub makes: BTreeMap<Vec<String>, AbsPath>,
    /// Ports that something listens on, of any address, and what it says to whoever sent an HTTP request.
    pub listening: BTreeMap<u16, Vec<u8>>,
    /// What queries are answered until what they ask for was made, by their address; 404 without it.
    pub replies: BTreeMap<String, Reply>,
    /// Addresses that now answer what they ask for.
    pub requested: BTreeSet<String>,
    /// What the web gives for an address.
    pub web: BTreeMap<String, Vec<u8>>,
    /// Whether there is no openssl, so that nobody can look at a key.
    pub lacks_openssl: bool,
    /// Units that are owed a restart.
    pub owed: BTreeSet<String>,
    /// What is remembered of plans, by their names.
    pub plans: BTreeMap<String, Remembered>,
    /// Somebody else who is at it, whatever the plan, and does not come to an end: `alice@laptop since ...`.
    pub held: Option<String>,
    /// Every step that was tried, in order, with the resource on whose behalf.
    pub steps: Vec<(Address, Step)>,
    /// The same, as [`Step::describe`] has it.
    pub log: Vec<String>,
    /// The step that fails, counted from 0 over the whole life of the host.
    pub fail_at: Option<usize>,
    /// The step before which the connection is lost, once, counted in the same way. An exchange without steps counts as
    /// coming before the next one: with as many as there are in all, the end of the apply does not arrive.
    pub cut_at: Option<usize>,
    /// Whether the connection is lost.
    pub(super) lost: bool,
    /// How many exchanges there have been.
    pub exchanges: usize,
}

/// What a made-up host tells of a task besides how it ends.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Outage(Outage),
    Answered(u64),
}

impl State {
    pub(super) fn ordinary() -> Self {
        let mut state = Self::default();
        for path in [
            "/",
            "/etc",
            "/etc/containers",
            "/etc/containers/systemd",
            "/etc/haproxy",
            "/etc/modprobe.d",
            "/etc/modules-load.d",
            "/etc/ssh",
            "/etc/sysctl.d",
            "/etc/systemd",
            "/etc/systemd/system",
            "/srv",
            "/var",
            "/var/lib",
            "/opt",
            "/home",
            "/etc/sudoers.d",
            "/home",
            "/home/core",
            "/root",
        ] {
            state.put_directory(path, "0755");
        }
        state.put_file("/etc/hosts", b"127.0.0.1 localhost\n", "0644");
        state.podman = PodmanState::Present(NEWEST);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";
        state.web.insert("https://example.com/tool".to_owned(), b"#!/bin/sh\n".to_vec());
        state.listening.insert(8080, answer.to_vec());
        state
    }

    /// Puts a directory there. Texts that are no path or mode are ignored.
    pub fn put_directory(&mut self, path: &str, mode: &str) {
        self.put(path, mode, Sort::Directory, Vec::new());
    }

    /// Puts a file there.
    pub fn put_file(&mut self, path: &str, content: &[u8], mode: &str) {
        self.put(path, mode, Sort::File, content.to_vec());
    }

    /// Puts a symbolic link there.
    pub fn put_link(&mut self, path: &str, target: &str) {
        self.put(path, "0777", Sort::Link(target.to_owned()), Vec::new());
    }

    fn put(&mut self, path: &str, mode: &str, sort: Sort, content: Vec<u8>) {
        if let (Ok(path), Ok(mode)) = (path.parse(), mode.parse()) {
            self.set(&path, sort, content, mode, &Ownership::default());
        }
    }

    pub(super) fn set(&mut self, path: &AbsPath, sort: Sort, content: Vec<u8>, mode: Mode, ownership: &Ownership) {
        let (user, group) = (owner(ownership.user.as_ref()), owner(ownership.group.as_ref()));
        let entry = Entry { sort, mode, user, group, size: content.len() as u64 };
        self.entries.insert(path.clone(), (entry, content));
    }

    pub(super) fn require_directory(&self, path: &AbsPath) -> Result<(), String> {
        match path.parent().and_then(|parent| self.entries.get(&parent)) {
            Some((entry, _)) if entry.sort == Sort::Directory => Ok(()),
            _ => Err(format!("the directory of {path} is not there")),
        }
    }

    /// The images of somebody.
    pub(super) fn images_of(&mut self, manager: &Manager) -> &mut Vec<ImageState> {
        match manager {
            Manager::System => &mut self.images,
            Manager::Own | Manager::User(_) => self.user_images.entry(manager.clone()).or_default(),
        }
    }

    /// The same, to look at.
    pub(super) fn images_seen(&self, manager: &Manager) -> &[ImageState] {
        match manager {
            Manager::System => &self.images,
            Manager::Own | Manager::User(_) => self.user_images.get(manager).map_or(&[], Vec::as_slice),
        }
    }

    /// The state of a knob.
    #[must_use]
    pub fn knob(&self, knob: &Knob) -> String {
        if knob.sort().word == EXTENT.word
            && let Some((_, saved)) = knob.name().split_once(' ')
            && let Ok(Saved::Path(path)) = saved.parse()
        {
            let below = self.entries.iter().filter(|(found, _)| found.is_within(&path));
            let sizes: Vec<u64> = below.map(|(_, (_, content))| content.len() as u64).collect();
            return if sizes.is_empty() { ABSENT.to_owned() } else { sizes.iter().sum::<u64>().to_string() };
        }
        self.knobs.get(&knob.to_string()).cloned().unwrap_or_else(|| knob.sort().unset.to_owned())
    }

    /// Sets a knob.
    pub fn turn(&mut self, knob: &Knob, state: &str) {
        self.knobs.insert(knob.to_string(), state.to_owned());
        if knob.sort().word == LINGER.word && state == LINGERS {
            self.asleep.retain(|manager| manager.word() != knob.name());
        }
    }

    pub(super) fn status(&self, argv: &[String]) -> i32 {
        self.statuses.get(argv).copied().unwrap_or(0)
    }
}

pub(super) fn owner(account: Option<&Account>) -> Owner {
    match account {
        None => Owner { id: 0, name: Some("root".to_owned()) },
        Some(Account::Id(0)) => Owner { id: 0, name: Some("root".to_owned()) },
        Some(Account::Id(id)) => Owner { id: *id, name: None },
        Some(Account::Name(name)) if name == "root" => Owner { id: 0, name: Some(name.clone()) },
        Some(Account::Name(name)) => Owner { id: 1000, name: Some(name.clone()) },
    }
}

pub(super) fn bytes(blob: &Blob) -> Result<Vec<u8>, String> {
    blob.read().map_err(|error| error.to_string())
}
