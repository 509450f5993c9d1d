//! `command`: a command that is run when a guard says that it is needed, or when something it goes by changes.
//!
//! Guards are asked in the dry run, and once more on the host just before the command. A command runs when all of them say
//! so: nothing at `creates`, `unless` fails, `onlyif` succeeds, one of `when_changed` changes.
//!
//! # What a dry run can know
//! A guard's answer may be another one once what the command *uses* has changed (what its fields refer to or name, what
//! stands in `when_changed`), or a command before it has run. Then the change is shown although the guard says no as
//! things are, with that reason; just before the command the guard decides, and the report says which way. What only comes
//! before, by `after`, does not put a guard's answer in doubt: if it turns out otherwise, the verification says so.
//! `creates` is never in doubt: nothing in a plan takes a path away.
//!
//! # What it prints
//! Goes out line by line while it runs, and is not kept: of an output of any length the last lines are in the report. A
//! command that says nothing for long is ended by its own `timeout` alone.

use std::time::Duration;

use crate::address::Address;
use crate::attribute::Span;
use crate::blob::Blob;
use crate::change::{Action, Cause, Change, Signal};
use crate::engine::owed_run;
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Guard, Undecided};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want};
use crate::shell::words;
use crate::step::{Need, Run, Step};

/// The kind.
pub static KIND: Kind = Kind {
    name: "command",
    summary: "A command that is run when a guard says that it is needed, or when something it goes by changes.",
    fields: &[
        Field {
            name: "run",
            takes: "list of text",
            required: true,
            doc: "Program and arguments. No shell sees them: `[\"sh\", \"-c\", \"...\"]` where one is meant. It runs with \
                  umask 022, what it prints is shown as it comes, and what it leaves running must let go of its output.",
        },
        Field {
            name: "creates",
            takes: "path",
            required: false,
            doc: "Not needed when something stands there. At least one of `creates`, `unless`, `onlyif` and `when_changed`.",
        },
        Field {
            name: "unless",
            takes: "list of text",
            required: false,
            doc: "A command that changes nothing; not needed when it succeeds.",
        },
        Field {
            name: "onlyif",
            takes: "list of text",
            required: false,
            doc: "A command that changes nothing; needed only when it succeeds, and it must fail afterwards where it is the \
                  only guard.",
        },
        Field {
            name: "when_changed",
            takes: "list of addresses",
            required: false,
            doc: "Needed only when one of these resources changes, directly or through what it uses. The run is owed until it \
                  has succeeded, even if an apply ends before.",
        },
        Field {
            name: "directory",
            takes: "path",
            required: false,
            doc: "Where it and its guards run; the login's own.",
        },
        Field { name: "input", takes: "text", required: false, doc: "Its standard input, which may be secret." },
        Field { name: "timeout", takes: "span", required: false, doc: "Longest time it may take; \"5m\" without it." },
    ],
    example: r#"
[command.database]
run = ["initdb", "-D", "/srv/db"]
creates = "/srv/db"

[file.sysctl]
path = "/etc/sysctl.conf"
content = "net.ipv6.bindv6only = 0\n"

[command.sysctl]
run = ["sysctl", "--system"]
when_changed = ["file.sysctl"]
"#,
    templates: &[],
    assets: &[],
    read,
};

const DEFAULT_TIMEOUT: Span = Span::seconds(300);
/// A guard is asked in every dry run: one that takes longer is no guard.
const GUARD_LIMIT: Duration = Duration::from_secs(30);
/// What `timeout` and shells give when a command was not run to its end: the time was up, `timeout` failed itself, the
/// program cannot be run, it is not there. None of them is an answer.
const NO_ANSWER: std::ops::RangeInclusive<i32> = 124..=127;

#[derive(Debug)]
struct Command {
    address: Address,
    plan: String,
    argv: Vec<String>,
    creates: Option<AbsPath>,
    unless: Option<Guard>,
    onlyif: Option<Guard>,
    when_changed: Vec<Address>,
    directory: Option<AbsPath>,
    input: Option<Blob>,
    limit: Duration,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    if !fields.has("run") {
        fields.problem("", format!("{} lacks `run`", fields.label()), "add `run = [\"program\", \"argument\"]`");
    }
    let argv = argv(fields, "run");
    let creates = fields.optional("creates");
    let directory: Option<AbsPath> = fields.optional("directory");
    let guard = |name| Some(Guard { argv: argv_of(fields, name)?, directory: directory.clone(), limit: GUARD_LIMIT });
    let unless = guard("unless");
    let onlyif = guard("onlyif");
    let when_changed: Vec<Address> = fields.list("when_changed");
    if when_changed.contains(setup.address) {
        let message = format!("{} would wait for a change of its own", setup.address);
        fields.item_problem("when_changed", setup.address, message, "name the resources that it goes by");
    }
    let input = fields.text("input").map(|text| Blob::from_bytes(text.expose().as_bytes().to_vec()));
    let limit = fields.optional("timeout").unwrap_or(DEFAULT_TIMEOUT).duration();
    if !["creates", "unless", "onlyif", "when_changed"].into_iter().any(|name| fields.has(name)) {
        fields.problem(
            "",
            format!("{} would run at every apply", fields.label()),
            "add `creates`, `unless` or `onlyif` to tell when it is needed, or `when_changed` to tie it to a resource",
        );
    }
    if limit.is_zero() {
        fields.problem("timeout", "no time at all", "write at least \"1s\"");
    }
    Some(Box::new(Command {
        address: setup.address.clone(),
        plan: setup.plan.to_owned(),
        argv: argv?,
        creates,
        unless,
        onlyif,
        when_changed,
        directory,
        input,
        limit,
    }))
}

/// Reads an argument list that may be absent.
fn argv_of(fields: &Fields<'_>, name: &'static str) -> Option<Vec<String>> {
    argv(fields, name)
}

fn argv(fields: &Fields<'_>, name: &'static str) -> Option<Vec<String>> {
    let argv: Vec<String> = fields.list(name);
    // Where it is none there is a finding.
    if !fields.is_list(name) {
        return None;
    }
    if argv.first().is_none_or(|program| program.is_empty()) {
        fields.problem(name, "there is no program to run", "write a list: program, then arguments");
        return None;
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        fields.problem(name, "an argument cannot have a NUL character", "take it out");
        return None;
    }
    Some(argv)
}

/// What one guard says.
enum Verdict {
    Needed(String),
    Unneeded(String),
    NoAnswer(String),
}

impl Resource for Command {
    fn provides(&self) -> Vec<Thing> {
        self.creates.iter().cloned().map(Thing::Path).collect()
    }

    /// What a command made is known to that command alone, and `creates` is only how one sees that it has run.
    fn objects(&self) -> Vec<Object> {
        Vec::new()
    }

    fn wants(&self) -> Vec<Want> {
        let mut wants: Vec<Want> = Vec::new();
        if let Some(directory) = &self.directory {
            wants.push(Want::after(Target::Thing(Thing::Directory(directory.clone()))));
            wants.push(Want::after(Target::Parent(directory.clone())));
        }
        wants.extend(self.creates.iter().map(|path| Want::after(Target::Parent(path.clone()))));
        // A managed script, or a file that is named whole as an argument.
        let guards = [&self.unless, &self.onlyif].into_iter().flatten().flat_map(|guard| &guard.argv);
        let named = self.argv.iter().chain(guards).filter_map(|argument| argument.parse::<AbsPath>().ok());
        wants.extend(
            named
                .filter(|path| self.creates.as_ref() != Some(path))
                .flat_map(|path| [Thing::Path(path.clone()), Thing::Directory(path)])
                .map(|thing| Want::uses(Target::Thing(thing))),
        );
        wants.extend(self.when_changed.iter().map(|address| Want::uses(Target::Resource(address.clone())).required()));
        wants
    }

    fn asks(&self) -> Vec<Ask> {
        let guards = [&self.unless, &self.onlyif].into_iter().flatten().cloned().map(Ask::Guard);
        let mut asks: Vec<Ask> = self.creates.iter().cloned().map(Ask::Path).chain(guards).collect();
        if !self.when_changed.is_empty() {
            asks.push(Ask::Owed(self.plan.clone()));
        }
        asks
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        let Self { creates, unless, onlyif, when_changed, address, .. } = self;
        let mut reasons = Vec::new();
        if !when_changed.is_empty() {
            let debt = owed_run(address);
            let causes: Vec<&Cause> = context.causes.iter().filter(|cause| self.goes_by(cause)).collect();
            if context.owed.contains(&debt) {
                reasons.push("it is owed since an earlier apply".to_owned());
            } else if causes.is_empty() {
                return Ok(Change::none());
            }
            reasons.extend(causes.iter().map(|cause| format!("because {} changes", cause.address)));
        }
        if let Some(path) = creates {
            if answers.path(path)?.entry().is_some() {
                return Ok(Change::none());
            }
            reasons.push(format!("{path} is not there"));
        }
        // What it goes by makes it run, and need not make its guards doubtful too.
        let doubtful = context.command_pending() || context.causes.iter().any(|cause| !self.goes_by(cause));
        for verdict in
            [unless.as_ref().map(|guard| not(guard, answers)), onlyif.as_ref().map(|guard| is(guard, answers))]
        {
            match verdict.transpose()? {
                Some(Verdict::Needed(reason)) => reasons.push(reason),
                Some(Verdict::Unneeded(_)) if !doubtful => return Ok(Change::none()),
                Some(Verdict::Unneeded(reason)) => {
                    reasons.push(format!("{reason}, and is asked again once what it uses has changed"));
                }
                Some(Verdict::NoAnswer(reason)) if context.anything_pending() => {
                    reasons.push(format!("{reason}, and is asked again once what comes before has changed"));
                }
                Some(Verdict::NoAnswer(reason)) => {
                    let help = "correct the guard, or write in `after` what brings its program";
                    return Err(Undecided::with_help(reason, help));
                }
                None => {}
            }
        }
        let mut change = Change::new(Action::Run);
        change.reasons = reasons;
        Ok(change.signals(Signal::Content))
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        let Self { argv, creates, unless, onlyif, directory, input, limit, .. } = self;
        let guards =
            [creates.clone().map(Need::Absent), unless.clone().map(Need::Fails), onlyif.clone().map(Need::Succeeds)];
        Ok(vec![Step::Run(Run {
            argv: argv.clone(),
            directory: directory.clone(),
            input: input.clone(),
            limit: *limit,
            guards: guards.into_iter().flatten().collect(),
        })])
    }

    fn when_changed(&self) -> &[Address] {
        &self.when_changed
    }
}

impl Command {
    /// Whether a change comes from one of `when_changed`, or reaches one of them.
    fn goes_by(&self, cause: &Cause) -> bool {
        self.when_changed.contains(&cause.address) || cause.through.iter().any(|used| self.when_changed.contains(used))
    }
}

/// What `unless` says.
fn not(guard: &Guard, answers: &Answers) -> Result<Verdict, Undecided> {
    let status = *answers.guard(guard)?;
    let text = words(&guard.argv);
    Ok(match status {
        0 => Verdict::Unneeded(format!("`{text}` succeeds as things are")),
        status if NO_ANSWER.contains(&status) => no_answer(&text, status),
        status => Verdict::Needed(format!("`{text}` fails (exit status {status})")),
    })
}

/// What `onlyif` says.
fn is(guard: &Guard, answers: &Answers) -> Result<Verdict, Undecided> {
    let status = *answers.guard(guard)?;
    let text = words(&guard.argv);
    Ok(match status {
        0 => Verdict::Needed(format!("`{text}` succeeds")),
        status if NO_ANSWER.contains(&status) => no_answer(&text, status),
        status => Verdict::Unneeded(format!("`{text}` fails as things are (exit status {status})")),
    })
}

fn no_answer(text: &str, status: i32) -> Verdict {
    let why = match status {
        124 => format!("it took longer than {} s", GUARD_LIMIT.as_secs()),
        127 => "the host has no such program".to_owned(),
        126 => "it cannot be run, or its directory is not there".to_owned(),
        status => format!("exit status {status}"),
    };
    Verdict::NoAnswer(format!("`{text}` gives no answer: {why}"))
}

#[cfg(test)]
mod tests {
    use crate::change::Action;
    use crate::testing::{Case, case};

    /// A case whose commands have these exit statuses.
    fn with(fields: &str, statuses: &[(&str, i32)]) -> Case {
        let statuses: Vec<(Vec<String>, i32)> =
            statuses.iter().map(|(argv, status)| (argv.split(' ').map(str::to_owned).collect(), *status)).collect();
        case("command", fields).given(|host| host.statuses.extend(statuses))
    }

    const CREATES: &str = "run = ['make', 'it']\ncreates = '/srv/it'";
    const UNLESS: &str = "run = ['make', 'it']\nunless = ['test', 'it']";
    const ONLYIF: &str = "run = ['make', 'it']\nonlyif = ['lacks', 'it']";
    const FILE: &str = "[file.f]\npath = '/srv/f'\ncontent = 'new'\n";

    #[test]
    fn what_creates_a_path_runs_until_the_path_is_there() {
        case("command", CREATES).expects(Action::Run, "").because("/srv/it is not there").mended();
        case("command", CREATES).given_file("/srv/it", "", "0644").in_sync();
        case("command", CREATES).given_link("/srv/it", "/nowhere").in_sync();
    }

    #[test]
    fn unless_runs_it_when_the_guard_fails() {
        with(UNLESS, &[("test it", 1)]).expects(Action::Run, "").because("`test it` fails (exit status 1)").mended();
        with(UNLESS, &[("test it", 0)]).in_sync();
    }

    #[test]
    fn onlyif_runs_it_when_the_guard_succeeds() {
        with(ONLYIF, &[("lacks it", 0)]).expects(Action::Run, "").because("`lacks it` succeeds");
        with(ONLYIF, &[("lacks it", 1)]).in_sync();
    }

    #[test]
    fn all_guards_must_agree() {
        let both = &format!("{UNLESS}\nonlyif = ['lacks', 'it']");
        with(both, &[("test it", 1), ("lacks it", 0)])
            .because("`test it` fails (exit status 1); `lacks it` succeeds")
            .expects(Action::Run, "");
        with(both, &[("test it", 1), ("lacks it", 1)]).in_sync();
        with(both, &[("test it", 0), ("lacks it", 0)]).in_sync();
    }

    #[test]
    fn a_guard_without_an_answer_decides_nothing() {
        with(UNLESS, &[("test it", 127)]).undecided("`test it` gives no answer: the host has no such program");
        with(UNLESS, &[("test it", 124)]).undecided("`test it` gives no answer: it took longer than 30 s");
        with(ONLYIF, &[("lacks it", 126)])
            .undecided("`lacks it` gives no answer: it cannot be run, or its directory is not there");
        with(&format!("{UNLESS}\nafter = ['file.f']"), &[("test it", 127)])
            .plan(FILE)
            .expects(Action::Run, "")
            .because(
                "`test it` gives no answer: the host has no such program, \
                 and is asked again once what comes before has changed",
            );
    }

    #[test]
    fn it_runs_when_what_it_goes_by_changes_and_only_then() {
        let fields = "run = ['reload']\nwhen_changed = ['file.f']";
        case("command", fields)
            .plan(FILE)
            .because("because file.f changes")
            .expects(Action::Run, "")
            .steps("put the file /srv/f in place; run reload")
            .in_sync();
        case("command", fields).plan(FILE).given_file("/srv/f", "new", "0644").in_sync();
        case("command", &format!("{fields}\ncreates = '/srv/it'"))
            .plan(FILE)
            .given_file("/srv/it", "", "0644")
            .in_sync();
    }

    #[test]
    fn a_run_that_failed_is_owed_until_it_succeeds() {
        let host = case("command", "run = ['reload']\nwhen_changed = ['link.l']")
            .plan(&format!("{FILE}[link.l]\npath = '/srv/l'\ntarget = '/srv/f'\n"))
            .given(|host| {
                host.statuses.insert(vec!["reload".to_owned()], 1);
            })
            .fails_with("reload failed: exit status 1");
        host.given(|host| {
            assert_eq!(host.owed.iter().collect::<Vec<_>>(), ["command=x"]);
            host.statuses.clear();
        })
        .because("it is owed since an earlier apply")
        .expects(Action::Run, "")
        .steps("run reload")
        .in_sync();
    }

    #[test]
    fn a_run_is_owed_even_when_a_check_in_between_fails() {
        let command = "[command.c]\nrun = ['reload']\nwhen_changed = ['file.f']\nafter = ['check.x']\n";
        case("check", "url = 'tcp://127.0.0.1:9'\nwithin = '1s'\nafter = ['file.f']")
            .plan(FILE)
            .plan(command)
            .fails_with("gave up after 1s: no connection to 127.0.0.1:9: nothing accepts a connection there")
            .given(|host| {
                host.listening.insert(9, Vec::new());
            })
            .steps("run reload")
            .in_sync();
    }

    #[test]
    fn a_guard_is_in_doubt_when_what_the_command_uses_changes() {
        let uses = &format!("{UNLESS}\ninput = '{{{{ file.f.path }}}}'");
        with(uses, &[("test it", 0)])
            .plan(FILE)
            .because("`test it` succeeds as things are, and is asked again once what it uses has changed")
            .expects(Action::Run, "")
            .mended();
        with(&format!("{UNLESS}\nafter = ['file.f']"), &[("test it", 0)]).plan(FILE).in_sync();
    }

    #[test]
    fn a_managed_script_comes_before_whoever_runs_it() {
        let changes = case("command", "run = ['/srv/f', 'it']\nunless = ['test', 'it']").plan(FILE).changes();
        let order: Vec<String> = changes.graph().resources().map(|(address, _)| address.to_string()).collect();
        assert_eq!(order, ["file.f", "command.x"]);
    }

    #[test]
    fn what_would_run_for_ever_is_refused() {
        case("command", "run = ['true']").refused(
            "2:10: command.x would run at every apply \
             (add `creates`, `unless` or `onlyif` to tell when it is needed, or `when_changed` to tie it to a resource)",
        );
        case("command", "run = []\nunless = ['']\ntimeout = '0s'").refused(
            "3:7: there is no program to run (write a list: program, then arguments)\n\
             4:10: there is no program to run (write a list: program, then arguments)\n\
             5:11: no time at all (write at least \"1s\")",
        );
        case("command", "run = ['true']\nwhen_changed = ['file.g']")
            .refused("4:17: `when_changed` of command.x: the plan has no file.g (known: `command.x`)");
        case("command", "run = ['login', '{{ input.password }}']\ncreates = '/x'")
            .secret_input("password", "hunter22")
            .refused(
                "3:17: a secret cannot go into `run` of command.x: others could read it there \
                 (secrets may stand in the content of a file and in the standard input of a command)",
            );
    }
}
