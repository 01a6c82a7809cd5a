//! Whatever comes over a connection, heads, paths and chunks are read or refused; and what is passed on is read by
//! the next one as it was by us.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::fuzzing::{chunks, path, request, response};

fuzz_target!(|input: &[u8]| {
    request(input);
    response(input);
    path(input);
    let piece = usize::from(input.first().copied().unwrap_or_default() % 16) + 1;
    chunks(input, piece);
});
