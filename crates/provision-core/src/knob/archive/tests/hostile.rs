//! Archives that were made to get out of where they are unpacked, and tools that are not there. They are put together here,
//! since no archiver makes such: tar(5), and APPNOTE.TXT of PKWARE for zip.

use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::step::trial::program;

/// One member of an archive.
pub(super) struct Member {
    name: String,
    sort: Sort,
}

enum Sort {
    File(String),
    Link(String),
    HardLink(String),
}

impl Member {
    pub(super) fn file(name: &str, content: &str) -> Self {
        Self { name: name.to_owned(), sort: Sort::File(content.to_owned()) }
    }

    pub(super) fn link(name: &str, target: &str) -> Self {
        Self { name: name.to_owned(), sort: Sort::Link(target.to_owned()) }
    }

    fn hard_link(name: &str, target: &str) -> Self {
        Self { name: name.to_owned(), sort: Sort::HardLink(target.to_owned()) }
    }
}

/// A tar of the members, as they are written.
fn tar(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Member { name, sort } in members {
        let (flag, target, content) = match sort {
            Sort::File(content) => (b'0', "", content.as_str()),
            Sort::HardLink(target) => (b'1', target.as_str(), ""),
            Sort::Link(target) => (b'2', target.as_str(), ""),
        };
        let mut head = [0_u8; 512];
        let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000644\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, "00000000000\0");
        put(148, "        ");
        put(157, target);
        put(257, "ustar\x0000");
        head[156] = flag;
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(head);
        bytes.extend(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A zip of the members, as they are written, by somebody's Unix and without compression. A hard link is none there.
pub(super) fn zip(members: &[Member]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for Member { name, sort } in members {
        let (mode, content) = match sort {
            Sort::File(content) => (0o100_644_u32, content),
            Sort::Link(target) | Sort::HardLink(target) => (0o120_777, target),
        };
        let (at, length) = (u32::try_from(bytes.len()).unwrap(), u32::try_from(content.len()).unwrap());
        // Version 1.0, no flags, stored, the first of January 1980.
        let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        for number in [crc(content.as_bytes()), length, length] {
            common.extend(number.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        bytes.extend([b"PK\x03\x04".as_slice(), &common, name.as_bytes(), content.as_bytes()].concat());
        // Made by Unix, whose mode is the upper half of the attributes.
        directory.extend([b"PK\x01\x02\x1e\x03".as_slice(), &common, &[0; 6]].concat());
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let mut end = [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat();
    end.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    end.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    end.extend([0, 0]);
    [bytes, directory, end].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A home with a file and a directory that no archive may reach.
fn around() -> tempfile::TempDir {
    let home = home();
    fs::write(home.path().join("secret"), "kept").unwrap();
    fs::create_dir_all(home.path().join("outside/below")).unwrap();
    home
}

/// Whether the archive stayed where it belongs.
fn stayed(home: &Path, what: &str) {
    assert_eq!(fs::read_to_string(home.join("secret")).unwrap(), "kept", "{what}");
    assert_eq!(fs::metadata(home.join("secret")).unwrap().nlink(), 1, "{what}");
    let outside: Vec<_> = fs::read_dir(home.join("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["below"], "{what}");
    assert!(fs::read_dir(home.join("outside/below")).unwrap().next().is_none(), "{what}");
    for name in ["evil", "d/../evil", ".d.provision-new"] {
        assert!(!home.join(name).exists(), "{what}: {name}");
    }
}

#[test]
fn no_member_gets_out() {
    for shell in shells() {
        let home = around();
        let at = |name: &str| home.path().join(name).display().to_string();
        let cases: Vec<(&str, Vec<Member>)> = vec![
            ("an absolute path", vec![Member::file("a", "1"), Member::file(&at("evil"), "evil")]),
            ("a path upwards", vec![Member::file("a", "1"), Member::file("../../evil", "evil")]),
            ("a path up from below", vec![Member::file("a/../../../evil", "evil")]),
            (
                "a link that is written through",
                vec![
                    Member::link("out", &at("outside")),
                    Member::file("out/evil", "evil"),
                    Member::file("out/below/evil", "evil"),
                ],
            ),
            (
                "a relative link that is written through",
                vec![Member::link("out", "../../outside"), Member::file("out/evil", "evil")],
            ),
            ("a link that is replaced by a file", vec![Member::link("a", &at("secret")), Member::file("a", "evil")]),
            (
                "the mark of what is unpacked",
                vec![Member::file("a", "1"), Member::link(".provision-archive", &at("secret"))],
            ),
            ("a hard link", vec![Member::file("a", "1"), Member::hard_link("hard", &at("secret"))]),
            ("a hard link upwards", vec![Member::file("a", "1"), Member::hard_link("hard", "../../secret")]),
            (
                "a hard link through a link",
                vec![Member::link("out", home.path().to_str().unwrap()), Member::hard_link("hard", "out/secret")],
            ),
        ];
        for (what, members) in cases {
            for (format, bytes) in [("tar", tar(&members)), ("zip", zip(&members))] {
                let what = format!("{what}, {format}, {shell:?}");
                let path = home.path().join("d");
                let line = format!("{} {format} 0 - -", sha256_hex(&bytes));
                let reply = apply(shell, home.path(), vec![task("a", vec![turn(&path, &line, Some(&bytes))])]);
                stayed(home.path(), &what);
                match reply.outcomes.as_slice() {
                    // What is there is then the archive's, whole, and nothing else.
                    [Outcome::Done { .. }] => {
                        assert_eq!(got(shell, home.path(), &path), line, "{what}");
                        let mark = fs::symlink_metadata(path.join(".provision-archive")).unwrap();
                        assert!(mark.is_file(), "{what}");
                        fs::remove_dir_all(&path).unwrap();
                    }
                    [Outcome::Failed { output, .. }] => {
                        assert!(!output.trim().is_empty(), "{what}: it does not say why");
                        assert!(!path.exists(), "{what}");
                    }
                    other => panic!("{what}: {other:?}"),
                }
            }
        }
    }
}

/// Links may lead anywhere, as they are: nobody follows them.
#[test]
fn a_link_that_leads_outside_is_not_followed() {
    for shell in shells() {
        let home = around();
        let path = home.path().join("d");
        let target = home.path().join("secret");
        let members = [Member::file("top/a", "1"), Member::link("top/out", target.to_str().unwrap())];
        for (format, bytes) in [("tar", tar(&members)), ("zip", zip(&members))] {
            let me = fs::metadata(&target).unwrap();
            let line = format!("{} {format} 1 {} {}", sha256_hex(&bytes), me.uid(), me.gid());
            let reply = apply(shell, home.path(), vec![task("a", vec![turn(&path, &line, Some(&bytes))])]);
            assert_eq!(reply.outcomes, [done("")], "{format} {shell:?}");
            assert_eq!(fs::read_link(path.join("out")).unwrap(), target, "{format} {shell:?}");
            stayed(home.path(), format);
        }
        // A directory around everything that is a link is none.
        let bytes = tar(&[Member::link("top", home.path().join("outside").to_str().unwrap())]);
        let line = format!("{} tar 1 - -", sha256_hex(&bytes));
        let reply = apply(shell, home.path(), vec![task("a", vec![turn(&path, &line, Some(&bytes))])]);
        let [Outcome::Failed { output, .. }] = reply.outcomes.as_slice() else { panic!("{shell:?} {reply:?}") };
        assert!(output.contains("strip is too much"), "{output} {shell:?}");
        stayed(home.path(), "strip");
    }
}

/// Whoever owns the directory can put a link where the mark was.
#[test]
fn a_mark_that_is_a_link_is_not_read() {
    for shell in shells() {
        let home = around();
        let path = home.path().join("d");
        fs::create_dir(&path).unwrap();
        symlink(home.path().join("secret"), path.join(".provision-archive")).unwrap();
        assert_eq!(got(shell, home.path(), &path), "foreign", "{shell:?}");
    }
}

#[test]
fn a_tool_that_the_host_lacks_is_named() {
    for shell in shells() {
        for (format, program_of) in [("zip", "unzip"), ("zstd", "zstd"), ("xz", "xz"), ("gzip", "gzip")] {
            let home = home();
            let path = home.path().join("d");
            let step = turn(&path, &format!("{} {format} 0 - -", sha256_hex(b"x")), Some(b"x"));
            let batch = crate::step::trial::batch(crate::step::trial::begin("0"), vec![task("a", vec![step])]);
            // Every host of the tests has it; here it has another name.
            let lacking = program(home.path(), &batch).replace(
                "archive_tool() {",
                &format!("archive_tool() {{ if [ \"$1\" = {program_of} ]; then set -- no-{program_of}; fi;"),
            );
            let reply = crate::step::trial::exchange(shell, &lacking, &crate::step::trial::input(&batch));
            let reply = crate::step::reply::read(&batch, &reply, crate::step::trial::NONCE).unwrap();
            let [Outcome::Failed { output, status: 127, .. }] = reply.outcomes.as_slice() else { panic!("{reply:?}") };
            assert_eq!(
                output.trim_end(),
                format!("no-{program_of} is not installed on the host, and unpacking this archive takes it"),
                "{shell:?}"
            );
            assert!(!path.exists() && !home.path().join(".d.provision-new").exists(), "{shell:?}");
        }
    }
}

/// A program that fails leaves nothing, and its words are told.
#[test]
fn what_is_cut_off_is_refused() {
    for shell in shells() {
        for format in ["gzip", "xz", "zstd", "zip"] {
            let home = home();
            let path = home.path().join("d");
            let whole = archive(home.path(), format);
            let bytes = &whole[..whole.len() - 20];
            let line = format!("{} {format} 0 - -", sha256_hex(bytes));
            let reply = apply(shell, home.path(), vec![task("a", vec![turn(&path, &line, Some(bytes))])]);
            let [Outcome::Failed { output, .. }] = reply.outcomes.as_slice() else {
                panic!("{format} {shell:?} {reply:?}")
            };
            assert!(!output.trim().is_empty(), "{format} {shell:?}");
            assert_eq!(got(shell, home.path(), &path), ABSENT, "{format} {shell:?}");
            assert!(!home.path().join(".d.provision-new").exists(), "{shell:?}");
        }
    }
}
