//! Fields behind a body, in the types of HTTP/2 (RFC 9110, section 6.5).

use http::HeaderMap;

use crate::h1::head::may_trail;
use crate::h2::fields;

/// Puts in the field on a line of HTTP/1.1.
pub(crate) fn put(trailers: &mut HeaderMap, line: &[u8]) {
    if let Some((name, value)) = fields::read(line) {
        trailers.append(name, value);
    }
}

/// Those that may stand there; nothing if none may.
pub(crate) fn passing(mut trailers: HeaderMap) -> Option<HeaderMap> {
    fields::remove(&mut trailers, |name| !may_trail(name));
    (!trailers.is_empty()).then_some(trailers)
}

/// Writes the end of a body in chunks, with what stands behind it.
pub(crate) fn write_end(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        fields::write(out, name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
