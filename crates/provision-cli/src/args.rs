//! The command line.

use anstream::ColorChoice;
use camino::Utf8PathBuf;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use provision_core::attribute::Span;
use provision_core::plan::ownership;
use provision_core::step::Data;

use crate::exit;

/// Brings hosts to the state that a plan describes, over SSH.
///
/// A plan is a TOML file of resources: directories, files, certificates, containers, services. provision asks a host how
/// it differs from the plan, shows every change before it makes it, and makes no other. Applied twice, the second time
/// changes nothing. The host remembers what was there before: what leaves the plan leaves the host, and all of it can be
/// taken back. A host needs SSH and a POSIX shell.
#[derive(Debug, Parser)]
#[command(
    name = "provision",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP),
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// How to show it.
    #[command(flatten)]
    pub output: Output,
}

const EXAMPLES: &str = "\
Examples:
  provision diff registry/plan.toml       what would change
  provision apply registry/plan.toml      show it, ask, do it
  provision status registry/plan.toml     what it owns there, and what was there before
  provision destroy registry/plan.toml    take everything back
  provision kinds file                    what [file.x] takes";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Reads a plan and reports all that is wrong with it; connects to nothing
    #[command(after_help = "\
Examples:
  provision validate plan.toml
  provision validate plan.toml --var hostname=registry.example.com")]
    Validate(Plan),
    /// Shows what an apply would change, and changes nothing
    #[command(after_help = DIFF_EXAMPLES, after_long_help = format!("{DIFF_EXAMPLES}\n\n{}", exit::HELP))]
    Diff(Diff),
    /// Shows what differs, asks, and brings the hosts to the state of the plan
    #[command(after_help = APPLY_EXAMPLES, after_long_help = format!("{APPLY_EXAMPLES}\n\n{}", exit::HELP))]
    Apply(Apply),
    /// Takes back everything that a plan has brought about: what was there before comes back
    #[command(after_help = DESTROY_EXAMPLES, after_long_help = format!("{DESTROY_EXAMPLES}\n\n{}", exit::HELP))]
    Destroy(Destroy),
    /// Takes the last apply back, complete or cut
    #[command(after_help = ROLLBACK_EXAMPLES, after_long_help = format!("{ROLLBACK_EXAMPLES}\n\n{}", exit::HELP))]
    Rollback(Rollback),
    /// Shows what a plan owns on its hosts, what was there before, and the last applies; changes nothing
    #[command(after_help = "\
Examples:
  provision status plan.toml
  provision status plan.toml --host mirror --json")]
    Status(Status),
    /// Shows the resources in their order and what each waits for; connects to nothing
    #[command(after_help = "\
Examples:
  provision graph plan.toml
  provision graph plan.toml --format dot | dot -Tsvg > plan.svg")]
    Graph(Graph),
    /// Packs a plan with everything that it needs on this side into one file, to apply where there is no network
    #[command(after_help = BUNDLE_EXAMPLES)]
    Bundle(Bundle),
    /// Lists the kinds of resource, or shows all about one
    #[command(after_help = "\
Examples:
  provision kinds
  provision kinds file
  provision kinds container --keys")]
    Kinds(Kinds),
}

const DIFF_EXAMPLES: &str = "\
Examples:
  provision diff plan.toml
  provision diff plan.toml --host mirror --var port=8443
  provision diff plan.toml --exit-code    exits 2 where something differs
  provision diff plan.toml --out change.json
                                          seals it: `provision apply change.json` does exactly this, or refuses";

const APPLY_EXAMPLES: &str = "\
Examples:
  provision apply plan.toml
  provision apply plan.toml --yes --var-file site.toml
  provision apply plan.toml --adopt --on-failure rollback
  provision apply change.json             what `provision diff --out change.json` has sealed
  PROVISION_VAR_password=... provision apply plan.toml

Without a terminal to ask on, --yes is needed.
Ctrl-C stops it: what was done stays done, and the next apply goes on from there.
`provision rollback` takes it back.";

const DESTROY_EXAMPLES: &str = "\
Examples:
  provision destroy plan.toml --dry-run
  provision destroy plan.toml
  provision destroy plan.toml --yes --delete-data

Volumes, images, and directories with something else in them are data: they stay unless --delete-data is given.
Without a terminal to ask on, --yes is needed.";

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  provision rollback plan.toml --dry-run
  provision rollback plan.toml
  provision rollback plan.toml --yes

Done again, it takes back the apply before that one, as far as the host remembers.
Without a terminal to ask on, --yes is needed.";

const BUNDLE_EXAMPLES: &str = "\
Examples:
  provision bundle plan.toml -o site.bundle
  provision bundle plan.toml -o site.bundle --var archive=registry.tar
  tar -xf site.bundle provision && ./provision apply site.bundle
                                          on the other side

The values of inputs go with it, and can be given anew on the other side. Those of secret inputs stay here.";

/// A plan and what it leaves open.
#[derive(Debug, Args)]
pub struct Plan {
    /// The plan's file, a directory with a plan.toml in it, or what `provision bundle` has packed
    #[arg(value_name = "PLAN")]
    pub path: Utf8PathBuf,
    /// Gives an input its value; wins over files and PROVISION_VAR_NAME
    #[arg(long = "var", value_name = "NAME=VALUE", allow_hyphen_values = true)]
    pub variables: Vec<String>,
    /// Takes values from a TOML file of `name = value`; a later one wins
    #[arg(long = "var-file", value_name = "FILE")]
    pub variable_files: Vec<Utf8PathBuf>,
}

/// Which hosts, and what is needed to log in.
#[derive(Debug, Args)]
pub struct Reach {
    /// Only this host of the plan; may be given several times
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Tries this key first; may be given several times
    #[arg(long, value_name = "FILE")]
    pub identity: Vec<Utf8PathBuf>,
    /// Trusts the host keys in this file, instead of those in ~/.ssh and /etc/ssh
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<Utf8PathBuf>,
}

/// `provision diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The plan.
    #[command(flatten)]
    pub plan: Plan,
    /// The hosts.
    #[command(flatten)]
    pub reach: Reach,
    /// Exits with 2 when something differs
    #[arg(long)]
    pub exit_code: bool,
    /// Writes the changes to a file that `provision apply` takes: it does exactly those, or refuses. No secret is in it
    #[arg(long, value_name = "FILE")]
    pub out: Option<Utf8PathBuf>,
    /// Shows what an apply with --delete-data would do
    #[arg(long)]
    pub delete_data: bool,
    /// Shows as well how the units would differ that podman generates; asks each host once more, and writes nothing there
    #[arg(long, conflicts_with = "out")]
    pub generated: bool,
}

/// `provision apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The plan, or what `provision diff --out` has written.
    #[command(flatten)]
    pub plan: Plan,
    /// The hosts.
    #[command(flatten)]
    pub reach: Reach,
    /// How it is agreed upon.
    #[command(flatten)]
    pub consent: Consent,
    /// Takes over what is on the host already, differs, and is not the plan's; it comes back with a destroy
    #[arg(long)]
    pub adopt: bool,
    /// Removes also data that has left the plan: volumes, images, directories with something else in them
    #[arg(long)]
    pub delete_data: bool,
    /// What becomes of an apply that fails; without this what the plan says
    #[arg(long, value_name = "WHAT", value_enum)]
    pub on_failure: Option<OnFailure>,
}

/// How what changes a host is agreed upon.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Does it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Shows what would be done, and does nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for somebody else who is changing the host with the same plan
    #[arg(long, value_name = "SPAN", default_value = "60s")]
    pub lock_timeout: Span,
}

/// What becomes of an apply that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    // No docs: clap would make a table of what is plain.
    Keep,
    Rollback,
}

impl From<OnFailure> for ownership::OnFailure {
    fn from(choice: OnFailure) -> Self {
        match choice {
            OnFailure::Keep => Self::Keep,
            OnFailure::Rollback => Self::Rollback,
        }
    }
}

/// `provision destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// The plan.
    #[command(flatten)]
    pub plan: Plan,
    /// The hosts.
    #[command(flatten)]
    pub reach: Reach,
    /// How it is agreed upon.
    #[command(flatten)]
    pub consent: Consent,
    /// Removes data as well: volumes, images, directories with something else in them
    #[arg(long, conflicts_with = "keep_data")]
    pub delete_data: bool,
    /// Leaves data where it is, as without it
    #[arg(long)]
    pub keep_data: bool,
}

impl Destroy {
    /// What becomes of data.
    pub fn data(&self) -> Data {
        if self.delete_data { Data::Delete } else { Data::Keep }
    }
}

/// `provision rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The plan.
    #[command(flatten)]
    pub plan: Plan,
    /// The hosts.
    #[command(flatten)]
    pub reach: Reach,
    /// How it is agreed upon.
    #[command(flatten)]
    pub consent: Consent,
}

/// `provision status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The plan.
    #[command(flatten)]
    pub plan: Plan,
    /// The hosts.
    #[command(flatten)]
    pub reach: Reach,
}

/// `provision graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// The plan.
    #[command(flatten)]
    pub plan: Plan,
    /// Only this host of the plan; may be given several times
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// For people, for graphviz, or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// In order, one resource a line
    Text,
    /// The language of graphviz
    Dot,
    /// The same as --json
    Json,
}

/// `provision bundle`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// The plan.
    #[command(flatten)]
    pub plan: Plan,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    pub output: Utf8PathBuf,
    /// Packs this file as well: one that the plan names where a fact is another; may be given several times
    #[arg(long = "add", value_name = "FILE")]
    pub added: Vec<Utf8PathBuf>,
    /// Packs this provision instead of the one that runs: for another system, or linked statically
    #[arg(long, value_name = "FILE")]
    pub command: Option<Utf8PathBuf>,
    /// Replaces a file that is no bundle of this plan
    #[arg(long)]
    pub force: bool,
}

/// `provision kinds`.
#[derive(Debug, Args)]
pub struct Kinds {
    /// All about this one
    pub kind: Option<String>,
    /// Of a kind that is a file of Quadlet's: every key that podman documents, with the version that brought it
    #[arg(long, requires = "kind")]
    pub keys: bool,
}

/// How results are shown.
#[derive(Debug, Args)]
pub struct Output {
    /// Prints one JSON object on standard output, for programs
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// Shows more: what stays as it is, whole files, what tools print
    #[arg(long, short, global = true, action = ArgAction::SetTrue, display_order = 901)]
    pub verbose: bool,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Colour::Auto, display_order = 902)]
    pub color: Colour,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    // No docs: clap would make a table of what is plain.
    Auto,
    Always,
    Never,
}

impl From<Colour> for ColorChoice {
    fn from(colour: Colour) -> Self {
        match colour {
            Colour::Auto => Self::Auto,
            Colour::Always => Self::Always,
            Colour::Never => Self::Never,
        }
    }
}
