//! The only place that prints. People read `human`, programs read `json`; both get the same values.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{AutoStream, ColorChoice};
use serde_json::Value;

use crate::args;
use crate::command::Outcome;
use crate::error::Error;
use crate::exit::Exit;

pub mod human;
pub mod json;
mod page;
pub mod progress;
pub mod safe;

pub use page::Page;

/// How results are shown.
#[derive(Debug)]
pub struct View {
    json: bool,
    verbose: bool,
    choice: ColorChoice,
    command: &'static str,
    /// Something could not be written, and not because the reader had enough.
    broken: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Output,
    Error,
}

impl View {
    /// As the command line says, for one verb.
    pub fn new(output: &args::Output, command: &'static str) -> Self {
        let args::Output { json, verbose, color } = *output;
        Self { json, verbose, choice: color.into(), command, broken: AtomicBool::new(false) }
    }

    /// The same, for programs.
    pub fn for_programs(self) -> Self {
        Self { json: true, ..self }
    }

    /// Whether a program reads it.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether more is to be shown.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// An empty page as wide as standard output.
    pub fn blank(&self) -> Page {
        Page::new(width(&io::stdout()))
    }

    /// Shows a result to people.
    pub fn show(&self, page: &Page) {
        if !self.json {
            self.write(Stream::Output, page.as_str());
        }
    }

    /// Shows how things go on: with the result, or beside it where a program reads that.
    pub fn tell(&self, page: &Page) {
        self.write(if self.json { Stream::Error } else { Stream::Output }, page.as_str());
    }

    /// Shows what is not part of the result.
    pub fn note(&self, page: &Page) {
        self.write(Stream::Error, page.as_str());
    }

    /// Moves the cursor of a terminal; whoever calls it knows that there is one.
    fn control(&self, text: &str) {
        let _nobody_looks = put(io::stderr().lock(), text);
    }

    /// The result for programs, made only where one reads it.
    pub fn body(&self, make: impl FnOnce() -> Value) -> Value {
        if self.json { make() } else { Value::Null }
    }

    /// Shows the errors, and the whole for programs. The last call.
    pub fn finish(&self, outcome: Outcome) -> Exit {
        let Outcome { exit, body, errors } = outcome;
        let page = human::error::errors(&errors, width(&io::stderr()));
        self.write(Stream::Error, page.as_str());
        if self.json {
            let object = json::object(self.command, exit, body, &errors);
            self.write(Stream::Output, &json::text(&object));
        }
        if self.broken.load(Ordering::Relaxed) { exit.max(Exit::Failed) } else { exit }
    }

    fn write(&self, stream: Stream, text: &str) {
        let written = match stream {
            Stream::Output => put(AutoStream::new(io::stdout().lock(), self.choice), text),
            Stream::Error => put(AutoStream::new(io::stderr().lock(), self.choice), text),
        };
        // `provision kinds | head` is no mistake, and an apply goes on when nobody looks any more.
        if written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}

fn put(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Prose is not broken where no terminal shows it, nor wider than is read well.
fn width(stream: &impl terminal_size_of::Stream) -> Option<usize> {
    terminal_size_of::width(stream).map(|width| width.clamp(40, 100))
}

mod terminal_size_of {
    //! The columns of a terminal, on every system.

    #[cfg(unix)]
    pub use std::os::fd::AsFd as Stream;
    #[cfg(windows)]
    pub use std::os::windows::io::AsHandle as Stream;

    pub fn width(stream: &impl Stream) -> Option<usize> {
        terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0))
    }
}

/// Shows what clap has to say: help, the version, or that the command line is wrong.
pub fn refusal(refusal: &clap::Error) -> Exit {
    if !refusal.use_stderr() {
        let _reader_had_enough = refusal.print();
        return Exit::Success;
    }
    let _nowhere_to_say_it = refusal.print();
    // The command line did not parse, so neither did this flag.
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json {
        let message = refusal.to_string();
        let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let errors = [Error::usage(message, "`provision --help` shows what there is")];
        let object = json::object("", Exit::Invalid, Value::Null, &errors);
        let _nowhere_to_say_it = put(io::stdout().lock(), &json::text(&object));
    }
    Exit::Invalid
}
