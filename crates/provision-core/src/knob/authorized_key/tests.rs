//! The functions under three shells, with a made-up user.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::AUTHORIZED_KEY;
use crate::knob::{ABSENT, Knob};
use crate::ledger::Scope;
use crate::object::Object;
use crate::probe::Ask;
use crate::probe::runtime_tests::{ask, home};
use crate::shell::trial::{shells, tool};
use crate::step::trial::{apply, attempt, batch, begin, done, revert, task};
use crate::step::{Data, Outcome, Step};

const BLOB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJ1mVkX+/3c8Kxk8T0Wb0mVq3y6w0dVw4iQ7uQpZ8b1C";

fn knob() -> Knob {
    Knob::new(&AUTHORIZED_KEY, format!("core ssh-ed25519 {BLOB}"))
}

fn turn(state: &str) -> Step {
    Step::Turn { knob: knob(), state: state.to_owned(), input: None }
}

/// A home of a user named core, and the file in it.
fn account(home: &Path) -> PathBuf {
    fs::create_dir_all(home.join("bin")).unwrap();
    let text =
        format!("[ \"$2\" = core ] || exit 2; echo \"core:x:$(stat -c %u:%g {0})::{0}/core:/bin/sh\"", home.display());
    tool(&home.join("bin"), "getent", &text);
    fs::create_dir_all(home.join("core")).unwrap();
    home.join("core/.ssh/authorized_keys")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_key_is_added_changed_and_taken_back_beside_those_of_others() {
    for shell in shells() {
        let home = home();
        let file = account(home.path());
        let others = "# theirs\nssh-rsa AAAAB3 a b\n\nrestrict,command=\"echo 'x y'\" ssh-ed25519 AAAAC3other c";
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, others).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let line = format!("no-pty,from=\"192.0.2.0/24\" ssh-ed25519 {BLOB} me $(id) `id`");
        let reply = apply(shell, home.path(), vec![task("a", vec![turn(&line)])]);
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert_eq!(read(&file), format!("{others}\n{line}\n"), "{shell:?}");
        assert_eq!(mode(&file), 0o640, "{shell:?}");
        let answers = ask(shell, home.path(), &[Ask::Knob(knob())]);
        assert_eq!(answers.knob(&knob()).unwrap(), &line, "{shell:?}");
        apply(shell, home.path(), vec![task("a", vec![turn(&format!("ssh-ed25519 {BLOB}"))])]);
        assert_eq!(read(&file), format!("{others}\nssh-ed25519 {BLOB}\n"), "{shell:?}");
        // Somebody else adds one meanwhile.
        fs::write(&file, format!("{}ssh-rsa AAAAlater\n", read(&file))).unwrap();
        let back = revert(&Object::Knob(knob()), Scope::Origin, Data::Keep);
        assert_eq!(apply(shell, home.path(), vec![task("a", vec![back])]).outcomes, [done("")], "{shell:?}");
        assert_eq!(read(&file), format!("{others}\nssh-rsa AAAAlater\n"), "{shell:?}");
    }
}

#[test]
fn directory_and_file_are_made_private_and_go_with_the_last_key() {
    for shell in shells() {
        let home = home();
        let file = account(home.path());
        let line = format!("ssh-ed25519 {BLOB} me");
        assert_eq!(apply(shell, home.path(), vec![task("a", vec![turn(&line)])]).outcomes, [done("")], "{shell:?}");
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700), "{shell:?}");
        assert_eq!(read(&file), format!("{line}\n"));
        let back = revert(&Object::Knob(knob()), Scope::Origin, Data::Keep);
        assert_eq!(apply(shell, home.path(), vec![task("a", vec![back])]).outcomes, [done("")], "{shell:?}");
        assert!(!file.parent().unwrap().exists(), "{shell:?}");
    }
}

#[test]
fn who_is_not_there_and_what_leads_elsewhere_is_told() {
    for shell in shells() {
        let home = home();
        let file = account(home.path());
        let nobody = Knob::new(&AUTHORIZED_KEY, format!("nobody-here ssh-ed25519 {BLOB}"));
        let step = Step::Turn { knob: nobody.clone(), state: format!("ssh-ed25519 {BLOB}"), input: None };
        let reply = attempt(shell, home.path(), &batch(begin("0"), vec![task("a", vec![step])]));
        let failed = Outcome::Failed { step: 0, status: 1, output: "the host has no user nobody-here".to_owned() };
        assert_eq!(reply.outcomes, [failed], "{shell:?}");
        assert_eq!(ask(shell, home.path(), &[Ask::Knob(nobody.clone())]).knob(&nobody).unwrap(), ABSENT);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/etc/shadow", &file).unwrap();
        let reason = ask(shell, home.path(), &[Ask::Knob(knob())]).knob(&knob()).unwrap_err().message;
        assert!(reason.ends_with("is a link to /etc/shadow, and is left alone"), "{reason} {shell:?}");
    }
}
