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
  elif command -v wget >/dev/null 2>&1; then
    # GNU's says nothing of a failure with -q; BusyBox's knows -nv too, and talks all the same. The file is empty yet, and
    # stands for what somebody may have set; in a home it would note whom it may only ask by TLS.
    w=$(limited "$4" env HOME=/nonexistent "WGETRC=$1" wget -nv -O "$1" -- "$2" </dev/null 2>&1) || {
      c=$?; printf '%s\n' "$w" | sed -e '/^Connecting to /d' -e '/^saving to /d' -e '/^$/d'; [ $c != 124 ] || echo "$2 did not arrive within $4 s"; return $c
    }
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
    use crate::step::trial::{NONCE, abs, apply, batch, begin, done, exchange, input, program, stamp, task};
    use crate::step::{Outcome, Ownership, Step, reply};

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

    /// A web that answers so many requests by what their path says, and tells what it was asked.
    fn web(requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
        use std::io::{BufRead as _, BufReader, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let answer = |stream: std::net::TcpStream| {
                let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
                let asked = lines.next().unwrap_or_default();
                lines.find(String::is_empty);
                let close = "Connection: close\r\n";
                let text = match asked.split(' ').nth(1).unwrap_or_default() {
                    "/none" => format!("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n{close}\r\n"),
                    "/moved" => {
                        format!("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n{close}\r\n")
                    }
                    "/slow" => {
                        std::thread::sleep(Duration::from_secs(3));
                        String::new()
                    }
                    _ => format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n{close}\r\nx\0y"),
                };
                // Whoever has given up does not hear it.
                let _ = (&stream).write_all(text.as_bytes());
                asked
            };
            (0..requests).map(|_| answer(listener.accept().unwrap().0)).collect()
        });
        (url, served)
    }

    /// GNU's wget, and BusyBox's where its shell runs it: on a host without curl.
    #[test]
    fn wget_does_it_where_there_is_no_curl() {
        const RIGHT: &[u8] = b"x\0y";
        for shell in shells() {
            let home = home("exit 9");
            // Nobody's own settings count.
            fs::write(home.path().join(".wgetrc"), "http_proxy = http://127.0.0.1:1/\nuse_proxy = on\n").unwrap();
            let (url, served) = web(6);
            let path = home.path().join("a b");
            let attempt = |rest: &str, content: &[u8]| {
                let Step::Fetch { path, mode, ownership, limit, .. } = fetch(&path, content) else { panic!() };
                let download = Download { url: format!("{url}{rest}"), sha256: sha256_hex(content) };
                let step = Step::Fetch { path, download, mode, ownership, limit };
                let batch = batch(begin(&stamp(home.path())), vec![task("d", vec![step])]);
                // The machine of the tests has a curl.
                let text = program(home.path(), &batch).replace("command -v curl ", "command -v no-curl ");
                let reply = reply::read(&batch, &exchange(shell, &text, &input(&batch)), NONCE).unwrap();
                reply.outcomes.into_iter().next().unwrap()
            };
            let failed = |outcome: Outcome| match outcome {
                Outcome::Failed { output, .. } => output,
                other => panic!("{other:?} {shell:?}"),
            };
            assert_eq!(attempt("/a?b=$(id)&c=d", RIGHT), done(""), "{shell:?}");
            assert_eq!(fs::read(&path).unwrap(), RIGHT, "{shell:?}");
            fs::write(&path, "old").unwrap();
            assert_eq!(attempt("/moved", RIGHT), done(""), "{shell:?}");
            assert_eq!(fs::read(&path).unwrap(), RIGHT, "{shell:?}");
            fs::write(&path, "old").unwrap();
            let none = failed(attempt("/none", RIGHT));
            assert!(none.contains("404") && !none.contains("Connecting"), "{none} {shell:?}");
            let other = failed(attempt("/b", b"other"));
            assert!(other.contains("and the plan wants"), "{other} {shell:?}");
            let slow = failed(attempt("/slow", RIGHT));
            assert!(slow.contains("did not arrive within 2 s"), "{slow} {shell:?}");
            assert_eq!(fs::read(&path).unwrap(), b"old", "{shell:?}");
            assert!(!home.path().join(".a b.provision-new").exists(), "{shell:?}");
            assert!(!home.path().join("told").exists(), "curl was called: {shell:?}");
            let asked = served.join().unwrap();
            let paths: Vec<&str> = asked.iter().map(|line| line.split(' ').nth(1).unwrap_or_default()).collect();
            assert_eq!(paths, ["/a?b=$(id)&c=d", "/moved", "/there", "/none", "/b", "/slow"], "{shell:?}");
        }
    }

    #[test]
    fn a_host_with_neither_is_told_of_both() {
        for shell in shells() {
            let home = home("exit 9");
            let path = home.path().join("f");
            let batch = batch(begin("0"), vec![task("d", vec![fetch(&path, b"x")])]);
            let text = program(home.path(), &batch)
                .replace("command -v curl ", "command -v no-curl ")
                .replace("command -v wget ", "command -v no-wget ");
            let reply = reply::read(&batch, &exchange(shell, &text, &input(&batch)), NONCE).unwrap();
            let [Outcome::Failed { output, status: 127, .. }] = reply.outcomes.as_slice() else { panic!("{reply:?}") };
            let both = "neither curl nor wget is installed on the host; with via = \"here\" it needs neither";
            assert_eq!(output.trim_end(), both, "{shell:?}");
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
