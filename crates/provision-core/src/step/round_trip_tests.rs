//! Whatever names and contents a plan has: they arrive byte for byte, are seen as they are, and go again, under every
//! shell that a host may have.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use super::trial::{abs, apply, done, object, put, revert, task};
use super::*;
use crate::attribute::Mode;
use crate::blob::sha256_hex;
use crate::ledger::Scope;
use crate::probe::runtime_tests::ask;
use crate::probe::{Ask, FileState, Guard, Sort, Wanted};
use crate::shell::trial::shells;

/// Names that a path may have: everything but what the parser refuses. Every third starts with what a tool, a shell or
/// our own programs could take for something else.
fn name() -> impl Strategy<Value = String> {
    let any = "[^/\u{0}-\u{1f}\u{7f}-\u{9f}]{1,24}";
    let start =
        prop::sample::select(vec!["", "", "", "-", "--", "~", "*", "$(", "`", "'", "\"", "\\", " ", ".", "=", "@"]);
    (start, any)
        .prop_map(|(start, rest)| format!("{start}{rest}"))
        .prop_filter("is refused by name", |name| abs(Path::new("/")).join(name).is_ok())
}

/// Contents: short ones of any bytes, the lengths around a block, and lines as replies have them.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop::sample::select(vec![0_usize, 1, 511, 4096, 65_535, 65_536, 1_048_575, 1_048_576, 1_048_577]);
    prop_oneof![
        4 => vec(any::<u8>(), 0..400),
        2 => (lengths, any::<u8>()).prop_map(|(length, first)| (0..length).map(|at| first ^ at.to_le_bytes()[0]).collect()),
        1 => "(\n@[0-9a-z]{5} (done|end) [0-9]\n){1,3}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn what_is_sent_arrives_is_seen_and_goes_again(
        names in btree_set(name(), 4..7),
        contents in vec(content(), 7),
        words in vec("[^\u{0}]{0,30}", 0..4),
        target in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,40}",
        mode in 0_u32..0o1000,
        pick in any::<Index>(),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let (last, files) = names.split_last().unwrap();
        for shell in shells() {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir(home.path().join("bin")).unwrap();
            let folder = home.path().join(last);
            // A file and a link that are there already, of which the record has to be just as exact.
            fs::create_dir(&folder).unwrap();
            let old = folder.join(pick.get(files));
            fs::write(&old, b"old\0\xff").unwrap();
            fs::set_permissions(&old, fs::Permissions::from_mode(0o604)).unwrap();

            let mut steps: Vec<Step> = files.iter().zip(&contents).map(|(name, content)| put(&folder.join(name), content)).collect();
            let link = home.path().join(format!("{last}!"));
            steps.push(Step::PutLink { path: abs(&link), target: target.clone() });
            let deep = folder.join(format!("{last} below"));
            steps.push(Step::MakeDirectory { path: abs(&deep), mode: Mode::new(mode | 0o700), ownership: Ownership::default() });
            let said = deep.join("said");
            let script = ["sh", "-c", "f=$1; shift; for w; do printf '%s\\0' \"$w\"; done >\"$f\"; cat >>\"$f\"", "sh", said.to_str().unwrap()];
            steps.push(Step::Run(Run {
                argv: script.into_iter().chain(words.iter().map(String::as_str)).map(str::to_owned).collect(),
                directory: Some(abs(&deep)),
                input: Some(Blob::from_bytes(contents[0].clone())),
                limit: Duration::from_secs(20),
                guards: vec![Need::Fails(Guard { argv: vec!["test".into(), "-e".into(), said.to_str().unwrap().into()], directory: None, limit: Duration::from_secs(20) })],
            }));
            let objects: Vec<_> = files.iter().map(|name| object(&folder.join(name))).chain([object(&link), object(&deep)]).collect();
            let reply = apply(shell, home.path(), vec![task("all", steps)]);
            prop_assert_eq!(&reply.outcomes, &[done("")], "{:?}", shell);

            for (name, content) in files.iter().zip(&contents) {
                prop_assert!(fs::read(folder.join(name)).unwrap() == *content, "{name:?} {shell:?}");
            }
            prop_assert_eq!(fs::read_link(&link).unwrap(), Path::new(&target));
            prop_assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o7777, mode | 0o700);
            let mut expected: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
            expected.extend(&contents[0]);
            prop_assert!(fs::read(&said).unwrap() == expected, "{shell:?}");

            // Seen as it is.
            let asks: Vec<Ask> = files.iter().map(|name| Ask::File { path: abs(&folder.join(name)), content: Wanted::Always })
                .chain([Ask::Path(abs(&link))]).collect();
            let answers = ask(shell, home.path(), &asks);
            for (name, content) in files.iter().zip(&contents) {
                match answers.file(&abs(&folder.join(name)), &Wanted::Always) {
                    Ok(FileState::Present { sha256, content: Some(start) }) => {
                        prop_assert_eq!(sha256, &sha256_hex(content));
                        prop_assert!(content.starts_with(start) && start.len() == content.len().min(crate::probe::CONTENT_LIMIT), "{shell:?}");
                    }
                    other => prop_assert!(false, "{name:?} {shell:?}: {other:?}"),
                }
            }
            let found = answers.path(&abs(&link)).unwrap().entry().map(|entry| entry.sort.clone());
            prop_assert_eq!(found, Some(Sort::Link(target.clone())));

            // And back.
            let back = objects.iter().rev().enumerate().map(|(i, object)| task(&format!("t{i}"), vec![revert(object, Scope::Origin, Data::Delete)]));
            let outcomes = apply(shell, home.path(), back.collect()).outcomes;
            prop_assert!(outcomes.iter().all(|outcome| *outcome == done("")), "{shell:?} {outcomes:?}");
            prop_assert_eq!(fs::read(&old).unwrap(), b"old\0\xff");
            prop_assert_eq!(fs::metadata(&old).unwrap().permissions().mode() & 0o7777, 0o604);
            prop_assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "something is left, {:?}", shell);
            prop_assert!(fs::symlink_metadata(&link).is_err());
        }
    }
}
