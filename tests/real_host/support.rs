//! The command under test, as a person runs it, and what its JSON says.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use provision_tests::{Error, Host, Testbed, UnitStates};
use serde_json::Value;

/// How a run of the command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Its JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// What would change or was to be changed: action by resource.
    pub fn changes(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.json()["hosts"][0]["changes"]
            .as_array()
            .unwrap_or_else(|| panic!("no changes in {self:#?}"))
            .iter()
            .map(|change| (text(&change["resource"]), text(&change["action"])))
            .filter(|(_, action)| action != "keep")
            .collect()
    }

    /// Expects success.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// A plan with its inputs, applied to a host of the bed.
#[derive(Clone)]
pub struct Plan {
    pub file: PathBuf,
    pub variables: Vec<(String, String)>,
    pub secrets: Vec<(String, String)>,
}

impl Plan {
    /// A plan of this repository.
    pub fn new(file: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Self { file: root.join(file), variables: Vec::new(), secrets: Vec::new() }
    }

    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Given in the environment, as a secret should be.
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a verb with more arguments.
    pub fn run(&self, bed: &Testbed, verb: &str, arguments: &[&str]) -> Result<Ran, Error> {
        let output = self.command(bed, verb, arguments)?.output().map_err(Error::Run)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// The command that [`Plan::run`] runs.
    pub fn command(&self, bed: &Testbed, verb: &str, arguments: &[&str]) -> Result<Command, Error> {
        let mut command = bed.provision()?;
        command.arg(verb).arg(&self.file);
        if matches!(verb, "apply" | "diff" | "destroy" | "rollback" | "status") {
            command.arg("--known-hosts").arg(bed.known_hosts()).arg("--identity").arg(bed.ssh_key());
        }
        for (name, value) in &self.variables {
            command.arg("--var").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.secrets {
            command.env(format!("PROVISION_VAR_{name}"), value);
        }
        command.args(arguments);
        Ok(command)
    }

    pub fn apply(&self, bed: &Testbed) -> Result<Ran, Error> {
        self.run(bed, "apply", &["--yes", "--json"])
    }

    pub fn diff(&self, bed: &Testbed) -> Result<Ran, Error> {
        self.run(bed, "diff", &["--json"])
    }

    /// Applies it, expects success, and then expects that nothing is left: not in a diff, not in a second apply, and
    /// no unit was touched by that.
    pub fn applied_twice(&self, bed: &Testbed, host: &Host) -> Result<Ran, Error> {
        let first = self.apply(bed)?.ok();
        let before = host.unit_states()?;
        assert_eq!(self.diff(bed)?.ok().changes(), BTreeMap::new(), "left after the first apply");
        let second = self.apply(bed)?.ok();
        assert_eq!(second.changes(), BTreeMap::new(), "changed by the second apply");
        assert_eq!(touched(&before, &host.unit_states()?), [""; 0], "the second apply touched a unit");
        Ok(first)
    }

    /// Expects a diff to name exactly these changes, an apply to make them, and nothing to be left.
    pub fn mends(&self, bed: &Testbed, expected: &[(&str, &str)]) -> Result<(), Error> {
        let expected: BTreeMap<String, String> =
            expected.iter().map(|(resource, action)| ((*resource).to_owned(), (*action).to_owned())).collect();
        assert_eq!(self.diff(bed)?.ok().changes(), expected, "named by the diff");
        assert_eq!(self.apply(bed)?.ok().changes(), expected, "made by the apply");
        assert_eq!(self.diff(bed)?.ok().changes(), BTreeMap::new(), "left after the apply");
        Ok(())
    }
}

/// The units that were acted upon between two recordings. Mounts and devices are left out: systemd learns of those that
/// a container has brought along some time after it runs.
pub fn touched(before: &UnitStates, after: &UnitStates) -> Vec<String> {
    let acted = |line: &String| [".service:", ".socket:", ".timer:", ".path:"].iter().any(|kind| line.contains(kind));
    before.differences(after).into_iter().filter(acted).collect()
}
