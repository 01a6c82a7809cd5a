//! Whatever is said in a line, or sent as log records or metrics, or asked of logs, is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::fuzzing::records;

fuzz_target!(|input: &[u8]| records(input));
