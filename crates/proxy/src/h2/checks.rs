//! What heads over HTTP/2 must be beyond what the protocol's library wants: what is refused over HTTP/1.1 is refused here too.

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::answer::{Answer, Fault};
use crate::front::Front;
use crate::h1::head::{HEADERS_MAX, Limits, content_length};
use crate::h1::request::is_host;
use crate::h2::call::host;
use crate::target;

/// How long a request says that its body is, if it does.
pub(super) fn announced(head: &Parts) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH).and_then(|it| content_length(it.as_bytes()))
}

/// Whether a client waits to be told that it is to send the body.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The answer to what must not be passed on: written as HTTP/1.1, it would be read in another way than here.
pub(super) fn refused(head: &Parts, front: &Front) -> Option<Answer> {
    let limits = front.heads;
    if head.method == Method::CONNECT {
        let text = "tunnels are made over HTTP/1.1";
        return Some(Answer::new(501, "method-not-supported", Fault::Caller, text));
    }
    if let Some(answer) = unlike(head, front) {
        return Some(answer);
    }
    let target = head.uri.path_and_query().map_or("", |it| it.as_str()).as_bytes();
    if let Err(rejected) = target::check(target, limits) {
        return Some(Answer::of_head(rejected.status, rejected.what, front));
    }
    if !target::is_path(target, head.method.as_str().as_bytes()) {
        return Some(Answer::malformed(400, "the target is no path"));
    }
    if head.headers.contains_key(header::EXPECT) && !expects_continue(&head.headers) {
        return Some(Answer::malformed(417, "only 100-continue can be expected"));
    }
    let hosts = head.headers.get_all(header::HOST).into_iter().map(HeaderValue::as_bytes);
    let hosts: Vec<&[u8]> = hosts.chain([host(head).as_bytes()]).collect();
    if 2 < hosts.len() || !hosts.into_iter().all(is_host) {
        return Some(Answer::malformed(400, "the host is malformed"));
    }
    None
}

/// The answer to what a client of HTTP/1.1 may not send either.
fn unlike(head: &Parts, front: &Front) -> Option<Answer> {
    let limits = front.heads;
    // A target that is too long is called so.
    let target = head.uri.path_and_query().map_or(0, |it| it.as_str().len());
    let line = head.method.as_str().len() + target + " HTTP/1.1\r\n".len();
    let host = head.uri.authority().map_or(0, |it| it.as_str().len() + "host: \r\n".len());
    if target <= limits.target_bytes() && !fits(&head.headers, line + host, limits) {
        return Some(Answer::of_head(431, "the head is too large", front));
    }
    let is_edged = |it: &HeaderValue| it.as_bytes().trim_ascii().len() != it.len();
    if head.headers.values().any(is_edged) {
        return Some(Answer::malformed(400, "a header begins or ends with white space"));
    }
    None
}

/// Whether headers are no more, and no longer, than they may be over HTTP/1.1, beside so many bytes.
pub(super) fn fits(headers: &HeaderMap, beside: usize, limits: Limits) -> bool {
    let each = |(name, value): (&header::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    let bytes = beside + headers.iter().map(each).sum::<usize>();
    // Cookies may come in pieces, which are one header (RFC 9113, section 8.2.3).
    let crumbs = headers.get_all(header::COOKIE).iter().count().saturating_sub(1);
    headers.len() - crumbs <= HEADERS_MAX && bytes <= limits.bytes()
}

/// Writes the length of a body in the one way that every reader takes for the same (RFC 9110, section 8.6). Nothing if what
/// says it is no length, or several say something else.
pub(crate) fn settle_length(headers: &mut HeaderMap) -> Option<()> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    let Some(first) = values.next() else { return Some(()) };
    let length = content_length(first)?;
    let mut is_usual = first.len() == 1 || !first.starts_with(b"0");
    for other in values {
        is_usual = false;
        if content_length(other)? != length {
            return None;
        }
    }
    if !is_usual {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Some(())
}
