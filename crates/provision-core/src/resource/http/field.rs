//! The fields of a request, which a resource has up to three times: what is done, what says so, what takes it back.

use serde_json::Value as Json;

use crate::path::AbsPath;
use crate::plan::fields::Fields;
use crate::plan::node::{Node, Value};
use crate::request::{Expected, LONGEST_BODY, Request};
use crate::resource::check::url::{Endpoint, Url};
use crate::secret::Text;

/// What all requests of a resource have in common.
pub(super) struct Way<'a> {
    pub(super) connect: Option<&'a Endpoint>,
    pub(super) authority: Option<&'a AbsPath>,
}

impl Way<'_> {
    /// A request that says nothing yet but where it goes.
    fn to(&self, url: &Url) -> Request {
        Request {
            method: String::new(),
            url: url.to_string(),
            connect: self.connect.map(ToString::to_string),
            authority: self.authority.filter(|_| url.scheme.is_tls()).cloned(),
            login: None,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// A request whose method is this one unless it says another.
pub(super) fn request_of(fields: &Fields<'_>, method: &str, way: &Way<'_>) -> Option<(Request, Url)> {
    let url = url(fields);
    let method = method_of(fields, method);
    let login = login(fields);
    let mut headers = headers(fields);
    let body = body(fields, &mut headers);
    let (url, method) = (url?, method?);
    if body.is_some() && matches!(method.as_str(), "GET" | "HEAD") {
        let at = if fields.has("json") { "json" } else { "body" };
        fields.problem(at, format!("a {method} request has no body"), "take it out, or choose another `method`");
    }
    if login.is_some() && headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        fields.problem("user", "`headers` has an Authorization already", "write one of the two");
    }
    let request = Request { method, login, headers, body, ..way.to(&url) };
    Some((request, url))
}

/// The request that only reads.
pub(super) fn guard_of(fields: &Fields<'_>, way: &Way<'_>) -> Option<(Request, Url, Expected)> {
    let url = url(fields);
    let method = method_of(fields, "GET");
    if method.as_deref().is_some_and(|method| !matches!(method, "GET" | "HEAD")) {
        let message = "a dry run makes this request, so that it must change nothing";
        fields.problem("method", message, "write \"GET\" or \"HEAD\"");
    }
    let (login, headers) = (login(fields), headers(fields));
    let expected = expected(fields, &[200]);
    if method.as_deref() == Some("HEAD") && expected.contains.is_some() {
        fields.problem("contains", "the answer to HEAD has no body", "use \"GET\"");
    }
    fields.finish();
    let (url, method) = (url?, method?);
    let request = Request { method, login, headers, ..way.to(&url) };
    Some((request, url, expected))
}

/// The request that takes it back.
pub(super) fn delete_of(fields: &Fields<'_>, way: &Way<'_>) -> Option<(Request, Url, Option<Vec<u16>>)> {
    let request = request_of(fields, "DELETE", way);
    let status = statuses_of(fields);
    fields.finish();
    let (request, url) = request?;
    Some((request, url, status))
}

/// Other answers that say that it had been done.
pub(super) fn done_when(fields: &Fields<'_>) -> Vec<Expected> {
    let one = |fields: &Fields<'_>| {
        let expected = expected(fields, &[]);
        if expected.status.is_empty() || expected.contains.is_none() {
            let help = "write both: `{ status = 400, contains = \"already exists\" }`";
            fields.problem("", "an answer that says so has a status and a text", help);
        }
        fields.finish();
        expected
    };
    fields.tables("done_when").iter().map(one).collect()
}

/// `status`, one or several.
pub(super) fn statuses_of(fields: &Fields<'_>) -> Option<Vec<u16>> {
    if !fields.has("status") {
        // So that the key is known.
        fields.integers("status", STATUSES);
        return None;
    }
    let found = if fields.is_list("status") {
        fields.integers("status", STATUSES)
    } else {
        fields.integer("status", STATUSES).into_iter().collect()
    };
    let found: Vec<u16> = found.into_iter().filter_map(|status| u16::try_from(status).ok()).collect();
    if found.is_empty() && fields.is_list("status") {
        fields.problem("status", "there is no status", "write at least one, such as [200]");
    }
    Some(found)
}

const STATUSES: std::ops::RangeInclusive<i64> = 200..=599;

fn expected(fields: &Fields<'_>, default: &[u16]) -> Expected {
    let status = statuses_of(fields).unwrap_or_else(|| default.to_vec());
    Expected { status, contains: fields.optional("contains") }
}

fn url(fields: &Fields<'_>) -> Option<Url> {
    let url: Url = fields.required("url")?;
    if !url.scheme.is_http() {
        let message = format!("a {} address takes no HTTP request", url.scheme.name());
        fields.problem("url", message, "write https:// or http://");
        return None;
    }
    Some(url)
}

fn method_of(fields: &Fields<'_>, default: &str) -> Option<String> {
    let method = fields.optional::<String>("method");
    match method {
        None if fields.has("method") => None,
        None => Some(default.to_owned()),
        Some(method) if !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase()) => Some(method),
        Some(method) => {
            let help = "one word in capitals: \"POST\", \"PUT\", \"PATCH\"";
            fields.problem("method", format!("{method:?} is no method of HTTP"), help);
            None
        }
    }
}

fn login(fields: &Fields<'_>) -> Option<Text> {
    let user: Option<String> = fields.optional("user");
    let password = fields.text("password");
    match (fields.has("user"), fields.has("password")) {
        (true, false) => fields.problem("user", "there is no password to this user", "add `password`"),
        (false, true) => fields.problem("password", "there is no user to this password", "add `user`"),
        _ => {}
    }
    let (user, password) = (user?, password?);
    if user.contains(':') || user.chars().any(char::is_control) {
        fields.problem("user", "a user of HTTP's basic authentication has no `:`", "write it in `headers` instead");
    }
    let both = format!("{user}:{}", password.expose());
    Some(if password.is_secret() { Text::secret(both) } else { Text::plain(both) })
}

fn headers(fields: &Fields<'_>) -> Vec<(String, Text)> {
    let headers = fields.texts("headers");
    for (name, value) in &headers {
        // A token of RFC 9110, 5.6.2.
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)) {
            fields.problem("headers", format!("{name:?} is no name of a header"), "write it as \"X-Name\"");
        }
        if value.expose().chars().any(|c| c.is_control() && c != '\t') {
            fields.problem("headers", format!("the header {name} is more than one line"), "write it on one line");
        }
    }
    headers
}

fn body(fields: &Fields<'_>, headers: &mut Vec<(String, Text)>) -> Option<Text> {
    let text = fields.text("body");
    let json = fields.raw("json");
    if fields.has("body") && fields.has("json") {
        fields.problem("body", format!("{} has both of `body` and `json`", fields.label()), "write one of them");
    }
    let (body, sort) = match (text, json) {
        (Some(text), _) => (text, "text/plain; charset=utf-8"),
        (None, Some(node)) => {
            let text = json_of(node)?.to_string();
            (if node.is_secret() { Text::secret(text) } else { Text::plain(text) }, "application/json")
        }
        (None, None) => return None,
    };
    let at = if fields.has("json") { "json" } else { "body" };
    if body.expose().len() > LONGEST_BODY {
        fields.problem(at, "a body of more than 64 KiB is not sent", "let a command send it from a file");
    }
    if body.expose().contains('\0') {
        fields.problem(at, "a body cannot have a NUL character", "let a command send it from a file");
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), Text::plain(sort)));
    }
    Some(body)
}

/// A value as JSON; none where a text in it could not be told, about which there is a finding.
fn json_of(node: &Node) -> Option<Json> {
    Some(match &node.value {
        Value::Text(text) => Json::from(text.expose()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(value) => Json::from(*value),
        Value::Array(items) => Json::Array(items.iter().map(json_of).collect::<Option<_>>()?),
        Value::Table(table) => {
            let entries = table.entries.iter().map(|(key, entry)| Some((key.clone(), json_of(&entry.node)?)));
            Json::Object(entries.collect::<Option<_>>()?)
        }
        Value::Unknown => return None,
    })
}
