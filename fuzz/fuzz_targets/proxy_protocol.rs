//! Headers of the PROXY protocol: read or refused, and how the bytes came in pieces makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::proxy_protocol::{BINARY_BYTES_MAX, TEXT_BYTES_MAX, read};

fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes);
    let length = match whole {
        Ok(Some(header)) => header.length,
        _ => bytes.len(),
    };
    assert!(length <= bytes.len());
    // More is never asked for beyond the limits.
    assert!(whole != Ok(None) || bytes.len() < BINARY_BYTES_MAX.max(TEXT_BYTES_MAX));
    let pieces = (0..=length).map(|end| bytes.get(..end).unwrap_or_default());
    let first = pieces.map(read).find(|it| *it != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole);
});
