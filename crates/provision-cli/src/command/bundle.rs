//! `provision bundle`: packs a plan with everything that it needs on this side into one file.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};

use camino::{Utf8Path, Utf8PathBuf};
use provision_core::blob::size;
use provision_core::bundle::{Bundle, Gathering, PackError, Packed};
use provision_core::fetch::{Fetch, Outside};
use provision_core::plan::Plan;
use provision_core::plan::host::Reach;
use provision_core::plan::input::Inputs;
use provision_core::plan::problem::Source;
use serde_json::json;

use super::Outcome;
use crate::args;
use crate::error::{Error, count};
use crate::fetch::Fetcher;
use crate::load::{file, inputs, is_bundle, read_plan};
use crate::surroundings::Surroundings;
use crate::view::{View, human};

/// Reads the plan, downloads what this side would download for it, and packs all of it.
pub async fn run(arguments: &args::Bundle, surroundings: &Surroundings, view: &View) -> Result<Outcome, Vec<Error>> {
    let args::Bundle { plan: given, output, added, command, force } = arguments;
    let path = file(&given.path);
    if is_bundle(&path) {
        let help = "it goes over as it is; with other values it is packed anew, from the plan";
        return Err(vec![Error::usage(format!("{path} is a bundle already"), help)]);
    }
    let unread = |path: &Utf8PathBuf| {
        let source = fs::metadata(path).err()?;
        Some(Error::Read { path: path.clone(), source, help: None })
    };
    let unread: Vec<Error> = command.iter().chain(added).filter_map(unread).collect();
    if !unread.is_empty() {
        return Err(unread);
    }
    let values = inputs(given, surroundings)?;
    let text =
        read_plan(&path, "PLAN is a file, or a directory with a plan.toml in it").map_err(|error| vec![error])?;
    let mut gathering = Gathering::new(&path, &surroundings.working_directory);
    added.iter().for_each(|path| gathering.add(path));
    let source = Source { name: path.to_string(), text };
    let plan = Plan::parse(source, gathering.assets(), &values).map_err(|error| vec![Error::Plan(error)])?;
    if !force {
        refuse_other(output, &plan, surroundings)?;
    }
    download(&plan, &mut gathering, surroundings).await?;
    let running = match command {
        Some(_) => None,
        None => Some(Surroundings::command().map_err(|error| vec![error])?),
    };
    let system = command.is_none().then(|| format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS));
    let command = running.as_ref().or(command.as_ref()).map(|path| surroundings.working_directory.join(path));
    let work = Work {
        gathering: &gathering,
        plan: &plan,
        values: &values,
        command: &command.unwrap_or_default(),
        system: system.as_deref(),
    };
    let packed = write(output, &work, surroundings)?;
    let notes = notes(&plan, &packed);
    let Packed { members, length, sha256, private_keys: _ } = &packed;
    let text = format!("packed {output}: {}, {}, SHA-256 {sha256}", count(*members, "file"), size(*length));
    view.show(&human::sentence(&text, view.blank()));
    for text in &notes {
        view.note(&human::note(text, view.blank()));
    }
    let body = || {
        json!({ "plan": plan.name(), "bundle": output.as_str(), "members": members, "length": length, "sha256": sha256,
            "notes": notes })
    };
    Ok(Outcome::success(view.body(body)))
}

/// What goes into a bundle.
struct Work<'a> {
    gathering: &'a Gathering,
    plan: &'a Plan,
    values: &'a Inputs,
    command: &'a Utf8Path,
    system: Option<&'a str>,
}

/// What stands where the bundle is to be is replaced only when it is an earlier one of the same plan.
fn refuse_other(output: &Utf8Path, plan: &Plan, surroundings: &Surroundings) -> Result<(), Vec<Error>> {
    if fs::symlink_metadata(output).is_err() {
        return Ok(());
    }
    if is_bundle(output) {
        match Bundle::open(output, &surroundings.working_directory) {
            Ok(bundle) if bundle.name() != plan.name() => {
                let message = format!("{output} is a bundle of another plan, {}", bundle.name());
                return Err(vec![Error::usage(message, "name another file, or replace it with --force")]);
            }
            // What is no bundle any more is of no use to anybody.
            _ => return Ok(()),
        }
    }
    let message = format!("{output} is there already, and is no bundle");
    Err(vec![Error::usage(message, "name another file, or replace it with --force")])
}

async fn download(plan: &Plan, gathering: &mut Gathering, surroundings: &Surroundings) -> Result<(), Vec<Error>> {
    let fetcher = Fetcher::new(surroundings.cache.as_deref());
    let mut errors = Vec::new();
    let mut brought = BTreeSet::new();
    for (address, outside) in plan.outside() {
        let Outside::Here(download) = outside else { continue };
        if !brought.insert(&download.sha256) {
            continue;
        }
        match fetcher.fetch(download).await {
            Ok(content) => gathering.download(download, content),
            Err(reason) => errors.push(Error::Incomplete {
                message: format!("{address}: cannot download {}: {reason}", download.url),
                help: Some("it belongs into the bundle: pack where it can be had"),
            }),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Writes it under another name, reads it as somebody elsewhere will, and only then gives it its name.
fn write(output: &Utf8Path, work: &Work<'_>, surroundings: &Surroundings) -> Result<Packed, Vec<Error>> {
    let failed = |source: io::Error| vec![Error::Here { what: format!("write {output}"), source }];
    let failed_to_pack = |reason: PackError| match reason {
        PackError::Write(source) => failed(source),
        reason => vec![Error::Pack { reason }],
    };
    let name = output.file_name().ok_or_else(|| failed(io::Error::other("it is no name of a file")))?;
    let beside = output.with_file_name(format!(".{name}.{}.provision-new", std::process::id()));
    let written = pack(&beside, work).map_err(failed_to_pack).and_then(|packed| {
        let opened = Bundle::open_as(output, &beside, &surroundings.working_directory);
        let bundle = opened.map_err(|reason| vec![Error::Bundle { path: output.to_owned(), reason }])?;
        bundle.rehearse(work.plan, work.values).map_err(|error| vec![Error::Plan(error)])?;
        fs::rename(&beside, output).map_err(failed)?;
        Ok(packed)
    });
    if written.is_err() {
        // Best effort: what is left has a name of its own and is never taken for a bundle.
        drop(fs::remove_file(&beside));
    }
    written
}

/// For whoever runs the command alone: there may be keys in it.
fn pack(path: &Utf8Path, work: &Work<'_>) -> Result<Packed, PackError> {
    let failed = PackError::Write;
    let Work { gathering, plan, values: _, command, system } = work;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file: File = options.open(path).map_err(failed)?;
    let out = BufWriter::with_capacity(1 << 18, &file);
    let packed = gathering.pack(plan, command, *system, out)?;
    file.sync_all().map_err(failed)?;
    Ok(packed)
}

/// What is not in the bundle, and what in it is to be guarded.
fn notes(plan: &Plan, packed: &Packed) -> Vec<String> {
    let mut notes = Vec::new();
    for (address, outside) in plan.outside() {
        if let Outside::Host(what) = outside {
            notes.push(format!("{address} {what}: that is not in the bundle, and the host must reach it"));
        }
    }
    for (name, input) in plan.inputs().iter().filter(|(_, input)| input.secret) {
        let how = if input.required { "must be given" } else { "can be given" };
        notes.push(format!("input.{name} is secret: it is not in the bundle, and {how} on the other side"));
    }
    for host in plan.hosts() {
        if let Reach::Ssh(address) = &host.reach
            && let Some(identity) = &address.identity
        {
            let host = &host.name;
            notes
                .push(format!("host.{host}: the key {identity} is not in the bundle: keep it beside the bundle there"));
        }
    }
    for key in &packed.private_keys {
        notes.push(format!("{key} is a private key, and is in the bundle: guard the one as the other"));
    }
    notes
}
