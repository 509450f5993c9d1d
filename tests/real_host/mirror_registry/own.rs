//! A site's own certificate, with all that can be wrong about one.

use std::path::PathBuf;

use provision_tests::{Error, Host, Testbed};

use crate::support::Plan;

/// What the site has, in a directory of this side.
pub struct Own {
    directory: PathBuf,
    /// The serial number of the good one, as openssl says it.
    pub serial: &'static str,
}

/// Made on the host, which has openssl.
const MAKE: &str = r#"
set -e; d=$(mktemp -d); cd "$d"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
key ca.key; key good.key; key expired.key
openssl req -x509 -new -key ca.key -out ca.crt -days 30 -subj '/CN=Site' -addext keyUsage=critical,keyCertSign
printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n' "$NAMES" >ext
openssl req -new -key good.key -subj /CN=quay | openssl x509 -req -CA ca.crt -CAkey ca.key -extfile ext -out good.crt -set_serial 0x5157 -days 20 2>/dev/null
openssl req -new -key expired.key -subj /CN=quay | openssl x509 -req -CA ca.crt -CAkey ca.key -extfile ext -out expired.crt \
  -set_serial 0x5158 -not_before 20240101000000Z -not_after 20240201000000Z 2>/dev/null
for f in *.crt *.key; do echo "@ $f"; cat "$f"; done; cd /; rm -r "$d"
"#;

impl Own {
    pub fn new(bed: &Testbed, host: &Host) -> Result<Self, Error> {
        let names = format!("DNS:{}.example.com", host.name);
        let directory = bed.directory().join(format!("{}.own", host.name));
        std::fs::create_dir_all(&directory).map_err(Error::Run)?;
        for file in host.sh(&format!("NAMES='{names}'\n{MAKE}"))?.ok()?.split("@ ").skip(1) {
            let (name, content) = file.split_once('\n').unwrap_or((file, ""));
            std::fs::write(directory.join(name), content).map_err(Error::Run)?;
        }
        Ok(Self { directory, serial: "serial=5157" })
    }

    /// The plan with one of them: `good` or `expired`.
    pub fn given(&self, plan: &Plan, which: &str) -> Plan {
        let file = |name: &str| self.directory.join(name).display().to_string();
        plan.clone()
            .variable("certificate", file(&format!("{which}.crt")))
            .variable("key", file(&format!("{which}.key")))
            .variable("authority", file("ca.crt"))
    }

    /// The serial number of what a host serves, as another host sees it.
    pub fn served(&self, client: &Host, host: &Host, port: u16) -> Result<String, Error> {
        let ask = format!("openssl s_client -connect {}:{port} </dev/null 2>/dev/null", host.ipv4);
        client.sh(&format!("{ask} | openssl x509 -noout -serial"))?.ok()
    }

    /// The authority that has signed it.
    pub fn authority(&self) -> Result<Vec<u8>, Error> {
        std::fs::read(self.directory.join("ca.crt")).map_err(Error::Run)
    }
}
