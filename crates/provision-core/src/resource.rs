//! The contract of a kind, and the list of kinds.
//!
//! A kind is pure and synchronous: from its spec it says what it provides and wants, what to ask the host, how the
//! answer differs from what is wanted, and which steps close the difference. It never sees the engine, the transport,
//! events or another kind.

use std::collections::BTreeMap;
use std::fmt;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::blob::Blob;
use crate::change::{Action, Cause, Change, Shown};
use crate::check::Check;
use crate::edit::Edit;
use crate::edit::draft::{Draft, Drafts};
use crate::facts::{Homes, KeptSecrets, Lends};
use crate::fetch::{Download, Outside};
use crate::knob::Knob;
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::asset::Assets;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::quadlet::QuadletType;
use crate::secret::{Revealed, Text};
use crate::step::{Await, Step};
use crate::systemd::Managed;

pub mod absent;
pub mod archive;
pub mod authorized_key;
pub mod build;
pub mod certificate;
pub mod certificate_authority;
pub mod check;
pub mod command;
pub mod container;
pub(crate) mod definition;
pub mod directory;
pub mod download;
pub(crate) mod edit;
pub mod file;
pub mod firewall;
pub mod group;
pub mod haproxy;
pub mod hostname;
pub mod hosts_entry;
pub mod http;
pub mod image;
pub mod image_unit;
pub mod ini;
pub mod json;
pub mod kernel_module;
pub mod kube;
pub mod line;
pub mod linger;
pub mod link;
pub(crate) mod made_up;
pub mod mount;
pub mod network;
pub mod package;
pub mod pod;
pub mod preflight;
pub(crate) mod quadlet;
pub mod quadlet_dropin;
pub mod random;
pub(crate) mod scope;
pub mod secret;
pub(crate) mod selinux;
pub mod selinux_boolean;
pub mod selinux_context;
pub mod service;
pub mod sysctl;
pub mod toml;
pub mod trust_anchor;
pub mod unit;
pub mod user;
pub mod volume;
pub mod yaml;

/// Every kind, in the order of the reference.
pub static KINDS: &[&Kind] = &[
    &directory::KIND,
    &file::KIND,
    &link::KIND,
    &absent::KIND,
    &line::KIND,
    &ini::KIND,
    &toml::KIND,
    &yaml::KIND,
    &json::KIND,
    &hosts_entry::KIND,
    &authorized_key::KIND,
    &download::KIND,
    &archive::KIND,
    &package::KIND,
    &group::KIND,
    &user::KIND,
    &certificate_authority::KIND,
    &certificate::KIND,
    &image::KIND,
    &container::KIND,
    &pod::KIND,
    &volume::KIND,
    &network::KIND,
    &secret::KIND,
    &image_unit::KIND,
    &build::KIND,
    &kube::KIND,
    &quadlet_dropin::KIND,
    &unit::KIND,
    &service::KIND,
    &linger::KIND,
    &firewall::KIND,
    &sysctl::KIND,
    &selinux_boolean::KIND,
    &selinux_context::KIND,
    &trust_anchor::KIND,
    &kernel_module::KIND,
    &mount::KIND,
    &hostname::KIND,
    &haproxy::KIND,
    &command::KIND,
    &http::KIND,
    &check::KIND,
    &preflight::KIND,
    &random::KIND,
];

/// A kind of resource, as plans and the reference know it.
pub struct Kind {
    /// The key in a plan: `[name.x]`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Its fields, in the order of the reference.
    pub fields: &'static [Field],
    /// A complete example that parses, in TOML.
    pub example: &'static str,
    /// Fields that name a template file beside the plan; the plan replaces the name by the rendered text.
    pub templates: &'static [&'static str],
    /// Fields that name a file beside the plan which is sent as it is: what counts of them is what is in the file.
    pub assets: &'static [&'static str],
    /// Reads the fields of one resource. It gives none when there was a finding that it cannot do without.
    pub read: fn(&Fields<'_>, &Setup<'_>) -> Option<Box<dyn Resource>>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

/// A field of a kind, for the reference.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it takes, such as `path`, `list of text` or `"started" | "stopped"`.
    pub takes: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// What it is for and what holds without it.
    pub doc: &'static str,
}

/// The kind of that name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// The type of Quadlet files that a kind makes; none for another kind.
#[must_use]
pub fn quadlet_type(kind: &Kind) -> Option<QuadletType> {
    QuadletType::ALL.into_iter().find(|quadlet_type| quadlet::kind_of(*quadlet_type) == kind.name)
}

/// What reading a resource may need besides its fields.
pub struct Setup<'a> {
    /// The resource's own address.
    pub address: &'a Address,
    /// The plan's name.
    pub plan: &'a str,
    /// The files beside the plan.
    pub assets: &'a dyn Assets,
    /// Home directories on the host.
    pub homes: &'a Homes<'a>,
    /// Secrets that are kept on the host.
    pub kept: &'a KeptSecrets<'a>,
    /// What it lends to other hosts.
    pub lends: Lends<'a>,
}

/// One resource: what is wanted of one thing on one host.
pub trait Resource: fmt::Debug + Send + Sync {
    /// What is there once the resource is as wanted.
    fn provides(&self) -> Vec<Thing>;

    /// What it makes or changes on the host once all of it is done: what the plan then owns, in the order in which its steps
    /// touch it. What several resources may share, such as the directory that a definition makes for itself, is left out.
    fn objects(&self) -> Vec<Object> {
        let object = |thing: Thing| match thing {
            Thing::Directory(path) | Thing::Path(path) => Some(Object::Path(path)),
            Thing::Running(unit) => Some(Object::Unit(unit)),
            Thing::Image(name) => Some(Object::Image(name)),
            Thing::Edit(edit) => Some(Object::Edit(edit)),
            Thing::Knob(knob) => Some(Object::Knob(knob)),
            Thing::Mount(_) | Thing::Unit(_) | Thing::Install(_) | Thing::Quadlet(_) | Thing::Port { .. } => None,
        };
        self.provides().into_iter().filter_map(object).collect()
    }

    /// What is wanted, attribute by attribute, under the names and with the values that a change would show as `after`. It
    /// tells a host that has moved from a plan that has. What is known only once it is done is left out.
    fn wanted(&self) -> Vec<(&'static str, Shown)> {
        Vec::new()
    }

    /// What of an attribute, as it was last applied, the plan still wants; all of it without this. Where a change shows only what
    /// is wanted now of what the host has, what was wanted before is not missing there.
    fn still_wanted(&self, _attribute: &str, applied: &str) -> Option<String> {
        Some(applied.to_owned())
    }

    /// What must be there before.
    fn wants(&self) -> Vec<Want> {
        Vec::new()
    }

    /// What to ask the host.
    fn asks(&self) -> Vec<Ask>;

    /// How the host differs from what is wanted.
    ///
    /// # Errors
    /// When the answers do not tell: never to say that something differs.
    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided>;

    /// The steps that make the change. Called for a change that this resource's diff made, on the same answers.
    ///
    /// # Errors
    /// When what the steps need, such as key material, cannot be made.
    fn steps(&self, change: &Change, answers: &Answers, materials: &Materials) -> Result<Vec<Step>, Undecided>;

    /// The file of which it changes a piece, as it leaves that file to whoever changes another piece of it; `drafts` are files as
    /// others leave them to this one.
    fn leaves(&self, _answers: &Answers, _drafts: &Drafts) -> Option<(AbsPath, Draft)> {
        None
    }

    /// Files whose bytes [`Resource::steps`] needs for a change, or the check of [`Resource::watch`], such as an
    /// authority's key. The change is none where only that check is to come: a key must not travel for anything else.
    fn reads(&self, _change: &Change) -> Vec<AbsPath> {
        Vec::new()
    }

    /// Contents of files that this side has already, for whatever [`Resource::reads`] them: those of a certificate authority
    /// that somebody brings, whose key need not be on the host. They are there at each apply, whether or not it changes.
    fn brings(&self) -> Vec<(AbsPath, Zeroizing<Vec<u8>>)> {
        Vec::new()
    }

    /// What people should know in time although there is nothing to do, such as the end of a certificate that only they can
    /// renew: a sentence without a full stop.
    fn notice(&self, _answers: &Answers, _context: &Context<'_>) -> Option<String> {
        None
    }

    /// What [`Resource::steps`] needs for a change that this side has to download first.
    fn downloads(&self, _change: &Change) -> Option<Download> {
        None
    }

    /// What it gets from outside of the plan and the files beside it, whether or not anything changes now.
    fn outside(&self) -> Vec<Outside> {
        Vec::new()
    }

    /// Resources whose change makes the steps of this one necessary. From the moment one of them changes the steps are owed
    /// until they are done, however often an apply ends early.
    fn when_changed(&self) -> &[Address] {
        &[]
    }

    /// What is watched, at each apply, once everything that the resource wants is there.
    fn watch(&self) -> Option<Watch> {
        None
    }

    /// Attributes for templates of other resources that nobody may see.
    fn secrets(&self) -> Vec<(&'static str, Text)> {
        Vec::new()
    }

    /// Secrets that it puts somewhere, as they are there: nobody may see them in what the host says either. What was given
    /// as a secret is known without it.
    fn hidden(&self) -> Vec<Text> {
        Vec::new()
    }

    /// A secret that this change makes up and that people are to see once, when it has been made.
    fn reveals(&self, _change: &Change) -> Option<Revealed> {
        None
    }

    /// Attributes for templates of other resources, besides the fields as they are written.
    fn attributes(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Something that a resource provides or wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A directory.
    Directory(AbsPath),
    /// A file or link.
    Path(AbsPath),
    /// A file system that is mounted there.
    Mount(AbsPath),
    /// What defines a systemd unit or configures it.
    Unit(Managed),
    /// The `[Install]` of a unit: what it takes to enable it.
    Install(Managed),
    /// A systemd unit that is running, or as its service resource wants it.
    Running(Managed),
    /// A unit of podman's, by its file name: `data.volume`.
    Quadlet(Managed),
    /// An image in podman's store.
    Image(Managed),
    /// A piece of a file that others own.
    Edit(Edit),
    /// A piece of state such as a user, a package or a kernel parameter.
    Knob(Knob),
    /// A port that something listens on, as `8443/tcp`, with the address it binds.
    Port {
        /// As written: `0.0.0.0`, `::`.
        address: String,
        /// `8443/tcp`.
        port: String,
    },
}

impl Thing {
    /// Whether more comes with it than anybody knows before: the files and units of a package.
    pub(crate) fn brings_more(&self) -> bool {
        matches!(self, Self::Knob(knob) if knob.sort().word == package::WORD)
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "the directory {path}"),
            Self::Path(path) => write!(f, "the file {path}"),
            Self::Mount(path) => write!(f, "the file system on {path}"),
            Self::Unit(name) => write!(f, "the unit {name}"),
            Self::Install(name) => write!(f, "the [Install] of {name}"),
            Self::Running(name) => write!(f, "the running unit {name}"),
            Self::Quadlet(name) => write!(f, "the Quadlet unit {name}"),
            Self::Image(name) => write!(f, "the image {}", name.spelled()),
            Self::Edit(edit) => f.write_str(&edit.title()),
            Self::Knob(knob) => f.write_str(&knob.title()),
            Self::Port { address, port } => write!(f, "port {port} on {address}"),
        }
    }
}

/// Something that must be there before, and what follows from its change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// What is wanted.
    pub target: Target,
    /// What follows from its change.
    pub relation: Relation,
    /// Whether the plan must provide it. Without this, what the plan does not provide is expected on the host.
    pub required: bool,
}

impl Want {
    /// Comes after the target and nothing more.
    #[must_use]
    pub const fn after(target: Target) -> Self {
        Self { target, relation: Relation::After, required: false }
    }

    /// Uses the target: its change reaches whatever runs on top.
    #[must_use]
    pub const fn uses(target: Target) -> Self {
        Self { target, relation: Relation::Uses, required: false }
    }

    /// The same, and the plan must provide it.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// How a want names what it wants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The nearest managed directory that contains the path.
    Parent(AbsPath),
    /// Whatever stands at the path or below it, and the nearest managed directory above.
    Tree(AbsPath),
    /// Exactly this thing.
    Thing(Thing),
    /// Whatever listens on the port (`8443/tcp`), running.
    Port(String),
    /// A resource, by its address.
    Resource(Address),
}

/// What follows from the change of something wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Only the order.
    After,
    /// What runs with it restarts or reloads.
    Uses,
}

/// What a diff may look at besides the answers.
pub struct Context<'a> {
    /// The time for which changes are made up, given by whoever embeds the library: of a sealed plan that when it was sealed.
    pub now: OffsetDateTime,
    /// The time when the host was asked.
    pub clock: OffsetDateTime,
    /// What changes upstream, of the things that this resource wants directly or not.
    pub(crate) upstream: &'a BTreeMap<Thing, &'a Change>,
    /// What resources upstream provide, changed or not.
    pub(crate) provided: &'a [&'a Thing],
    /// Whether something upstream is going to happen of which nobody knows before what it brings: a command, a package.
    pub(crate) command: bool,
    /// The changes that reach this resource through what it uses.
    pub causes: Vec<Cause>,
    /// Units that are owed a restart since an earlier apply, and commands that are owed a run.
    pub owed: &'a [String],
    /// Whether the resource belongs to this plan already and the plan's last apply did not come to a good end: what it is made
    /// of may be there in part. What was there before is kept on the host.
    pub unfinished: bool,
    /// Files of which others before this resource change pieces, as they leave them.
    pub drafts: &'a Drafts,
}

impl Context<'_> {
    /// What an earlier resource of the same apply is going to do to a thing; nothing when it stays.
    #[must_use]
    pub fn pending(&self, thing: &Thing) -> Option<Action> {
        self.upstream(thing).map(|change| change.action)
    }

    /// The whole change that an earlier resource of the same apply makes to a thing.
    #[must_use]
    pub fn upstream(&self, thing: &Thing) -> Option<&Change> {
        self.upstream.get(thing).copied()
    }

    /// Whether anything upstream changes at all.
    #[must_use]
    pub fn anything_pending(&self) -> bool {
        // A command provides nothing that could tell.
        !self.upstream.is_empty() || self.command
    }

    /// Whether a resource upstream provides a thing, changed or not.
    #[must_use]
    pub fn provided(&self, thing: &Thing) -> bool {
        self.provided.contains(&thing)
    }

    /// Whether a command upstream is going to run, or a package to come: what it brings cannot be known before.
    #[must_use]
    pub fn command_pending(&self) -> bool {
        self.command
    }

    /// Whether a unit upstream is going to start, restart or reload: what it answers may be another answer then, and is none
    /// for a while.
    #[must_use]
    pub fn anything_starts(&self) -> bool {
        self.upstream.keys().any(|thing| matches!(thing, Thing::Running(_)))
    }

    /// Makes sure that an authority's certificate is there, or that something changes which may make it: without it nobody
    /// could be asked over TLS.
    ///
    /// # Errors
    /// When there is none and none can come.
    pub fn require_authority(&self, path: &AbsPath, answers: &Answers) -> Result<(), Undecided> {
        if answers.path(path)?.entry().is_some() || self.anything_pending() {
            return Ok(());
        }
        Err(Undecided::with_help(
            format!("the authority's certificate {path} is not on the host, and nothing changes that could make it"),
            "correct `authority`, or write in `after` what makes the file",
        ))
    }

    /// Makes sure that the directory of a path is there or comes: without it the change would fail half-way.
    ///
    /// # Errors
    /// When there is no directory and none comes.
    pub fn require_parent(&self, path: &AbsPath, answers: &Answers) -> Result<(), Undecided> {
        use crate::probe::Sort;
        let Some(parent) = path.parent() else { return Ok(()) };
        // What a command or a package brings cannot be known before.
        if self.pending(&Thing::Directory(parent.clone())).is_some()
            || self.pending(&Thing::Path(parent.clone())).is_some()
            || self.pending(&Thing::Mount(parent.clone())).is_some()
            || self.command
        {
            return Ok(());
        }
        match answers.path(&parent)?.entry().map(|entry| &entry.sort) {
            // A link may well lead to a directory; what it leads to is the host's business.
            Some(Sort::Directory | Sort::Link(_)) => Ok(()),
            Some(other) => Err(Undecided::with_help(
                format!("{parent} is a {}, not a directory", other.name()),
                "move it away, or choose another path",
            )),
            None => Err(Undecided::with_help(
                format!("the directory {parent} does not exist on the host, and the plan does not make it"),
                format!("add a directory resource with path = \"{parent}\""),
            )),
        }
    }
}

/// Bytes that steps need and that only the host or an earlier step has. Wiped when they go.
#[derive(Default)]
pub struct Materials {
    files: BTreeMap<AbsPath, Zeroizing<Vec<u8>>>,
    /// Files as steps before leave them that change pieces of them.
    pub(crate) drafts: Drafts,
    downloads: BTreeMap<Download, Blob>,
    /// The time, as for [`Context::now`].
    pub(crate) now: Option<OffsetDateTime>,
}

impl Materials {
    /// With the time at which things are made.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Self {
        Self { now: Some(now), ..Self::default() }
    }

    /// Keeps the content of a file.
    pub fn insert(&mut self, path: AbsPath, content: Zeroizing<Vec<u8>>) {
        self.files.insert(path, content);
    }

    /// Keeps what was downloaded.
    pub fn insert_download(&mut self, download: Download, content: Blob) {
        self.downloads.insert(download, content);
    }

    /// What was downloaded.
    ///
    /// # Errors
    /// When it was not asked for by [`Resource::downloads`].
    pub fn download(&self, download: &Download) -> Result<&Blob, Undecided> {
        self.downloads.get(download).ok_or_else(|| Undecided::new(format!("{} was not downloaded", download.url)))
    }

    /// Whether a file's content is known.
    #[must_use]
    pub fn has(&self, path: &AbsPath) -> bool {
        self.files.contains_key(path)
    }

    /// The content of a file.
    ///
    /// # Errors
    /// When it was not asked for by [`Resource::reads`] or is not there.
    pub fn file(&self, path: &AbsPath) -> Result<&[u8], Undecided> {
        self.files
            .get(path)
            .map(|content| content.as_slice())
            .ok_or_else(|| Undecided::new(format!("cannot read {path} on the host")))
    }

    /// The time.
    ///
    /// # Errors
    /// When the engine gave none.
    pub fn now(&self) -> Result<OffsetDateTime, Undecided> {
        self.now.ok_or_else(|| Undecided::new("the time is not known"))
    }
}

impl fmt::Debug for Materials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

/// Something that is waited for at each apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// From this side, through the connection.
    Here(Check),
    /// On the host.
    Host(Await),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::asset::NoAssets;
    use crate::testing::case;

    #[test]
    fn every_kind_keeps_the_contract() {
        for kind in KINDS {
            crate::testing::contract(kind, Arc::new(NoAssets));
        }
    }

    #[test]
    fn a_resource_says_what_it_holds_and_wants() {
        let unit = "sections.Service.ExecStart = '/bin/a'";
        let file = "content: (3 lines), mode: 0644";
        for (kind, fields, holds, wants) in [
            (
                "directory",
                "path = '/srv/d'\nowner = 'core'\ngroup = '7'",
                "path /srv/d",
                "mode: 0755, owner: core, group: 7",
            ),
            ("file", "path = '/srv/f'\ncontent = 'a'", "path /srv/f", "content: (1 lines), mode: 0644"),
            ("link", "path = '/srv/l'\ntarget = '/x'", "path /srv/l", "target: /x"),
            (
                "certificate_authority",
                "directory = '/srv'\ncommon_name = 'a'\nkey_type = 'ecdsa-p256'",
                "path /srv/x.key; path /srv/x.crt",
                "common_name: a, key_type: ecdsa-p256, path_length: 0, is_ca: true, mode: 0644, key_mode: 0600",
            ),
            (
                "certificate",
                "directory = '/srv'\nnames = ['a']\nkey_type = 'ecdsa-p256'\ncombined = '/srv/p'\nkey_group = 'g'\nauthorities = '/srv/r'",
                "path /srv/x.key; path /srv/p; path /srv/r; path /srv/x.crt",
                "common_name: a, names: a, usages: server-auth, key_type: ecdsa-p256, is_ca: false, mode: 0644, authorities_mode: 0644, combined_mode: 0600, combined_group: g, key_mode: 0600, key_group: g",
            ),
            (
                "certificate",
                "directory = '/srv'\nnames = ['b.example', 'a.example']\nkey_type = 'ecdsa-p256'\nkey_mode = '0640'\ngroup = 'g'",
                "path /srv/x.key; path /srv/x.crt",
                "common_name: a.example, names: a.example, b.example, usages: server-auth, key_type: ecdsa-p256, is_ca: false, mode: 0644, group: g, key_mode: 0640, key_group: g",
            ),
            ("image", "name = 'quay.io/a/b:1'\npull = true", "image quay.io/a/b:1", ""),
            (
                "container",
                "image = 'quay.io/a/b:1'\npublish = ['127.0.0.1:80:80']\nunit.After = 'a.service'",
                "path /etc/containers/systemd/x.container",
                "content: (15 lines), mode: 0644",
            ),
            ("pod", "", "path /etc/containers/systemd/x.pod", "content: (8 lines), mode: 0644"),
            (
                "volume",
                "",
                "volume systemd-x x-volume.service; path /etc/containers/systemd/x.volume",
                "content: (1 lines), mode: 0644",
            ),
            (
                "volume",
                "podman_name = 'data'\noptions.ServiceName = 'store'",
                "volume data store.service; path /etc/containers/systemd/x.volume",
                file,
            ),
            ("volume", "directory = '/srv'", "path /srv/x.volume", "content: (1 lines), mode: 0644"),
            ("volume", "file_name = 'x@'", "path /etc/containers/systemd/x@.volume", "content: (1 lines), mode: 0644"),
            (
                "network",
                "podman_name = 'front'",
                "network front x-network.service; path /etc/containers/systemd/x.network",
                "content: (2 lines), mode: 0644",
            ),
            (
                "unit",
                &format!("unit = 'a.service'\n{unit}"),
                "path /etc/systemd/system/a.service",
                "content: (2 lines), mode: 0644",
            ),
            (
                "unit",
                &format!("unit = 'a.service'\ndropin = '10-b'\n{unit}"),
                "path /etc/systemd/system/a.service.d/10-b.conf",
                "content: (2 lines), mode: 0644",
            ),
            (
                "service",
                "unit = 'a'\nstate = 'stopped'",
                "unit a.service",
                "definition: read, enabled: false, state: stopped",
            ),
            (
                "firewall",
                "ports = ['80/tcp', '90-91/udp', '80/tcp']",
                "knob firewall port 80/tcp; knob firewall port 90-91/udp",
                "permanent: 80/tcp, 90-91/udp, running: 80/tcp, 90-91/udp",
            ),
            (
                "firewall",
                "zone = 'public'\nports = ['80/tcp']",
                "knob firewall zone=public port 80/tcp",
                "permanent: 80/tcp, running: 80/tcp",
            ),
            ("command", "run = ['a']\ncreates = '/srv/c'", "", ""),
            ("check", "url = 'http://127.0.0.1:8080/'", "", ""),
        ] {
            case(kind, fields).holds(holds).wants(wants);
        }
        let secret = "path = '/srv/f'\ncontent = '{{ input.s }}'\n";
        case("file", secret).secret_input("s", "hunter22").wants("content: (secret), mode: 0600");
    }

    #[test]
    fn what_runs_in_a_pod_is_held_by_the_pods_service() {
        case("container", "image = 'quay.io/a/b:1'\npod = 'y.pod'")
            .plan("[pod.y]\n[service.y]\nunit = '{{ pod.y.unit_name }}'\n")
            .holds("path /etc/containers/systemd/x.container");
    }

    #[test]
    fn a_volume_is_claimed_before_anything_can_make_it_and_not_for_its_mode() {
        let put = "claim volume systemd-x x-volume.service; put the file /etc/containers/systemd/x.volume in place; let systemd read its units";
        case("volume", "").steps(put);
        case("volume", "")
            .given_file("/etc/containers/systemd/x.volume", "[Volume]\n", "0600")
            .steps("set mode and owner of /etc/containers/systemd/x.volume");
    }
}
