use std::sync::Arc;

use super::*;
use crate::plan::asset::{Assets, NoAssets};
use crate::testing::{Case, State, case};

fn package(name: &str) -> Knob {
    Knob::new(&PACKAGE, name)
}

fn foreseen<'a>(name: &'a str, text: &'a str) -> impl FnOnce(&mut State) + 'a {
    move |state| state.turn(&Knob::new(&PACKAGE_PLAN, name), text)
}

fn there<'a>(name: &'a str, text: &'a str) -> impl FnOnce(&mut State) + 'a {
    move |state| state.turn(&package(name), text)
}

fn turned(case: &Case, name: &str) -> String {
    case.host().with(|state| state.knob(&package(name)))
}

const MET: &str = "version 1.0\nheld no\nmarked manual";

#[test]
fn what_comes_is_foreseen_and_comes_in_one_run() {
    let case = case("package", "names = ['tool', 'b']")
        .given(foreseen(
            "install tool b",
            "install b 3.0-1\ninstall tlib 2.0\ninstall tool 1.0-1\nchange libc 1 2\nremove old 7",
        ))
        .creates("installed: (absent) -> tool, b")
        .because("installs b 3.0-1, tool 1.0-1; brings along tlib 2.0; moves libc from 1 to 2; removes old 7")
        .steps("set the package tool; set the package b")
        .in_sync();
    let with = "version \nmarked manual\nfor package.x\nremoves yes\nwith tool=1.0-1 b=3.0-1";
    assert_eq!((turned(&case, "tool").as_str(), turned(&case, "b").as_str()), (with, with));
}

#[test]
fn an_installed_package_is_left_at_its_version_unless_that_is_said() {
    case("package", "names = ['tool']").given(there("tool", MET)).in_sync();
    case("package", "names = ['tool']\nversion = '2.0'")
        .given(there("tool", MET))
        .given(foreseen("install tool=2.0", "change tool 1.0 2.0"))
        .updates("version: 1.0 -> 2.0")
        .because("installs tool 2.0 in place of 1.0")
        .steps("set the package tool")
        .in_sync();
}

#[test]
fn only_what_is_missing_is_installed() {
    let case = case("package", "names = ['tool', 'b']")
        .given(there("tool", MET))
        .updates("installed: tool -> tool, b")
        .steps("set the package b")
        .in_sync();
    assert_eq!(turned(&case, "b"), "version \nmarked manual\nfor package.x\nwith b");
}

#[test]
fn a_package_is_held_and_one_that_came_along_is_chosen() {
    case("package", "names = ['tool']\nheld = true")
        .given(there("tool", "version 1.0\nheld no\nmarked auto"))
        .updates("held: false -> true, marked: auto -> manual")
        .steps("set the package tool")
        .in_sync();
    case("package", "names = ['tool']\nheld = true")
        .given(there("tool", "version 1.0\nheld never"))
        .undecided("dnf cannot hold tool on this host: it has no versionlock");
}

#[test]
fn half_of_a_package_is_made_whole() {
    case("package", "names = ['tool']")
        .given(there("tool", "broken dpkg has it as iF \nversion 1.0\nheld no\nmarked manual"))
        .expects(Action::Update, "")
        .because("tool is there by halves: dpkg has it as iF ")
        .steps("set the package tool")
        .in_sync();
}

#[test]
fn what_is_absent_is_removed_together_and_not_from_under_something_else() {
    let absent = "names = ['tool', 'b']\nstate = 'absent'";
    case("package", absent).in_sync();
    case("package", absent)
        .given(there("tool", MET))
        .given(foreseen("remove tool b", "remove tool 1.0"))
        .expects(Action::Remove, "installed: tool -> (absent)")
        .steps("remove the package tool")
        .in_sync();
    case("package", absent)
        .given(there("tool", MET))
        .given(foreseen("remove tool b", "remove tool 1.0\nremove other 2.0"))
        .undecided("something else needs what is to be absent: other 2.0");
}

#[test]
fn what_nobody_can_know_before_is_said() {
    case("package", "names = ['tool']").given(foreseen("install tool", "unfetched")).because(
        "the package lists are fetched first, which the host has never done: which version comes, and what with it, is known only then",
    );
    case("package", "names = ['tool']\nmanager = 'dnf'").given(foreseen("install tool by:dnf", "unknown")).because(
        "which version comes, and what with it, only the package manager can tell, and not without writing on the host",
    );
    case("package", "names = ['tool']")
        .given(foreseen("install tool", "unlocated Unable to locate package tool"))
        .undecided("the package manager knows no such package: Unable to locate package tool");
    let sources = "[file.s]\npath = '/etc/apt/sources.list.d/s.sources'\ncontent = ''\n";
    let from_the_plan = case("package", "names = ['tool']")
        .plan(sources)
        .given_directory("/etc/apt", "0755")
        .given_directory("/etc/apt/sources.list.d", "0755")
        .given(foreseen("install tool", "unlocated Unable to locate package tool"))
        .because("the package lists are fetched first, since the plan changes the repositories: which version comes, and what with it, is known only then")
        .steps("put the file /etc/apt/sources.list.d/s.sources in place; set the package tool")
        .in_sync();
    assert!(turned(&from_the_plan, "tool").contains("\nrefresh yes\n"));
}

#[test]
fn files_are_sent_and_installed_with_the_last() {
    #[derive(Debug)]
    struct Debs;
    impl Assets for Debs {
        fn locate(&self, name: &str) -> Result<camino::Utf8PathBuf, String> {
            NoAssets.locate(name)
        }
        fn read(&self, name: &str) -> Result<Vec<u8>, String> {
            NoAssets.read(name)
        }
        fn blob(&self, name: &str) -> Result<Blob, String> {
            Ok(Blob::from_bytes(name.as_bytes().to_vec()))
        }
    }
    let files =
        || case("package", "files = ['debs/tlib_2%3a1.0_all.deb', 'tool_1.0-1_amd64.deb']").assets(Arc::new(Debs));
    let installed =
        files().creates("installed: (absent) -> tlib, tool").steps("set the package tlib; set the package tool");
    assert_eq!(
        turned(&installed, "tlib"),
        "version 2:1.0\nmarked manual\nfor package.x\nfile tlib_2%3a1.0_all.deb\nlater yes"
    );
    assert_eq!(turned(&installed, "tool"), "version 1.0-1\nmarked manual\nfor package.x\nfile tool_1.0-1_amd64.deb");
    installed.in_sync();
    files()
        .given(there("tlib", "version 2:1.0\nmarked manual"))
        .given(there("tool", "version 1:1.0-1\nmarked manual"))
        .in_sync();
    files()
        .given(there("tlib", "version 2:0.9\nmarked manual"))
        .given(there("tool", "version 1.0-1\nmarked manual"))
        .updates("version: tlib 2:0.9, tool 1.0-1 -> tlib 2:1.0, tool 1.0-1")
        .steps("set the package tlib");
}

#[test]
fn names_of_files_tell_packages() {
    assert_eq!(of_file("a/tool-x_1%3a1.0-1_all.deb"), Some(("tool-x".to_owned(), "1:1.0-1".to_owned(), "deb")));
    assert_eq!(of_file("r-tool-1.0-2.fc40.noarch.rpm"), Some(("r-tool".to_owned(), "1.0-2.fc40".to_owned(), "rpm")));
    for wrong in ["tool.deb", "tool_1.0.deb", "tool.rpm", "tool-1.noarch.rpm", "x.tar", "-x_1_all.deb"] {
        assert_eq!(of_file(wrong), None, "{wrong}");
    }
}

#[test]
fn a_service_comes_after_the_package_of_its_name() {
    case("service", "unit = 'tool'")
        .plan("[package.tool]\n")
        .given_unit("tool.service", "inactive/dead", "disabled")
        .steps("set the package tool; enable tool.service; start tool.service");
}

#[test]
fn what_cannot_be_is_refused() {
    let name = "a package has a name such as \"haproxy\" or \"libc6:i386\": a version has a field of its own";
    for (fields, finding) in [
        ("names = ['a=1']", format!("3:10: \"a=1\" does not fit `names` of package.x ({name})")),
        ("names = ['-a']", format!("3:10: \"-a\" does not fit `names` of package.x ({name})")),
        ("names = []", "3:9: package.x names no package (write at least one)".to_owned()),
        ("names = ['a', 'a']", "3:9: a package is named twice (take one out)".to_owned()),
        ("names = ['a', 'b']\nversion = '1'", "4:11: several packages cannot all have one version (give this one a resource of its own)".to_owned()),
        ("state = 'absent'\nheld = true", "4:8: what is absent has no `held` (leave it out)".to_owned()),
        ("version = '1.*'", "3:11: \"1.*\" does not fit `version` of package.x (a version is the whole of it, such as \"1:3.0.11-1\", without patterns)".to_owned()),
    ] {
        case("package", fields).refused(&finding);
    }
}
