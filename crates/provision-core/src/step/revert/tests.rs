//! What is taken back, under every shell that a host may have.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::super::Step;
use super::super::trial::*;
use super::super::{Outcome, Ownership, Task};
use super::*;
use crate::attribute::Mode;
use crate::ledger::Scope;
use crate::object::Object;
use crate::shell::trial::{shells, tool};
use crate::systemd::Manager;

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    fs::create_dir(home.path().join("p")).unwrap();
    home
}

fn made(path: &Path) -> Step {
    Step::MakeDirectory { path: abs(path), mode: Mode::new(0o755), ownership: Ownership::default() }
}

fn chmod(path: &Path, mode: u32) -> Step {
    Step::SetAttributes { path: abs(path), mode: Some(Mode::new(mode)), ownership: Ownership::default() }
}

fn link(path: &Path, target: &str) -> Step {
    Step::PutLink { path: abs(path), target: target.to_owned() }
}

/// Reverts of objects, one a task, as an apply of their own.
fn take_back(shell: &[&str], home: &Path, objects: &[Object], data: Data) -> Vec<Outcome> {
    let tasks: Vec<Task> = objects
        .iter()
        .enumerate()
        .map(|(i, object)| task(&format!("t{i}"), vec![revert(object, Scope::Origin, data)]))
        .collect();
    apply(shell, home, tasks).outcomes
}

#[test]
fn what_stood_at_paths_is_put_back_byte_for_byte_and_twice() {
    for shell in shells() {
        let home = home();
        let p = home.path().join("p");
        let hostile = ["f", "two words", "-rf", "a'b\"c$(x)", "trailing ", "a\\b"];
        for (i, name) in hostile.iter().enumerate() {
            let path = p.join(name);
            fs::write(&path, format!("old {name}\n\0\x01")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600 + u32::try_from(i).unwrap())).unwrap();
        }
        symlink("-old target ", p.join("link")).unwrap();
        fs::create_dir(p.join("there")).unwrap();
        symlink("there", p.join("to-directory")).unwrap();
        fs::set_permissions(p.join("there"), fs::Permissions::from_mode(0o2710)).unwrap();
        for name in hostile {
            let aged =
                std::process::Command::new("touch").args(["-d", "2001-02-03 04:05:06"]).arg(p.join(name)).status();
            assert!(aged.unwrap().success());
        }
        let stamps = || -> Vec<i64> {
            // BusyBox's cp keeps whole seconds.
            let second = |path| fs::symlink_metadata(path).unwrap().mtime();
            hostile.iter().map(|name| second(p.join(name))).collect()
        };
        let (before, stamped) = (tree(&p), stamps());

        let mut steps: Vec<Step> = hostile.iter().map(|name| put(&p.join(name), b"new")).collect();
        steps.extend([
            link(&p.join("link"), "/new"),
            link(&p.join("to-directory"), "/new"),
            chmod(&p.join("there"), 0o700),
            made(&p.join("new")),
            made(&p.join("new/below")),
            put(&p.join("new/below/file"), b"new"),
            link(&p.join("new/link"), "x"),
        ]);
        let objects: Vec<Object> = steps.iter().rev().flat_map(Step::objects).collect();
        let tasks = vec![task("all", steps)];
        assert_eq!(apply(shell, home.path(), tasks).outcomes, [done("")], "{shell:?}");
        assert_ne!(before, tree(&p));

        // Back to the time before the apply, twice; then to that before the plan, twice.
        for scope in [Scope::Apply(1), Scope::Apply(1), Scope::Origin, Scope::Origin] {
            let tasks = objects.iter().enumerate();
            let tasks =
                tasks.map(|(i, object)| task(&format!("t{i}"), vec![revert(object, scope, Data::Keep)])).collect();
            let outcomes = apply(shell, home.path(), tasks).outcomes;
            assert!(outcomes.iter().all(|outcome| *outcome == done("")), "{outcomes:?} {shell:?}");
            assert_eq!((&before, &stamped), (&tree(&p), &stamps()), "{scope:?} {shell:?}");
        }
        assert_eq!(records(home.path(), Scope::Origin), [""; 0], "what was taken back is no longer remembered");
        let dropped = fs::read_dir(state(home.path()).join("history/4/dropped")).unwrap().count();
        assert_eq!(dropped, objects.len() + hostile.len() + 2, "it went to where a rollback finds it, {shell:?}");
    }
}

#[test]
fn what_came_in_the_way_is_made_way_for_only_where_nothing_is_lost() {
    for shell in shells() {
        let home = home();
        let p = home.path().join("p");
        let (file, directory, gone) = (p.join("file"), p.join("directory"), p.join("gone"));
        fs::write(&file, "old").unwrap();
        fs::create_dir(&directory).unwrap();
        fs::create_dir(&gone).unwrap();
        let before = tree(&p);
        let tasks = || vec![task("a", vec![chmod(&file, 0o600), chmod(&directory, 0o700), chmod(&gone, 0o700)])];
        apply(shell, home.path(), tasks());
        let objects = [object(&file), object(&directory), object(&gone)];

        // A directory where a file was, a file where a directory was, and one that is gone.
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        fs::remove_dir(&directory).unwrap();
        fs::write(&directory, "x").unwrap();
        fs::remove_dir(&gone).unwrap();
        assert_eq!(take_back(shell, home.path(), &objects, Data::Keep), vec![done(""); 3], "{shell:?}");
        assert_eq!(before, tree(&p), "{shell:?}");

        apply(shell, home.path(), tasks());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        fs::write(file.join("data"), "x").unwrap();
        let outcomes = take_back(shell, home.path(), &objects[..1], Data::Keep);
        let Outcome::Failed { output, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        let expected = format!(
            "{} is now a directory that is not empty: what was there before cannot be put back",
            file.to_str().unwrap()
        );
        assert_eq!(*output, expected, "{shell:?}");
        assert!(file.join("data").exists());
        assert_eq!(take_back(shell, home.path(), &objects, Data::Delete), vec![done(""); 3], "{shell:?}");
        assert_eq!(before, tree(&p), "{shell:?}");
    }
}

#[test]
fn a_directory_with_something_in_it_is_kept_and_remembered_until_data_may_go() {
    for shell in shells() {
        let home = home();
        let (d, outside) = (home.path().join("p/d e"), home.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "x").unwrap();
        apply(shell, home.path(), vec![task("d", vec![made(&d)])]);
        fs::write(d.join(".hidden"), "x").unwrap();
        symlink(&outside, d.join("link")).unwrap();
        let objects = [object(&d)];
        let kept = done(&format!("kept path {}: it is a directory that is not empty", d.to_str().unwrap()));
        for _ in 0..2 {
            assert_eq!(take_back(shell, home.path(), &objects, Data::Keep), std::slice::from_ref(&kept), "{shell:?}");
            assert_eq!(records(home.path(), Scope::Origin).len(), 1, "{shell:?}");
        }
        assert_eq!(take_back(shell, home.path(), &objects, Data::Delete), [done("")], "{shell:?}");
        assert!(!d.exists() && outside.join("precious").exists(), "{shell:?}");
        assert_eq!(records(home.path(), Scope::Origin).len(), 0, "{shell:?}");
    }
}

#[test]
fn what_is_mounted_below_is_never_deleted() {
    for shell in shells() {
        let home = home();
        let d = home.path().join("p/d e\\f");
        let inner = d.join("in ner");
        apply(shell, home.path(), vec![task("d", vec![made(&d)])]);
        fs::create_dir(&inner).unwrap();
        let mount = |program: &str, arguments: &[&str]| {
            let status = std::process::Command::new(program).args(arguments).arg(&inner).status();
            status.is_ok_and(|status| status.success())
        };
        if !mount("mount", &["-t", "tmpfs", "-o", "size=64k", "none"]) {
            // Only root can mount; `tests/run` as root does.
            return;
        }
        let outcome = std::panic::catch_unwind(|| {
            fs::write(inner.join("precious"), "x").unwrap();
            let outcome = take_back(shell, home.path(), &[object(&d)], Data::Delete).remove(0);
            assert!(inner.join("precious").exists(), "{shell:?}");
            outcome
        });
        assert!(mount("umount", &[]));
        let Outcome::Failed { output, .. } = outcome.unwrap() else { panic!("it was deleted") };
        assert!(
            output.contains("cannot be removed: a file system is mounted at ")
                && output.ends_with("; unmount it first")
        );
        assert_eq!(take_back(shell, home.path(), &[object(&d)], Data::Delete), [done("")], "{shell:?}");
        assert!(!d.exists());
    }
}

#[test]
fn what_is_neither_file_nor_directory_nor_link_is_left_alone() {
    for shell in shells() {
        let home = home();
        let (was, is) = (home.path().join("p/was"), home.path().join("p/is"));
        let pipe = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        pipe(&was);
        apply(shell, home.path(), vec![task("a", vec![Step::Claim(object(&was)), Step::Claim(object(&is))])]);
        pipe(&is);
        let outcomes = take_back(shell, home.path(), &[object(&was), object(&is)], Data::Delete);
        let said = |outcome: &Outcome| match outcome {
            Outcome::Failed { output, .. } => output.rsplit_once("/p/").unwrap().1.to_owned(),
            other => panic!("{other:?}"),
        };
        let expected = [
            "was was neither a file nor a directory nor a link: it cannot be put back",
            "is is now a device, a socket or a pipe, which is not removed",
        ];
        assert_eq!(outcomes.iter().map(said).collect::<Vec<_>>(), expected, "{shell:?}");
    }
}

/// A systemctl that keeps the state of each unit in a file: `ActiveState UnitFileState`.
const SYSTEMCTL: &str = r#"
[ "$1" = show ] || echo "$*" >>"$HOME/calls"
verb=$1
while [ "$1" != -- ]; do shift || exit 0; [ $# != 0 ] || exit 0; done; shift
first=1
for u; do
  active=inactive; file=; load=not-found
  [ ! -e "$HOME/units/$u" ] || { read -r active file <"$HOME/units/$u"; load=loaded; }
  case $verb in
    show) [ -n "$first" ] || echo; first=
      case "$*$P" in *) ;; esac
      printf 'LoadState=%s\nActiveState=%s\nUnitFileState=%s\n' $load $active $file ;;
    stop) echo "inactive $file" >"$HOME/units/$u" ;;
    disable) echo "$active disabled" >"$HOME/units/$u" ;;
    reset-failed) echo "inactive $file" >"$HOME/units/$u" ;;
  esac
done"#;

fn unit(home: &Path, name: &str, state: &str) {
    fs::create_dir_all(home.join("units")).unwrap();
    fs::write(home.join("units").join(name), state).unwrap();
}

/// What was told to a made-up tool, one call a line.
fn calls(home: &Path) -> Vec<String> {
    let log = fs::read_to_string(home.join("calls")).unwrap_or_default();
    let _ = fs::remove_file(home.join("calls"));
    log.lines().map(str::to_owned).collect()
}

/// `systemctl show --property=X` answers with X alone.
fn systemctl(home: &Path) {
    let text = SYSTEMCTL.replace(
        "      case \"$*$P\" in *) ;; esac\n      printf",
        "      case $only in\n        *=ActiveState) echo \"ActiveState=$active\"; continue ;;\n        *=UnitFileState) echo \"UnitFileState=$file\"; continue ;;\n      esac\n      printf",
    );
    let text = text.replace("verb=$1\n", "verb=$1; only=$3\n");
    tool(&home.join("bin"), "systemctl", &text);
}

#[test]
fn a_unit_is_stopped_and_disabled_where_it_was_and_left_where_it_was_not() {
    // Before the plan, with the plan, and what is told to systemctl when it is taken back.
    let cases: [(&str, &str, &str, &[&str]); 8] = [
        (
            "new.service",
            "",
            "active enabled",
            &["stop -- new.service", "reset-failed -- new.service", "disable -- new.service"],
        ),
        (
            "off.service",
            "inactive disabled",
            "active enabled",
            &["stop -- off.service", "reset-failed -- off.service", "disable -- off.service"],
        ),
        ("broken.service", "failed disabled", "activating disabled", &["stop -- broken.service"]),
        ("made.service", "", "active generated", &["stop -- made.service", "reset-failed -- made.service"]),
        ("on.service", "active enabled", "active enabled", &[]),
        ("runs.service", "active disabled", "active enabled", &["disable -- runs.service"]),
        (
            "boots.service",
            "inactive enabled",
            "active enabled",
            &["stop -- boots.service", "reset-failed -- boots.service"],
        ),
        ("fell.service", "active enabled", "failed enabled", &[]),
    ];
    for shell in shells() {
        for (name, before, with, told) in cases {
            let home = home();
            systemctl(home.path());
            let object: Object = format!("unit {name}").parse().unwrap();
            if !before.is_empty() {
                unit(home.path(), name, before);
            }
            apply(shell, home.path(), vec![task("u", vec![Step::Claim(object.clone())])]);
            unit(home.path(), name, with);
            assert_eq!(
                take_back(shell, home.path(), std::slice::from_ref(&object), Data::Keep),
                [done("")],
                "{name} {shell:?}"
            );
            assert_eq!(calls(home.path()), told, "{name} {shell:?}");
            // Its record has gone, so that a second time there is nothing to do.
            assert_eq!(take_back(shell, home.path(), &[object], Data::Keep), [done("")], "{name} {shell:?}");
            assert_eq!(calls(home.path()), [""; 0], "{name} {shell:?}");
        }
    }
}

/// A podman that keeps what it has by name in files.
const PODMAN: &str = r#"
case "$1 $2" in
  'image inspect') [ -e "$HOME/image/$6" ] || exit 125; cat "$HOME/image/$6"; exit ;;
  *' exists') [ -e "$HOME/$1/$4" ]; exit ;;
esac
echo "$*" >>"$HOME/calls"
case "$1 $2" in
  'network rm') [ "$4" != busy ] || { echo 'Error: network is being used' >&2; exit 2; }; rm "$HOME/network/$4" ;;
  'volume rm') rm "$HOME/volume/$4" ;;
  'rmi --') rm "$HOME/image/$3" ;;
  tag*) echo "$2" >"$HOME/image/$3" ;;
esac"#;

#[test]
fn what_podman_holds_goes_only_where_it_was_not_and_data_only_when_it_may() {
    for shell in shells() {
        let home = home();
        systemctl(home.path());
        tool(&home.path().join("bin"), "podman", PODMAN);
        let has = |sort: &str, name: &str, text: &str| {
            fs::create_dir_all(home.path().join(sort)).unwrap();
            fs::write(home.path().join(sort).join(name), text).unwrap();
        };
        has("volume", "old", "");
        has("network", "old", "");
        has("image", "old", "a1\n");
        let objects: Vec<Object> = [
            "volume old old-volume.service",
            "volume new new-volume.service",
            "network old old-network.service",
            "network new new-network.service",
            "network busy busy-network.service",
            "image old",
            "image new",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        apply(shell, home.path(), vec![task("p", objects.iter().cloned().map(Step::Claim).collect())]);
        for sort in ["volume", "network", "image"] {
            has(sort, "new", "b2\n");
        }
        has("network", "busy", "");
        has("image", "old", "b2\n");
        for name in ["new-volume", "new-network", "old-network", "busy-network"] {
            unit(home.path(), &format!("{name}.service"), "active generated");
        }
        calls(home.path());

        let outcomes = take_back(shell, home.path(), &objects, Data::Keep);
        let expected = [
            done(""),
            done("kept volume new new-volume.service: a volume is data, which is kept"),
            done(""),
            done(""),
            Outcome::Failed { step: 0, status: 2, output: "Error: network is being used".to_owned() },
            done(""),
            done("kept image new: an image is data, which is kept"),
        ];
        assert_eq!(outcomes, expected, "{shell:?}");
        let told = [
            "stop -- new-network.service",
            "network rm -- new",
            "stop -- busy-network.service",
            "network rm -- busy",
            "tag a1 old",
        ];
        assert_eq!(calls(home.path()), told, "{shell:?}");
        assert_eq!(records(home.path(), Scope::Origin).len(), 3, "what was kept and what failed are remembered");

        let rest = [objects[1].clone(), objects[6].clone()];
        assert_eq!(take_back(shell, home.path(), &rest, Data::Delete), [done(""), done("")], "{shell:?}");
        let told = ["stop -- new-volume.service", "volume rm -- new", "rmi -- new"];
        assert_eq!(calls(home.path()), told, "{shell:?}");
        assert_eq!(take_back(shell, home.path(), &rest, Data::Delete), [done(""), done("")], "{shell:?}");
        assert_eq!(calls(home.path()), [""; 0], "{shell:?}");
    }
}

/// A podman with images of no name, of one, and of one that a container uses.
const IMAGES: &str = r#"
id=; for id; do :; done
case "$1 $2" in
  'image inspect') [ -e "$HOME/$id" ] || exit 125; case $4 in '{{.Id}}') echo "$id" ;; *) cat "$HOME/$id" ;; esac ;;
  'image exists') [ -e "$HOME/$id" ] ;;
  'rmi --')
    echo "$*" >>"$HOME/calls"
    case $id in c*) echo 'image is in use by a container' >&2; exit 2 ;; esac
    rm "$HOME/$id" ;;
  *) exit 9 ;;
esac"#;

#[test]
fn an_image_itself_goes_when_data_may_and_nobody_else_has_it() {
    for shell in shells() {
        let home = home();
        tool(&home.path().join("bin"), "podman", IMAGES);
        let [nameless, named, used, before, gone] = ["a", "b", "c", "d", "e"].map(|digit| digit.repeat(64));
        let has = |id: &str, names: &str| fs::write(home.path().join(id), names).unwrap();
        has(&before, "0 0");
        let all = [&nameless, &named, &used, &before, &gone];
        let objects: Vec<Object> = all.iter().map(|id| format!("image {id}").parse().unwrap()).collect();
        assert!(objects.iter().all(|object| object.image_id().is_some()));
        apply(shell, home.path(), vec![task("i", objects.iter().cloned().map(Step::Claim).collect())]);
        for (id, names) in [(&nameless, "0 0"), (&named, "1 1"), (&used, "0 0")] {
            has(id, names);
        }
        let kept = |id: &str, why: &str| done(&format!("kept image {id}: {why}"));
        let data = "an image is data, which is kept";
        let expected = [kept(&nameless, data), kept(&named, data), kept(&used, data), done(""), done("")];
        assert_eq!(take_back(shell, home.path(), &objects, Data::Keep), expected, "{shell:?}");
        assert_eq!(calls(home.path()), [""; 0], "{shell:?}");

        let expected = [
            done(""),
            done(""),
            kept(&used, "something still uses it: image is in use by a container"),
            done(""),
            done(""),
        ];
        assert_eq!(take_back(shell, home.path(), &objects, Data::Delete), expected, "{shell:?}");
        assert_eq!(calls(home.path()), [format!("rmi -- {nameless}"), format!("rmi -- {used}")], "{shell:?}");
        assert_eq!(records(home.path(), Scope::Origin), [format!("1 file.i absent image {used}")], "{shell:?}");
    }
}

/// A systemd-run that tells what it is asked for, and fails where it is told to.
const SYSTEMD_RUN: &str = r#"
[ ! -e "HOME/refuses" ] || { echo 'Failed to start transient service unit' >&2; exit 1; }
told=; while [ "$1" != -- ]; do told="$told $1"; shift; done; shift
echo "systemd-run$told" >>"HOME/calls"
exec "$@""#;

/// Root's batch, on a host with a user `core` whose manager does not run, and none called `gone`.
fn by_root(shell: &[&str], home: &Path, tasks: Vec<Task>) -> Vec<Outcome> {
    let here = home.to_str().unwrap();
    tool(&home.join("bin"), "setpriv", "shift 4; exec \"$@\"");
    tool(&home.join("bin"), "systemd-run", &SYSTEMD_RUN.replace("HOME", here));
    tool(&home.join("bin"), "podman", &format!("HOME='{here}'; case $1 in --log-level=*) shift 2 ;; esac\n{PODMAN}"));
    let systemctl = format!(
        "[ \"$SYSTEMD_OFFLINE $1\" = '1 --user' ] || exit 9\n\
         case $2 in is-enabled) cat '{here}/offline' ;; disable) echo disabled >'{here}/offline' ;; esac"
    );
    tool(&home.join("bin"), "systemctl", &systemctl);
    let batch = batch(begin(&stamp(home)), tasks);
    let id = "id() { case $* in *core) echo 4711 ;; *gone) return 1 ;; -un) echo root ;; *) echo 0 ;; esac; }";
    let program = program(home, &batch).replacen("id() { echo 1000; }", id, 1);
    let program = format!("base='{here}/.local/state/provision'\n{program}");
    heard(&batch, &exchange(shell, &program, &input(&batch))).0.outcomes
}

#[test]
fn data_of_a_user_whose_manager_does_not_run_can_be_taken_away() {
    for shell in shells() {
        let home = home();
        let claims = |objects: &[Object]| vec![task("c", objects.iter().cloned().map(Step::Claim).collect())];
        let reverts = |objects: &[Object]| {
            let each = objects.iter().enumerate();
            each.map(|(i, object)| task(&format!("t{i}"), vec![revert(object, Scope::Origin, Data::Delete)])).collect()
        };
        let has = |sort: &str, name: &str| {
            fs::create_dir_all(home.path().join(sort)).unwrap();
            fs::write(home.path().join(sort).join(name), "a1\n").unwrap();
        };
        has("image", "old");
        let objects: Vec<Object> = [
            "image core new",
            "volume data core/data-volume.service",
            "network net core/net-network.service",
            "image core old",
        ]
        .map(|text| text.parse().unwrap())
        .to_vec();
        assert_eq!(by_root(shell, home.path(), claims(&objects)), [done("")], "{shell:?}");
        [("image", "new"), ("volume", "data"), ("network", "net")].into_iter().for_each(|(sort, name)| has(sort, name));
        fs::write(home.path().join("image/old"), "b2\n").unwrap();
        calls(home.path());

        // What systemd-run itself fails of must not be taken for an image that is not there.
        fs::write(home.path().join("refuses"), "").unwrap();
        let outcomes = by_root(shell, home.path(), reverts(&objects[..1]));
        let Outcome::Failed { output, .. } = &outcomes[0] else { panic!("{outcomes:?} {shell:?}") };
        assert!(output.contains("Failed to start transient service unit"), "{output} {shell:?}");
        fs::remove_file(home.path().join("refuses")).unwrap();

        assert_eq!(by_root(shell, home.path(), reverts(&objects)), vec![done(""); 4], "{shell:?}");
        let told = calls(home.path());
        let (asked, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|line| line.starts_with("systemd-run"));
        assert_eq!(told, ["rmi -- new", "volume rm -- data", "network rm -- net", "tag a1 old"], "{shell:?}");
        let own = "systemd-run --property=TemporaryFileSystem=/run/user \
                   --property=TemporaryFileSystem=/dev/shm:mode=1777 \
                   --property=TemporaryFileSystem=/run/user/4711:mode=0700,uid=4711,gid=4711";
        assert!(asked.iter().all(|line| line.starts_with(own) && line.ends_with("--property=User=core")), "{asked:?}");
        let limited = asked.iter().filter(|line| line.contains(" --property=RuntimeMaxSec=20 "));
        assert_eq!(limited.count(), 2, "{asked:?} {shell:?}");
        assert_eq!(records(home.path(), Scope::Origin).len(), 0, "{shell:?}");

        // A unit does not run, and whether it starts with the manager is told and changed without it.
        let unit: Object = "unit core/a.service".parse().unwrap();
        fs::write(home.path().join("offline"), "disabled").unwrap();
        assert_eq!(by_root(shell, home.path(), claims(std::slice::from_ref(&unit))), [done("")], "{shell:?}");
        assert_eq!(
            was(home.path(), Scope::Origin, &unit).map(|was| was.to_string()).as_deref(),
            Some("unit:inactive:disabled")
        );
        fs::write(home.path().join("offline"), "enabled").unwrap();
        assert_eq!(by_root(shell, home.path(), reverts(&[unit])), [done("")], "{shell:?}");
        assert_eq!(fs::read_to_string(home.path().join("offline")).unwrap(), "disabled\n", "{shell:?}");

        // Of a user that has gone meanwhile nothing is left to take away.
        let objects = ["image gone x:1", "volume data gone/data-volume.service", "unit gone/a.service"]
            .map(|text| text.parse().unwrap());
        assert_eq!(by_root(shell, home.path(), claims(&objects)), [done("")], "{shell:?}");
        assert_eq!(by_root(shell, home.path(), reverts(&objects)), vec![done(""); 3], "{shell:?}");
        assert_eq!((calls(home.path()).len(), records(home.path(), Scope::Origin).len()), (0, 0), "{shell:?}");
    }
}

#[test]
fn systemd_reads_its_units_after_their_files_were_taken_back() {
    for shell in shells() {
        let home = home();
        systemctl(home.path());
        let place = home.path().join(".config/containers/systemd");
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(home.path().join("run/systemd")).unwrap();
        let _manager = UnixListener::bind(home.path().join("run/systemd/private")).unwrap();
        let (file, other) = (place.join("a.container"), home.path().join("p/f"));
        apply(shell, home.path(), vec![task("f", vec![put(&file, b"x"), put(&other, b"x")])]);
        calls(home.path());
        assert_eq!(take_back(shell, home.path(), &[object(&other)], Data::Keep), [done("")]);
        assert_eq!(calls(home.path()), [""; 0], "{shell:?}");
        assert_eq!(take_back(shell, home.path(), &[object(&file)], Data::Keep), [done("")]);
        assert_eq!(calls(home.path()), ["--user daemon-reload"], "{shell:?}");
        // A run that was cut has taken it back, and nobody knows whether it came to that.
        assert_eq!(take_back(shell, home.path(), &[object(&other), object(&file)], Data::Keep), [done(""), done("")]);
        assert_eq!(calls(home.path()), ["--user daemon-reload"], "{shell:?}");
    }
}

#[test]
fn what_was_removed_is_put_back() {
    for shell in shells() {
        for manager in [Manager::System, Manager::Own] {
            let home = home();
            let p = home.path().join("p");
            fs::write(p.join("-f $(x)"), "theirs").unwrap();
            fs::write(p.join("kept"), "kept").unwrap();
            symlink("kept", p.join("link")).unwrap();
            fs::create_dir(p.join("empty")).unwrap();
            fs::set_permissions(p.join("empty"), fs::Permissions::from_mode(0o2710)).unwrap();
            fs::create_dir(p.join("full")).unwrap();
            fs::write(p.join("full/a"), "").unwrap();
            let before = tree(&p);
            let names = ["-f $(x)", "link", "empty", "nothing"];
            let remove = |name: &str| Step::Remove { manager: manager.clone(), path: abs(&p.join(name)) };
            let mut tasks: Vec<Task> = names.iter().map(|name| task("there", vec![remove(name)])).collect();
            tasks.push(task("full", vec![remove("full")]));
            let outcomes = apply(shell, home.path(), tasks).outcomes;
            assert_eq!(outcomes[..4], [done(""), done(""), done(""), done("")], "{shell:?}");
            assert!(matches!(outcomes[4], Outcome::Failed { .. }), "{shell:?}");
            let left = |name: &str| fs::symlink_metadata(p.join(name)).is_ok();
            assert!(!names.into_iter().any(left) && left("kept") && left("full/a"), "{shell:?}");
            let objects = names.map(|name| Object::Path(abs(&p.join(name))));
            assert_eq!(take_back(shell, home.path(), &objects, Data::Keep), vec![done(""); 4], "{shell:?}");
            assert_eq!(tree(&p), before, "{shell:?}");
        }
    }
}
