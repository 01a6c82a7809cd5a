//! Answers of the data plane's own, in the words of whoever asked over HTTP/2.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::access::Record;
use crate::answer::Answer;
use crate::h2::grpc;
use crate::h2::outgoing::Outgoing;
use crate::router::Entry as Route;

/// An answer of our own, and why it is given.
pub(super) struct Owned {
    pub(super) response: Response<Outgoing>,
    pub(super) reason: &'static str,
}

/// Notes an answer of our own for the log.
pub(super) fn note(record: &mut Option<Box<Record>>, owned: Owned) -> Response<Outgoing> {
    let Owned { response, reason } = owned;
    if let Some(record) = record {
        let bytes = match response.body() {
            Outgoing::Own(Some(body)) => body.len(),
            Outgoing::Own(None) | Outgoing::Passed(_) => 0,
        };
        record.own(response.status().as_u16(), reason, bytes);
    }
    response
}

/// An answer of our own, in the words the caller understands.
pub(super) fn own(head: &Parts, answer: &Answer, route: Option<&Route>) -> Owned {
    let reason = answer.reason;
    if !grpc::is_grpc(&head.headers) {
        let page = route.and_then(|it| it.route.error_page.as_deref());
        return Owned { response: page_of(head, answer, page), reason };
    }
    let mut response = bare(200, &[]);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(u16::from(grpc::status_of(answer))));
    if let Ok(text) = HeaderValue::from_str(&answer.text) {
        headers.insert("grpc-message", text);
    }
    say_why(headers, answer);
    Owned { response, reason }
}

pub(super) fn page_of(head: &Parts, answer: &Answer, page: Option<&str>) -> Response<Outgoing> {
    let (kind, body) = answer.body(page);
    let length = HeaderValue::from(body.len());
    // An answer to HEAD says how long it would be.
    let body = (head.method != Method::HEAD).then(|| Bytes::from(body));
    let mut response = Response::new(Outgoing::Own(body));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    say_why(response.headers_mut(), answer);
    response
}

fn say_why(headers: &mut HeaderMap, answer: &Answer) {
    for (name, value) in answer.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

pub(super) fn bare(status: u16, headers: &[(&'static str, String)]) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::Own(None));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}
