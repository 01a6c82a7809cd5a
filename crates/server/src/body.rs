//! Bodies as they come: compressed with gzip or not, bounded either way.

use std::io::Read as _;

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// Bytes of a body, at most, when it is not compressed any more.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

/// A body that was refused: with which status, and why.
pub(crate) type Refused = (StatusCode, String);

/// What a body says it is.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default()
}

/// The body without its compression.
pub(crate) fn plain(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refused> {
    match headers.get(CONTENT_ENCODING).map(|it| it.as_bytes().to_ascii_lowercase()).as_deref() {
        None | Some(b"" | b"identity") => Ok(body),
        Some(b"gzip" | b"x-gzip") => gunzip(&body).map(Bytes::from),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            let message =
                format!("content-encoding `{other}` is not understood; send gzip, or none");
            Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
    }
}

/// What was compressed with gzip.
pub(crate) fn gunzip(body: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut plain = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    let read = MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain);
    match read {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(plain),
        Ok(_) => {
            let message =
                format!("the body has more than {BODY_BYTES_MAX} bytes; send less at once");
            Err((StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Err(error) => Err((StatusCode::BAD_REQUEST, format!("the body is no gzip: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_unpacked_within_limits() {
        let check = |encoding: &str, body: Vec<u8>, expected: Result<&[u8], u16>| {
            let headers = HeaderMap::from_iter([(CONTENT_ENCODING, encoding.parse().unwrap())]);
            let found = plain(&headers, Bytes::from(body)).map_err(|it| it.0.as_u16());
            assert_eq!(found.as_deref().map_err(|it| *it), expected, "{encoding}");
        };
        check("identity", b"as it is".to_vec(), Ok(b"as it is"));
        check("GZIP", gzip(b"packed"), Ok(b"packed"));
        check("gzip", b"not packed".to_vec(), Err(400));
        check("br", Vec::new(), Err(415));
        check("gzip", gzip(&vec![0; BODY_BYTES_MAX + 1]), Err(413));
    }
}
