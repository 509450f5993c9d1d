use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Flaws, Laid, Rehearsal, Rehearsed, told};
use crate::shell::trial::shells;
use crate::step::trial::{abs, attempt, batch, begin, done, put, task, tree};
use crate::step::{Outcome, Purpose, Refusal, Step};
use crate::systemd::Manager;

/// A generator that refuses what says `Bad`, in the words of podman 5.4.
const GENERATOR: &str = r#"#!/bin/sh
[ "$1" = --dryrun ] || exit 2
c=0; seen=' '
IFS=:; set -- ${QUADLET_UNIT_DIRS:-$HOME/.config/containers/systemd}; unset IFS
for d; do
  for f in "$d"/*.container; do
    [ -e "$f" ] || continue
    n=${f##*/}; case $seen in *" $n "*) continue ;; esac; seen="$seen$n "
    echo "quadlet-generator[7]: Loading source unit file $f" >&2
    text=$(cat "$f"; for e; do cat "$e/$n.d/"*.conf "$e/container.d/"*.conf; done 2>/dev/null)
    case $text in
      *Bad=*) echo "quadlet-generator[7]: converting \"$n\": unsupported key 'Bad' in group 'Container' in $f" >&2; c=1 ;;
      *) printf -- '---%s.service---\n[Unit]\nSourcePath=%s\n%s\n' "${n%.container}" "$f" "$text" ;;
    esac
  done
done
exit $c
"#;

/// A home with a generator and a foreign file of Quadlet's.
fn home(foreign: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let generator = home.path().join("generators/user-generators/podman-user-generator");
    fs::create_dir_all(generator.parent().unwrap()).unwrap();
    fs::write(&generator, GENERATOR).unwrap();
    fs::set_permissions(&generator, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.path().join("run")).unwrap();
    fs::create_dir_all(units(home.path())).unwrap();
    fs::write(units(home.path()).join("foreign.container"), foreign).unwrap();
    home
}

fn units(home: &Path) -> std::path::PathBuf {
    home.join(".config/containers/systemd")
}

fn file(home: &Path, name: &str, text: &str) -> Rehearsed {
    let service = name.strip_suffix(".container").map(|stem| format!("{stem}.service"));
    Rehearsed { path: abs(&units(home).join(name)), laid: Laid::File(text.to_owned()), service }
}

fn first(files: Vec<Rehearsed>, gone: &[&Path]) -> Purpose {
    let rehearsal = Rehearsal { manager: Manager::Own, files, gone: gone.iter().map(|path| abs(path)).collect() };
    match begin("0") {
        Purpose::Begin { stamp, head, ledger, keep, awaited, .. } => {
            Purpose::Begin { stamp, head, ledger, keep, awaited, rehearsals: vec![rehearsal] }
        }
        other => other,
    }
}

#[test]
fn what_the_generator_makes_is_put_in_place() {
    for shell in shells() {
        let home = home("[Container]\nImage=a\n");
        let (path, text) = (home.path(), "[Container]\nImage=b '$(touch x)' \"`id`\" \\ %i\n\n");
        let files = vec![file(path, "app.container", text)];
        let put = put(&units(path).join("app.container"), text.as_bytes());
        let reply = attempt(shell, path, &batch(first(files, &[]), vec![task("app", vec![put])]));
        assert_eq!((reply.refused, reply.outcomes), (None, vec![done("")]), "{shell:?}");
        assert_eq!(fs::read_to_string(units(path).join("app.container")).unwrap(), text);
        // Nothing is left of the stage.
        assert_eq!(fs::read_dir(path.join("run")).unwrap().count(), 0, "{shell:?}");
    }
}

#[test]
fn what_it_does_not_make_ends_the_apply_before_anything_is_touched() {
    for shell in shells() {
        let home = home("[Container]\nImage=a\n");
        let path = home.path();
        let before = tree(path);
        let files =
            vec![file(path, "app.container", "[Container]\nBad=1\n"), file(path, "ok.container", "[Container]\n")];
        let put = put(&units(path).join("ok.container"), b"[Container]\n");
        let reply = attempt(shell, path, &batch(first(files, &[]), vec![task("ok", vec![put])]));
        let said = format!(
            "converting \"app.container\": unsupported key 'Bad' in group 'Container' in {}/app.container",
            units(path).display()
        );
        let flaws = Flaws { lost: vec!["app.service".to_owned()], said: vec![said] };
        assert_eq!(reply.refused, Some(Refusal::Rehearsal(flaws)), "{shell:?}");
        assert_eq!(tree(path), before, "{shell:?}");
    }
}

#[test]
fn files_of_others_are_as_well_off_as_before() {
    for shell in shells() {
        // One that was wrong before is nobody's fault now.
        let home = home("[Container]\nBad=1\n");
        let path = home.path();
        let files = || vec![file(path, "app.container", "[Container]\n")];
        let batch = |purpose| batch(purpose, Vec::new());
        assert_eq!(attempt(shell, path, &batch(first(files(), &[]))).refused, None, "{shell:?}");
    }
    for shell in shells() {
        let home = home("[Container]\nImage=a\n");
        let path = home.path();
        // A drop-in that spoils somebody's.
        let files = vec![file(path, "foreign.container.d/x.conf", "[Container]\nBad=1\n")];
        let reply = attempt(shell, path, &batch(first(files, &[]), Vec::new()));
        match reply.refused {
            Some(Refusal::Rehearsal(flaws)) => assert_eq!(flaws.lost, ["foreign.service"], "{shell:?}"),
            other => panic!("{other:?} {shell:?}"),
        }
        // What leaves in the same apply may go, though something is complained of.
        fs::write(units(path).join("wrong.container"), "[Container]\nBad=1\n").unwrap();
        let gone = units(path).join("foreign.container");
        let files = vec![file(path, "app.container", "[Container]\n")];
        let reply = attempt(shell, path, &batch(first(files, &[&gone]), Vec::new()));
        assert_eq!(reply.refused, None, "{shell:?}");
    }
}

#[test]
fn instances_are_laid_as_links_to_their_template() {
    for shell in shells() {
        let home = home("[Container]\nImage=a\n");
        let path = home.path();
        let mut files = vec![file(path, "w@.container", "[Container]\nImage=a\n")];
        let link = units(path).join("w@a.container");
        let (laid, service) = (Laid::Link("w@.container".to_owned()), Some("w@a.service".to_owned()));
        files.push(Rehearsed { path: abs(&link), laid, service });
        assert_eq!(attempt(shell, path, &batch(first(files, &[]), Vec::new())).refused, None, "{shell:?}");
        // One that is there already stays one.
        std::os::unix::fs::symlink("w@.container", &link).unwrap();
        let template = file(path, "w@.container", "[Container]\nImage=b\n");
        let expected = Rehearsed { service: Some("w@a.service".to_owned()), ..template };
        let reply = attempt(shell, path, &batch(first(vec![expected], &[]), Vec::new()));
        assert_eq!(reply.refused, Some(Refusal::Moved("1 cut".to_owned())), "{shell:?}");
    }
}

#[test]
fn a_rehearsal_in_its_turn_fails_its_task_alone() {
    for shell in shells() {
        let home = home("[Container]\nImage=a\n");
        let path = home.path();
        let files = vec![file(path, "app.container", "[Container]\nBad=1\n")];
        let rehearsal = Rehearsal { manager: Manager::Own, files, gone: Vec::new() };
        assert_eq!(rehearsal.describe(), "try app.container with podman's unit generator");
        let put = put(&units(path).join("app.container"), b"[Container]\nBad=1\n");
        let reply = attempt(shell, path, &batch(begin("0"), vec![task("app", vec![Step::Rehearse(rehearsal), put])]));
        match reply.outcomes.as_slice() {
            [Outcome::Failed { step: 0, output, .. }] => {
                let told = told(output);
                assert!(told.starts_with("app.service would not be made\nconverting \"app.container\""), "{told}");
            }
            other => panic!("{other:?} {shell:?}"),
        }
        assert!(!units(path).join("app.container").exists());
        assert_eq!(fs::read_dir(path.join("run")).unwrap().count(), 0, "{shell:?}");
    }
}

#[test]
fn a_host_without_a_generator_says_so() {
    for shell in shells() {
        let home = home("");
        fs::remove_dir_all(home.path().join("generators")).unwrap();
        let files = vec![file(home.path(), "app.container", "[Container]\n")];
        let reply = attempt(shell, home.path(), &batch(first(files, &[]), Vec::new()));
        let why = "podman has no unit generator on this host (podman-user-generator): its package is not complete, or older than 4.4";
        let flaws = Flaws { lost: Vec::new(), said: vec![why.to_owned()] };
        assert_eq!(reply.refused, Some(Refusal::Rehearsal(flaws)), "{shell:?}");
    }
}
