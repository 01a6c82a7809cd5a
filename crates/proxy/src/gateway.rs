//! What only the gateway does: answers of routes that lead to no service, cross-origin rules, compression.

use std::time::Duration;

use model::route::{Cors, Route, RouteTarget};

use crate::answer::{Answer, Fault};
use crate::crossing::Asked;
use crate::h1::attempt::Attempt;
use crate::h1::exchange::Exchange;
use crate::h1::head::{Framing, values};
use crate::router::{Entry, location};

/// An answer a route gives itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// This status and these headers.
    Bare(u16, Vec<(&'static str, String)>),
    /// This answer, with this page in place of its sentence.
    Page(Answer, Option<String>),
}

/// Why an answer without a body is given, in a word for programs.
pub(crate) const fn bare_reason(status: u16) -> &'static str {
    if status == 204 { "preflight" } else { "redirect" }
}

/// The answer of a route that leads to no service, or of its cross-origin rules to a browser that asks
/// beforehand. `target` is the path with its query.
pub(crate) fn own_answer(
    entry: &Entry,
    asked: &impl Asked,
    host: &str,
    target: &str,
) -> Option<Own> {
    if let Some(cors) = &entry.route.cors
        && let Some(headers) = preflight(cors, asked)
    {
        return Some(Own::Bare(204, headers));
    }
    match entry.target() {
        RouteTarget::Service(_) => None,
        RouteTarget::Redirect(redirect) => {
            // The server itself is nowhere else.
            let target = if target == "*" { "/" } else { target };
            let location = location(&redirect.to, host, target);
            Some(Own::Bare(redirect.status, vec![("location", location)]))
        }
        RouteTarget::Maintenance(page) => {
            let answer =
                Answer::new(503, "maintenance", Fault::Policy, "this part is closed for a while");
            let answer = Answer { retry_after: Some(RETRY_AFTER_MAINTENANCE), ..answer };
            Some(Own::Page(answer, Some(page.clone())))
        }
    }
}

/// When to look again whether maintenance is over.
const RETRY_AFTER_MAINTENANCE: Duration = Duration::from_mins(1);

/// The answer to a preflight request (Fetch standard, section 3.2.2), if it is one of an origin that may.
fn preflight(cors: &Cors, asked: &impl Asked) -> Option<Vec<(&'static str, String)>> {
    let wanted = asked.header("access-control-request-method")?;
    if asked.method() != "OPTIONS" {
        return None;
    }
    let mut headers = vec![("vary", "origin, access-control-request-method".to_owned())];
    let Some(origin) = allowed_origin(cors, asked) else { return Some(headers) };
    headers.push(("access-control-allow-origin", origin));
    let methods = if cors.methods.is_empty() {
        String::from_utf8_lossy(wanted).into_owned()
    } else {
        cors.methods.join(", ")
    };
    headers.push(("access-control-allow-methods", methods));
    let requested = asked.header("access-control-request-headers");
    let names = match (cors.headers.is_empty(), requested) {
        (true, Some(requested)) => String::from_utf8_lossy(requested).into_owned(),
        (true, None) => String::new(),
        (false, _) => cors.headers.join(", "),
    };
    if !names.is_empty() {
        headers.push(("access-control-allow-headers", names));
    }
    if cors.credentials {
        headers.push(("access-control-allow-credentials", "true".to_owned()));
    }
    if let Some(max_age) = cors.max_age {
        headers.push(("access-control-max-age", max_age.as_secs().to_string()));
    }
    Some(headers)
}

/// The origin a request may be told that it may, if it may.
fn allowed_origin(cors: &Cors, asked: &impl Asked) -> Option<String> {
    let origin = str::from_utf8(asked.header("origin")?).ok()?;
    let any = cors.origins.iter().any(|it| it == "*");
    if any && !cors.credentials {
        return Some("*".to_owned());
    }
    // With credentials a browser does not take `*`.
    (any || cors.origins.iter().any(|it| it == origin)).then(|| origin.to_owned())
}

/// The headers that the gateway adds to an answer.
pub(crate) fn added_headers(
    route: &Route,
    asked: &impl Asked,
    coding: Coding,
) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if let Some(cors) = &route.cors
        && let Some(origin) = allowed_origin(cors, asked)
    {
        headers.push(("access-control-allow-origin", origin));
        if cors.credentials {
            headers.push(("access-control-allow-credentials", "true".to_owned()));
        }
        headers.push(("vary", "origin".to_owned()));
    }
    if coding == Coding::Gzip {
        headers.push(("content-encoding", "gzip".to_owned()));
    }
    if route.compress {
        headers.push(("vary", "accept-encoding".to_owned()));
    }
    headers
}

/// The same as lines.
pub(crate) fn more_headers(route: &Route, asked: &impl Asked, coding: Coding) -> Vec<u8> {
    let lines = added_headers(route, asked, coding);
    lines.iter().fold(Vec::new(), |mut out, (name, value)| {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        out
    })
}

/// How an answer is coded on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it comes.
    Identity,
    /// It is compressed.
    Gzip,
}

/// How an answer is coded on its way to the client of an exchange.
pub(crate) fn coding(exchange: &Exchange<'_>, attempt: &Attempt) -> Coding {
    if exchange.route.as_ref().is_none_or(|it| !it.route.compress) {
        return Coding::Identity;
    }
    let head = &attempt.head;
    let has_body = match head.framing.get() {
        Framing::None => false,
        Framing::Length(length) => COMPRESSED_BYTES_MIN <= length,
        Framing::Chunked | Framing::UntilClose => true,
    };
    let kind = head.content_type.clone().and_then(|it| attempt.response.filled().get(it));
    let is_compressed = has_body
        && head.status == 200
        && !head.has_content_encoding
        && !is_final(values(attempt.said(), "cache-control"))
        && kind.is_some_and(is_compressible)
        && accepts_gzip(&exchange.work.view());
    if is_compressed { Coding::Gzip } else { Coding::Identity }
}

/// Bytes below which compression saves nothing: a packet is one either way.
const COMPRESSED_BYTES_MIN: u64 = 860;

/// Whether an answer forbids that it is coded otherwise (RFC 9111, section 5.2.2.6).
pub(crate) fn is_final<'a>(mut cache_control: impl Iterator<Item = &'a [u8]>) -> bool {
    let forbids = |it: &[u8]| it.trim_ascii().eq_ignore_ascii_case(b"no-transform");
    cache_control.any(|it| it.split(|it| *it == b',').any(forbids))
}

/// The validator of an answer that is compressed on its way, if it has one: its bytes are others now, so that it is the same
/// only in meaning (RFC 9110, section 8.8.1).
pub(crate) fn weakened(etag: &[u8]) -> Option<String> {
    let etag = str::from_utf8(etag).ok()?;
    Some(if etag.starts_with("W/") { etag.to_owned() } else { format!("W/{etag}") })
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3).
pub(crate) fn accepts_gzip(asked: &impl Asked) -> bool {
    let Some(accepted) = asked.header("accept-encoding") else { return false };
    accepted.split(|it| *it == b',').any(|coding| {
        let mut parts = coding.split(|it| *it == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|it| matches!(it, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"));
        (name.eq_ignore_ascii_case(b"gzip") || name == b"*") && !refused
    })
}

/// Kinds of content that become smaller: text, and what is text by another name.
pub(crate) fn is_compressible(kind: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [
        b"application/json",
        b"application/javascript",
        b"application/xml",
        b"application/wasm",
        b"application/manifest+json",
    ];
    let kind = kind.split(|it| *it == b';').next().unwrap_or_default().trim_ascii();
    let kind = kind.to_ascii_lowercase();
    // An event stream is text, and whoever waits for its events shall not wait for a full block.
    let streams = kind == b"text/event-stream";
    let text = kind.starts_with(b"text/") || kind.ends_with(b"+json") || kind.ends_with(b"+xml");
    !streams && (text || NAMES.contains(&kind.as_slice()))
}
