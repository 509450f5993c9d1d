//! Guards, podman's images and asked through every shell that a host may have, with the tools made up.

use std::fs;
use std::path::Path;

use super::*;
use crate::shell::trial::{run, shells, tool};

const ID: &str = "b7c1f2d9a0e34856b7c1f2d9a0e34856b7c1f2d9a0e34856b7c1f2d9a0e34856";

/// Asks as an ordinary user whose home and tools are in a directory of the test's own.
pub(crate) fn ask(shell: &[&str], home: &Path, asks: &[Ask]) -> Answers {
    let home = home.to_str().unwrap();
    let program = format!(
        "HOME={home}; PATH={home}/bin:$PATH; id() {{ echo 1000; }}\n\
         provision_generators={home}/generators provision_places={home}/place; export provision_generators provision_places\n\
         unset XDG_DATA_HOME XDG_RUNTIME_DIR XDG_CONFIG_HOME CONTAINERS_STORAGE_CONF STORAGE_DRIVER\n{}",
        script::program(asks, "n0nce")
    );
    let reply = run(shell, &["-c", &program], b"");
    let asks: Vec<&Ask> = asks.iter().collect();
    reply::read(&asks, &reply, "n0nce").unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&reply)))
}

pub(crate) fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    home
}

fn guard(argv: &[&str], directory: Option<&str>) -> Guard {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    Guard { argv, directory: directory.map(|path| path.parse().unwrap()), limit: Duration::from_secs(1) }
}

#[test]
fn a_guard_answers_with_its_exit_status() {
    let hostile = "a 'b' \"c\" $(touch x) `id` \\ \n -n";
    let guards = [
        (guard(&["true"], None), 0),
        (guard(&["false"], None), 1),
        (guard(&["sh", "-c", "echo noise; echo noise >&2; exit 7"], None), 7),
        (guard(&["test", hostile, "=", hostile], None), 0),
        (guard(&["cat"], None), 0),
        (guard(&["sh", "-c", "test \"$PWD\" = /"], Some("/")), 0),
        (guard(&["no-such-program"], None), 127),
        (guard(&["/etc/passwd"], None), 126),
        (guard(&["true"], Some("/no/such/directory")), 126),
        (guard(&["sleep", "9"], None), 124),
    ];
    for shell in shells() {
        let home = home();
        let asks: Vec<Ask> = guards.iter().map(|(guard, _)| Ask::Guard(guard.clone())).collect();
        let answers = ask(shell, home.path(), &asks);
        for (guard, status) in &guards {
            assert_eq!(answers.guard(guard), Ok(status), "{:?} {shell:?}", guard.argv);
        }
    }
}

/// Puts a list of images where podman would keep it.
fn store(root: &Path, driver: &str, names: &[&str]) {
    let directory = root.join(format!("{driver}-images"));
    fs::create_dir_all(&directory).unwrap();
    // As podman 4.3 wrote it.
    let images = serde_json::json!([{
        "id": ID,
        "digest": "sha256:1111",
        "names": names,
        "layer": "2222",
        "metadata": "{}",
        "big-data-names": [format!("sha256:{ID}"), "manifest-sha256:1111", "manifest", "signature"],
        "big-data-sizes": { "manifest": 7 },
        "big-data-digests": {
            "manifest": "sha256:1111",
            "manifest-sha256:3333": "sha256:3333",
            format!("sha256:{ID}"): format!("sha256:{ID}"),
        },
        "created": "2026-06-01T12:00:00Z",
    }]);
    fs::write(directory.join("images.json"), images.to_string()).unwrap();
}

fn state(names: &[&str]) -> ImageState {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    ImageState { id: ID.to_owned(), digests: vec!["sha256:1111".to_owned(), "sha256:3333".to_owned()], names }
}

/// A podman that must not be run: asking changes nothing, and it would.
fn forbidden_podman(home: &Path) {
    tool(&home.join("bin"), "podman", "echo run >\"$HOME/podman-was-run\"");
}

#[test]
fn images_are_read_without_running_podman() {
    for shell in shells() {
        let home = home();
        forbidden_podman(home.path());
        let asks = [Ask::Images(Manager::System)];
        assert_eq!(ask(shell, home.path(), &asks).images(&Manager::System), Ok(&vec![]), "{shell:?}");
        store(&home.path().join(".local/share/containers/storage"), "overlay", &["localhost/b:1", "localhost/a:1"]);
        let answers = ask(shell, home.path(), &asks);
        assert_eq!(
            answers.images(&Manager::System),
            Ok(&vec![state(&["localhost/a:1", "localhost/b:1"])]),
            "{shell:?}"
        );
        assert!(!home.path().join("podman-was-run").exists());
    }
}

#[test]
fn the_store_is_where_storage_conf_says() {
    let cases = [
        "[storage]\ndriver = \"overlay\"\n# graphroot = \"/wrong\"\ngraphroot = \"$HOME/two words\"\n",
        "[storage]\nrootless_storage_path = '$HOME/two words'\ngraphroot=\"\"\n",
        "[storage]\ngraphroot = \"/nowhere\"\nimagestore = \"HERE/two words\"\n",
        "[storage.options]\nadditionalimagestores = [\"/none\", \"HERE/two words\"]\nmount_program = \"/x\"\n",
        "[storage.options]\n  additionalimagestores = [ # why\n    \"/none\",\n    'HERE/two words',\n  ]\n[x]\ny = [\"/z\"]\n",
    ];
    for shell in shells() {
        for conf in cases {
            let home = home();
            forbidden_podman(home.path());
            let conf = conf.replace("HERE", home.path().to_str().unwrap());
            fs::create_dir_all(home.path().join(".config/containers")).unwrap();
            fs::write(home.path().join(".config/containers/storage.conf"), &conf).unwrap();
            store(&home.path().join("two words"), "overlay", &["localhost/a:1"]);
            if conf.contains("driver") {
                store(&home.path().join("two words"), "vfs", &["localhost/of-another-driver:1"]);
            }
            let answers = ask(shell, home.path(), &[Ask::Images(Manager::System)]);
            assert_eq!(answers.images(&Manager::System), Ok(&vec![state(&["localhost/a:1"])]), "{shell:?} {conf}");
        }
    }
}

#[test]
fn a_list_of_images_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    for shell in shells() {
        let home = home();
        forbidden_podman(home.path());
        store(&home.path().join(".local/share/containers/storage"), "overlay", &[]);
        let list = home.path().join(".local/share/containers/storage/overlay-images/images.json");
        fs::write(&list, "[{").unwrap();
        let reason = ask(shell, home.path(), &[Ask::Images(Manager::System)])
            .images(&Manager::System)
            .unwrap_err()
            .message
            .clone();
        let expected = format!("cannot read podman's images in {}: EOF while parsing", list.display());
        assert!(reason.starts_with(&expected), "{reason}");
        fs::remove_file(&list).unwrap();
        fs::create_dir(&list).unwrap();
        let reason = ask(shell, home.path(), &[Ask::Images(Manager::System)])
            .images(&Manager::System)
            .unwrap_err()
            .message
            .clone();
        assert!(reason.contains("cannot read"), "{reason}");
    }
}

/// Puts a generator of podman's where the host would have it.
fn generator(home: &Path, text: &str) {
    let directory = home.join("generators/user-generators");
    fs::create_dir_all(&directory).unwrap();
    tool(&directory, "podman-user-generator", text);
}

#[test]
fn podman_is_asked_for_its_version_without_a_trace() {
    let version = PodmanVersion::new;
    for shell in shells() {
        let found = |home: &tempfile::TempDir| ask(shell, home.path(), &[Ask::Podman]).podman().copied();
        let home = home();
        // What writes is not even run.
        tool(&home.path().join("bin"), "podman", "touch \"$HOME/trace\"; echo podman version 9.9.9");
        for name in ["dpkg-query", "rpm"] {
            tool(&home.path().join("bin"), name, "exit 1");
        }
        assert_eq!(found(&home), Ok(PodmanState::WithoutQuadlet(None)), "{shell:?}");
        tool(&home.path().join("bin"), "dpkg-query", "echo 4.3.1+ds1-8+deb12u1");
        assert_eq!(found(&home), Ok(PodmanState::WithoutQuadlet(Some(version(4, 3, 1)))), "{shell:?}");
        generator(home.path(), "echo flag provided but not defined: -version >&2; exit 2");
        assert_eq!(found(&home), Ok(PodmanState::Present(version(4, 4, 0))), "{shell:?}");
        generator(home.path(), "echo 5.4.2");
        assert_eq!(found(&home), Ok(PodmanState::Present(version(5, 4, 2))), "{shell:?}");
        generator(home.path(), "echo no; exit 1");
        assert!(found(&home).is_err(), "{shell:?}");
        assert!(!home.path().join("trace").exists(), "{shell:?}");
    }
}

#[test]
fn what_a_generator_makes_is_asked_where_nobody_else_sees_it() {
    use crate::step::{Laid, Rehearsed};
    for shell in shells() {
        let home = home();
        let units = home.path().join(".config/containers/systemd");
        fs::create_dir_all(&units).unwrap();
        fs::create_dir(home.path().join("place")).unwrap();
        fs::write(units.join("a.container"), "old").unwrap();
        fs::write(units.join("b.container"), "gone").unwrap();
        generator(
            home.path(),
            "IFS=:; for d in $QUADLET_UNIT_DIRS; do for f in \"$d\"/*.container; do [ -e \"$f\" ] || continue\n\
             n=${f##*/}; printf -- '---%s.service---\\nSourcePath=%s\\n' \"${n%.container}\" \"$f\"; cat \"$f\"; echo\n\
             echo \"quadlet-generator[3]: Warning: $f\" >&2; done; done",
        );
        let path = |name: &str| units.join(name).to_str().unwrap().parse::<AbsPath>().unwrap();
        let file = Rehearsed { path: path("a.container"), laid: Laid::File("it's new\n".to_owned()), service: None };
        let rehearsal = Rehearsal { manager: Manager::Own, files: vec![file], gone: vec![path("b.container")] };
        let asked = || ask(shell, home.path(), &[Ask::Generated(rehearsal.clone())]).generated(&rehearsal).cloned();
        tool(&home.path().join("bin"), "unshare", "echo not permitted >&2; exit 1");
        let refused = asked().unwrap_err().message;
        assert_eq!(
            refused,
            "podman's unit generator cannot be asked: this host lets nobody have a file system of their own to try it in: not permitted",
            "{shell:?}"
        );
        tool(&home.path().join("bin"), "unshare", "while [ \"$1\" != /bin/sh ]; do shift; done; exec \"$@\"");
        tool(&home.path().join("bin"), "mount", "exit 0");
        let found = asked().unwrap();
        let source = |name: &str| format!("SourcePath={}\n", units.join(name).display());
        let before = [("a.service", source("a.container") + "old\n"), ("b.service", source("b.container") + "gone\n")];
        let named = |units: &[(&str, String)]| units.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect();
        assert_eq!(found.before, named(&before), "{shell:?}");
        assert_eq!(found.after, named(&[("a.service", source("a.container") + "it's new\n")]), "{shell:?}");
        assert_eq!(found.complaints, [format!("Warning: {}", units.join("a.container").display())], "{shell:?}");
        fs::remove_dir_all(home.path().join("place/stage")).unwrap();
    }
}
