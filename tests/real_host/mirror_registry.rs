//! `playbooks/mirror-registry` on real hosts, with images that stand in for Quay's.

mod two;

use provision_tests::{Build, Error, Host, Payload, Testbed};

use crate::registry::names;
use crate::support::Plan;

/// The playbook for a host, known to clients by one name for each family.
pub fn plan(bed: &Testbed, host: &Host, payload: Payload) -> Result<Plan, Error> {
    let image = bed.quay_images()?.quay(payload, Build::First);
    Ok(Plan::new("playbooks/mirror-registry/plan.toml")
        .variable("address", host.ipv4)
        .variable("hostname", format!("{}.example.com", host.name))
        .variable("names", names(host).join(","))
        .variable("image", image.name)
        .variable("archive", image.archive.display())
        .variable("space", "1G"))
}
