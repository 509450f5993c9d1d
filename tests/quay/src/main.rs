//! Stands in for Quay where its own images cannot be had: users, health, certificates and settings as Quay has them, in
//! front of a real registry (Debian's `docker-registry`), which keeps the images. It must never be lenient where Quay is
//! strict; `tests/real_host/README.md` says where it is stricter.
//!
//!   quay registry                what the image of the 2.x line runs: config.yaml, Redis, /health/instance
//!   quay init|serve [OPTION..]   what the image of the 3.x line runs
//!
//! The image says in its environment what it is: `QUAY_VERSION`, and `STAND_IN_FAULT` if it is one that fails.

mod api;
mod certificate;
mod config;
mod database;
mod listen;
mod mirror;
mod options;
mod redis;
mod registry;
mod server;
mod site;
mod user;
mod yaml;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use site::{Fault, Image};

type Failure = Box<dyn Error + Send + Sync>;

/// A line of the container's log.
fn say(line: &str) {
    // Nobody is left to be told.
    let _ = writeln!(std::io::stderr(), "quay: {line}");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                say(&format!("error: {line}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let image = Image::of_environment()?;
    if image.fault == Some(Fault::Exits) {
        return Err(format!("{} is an image that does not start", image.version).into());
    }
    let Some((command, options)) = arguments.split_first() else {
        return Err("nothing to do: registry (2.x), init or serve (3.x)".into());
    };
    match command.as_str() {
        "registry" if options.is_empty() => serve(&config::site(image)?),
        "init" => mirror::init(&image, options),
        "serve" => serve(&mirror::site(image, options)?),
        _ => Err(format!("there is no command `{}` here", arguments.join(" ")).into()),
    }
}

fn serve(site: &site::Site) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(server::run(site))
}
