//! How an apply goes on, while it does: one line for each resource that has come to its end, what commands print as it
//! comes, and on a terminal a line that says what is being done.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use provision_core::address::Address;
use provision_core::event::Event;

use super::View;
use super::human::report;
use super::page::{CHANGE, FAINT, PLAIN, Page};
use super::safe;

/// Back to the start of the line, and what stood there is gone (ECMA-48 EL).
const CLEAR: &str = "\r\u{1b}[K";

/// Takes the events of all hosts.
pub struct Progress<'a> {
    view: &'a View,
    /// Several hosts: every line says of which it is.
    several: bool,
    /// Whether a line that is written over makes sense.
    live: bool,
    state: Mutex<BTreeMap<String, State>>,
    /// Whose words the last line was, by host: what follows of them needs no title.
    speaker: Mutex<Option<(String, Address)>>,
}

/// What is known of one host.
#[derive(Debug, Default, Clone)]
pub struct State {
    /// The resource that it is working on.
    pub running: Option<Address>,
    /// How many have come to their end.
    pub finished: usize,
    /// Who was waited for, and since when they were at it.
    pub waited_for: Option<String>,
    /// Whose lock was taken over, since they were gone.
    pub took_over: Option<String>,
    /// What the resource that it is working on has printed was shown already.
    said: bool,
}

impl<'a> Progress<'a> {
    /// For so many hosts.
    pub fn new(view: &'a View, hosts: usize) -> Self {
        // A pipe, a file or a terminal that cannot write over a line gets whole lines only.
        let live =
            io::stderr().is_terminal() && anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        Self { view, several: hosts > 1, live, state: Mutex::default(), speaker: Mutex::default() }
    }

    /// Takes one event of one host.
    pub fn take(&self, host: &str, event: Event) {
        let mut hosts = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = hosts.entry(host.to_owned()).or_default();
        let prefix = self.several.then_some(host);
        match event {
            Event::Begun { address } => {
                self.status(prefix, &address.to_string());
                state.running = Some(address);
                state.said = false;
            }
            Event::Said { address, line } => {
                state.said = true;
                self.say(host, prefix, &address, &line);
            }
            Event::Finished { address, outcome } => {
                state.finished += 1;
                state.running = None;
                let mut page = Page::new(None);
                let verbose = self.view.is_verbose() && !state.said;
                report::finished(&mut page, prefix, &address.to_string(), &outcome, verbose);
                self.tell(&page);
            }
            Event::Waiting { holder } => {
                self.line(prefix, &format!("waiting for {holder}"));
                state.waited_for = Some(holder);
            }
            Event::TookOver { holder } => {
                self.line(prefix, &format!("took over from {holder}, who is gone"));
                state.took_over = Some(holder);
            }
            Event::RollingBack => self.line(prefix, "something failed, so what was done is taken back"),
            Event::Verifying => self.status(prefix, "looking again"),
            _ => {}
        }
    }

    /// Takes the line away that says what is being done.
    pub fn clear(&self) {
        if self.live {
            self.view.control(CLEAR);
        }
    }

    /// What is known of each host.
    pub fn states(&self) -> BTreeMap<String, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(&self, host: Option<&str>, text: &str) {
        let mut page = Page::new(None);
        let host = host.map(|host| format!("{host}: ")).unwrap_or_default();
        page.put(CHANGE, "  . ").put(FAINT, &host).line(PLAIN, text);
        self.tell(&page);
    }

    /// Shows what is no command's words.
    fn tell(&self, page: &Page) {
        *self.speaker.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.clear();
        self.view.tell(page);
    }

    /// Shows a line of what a command prints, below a title that says whose it is.
    fn say(&self, host: &str, prefix: Option<&str>, address: &Address, line: &str) {
        let speaker = Some((host.to_owned(), address.clone()));
        if *self.speaker.lock().unwrap_or_else(PoisonError::into_inner) != speaker {
            self.line(prefix, &format!("{address} says"));
            *self.speaker.lock().unwrap_or_else(PoisonError::into_inner) = speaker;
        }
        let mut page = Page::new(None);
        report::said(&mut page, line);
        self.clear();
        self.view.tell(&page);
        self.status(prefix, &address.to_string());
    }

    fn status(&self, host: Option<&str>, text: &str) {
        if self.live {
            let host = host.map(|host| format!("{host}: ")).unwrap_or_default();
            // Short enough for any terminal: what is broken over two lines cannot be taken away.
            let text: String = safe::line(&format!("    {host}{text} ...")).chars().take(70).collect();
            self.view.control(&format!("{CLEAR}{FAINT}{text}{FAINT:#}"));
        }
    }
}
