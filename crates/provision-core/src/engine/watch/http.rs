//! One HTTP/1.1 GET, and whether its answer is right.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::check::{Http, JsonValue};

/// Longest body that is looked at: health pages are small, and memory is not for a stranger to fill.
const BODY_LIMIT: usize = 1 << 20;
/// How much of an answer a message quotes.
const EXCERPT: usize = 120;

/// Asks once and gives the status, such as `200 OK`.
pub(super) async fn get(
    question: &Http,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<String, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let request = Request::get(question.target.as_str())
        .header(HOST, question.authority.as_str())
        .header(USER_AGENT, concat!("provision/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("cannot ask for {}: {error}", question.target))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| said(&error))?;
        judge(question, response).await
    };
    // Driven here and not by a task of its own, so that dropping the check drops the connection.
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, exchange)) => exchange.await,
    }
}

fn said(error: &hyper::Error) -> String {
    if error.is_parse() {
        return "what answers there does not speak HTTP".to_owned();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return "the connection was closed before the answer".to_owned();
    }
    match std::error::Error::source(error) {
        Some(source) => format!("the request failed: {source}"),
        None => format!("the request failed: {error}"),
    }
}

async fn judge(question: &Http, response: Response<Incoming>) -> Result<String, String> {
    let Http { authority: _, target: _, status: wanted, contains, json } = question;
    let status = response.status();
    if !wanted.contains(&status.as_u16()) {
        let wanted = wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        let body = body(response).await.unwrap_or_default();
        let quote = excerpt(&String::from_utf8_lossy(&body)).map(|text| format!(": {text}")).unwrap_or_default();
        return Err(format!("status {} instead of {wanted}{quote}", status.as_u16()));
    }
    if contains.is_some() || !json.is_empty() {
        let body = body(response).await?;
        if let Some(wanted) = contains
            && !holds(&body, wanted.as_bytes())
        {
            return Err(match excerpt(&String::from_utf8_lossy(&body)) {
                Some(text) => format!("the answer does not contain {wanted:?}: {text}"),
                None => format!("the answer does not contain {wanted:?}"),
            });
        }
        if !json.is_empty() {
            let document = serde_json::from_slice(&body).map_err(|error| format!("the answer is not JSON: {error}"))?;
            json.iter().try_for_each(|wanted| compare(&document, wanted))?;
        }
    }
    Ok(status.to_string())
}

async fn body(response: Response<Incoming>) -> Result<Bytes, String> {
    match Limited::new(response.into_body(), BODY_LIMIT).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(format!("the answer is longer than {BODY_LIMIT} bytes"))
        }
        Err(error) => Err(format!("the answer broke off: {error}")),
    }
}

fn holds(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|window| window == wanted)
}

fn compare(document: &Value, wanted: &JsonValue) -> Result<(), String> {
    let JsonValue { pointer, equals } = wanted;
    let found = match document.pointer(pointer) {
        None => return Err(format!("the answer has no {pointer}")),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    if found == *equals {
        return Ok(());
    }
    Err(format!("{pointer} is {} instead of {equals}", excerpt(&found).unwrap_or_else(|| "empty".to_owned())))
}

/// The beginning of a text on one line; none of an empty one.
fn excerpt(text: &str) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().filter(|c| !c.is_control()).take(EXCERPT).collect();
    match short.len() {
        0 => None,
        length if length < line.len() => Some(format!("{short}...")),
        _ => Some(short),
    }
}
