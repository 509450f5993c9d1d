//! Applies a plan to hosts: a thin command over `provision_core`.
//!
//! The flow is `args` (the command line) -> `load` (the plan) -> `command/<verb>` -> `view`, which alone prints. The
//! environment is read in `surroundings`, the clock in `command`, the terminal in `prompt`.

use std::process::ExitCode;

use clap::Parser;

mod advice;
mod args;
mod command;
mod connect;
mod error;
mod exit;
mod fetch;
mod load;
mod prompt;
mod sealed;
mod surroundings;
mod view;

use view::View;

fn main() -> ExitCode {
    let arguments = match args::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => return view::refusal(&refusal).into(),
    };
    let view = View::new(&arguments.output, arguments.verb.name());
    let view = if arguments.verb.is_for_programs() { view.for_programs() } else { view };
    // One thread: the work is waiting, and a second one would only cost time to start.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(command::run(arguments.verb, &view));
            // Whatever still blocks, such as a prompt that nobody answers, is not waited for.
            runtime.shutdown_background();
            outcome
        }
        Err(source) => vec![error::Error::Here { what: "start".to_owned(), source }].into(),
    };
    view.finish(outcome).into()
}
