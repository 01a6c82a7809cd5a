//! What one line of output says: its severity, its trace, and its fields if it is JSON.
//!
//! Most lines are plain text, so that is what costs least: three searches for a substring, and what stands
//! around a hit. A line of JSON is read once, without a tree in between. It refuses nothing: what is not
//! understood is text.

mod ids;
mod json;
mod plain;

use std::borrow::Cow;

use super::Severity;

pub(super) use ids::ids_in;
pub(crate) use ids::{span_of, trace_of};

/// Begins a control sequence.
const ESCAPE: u8 = 0x1b;

/// What a line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// How grave it is, if it says so.
    pub severity: Option<Severity>,
    /// The message: of JSON what stands under `message`, `msg` or `log`, else the whole line.
    pub text: Cow<'a, str>,
    /// The other members of JSON, nested keys joined by dots.
    pub fields: Vec<(String, String)>,
    /// The trace it names.
    pub trace: Option<u128>,
    /// The span it names.
    pub span: Option<u64>,
}

/// Reads a line. JSON is an object and nothing behind it; everything else is plain text, in which the level and
/// the trace are looked for.
pub fn parse_line(line: &str) -> Line<'_> {
    let trimmed = line.trim_ascii();
    if trimmed.starts_with('{')
        && trimmed.ends_with('}')
        && let Some(parsed) = json::read(trimmed)
    {
        return parsed;
    }
    let text = without_colours(line);
    let (trace, span) = ids_in(&text);
    Line { severity: plain::severity(text.as_bytes()), text, fields: Vec::new(), trace, span }
}

/// A line without the sequences that colour it on a terminal (ECMA-48's control sequences): they would be part
/// of the words they stand at.
fn without_colours(line: &str) -> Cow<'_, str> {
    if memchr::memchr(ESCAPE, line.as_bytes()).is_none() {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(char::from(ESCAPE)) {
        plain.push_str(before);
        rest = after;
        if let Some(sequence) = after.strip_prefix('[') {
            let parameters = sequence.trim_start_matches(|it| (' '..='?').contains(&it));
            // What ends a sequence is part of it.
            rest = parameters.strip_prefix(|it| ('@'..='~').contains(&it)).unwrap_or(parameters);
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

    #[track_caller]
    fn check(line: &str, severity: Option<Severity>, trace: Option<u128>, span: Option<u64>) {
        let parsed = parse_line(line);
        assert_eq!((parsed.severity, parsed.trace, parsed.span), (severity, trace, span), "{line}");
        assert_eq!(parsed.text, line);
        assert!(parsed.fields.is_empty());
    }

    #[test]
    fn plain_text_names_its_level() {
        let level = |line: &str, severity| check(line, severity, None, None);
        level("", None);
        level("hello", None);
        level("INFO ready", Some(Severity::Info));
        level("2026-11-24 12:00:00,123 WARNING pool is full", Some(Severity::Warn));
        level("[error] it broke", Some(Severity::Error));
        level("[2026-11-24 12:00:00] [ERROR] it broke", Some(Severity::Error));
        level("ERROR:root:it broke", Some(Severity::Error));
        level("E INFORMED of an ERRORS", None);
        level("ts=12 level=warn msg=\"slow\"", Some(Severity::Warn));
        level("ts=12 lvl=eror msg=x", Some(Severity::Error));
        level("severity=\"CRITICAL\" x=y", Some(Severity::Fatal));
        level("the water level is high, sublevel=debug", None);
        level("level=error was an INFO", Some(Severity::Error));
        level("no error was seen", None);
        level("error: it broke", Some(Severity::Error));
        level("Error: it broke", Some(Severity::Error));
        level("an error: it broke", None);
        level("W1124 12:00:00.000000       1 main.go:7] slow", Some(Severity::Warn));
        level("E11 of 12", None);
        level(&format!("{} ERROR", "x".repeat(200)), None);
    }

    #[test]
    fn colours_are_not_part_of_words() {
        let parsed = parse_line(
            "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m shop: trace_id=\u{1b}[36ma3ce929d0e0e4736\u{1b}[K",
        );
        assert_eq!(parsed.text, "12:00 INFO shop: trace_id=a3ce929d0e0e4736");
        assert_eq!(parsed.severity, Some(Severity::Info));
        assert_eq!(parsed.trace, Some(0xa3ce_929d_0e0e_4736));
        assert_eq!(parse_line("a\u{1b}").text, "a");
        assert_eq!(parse_line("\u{1b}[").text, "");
        assert_eq!(parse_line("\u{1b}[\u{fc}\u{1b}7b").text, "\u{fc}7b");
    }

    #[test]
    fn plain_text_names_its_trace() {
        let ids = |line: &str, trace, span| check(line, None, trace, span);
        let (trace, span) = (Some(TRACE), Some(SPAN));
        ids("x trace_id=4bf92f3577b34da6a3ce929d0e0e4736 y", trace, None);
        ids("traceId: 4bf92f3577b34da6a3ce929d0e0e4736", trace, None);
        ids("traceId: 4BF92F3577B34DA6A3CE929D0E0E4736, spanId: 00F067AA0BA902B7", trace, span);
        ids(
            "[trace-id=\"4bf92f3577b34da6a3ce929d0e0e4736\" span.id='00f067aa0ba902b7']",
            trace,
            span,
        );
        ids("traceparent 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", trace, span);
        ids("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ..", trace, span);
        ids("x {'trace_id': '4bf92f3577b34da6a3ce929d0e0e4736'}", trace, None);
        ids("dd.trace_id=1234 dd.span_id=99", Some(1_234), Some(99));
        ids("traceID=a3ce929d0e0e4736", Some(0xa3ce_929d_0e0e_4736), None);
        // A stack trace is none, nor is one that is too long, or zero, which means that there is none.
        ids("stack trace: abc", None, None);
        ids("trace_id=4bf92f3577b34da6a3ce929d0e0e47361", None, None);
        ids("trace_id=00000000000000000000000000000000 span_id=00f067aa0ba902b7", None, None);
        ids("trace trace trace trace_id=", None, None);
        ids("trace_id= x trace_id=4bf92f3577b34da6a3ce929d0e0e4736", trace, None);
    }

    #[test]
    fn json_is_taken_apart() {
        let line = r#" {"time":"2026-11-24T12:00:00Z","level":"WARN","msg":"pool \"main\" full","trace_id":
            "4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","http":{"status":503,"ok":false,
            "path":"/a","none":null,"list":[1,"b",{"c":2}]},"took_ms":1.50} "#;
        let parsed = parse_line(line);
        let fields = [
            ("time", "2026-11-24T12:00:00Z"),
            ("http.status", "503"),
            ("http.ok", "false"),
            ("http.path", "/a"),
            ("http.none", "null"),
            ("http.list", r#"[1,"b",{"c":2}]"#),
            ("took_ms", "1.5"),
        ];
        assert_eq!(
            parsed,
            Line {
                severity: Some(Severity::Warn),
                text: "pool \"main\" full".into(),
                fields: fields.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                trace: Some(TRACE),
                span: Some(SPAN),
            }
        );
    }

    #[test]
    fn json_as_libraries_write_it() {
        let said = |line: &str| {
            let parsed = parse_line(line);
            (
                parsed.severity,
                parsed.text.into_owned(),
                parsed.trace,
                parsed.span,
                parsed.fields.len(),
            )
        };
        // pino, Datadog's libraries, Elastic Common Schema, and a container runtime's own envelope.
        assert_eq!(
            said(r#"{"level":50,"msg":"x","pid":7}"#),
            (Some(Severity::Error), "x".into(), None, None, 1)
        );
        assert_eq!(
            said(r#"{"message":"x","dd":{"trace_id":"1234","span_id":"99"},"status":"error"}"#),
            (None, "x".into(), Some(1_234), Some(99), 1)
        );
        assert_eq!(
            said(
                r#"{"log.level":"fatal","message":"x","trace.id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#
            ),
            (Some(Severity::Fatal), "x".into(), Some(TRACE), None, 0)
        );
        assert_eq!(said(r#"{"log":"x\n"}"#), (None, "x".into(), None, None, 0));
        // A second message is a field, and so is a level that is none.
        assert_eq!(
            said(r#"{"msg":"a","message":"b","level":"high"}"#),
            (None, "a".into(), None, None, 2)
        );
        assert_eq!(said(r#"{"a":1}"#), (None, String::new(), None, None, 1));
        // Not one object is text.
        for text in [r#"{"a":1} {"b":2}"#, "{}}", "{a}", r#"{"a":1"#, "[1]"] {
            assert_eq!(said(text), (None, text.to_owned(), None, None, 0));
        }
    }

    #[test]
    fn json_is_bounded() {
        let many: Vec<String> = (0..1_000).map(|it| format!("\"k{it}\":{it}")).collect();
        let line = format!("{{{}}}", many.join(","));
        assert_eq!(parse_line(&line).fields.len(), json::FIELDS_MAX);
        let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(parse_line(&deep).text, deep);
        let nested = format!("{}1{}", "{\"a\":".repeat(20), "}".repeat(20));
        let parsed = parse_line(&nested);
        let (key, value) = parsed.fields.first().unwrap();
        assert_eq!(key, "a.a.a.a.a.a.a.a");
        assert_eq!(*value, format!("{}1{}", "{\"a\":".repeat(12), "}".repeat(12)));
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "\\PC{0,80}") {
            drop(parse_line(&line));
        }

        #[test]
        fn nearly_json_is_read(line in r#"\{("[a-z._]{0,8}":("[a-z0-9\\"]{0,5}"|[0-9.e-]{1,4}|\{|\[|null|true),?){0,6}\}{0,3}"#) {
            drop(parse_line(&line));
        }

        #[test]
        fn ids_are_found_wherever_they_stand(
            before in "[ -~]{0,40}", trace in 1_u128.., span in 1_u64.., after in "[ -,:-~]{0,40}",
        ) {
            let line = format!("{before} trace_id={trace:032x} span_id={span:016x} {after}");
            let parsed = parse_line(&line);
            // Another trace may be named before.
            if !before.to_ascii_lowercase().contains("trace") {
                prop_assert_eq!(parsed.trace, Some(trace));
            }
        }
    }
}
