//! How a made-up host is reached: every exchange is answered at once, unless the connection is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::FakeHost;
use super::state::{State, Told};
use super::step::Done;
use crate::attribute::UserName;
use crate::connection::{Connection, ConnectionError};
use crate::facts::Facts;
use crate::path::AbsPath;
use crate::probe::{Answers, Ask, Sort};
use crate::step::reply::{BatchReply, Heard, Line};
use crate::step::{Batch, Outcome, Step, Task};
use crate::transport::{Stream, TransportError};

const NAME: &str = "fake";
const LOST: &str = "the connection was lost: reconnect() makes another";

impl State {
    fn exchange(&mut self) -> Result<(), ConnectionError> {
        self.exchanges += 1;
        if self.lost { Err(cut()) } else { Ok(()) }
    }

    fn is_cut_here(&self) -> bool {
        self.cut_at == Some(self.log.len())
    }

    fn work(&mut self, batch: &Batch, tell: &mut (dyn FnMut(Heard) + Send)) -> Result<BatchReply, ConnectionError> {
        if self.is_cut_here() && batch.tasks.iter().all(|task| task.steps.is_empty()) {
            self.lose();
            return Err(cut());
        }
        let outcomes = vec![Outcome::Skipped { because: None }; batch.tasks.len()];
        let mut reply =
            BatchReply { outcomes, reload_failed: None, ended: true, refused: None, apply: None, lost: None };
        match self.admit(batch, tell) {
            Ok(apply) => reply.apply = apply,
            Err(refusal) => {
                reply.refused = Some(refusal);
                return Ok(reply);
            }
        }
        for (index, task) in batch.tasks.iter().enumerate() {
            let bad = |at: &&usize| {
                matches!(reply.outcomes.get(**at), Some(Outcome::Failed { .. } | Outcome::Skipped { .. }))
            };
            let outcome = match task.after.iter().find(bad) {
                Some(because) => Outcome::Skipped { because: Some(*because) },
                None => {
                    tell(Heard::Begun(index));
                    let mut say = |line| tell(Heard::Said(index, line));
                    match self.attempt(batch, reply.apply, task, &mut say) {
                        Some(outcome) => outcome,
                        None => {
                            self.lose();
                            (reply.ended, reply.lost) = (false, Some(LOST.to_owned()));
                            return Ok(reply);
                        }
                    }
                }
            };
            for told in std::mem::take(&mut self.told) {
                tell(match told {
                    Told::Outage(outage) => Heard::Served(index, outage),
                    Told::Answered(ticks) => Heard::Answered(index, ticks),
                });
            }
            tell(Heard::Ended(index, outcome.clone()));
            if let Some(slot) = reply.outcomes.get_mut(index) {
                *slot = outcome;
            }
        }
        if self.reload {
            self.read_units();
        }
        if let Err(reason) = self.conclude(batch, &reply.outcomes) {
            (reply.ended, reply.lost) = (false, Some(reason));
        }
        Ok(reply)
    }

    /// Does one task; gives nothing when the connection is lost on the way.
    fn attempt(
        &mut self,
        batch: &Batch,
        apply: Option<u32>,
        task: &Task,
        say: &mut dyn FnMut(Line),
    ) -> Option<Outcome> {
        if let Some(number) = apply.filter(|_| task.late) {
            self.note(&batch.plan, number, task);
        }
        self.owed.extend(task.owes.iter().cloned());
        let (mut said, mut needed) = (Vec::new(), true);
        for (at, step) in task.steps.iter().enumerate() {
            if self.is_cut_here() {
                return None;
            }
            self.steps.push((task.address.clone(), step.clone()));
            let result = self.do_step(&batch.plan, apply, (&task.address, step));
            if let (Step::Run(run), Ok(Done::Said(_)) | Err(_)) = (step, &result)
                && let Some(printed) = self.prints.get(&run.argv)
            {
                printed.lines().for_each(|line| say(Line { text: line.to_owned(), cut: false }));
            }
            match result {
                Ok(Done::Said(output)) if output.is_empty() => {}
                Ok(Done::Said(output)) => said.push(output),
                Ok(Done::NotNeeded) => needed = false,
                Err(output) => return Some(Outcome::Failed { step: at, status: 1, output }),
            }
        }
        for unit in &task.pays {
            self.owed.remove(unit);
        }
        Some(if needed { Outcome::Done { output: said.join("\n") } } else { Outcome::NotNeeded })
    }
}

fn cut() -> ConnectionError {
    ConnectionError::Cut { host: NAME.to_owned(), status: None, stderr: LOST.to_owned() }
}

#[async_trait]
impl Connection for FakeHost {
    fn label(&self) -> &str {
        NAME
    }

    async fn facts(&self, _homes: &BTreeSet<UserName>) -> Result<Facts, ConnectionError> {
        self.with(|state| {
            state.exchange()?;
            let mut facts = Facts::example();
            state.facts.iter().for_each(|(name, value)| facts.set(name, value));
            Ok(facts)
        })
    }

    async fn ask(&self, asks: &BTreeSet<Ask>) -> Result<Answers, ConnectionError> {
        self.with(|state| {
            state.exchange()?;
            let mut answers = Answers::default();
            for ask in asks {
                answers.insert(ask.clone(), state.answer(ask));
            }
            Ok(answers)
        })
    }

    async fn read(&self, paths: &BTreeSet<AbsPath>) -> Result<BTreeMap<AbsPath, Zeroizing<Vec<u8>>>, ConnectionError> {
        if paths.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.with(|state| {
            state.exchange()?;
            let found = |path: &AbsPath| {
                let (entry, content) = state.at(path)?;
                (entry.sort == Sort::File).then(|| (path.clone(), Zeroizing::new(content.clone())))
            };
            Ok(paths.iter().filter_map(found).collect())
        })
    }

    async fn run(&self, batch: Batch, tell: &mut (dyn FnMut(Heard) + Send)) -> Result<BatchReply, ConnectionError> {
        self.with(|state| {
            state.exchange()?;
            state.work(&batch, tell)
        })
    }

    async fn connect_tcp(&self, host: &str, port: u16, _limit: Duration) -> Result<Box<dyn Stream>, TransportError> {
        let answer = self.with(|state| state.listening.get(&port).filter(|_| !state.lost).cloned());
        let Some(answer) = answer else {
            let reason = "nothing accepts a connection there".to_owned();
            return Err(TransportError::Tunnel { host: NAME.to_owned(), target: format!("{host}:{port}"), reason });
        };
        let (near, mut far) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut request = Vec::new();
            let mut buffer = [0_u8; 1024];
            while let Ok(count @ 1..) = far.read(&mut buffer).await {
                request.extend(buffer.iter().take(count));
                if request.ends_with(b"\r\n\r\n") {
                    // Whoever has gone away by now does not want it.
                    let _ = far.write_all(&answer).await;
                    break;
                }
            }
        });
        Ok(Box::new(near))
    }
}
