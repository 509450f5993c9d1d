//! What is done as a user, under every shell that a host may have. Here that is the user as whom the steps run; that root
//! becomes another is proved on real hosts.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::trial::{apply, attempt, batch, begin, done, put, stamp, state, task};
use super::*;
use crate::probe::Ask;
use crate::probe::runtime_tests::ask;
use crate::shell::trial::{shells, tool};

fn path(path: &Path) -> AbsPath {
    path.to_str().unwrap().parse().unwrap()
}

fn put_user(at: &Path, content: &[u8]) -> Step {
    let content = Blob::from_bytes(content.to_vec());
    Step::PutUserFile { manager: Manager::Own, path: path(at), content, mode: Mode::new(0o640) }
}

fn ensure_user(at: &Path) -> Step {
    Step::EnsureUserDirectory { manager: Manager::Own, path: path(at) }
}

#[test]
fn a_user_s_file_arrives_whole_in_directories_of_its_own() {
    let content: Vec<u8> = (0..=255_u8).cycle().take((2 << 20) + 7).collect();
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("two words/it's $(here)");
        let (file, link) = (directory.join("-f"), directory.join("link"));
        let steps = vec![ensure_user(directory.parent().unwrap()), ensure_user(&directory), put_user(&file, &content)];
        // What comes behind it finds its own data.
        let next = home.path().join("next");
        let reply = apply(shell, home.path(), vec![task("u", steps), task("n", vec![put(&next, b"next")])]);
        assert_eq!(reply.outcomes, [done(""), done("")], "{shell:?}");
        assert_eq!(fs::read(&file).unwrap(), content, "{shell:?}");
        assert_eq!(fs::read(&next).unwrap(), b"next", "{shell:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&file), mode(&directory)), (0o640, 0o700), "{shell:?}");

        // A link is replaced and not followed; a directory stays; nothing is left of the staging.
        symlink("/nowhere/at/all", &link).unwrap();
        fs::create_dir(directory.join("d")).unwrap();
        let steps = |step: Step| vec![task("u", vec![step]), task("n", vec![put(&next, b"after")])];
        let purpose = begin(&stamp(home.path()));
        let reply = attempt(shell, home.path(), &batch(purpose, steps(put_user(&link, b"new"))));
        assert_eq!((reply.outcomes[0].clone(), fs::read(&link).unwrap()), (done(""), b"new".to_vec()), "{shell:?}");
        let purpose = begin(&stamp(home.path()));
        let reply = attempt(shell, home.path(), &batch(purpose, steps(put_user(&directory.join("d"), b"new"))));
        let Outcome::Failed { output, .. } = &reply.outcomes[0] else { panic!("{shell:?} {reply:?}") };
        assert_eq!(output.trim_end(), format!("{} is a directory", directory.join("d").display()), "{shell:?}");
        assert_eq!(reply.outcomes[1], done(""), "{shell:?}");
        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["-f", "d", "link"], "{shell:?}");
        assert!(!state(home.path()).join("history/1/.handed").exists(), "{shell:?}");
    }
}

#[test]
fn a_user_s_link_replaces_a_link_and_nothing_else() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("two words");
        fs::create_dir(&directory).unwrap();
        let link = |address: &str, name: &str, target: &str| {
            let step = Step::PutUserLink {
                manager: Manager::Own,
                path: path(&directory.join(name)),
                target: target.to_owned(),
            };
            task(address, vec![step])
        };
        fs::write(directory.join("file"), "kept").unwrap();
        fs::create_dir(directory.join("there")).unwrap();
        symlink(directory.join("there"), directory.join("old")).unwrap();
        let tasks = vec![
            link("a", "w@it's.container", "w@.container"),
            link("b", "old", "-n $(new)"),
            link("c", "file", "x"),
            link("d", "there", "x"),
        ];
        let reply = apply(shell, home.path(), tasks);
        assert_eq!(reply.outcomes[..2], [done(""), done("")], "{shell:?}");
        for (outcome, name) in reply.outcomes[2..].iter().zip(["file", "there"]) {
            let Outcome::Failed { output, .. } = outcome else { panic!("{shell:?} {reply:?}") };
            assert_eq!(output.trim_end(), format!("{} is not a link", directory.join(name).display()), "{shell:?}");
        }
        let says = |name: &str| fs::read_link(directory.join(name)).unwrap().display().to_string();
        assert_eq!((says("w@it's.container").as_str(), says("old").as_str()), ("w@.container", "-n $(new)"));
        assert_eq!(fs::read(directory.join("file")).unwrap(), b"kept", "{shell:?}");
        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "old", "there", "w@it's.container"], "{shell:?}");
        assert!(fs::read_dir(directory.join("there")).unwrap().next().is_none(), "{shell:?}");
    }
}

#[test]
fn a_restart_of_a_user_s_unit_is_owed_under_a_name_of_its_own() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        let mut owing = task("f", vec![put(&home.path().join("f"), b"x")]);
        owing.owes = ["a.service", "core/a.service", "~/a@b.service", "command=a,b.c"].map(str::to_owned).to_vec();
        apply(shell, home.path(), vec![owing]);
        let owed = |home: &Path| {
            let mut owed = ask(shell, home, &[Ask::Owed("test".to_owned())]).owed("test").unwrap().clone();
            owed.sort();
            owed
        };
        assert_eq!(owed(home.path()), ["a.service", "command=a,b.c", "core/a.service", "~/a@b.service"], "{shell:?}");
        let mut paying = task("f", vec![put(&home.path().join("f"), b"y")]);
        paying.pays = vec!["core/a.service".to_owned(), "a.service".to_owned()];
        attempt(shell, home.path(), &batch(begin(&stamp(home.path())), vec![paying]));
        assert_eq!(owed(home.path()), ["command=a,b.c", "~/a@b.service"], "{shell:?}");
    }
}

#[test]
fn each_manager_reads_its_own_units_once_and_one_that_does_not_run_is_not_told() {
    for shell in shells() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("run/systemd")).unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        let log = home.path().join("calls");
        // What is the user's comes in an environment of its own.
        let show = "echo LoadState=loaded; echo ActiveState=inactive; echo UnitFileState=disabled";
        tool(
            &home.path().join("bin"),
            "systemctl",
            &format!(
                "case $* in *show*) {show} ;; *) echo \"${{XDG_RUNTIME_DIR##*/}} $*\" >>'{}' ;; esac",
                log.display()
            ),
        );
        let told = || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let _ = fs::remove_file(&log);
            text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
        };
        let start =
            |manager: &Manager| Step::Unit { unit: Managed::new(manager, "a.service"), action: UnitAction::Start };
        let reload = |manager: &Manager| Step::ReloadUnits(manager.clone());
        let (system, own) = (Manager::System, Manager::Own);
        let tasks = || {
            vec![
                task("a", vec![reload(&system), reload(&own), reload(&own)]),
                task("b", vec![reload(&system)]),
                task("c", vec![start(&own)]),
                task("d", vec![start(&own)]),
            ]
        };
        let reply = apply(shell, home.path(), tasks());
        let Outcome::Failed { output, .. } = &reply.outcomes[2] else { panic!("{shell:?} {reply:?}") };
        assert!(
            output.contains("does not run, because 1000 is not logged in and does not linger"),
            "{shell:?}: {output}"
        );
        assert_eq!(told(), ["daemon-reload"], "{shell:?}");

        let _manager = std::os::unix::net::UnixListener::bind(home.path().join("run/systemd/private")).unwrap();
        let reply = attempt(shell, home.path(), &batch(begin(&stamp(home.path())), tasks()));
        assert_eq!(reply.outcomes, [done(""), done(""), done(""), done("")], "{shell:?}");
        let expected = [
            "run --user daemon-reload",
            "run --user reset-failed -- a.service",
            "run --user start -- a.service",
            "run --user reset-failed -- a.service",
            "run --user start -- a.service",
            "daemon-reload",
        ];
        assert_eq!(told(), expected, "{shell:?}");
    }
}
