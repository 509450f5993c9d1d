//! Every seed and everything that was ever found goes through its target in each run of the tests, fuzzer or not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = listing.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(directory: &Path) -> BTreeSet<String> {
    files(directory).iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn seeds_and_what_was_found_go_through() {
    for (name, property) in TARGETS {
        let seeds = files(&directory().join("seeds").join(name));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for file in seeds.into_iter().chain(files(&directory().join("found").join(name))) {
            println!("{}", file.display());
            property(&std::fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_target_is_one_of_the_fuzzers() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&directory().join("targets")), targets);
    for place in ["seeds", "found"] {
        let strangers: Vec<String> = names(&directory().join(place)).difference(&targets).cloned().collect();
        assert_eq!(strangers, [""; 0], "in {place}");
    }
}
