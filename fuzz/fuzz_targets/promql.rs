//! Whatever people ask, it is read or refused; what is read is written as text that reads the same, and answered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promql::eval::{Context, Limits, instant};
use promql::memory::Memory;
use promql::parse::parse;

fuzz_target!(|text: &str| {
    match parse(text) {
        Err(error) => assert!(error.span.start <= text.len() && 0 < error.line, "{error:?}"),
        Ok(expr) => {
            let shown = expr.to_string();
            assert_eq!(parse(&shown).expect("it was read once").to_string(), shown);
            drop(expr.pretty());
            let memory = Memory::default();
            let limits = Limits { samples_max: 10_000, ..Limits::default() };
            drop(instant(&expr, 0, &Context { limits, ..Context::new(&memory) }));
        }
    }
    drop(promql::rules::read(text));
    drop(promql::rules::rehearsal::read(text));
});
