//! What is remembered, asked through every shell that a host may have.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::Store;
use super::super::runtime_tests::{ask, home};
use super::*;
use crate::ledger::{Entry, Head, Ledger};
use crate::shell::trial::{shells, tool};
use crate::systemd::Managed;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn state(home: &Path, plan: &str) -> PathBuf {
    home.join(".local/state/provision").join(plan)
}

fn ledger(plan: &str, objects: &[&str]) -> Ledger {
    let entry = |objects: &[&str]| Entry {
        address: "file.motd".parse().unwrap(),
        digest: "d".to_owned(),
        objects: objects.iter().map(|object| object.parse().unwrap()).collect(),
        wanted: BTreeMap::from([("objects".to_owned(), "[".to_owned()), ("text".to_owned(), "path /no".to_owned())]),
    };
    Ledger { resources: vec![entry(objects), entry(&[])], ..Ledger::empty(plan) }
}

fn remembered(shell: &[&str], home: &Path, ledger: &str) -> Memory {
    let asks = [Ask::Memory { plan: "web".to_owned(), ledger: ledger.to_owned() }];
    ask(shell, home, &asks).memory("web", ledger).unwrap().clone()
}

/// Everything below a directory, with what says that it was written.
fn tree(directory: &Path) -> String {
    let find = ["-c", "cd \"$0\" && find . -printf '%p %s %T@ %C@ %m\\n' | sort", directory.to_str().unwrap()];
    String::from_utf8(crate::shell::trial::run(&["sh"], &find, b"")).unwrap()
}

#[test]
fn where_nothing_was_ever_applied_nothing_is_remembered_and_nothing_made() {
    for shell in shells() {
        let home = home();
        let before = tree(home.path());
        let memory = remembered(shell, home.path(), "d");
        let directory = state(home.path(), "web").to_str().unwrap().to_owned();
        assert_eq!(memory, Memory { directory, ..Memory::default() }, "{shell:?}");
        assert_eq!(memory.stamp(), "0");
        let asks = [Ask::History("web".to_owned()), Ask::Records { plan: "web".to_owned(), scope: Scope::Apply(1) }];
        let answers = ask(shell, home.path(), &asks);
        assert_eq!(answers.history("web"), Ok(&Vec::new()), "{shell:?}");
        assert_eq!(answers.records("web", Scope::Apply(1)), Ok(&Vec::new()), "{shell:?}");
        assert_eq!(before, tree(home.path()), "the question has changed something, {shell:?}");
    }
}

#[test]
fn the_newest_apply_the_ledger_and_what_others_hold_come_back() {
    for shell in shells() {
        let home = home();
        let web = state(home.path(), "web");
        let mine = ledger("web", &["path /etc/motd"]);
        write(&web.join("ledger"), &mine.text());
        let head = Head {
            verb: "apply".to_owned(),
            when: "2026-11-23T10:00:00Z".to_owned(),
            who: "alice@laptop".to_owned(),
            plan: "d".to_owned(),
            changes: 3,
        };
        for (number, result) in [(2, "done\n"), (9, "rolled-back\n"), (10, "failed\n"), (11, "")] {
            let place = web.join(format!("history/{number}"));
            write(&place.join("head"), &serde_json::to_string(&head).unwrap());
            write(&place.join("result"), result);
        }
        write(&web.join("history/.new/head"), "half");
        write(&web.join("history/12/order"), "no head, so no apply");
        write(&web.join("origin/0123456789abcdef.was"), "a copy alone is no record");
        let others = ["path /etc/a \"b\"", "unit haproxy.service", "path /etc/ü, "];
        write(&state(home.path(), "db").join("ledger"), &ledger("db", &others).text());
        write(&state(home.path(), "empty").join("ledger"), &Ledger::empty("empty").text());

        let before = tree(home.path());
        let memory = remembered(shell, home.path(), "another");
        assert_eq!(before, tree(home.path()), "the question has changed something, {shell:?}");
        assert_eq!(memory.ledger, LedgerFound::Other(mine.text().into_bytes()), "{shell:?}");
        assert_eq!(memory.stamp(), "11 cut", "{shell:?}");
        assert_eq!(memory.last.clone().unwrap().head, Some(head.clone()));
        let held = |plan: &str| memory.others[plan].iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(held("db"), ["path /etc/a \"b\"", "path /etc/ü, ", "unit haproxy.service"], "{shell:?}");
        assert_eq!((held("empty").len(), memory.others.len()), (0, 2));
        assert!(!memory.touched && memory.lock.is_none());

        write(&web.join("origin/0123456789abcdef"), "1 file.motd absent path /etc/motd\n");
        let memory = remembered(shell, home.path(), &mine.sha256());
        assert_eq!((memory.ledger, memory.touched), (LedgerFound::Same, true), "{shell:?}");

        let history = ask(shell, home.path(), &[Ask::History("web".to_owned())]).history("web").unwrap().clone();
        let found: Vec<(u32, Ended)> = history.iter().map(|applied| (applied.number, applied.result)).collect();
        assert_eq!(
            found,
            [(2, Ended::Done), (9, Ended::RolledBack), (10, Ended::Failed), (11, Ended::Cut)],
            "{shell:?}"
        );
        assert!(history.iter().all(|applied| applied.head.as_ref() == Some(&head)));
    }
}

#[test]
fn records_come_in_their_order() {
    let lines =
        ["2 file.b absent path /etc/b ", "2 file.a link path /etc/a'b", "2 firewall.f knob knob firewall port 80/tcp"];
    for shell in shells() {
        let home = home();
        for (key, line) in ["cc", "aa", "bb"].into_iter().zip(lines) {
            write(&state(home.path(), "web").join("history/2").join(key), &format!("{line}\nzone public\n"));
            write(&state(home.path(), "web").join("origin").join(key), &format!("{line}\n"));
        }
        write(&state(home.path(), "web").join("origin/aa.was"), "a copy\n");
        write(&state(home.path(), "web").join("origin/dd"), "");
        write(&state(home.path(), "web").join("history/2/order"), "cc\naa\nbb\n");
        let records = |scope: Scope| -> Vec<String> {
            let answers = ask(shell, home.path(), &[Ask::Records { plan: "web".to_owned(), scope }]);
            answers.records("web", scope).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(records(Scope::Apply(2)), lines, "{shell:?}");
        assert_eq!(records(Scope::Origin), [lines[1], lines[2], lines[0]], "{shell:?}");
        assert_eq!(records(Scope::Apply(3)).len(), 0);
        write(&state(home.path(), "web").join("origin/aa"), "garbage\n");
        let broken = ask(shell, home.path(), &[Ask::Records { plan: "web".to_owned(), scope: Scope::Origin }]);
        assert!(
            broken.records("web", Scope::Origin).is_err(),
            "a record that cannot be read is not left out, {shell:?}"
        );
    }
}

#[test]
fn a_lock_is_told_with_whether_its_holder_is_still_there() {
    let uptime: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim();
    let me = std::process::id();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let start = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().to_owned();
    let (later, earlier) = (uptime as u64 + 100, uptime as u64);
    let who = "alice@laptop since 2026-11-23T10:00:00Z";
    let cases = [
        (format!("{later}      \n{boot}\n{me} {start}\n1 1\n3\n{who}\n"), who, true),
        (format!("{later}\n{boot}\n{me} -\n1 1\n3\n{who}\n"), who, true),
        (format!("{earlier}\n{boot}\n{me} {start}\n1 1\n3\n{who}\n"), who, false),
        (format!("{later}\nanother\n{me} {start}\n1 1\n3\n{who}\n"), who, false),
        (format!("{later}\n{boot}\n{me} 1{start}\n1 1\n3\n{who}\n"), who, false),
        (format!("{later}\n{boot}\n{me} {start}\n"), "an apply that was cut", false),
    ];
    for shell in shells() {
        for (text, holder, alive) in &cases {
            let home = home();
            write(&state(home.path(), "web").join("lock"), text);
            let found = remembered(shell, home.path(), "").lock;
            assert_eq!(found, Some(LockFound { holder: (*holder).to_owned(), alive: *alive }), "{text:?} {shell:?}");
        }
    }
}

#[test]
fn names_are_listed_whatever_is_in_them() {
    for shell in shells() {
        let home = home();
        let place = home.path().join("two words");
        fs::create_dir(&place).unwrap();
        let names = ["..x", ".hidden", "-n", "a b ", "a\nb", "ä'\"", "\n"];
        for name in names {
            fs::write(place.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("/nowhere", place.join("dangling")).unwrap();
        let path = |path: &Path| -> crate::path::AbsPath { path.to_str().unwrap().parse().unwrap() };
        let asked = [path(&place), path(&home.path().join("none")), path(&home.path().join("bin"))];
        let asks: Vec<Ask> = asked.iter().cloned().map(Ask::Listing).collect();
        let answers = ask(shell, home.path(), &asks);
        let mut expected: Vec<&str> = names.into_iter().chain(["dangling"]).collect();
        expected.sort_unstable();
        assert_eq!(answers.listing(&asked[0]).unwrap(), &expected, "{shell:?}");
        assert_eq!((answers.listing(&asked[1]), answers.listing(&asked[2])), (Ok(&Vec::new()), Ok(&Vec::new())));
    }
}

#[test]
fn volumes_and_networks_are_found_without_running_podman() {
    for shell in shells() {
        let home = home();
        tool(&home.path().join("bin"), "podman", "echo run >\"$HOME/podman-was-run\"");
        let root = home.path().join(".local/share/containers/storage");
        fs::create_dir_all(root.join("volumes/systemd-data/_data")).unwrap();
        write(&root.join("networks/systemd-net.json"), "{}");
        write(&home.path().join(".config/cni/net.d/old.conflist"), "{}");
        let asked = [
            (Store::Volume, "systemd-data", true),
            (Store::Volume, "systemd-net", false),
            (Store::Network, "systemd-net", true),
            (Store::Network, "old", true),
            (Store::Network, "systemd-data", false),
        ];
        let asks: Vec<Ask> =
            asked.iter().map(|(sort, name, _)| Ask::Stored { sort: *sort, name: Managed::system(*name) }).collect();
        let answers = ask(shell, home.path(), &asks);
        for (sort, name, there) in &asked {
            assert_eq!(answers.stored(*sort, &Managed::system(*name)), Ok(there), "{name} {shell:?}");
        }
        assert!(!home.path().join("podman-was-run").exists());
    }
}
