//! Answers of the data plane's own, in the words of whoever asked over HTTP/2.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::answer::Wording;
use crate::h2::grpc;
use crate::h2::outgoing::Outgoing;

/// Bytes of the body of an answer of our own.
pub(super) fn body_length(response: &Response<Outgoing>) -> usize {
    match response.body() {
        Outgoing::Own(Some(body)) => body.len(),
        Outgoing::Own(None) | Outgoing::Passed(_) => 0,
    }
}

/// An answer of our own, in the words the caller understands.
pub(super) fn own(head: &Parts, wording: &Wording<'_>) -> Response<Outgoing> {
    let Some(kind) = grpc::kind_of(head) else { return page_of(head, wording) };
    let mut response = bare(200, &grpc::answer(wording));
    if let Ok(kind) = HeaderValue::from_bytes(kind) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

fn page_of(head: &Parts, wording: &Wording<'_>) -> Response<Outgoing> {
    let (kind, body) = wording.body();
    let status = StatusCode::from_u16(wording.answer.status);
    let length = HeaderValue::from(body.len());
    // An answer to HEAD says how long it would be.
    let body = (head.method != Method::HEAD).then(|| Bytes::from(body));
    let mut response = Response::new(Outgoing::Own(body));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    say_why(response.headers_mut(), wording);
    response
}

fn say_why(headers: &mut HeaderMap, wording: &Wording<'_>) {
    for (name, value) in wording.headers() {
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
