//! Whatever is sent as spans is read or refused, in every format; and what was read has ids, a size and a tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::fuzzing::spans;

fuzz_target!(|input: &[u8]| spans(input));
