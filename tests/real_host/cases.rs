//! Every kind on every kind of host: `cases/KIND.toml`, one after the other on one host of each kind, and then all of
//! them in one plan. `README.md` beside this file describes a case.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use provision_tests::case::{self, Case, Expected, HostKind, Malformed, Moved, Place};
use provision_tests::{Error, Host, Testbed, UnitStates};
use serde_json::Value;

use crate::support::{Plan, Ran, touched};

#[test]
fn debian13() -> Result<(), Error> {
    every_case(HostKind::Debian13)
}

#[test]
fn rootless() -> Result<(), Error> {
    every_case(HostKind::Rootless)
}

#[test]
fn debian12() -> Result<(), Error> {
    every_case(HostKind::Debian12)
}

#[test]
fn busybox() -> Result<(), Error> {
    every_case(HostKind::BusyBox)
}

/// What is wrong with one case; the others go on.
#[derive(Debug)]
struct Complaint(String);

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Malformed> for Complaint {
    fn from(malformed: Malformed) -> Self {
        Self(malformed.to_string())
    }
}

/// The cases that a person asks for, by name and with commas in between; all of them without.
fn asked_for() -> Option<BTreeSet<String>> {
    #[expect(clippy::disallowed_methods, reason = "how a person tries one case alone")]
    let names = std::env::var("PROVISION_CASES").ok()?;
    Some(names.split(',').map(str::to_owned).collect())
}

/// Whether every change by hand is made on every kind of host.
#[expect(clippy::disallowed_methods, reason = "how a person asks for more than CI has time for")]
fn every_drift() -> bool {
    std::env::var_os("PROVISION_DRIFTS").is_some_and(|wanted| wanted == "all")
}

fn every_case(kind: HostKind) -> Result<(), Error> {
    let all = Case::all().unwrap_or_else(|malformed| panic!("{malformed}"));
    let asked_for = asked_for();
    let cases: Vec<&Case> =
        all.iter().filter(|case| asked_for.as_ref().is_none_or(|names| names.contains(&case.name))).collect();
    assert!(!cases.is_empty(), "there is no case {asked_for:?}");

    let bed = Testbed::shared()?;
    let host = bed.fresh_host_of(kind)?;
    let place =
        Place { kind, address: host.ipv6.to_string(), archives: bed.directory().join("archives").join(kind.name()) };
    let trial = Trial { bed, host, place };
    let mut complaints = Vec::new();
    let mut good = Vec::new();
    for case in cases {
        match trial.case(case) {
            Ok(true) => good.push(case),
            Ok(false) => {}
            Err(Complaint(why)) => complaints.push(format!("== {} on {}: {why}", case.name, kind.name())),
        }
    }
    // What a case that failed has left behind is not the others' fault.
    if let Err(Complaint(why)) = trial.together(&good) {
        complaints.push(format!("== all in one plan on {}: {why}", kind.name()));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    Ok(())
}

struct Trial {
    bed: &'static Testbed,
    host: Host,
    place: Place,
}

/// The system's units, and those of the user.
type Units = (UnitStates, Option<UnitStates>);

impl Trial {
    /// Everything that is to be seen of a case; false when there is nothing to do on this kind of host.
    fn case(&self, case: &Case) -> Result<bool, Complaint> {
        let expected = case.expected(self.place.kind)?;
        if let Expected::LeftOut(_) = expected {
            return Ok(false);
        }
        let plan = self.plan(&format!("case-{}", case.name), &[case])?;
        self.script("before", case.before(&self.place))?;
        succeeded("validate", &plan.run(self.bed, "validate", &[])?)?;
        if let Expected::Refused(text) = &expected {
            self.refused(&plan, text)?;
            self.script("after", case.after(&self.place))?;
            return Ok(false);
        }
        let wanted = self.changes("the first diff", &plan)?;
        self.applied_twice(&plan, &wanted)?;
        let mut drifts = case.drifts(&self.place)?;
        // All of them would take longer than CI has time for.
        if self.place.kind != HostKind::Debian13 && !every_drift() {
            drifts.truncate(1);
        }
        for drift in &drifts {
            self.drift(&plan, drift).map_err(|Complaint(why)| Complaint(format!("{why}\nafter: {}", drift.run)))?;
        }
        if !drifts.is_empty() {
            self.in_sync("after everything was mended", &plan)?;
        }
        self.destroyed(&plan)?;
        self.script("after", case.after(&self.place))?;
        Ok(true)
    }

    /// All of these as one plan.
    fn together(&self, cases: &[&Case]) -> Result<(), Complaint> {
        if cases.is_empty() {
            return Ok(());
        }
        let plan = self.plan("every-kind", cases)?;
        for case in cases {
            self.script("before", case.before(&self.place))?;
        }
        let wanted = self.changes("the first diff", &plan)?;
        self.applied_twice(&plan, &wanted)?;
        self.destroyed(&plan)?;
        for case in cases {
            self.script(&format!("after of {}", case.name), case.after(&self.place))?;
        }
        Ok(())
    }

    fn plan(&self, name: &str, cases: &[&Case]) -> Result<Plan, Error> {
        let (text, files) = case::plan(name, cases, &self.place);
        let folder = self.bed.directory().join("cases").join(self.place.kind.name()).join(name);
        let file = folder.join("plan.toml");
        for (name, text) in &files {
            write(&folder.join(name), text.as_bytes())?;
        }
        write(&file, text.as_bytes())?;
        for case in cases.iter().filter(|case| case.has_image()) {
            write(&self.place.archive(case), &self.archive(&case.image())?)?;
        }
        Ok(Plan { file, variables: Vec::new(), secrets: Vec::new() })
    }

    /// An archive like the bed's, of an image with another name of the same length.
    fn archive(&self, name: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = fs::read(self.bed.tiny_archive()).map_err(Error::Run)?;
        let old = b"localhost/tiny:1";
        while let Some(at) = bytes.windows(old.len()).position(|window| window == old) {
            bytes[at..at + old.len()].copy_from_slice(name.as_bytes());
        }
        Ok(bytes)
    }

    /// Runs a script as the user who logs in, with that user's service manager, past ssh.
    fn script(&self, what: &str, script: Option<String>) -> Result<(), Complaint> {
        let Some(script) = script else { return Ok(()) };
        let output = match self.place.kind.user() {
            "root" => self.host.sh(&script)?,
            user => {
                let environment = "XDG_RUNTIME_DIR=/run/user/1000";
                let home = "cd && exec \"$@\"";
                self.host.exec(&[
                    "runuser",
                    "-u",
                    user,
                    "--",
                    "env",
                    "HOME=/home/core",
                    environment,
                    "sh",
                    "-c",
                    home,
                    "sh",
                    "sh",
                    "-c",
                    &script,
                ])?
            }
        };
        if output.success() { Ok(()) } else { Err(Complaint(format!("{what}: {output}"))) }
    }

    fn units(&self) -> Result<Units, Error> {
        let user = match self.place.kind.user() {
            "root" => None,
            user => Some(self.host.user_unit_states(user)?),
        };
        Ok((self.host.unit_states()?, user))
    }

    fn changes(&self, what: &str, plan: &Plan) -> Result<BTreeMap<String, String>, Complaint> {
        Ok(succeeded(what, &plan.diff(self.bed)?)?.changes())
    }

    fn in_sync(&self, what: &str, plan: &Plan) -> Result<(), Complaint> {
        let ran = plan.run(self.bed, "diff", &["--json", "--exit-code"])?;
        succeeded(what, &ran).map(drop)
    }

    fn applied_twice(&self, plan: &Plan, wanted: &BTreeMap<String, String>) -> Result<(), Complaint> {
        let first = plan.apply(self.bed)?;
        same("the first apply did", &succeeded("the first apply", &first)?.changes(), wanted)?;
        self.in_sync("the diff after the apply", plan)?;
        let before = self.units()?;
        let second = plan.apply(self.bed)?;
        same("the second apply did", &succeeded("the second apply", &second)?.changes(), &BTreeMap::new())?;
        let after = self.units()?;
        let mut units = touched(&before.0, &after.0);
        if let (Some(before), Some(after)) = (&before.1, &after.1) {
            units.extend(touched(before, after));
        }
        same("the second apply touched", &units, &Vec::new())
    }

    fn drift(&self, plan: &Plan, drift: &Moved) -> Result<(), Complaint> {
        let Moved { run, resource, attributes, changes } = drift;
        self.script("the change by hand", Some(run.clone()))?;
        let diff = plan.diff(self.bed)?;
        same("the diff names", &succeeded("the diff", &diff)?.changes(), changes)?;
        let change = change_of(&diff, resource);
        if changes.get(resource).is_some_and(|action| action != "create" || !attributes.is_empty()) {
            let named = change["attributes"].as_array().into_iter().flatten();
            let named: BTreeSet<String> = named.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
            same(&format!("the change of {resource} has the attributes"), &named, attributes)?;
        }
        let applied = plan.apply(self.bed)?;
        same("the mending apply did", &succeeded("the mending apply", &applied)?.changes(), changes)
    }

    fn destroyed(&self, plan: &Plan) -> Result<(), Complaint> {
        let ran = plan.run(self.bed, "destroy", &["--yes", "--json", "--delete-data"])?;
        succeeded("destroy", &ran).map(drop)
    }

    /// Nothing may have been done.
    fn refused(&self, plan: &Plan, text: &str) -> Result<(), Complaint> {
        let ran = plan.apply(self.bed)?;
        let said = format!("{}\n{}", ran.stdout, ran.stderr);
        if ran.code == Some(0) || !said.contains(text) {
            return Err(Complaint(format!("it should have been refused with {text:?}: {ran:#?}")));
        }
        let results = ran.json()["hosts"][0]["results"].as_array().cloned().unwrap_or_default();
        let done: Vec<&Value> = results.iter().filter(|result| result["outcome"] == "changed").collect();
        if done.is_empty() { Ok(()) } else { Err(Complaint(format!("done before it was refused: {done:#?}"))) }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::Run)?;
    }
    fs::write(path, bytes).map_err(Error::Run)
}

fn succeeded<'a>(what: &str, ran: &'a Ran) -> Result<&'a Ran, Complaint> {
    if ran.code == Some(0) {
        return Ok(ran);
    }
    Err(Complaint(format!("{what} ended with {:?}:\n{}\n{}", ran.code, told(&ran.stdout), ran.stderr)))
}

/// What is worth reading of a failed run: its JSON without what stays.
fn told(stdout: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(stdout) else { return stdout.to_owned() };
    for host in json["hosts"].as_array_mut().into_iter().flatten() {
        for (list, key, dull) in [("changes", "action", "keep"), ("results", "outcome", "unchanged")] {
            if let Some(list) = host[list].as_array_mut() {
                list.retain(|one| one[key] != dull);
            }
        }
    }
    format!("{json:#}")
}

fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, wanted: &T) -> Result<(), Complaint> {
    if found == wanted { Ok(()) } else { Err(Complaint(format!("{what} {found:?}, and not {wanted:?}"))) }
}

fn change_of(ran: &Ran, resource: &str) -> Value {
    let json = ran.json();
    let changes = json["hosts"][0]["changes"].as_array().cloned().unwrap_or_default();
    changes.into_iter().find(|change| change["resource"] == resource).unwrap_or_default()
}
