//! What Zipkin's page and its clients read: traces, names and links as JSON.

use std::collections::BTreeSet;

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use crate::traces::dependencies::Dependency;
use crate::traces::span::span_hex;
use crate::traces::{Kind, Span};

/// Some traces: a list of lists of spans.
pub fn write_traces(traces: &[Vec<Span>]) -> Vec<u8> {
    to_json(&traces.iter().map(|it| Spans(it)).collect::<Vec<_>>())
}

/// One trace: a list of spans.
pub fn write_trace(spans: &[Span]) -> Vec<u8> {
    to_json(&Spans(spans))
}

/// Names of services, of spans, of tags: a list of texts.
pub fn write_names(names: &[String]) -> Vec<u8> {
    to_json(&names)
}

/// Links between services.
pub fn write_dependencies(links: &[Dependency]) -> Vec<u8> {
    to_json(&links.iter().map(Link).collect::<Vec<_>>())
}

/// What is written here cannot fail: keys are texts, and memory takes everything.
fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

struct Spans<'a>(&'a [Span]);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for span in self.0 {
            list.serialize_element(&One(span))?;
        }
        list.end()
    }
}

struct One<'a>(&'a Span);

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("traceId", &trace_id(span.trace))?;
        if let Some(parent) = span.parent {
            map.serialize_entry("parentId", &span_hex(parent))?;
        }
        map.serialize_entry("id", &span_hex(span.id))?;
        if !matches!(span.kind, Kind::Unspecified | Kind::Internal) {
            map.serialize_entry("kind", &span.kind.name().to_ascii_uppercase())?;
        }
        if !span.operation.is_empty() {
            map.serialize_entry("name", &span.operation)?;
        }
        for (key, number) in [("timestamp", span.start_us), ("duration", span.duration_us)] {
            if number != 0 {
                map.serialize_entry(key, &number)?;
            }
        }
        for (key, service) in [("localEndpoint", &span.service), ("remoteEndpoint", &span.remote)] {
            if !service.is_empty() {
                map.serialize_entry(key, &Endpoint(service))?;
            }
        }
        if !span.events.is_empty() {
            map.serialize_entry(
                "annotations",
                &span.events.iter().map(Annotation).collect::<Vec<_>>(),
            )?;
        }
        if !span.tags.is_empty() || span.is_error {
            map.serialize_entry("tags", &Tags(span))?;
        }
        if span.shared {
            map.serialize_entry("shared", &true)?;
        }
        map.end()
    }
}

/// 32 digits, or 16 if the high half is zero, as they were sent.
pub(super) fn trace_id(trace: u128) -> String {
    match u64::try_from(trace) {
        Ok(low) => span_hex(low),
        Err(_long) => crate::traces::span::trace_hex(trace),
    }
}

struct Endpoint<'a>(&'a str);

impl Serialize for Endpoint<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("serviceName", self.0)?;
        map.end()
    }
}

struct Annotation<'a>(&'a (u64, String));

impl Serialize for Annotation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("timestamp", &self.0.0)?;
        map.serialize_entry("value", &self.0.1)?;
        map.end()
    }
}

/// Every key once, the first value of each; a failure that has no `error` tag gets one, by which Zipkin knows.
struct Tags<'a>(&'a Span);

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut seen = BTreeSet::new();
        for (key, value) in &self.0.tags {
            if seen.insert(key.as_str()) {
                map.serialize_entry(key, value)?;
            }
        }
        if self.0.is_error && !seen.contains("error") {
            map.serialize_entry("error", "true")?;
        }
        map.end()
    }
}

struct Link<'a>(&'a Dependency);

impl Serialize for Link<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("parent", &self.0.caller)?;
        map.serialize_entry("child", &self.0.callee)?;
        map.serialize_entry("callCount", &self.0.calls.count)?;
        if self.0.calls.errors != 0 {
            map.serialize_entry("errorCount", &self.0.calls.errors)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::dependencies::Calls;
    use crate::traces::testing::any_span;
    use crate::zipkin::read_json;
    use proptest::prelude::*;

    #[test]
    fn as_zipkin_writes_it() {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let span = Span {
            trace: 0xa1,
            id: 2,
            parent: Some(1),
            kind: Kind::Client,
            service: "web".to_owned(),
            operation: "get".to_owned(),
            remote: "cart".to_owned(),
            start_us: 5,
            duration_us: 6,
            tags: vec![("a".to_owned(), "\"".to_owned()), ("a".to_owned(), "2".to_owned())],
            events: vec![(7, "x".to_owned())],
            is_error: true,
            shared: true,
            ..Span::default()
        };
        assert_eq!(
            text(write_traces(&[vec![span]])),
            r#"[[{"traceId":"00000000000000a1","parentId":"0000000000000001","id":"0000000000000002","kind":"CLIENT","name":"get","timestamp":5,"duration":6,"localEndpoint":{"serviceName":"web"},"remoteEndpoint":{"serviceName":"cart"},"annotations":[{"timestamp":7,"value":"x"}],"tags":{"a":"\"","error":"true"},"shared":true}]]"#
        );
        let calls = Calls { count: 3, errors: 1, ..Calls::default() };
        let link = Dependency { caller: "a".to_owned(), callee: "b".to_owned(), calls };
        assert_eq!(
            text(write_dependencies(&[link])),
            r#"[{"parent":"a","child":"b","callCount":3,"errorCount":1}]"#
        );
        assert_eq!(text(write_names(&["a".to_owned()])), r#"["a"]"#);
        let long = Span { trace: 1 << 64, id: 1, ..Span::default() };
        assert_eq!(
            text(write_trace(&[long])),
            r#"[{"traceId":"00000000000000010000000000000000","id":"0000000000000001"}]"#
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(span in any_span()) {
            let mut expected = Span { links: Vec::new(), ..span.clone() };
            if matches!(expected.kind, Kind::Internal) {
                expected.kind = Kind::Unspecified;
            }
            expected.parent = expected.parent.filter(|it| *it != expected.id);
            let mut seen = BTreeSet::new();
            expected.tags.retain(|it| seen.insert(it.0.clone()));
            if expected.is_error {
                expected.tags.push(("error".to_owned(), "true".to_owned()));
            }
            prop_assert_eq!(read_json(&write_trace(&[span])).unwrap(), [expected]);
        }
    }
}
