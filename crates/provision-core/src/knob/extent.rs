//! How much there is of data that a new version may change: read, never set.

use super::KnobSort;

/// An extent, named by whose podman and which data: `- path /var/lib/quay.db`, `core volume sqlite-storage`. Its text is the
/// bytes that it takes on the disk, [`UNKNOWN`] where whoever looks may not count them.
pub static EXTENT: KnobSort = KnobSort {
    word: "extent",
    noun: "the extent of",
    functions: FUNCTIONS,
    show: KnobSort::as_it_is,
    settled: KnobSort::as_it_is,
    thing: false,
    may_cut_off: false,
    stays: None,
    unset: super::ABSENT,
};

/// The text of data that are there and cannot be counted.
pub const UNKNOWN: &str = "unknown";

// Podman is not asked: it writes. Counting goes through all of it, at each look, so it has an end.
const FUNCTIONS: &str = r#"
prepare_extent() { :; }
get_extent() { # manager path|volume name
  o=${1#* }; m=${1%% *}; got=absent
  case $o in
    path\ *) set -- "${o#path }" ;;
    *)
      storage "$m" || { if [ $? = 2 ]; then return 0; fi; got=$why; return 1; }
      o=${o#volume }; set -- "$g/volumes/$o"
      if [ ! -e "$1" ] && [ -e "$g/volumes/systemd-$o" ]; then set -- "$g/volumes/systemd-$o"; fi ;;
  esac
  if [ ! -e "$1" ]; then return 0; fi
  got=$(limited 10 du -sk -- "$1" 2>/dev/null </dev/null) || { got=unknown; return 0; }
  got=$((${got%%[!0-9]*} * 1024))
}
set_extent() { echo "an extent is read and never set"; return 1; }
"#;

#[cfg(test)]
mod tests {
    use crate::knob::ABSENT;
    use crate::probe::Ask;
    use crate::probe::runtime_tests::{ask, home};
    use crate::saved::Saved;
    use crate::shell::trial::shells;
    use crate::systemd::Manager;

    #[test]
    fn it_is_what_the_data_take_on_the_disk() {
        for shell in shells() {
            let home = home();
            let there = home.path().join("a $b");
            std::fs::create_dir(&there).unwrap();
            std::fs::write(there.join("f"), vec![b'x'; 100_000]).unwrap();
            let extent = |name: &str| {
                let path = home.path().join(name).to_str().unwrap().parse().unwrap();
                let knob = Saved::Path(path).extent(&Manager::System);
                ask(shell, home.path(), &[Ask::Knob(knob.clone())]).knob(&knob).unwrap().clone()
            };
            let bytes: u64 = extent("a $b").parse().unwrap();
            assert!((100_000..200_000).contains(&bytes), "{bytes} {shell:?}");
            assert_eq!(extent("not-there"), ABSENT, "{shell:?}");
        }
    }

    #[test]
    fn a_volume_is_found_by_the_name_that_podman_or_quadlet_has_for_it() {
        for shell in shells() {
            let home = home();
            let volumes = home.path().join(".local/share/containers/storage/volumes");
            std::fs::create_dir_all(volumes.join("systemd-data/_data")).unwrap();
            std::fs::create_dir_all(volumes.join("own/_data")).unwrap();
            for (name, there) in [("data", true), ("own", true), ("other", false)] {
                let knob = Saved::Volume(name.to_owned()).extent(&Manager::Own);
                let answers = ask(shell, home.path(), &[Ask::Knob(knob.clone())]);
                let found = answers.knob(&knob).unwrap();
                assert_eq!(found != ABSENT, there, "{name}: {found} {shell:?}");
            }
        }
    }
}
