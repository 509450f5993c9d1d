//! What a plan makes or changes on a host, in the pieces in which it is taken back, and what was there before.
//!
//! An object is written down on the host before it is first touched. Both sides of that note are one line of text that
//! people can read; the host writes it, and both the host and this side read it.

use std::fmt;
use std::str::FromStr;

use crate::address::Address;
use crate::attribute::Mode;
use crate::blob::sha256_hex;
use crate::edit::Edit;
use crate::knob::Knob;
use crate::path::AbsPath;
use crate::saved::Saved;
use crate::systemd::{Managed, Manager};

/// One thing on a host that can be taken back by itself.
///
/// Its text is one line: a word for its sort, then its names, parted by one blank; a path comes last and may have
/// blanks itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// Whatever stands at a path: `path /etc/motd`.
    Path(AbsPath),
    /// Whether a systemd unit runs, and whether it starts at boot: `unit haproxy.service`, `unit core/registry.service`.
    Unit(Managed),
    /// A name in podman's image store: `image localhost/registry:1`; in that of a user `image core localhost/registry:1`. An
    /// image itself has its ID, 64 hex digits, in place of a name: it stays when another gets its name.
    Image(Managed),
    /// A volume of podman's and the unit that makes it: `volume systemd-data data-volume.service`, or
    /// `volume systemd-data core/data-volume.service`. It is data.
    Volume {
        /// As podman has it.
        name: String,
        /// The service that makes it, and whose both are.
        unit: Managed,
    },
    /// A network of podman's and the unit that makes it: `network systemd-net net-network.service`.
    Network {
        /// As podman has it.
        name: String,
        /// The service that makes it, and whose both are.
        unit: Managed,
    },
    /// A piece of a file that others own: `edit json auths.quay /etc/x.json`.
    Edit(Edit),
    /// A piece of state that is read and set as one text: `knob sysctl net/ipv4/ip_forward`.
    Knob(Knob),
    /// Data as they were while their unit was stopped for another version of it:
    /// `snapshot core/registry.service path /var/lib/quay/quay.db`. Only the history has such records.
    Snapshot {
        /// The unit, and whose both are.
        unit: Managed,
        /// The data.
        of: Saved,
    },
}

impl Object {
    /// The name under which the host keeps its note: 16 hex digits that depend on the text alone.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = sha256_hex(self.to_string().as_bytes());
        key.truncate(16);
        key
    }

    /// Whether nobody else may hold the other while this one is held: it is the same, or a part of it.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Edit(one), Self::Edit(two)) => one.overlaps(two),
            (Self::Edit(edit), Self::Path(path)) | (Self::Path(path), Self::Edit(edit)) => edit.path == *path,
            (one, two) => one == two,
        }
    }

    /// The path, for what stands at one.
    #[must_use]
    pub fn path(&self) -> Option<&AbsPath> {
        if let Self::Path(path) = self { Some(path) } else { None }
    }

    /// The ID and whose it is, for an image that is meant itself and not by a name.
    pub(crate) fn image_id(&self) -> Option<&Managed> {
        let is_id = |name: &str| name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if let Self::Image(image) = self { Some(image).filter(|image| is_id(&image.name)) } else { None }
    }

    /// Whether it is of a user's systemd or podman.
    pub(crate) fn is_of_a_user(&self) -> bool {
        match self {
            Self::Unit(unit)
            | Self::Image(unit)
            | Self::Volume { unit, .. }
            | Self::Network { unit, .. }
            | Self::Snapshot { unit, .. } => unit.manager != Manager::System,
            Self::Path(_) | Self::Edit(_) | Self::Knob(_) => false,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "path {path}"),
            Self::Unit(name) => write!(f, "unit {name}"),
            Self::Image(Managed { manager: Manager::System, name }) => write!(f, "image {name}"),
            Self::Image(Managed { manager, name }) => write!(f, "image {} {name}", manager.word()),
            Self::Volume { name, unit } => write!(f, "volume {name} {unit}"),
            Self::Network { name, unit } => write!(f, "network {name} {unit}"),
            Self::Edit(edit) => write!(f, "edit {edit}"),
            Self::Knob(knob) => write!(f, "knob {knob}"),
            Self::Snapshot { unit, of } => write!(f, "snapshot {unit} {of}"),
        }
    }
}

impl FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an object");
        let (sort, rest) = text.split_once(' ').ok_or_else(wrong)?;
        let words: Vec<&str> = rest.split(' ').collect();
        let object = match (sort, words.as_slice()) {
            ("path", _) => Self::Path(rest.parse().map_err(|_| wrong())?),
            ("unit", [name]) => Self::Unit(name.parse().map_err(|_| wrong())?),
            ("image", [name]) => Self::Image(Managed::system(*name)),
            ("image", [word, name]) => {
                let manager = Manager::from_word(word).filter(|manager| *manager != Manager::System);
                Self::Image(Managed::new(&manager.ok_or_else(wrong)?, *name))
            }
            ("edit", _) => Self::Edit(rest.parse().map_err(|_| wrong())?),
            ("knob", _) => Self::Knob(rest.parse().map_err(|_| wrong())?),
            ("snapshot", _) => {
                let (unit, of) = rest.split_once(' ').ok_or_else(wrong)?;
                Self::Snapshot { unit: unit.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? }
            }
            ("volume", [name, unit]) => {
                Self::Volume { name: (*name).to_owned(), unit: unit.parse().map_err(|_| wrong())? }
            }
            ("network", [name, unit]) => {
                Self::Network { name: (*name).to_owned(), unit: unit.parse().map_err(|_| wrong())? }
            }
            _ => return Err(wrong()),
        };
        Ok(object)
    }
}

/// What an object was before it was touched. Its text is one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Was {
    /// It was not there: no such path, image name, volume or network; a port that was closed.
    Absent,
    /// It was there, and nothing more is known or needed: a port that was open, a volume, a network.
    Present,
    /// A directory: `directory:0755:0:0`.
    Directory {
        /// Permission bits.
        mode: Mode,
        /// The owner's number.
        user: u32,
        /// The group's number.
        group: u32,
    },
    /// A regular file, of which a copy is kept: `file:0644:0:0:12:SHA256`.
    File {
        /// Permission bits.
        mode: Mode,
        /// The owner's number.
        user: u32,
        /// The group's number.
        group: u32,
        /// In bytes.
        size: u64,
        /// Lower-case hex.
        sha256: String,
    },
    /// A symbolic link, of which a copy is kept: `link`.
    Link,
    /// Something else at a path, which cannot be put back: `other`.
    Other,
    /// A unit, in the words of systemctl(1): `unit:active:enabled`; a unit that was not known to systemd has `unknown`
    /// for both.
    Unit {
        /// `ActiveState`.
        active: String,
        /// `UnitFileState`; `none` when there is no file.
        file: String,
    },
    /// An image's name and what it named: `image:ID`, in hex.
    Image(String),
    /// A piece of a file, there or not, of which a note is kept ([`crate::edit::Note`]): `edit`.
    Edit,
    /// A knob that was there, whose state is kept beside the record: `knob`.
    Knob,
    /// Data, of which a copy of so many bytes is kept: `copy:40960`.
    Copy(u64),
}

impl fmt::Display for Was {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Present => f.write_str("present"),
            Self::Directory { mode, user, group } => write!(f, "directory:{mode}:{user}:{group}"),
            Self::File { mode, user, group, size, sha256 } => write!(f, "file:{mode}:{user}:{group}:{size}:{sha256}"),
            Self::Link => f.write_str("link"),
            Self::Other => f.write_str("other"),
            Self::Unit { active, file } => write!(f, "unit:{active}:{file}"),
            Self::Image(id) => write!(f, "image:{id}"),
            Self::Edit => f.write_str("edit"),
            Self::Knob => f.write_str("knob"),
            Self::Copy(bytes) => write!(f, "copy:{bytes}"),
        }
    }
}

impl FromStr for Was {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} does not say what was there");
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let bits = |text: &str| text.parse::<Mode>().map_err(|_| wrong());
        let parts: Vec<&str> = text.split(':').collect();
        Ok(match parts.as_slice() {
            ["absent"] => Self::Absent,
            ["present"] => Self::Present,
            ["link"] => Self::Link,
            ["edit"] => Self::Edit,
            ["knob"] => Self::Knob,
            ["other"] => Self::Other,
            ["directory", mode, user, group] => {
                Self::Directory { mode: bits(mode)?, user: number(user)?, group: number(group)? }
            }
            ["file", mode, user, group, size, sha256] => Self::File {
                mode: bits(mode)?,
                user: number(user)?,
                group: number(group)?,
                size: size.parse().map_err(|_| wrong())?,
                sha256: (*sha256).to_owned(),
            },
            ["unit", active, file] => Self::Unit { active: (*active).to_owned(), file: (*file).to_owned() },
            ["image", id] => Self::Image((*id).to_owned()),
            ["copy", bytes] => Self::Copy(bytes.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        })
    }
}

/// What the host wrote down of an object before it was touched: `3 file.motd absent path /etc/motd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The number of the apply that touched it.
    pub apply: u32,
    /// The resource on whose behalf.
    pub address: Address,
    /// What it was.
    pub was: Was,
    /// The object.
    pub object: Object,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { apply, address, was, object } = self;
        write!(f, "{apply} {address} {was} {object}")
    }
}

impl FromStr for Record {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a record");
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next().ok_or_else(wrong);
        let (apply, address, was, object) = (next()?, next()?, next()?, next()?);
        Ok(Self {
            apply: apply.parse().map_err(|_| wrong())?,
            address: address.parse()?,
            was: was.parse()?,
            object: object.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_records_are_read_as_they_are_written() {
        let sha256 = "0".repeat(64);
        for text in [
            "1 file.motd absent path /etc/a b ",
            "12 file.motd file:0644:0:1000:12:SHA path /etc/motd",
            "1 directory.d directory:1777:0:0 path /tmp",
            "1 link.l link path /l",
            "1 service.s unit:active:enabled unit a@b.service",
            "1 image.i image:abc image localhost/registry:1",
            "1 service.s unit:unknown:unknown unit core/registry.service",
            "1 service.s unit:active:enabled unit ~/registry.service",
            "1 image.i absent image core localhost/registry:1",
            "1 image.i absent image ~ localhost/registry:1",
            "1 volume.v absent volume systemd-data core/data-volume.service",
            "1 firewall.f knob knob firewall zone=public port 5000-5010/udp",
            "1 volume.v absent volume systemd-data data-volume.service",
            "1 network.n absent network systemd-net net-network.service",
            "1 json.j edit edit json auths.\"a.b\" /etc/a b.json",
            "1 line.l edit edit line \"=a\\u0020b\" /etc/a",
            "1 sysctl.s knob knob sysctl net/ipv4/ip_forward",
            "1 service.s copy:40960 snapshot core/registry.service path /srv/a b.db",
            "1 service.s absent snapshot registry.service volume systemd-data",
        ] {
            let text = text.replace("SHA", &sha256);
            assert_eq!(text.parse::<Record>().map(|record| record.to_string()), Ok(text));
        }
        for wrong in [
            "",
            "1 a.b absent",
            "x a.b absent path /a",
            "1 a.b gone path /a",
            "1 a.b absent path a",
            "1 a.b absent image - a:1",
        ] {
            assert!(wrong.parse::<Record>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_of_the_text_alone() {
        let object: Object = "path /etc/motd".parse().unwrap();
        assert_eq!(object.key(), &sha256_hex(b"path /etc/motd")[..16]);
    }
}
