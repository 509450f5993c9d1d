//! How a made-up host does steps.

use super::state::{State, Told, bytes, owner};
use crate::address::Address;
use crate::attribute::Mode;
use crate::blob::sha256_hex;
use crate::knob::random::RANDOM;
use crate::path::AbsPath;
use crate::probe::{Guard, ImageState, Sort};
use crate::request::{Delete, Reply};
use crate::step::{After, Need, Outage, Ownership, Rewrite, Run, Step, UnitAction};
use crate::systemd::{Managed, Manager};

/// How long a step takes, in hundredths of a second.
const STEP: u64 = 100;

/// What came of a step that did not fail.
pub(super) enum Done {
    /// It was done, and printed this.
    Said(String),
    /// It turned out not to be needed.
    NotNeeded,
}

fn of(manager: &Manager) -> Ownership {
    let user = match manager {
        Manager::User(name) => name.as_str().parse().ok(),
        Manager::System | Manager::Own => None,
    };
    Ownership { user, group: None }
}

impl State {
    /// Does a step of a plan, as part of an apply where there is one.
    pub(super) fn do_step(
        &mut self,
        plan: &str,
        apply: Option<u32>,
        (address, step): (&Address, &Step),
    ) -> Result<Done, String> {
        self.uptime += STEP;
        if self.fail_at == Some(self.log.len()) {
            self.log.push(format!("failed: {}", step.describe()));
            return Err("told to fail".to_owned());
        }
        self.log.push(step.describe());
        match step {
            Step::MakeDirectory { path, mode, ownership } => {
                self.require_directory(path)?;
                if self.entries.contains_key(path) {
                    return Err(format!("{path} is there already"));
                }
                self.set(path, Sort::Directory, Vec::new(), *mode, ownership);
            }
            Step::EnsureDirectory { path } => {
                self.require_directory(path)?;
                if !self.entries.contains_key(path) {
                    self.set(path, Sort::Directory, Vec::new(), Mode::new(0o755), &Ownership::default());
                }
            }
            Step::EnsureUserDirectory { manager, path } => {
                self.require_directory(path)?;
                if !self.entries.contains_key(path) {
                    self.set(path, Sort::Directory, Vec::new(), Mode::new(0o700), &of(manager));
                }
            }
            Step::PutUserFile { manager, path, content, mode } => {
                self.require_directory(path)?;
                let content = bytes(content)?;
                self.note_unit(path, &content);
                self.set(path, Sort::File, content, *mode, &of(manager));
            }
            Step::SetAttributes { path, mode, ownership } => {
                let (entry, _) = self.entries.get_mut(path).ok_or_else(|| format!("{path} is not there"))?;
                if let Some(mode) = mode {
                    entry.mode = *mode;
                }
                if ownership.user.is_some() {
                    entry.user = owner(ownership.user.as_ref());
                }
                if ownership.group.is_some() {
                    entry.group = owner(ownership.group.as_ref());
                }
            }
            Step::PutFile { path, content, mode, ownership, validate } => {
                self.require_directory(path)?;
                if self.status(validate) != 0 {
                    return Err("refused by its validation".to_owned());
                }
                let content = bytes(content)?;
                self.note_unit(path, &content);
                self.set(path, Sort::File, content, *mode, ownership);
            }
            Step::Fetch { path, download, mode, ownership, limit: _ } => {
                self.require_directory(path)?;
                let content = self.web.get(&download.url).cloned().ok_or("the web has no such thing")?;
                if sha256_hex(&content) != download.sha256 {
                    return Err("its digest is another".to_owned());
                }
                self.set(path, Sort::File, content, *mode, ownership);
            }
            Step::PutLink { path, target } => {
                self.require_directory(path)?;
                self.set(path, Sort::Link(target.clone()), Vec::new(), Mode::new(0o777), &Ownership::default());
            }
            Step::PutUserLink { manager, path, target } => {
                self.require_directory(path)?;
                self.set(path, Sort::Link(target.clone()), Vec::new(), Mode::new(0o777), &of(manager));
            }
            Step::Remove { path, .. } => {
                if self.entries.keys().any(|other| other != path && other.is_within(path)) {
                    return Err(format!("{path} is not empty"));
                }
                if let Some((_, content)) = self.entries.remove(path) {
                    self.forget_unit(path, &content);
                }
            }
            Step::Rewrite { edit, rewrite, mode, ownership } => {
                self.rewrite(&edit.path, rewrite, (*mode, ownership))?;
            }
            Step::Rehearse(rehearsal) => {
                if let Some(flaws) = self.rehearse(rehearsal) {
                    return Err(flaws.said.join("\n"));
                }
            }
            Step::ReloadUnits(_) => self.reload = true,
            Step::Unit { unit, action } => {
                let began = self.halted.remove(&unit.to_string());
                let began =
                    began.or_else(|| (*action == UnitAction::Restart).then(|| self.uptime.saturating_sub(STEP)));
                self.act(&unit.to_string(), *action)?;
                if let UnitAction::Start | UnitAction::Restart = action {
                    let (from, until) = (began, Some(self.uptime));
                    self.told.push(Told::Outage(Outage { unit: unit.clone(), from, until }));
                }
            }
            Step::Save { unit, data } => {
                self.halt(&unit.to_string())?;
                self.save(plan, apply, address, unit, data);
            }
            Step::Overhear(units) => {
                let log = |unit: &Managed| self.logs.get(&unit.to_string()).cloned();
                return Ok(Done::Said(units.iter().filter_map(log).collect::<Vec<_>>().join("\n")));
            }
            Step::LoadImage { id, name, .. } => {
                self.add_image(&name.manager, id);
                self.name_image(id, name)?;
            }
            Step::TagImage { id, name } => self.name_image(id, name)?,
            Step::PullImage { reference, .. } => {
                let id = sha256_hex(reference.name.as_bytes());
                self.add_image(&reference.manager, &id);
                self.name_image(&id, reference)?;
            }
            Step::Revert(revert) => return self.revert(plan, apply, revert).map(Done::Said),
            Step::Run(run) => return self.run(run),
            Step::Turn { knob, state, input } => {
                self.turn(knob, &(knob.sort().settled)(state));
                if let Some(input) = input.as_ref().filter(|_| knob.sort().word == RANDOM.word) {
                    self.put_file(knob.name(), &bytes(input)?, state);
                }
            }
            Step::Request(effect) => {
                if self.reply(&effect.unless) == Reply::Expected {
                    return Ok(Done::NotNeeded);
                }
                self.requested.insert(effect.unless.request.url.clone());
                if let Some(Delete { knob, request, status: _ }) = &effect.delete {
                    self.turn(knob, &request.title());
                }
            }
            // It is noted already what was there.
            Step::Claim(_) => {}
            Step::Await(_) => self.told.push(Told::Answered(self.uptime)),
        }
        Ok(Done::Said(String::new()))
    }

    /// Gives a file new content, if it is still what was looked at.
    pub(super) fn rewrite(
        &mut self,
        path: &AbsPath,
        rewrite: &Rewrite,
        (mode, ownership): (Mode, &Ownership),
    ) -> Result<(), String> {
        let found =
            self.entries.get(path).map_or_else(|| Rewrite::NO_FILE.to_owned(), |(_, content)| sha256_hex(content));
        if rewrite.before.last() != Some(&found) {
            return Err(format!("{path} has changed since it was looked at: apply again"));
        }
        match &rewrite.after {
            After::Same => {}
            After::Gone => _ = self.entries.remove(path),
            After::Content(blob) => {
                self.require_directory(path)?;
                let content = bytes(blob)?;
                match self.entries.get_mut(path) {
                    Some((entry, old)) => (entry.size, *old) = (content.len() as u64, content),
                    None => self.set(path, Sort::File, content, mode, ownership),
                }
            }
        }
        Ok(())
    }

    /// Names an image, which takes the name from any other.
    pub(super) fn name_image(&mut self, id: &str, name: &Managed) -> Result<(), String> {
        let images = self.images_of(&name.manager);
        if images.iter().all(|image| image.id != id) {
            return Err("no such image".to_owned());
        }
        for image in images {
            image.names.retain(|known| *known != name.name);
            if image.id == id {
                image.names.push(name.name.clone());
                image.names.sort();
            }
        }
        Ok(())
    }

    pub(super) fn add_image(&mut self, manager: &Manager, id: &str) {
        let images = self.images_of(manager);
        if images.iter().all(|image| image.id != id) {
            images.push(ImageState { id: id.to_owned(), ..ImageState::default() });
        }
    }

    fn run(&mut self, run: &Run) -> Result<Done, String> {
        let succeeds = |guard: &Guard| self.status(&guard.argv) == 0;
        let needed = run.guards.iter().all(|need| match need {
            Need::Absent(path) => !self.entries.contains_key(path),
            Need::Fails(guard) => !succeeds(guard),
            Need::Succeeds(guard) => succeeds(guard),
        });
        if !needed {
            return Ok(Done::NotNeeded);
        }
        if self.status(&run.argv) != 0 {
            return Err(format!("exit status {}", self.status(&run.argv)));
        }
        if let Some(path) = self.makes.get(&run.argv).cloned() {
            self.put_file(path.as_str(), b"", "0644");
        }
        // What a guard found missing is there once the command has run.
        for need in &run.guards {
            match need {
                Need::Fails(guard) => {
                    self.statuses.insert(guard.argv.clone(), 0);
                }
                Need::Absent(path) => self.put_file(path.as_str(), b"", "0644"),
                Need::Succeeds(_) => {}
            }
        }
        Ok(Done::Said(String::new()))
    }
}
