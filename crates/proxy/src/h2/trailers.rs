//! Fields behind a body, in the types of HTTP/2 (RFC 9110, section 6.5).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::h1::head::may_trail;

/// Puts in the field on a line of HTTP/1.1.
pub(crate) fn put(trailers: &mut HeaderMap, line: &[u8]) {
    let Some(colon) = line.iter().position(|it| *it == b':') else { return };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        trailers.append(name, value);
    }
}

/// Those that may stand there; nothing if none may.
pub(crate) fn passing(mut trailers: HeaderMap) -> Option<HeaderMap> {
    let is_wrong = |it: &&HeaderName| !may_trail(it.as_str().as_bytes());
    while let Some(name) = trailers.keys().find(is_wrong).cloned() {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}

/// Writes the end of a body in chunks, with what stands behind it.
pub(crate) fn write_end(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
