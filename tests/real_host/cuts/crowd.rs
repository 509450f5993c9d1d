//! The same host and plan, for many applies at once.

use provision_tests::{Error, Host, Testbed};

use super::site::{Phase, Site};
use super::state::State;
use crate::support::Plan;

/// A host on which nothing was applied yet.
pub struct Crowd(Site<'static>);

impl Crowd {
    pub fn new(bed: &'static Testbed, name: &str) -> Result<Self, Error> {
        Site::new(bed, name).map(Self)
    }

    pub fn host(&self) -> &Host {
        &self.0.host
    }

    pub fn plan(&self) -> &Plan {
        self.0.plan(Phase::Create)
    }

    /// How many applies the host remembers.
    pub fn applies(&self) -> Result<u32, Error> {
        State::of(&self.0.host).map(|state| state.newest())
    }

    /// What is otherwise than after one apply that has the host to itself.
    pub fn unlike_a_single_apply(&self) -> Result<Vec<String>, Error> {
        let state = State::of(&self.0.host)?;
        self.0.go(Phase::Destroy)?.ok();
        self.0.go(Phase::Create)?.ok();
        Ok(state.unlike(&State::of(&self.0.host)?))
    }
}
