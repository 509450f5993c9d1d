//! The command line.

use anstream::ColorChoice;
use camino::Utf8PathBuf;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::exit;

/// Brings hosts to the state that a plan describes, over SSH.
///
/// A plan is a TOML file of resources: directories, files, certificates, containers, services. provision asks a host how
/// it differs from the plan, shows every change before it makes it, and makes no other. Applied twice, the second time
/// changes nothing. A host needs SSH and a POSIX shell.
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
    /// Shows the resources in their order and what each waits for; connects to nothing
    #[command(after_help = "\
Examples:
  provision graph plan.toml
  provision graph plan.toml --format dot | dot -Tsvg > plan.svg")]
    Graph(Graph),
    /// Lists the kinds of resource, or shows all about one
    #[command(after_help = "\
Examples:
  provision kinds
  provision kinds file")]
    Kinds(Kinds),
}

const DIFF_EXAMPLES: &str = "\
Examples:
  provision diff plan.toml
  provision diff plan.toml --host mirror --var port=8443
  provision diff plan.toml --exit-code    exits 2 where something differs";

const APPLY_EXAMPLES: &str = "\
Examples:
  provision apply plan.toml
  provision apply plan.toml --yes --var-file site.toml
  PROVISION_VAR_password=... provision apply plan.toml

Without a terminal to ask on, --yes is needed.
Ctrl-C stops it: what was done stays done, and the next apply goes on from there.";

/// A plan and what it leaves open.
#[derive(Debug, Args)]
pub struct Plan {
    /// The plan's file, or a directory with a plan.toml in it
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
}

/// `provision apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The plan.
    #[command(flatten)]
    pub plan: Plan,
    /// The hosts.
    #[command(flatten)]
    pub reach: Reach,
    /// Applies without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Shows what would change, like `provision diff`
    #[arg(long)]
    pub dry_run: bool,
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

/// `provision kinds`.
#[derive(Debug, Args)]
pub struct Kinds {
    /// All about this one
    pub kind: Option<String>,
}

/// How results are shown.
#[derive(Debug, Args)]
pub struct Output {
    /// Prints one JSON object on standard output, for programs
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// Shows more: what stays as it is, whole files, what commands print
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
