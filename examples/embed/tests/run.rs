//! The example does what it says, and the second time nothing.

use std::process::Command;

#[test]
fn the_example_applies_its_plan_and_then_has_nothing_to_do() {
    let root = tempfile::tempdir().unwrap();
    let site = root.path().join("site");
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_embed")).arg(&site).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let first = "directory.root: create\nfile.index: create\nlink.home: create\n\
                 done: directory.root\ndone: file.index\ndone: link.home\n";
    assert_eq!(run(), first);
    assert_eq!(std::fs::read_to_string(site.join("home.html")).unwrap(), "<h1>Hello</h1>\n");
    assert_eq!(run(), "nothing to change\n");
}
