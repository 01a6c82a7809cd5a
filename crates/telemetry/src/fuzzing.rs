//! What is asked of the readers of what is sent, whatever comes: by the fuzz targets `spans` and `records`, and by property tests of
//! fewer inputs.

use model::Timestamp;

use crate::logs;
use crate::otlp::{self, Encoding};
use crate::traces::critical_path::critical_path;
use crate::traces::span::{EVENTS_MAX, LINKS_MAX, TAGS_MAX, TEXT_BYTES_MAX};
use crate::traces::tree::tree;
use crate::traces::{Span, Summary, compare, dependencies};
use crate::zipkin;

/// Bytes that nothing but names, keys and the note of what was cut adds to a span.
const OTHER_BYTES: usize = 8 << 10;

/// Spans that were read have ids, are no larger than they may be after they were cut, are read again as they were
/// written, and have a tree, whatever it looks like.
///
/// # Panics
///
/// If not.
pub fn spans(input: &[u8]) {
    let read = [
        zipkin::read_json(input).unwrap_or_default(),
        zipkin::read_v1_json(input).unwrap_or_default(),
        zipkin::read_protobuf(input).unwrap_or_default(),
        otlp::traces::read(input, Encoding::Protobuf).unwrap_or_default().spans,
        otlp::traces::read(input, Encoding::Json).unwrap_or_default().spans,
    ];
    for mut spans in read {
        for span in &mut spans {
            assert!(span.trace != 0 && span.id != 0, "a span has no id");
            span.clip();
            assert!(bytes(span) <= TEXT_BYTES_MAX + OTHER_BYTES, "a span is too large");
            let counts = [span.tags.len(), span.events.len(), span.links.len()];
            let most = [TAGS_MAX + 1, EVENTS_MAX, LINKS_MAX];
            assert!(counts.iter().zip(most).all(|it| *it.0 <= it.1), "a span has too many parts");
        }
        let written = zipkin::write_trace(&spans);
        let again = zipkin::read_json(&written).unwrap_or_default();
        assert_eq!(again.len(), spans.len(), "what was written is not read");
        let once = zipkin::write_trace(&again);
        let twice = zipkin::write_trace(&zipkin::read_json(&once).unwrap_or_default());
        assert_eq!(once, twice, "it changes whenever it is read");
        assert_eq!(tree(&spans).len(), spans.len(), "a span has no place");
        let rows = compare::compare(&spans, &spans);
        assert!(rows.iter().all(|it| it.first == it.second), "a trace differs from itself");
        assert_eq!(Summary::of(&spans).is_some(), !spans.is_empty(), "nothing is said of it");
        assert!(
            critical_path(&spans).len() <= spans.len() * 2 + 1,
            "a path has too many stretches"
        );
        drop(dependencies::of_trace(&spans));
    }
}

fn bytes(span: &Span) -> usize {
    let tags = span.tags.iter().map(|it| it.0.len() + it.1.len());
    let events = span.events.iter().map(|it| it.1.len());
    tags.chain(events).sum::<usize>()
        + span.service.len()
        + span.operation.len()
        + span.remote.len()
}

/// Lines, filters, log records and metrics are read or refused; what was read is no more than it may be, and a series has
/// one name and no label twice.
///
/// # Panics
///
/// If not.
pub fn records(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        let line = logs::parse_line(text);
        assert!(line.text.len() <= text.len(), "a line has grown");
        assert!(line.trace != Some(0) && line.span != Some(0), "zero is no id");
        drop(logs::Filter::parse(text));
    }
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let now = Timestamp::from_millis(5);
        let read = otlp::logs::read(input, encoding, now).unwrap_or_default();
        assert!(read.records.len() <= otlp::logs::RECORDS_MAX, "too many records");
        assert!(read.records.iter().all(|it| it.trace != Some(0)), "zero is no id");
        let read = otlp::metrics::read(input, encoding, now).unwrap_or_default();
        for point in read.points {
            let mut names: Vec<_> = point.labels.into_iter().map(|it| it.0).collect();
            assert_eq!(names.first().map(String::as_str), Some("__name__"), "a series has no name");
            names.sort_unstable();
            assert!(names.is_sorted_by(|a, b| a < b), "a label is there twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Members of spans in JSON, right and nearly right.
    fn member() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                r#""traceId":"a1""#,
                r#""traceId":"463ac35c9f6413ad48485a3953bb6124""#,
                r#""id":"1""#,
                r#""id":"2""#,
                r#""spanId":"00000000000000a1""#,
                r#""parentId":"1""#,
                r#""parentId":"2""#,
                r#""kind":"CLIENT""#,
                r#""kind":2"#,
                r#""shared":true"#,
                r#""timestamp":5"#,
                r#""timestamp":"18446744073709551615""#,
                r#""duration":1e300"#,
                r#""duration":18446744073709551615"#,
                r#""localEndpoint":{"serviceName":"A"}"#,
                r#""remoteEndpoint":{"serviceName":"b"}"#,
                r#""tags":{"error":"","a":1,"a":null}"#,
                r#""annotations":[{"timestamp":-1,"value":"cs","endpoint":{"serviceName":"c"}}]"#,
                r#""annotations":[{"timestamp":9,"value":"sr"},{"timestamp":3,"value":"ss"}]"#,
                r#""binaryAnnotations":[{"key":"sa","value":true,"endpoint":{"serviceName":"d"}}]"#,
                r#""attributes":[{"key":"a","value":{"kvlistValue":{"values":[{"key":"b"}]}}}]"#,
                r#""startTimeUnixNano":"1","endTimeUnixNano":0"#,
            ])
            .prop_map(str::to_owned),
            r#""[a-z]{1,3}":("[ -!#-\[\]-~]{0,3}"|[0-9]{1,3}|null)"#,
        ]
    }

    /// Members of data points and log records in JSON, right and nearly right.
    fn point_member() -> impl Strategy<Value = String> {
        let members = [
            r#""timeUnixNano":"1""#,
            r#""asInt":"-1","asDouble":"NaN""#,
            r#""count":18446744073709551615,"sum":1e300"#,
            r#""bucketCounts":[1,"2",18446744073709551615],"explicitBounds":[1,0,"NaN"]"#,
            r#""scale":-2147483648,"positive":{"offset":2147483647,"bucketCounts":[1,2]}"#,
            r#""scale":20,"negative":{"offset":-2147483648,"bucketCounts":[1]},"zeroThreshold":-1"#,
            r#""zeroCount":3,"zeroThreshold":"Infinity""#,
            r#""quantileValues":[{"quantile":2},{"quantile":2}],"flags":1"#,
            r#""attributes":[{"key":"le"},{"key":"__name__"},{"key":"a.b"},{"key":"a_b"}]"#,
            r#""attributes":[{"key":"quantile","value":{"stringValue":"x"}},{"key":""}]"#,
            r#""exemplars":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","asDouble":"NaN"}]"#,
            r#""traceId":"00","spanId":"0000000000000000","trace_id":"00""#,
            r#""body":{"kvlistValue":{"values":[{"key":"msg"},{"key":"msg"}]}}"#,
            r#""level":50,"msg":{"log":"a"},"severityNumber":99"#,
        ];
        prop::sample::select(members.to_vec()).prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn lists(members in prop::collection::vec(prop::collection::vec(member(), 0..9), 0..5)) {
            let objects: Vec<_> = members.iter().map(|it| format!("{{{}}}", it.join(","))).collect();
            spans(format!("[{}]", objects.join(",")).as_bytes());
            let scope = format!(r#"{{"spans":[{}]}}"#, objects.join(","));
            spans(format!(r#"{{"resourceSpans":[{{"scopeSpans":[{scope}]}}]}}"#).as_bytes());
        }

        #[test]
        fn metrics_and_logs(kind in "(gauge|sum|histogram|summary|exponentialHistogram)", members in prop::collection::vec(point_member(), 0..9)) {
            let point = format!(r#"{{"dataPoints":[{{{}}}],"aggregationTemporality":2}}"#, members.join(","));
            let metrics = format!(r#"{{"scopeMetrics":[{{"metrics":[{{"name":"m","{kind}":{point}}}]}}]}}"#);
            records(format!(r#"{{"resourceMetrics":[{metrics}]}}"#).as_bytes());
            let logs = format!(r#"{{"scopeLogs":[{{"logRecords":[{{{}}}]}}]}}"#, members.join(","));
            records(format!(r#"{{"resourceLogs":[{logs}]}}"#).as_bytes());
            records(format!("{{{}}}", members.join(",")).as_bytes());
        }

        #[test]
        fn bytes_of_any_kind(bytes: Vec<u8>) {
            spans(&bytes);
            records(&bytes);
        }
    }
}
