//! The questions about paths and files, asked of real directories through every shell that a host may have.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::blob::sha256_hex;
use crate::shell::trial::{run, shells};

/// A directory of one test, and its path.
fn place() -> (tempfile::TempDir, AbsPath) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().to_str().unwrap().parse().unwrap();
    (directory, path)
}

/// Asks through one shell. PATH is the test's own, so that tools can be taken away.
fn ask(shell: &[&str], asks: &[Ask]) -> Answers {
    let program = script::program(asks, "n0nce");
    let reply = run(shell, &["-c", &program], b"");
    let asks: Vec<&Ask> = asks.iter().collect();
    reply::read(&asks, &reply, "n0nce").unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&reply)))
}

fn whole(path: &AbsPath) -> Ask {
    Ask::File { path: path.clone(), content: Wanted::Always }
}

/// Names that only survive when nothing is pasted into shell text unquoted.
const HOSTILE: &[&str] = &[
    "plain",
    "two words",
    "$(touch x)",
    "`id`",
    "a'b",
    "a\"b",
    "-n",
    "--help",
    "*",
    "a\\b",
    "ä ö",
    "#x",
    "~",
    "a;b",
    "a&b",
    "a|b",
    "%s",
    "!x",
    "[a]",
    "{a,b}",
    "=x",
    " lead",
    "trail ",
];

#[test]
fn every_shell_tells_what_stands_at_a_path() {
    let (_guard, root) = place();
    let path = |name: &str| root.join(name).unwrap();
    fs::create_dir(path("dir").as_str()).unwrap();
    fs::set_permissions(path("dir").as_str(), fs::Permissions::from_mode(0o2750)).unwrap();
    fs::write(path("file").as_str(), "abc").unwrap();
    fs::set_permissions(path("file").as_str(), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("to nowhere\n", path("link").as_str()).unwrap();
    symlink("dir", path("dirlink").as_str()).unwrap();
    let names = ["dir", "file", "link", "dirlink", "absent", "file/below", "absent/below"];
    let asks: Vec<Ask> = names.iter().map(|name| Ask::Path(path(name))).collect();
    for shell in shells() {
        let answers = ask(shell, &asks);
        let entry = |name: &str| answers.path(&path(name)).unwrap().entry().cloned();
        let dir = entry("dir").unwrap();
        assert_eq!((dir.sort, dir.mode), (Sort::Directory, Mode::new(0o2750)), "{shell:?}");
        let file = entry("file").unwrap();
        assert_eq!((file.sort, file.mode, file.size), (Sort::File, Mode::new(0o640), 3), "{shell:?}");
        assert_eq!(entry("link").unwrap().sort, Sort::Link("to nowhere\n".into()), "{shell:?}");
        assert_eq!(entry("dirlink").unwrap().sort, Sort::Link("dir".into()), "{shell:?}");
        for absent in ["absent", "file/below", "absent/below"] {
            assert_eq!(entry(absent), None, "{absent} {shell:?}");
        }
    }
}

#[test]
fn hostile_names_and_contents_come_back_byte_for_byte() {
    let (_guard, root) = place();
    let contents: [&[u8]; 4] = [b"", b"\n@n0nce end\n", b"\0\xff\r\n\n", b"no newline"];
    let mut asks = Vec::new();
    for (index, name) in HOSTILE.iter().enumerate() {
        let path = root.join(name).unwrap();
        fs::write(path.as_str(), contents[index % contents.len()]).unwrap();
        asks.push(whole(&path));
    }
    for shell in shells() {
        // A file that knew the marker could cut its own content short, and nothing else; the marker is random.
        let program = script::program(&asks, "other");
        let reply = run(shell, &["-c", &program], b"");
        let asked: Vec<&Ask> = asks.iter().collect();
        let answers = reply::read(&asked, &reply, "other").unwrap();
        for (index, name) in HOSTILE.iter().enumerate() {
            let path = root.join(name).unwrap();
            let content = contents[index % contents.len()];
            let expected = FileState::Present { sha256: sha256_hex(content), content: Some(content.to_vec()) };
            assert_eq!(answers.file(&path, &Wanted::Always).unwrap(), &expected, "{name:?} {shell:?}");
        }
        assert!(!std::path::Path::new("x").exists(), "a name was run by {shell:?}");
    }
}

#[test]
fn content_comes_only_when_it_is_wanted() {
    let (_guard, root) = place();
    let path = root.join("f").unwrap();
    fs::write(path.as_str(), "abc").unwrap();
    let same = Wanted::Unless(sha256_hex(b"abc"));
    let other = Wanted::Unless(sha256_hex(b"xyz"));
    for shell in shells() {
        for (wanted, expected) in [(Wanted::Never, None), (same.clone(), None), (other.clone(), Some(b"abc".to_vec()))]
        {
            let answers = ask(shell, &[Ask::File { path: path.clone(), content: wanted.clone() }]);
            let FileState::Present { content, sha256 } = answers.file(&path, &wanted).unwrap() else {
                panic!("absent")
            };
            assert_eq!((content, sha256), (&expected, &sha256_hex(b"abc")), "{wanted:?} {shell:?}");
        }
        let program = script::program(&[Ask::File { path: path.clone(), content: Wanted::Never }], "n");
        let reply = run(shell, &["-c", &program], b"");
        assert!(!String::from_utf8_lossy(&reply).contains("abc\n"), "content that nobody wanted was sent");
    }
}

#[test]
fn a_large_file_comes_as_its_digest_and_a_first_part() {
    let (_guard, root) = place();
    let path = root.join("large").unwrap();
    let content = vec![b'x'; CONTENT_LIMIT + 10];
    fs::write(path.as_str(), &content).unwrap();
    for shell in shells() {
        let answers = ask(shell, &[whole(&path)]);
        let expected =
            FileState::Present { sha256: sha256_hex(&content), content: Some(content[..CONTENT_LIMIT].to_vec()) };
        assert_eq!(answers.file(&path, &Wanted::Always).unwrap(), &expected, "{shell:?}");
    }
}

#[test]
fn what_is_no_regular_file_is_never_opened() {
    let (_guard, root) = place();
    let pipe = root.join("pipe").unwrap();
    let status = std::process::Command::new("mkfifo").arg(pipe.as_str()).status().unwrap();
    assert!(status.success());
    let link = root.join("link").unwrap();
    symlink("/etc/passwd", link.as_str()).unwrap();
    for shell in shells() {
        let answers = ask(shell, &[whole(&pipe), whole(&link), Ask::Path(pipe.clone())]);
        assert_eq!(answers.file(&pipe, &Wanted::Always).unwrap(), &FileState::Absent);
        assert_eq!(answers.file(&link, &Wanted::Always).unwrap(), &FileState::Absent);
        assert_eq!(answers.path(&pipe).unwrap().entry().unwrap().sort, Sort::Other);
    }
}

#[test]
fn hundreds_of_files_are_asked_in_one_program() {
    let (_guard, root) = place();
    let paths: Vec<AbsPath> = (0..450).map(|i| root.join(&format!("f {i}")).unwrap()).collect();
    for (index, path) in paths.iter().enumerate() {
        fs::write(path.as_str(), format!("content {index}")).unwrap();
    }
    let asks: Vec<Ask> = paths.iter().map(whole).collect();
    for shell in shells() {
        let answers = ask(shell, &asks);
        for (index, path) in paths.iter().enumerate() {
            let expected = format!("content {index}").into_bytes();
            let state = FileState::Present { sha256: sha256_hex(&expected), content: Some(expected) };
            assert_eq!(answers.file(path, &Wanted::Always).unwrap(), &state, "{shell:?}");
        }
    }
}

#[test]
fn a_reply_that_was_cut_is_no_answer() {
    let path: AbsPath = "/".parse().unwrap();
    let asks = [Ask::Path(path)];
    let program = script::program(&asks, "n0nce");
    let whole = run(&["dash"], &["-c", &program], b"");
    let asked: Vec<&Ask> = asks.iter().collect();
    for length in 0..whole.len() {
        assert!(reply::read(&asked, &whole[..length], "n0nce").is_err(), "{length} of {} bytes", whole.len());
    }
    assert!(reply::read(&asked, &whole, "n0nce").is_ok());
}

#[test]
fn an_unreadable_state_is_an_error_and_not_absence() {
    let reply = b"\n@n begin\n\n@n paths\nstat: cannot statx '/root/a': Permission denied\n=41ed 0 0 1 root root /srv\n\n@n end\n";
    let asks = [Ask::Path("/root/a".parse().unwrap()), Ask::Path("/srv".parse().unwrap())];
    let asked: Vec<&Ask> = asks.iter().collect();
    let answers = reply::read(&asked, reply, "n").unwrap();
    let error = answers.path(&"/root/a".parse().unwrap()).unwrap_err();
    assert_eq!(error.message, "cannot read the state of /root/a: stat: cannot statx '/root/a': Permission denied");
    assert!(answers.path(&"/srv".parse().unwrap()).is_ok());
}

#[test]
fn units_are_told_by_place_and_states_by_name() {
    let reply = b"\n@n begin\n\n@n units -\nId=a.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNeedDaemonReload=no\n\nId=real.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=\nNeedDaemonReload=yes\n\n@n end\n";
    let asks = [Ask::Unit(Managed::system("alias.service")), Ask::Unit(Managed::system("a.service"))];
    let asked: Vec<&Ask> = asks.iter().collect();
    let answers = reply::read(&asked, reply, "n").unwrap();
    assert_eq!(answers.unit(&Managed::system("a.service")).unwrap().file, "enabled");
    let aliased = answers.unit(&Managed::system("alias.service")).unwrap();
    assert_eq!((aliased.active.as_str(), aliased.stale), ("failed", true));
    let broken = b"\n@n begin\n\n@n units -\nsh: 1: systemctl: not found\n\n@n failed systemctl -\n\n@n end\n";
    let answers = reply::read(&asked, broken, "n").unwrap();
    let error = answers.unit(&Managed::system("a.service")).unwrap_err();
    assert_eq!(error.message, "systemctl cannot be asked: sh: 1: systemctl: not found");
}

#[test]
fn a_key_is_known_by_its_public_half_and_never_sent() {
    use crate::x509::{LeafSpec, Names, public_key_sha256, self_signed_leaf};
    let (_guard, root) = place();
    let path = |name: &str| root.join(name).unwrap();
    let spec = LeafSpec::new(Names::new(["a.example".parse().unwrap()]).unwrap());
    let pair = self_signed_leaf(&spec, crate::testing::NOW).unwrap();
    fs::write(path("a b's.key").as_str(), pair.key_pem.as_bytes()).unwrap();
    fs::write(path("garbage").as_str(), "no key").unwrap();
    fs::write(path("empty").as_str(), "").unwrap();
    let cipher = ["-aes256", "-passout", "pass:hunter22"];
    let files = ["-in", path("a b's.key").as_str(), "-out", path("locked").as_str()].map(str::to_owned);
    let made = std::process::Command::new("openssl").arg("pkey").args(cipher).args(files).status().unwrap();
    assert!(made.success());
    symlink("a b's.key", path("link").as_str()).unwrap();
    let expected = [
        ("a b's.key", PublicKeyState::Present(public_key_sha256(pair.key_pem.as_bytes()).unwrap())),
        ("garbage", PublicKeyState::Unreadable),
        ("empty", PublicKeyState::Unreadable),
        ("locked", PublicKeyState::Unreadable),
        ("link", PublicKeyState::Absent),
        ("absent", PublicKeyState::Absent),
    ];
    let asks: Vec<Ask> = expected.iter().map(|(name, _)| Ask::PublicKey(path(name))).collect();
    let asked: Vec<&Ask> = asks.iter().collect();
    for shell in shells() {
        let reply = run(shell, &["-c", &script::program(&asks, "n")], b"");
        let answers = reply::read(&asked, &reply, "n").unwrap();
        for (name, state) in &expected {
            assert_eq!(answers.public_key(&path(name)).unwrap(), state, "{name} {shell:?}");
        }
        let secret = pair.key_pem.lines().nth(1).unwrap();
        assert!(!String::from_utf8_lossy(&reply).contains(secret), "{shell:?} sent the key");
    }
}

#[test]
fn files_are_compared_joined_without_being_sent() {
    let (_guard, root) = place();
    let path = |name: &str| root.join(name).unwrap();
    fs::write(path("a b's").as_str(), "certificate\n").unwrap();
    fs::write(path("-n").as_str(), "the secret key").unwrap();
    symlink("-n", path("link").as_str()).unwrap();
    let expected = [
        (vec!["a b's", "-n"], Some(sha256_hex(b"certificate\nthe secret key"))),
        (vec!["-n", "a b's"], Some(sha256_hex(b"the secret keycertificate\n"))),
        (vec!["-n"], Some(sha256_hex(b"the secret key"))),
        (vec!["a b's", "absent"], None),
        (vec!["a b's", "link"], None),
    ];
    let paths = |names: &[&str]| names.iter().map(|name| path(name)).collect::<Vec<_>>();
    let asks: Vec<Ask> = expected.iter().map(|(names, _)| Ask::Joined(paths(names))).collect();
    let asked: Vec<&Ask> = asks.iter().collect();
    for shell in shells() {
        let reply = run(shell, &["-c", &script::program(&asks, "n")], b"");
        let answers = reply::read(&asked, &reply, "n").unwrap();
        for (names, digest) in &expected {
            assert_eq!(answers.joined(&paths(names)).unwrap(), digest, "{names:?} {shell:?}");
        }
        assert!(!String::from_utf8_lossy(&reply).contains("secret key"), "{shell:?} sent the key");
    }
}

#[test]
fn a_host_without_openssl_has_not_seen_the_key() {
    let reply = b"\n@n begin\n\n@n paths\n=8180 0 0 1 root root /k\n\n@n missing openssl\n\n@n end\n";
    let asks = [Ask::PublicKey("/k".parse().unwrap())];
    let asked: Vec<&Ask> = asks.iter().collect();
    let answers = reply::read(&asked, reply, "n").unwrap();
    assert_eq!(answers.public_key(&"/k".parse().unwrap()), Ok(&PublicKeyState::Unseen));
}
