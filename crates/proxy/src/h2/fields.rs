//! Fields of messages, between lines of HTTP/1.1 and the types of HTTP/2.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The field on a line, with its end or without; nothing if there is none.
pub(crate) fn read(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|it| *it == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
}

/// Writes a field as a line.
pub(crate) fn write(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Removes all fields whose name `is_wrong`.
pub(crate) fn remove(headers: &mut HeaderMap, is_wrong: impl Fn(&[u8]) -> bool) {
    while let Some(name) = headers.keys().find(|it| is_wrong(it.as_str().as_bytes())).cloned() {
        headers.remove(name);
    }
}
