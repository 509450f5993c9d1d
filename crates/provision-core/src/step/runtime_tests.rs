//! Commands, images, ports and answers: steps done through every shell that a host may have, with the tools made up where
//! they would need a real host.

use std::fs;
use std::path::Path;

use time::macros::datetime;

use super::reply::BatchReply;
use super::trial::task;
use super::*;
use crate::engine::watch::server::Server;
use crate::shell::trial::{run, shells, tool};
use crate::systemd::{Managed, Manager};
use crate::x509::{self, AuthoritySpec, LeafSpec, Names};

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("bin")).unwrap();
    home
}

/// Does some tasks, and after them one whose file proves that standard input was left at its place.
fn attempt(shell: &[&str], home: &Path, mut tasks: Vec<Task>) -> BatchReply {
    let last = home.join("last");
    let _ = fs::remove_file(&last);
    tasks.push(task("last", vec![put(&last, b"the last")]));
    let batch = trial::batch(trial::begin(&trial::stamp(home)), tasks);
    let reply = trial::attempt(shell, home, &batch);
    assert_eq!(fs::read(&last).ok().as_deref(), Some(&b"the last"[..]), "{shell:?} {reply:?}");
    assert!(reply.ended);
    reply
}

fn put(path: &Path, content: &[u8]) -> Step {
    Step::PutFile {
        path: path.to_str().unwrap().parse().unwrap(),
        content: Blob::from_bytes(content.to_vec()),
        mode: Mode::new(0o644),
        ownership: Ownership::default(),
        validate: Vec::new(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn command(argv: &[&str]) -> Run {
    Run { argv: words(argv), directory: None, input: None, limit: Duration::from_secs(10), guards: Vec::new() }
}

fn guard(argv: &[&str]) -> Guard {
    Guard { argv: words(argv), directory: None, limit: Duration::from_secs(1) }
}

/// The outcome of one command, with the place of the last file kept.
fn outcome(shell: &[&str], home: &Path, run: Run) -> Outcome {
    attempt(shell, home, vec![task("run", vec![Step::Run(run)])]).outcomes.remove(0)
}

fn done(output: &str) -> Outcome {
    Outcome::Done { output: output.to_owned() }
}

fn failed(status: i32, output: &str) -> Outcome {
    Outcome::Failed { step: 0, status, output: output.to_owned() }
}

#[test]
fn a_command_gets_its_arguments_its_directory_and_nothing_else() {
    let hostile = "a 'b' \"c\" $(touch x) `id` \\ -n";
    for shell in shells() {
        let home = home();
        let at = |argv: &[&str]| outcome(shell, home.path(), command(argv));
        assert_eq!(at(&["printf", "%s|", hostile, "", "*"]), done(&format!("{hostile}||*|")), "{shell:?}");
        assert_eq!(at(&["cat"]), done(""), "a command takes nothing off standard input, {shell:?}");
        assert_eq!(at(&["sh", "-c", "umask; echo $PWD; exit 3"]).clone(), failed(3, &format!("0022\n{}", cwd())));
        let there = Run { directory: Some("/usr".parse().unwrap()), ..command(&["sh", "-c", "echo $PWD"]) };
        assert_eq!(outcome(shell, home.path(), there.clone()), done("/usr"));
        let nowhere = Run { directory: Some("/no/such".parse().unwrap()), ..there };
        assert!(matches!(outcome(shell, home.path(), nowhere), Outcome::Failed { .. }), "{shell:?}");
        assert!(matches!(at(&["no-such-program"]), Outcome::Failed { status: 127, .. }), "{shell:?}");
        let slow = Run { limit: Duration::from_secs(1), ..command(&["sleep", "9"]) };
        let slow = outcome(shell, home.path(), slow);
        assert!(matches!(slow, Outcome::Failed { status: 124, .. }), "{slow:?} {shell:?}");
    }
}

fn cwd() -> String {
    // The tests' own directory, which is where a shell of theirs starts.
    Path::new(env!("CARGO_MANIFEST_DIR")).display().to_string()
}

#[test]
fn input_arrives_whole_and_what_is_not_read_of_it_does_no_harm() {
    let bytes: Vec<u8> = (0..=255_u8).cycle().take((1 << 20) + 4_321).collect();
    let input = Some(Blob::from_bytes(bytes.clone()));
    for shell in shells() {
        let home = home();
        let kept = home.path().join("kept");
        let with = |argv: &[&str]| Run { input: input.clone(), ..command(argv) };
        assert_eq!(outcome(shell, home.path(), with(&["sh", "-c", "cat >\"$HOME/kept\""])), done(""), "{shell:?}");
        assert_eq!(fs::read(&kept).unwrap(), bytes, "{shell:?}");
        assert_eq!(outcome(shell, home.path(), with(&["true"])), done(""), "{shell:?}");
        assert_eq!(outcome(shell, home.path(), with(&["sh", "-c", "exec <&-; exit 5"])), failed(5, ""), "{shell:?}");
        assert_eq!(outcome(shell, home.path(), with(&["head", "-c", "0"])), done(""), "{shell:?}");
        let unneeded = Run { guards: vec![Need::Fails(guard(&["true"]))], ..with(&["cat"]) };
        assert_eq!(outcome(shell, home.path(), unneeded), Outcome::NotNeeded, "{shell:?}");
        let empty = Run { input: Some(Blob::from_bytes(Vec::new())), ..command(&["cat"]) };
        assert_eq!(outcome(shell, home.path(), empty), done(""), "{shell:?}");
    }
}

#[test]
fn guards_are_asked_once_more_just_before() {
    for shell in shells() {
        let home = home();
        let there: AbsPath = home.path().join("bin").to_str().unwrap().parse().unwrap();
        let absent: AbsPath = home.path().join("absent").to_str().unwrap().parse().unwrap();
        std::os::unix::fs::symlink("/nowhere", home.path().join("dangling")).unwrap();
        let dangling: AbsPath = home.path().join("dangling").to_str().unwrap().parse().unwrap();
        let cases: Vec<(Vec<Need>, Outcome)> = vec![
            (vec![Need::Absent(there)], Outcome::NotNeeded),
            (vec![Need::Absent(dangling)], Outcome::NotNeeded),
            (vec![Need::Absent(absent.clone())], done("ran")),
            (vec![Need::Fails(guard(&["true"]))], Outcome::NotNeeded),
            (vec![Need::Fails(guard(&["sh", "-c", "exit 9"]))], done("ran")),
            (vec![Need::Succeeds(guard(&["true"]))], done("ran")),
            (vec![Need::Succeeds(guard(&["sh", "-c", "exit 9"]))], Outcome::NotNeeded),
            (
                vec![Need::Absent(absent), Need::Fails(guard(&["false"])), Need::Succeeds(guard(&["false"]))],
                Outcome::NotNeeded,
            ),
            (
                vec![Need::Fails(guard(&["no-such-program", "x"]))],
                failed(127, "the guard no-such-program cannot be asked: exit status 127"),
            ),
            (
                vec![Need::Succeeds(guard(&["sleep", "9"]))],
                failed(124, "the guard sleep cannot be asked: exit status 124"),
            ),
        ];
        for (guards, expected) in cases {
            let run = Run { guards: guards.clone(), ..command(&["echo", "ran"]) };
            assert_eq!(outcome(shell, home.path(), run), expected, "{guards:?} {shell:?}");
        }
    }
}

fn load(archive: &[u8]) -> Step {
    let (id, name) = ("b7c1".to_owned(), Managed::system("localhost/a:1"));
    Step::LoadImage { archive: Blob::from_bytes(archive.to_vec()), id, name }
}

/// What was told to a made-up tool, one call a line.
fn calls(home: &Path) -> Vec<String> {
    let log = fs::read_to_string(home.join("calls")).unwrap_or_default();
    let _ = fs::remove_file(home.join("calls"));
    log.lines().map(str::to_owned).collect()
}

#[test]
fn an_image_is_loaded_found_and_named() {
    let archive: Vec<u8> = (0..=255_u8).cycle().take((3 << 20) + 99).collect();
    for shell in shells() {
        let home = home();
        let podman = r#"echo "$*" >>"$HOME/calls"
case "$*" in
  load*) cat >"$HOME/archive"; for n in theirs:1 other:1 own:1 a:1; do echo "Loaded image: localhost/$n"; done; : >"$HOME/loaded" ;;
  images*) echo 'sha256:a0a0 localhost/theirs:1' ;;
  image*localhost/other:1) [ -e "$HOME/loaded" ] || exit 1; echo c2c2 ;;
  image*localhost/own:1) [ -e "$HOME/loaded" ] || exit 1; echo b7c1 ;;
  *:1) case $1 in image) exit 1 ;; esac ;;
esac"#;
        tool(&home.path().join("bin"), "podman", podman);
        let tag = Step::TagImage { id: "b7c1".to_owned(), name: Managed::system("localhost/b:1") };
        let pull = |platform: Option<&str>| Step::PullImage {
            reference: Managed::system("quay.io/a:1"),
            platform: platform.map(str::to_owned),
        };
        let steps = vec![load(&archive), tag, pull(None), pull(Some("linux/arm64"))];
        let reply = attempt(shell, home.path(), vec![task("image", steps)]);
        assert_eq!(reply.outcomes[0], done(""), "{shell:?}");
        assert_eq!(fs::read(home.path().join("archive")).unwrap(), archive, "{shell:?}");
        let told = calls(home.path());
        let (noted, told): (Vec<String>, Vec<String>) = told.into_iter().partition(|call| {
            call.starts_with("image ") && !call.contains("own") && !call.contains("other") && call.ends_with(":1")
        });
        assert_eq!(noted.len(), 6, "how each of three names was is noted, {shell:?}: {noted:?}");
        let expected = [
            "image inspect --format {{.Id}} -- b7c1",
            "images --no-trunc --format {{.ID}} {{.Repository}}:{{.Tag}}",
            "load --quiet",
            "image inspect --format {{.Id}} -- b7c1",
            "tag b7c1 localhost/a:1",
            "tag a0a0 localhost/theirs:1",
            "image inspect --format {{.Id}} -- localhost/other:1",
            "rmi -- localhost/other:1",
            "image inspect --format {{.Id}} -- localhost/own:1",
            "untag localhost/own:1 localhost/own:1",
            "tag b7c1 localhost/b:1",
            "pull --quiet -- quay.io/a:1",
            "pull --quiet --platform=linux/arm64 -- quay.io/a:1",
        ];
        assert_eq!(told, expected, "{shell:?}");
    }
}

#[test]
fn a_load_that_fails_leaves_nothing_of_the_archive_on_standard_input() {
    let archive = vec![b'a'; (3 << 20) + 99];
    let cases = [
        ("echo 'Error: no space left on device' >&2; exit 125", failed(125, "Error: no space left on device")),
        ("exec <&-; exit 125", failed(125, "")),
        ("head -c 100000 >/dev/null; kill -9 $$", failed(137, "")),
        ("cat >/dev/full 2>/dev/null; exit 1", failed(1, "")),
        (
            "[ \"$1\" = load ] && { cat >/dev/null; echo 'Loaded image: other'; exit 0; }; exit 125",
            failed(1, "Loaded image: other\nthe archive did not bring the image b7c1"),
        ),
    ];
    for shell in shells() {
        for (podman, expected) in &cases {
            let home = home();
            // The name and the image are noted before: neither is there.
            let noted = "[ -e \"$HOME/loaded\" ] || case $1 in image) exit 1 ;; load) : >\"$HOME/loaded\" ;; esac";
            let podman = format!("{noted}\n{podman}");
            tool(&home.path().join("bin"), "podman", &podman);
            let reply = attempt(shell, home.path(), vec![task("image", vec![load(&archive)])]);
            let Outcome::Failed { status, output, .. } = &reply.outcomes[0] else { panic!("{reply:?}") };
            // What a shell says of a command that a signal ended is its own.
            let output = if *status == 137 { "" } else { output };
            assert_eq!(&failed(*status, output), expected, "{podman} {shell:?}");
        }
    }
}

fn wait(curl: &[&str], contains: Option<&str>) -> Await {
    Await {
        curl: words(curl),
        status: vec![200, 204],
        contains: contains.map(str::to_owned),
        limit: Duration::from_secs(1),
        pause: Duration::from_secs(1),
    }
}

/// What curl makes of an answer, through each shell. The server answers meanwhile, so the shells run beside it.
async fn answered(wait: Await) -> Vec<Outcome> {
    let tries = tokio::task::spawn_blocking(move || {
        let attempt = |shell: &&[&str]| {
            let home = home();
            attempt(shell, home.path(), vec![task("wait", vec![Step::Await(wait.clone())])]).outcomes.remove(0)
        };
        shells().iter().map(attempt).collect()
    });
    tries.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_asks_until_the_answer_is_right() {
    let port = Server::http("200 OK", "all [is] *well*").start().await;
    let sick = Server::http("503 Unavailable", "200").start().await;
    let url = |port: u16| format!("http://127.0.0.1:{port}/?a=[1]&b={{2}}");
    let cases = [
        (wait(&["--", &url(port)], None), done("status 200, as seen from the host")),
        (wait(&["--", &url(port)], Some("[is] *well*")), done("status 200, as seen from the host")),
        (wait(&["--", &url(port)], Some("200")), failed(1, "gave up after 1s: the answer does not contain 200")),
        (wait(&["--", &url(sick)], None), failed(1, "gave up after 1s: status 503 instead of 200 204")),
    ];
    for (wait, expected) in cases {
        for found in answered(wait).await {
            assert_eq!(found, expected);
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().port();
    drop(listener);
    for found in answered(wait(&["--", &url(closed)], None)).await {
        let Outcome::Failed { output, .. } = found else { panic!("{found:?}") };
        assert!(output.starts_with("gave up after 1s: (7) Failed to connect to 127.0.0.1 port"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_trusts_the_authority_alone_wherever_it_connects() {
    // curl goes by this machine's clock.
    let now = datetime!(2020-01-01 12:00 UTC);
    let authority = |name: &str| {
        let lifetime = x509::Lifetime::from_days(36_000).unwrap();
        let spec = AuthoritySpec { lifetime, ..AuthoritySpec::new(name.parse().unwrap()) };
        x509::generate_authority(&spec, now).unwrap()
    };
    let (ca, other) = (authority("Registry CA"), authority("Other CA"));
    let lifetime = x509::Lifetime::from_days(36_000).unwrap();
    let names = Names::new(["registry.example".parse().unwrap()]).unwrap();
    let leaf = x509::issue_leaf(&LeafSpec { lifetime, ..LeafSpec::new(names) }, &ca.issuer(), now).unwrap();
    let port = Server::http("200 OK", "").tls(&leaf).start().await;
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: &str| {
        let path = files.path().join(name);
        fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, other) = (file("ca", &ca.certificate_pem), file("other", &other.certificate_pem));
    let to = format!("::127.0.0.1:{port}");
    let ask = |file: &str, url: &str| {
        wait(&["--cacert", file, "--capath", "/dev/null", "--connect-to", &to, "--", url], None)
    };
    for found in answered(ask(&ca, "https://registry.example/healthz")).await {
        assert_eq!(found, done("status 200, as seen from the host"));
    }
    for (file, url) in [(&other, "https://registry.example/"), (&ca, "https://mirror.example/")] {
        for found in answered(ask(file, url)).await {
            let Outcome::Failed { output, .. } = found else { panic!("{found:?}") };
            assert!(output.starts_with("gave up after 1s: (60) SSL"), "{output}");
        }
    }
}

/// Gives podman a store in a directory: what a program begins with.
fn own_store(place: &Path) -> String {
    let conf = place.join("storage.conf");
    let place = place.display();
    let store = format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{place}/run\"\ngraphroot = \"{place}/root\"\n");
    fs::write(&conf, store).unwrap();
    format!("export HOME={place} CONTAINERS_STORAGE_CONF={}\n", conf.display())
}

/// podman itself, with a store of the test's own.
#[test]
#[ignore = "needs podman and root; tests/run runs it"]
fn podman_itself_loads_what_the_archive_says_and_is_seen_without_being_run() {
    use crate::image_archive::ImageArchive;
    use crate::probe::{self, Answers, Ask, ImageState};

    let home = home();
    let root = home.path();
    let prefix = own_store(root);
    let sh = |text: &str| {
        let program = format!("{prefix}cd {}\n{text}", root.display());
        String::from_utf8(run(&["sh"], &["-ec", &program], b"")).unwrap()
    };
    let images = |shell: &[&str]| -> Vec<ImageState> {
        let program = format!("{prefix}{}", probe::script::program(&[Ask::Images(Manager::System)], "n0nce"));
        let reply = run(shell, &["-c", &program], b"");
        let answers: Answers = probe::reply::read(&[&Ask::Images(Manager::System)], &reply, "n0nce").unwrap();
        answers.images(&Manager::System).unwrap().clone()
    };
    let files = || sh("find root run -printf '%p %T@ %s\\n' | sort");

    sh("mkdir in; echo hello >in/f; tar -C in -cf in.tar .; podman import -q in.tar localhost/registry:1");
    for format in ["oci", "docker"] {
        sh(&format!("podman save -q --format {format}-archive -o {format}.tar localhost/registry:1"));
    }
    sh("podman rmi -f -a");
    for format in ["oci", "docker"] {
        let bytes = fs::read(root.join(format!("{format}.tar"))).unwrap();
        let archive = ImageArchive::index(std::io::Cursor::new(&bytes)).unwrap();
        let id = archive.select(None, None).unwrap().image_id.clone();
        for shell in shells() {
            assert!(images(shell).is_empty());
            let load = |bytes: Vec<u8>, id: &str| Step::LoadImage {
                archive: Blob::from_bytes(bytes),
                id: id.to_owned(),
                name: Managed::system("quay.io/other/name:2"),
            };
            let attempt = |step: Step| {
                let tasks = vec![task("image", vec![step]), task("last", vec![put(&root.join("last"), b"last")])];
                let batch = trial::batch(trial::begin(&trial::stamp(root)), tasks);
                let program = format!("{prefix}id() {{ echo 1000; }}\n{}", script::program(&batch, "n0nce"));
                let reply = run(shell, &["-c", &program], &trial::input(&batch));
                let reply = reply::read(&batch, &reply, "n0nce").unwrap();
                assert_eq!(reply.outcomes[1], done(""), "{format} {shell:?}");
                reply.outcomes[0].clone()
            };
            let broken = attempt(load(vec![b'x'; 2_000_000], &id));
            assert!(matches!(broken, Outcome::Failed { status: 125, .. }), "{broken:?}");
            let other = attempt(load(bytes.clone(), &"0".repeat(64)));
            let Outcome::Failed { output, .. } = &other else { panic!("{other:?}") };
            assert!(output.ends_with(&format!("the archive did not bring the image {}", "0".repeat(64))), "{output}");
            assert_eq!(attempt(load(bytes.clone(), &id)), done(""), "{format} {shell:?}");

            let before = files();
            let seen = images(shell);
            assert_eq!(before, files(), "the question has changed something");
            assert_eq!(seen.len(), 1);
            assert_eq!(seen[0].id, id, "{format} {shell:?}");
            assert_eq!(seen[0].names, ["localhost/registry:1", "quay.io/other/name:2"]);
            let told = sh("podman images --no-trunc --format '{{.Id}} {{.Digest}} {{.Repository}}:{{.Tag}}' | sort");
            let digest = &seen[0].digests[0];
            assert_eq!(told, format!("{id} {digest} localhost/registry:1\n{id} {digest} quay.io/other/name:2\n"));
            sh("podman rmi -f -a");
        }
    }
}

/// podman itself takes an archive without the layers that its store has, and refuses one without others.
#[test]
#[ignore = "needs podman and root; tests/run runs it"]
fn podman_itself_loads_an_archive_without_the_layers_that_it_has() {
    use crate::image_archive::{ImageArchive, Layers};
    use crate::probe::{self, Answers, Ask};

    let home = home();
    let root = home.path();
    let prefix = own_store(root);
    let sh = |text: &str| {
        let program = format!("{prefix}cd {}\n{text}", root.display());
        String::from_utf8(run(&["sh"], &["-ec", &program], b"")).unwrap()
    };
    sh("mkdir in; head -c 2000000 /dev/urandom >in/f; tar -C in -cf in.tar .; podman import -q in.tar localhost/base:1
        head -c 300000 /dev/urandom >g; c=$(podman create localhost/base:1 x); podman cp g $c:/g
        podman commit -q $c localhost/two:1; podman rm $c; podman save -q --format oci-archive -o base.tar localhost/base:1");
    for format in ["oci", "docker"] {
        sh(&format!("podman save -q --format {format}-archive -o {format}.tar localhost/two:1"));
    }
    sh("podman rmi -f -a; rm -rf root run .local");
    for format in ["oci", "docker"] {
        let path = camino::Utf8PathBuf::from_path_buf(root.join(format!("{format}.tar"))).unwrap();
        let archive = ImageArchive::index(fs::File::open(&path).unwrap()).unwrap();
        let image = archive.select(None, None).unwrap();
        let (layered, whole) = (archive.layered(image).unwrap(), Blob::unhashed(path, archive.length));
        let ask = Ask::Layers { manager: Manager::System, digests: layered.digests() };
        let there = |shell: &[&str]| -> Layers {
            let program = format!("{prefix}{}", probe::script::program(std::slice::from_ref(&ask), "n0nce"));
            let reply = run(shell, &["-c", &program], b"");
            let answers: Answers = probe::reply::read(&[&ask], &reply, "n0nce").unwrap();
            answers.layers(&Manager::System, &layered.digests()).unwrap().clone()
        };
        for shell in shells() {
            let load = |archive: &Blob| {
                let archive = Blob::from_bytes(archive.read().unwrap());
                let name = Managed::system("quay.io/other/name:2");
                let step = Step::LoadImage { archive, id: image.image_id.clone(), name };
                let batch = trial::batch(trial::begin(&trial::stamp(root)), vec![task("image", vec![step])]);
                let program = format!("{prefix}id() {{ echo 1000; }}\n{}", script::program(&batch, "n0nce"));
                let reply = run(shell, &["-c", &program], &trial::input(&batch));
                reply::read(&batch, &reply, "n0nce").unwrap().outcomes[0].clone()
            };
            assert_eq!(there(shell), Layers::default(), "{format} {shell:?}");
            sh("podman load -q -i base.tar");
            let found = there(shell);
            assert_eq!((layered.present(&found), layered.count()), (1, 2), "{format} {shell:?}: {found:?}");
            let rest = layered.without(&found, &whole).unwrap();
            assert!(rest.length() < 320_000 && whole.length() > 2_000_000, "{}", rest.length());
            assert_eq!(load(&rest), done(""), "{format} {shell:?}");
            let told = "podman image inspect --format '{{.Id}} {{.RepoTags}}' quay.io/other/name:2";
            assert_eq!(sh(told), format!("{} [quay.io/other/name:2]\n", image.image_id));
            let content = "m=$(podman image mount quay.io/other/name:2); cat $m/f $m/g | sha256sum; cat in/f g | sha256sum; podman image unmount -a >/dev/null";
            let sums = sh(content);
            let mut sums = sums.lines();
            assert_eq!(sums.next(), sums.next(), "{format} {shell:?}");
            assert_eq!(layered.present(&there(shell)), 2);
            // What is missing is missed, and nothing comes of it.
            sh("podman rmi -f -a");
            assert!(matches!(load(&rest), Outcome::Failed { status: 125, .. }), "{format} {shell:?}");
            assert_eq!(sh("podman images -q"), "");
            sh("podman rmi -f -a; rm -rf root run .local");
        }
    }
}
