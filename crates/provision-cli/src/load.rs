//! From the command line to a plan: the file, the values of its inputs, the hosts that are meant.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use provision_core::address::check_name;
use provision_core::bundle::{self, Bundle};
use provision_core::fetch::Fetch;
use provision_core::plan::Plan;
use provision_core::plan::asset::{Folder, PLAN_FILE};
use provision_core::plan::host::Host;
use provision_core::plan::input::{Inputs, Origin};
use provision_core::plan::problem::{Source, position, suggest};
use provision_core::seal::Seal;

use crate::args;
use crate::error::Error;
use crate::fetch::Fetcher;
use crate::surroundings::Surroundings;

/// A plan and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// Its file, or the bundle that it is in, as it was named.
    pub path: Utf8PathBuf,
    /// The bundle that it is in.
    bundle: Option<Bundle>,
}

impl Loaded {
    /// Who downloads for it: nobody where it came in a bundle, which has everything.
    pub fn fetch(&self, surroundings: &Surroundings) -> Arc<dyn Fetch> {
        match &self.bundle {
            Some(bundle) => bundle.fetch(),
            None => Arc::new(Fetcher::new(surroundings.cache.as_deref())),
        }
    }
}

/// Reads the plan that the command line names.
///
/// # Errors
/// Everything that is wrong with the values given, or everything that is wrong with the plan.
pub fn load(arguments: &args::Plan, surroundings: &Surroundings) -> Result<Loaded, Vec<Error>> {
    let path = file(&arguments.path);
    let help = "PLAN is a file, or a directory with a plan.toml in it";
    parse(path, help, inputs(arguments, surroundings), surroundings)
}

/// Reads the plan that was sealed, with the inputs of that time. Secrets are not among them, so they are given again.
///
/// # Errors
/// As for [`load`]; and when an input has another value than it had, or the plan has changed.
pub fn load_sealed(seal: &Seal, arguments: &args::Plan, surroundings: &Surroundings) -> Result<Loaded, Vec<Error>> {
    let mut inputs = inputs(arguments, surroundings);
    if let Ok(inputs) = &mut inputs {
        for (name, value) in seal.inputs() {
            inputs.keep(name, value, "the sealed plan");
        }
    }
    let loaded = parse(seal.plan().into(), "the sealed plan was made from this file", inputs, surroundings)?;
    let other = |name: String| {
        let message = format!("the plan was sealed with another value for input.{name}");
        Error::usage(message, "leave the value out, or seal the plan anew with `provision diff --out`")
    };
    let others: Vec<Error> = seal.other_inputs(&loaded.plan).into_iter().map(other).collect();
    if !others.is_empty() {
        return Err(others);
    }
    seal.check_plan(&loaded.plan).map_err(|difference| vec![Error::Moved { host: None, difference }])?;
    Ok(loaded)
}

fn parse(
    path: Utf8PathBuf,
    help: &'static str,
    inputs: Result<Inputs, Vec<Error>>,
    surroundings: &Surroundings,
) -> Result<Loaded, Vec<Error>> {
    if is_bundle(&path) {
        return parse_bundle(path, inputs?, surroundings);
    }
    let text = read_plan(&path, help).map_err(|error| vec![error]);
    let (text, inputs) = match (text, inputs) {
        (Ok(text), Ok(inputs)) => (text, inputs),
        (text, inputs) => return Err(text.err().into_iter().chain(inputs.err()).flatten().collect()),
    };
    let folder = path.parent().map(Utf8Path::to_owned).unwrap_or_default();
    let source = Source { name: path.to_string(), text };
    let plan = Plan::parse(source, Arc::new(Folder(folder)), &inputs).map_err(|error| vec![Error::Plan(error)])?;
    Ok(Loaded { plan, path, bundle: None })
}

fn parse_bundle(path: Utf8PathBuf, mut inputs: Inputs, surroundings: &Surroundings) -> Result<Loaded, Vec<Error>> {
    let opened = Bundle::open(&path, &surroundings.working_directory);
    let bundle = opened.map_err(|reason| vec![Error::Bundle { path: path.clone(), reason }])?;
    for (name, value) in bundle.values() {
        inputs.keep(name, value, "the bundle");
    }
    let unread = |reason: String| vec![Error::usage(reason, "copy the bundle anew")];
    let source = bundle.plan().map_err(unread)?;
    let plan = Plan::parse(source, bundle.assets(), &inputs).map_err(|error| vec![Error::Plan(error)])?;
    Ok(Loaded { plan, path, bundle: Some(bundle) })
}

/// Whether a file begins like a bundle. What cannot be read is none; whoever reads it as a plan says why.
pub fn is_bundle(path: &Utf8Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut start));
    read.is_ok() && bundle::is_meant(&start)
}

/// The plan's file that is meant by what the command line names.
pub fn file(path: &Utf8Path) -> Utf8PathBuf {
    if path.is_dir() { tidy(path).join(PLAN_FILE) } else { path.to_owned() }
}

/// A plan's text; what something else was meant by is refused.
pub fn read_plan(path: &Utf8Path, help: &'static str) -> Result<String, Error> {
    let text = read(path, Some(help))?;
    if Seal::is_meant(text.as_bytes()) {
        let help = "give the plan that it was made from";
        return Err(Error::usage(format!("{path} is a sealed plan, which only `provision apply` takes"), help));
    }
    Ok(text)
}

/// The hosts of a plan that are meant: all, or those named, in the plan's order.
///
/// # Errors
/// When the plan does not have one that was named.
pub fn hosts<'a>(plan: &'a Plan, wanted: &[String]) -> Result<Vec<&'a Host>, Vec<Error>> {
    let known = || plan.hosts().iter().map(|host| host.name.as_str());
    let unknown: Vec<Error> = wanted
        .iter()
        .filter(|name| !plan.hosts().iter().any(|host| host.is_called(name)))
        .map(|name| Error::usage(format!("the plan has no host `{name}`"), suggest(name, known())))
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    Ok(plan.hosts().iter().filter(|host| wanted.is_empty() || wanted.iter().any(|name| host.is_called(name))).collect())
}

/// Without the `./` that would stand before every place in it.
fn tidy(directory: &Utf8Path) -> Utf8PathBuf {
    directory.components().filter(|part| part.as_str() != ".").collect()
}

fn read(path: &Utf8Path, help: Option<&'static str>) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source, help };
    let bytes = std::fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| Error::Read {
        path: path.to_owned(),
        source: io::Error::other("it is not UTF-8 text"),
        help: None,
    })
}

/// The values that are given.
///
/// # Errors
/// When some cannot be read.
pub fn inputs(arguments: &args::Plan, surroundings: &Surroundings) -> Result<Inputs, Vec<Error>> {
    let mut inputs = Inputs::new(surroundings.working_directory.clone());
    let mut errors = Vec::new();
    // Weakest first: what comes later replaces what was there.
    for (name, value) in &surroundings.variables {
        inputs.set(name, value, Origin::Environment);
    }
    for path in &arguments.variable_files {
        match read(path, None) {
            Ok(text) => errors.extend(set_file(&mut inputs, path, &text).err()),
            Err(error) => errors.push(error),
        }
    }
    for (index, text) in arguments.variables.iter().enumerate() {
        match text.split_once('=') {
            Some((name, value)) if check_name(name).is_ok() => inputs.set(name, value, Origin::Argument),
            // What was written is not repeated: it may be a secret.
            _ => errors.push(Error::usage(
                format!("--var number {} is not NAME=VALUE", index + 1),
                "a name is a letter, then letters, digits or `_`; everything after the first `=` is the value",
            )),
        }
    }
    if errors.is_empty() { Ok(inputs) } else { Err(errors) }
}

/// The line itself is not shown: it may hold a secret.
fn set_file(inputs: &mut Inputs, path: &Utf8Path, text: &str) -> Result<(), Error> {
    if path.extension() == Some("json") {
        return inputs.set_json_file(path.as_str(), text).map_err(|error| {
            let message = format!("{path}:{}:{}: not an object in JSON", error.line(), error.column().max(1));
            Error::usage(message, "a variables file whose name ends in .json is an object: { \"name\": \"value\" }")
        });
    }
    inputs.set_file(path.as_str(), text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let message = format!("{path}:{line}:{column}: not valid TOML: {}", error.message());
        Error::usage(message, "a variables file has lines of `name = value`")
    })
}
