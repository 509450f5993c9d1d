//! The host that is cut, the two versions of its plan, and the ways between them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use provision_tests::cutting::Wrappers;
use provision_tests::{Error, Host, Seed, Testbed};
use serde_json::Value;

use crate::support::{Plan, Ran};

/// How large the file is that takes a while: bytes.
const BIG: usize = 3_000_000;

/// What stands on the host before the plan comes, and comes back when it goes: a file, a unit and a port.
const BEFORE: &str = r"
echo foreign >/etc/cuts.conf; chmod 0640 /etc/cuts.conf; chown core: /etc/cuts.conf
printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/cuts-foreign.service
systemctl daemon-reload; systemctl enable --now --quiet cuts-foreign
firewall-cmd --quiet --permanent --add-port=7003/tcp; firewall-cmd --quiet --add-port=7003/tcp
";

/// Where the host is, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From nothing to the first version.
    Create,
    /// From the first version to the second.
    Forth,
    /// From the second version to the first.
    Back,
    /// From the first version to nothing.
    Destroy,
}

impl Phase {
    pub const ALL: [Self; 4] = [Self::Create, Self::Forth, Self::Back, Self::Destroy];
}

/// A host with its plan.
pub struct Site<'a> {
    pub bed: &'a Testbed,
    pub host: Host,
    pub wrappers: Wrappers,
    plans: [Plan; 2],
    log: PathBuf,
}

/// A run of the command that has not ended yet.
pub struct Running {
    pub child: Child,
    log: PathBuf,
}

impl<'a> Site<'a> {
    pub fn new(bed: &'a Testbed, name: &str) -> Result<Self, Error> {
        let host = bed.fresh_host(name)?;
        Wrappers::prepare(&host)?;
        host.sh(BEFORE)?.ok()?;
        let plans = [1, 2].map(|version| -> Result<Plan, Error> {
            let big = bed.directory().join(format!("cuts-big-{version}"));
            let mut seed = Seed::new(version);
            let bytes: Vec<u8> = (0..BIG).map(|_| u8::try_from(seed.below(256)).unwrap_or(0)).collect();
            fs::write(&big, bytes).map_err(Error::Run)?;
            let plan = Plan::new(&format!("tests/real_host/plans/cuts/{version}.toml"));
            Ok(plan.variable("address", host.ipv4).variable("big", big.display()))
        });
        let [first, second] = plans;
        let wrappers = Wrappers::install(&host)?;
        let log = bed.directory().join(format!("{name}-log"));
        Ok(Self { bed, host, wrappers, plans: [first?, second?], log })
    }

    pub fn plan(&self, phase: Phase) -> &Plan {
        let [first, second] = &self.plans;
        if phase == Phase::Forth { second } else { first }
    }

    /// Goes the way, and is waited for.
    pub fn go(&self, phase: Phase) -> Result<Ran, Error> {
        self.start(phase, "30s")?.end()
    }

    /// Starts on the way; `silence`: how long the command waits for a host that says nothing.
    pub fn start(&self, phase: Phase, silence: &str) -> Result<Running, Error> {
        let arguments: &[&str] = match phase {
            Phase::Destroy => &["destroy", "--yes", "--delete-data", "--json"],
            _ => &["apply", "--yes", "--json"],
        };
        self.spawn(phase, arguments, silence)
    }

    pub fn rollback(&self, phase: Phase) -> Result<Ran, Error> {
        self.spawn(phase, &["rollback", "--yes", "--json"], "30s")?.end()
    }

    pub fn diff(&self, phase: Phase) -> Result<Ran, Error> {
        self.spawn(phase, &["diff", "--json"], "30s")?.end()
    }

    fn spawn(&self, phase: Phase, arguments: &[&str], silence: &str) -> Result<Running, Error> {
        let plan = self.plan(phase).clone().variable("silence", silence);
        let (verb, arguments) = arguments.split_first().map_or(("", arguments), |(verb, rest)| (*verb, rest));
        let file = |name: &str| File::create(self.log.with_extension(name)).map_err(Error::Run);
        let mut command = plan.command(self.bed, verb, arguments)?;
        let child = command.stdout(Stdio::from(file("out")?)).stderr(file("err")?).spawn().map_err(Error::Run)?;
        Ok(Running { child, log: self.log.clone() })
    }
}

impl Running {
    pub fn end(mut self) -> Result<Ran, Error> {
        let code = self.child.wait().map_err(Error::Run)?.code();
        let text = |name: &str| -> Result<String, Error> {
            Ok(String::from_utf8_lossy(&fs::read(self.log.with_extension(name)).map_err(Error::Run)?).into_owned())
        };
        Ok(Ran { code, stdout: text("out")?, stderr: text("err")? })
    }
}

/// What a run says of units.
#[derive(Debug, Default)]
pub struct Told {
    /// Those that it has started or restarted.
    pub started: BTreeSet<String>,
    /// Those that have left the plan, or are as they were before it came: they may have been started for that.
    pub left: BTreeSet<String>,
}

/// Reads the JSON of a run.
pub fn told(ran: &Ran) -> Told {
    let json: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    let changes = json.pointer("/hosts/0/changes").and_then(Value::as_array);
    let mut told = Told::default();
    for change in changes.into_iter().flatten() {
        let text = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
        let unit = format!("cuts-{}.service", text("resource").trim_start_matches("service."));
        match text("action") {
            "start" | "restart" => drop(told.started.insert(unit)),
            "remove" | "restore" => drop(told.left.insert(unit)),
            _ => {}
        }
    }
    told
}
