use std::fs;
use std::path::{Path, PathBuf};

use crate::ledger::{Ended, Scope};
use crate::object::{Object, Was};
use crate::saved::Saved;
use crate::shell::trial::{shells, tool};
use crate::step::reply::{BatchReply, Heard};
use crate::step::trial::{abs, attempt, batch, begin, done, end, revert, rollback, stamp, state, task, tree, was};
use crate::step::{Data, Outcome, Step, Task, UnitAction, reply};
use crate::systemd::Managed;

/// systemd with two units; the front one requires the other.
const SYSTEMCTL: &str = r#"
for x; do :; done
echo "$*" >>"$HOME/systemctl.log"
case $* in
  *RequiredBy*front*) echo RequiredBy= ;;
  *RequiredBy*) printf 'RequiredBy=front.service idle.service\n\nBoundBy=\n' ;;
  *is-active*) cat "$HOME/up-$x" 2>/dev/null || { echo inactive; exit 3; } ;;
  *property=ActiveState*) echo "ActiveState=$(cat "$HOME/up-$x" 2>/dev/null || echo inactive)" ;;
  *LoadState*) printf 'LoadState=loaded\nActiveState=%s\nUnitFileState=static\n' "$(cat "$HOME/up-$x" 2>/dev/null || echo inactive)" ;;
  *start*) [ ! -e "$HOME/broken" ] || exit 1; echo active >"$HOME/up-$x"; case $x in db*) [ ! -e "$HOME/new" ] || sh "$HOME/new" ;; esac ;;
  *stop*) rm -f "$HOME/up-$x" "$HOME/up-front.service" ;;
esac
"#;

struct Host {
    home: tempfile::TempDir,
    shell: &'static [&'static str],
    manager: &'static str,
}

impl Host {
    fn new(shell: &'static [&'static str], manager: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path();
        for directory in ["bin", "srv/data/sub"] {
            fs::create_dir_all(path.join(directory)).unwrap();
        }
        tool(&path.join("bin"), "systemctl", SYSTEMCTL);
        tool(&path.join("bin"), "journalctl", "echo it said so");
        // Under whose rights it runs is seen by what it leaves.
        tool(
            &path.join("bin"),
            "podman",
            "[ \"$1\" = unshare ] || exit 1; echo unshared >>\"$HOME/unshared\"; shift; exec \"$@\"",
        );
        fs::create_dir_all(path.join("run/systemd")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(path.join("run/systemd/private")).unwrap());
        for unit in ["up-db.service", "up-front.service"] {
            fs::write(path.join(unit), "active\n").unwrap();
        }
        let host = Self { home, shell, manager };
        for (name, content) in [("srv/a b.db", "old"), ("srv/a b.db-wal", "old wal"), ("srv/data/sub/f", "old")] {
            fs::write(host.at(name), content).unwrap();
        }
        std::os::unix::fs::symlink("sub/f", host.at("srv/data/link")).unwrap();
        host
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn unit(&self) -> Managed {
        format!("{}db.service", self.manager).parse().unwrap()
    }

    fn data(&self) -> Vec<Saved> {
        ["srv/a b.db", "srv/data", "srv/new"].into_iter().map(|name| Saved::Path(abs(&self.at(name)))).collect()
    }

    fn object(&self, of: usize) -> Object {
        Object::Snapshot { unit: self.unit(), of: self.data().remove(of) }
    }

    fn task(&self) -> Task {
        let unit = self.unit();
        let restart = Step::Unit { unit: unit.clone(), action: UnitAction::Restart };
        Task {
            owes: vec![unit.to_string()],
            pays: vec![unit.to_string()],
            ..task("db", vec![Step::Save { unit, data: self.data() }, restart])
        }
    }

    fn apply(&self) -> BatchReply {
        attempt(self.shell, self.home.path(), &batch(begin(&stamp(self.home.path())), vec![self.task()]))
    }

    fn ends(&self, how: Ended) {
        assert_eq!(attempt(self.shell, self.home.path(), &batch(end(how), Vec::new())).refused, None);
    }

    /// Takes the newest apply back.
    fn back(&self, number: u32) -> BatchReply {
        let steps = (0..self.data().len()).rev().map(|of| revert(&self.object(of), Scope::Apply(number), Data::Keep));
        let unit = self.unit();
        let start = Step::Unit { unit: unit.clone(), action: UnitAction::Restart };
        let again = Task { after: vec![0], pays: vec![unit.to_string()], ..task("db", vec![start]) };
        let tasks = vec![task("db", steps.collect()), again];
        attempt(self.shell, self.home.path(), &batch(rollback(self.home.path(), number), tasks))
    }

    /// What the new version makes of the data when it starts.
    fn migrates(&self) {
        let srv = self.at("srv");
        let script = format!(
            "cd '{}' && echo new >'a b.db' && rm -f 'a b.db-wal' && echo new >'a b.db-shm' && rm -r data && mkdir data && echo new >data/g && mkdir new",
            srv.display()
        );
        fs::write(self.at("new"), script).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    fn up(&self, unit: &str) -> bool {
        self.at(&format!("up-{unit}")).exists()
    }
}

fn everywhere() -> impl Iterator<Item = Host> {
    shells().into_iter().flat_map(|shell| ["", "~/"].map(|manager| Host::new(shell, manager)))
}

#[test]
fn data_are_kept_while_their_unit_is_stopped_and_come_back_with_the_version_that_they_are_of() {
    for host in everywhere() {
        let (shell, what) = (host.shell, host.manager);
        let before = tree(&host.at("srv"));
        host.migrates();
        let reply = host.apply();
        assert_eq!(reply.outcomes, [done("")], "{shell:?} {what}");
        host.ends(Ended::Done);
        assert_ne!(tree(&host.at("srv")), before);
        // What it requires was stopped along, and is up again; what was not up is not.
        assert_eq!((host.up("db.service"), host.up("front.service"), host.up("idle.service")), (true, true, false));
        assert_eq!(fs::read_dir(state(host.home.path()).join("owed")).map_or(0, Iterator::count), 0, "{shell:?}");
        let noted = |of| was(host.home.path(), Scope::Apply(1), &host.object(of));
        assert!(matches!(noted(0), Some(Was::Copy(bytes)) if bytes > 0), "{shell:?}");
        assert!(matches!(noted(1), Some(Was::Copy(_))));
        assert_eq!(noted(2), Some(Was::Absent));
        assert_eq!(host.at("unshared").exists(), what == "~/", "{shell:?} {what}");

        fs::remove_file(host.at("new")).unwrap();
        let reply = host.back(1);
        assert_eq!((reply.refused, reply.outcomes), (None, vec![done(""), done("")]), "{shell:?} {what}");
        assert_eq!(tree(&host.at("srv")), before, "{shell:?} {what}");
        assert_eq!((host.up("db.service"), host.up("front.service")), (true, true), "{shell:?} {what}");
        assert_eq!(stamp(host.home.path()), "1 rolled-back");
        // It cannot be put back twice, so it takes no room.
        assert!(!state(host.home.path()).join(format!("history/1/{}.was", host.object(1).key())).exists());
    }
}

#[test]
fn how_long_it_did_not_serve_is_told() {
    for shell in shells() {
        let host = Host::new(shell, "");
        let tell = |batch: &crate::step::Batch| {
            let program = crate::step::trial::program(host.home.path(), batch);
            let said = crate::step::trial::exchange(shell, &program, &crate::step::trial::input(batch));
            let mut heard = Vec::new();
            let mut tell = |what| heard.push(what);
            crate::transport::Sink::accept(&mut reply::Progress::new(crate::step::trial::NONCE, &mut tell), &said);
            heard
        };
        let heard = tell(&batch(begin("0"), vec![host.task()]));
        let outage =
            heard.iter().find_map(|heard| if let Heard::Served(0, outage) = heard { Some(outage) } else { None });
        let outage = outage.unwrap_or_else(|| panic!("{heard:?} {shell:?}"));
        assert_eq!(outage.unit, host.unit());
        assert!(outage.until >= outage.from && outage.from > Some(0), "{outage:?}");
        host.ends(Ended::Done);
        // One that does not come up again is not up again.
        fs::write(host.at("broken"), "").unwrap();
        let heard = tell(&batch(begin("1 done"), vec![host.task()]));
        let until =
            heard.iter().find_map(|heard| if let Heard::Served(0, outage) = heard { Some(outage.until) } else { None });
        assert_eq!(until, Some(None), "{heard:?} {shell:?}");
    }
}

#[test]
fn where_there_is_no_room_nothing_is_stopped() {
    for host in everywhere() {
        let shell = host.shell;
        tool(
            &host.at("bin"),
            "df",
            "echo Filesystem 1024-blocks Used Available Capacity Mounted on; echo /dev/a 100 99 1 99% /",
        );
        let reply = host.apply();
        let [Outcome::Failed { step: 0, output, .. }] = reply.outcomes.as_slice() else {
            panic!("{reply:?} {shell:?}")
        };
        assert!(
            output.starts_with(&format!(
                "there is no room to copy the data of {} aside: it takes 1 MiB in ",
                host.unit()
            )),
            "{output}"
        );
        assert!(output.ends_with("0 MiB are free there, 1 MiB too few; nothing was stopped"), "{output}");
        assert!(host.up("db.service") && host.up("front.service"), "{shell:?}");
        assert_eq!(was(host.home.path(), Scope::Apply(1), &host.object(0)), None);
    }
}

#[test]
fn a_copy_that_is_half_made_is_none() {
    for host in everywhere() {
        let shell = host.shell;
        for copier in ["cp", "tar"] {
            tool(
                &host.at("bin"),
                copier,
                "case $* in *data*) echo 'no space left'; exit 1 ;; esac; PATH=${PATH#*:}; exec COPIER \"$@\""
                    .replace("COPIER", copier)
                    .as_str(),
            );
        }
        let reply = host.apply();
        let [Outcome::Failed { step: 0, output, .. }] = reply.outcomes.as_slice() else {
            panic!("{reply:?} {shell:?}")
        };
        assert!(output.contains("is stopped: its data could not be copied aside"), "{output}");
        assert!(!host.up("db.service"), "{shell:?}");
        // The restart is owed, and so is what was stopped along.
        let owed = fs::read_dir(state(host.home.path()).join("owed")).unwrap().flatten().next().unwrap();
        assert_eq!(fs::read_to_string(owed.path()).unwrap(), "front.service\n", "{shell:?}");
        let (first, second) = (host.object(0), host.object(1));
        assert!(was(host.home.path(), Scope::Apply(1), &first).is_some());
        assert_eq!(was(host.home.path(), Scope::Apply(1), &second), None);
        assert!(!state(host.home.path()).join(format!("history/1/{}.saving", second.key())).exists());
        // Somebody has worked on since: of what was not kept nothing is put back.
        fs::remove_file(host.at("bin/cp")).unwrap();
        fs::remove_file(host.at("bin/tar")).unwrap();
        fs::write(host.at("srv/data/sub/f"), "newer").unwrap();
        fs::write(host.at("srv/a b.db"), "newer").unwrap();
        let reply = host.back(1);
        assert_eq!(reply.outcomes, [done(""), done("")], "{shell:?}");
        assert_eq!((host.read("srv/data/sub/f"), host.read("srv/a b.db")), ("newer".to_owned(), "old".to_owned()));
        assert!(host.up("db.service") && host.up("front.service"), "{shell:?}");
    }
}

#[test]
fn what_was_kept_after_the_look_is_put_back_as_well() {
    for host in everywhere() {
        let (shell, what) = (host.shell, host.manager);
        let before = tree(&host.at("srv"));
        host.migrates();
        host.apply();
        fs::remove_file(host.at("new")).unwrap();
        // Whoever takes it back has seen a unit that is stopped, and no copies yet.
        let start = Step::Unit { unit: host.unit(), action: UnitAction::Start };
        let reply =
            attempt(shell, host.home.path(), &batch(rollback(host.home.path(), 1), vec![task("db", vec![start])]));
        assert_eq!((reply.refused, reply.outcomes), (None, vec![done("")]), "{shell:?} {what}");
        assert_eq!(tree(&host.at("srv")), before, "{shell:?} {what}");
        assert!(host.up("db.service"), "{shell:?} {what}");
    }
}

#[test]
fn what_a_cut_has_left_of_a_copy_goes_with_the_next_apply() {
    for shell in shells() {
        let host = Host::new(shell, "");
        host.apply();
        let half = state(host.home.path()).join("history/1/x.saving");
        fs::create_dir(&half).unwrap();
        fs::write(half.join("f"), "half").unwrap();
        let reply = attempt(shell, host.home.path(), &batch(begin("1 cut"), vec![host.task()]));
        assert_eq!(reply.outcomes, [done("")], "{shell:?}");
        assert!(!half.exists(), "{shell:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_replaced_changes_from_within() {
    for host in everywhere() {
        let (shell, what) = (host.shell, host.manager);
        // A file system of its own.
        let mount =
            "case $* in '-c %d'*srv/data) echo 1 ;; '-c %d'*) echo 2 ;; *) PATH=${PATH#*:}; exec stat \"$@\" ;; esac";
        let before = tree(&host.at("srv"));
        fs::write(
            host.at("new"),
            format!("cd '{}' && chmod 0700 data && rm -r data/* && echo new >data/.hidden", host.at("srv").display()),
        )
        .unwrap();
        host.apply();
        host.ends(Ended::Done);
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let place = inode(&host.at("srv/data"));
        fs::remove_file(host.at("new")).unwrap();
        tool(&host.at("bin"), "stat", mount);
        let reply = host.back(1);
        assert_eq!(reply.outcomes, [done(""), done("")], "{shell:?} {what}");
        assert_eq!(tree(&host.at("srv")), before, "{shell:?} {what}");
        assert_eq!(inode(&host.at("srv/data")), place, "{shell:?} {what}");
    }
}

#[test]
fn a_rollback_without_room_leaves_what_runs() {
    for host in everywhere() {
        let shell = host.shell;
        host.migrates();
        host.apply();
        host.ends(Ended::Done);
        tool(
            &host.at("bin"),
            "df",
            "echo Filesystem 1024-blocks Used Available Capacity Mounted on; echo /dev/a 100 99 1 99% /",
        );
        let reply = host.back(1);
        let [Outcome::Failed { output, .. }, Outcome::Skipped { because: Some(0) }] = reply.outcomes.as_slice() else {
            panic!("{reply:?} {shell:?}")
        };
        assert!(output.starts_with("there is no room to put "), "{output}");
        assert!(host.up("db.service"), "{shell:?}");
        assert_eq!(host.read("srv/a b.db"), "new\n");
        // With room, it is simply done again.
        fs::remove_file(host.at("bin/df")).unwrap();
        fs::remove_file(host.at("new")).unwrap();
        assert_eq!(host.back(1).outcomes, [done(""), done("")], "{shell:?}");
        assert_eq!((host.read("srv/a b.db"), host.read("srv/a b.db-wal")), ("old".to_owned(), "old wal".to_owned()));
    }
}

#[test]
fn a_link_is_not_followed() {
    for host in everywhere() {
        fs::rename(host.at("srv/data"), host.at("srv/elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", host.at("srv/data")).unwrap();
        let reply = host.apply();
        let [Outcome::Failed { output, .. }] = reply.outcomes.as_slice() else { panic!("{reply:?}") };
        assert!(output.ends_with("is a link, which could lead elsewhere tomorrow: name what it leads to"), "{output}");
        assert!(host.up("db.service"));
    }
}

#[test]
fn old_copies_go_when_they_are_too_many() {
    for shell in shells() {
        let host = Host::new(shell, "");
        let mut number = 0;
        let mut next = || {
            let mut batch = batch(begin(&stamp(host.home.path())), vec![host.task()]);
            if let crate::step::Purpose::Begin { keep, .. } = &mut batch.journal.purpose {
                keep.bytes = 20_000;
            }
            assert_eq!(attempt(shell, host.home.path(), &batch).outcomes, [done("")], "{shell:?}");
            host.ends(Ended::Done);
            number += 1;
            state(host.home.path()).join(format!("history/{number}"))
        };
        let first = next();
        assert!(first.exists());
        let second = next();
        assert!(!first.exists() && second.exists(), "{shell:?}");
    }
}
