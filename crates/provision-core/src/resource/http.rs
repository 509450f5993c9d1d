//! `http`: a request that a host makes to something that runs, once: unless another request says that it has been done.
//!
//! # What a dry run can know
//! It asks the guard (`unless`), which only reads, and never makes the request itself. While whoever answers is not there yet,
//! and something comes before that may bring it, the change is shown with that reason; just before the request the guard is
//! asked again, and the report says which way it went. As for a `command`, a guard's answer is in doubt where something
//! that the request *uses* changes; and where what may answer starts anew, since it may have forgotten by then.

use std::time::Duration;

use self::field::{delete_of, done_when, guard_of, request_of, statuses_of};
use crate::attribute::Span;
use crate::change::{Action, Change, Signal};
use crate::knob::Knob;
use crate::knob::http::HTTP;
use crate::object::Object;
use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::probe::{Answers, Ask, Undecided};
use crate::request::{Delete, Effect, Query, Reply};
use crate::resource::check::url::{Endpoint, Url};
use crate::resource::{Context, Field, Kind, Materials, Resource, Setup, Target, Thing, Want, package};
use crate::step::Step;

mod field;

/// The kind.
pub static KIND: Kind = Kind {
    name: "http",
    summary: "A request that the host makes to something that runs, unless another one says that it has been done.",
    fields: &[
        Field { name: "url", takes: "address", required: true, doc: "`https://name:port/path` or `http://...`." },
        Field { name: "method", takes: "text", required: false, doc: "\"POST\" without it." },
        Field {
            name: "unless",
            takes: "table",
            required: true,
            doc: "A request that only reads, by \"GET\" or \"HEAD\": not needed when its answer has this `status` ([200] without it) and `contains` this text. It has a `url`, `method`, `headers`, `user` and `password` of its own.",
        },
        Field {
            name: "headers",
            takes: "table of text",
            required: false,
            doc: "Headers, which may be secret: `{ Authorization = \"Bearer {{ input.token }}\" }`.",
        },
        Field {
            name: "user",
            takes: "text",
            required: false,
            doc: "For HTTP's basic authentication, together with `password`.",
        },
        Field { name: "password", takes: "text", required: false, doc: "It may be secret." },
        Field {
            name: "body",
            takes: "text",
            required: false,
            doc: "What is sent, which may be secret; a `Content-Type` is among `headers`, or text/plain. At most one of `body` and `json`, of at most 64 KiB.",
        },
        Field {
            name: "json",
            takes: "any value",
            required: false,
            doc: "What is sent as JSON: tables, lists, texts, numbers. Texts may be secret.",
        },
        Field {
            name: "status",
            takes: "list of integers",
            required: false,
            doc: "Statuses of success; [200, 201, 202, 204] without it.",
        },
        Field {
            name: "done_when",
            takes: "list of tables",
            required: false,
            doc: "Other answers that say that it had been done, each by `status` and `contains`: a server may answer 400 both to that and to what is wrong.",
        },
        Field {
            name: "delete",
            takes: "table",
            required: false,
            doc: "The request that takes it back when the resource leaves the plan or all is destroyed: `method` (\"DELETE\" without it), `url`, `headers`, `user`, `password`, `body`, `json`, `status`. It is kept on the host, as private as the plan's state. Without it what was done stays.",
        },
        Field {
            name: "connect",
            takes: "host:port",
            required: false,
            doc: "Where the connections of all these requests go instead: \"127.0.0.1:8443\", \"[::1]:8443\".",
        },
        Field {
            name: "authority",
            takes: "path",
            required: false,
            doc: "The certificate, on the host, of the only authority that is trusted; without it those that the host trusts.",
        },
        Field {
            name: "within",
            takes: "span",
            required: false,
            doc: "How long to wait for whoever answers to come up; \"60s\" without it. What may have been heard is never sent again.",
        },
        Field { name: "every", takes: "span", required: false, doc: "Pause between two tries; \"1s\" without it." },
        Field {
            name: "timeout",
            takes: "span",
            required: false,
            doc: "Longest time for one answer; \"30s\" without it. A dry run waits no longer than 10 s.",
        },
    ],
    example: r#"
[input.admin_password]
default = "correct horse"
secret = true

[http.admin]
url = "http://127.0.0.1:8080/api/v1/user/initialize"
json = { username = "admin", password = "{{ input.admin_password }}", email = "admin@example.com" }
unless = { url = "http://127.0.0.1:8080/v2/_catalog", user = "admin", password = "{{ input.admin_password }}" }
done_when = [{ status = 400, contains = "non-empty database" }]
"#,
    templates: &[],
    assets: &[],
    read,
};

const DEFAULT_STATUS: [u16; 4] = [200, 201, 202, 204];
/// A container that migrates a database first takes that long.
const DEFAULT_WITHIN: Span = Span::seconds(60);
const DEFAULT_EVERY: Span = Span::seconds(1);
const DEFAULT_TIMEOUT: Span = Span::seconds(30);
/// A guard is asked in every dry run.
const GUARD_LIMIT: Duration = Duration::from_secs(10);
/// What stands before a server answers so while that is not there.
const NOT_UP: [u16; 3] = [502, 503, 504];

#[derive(Debug)]
struct Http {
    urls: Vec<Url>,
    /// The port of `connect`.
    port: Option<u16>,
    authority: Option<AbsPath>,
    effect: Effect,
}

fn read(fields: &Fields<'_>, setup: &Setup<'_>) -> Option<Box<dyn Resource>> {
    let connect = fields.optional::<Endpoint>("connect");
    let authority: Option<AbsPath> = fields.optional("authority");
    let way = field::Way { connect: connect.as_ref(), authority: authority.as_ref() };
    let request = request_of(fields, "POST", &way);
    let status = statuses_of(fields).unwrap_or_else(|| DEFAULT_STATUS.to_vec());
    let done = done_when(fields);
    let span = |name, default: Span| {
        let span = fields.optional(name).unwrap_or(default).duration();
        if span.is_zero() {
            fields.problem(name, "no time at all", "write at least \"1s\"");
        }
        span
    };
    let within = span("within", DEFAULT_WITHIN);
    let every = span("every", DEFAULT_EVERY);
    let limit = span("timeout", DEFAULT_TIMEOUT);
    if !fields.has("unless") {
        fields.problem(
            "",
            format!("{} would make its request at every apply", fields.label()),
            "add `unless = { url = \"...\" }`: a request that only reads, and whose answer says that this has been done",
        );
    }
    let unless = fields.table("unless").and_then(|fields| guard_of(&fields, &way));
    let delete = fields.table("delete").map(|fields| delete_of(&fields, &way));
    let ((request, url), (unless_request, unless_url, expected)) = (request?, unless?);
    let mut urls = vec![url, unless_url];
    let delete = match delete {
        Some(delete) => {
            let (request, url, status) = delete?;
            urls.push(url);
            let name = format!("{}/{}", setup.plan, setup.address.label());
            Some(Delete { knob: Knob::new(&HTTP, name), request, status: status.unwrap_or(DEFAULT_STATUS.to_vec()) })
        }
        None => None,
    };
    if let Some(other) =
        connect.as_ref().and(urls.iter().find(|url| Some(&url.endpoint) != urls.first().map(|url| &url.endpoint)))
    {
        let message = format!("{other} is at another place than `url`, and `connect` would lead both to the same");
        fields.problem("connect", message, "take `connect` out, or ask the same server");
        return None;
    }
    if authority.is_some() && urls.iter().all(|url| !url.scheme.is_tls()) {
        fields.problem("authority", "an http address has no certificate to verify", "take it out");
    }
    let unless = Query { request: unless_request, expected, limit };
    let effect = Effect { unless, request, status, done, within, every, delete };
    Some(Box::new(Http { urls, port: connect.map(|endpoint| endpoint.port), authority, effect }))
}

impl Resource for Http {
    fn provides(&self) -> Vec<Thing> {
        Vec::new()
    }

    /// What it made is whoever was asked's, unless a request takes it back.
    fn objects(&self) -> Vec<Object> {
        self.effect.delete.iter().map(|delete| Object::Knob(delete.knob.clone())).collect()
    }

    fn wants(&self) -> Vec<Want> {
        // Whoever serves the ports comes first, whatever the name: it only orders.
        let ports = self.urls.iter().map(|url| self.port.unwrap_or(url.endpoint.port));
        let ports = ports.map(|port| Want::after(Target::Port(format!("{port}/tcp"))));
        let authority = self.authority.iter().map(|path| Want::after(Target::Thing(Thing::Path(path.clone()))));
        ports.chain(authority).chain([package::want("curl")]).collect()
    }

    fn asks(&self) -> Vec<Ask> {
        let path = self.authority.iter().cloned().map(Ask::Path);
        path.chain([Ask::Query(self.guard())]).collect()
    }

    fn diff(&self, answers: &Answers, context: &Context<'_>) -> Result<Change, Undecided> {
        if let Some(path) = &self.authority {
            context.require_authority(path, answers)?;
        }
        let Query { request, expected, limit: _ } = &self.effect.unless;
        let title = request.title();
        let why = match answers.query(&self.guard())? {
            Reply::Expected if !context.causes.is_empty() || context.command_pending() => {
                format!("{title} answers {expected} as things are, and is asked again once what it uses has changed")
            }
            Reply::Expected if context.anything_starts() => {
                format!(
                    "{title} answers {expected} as things are, and is asked again once what answers has started anew"
                )
            }
            Reply::Expected => return Ok(Change::none()),
            Reply::Other(status) if !NOT_UP.contains(status) || expected.status.contains(status) => {
                match &expected.contains {
                    Some(text) if expected.status.contains(status) => {
                        format!("{title} answers {status} without {text:?}")
                    }
                    _ => format!("{title} answers {status}"),
                }
            }
            nobody => {
                let reason = match nobody {
                    Reply::NoAnswer(why) => why.clone(),
                    Reply::Other(status) => format!("status {status}"),
                    Reply::Expected => String::new(),
                };
                let reason = format!("{title} gets no answer: {reason}");
                if !context.anything_pending() {
                    let help = if reason.contains("curl is not installed") {
                        "let the plan have it: [package.curl]"
                    } else {
                        "start what answers there; or write in `after` what brings it"
                    };
                    return Err(Undecided::with_help(reason, help));
                }
                format!("{reason}, and is asked again once what comes before has changed")
            }
        };
        let mut change = Change::new(Action::Run);
        change.reasons.push(why);
        Ok(change.signals(Signal::Content))
    }

    fn steps(&self, _change: &Change, _answers: &Answers, _materials: &Materials) -> Result<Vec<Step>, Undecided> {
        Ok(vec![Step::Request(Box::new(self.effect.clone()))])
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        vec![("url", self.effect.request.url.clone())]
    }
}

impl Http {
    /// As a dry run asks it.
    fn guard(&self) -> Query {
        let unless = &self.effect.unless;
        Query { limit: unless.limit.min(GUARD_LIMIT), ..unless.clone() }
    }
}

#[cfg(test)]
mod tests;
