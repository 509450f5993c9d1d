//! Downloading on a host: shell functions.

pub(super) const FETCH: &str = r#"
fetch() { # path url digest mode user group limit
  if [ -d "$1" ] && [ ! -L "$1" ]; then echo "$1 is a directory"; return 1; fi
  t=${1%/*}/.${1##*/}.provision-new
  fresh "$t" || return
  fetched "$t" "$2" "$3" "$7" || { c=$?; rm -f -- "$t"; return $c; }
  own "$t" "$5" "$6" && chmod -- "$4" "$t" && over "$t" "$1" || { c=$?; rm -f -- "$t"; return $c; }
}
fetched() { # file url digest limit
  if command -v curl >/dev/null 2>&1; then
    limited "$4" curl -q --silent --show-error --fail --globoff --location --max-redirs 10 --proto =http,https --proto-redir =http,https \
      --output "$1" -- "$2" </dev/null
  elif command -v wget >/dev/null 2>&1; then limited "$4" wget -q -O "$1" -- "$2" </dev/null
  else echo 'neither curl nor wget is installed on the host; with via = "here" it needs neither'; return 127; fi || {
    c=$?; if [ $c = 124 ]; then echo "$2 did not arrive within $4 s"; fi; return $c
  }
  d=$(sha256sum <"$1") || return
  if [ "${d%% *}" != "$3" ]; then echo "what $2 gives has the SHA-256 ${d%% *}, and the plan wants $3"; return 1; fi
  # On disk before it is renamed, like whatever else is put in place.
  flushed "$1"
}
"#;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use crate::attribute::Mode;
    use crate::blob::sha256_hex;
    use crate::fetch::Download;
    use crate::shell::trial::{shells, tool};
    use crate::step::trial::{abs, apply, done, task};
    use crate::step::{Outcome, Ownership, Step};

    const URL: &str = "https://example.com/a?b=$(id)&c='";

    fn fetch(path: &Path, content: &[u8]) -> Step {
        Step::Fetch {
            path: abs(path),
            download: Download { url: URL.to_owned(), sha256: sha256_hex(content) },
            mode: Mode::new(0o640),
            ownership: Ownership::default(),
            limit: Duration::from_secs(2),
        }
    }

    /// A home with a curl that notes down what it is told, and then does the rest with `$o`, the file it is to write.
    fn home(rest: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let body = format!(
            "printf '%s\\n' \"$@\" >\"$HOME/told\"; while [ $# -gt 0 ]; do case $1 in --output) o=$2 ;; esac; shift; done; {rest}"
        );
        tool(&bin, "curl", &body);
        home
    }

    #[test]
    fn what_arrives_is_put_in_place_when_it_is_what_was_wanted() {
        for shell in shells() {
            let home = home("printf 'x\\0y' >\"$o\"");
            let path = home.path().join("a b");
            fs::write(&path, "old").unwrap();
            assert_eq!(apply(shell, home.path(), vec![task("d", vec![fetch(&path, b"x\0y")])]).outcomes, [done("")]);
            assert_eq!(fs::read(&path).unwrap(), b"x\0y", "{shell:?}");
            let told = fs::read_to_string(home.path().join("told")).unwrap();
            assert!(told.ends_with(&format!("--\n{URL}\n")), "{told}");
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o7777, 0o640);
        }
    }

    #[test]
    fn what_is_not_what_was_wanted_leaves_the_old_one_and_nothing_else() {
        let cases: [(&str, &str, &str); 3] = [
            (
                "printf other >\"$o\"",
                "has the SHA-256 d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, and the plan wants",
                "1",
            ),
            ("echo 'curl: (22) The requested URL returned error: 404' >&2; exit 22", "returned error: 404", "22"),
            ("printf part >\"$o\"; sleep 9", "did not arrive within 2 s", "124"),
        ];
        for shell in shells() {
            for (rest, expected, status) in cases {
                let home = home(rest);
                let path = home.path().join("f");
                fs::write(&path, "old").unwrap();
                let reply = apply(shell, home.path(), vec![task("d", vec![fetch(&path, b"new")])]);
                let [Outcome::Failed { output, status: found, .. }] = reply.outcomes.as_slice() else {
                    panic!("{reply:?}")
                };
                assert!(output.contains(expected), "{output} {shell:?}");
                assert_eq!(found.to_string(), status, "{shell:?}");
                assert_eq!(fs::read(&path).unwrap(), b"old");
                assert!(!home.path().join(".f.provision-new").exists(), "{shell:?}");
            }
        }
    }
}
