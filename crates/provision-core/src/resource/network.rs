//! `network`: a network of podman's, by a Quadlet file. It is made when the first container that uses it starts, and
//! not changed afterwards.

use std::net::IpAddr;
use std::str::FromStr;

use crate::plan::fields::Fields;
use crate::quadlet::QuadletType;
use crate::resource::quadlet::{
    DESCRIPTION, DIRECTORY, Draft, FILE_NAME, INSTALL, INSTANCES, OPTIONS, PODMAN_NAME, QUADLET, SERVICE, UNIT,
};
use crate::resource::{Field, Kind, Resource, Setup};

/// The kind.
pub static KIND: Kind = Kind {
    name: "network",
    summary: "A network of podman's, by a Quadlet file.",
    fields: &[
        Field {
            name: "subnets",
            takes: "list of ADDRESS/LENGTH",
            required: false,
            doc: "Its addresses, one range a family; podman chooses an IPv4 range without it.",
        },
        Field { name: "ipv6", takes: "boolean", required: false, doc: "Whether it has IPv6 as well." },
        Field {
            name: "internal",
            takes: "boolean",
            required: false,
            doc: "Whether it leads nowhere but to its containers.",
        },
        DESCRIPTION,
        PODMAN_NAME,
        FILE_NAME,
        INSTANCES,
        DIRECTORY,
        OPTIONS,
        UNIT,
        SERVICE,
        INSTALL,
        QUADLET,
    ],
    example: r#"
[network.front]
ipv6 = true
subnets = ["10.89.7.0/24", "fd00:7::/64"]
options = { Gateway = "10.89.7.1" }
"#,
    templates: &[],
    assets: &[],
    read,
};

/// A range of addresses: `10.89.7.0/24`.
struct Subnet(String);

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a subnet is an address and the length of its prefix, such as \"10.89.7.0/24\"".to_owned();
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let longest = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        match length.parse::<u8>() {
            Ok(length) if length <= longest => Ok(Self(text.to_owned())),
            _ => Err(wrong()),
        }
    }
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let mut draft = Draft::new(QuadletType::Network, fields, setup);
    for Subnet(subnet) in fields.list("subnets") {
        draft.set("subnets", "Subnet", &subnet);
    }
    for (field, key) in [("ipv6", "IPv6"), ("internal", "Internal")] {
        if let Some(value) = fields.boolean(field) {
            draft.set(field, key, if value { "true" } else { "false" });
        }
    }
    draft.options();
    draft.finish().map(|quadlet| Box::new(quadlet) as Box<dyn Resource>)
}
