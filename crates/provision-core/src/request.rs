//! HTTP requests that a host makes itself, with curl: as data, and as what curl is told on its standard input.
//!
//! What a request carries may be secret; it is in no argument and in no file.

use std::fmt;
use std::time::Duration;

use crate::knob::Knob;
use crate::path::AbsPath;
use crate::secret::Text;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `GET`, `POST`...
    pub method: String,
    /// `https://name:port/path` or `http://...`.
    pub url: String,
    /// Where the connection goes instead: `127.0.0.1:8443`, `[::1]:8443`.
    pub connect: Option<String>,
    /// The certificate of the only authority that is trusted; those that the host trusts without it.
    pub authority: Option<AbsPath>,
    /// Name and password, for HTTP's basic authentication.
    pub login: Option<Text>,
    /// Names and values.
    pub headers: Vec<(String, Text)>,
    /// What is sent.
    pub body: Option<Text>,
}

/// How an answer is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expected {
    /// Any of these statuses.
    pub status: Vec<u16>,
    /// Text that its body has.
    pub contains: Option<String>,
}

/// A request that only reads, and what its answer is to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    /// What is asked.
    pub request: Request,
    /// What says yes.
    pub expected: Expected,
    /// Longest time for the answer.
    pub limit: Duration,
}

/// What came of a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What was expected.
    Expected,
    /// Another answer, with this status.
    Other(u16),
    /// None, and why: nobody listens, no trust, no curl.
    NoAnswer(String),
}

/// A request that changes something, made unless a query says that this has been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What says that it has been done.
    pub unless: Query,
    /// What is done.
    pub request: Request,
    /// Statuses of success.
    pub status: Vec<u16>,
    /// Other answers that say that it had been done.
    pub done: Vec<Expected>,
    /// How long whoever answers may take to come up.
    pub within: Duration,
    /// Pause between two tries.
    pub every: Duration,
    /// What takes it back.
    pub delete: Option<Delete>,
}

/// What takes an [`Effect`] back. It is kept on the host, as private as the plan's state, from when that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Under which it is kept.
    pub knob: Knob,
    /// What is asked.
    pub request: Request,
    /// Statuses of success.
    pub status: Vec<u16>,
}

impl Request {
    /// What a person would call it: `POST https://name/path`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    /// As a file of curl's options, curl(1), `--config`.
    pub(crate) fn config(&self) -> String {
        let Self { method, url, connect, authority, login, headers, body } = self;
        let mut config = String::new();
        let mut set = |option: &str, value: &str| {
            config.push_str(&format!("{option} = \"{}\"\n", escaped(value)));
        };
        set("url", url);
        if method != "HEAD" {
            set("request", method);
        }
        if let Some(connect) = connect {
            // Empty host and port: whatever the address has.
            set("connect-to", &format!("::{connect}"));
        }
        if let Some(path) = authority {
            set("cacert", path.as_str());
            // The directory of authorities that curl was built with would count beside the file.
            set("capath", "/dev/null");
        }
        if let Some(login) = login {
            set("user", login.expose());
        }
        for (name, value) in headers {
            // A header without a value ends in a semicolon there.
            match value.expose() {
                "" => set("header", &format!("{name};")),
                value => set("header", &format!("{name}: {value}")),
            }
        }
        if let Some(body) = body {
            // Without asking first whether it may.
            set("header", "Expect:");
            set("data-raw", body.expose());
        }
        if method == "HEAD" {
            config.push_str("head\n");
        }
        config
    }
}

impl Expected {
    /// For people: `status 200 with "x"`.
    #[must_use]
    pub fn shown(&self) -> String {
        let status = statuses(&self.status);
        self.contains.as_ref().map_or_else(|| status.clone(), |text| format!("{status} with {text:?}"))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Statuses as the host's shell and people have them.
pub(crate) fn statuses(statuses: &[u16]) -> String {
    statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// As it stands between double quotes there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{b}' => escaped.push_str("\\v"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The most bytes of a body: curl of before 2022 takes no longer line of options than 100 kB.
pub(crate) const LONGEST_BODY: usize = 64 * 1024;

/// Shell functions that make a request, for questions and for steps.
pub(crate) const REQUEST: &str = r#"
requested() { # limit options: sets http_status and http_body; 1 with http_why and http_code, which is curl's
  command -v curl >/dev/null 2>&1 || { http_why='curl is not installed on the host'; http_code=127; return 1; }
  http_body=$(printf '%s' "$2" | curl -q --silent --show-error --globoff --noproxy '*' --proto =http,https --http1.1 --max-time "$1" \
    --max-filesize 1048576 --write-out '\n%{http_code}' --config - 2>&1); http_code=$?
  http_status=${http_body##*
}
  http_body=${http_body%
*}
  if [ $http_code = 0 ]; then return 0; fi
  http_why=${http_body#*curl: }; http_why=${http_why%%
*}
  return 1
}
expected() { # 'statuses' text: whether the answer is that
  case " $1 " in *" $http_status "*) ;; *) return 1 ;; esac
  case $http_body in *"$2"*) ;; *) return 1 ;; esac
}
http_told() { # makes of an answer one line
  http_body=$(printf '%.65536s' "$http_body" | tr -s '\000-\037\177' ' ')
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_what_curl_reads() {
        let request = Request {
            method: "PUT".to_owned(),
            url: "https://[::1]:8443/a?b=%20".to_owned(),
            connect: Some("[::1]:8443".to_owned()),
            authority: Some("/etc/a b.crt".parse().unwrap()),
            login: Some(Text::secret("init:\"hunter22\\")),
            headers: vec![("X-A".to_owned(), Text::plain("")), ("X-B".to_owned(), Text::secret("c\td"))],
            body: Some(Text::secret("{\"a\":\n\"b\"}\r\n")),
        };
        let expected = "url = \"https://[::1]:8443/a?b=%20\"\nrequest = \"PUT\"\nconnect-to = \"::[::1]:8443\"\n\
            cacert = \"/etc/a b.crt\"\ncapath = \"/dev/null\"\nuser = \"init:\\\"hunter22\\\\\"\n\
            header = \"X-A;\"\nheader = \"X-B: c\\td\"\nheader = \"Expect:\"\n\
            data-raw = \"{\\\"a\\\":\\n\\\"b\\\"}\\r\\n\"\n";
        assert_eq!(request.config(), expected);
        assert!(!format!("{request:?}").contains("hunter22"), "{request:?}");
    }
}
