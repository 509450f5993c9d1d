//! `check`: a question to something that runs, asked at each apply until it is answered as it should be.
//!
//! Never a change: a dry run counts it and asks nothing.

use std::time::Duration;

use self::url::{Endpoint, Scheme, Url};
use crate::attribute::Span;
use crate::change::Change;
use crate::check::{Check, Http, JsonValue, Question, Tls};
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided, Wanted};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, Watch};
use crate::step::{Await, Step};

pub(crate) mod url;

/// The kind.
pub static KIND: Kind = Kind {
    name: "check",
    summary: "A question to something that runs, repeated until it is answered as it should be; never a change.",
    fields: &[
        Field {
            name: "url",
            takes: "address",
            required: true,
            doc: "What is asked: `https://name:port/path`, `http://...`, or only whether something is there: \
                  `tls://name:port`, `tcp://name:port`.",
        },
        Field {
            name: "connect",
            takes: "host:port",
            required: false,
            doc: "Where the connection goes instead, as seen from the host: \"127.0.0.1:8443\", \"[::1]:8443\". The \
                  name of `url` is still what is asked for and what the certificate must carry.",
        },
        Field {
            name: "authority",
            takes: "path",
            required: false,
            doc: "The certificate of the only authority that is trusted, on the host. Wanted by `https` and `tls`.",
        },
        Field { name: "status", takes: "list of integers", required: false, doc: "Right statuses; [200] without it." },
        Field { name: "contains", takes: "text", required: false, doc: "Text that the answer must contain." },
        Field {
            name: "json",
            takes: "table",
            required: false,
            doc: "Values that the answer must have, each by its JSON pointer: `\"/data/status\" = \"ok\"`.",
        },
        Field { name: "within", takes: "span", required: false, doc: "When to give up; \"60s\" without it." },
        Field { name: "every", takes: "span", required: false, doc: "Pause between two tries; \"1s\" without it." },
        Field {
            name: "from",
            takes: "\"here\" | \"host\"",
            required: false,
            doc: "Who asks: this side, through the connection to the host, which needs nothing there; or curl on the \
                  host. \"here\" without it.",
        },
    ],
    example: r#"
[check.status]
url = "http://127.0.0.1:8080/status"
json = { "/status" = "ok" }

[check.registry]
url = "https://registry.example.com:8443/healthz"
connect = "127.0.0.1:8443"
authority = "/etc/registry.crt"
within = "5m"
from = "host"

[file.authority]
path = "/etc/registry.crt"
content = "-----BEGIN CERTIFICATE-----\n..."
"#,
    templates: &[],
    assets: &[],
    read,
};

const DEFAULT_STATUS: u16 = 200;
/// A container that migrates a database first takes that long.
const DEFAULT_WITHIN: Span = Span::seconds(60);
const DEFAULT_EVERY: Span = Span::seconds(1);

#[derive(Debug)]
struct CheckSpec {
    url: Url,
    connect: Option<Endpoint>,
    authority: Option<AbsPath>,
    status: Vec<u16>,
    contains: Option<String>,
    json: Vec<JsonValue>,
    within: Duration,
    every: Duration,
    from: Side,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Here,
    Host,
}

impl std::str::FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "here" => Ok(Self::Here),
            "host" => Ok(Self::Host),
            _ => Err("it takes \"here\" or \"host\"".to_owned()),
        }
    }
}

fn read(fields: &Fields<'_>, _setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let url: Option<Url> = fields.required("url");
    let connect = fields.optional("connect");
    let authority: Option<AbsPath> = fields.optional("authority");
    let status = fields.integers("status", 100..=599).into_iter().filter_map(|status| u16::try_from(status).ok());
    let status: Vec<u16> = status.collect();
    let contains: Option<String> = fields.optional("contains");
    let json = json(fields);
    let within = span(fields, "within", DEFAULT_WITHIN);
    let every = span(fields, "every", DEFAULT_EVERY);
    let from = fields.optional("from").unwrap_or(Side::Here);

    let Url { scheme, .. } = url.as_ref()?;
    let name = scheme.name();
    if scheme.is_tls() && !fields.has("authority") {
        let message = format!("{} asks over TLS and trusts nobody", fields.label());
        fields.problem("url", message, "add `authority`: the path of the authority's certificate on the host");
        return None;
    }
    if !scheme.is_tls() && authority.is_some() {
        fields.problem("authority", format!("a {name} address has no certificate to verify"), "take it out");
    }
    if !scheme.is_http() {
        for field in ["status", "contains", "json"].into_iter().filter(|field| fields.has(field)) {
            fields.problem(field, format!("a {name} address has no HTTP answer to judge"), "take it out");
        }
    }
    if from == Side::Host {
        if !scheme.is_http() {
            fields.problem("from", format!("the host cannot ask a {name} address"), "take it out: this side can");
        }
        if !json.is_empty() {
            fields.problem("json", "the host has nothing that reads JSON", "use `contains`, or take `from` out");
        }
    }
    let status = if status.is_empty() { vec![DEFAULT_STATUS] } else { status };
    Some(Box::new(CheckSpec { url: url?, connect, authority, status, contains, json, within, every, from }))
}

fn json(fields: &Fields<'_>) -> Vec<JsonValue> {
    let mut wanted = Vec::new();
    for setting in fields.settings("json") {
        match setting.values.as_slice() {
            _ if !setting.key.starts_with('/') => fields.setting_problem(
                &setting,
                format!("{:?} is no JSON pointer", setting.key),
                "it starts with `/`, such as \"/data/status\" (RFC 6901)",
            ),
            [value] => wanted.push(JsonValue { pointer: setting.key.clone(), equals: value.clone() }),
            _ => fields.setting_problem(&setting, "one value is compared", "write one text, integer or boolean"),
        }
    }
    wanted
}

fn span(fields: &Fields<'_>, name: &'static str, default: Span) -> Duration {
    let span = fields.optional(name).unwrap_or(default).duration();
    if span.is_zero() {
        fields.problem(name, "no time at all", "write at least \"1s\"");
    }
    span
}

impl Resource for CheckSpec {
    fn provides(&self) -> Vec<Thing> {
        Vec::new()
    }

    fn wants(&self) -> Vec<Want> {
        // Whoever serves the port comes first, whatever the name: it only orders.
        let port = Target::Port(format!("{}/tcp", self.endpoint().port));
        let authority = self.authority.iter().map(|path| Want::after(Target::Thing(Thing::Path(path.clone()))));
        std::iter::once(Want::after(port)).chain(authority).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let Some(path) = &self.authority else { return Vec::new() };
        let mut asks = vec![Ask::Path(path.clone())];
        if self.from == Side::Here {
            // Its content too, so that the check needs no exchange of its own for it.
            asks.push(Ask::File { path: path.clone(), content: Wanted::Always });
        }
        asks
    }

    /// Never a difference; but an authority that neither is there nor can come is found out beforehand.
    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        if let Some(path) = &self.authority {
            context.require_authority(path, answers)?;
        }
        Ok(Change::none())
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(Vec::new())
    }

    fn reads(&self, _change: &Change) -> Vec<AbsPath> {
        self.authority.iter().filter(|_| self.from == Side::Here).cloned().collect()
    }

    fn watch(&self) -> Option<Watch> {
        Some(match self.from {
            Side::Here => Watch::Here(self.check()),
            Side::Host => Watch::Host(self.curl()),
        })
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("url", self.url.to_string())]
    }
}

impl CheckSpec {
    /// Where the connection goes.
    fn endpoint(&self) -> &Endpoint {
        self.connect.as_ref().unwrap_or(&self.url.endpoint)
    }

    fn check(&self) -> Check {
        let Self { url, connect: _, authority, status, contains, json, within, every, from: _ } = self;
        let Endpoint { host, port } = self.endpoint().clone();
        let question = match url.scheme {
            Scheme::Tcp | Scheme::Tls => Question::Connect,
            Scheme::Http | Scheme::Https => Question::Http(Http {
                authority: url.authority(),
                target: url.target.clone(),
                status: status.clone(),
                contains: contains.clone(),
                json: json.clone(),
            }),
        };
        let tls = authority.clone().map(|authority| Tls { name: url.endpoint.host.clone(), authority });
        Check { host, port, question, tls, limit: *within, pause: *every }
    }

    fn curl(&self) -> Await {
        let Self { url, connect, authority, status, contains, json: _, within, every, from: _ } = self;
        let mut curl: Vec<String> = Vec::new();
        let mut add = |arguments: &[&str]| curl.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        if let Some(path) = authority {
            // The directory of authorities that curl was built with would count beside the file.
            add(&["--cacert", path.as_str(), "--capath", "/dev/null"]);
        }
        if let Some(connect) = connect {
            // Empty host and port: whatever the address has.
            add(&["--connect-to", &format!("::{connect}")]);
        }
        add(&["--", &url.to_string()]);
        Await { curl, status: status.clone(), contains: contains.clone(), limit: *within, pause: *every }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::case;

    const TLS: &str = "url = 'https://registry.example/healthz'\nauthority = '/etc/ca.crt'\nconnect = '[::1]:8443'";

    fn watch(fields: &str) -> Watch {
        let changes = case("check", fields).given_file("/etc/ca.crt", "x", "0644").changes();
        changes.graph().resources().find_map(|(_, resource)| resource.watch()).unwrap()
    }

    #[test]
    fn a_check_is_never_a_change() {
        case("check", "url = 'tcp://127.0.0.1:22'").in_sync();
    }

    #[test]
    fn an_answer_is_waited_for_through_the_connection() {
        case("check", "url = 'http://127.0.0.1:8080/'\nstatus = [204, 200]\ncontains = 'status'").in_sync().mended();
    }

    #[test]
    fn from_here_the_certificate_carries_the_name_wherever_the_connection_goes() {
        let Watch::Here(check) = watch(TLS) else { panic!("not from here") };
        assert_eq!((check.host.as_str(), check.port), ("::1", 8443));
        assert_eq!(check.tls.map(|tls| tls.name).as_deref(), Some("registry.example"));
        let Question::Http(http) = check.question else { panic!("no HTTP") };
        assert_eq!((http.authority.as_str(), http.target.as_str()), ("registry.example", "/healthz"));
    }

    #[test]
    fn from_the_host_curl_is_told_the_same() {
        let Watch::Host(wait) = watch(&format!("{TLS}\nfrom = 'host'\nwithin = '5m'")) else {
            panic!("not from there")
        };
        let told =
            "--cacert /etc/ca.crt --capath /dev/null --connect-to ::[::1]:8443 -- https://registry.example/healthz";
        assert_eq!(wait.curl.join(" "), told);
        assert_eq!(wait.limit, Duration::from_secs(300));
    }

    #[test]
    fn whoever_serves_the_port_comes_first() {
        let changes = case("check", "url = 'tcp://127.0.0.1:22'\nafter = ['file.z']")
            .plan("[file.z]\npath = '/srv/z'\ncontent = ''\n")
            .changes();
        let order: Vec<String> = changes.graph().resources().map(|(address, _)| address.to_string()).collect();
        assert_eq!(order, ["file.z", "check.x"]);
    }

    #[test]
    fn an_authority_that_cannot_come_is_found_out_beforehand() {
        case("check", TLS).undecided(
            "the authority's certificate /etc/ca.crt is not on the host, and nothing changes that could make it",
        );
        case("check", TLS).plan("[file.ca]\npath = '/etc/ca.crt'\ncontent = ''\n").in_sync();
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        case("check", "url = 'https://a.example/'").refused(
            "3:7: check.x asks over TLS and trusts nobody \
             (add `authority`: the path of the authority's certificate on the host)",
        );
        case("check", "url = 'tcp://a.example:1'\nstatus = [99]\nfrom = 'host'").refused(
            "4:10: a tcp address has no HTTP answer to judge (take it out)\n\
             4:11: 99 is out of range for `status` of check.x (it goes from 100 to 599)\n\
             5:8: the host cannot ask a tcp address (take it out: this side can)",
        );
        case("check", "url = 'http://a:b@c.example/'\njson = { a = 1, '/b' = [1, 2] }\nevery = '0s'").refused(
            "3:7: \"http://a:b@c.example/\" does not fit `url` of check.x \
             (a user does not belong in an address: its password would stand in the plan)\n\
             4:10: \"a\" is no JSON pointer (it starts with `/`, such as \"/data/status\" (RFC 6901))\n\
             4:17: one value is compared (write one text, integer or boolean)\n\
             5:9: no time at all (write at least \"1s\")",
        );
    }
}
