//! Spans as Zipkin's clients send them: a list as JSON, version 2.

use serde::Deserialize;

use crate::traces::span::EVENTS_MAX;
use crate::traces::{Kind, Span};
use crate::zipkin::loose::{Pairs, SpanId, Text, TraceId, Whole};
use crate::zipkin::{ReadError, tidy};

/// A span as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanSpec {
    #[serde(default)]
    trace_id: TraceId,
    #[serde(default)]
    id: SpanId,
    #[serde(default)]
    parent_id: SpanId,
    kind: Option<Text>,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    timestamp: Whole,
    #[serde(default)]
    duration: Whole,
    local_endpoint: Option<EndpointSpec>,
    remote_endpoint: Option<EndpointSpec>,
    annotations: Option<Vec<AnnotationSpec>>,
    #[serde(default)]
    tags: Pairs,
    shared: Option<bool>,
}

/// Who is at one end of a call.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSpec {
    #[serde(default)]
    pub(super) service_name: Text,
}

#[derive(Deserialize)]
struct AnnotationSpec {
    #[serde(default)]
    timestamp: Whole,
    #[serde(default)]
    value: Text,
}

/// Reads a list of spans.
pub fn read_json(bytes: &[u8]) -> Result<Vec<Span>, ReadError> {
    let list: Vec<SpanSpec> = serde_json::from_slice(bytes)?;
    list.into_iter().enumerate().map(|(place, it)| it.span(place)).collect()
}

impl SpanSpec {
    fn span(self, place: usize) -> Result<Span, ReadError> {
        for (id, field) in [(self.trace_id.0, "traceId"), (u128::from(self.id.0), "id")] {
            if id == 0 {
                return Err(ReadError::Id { place, field });
            }
        }
        let annotations = self.annotations.unwrap_or_default().into_iter().take(EVENTS_MAX + 1);
        let mut span = Span {
            trace: self.trace_id.0,
            id: self.id.0,
            parent: Some(self.parent_id.0).filter(|it| *it != 0),
            kind: self.kind.map_or(Kind::Unspecified, |it| kind(&it.0)),
            service: self.local_endpoint.unwrap_or_default().service_name.0,
            operation: self.name.0,
            remote: self.remote_endpoint.unwrap_or_default().service_name.0,
            start_us: self.timestamp.0,
            duration_us: self.duration.0,
            tags: self.tags.0,
            events: annotations.map(|it| (it.timestamp.0, it.value.0)).collect(),
            links: Vec::new(),
            is_error: false,
            shared: self.shared.unwrap_or_default(),
        };
        tidy(&mut span);
        Ok(span)
    }
}

fn kind(name: &str) -> Kind {
    let named = |it: &&Kind| !matches!(it, Kind::Internal) && it.name().eq_ignore_ascii_case(name);
    Kind::ALL.iter().find(named).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_span_as_the_documentation_has_it() {
        let text = r#"[{
            "traceId": "5982fe77008310cc80f1da5e10147517", "parentId": "90394f6bcffb5d13",
            "id": "67fae42571535f60", "kind": "SERVER", "name": "/m/N/2.6.1", "timestamp": 1516781775726000,
            "duration": 26000, "debug": true, "shared": true,
            "localEndpoint": {"serviceName": "appA", "ipv4": "192.168.0.1", "port": 8080},
            "remoteEndpoint": {"serviceName": "peerB", "ipv6": "::1"},
            "annotations": [{"timestamp": 1516781775726000, "value": "foo"}],
            "tags": {"http.path": "/api", "error": "503", "count": 7, "deep": true, "none": null}, "new": [{}]
        }]"#;
        let tags = [
            ("http.path", "/api"),
            ("error", "503"),
            ("count", "7"),
            ("deep", "true"),
            ("none", ""),
        ];
        let expected = Span {
            trace: 0x5982_fe77_0083_10cc_80f1_da5e_1014_7517,
            id: 0x67fa_e425_7153_5f60,
            parent: Some(0x9039_4f6b_cffb_5d13),
            kind: Kind::Server,
            service: "appa".to_owned(),
            operation: "/m/n/2.6.1".to_owned(),
            remote: "peerb".to_owned(),
            start_us: 1_516_781_775_726_000,
            duration_us: 26_000,
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            events: vec![(1_516_781_775_726_000, "foo".to_owned())],
            links: Vec::new(),
            is_error: true,
            shared: true,
        };
        assert_eq!(read_json(text.as_bytes()).unwrap(), [expected]);
    }

    #[test]
    fn little_is_enough() {
        let little = r#"[{"traceId": "a1", "id": "1", "parentId": "1", "kind": null, "localEndpoint": null,
            "timestamp": "12", "duration": 3.7, "tags": [], "annotations": null, "name": null}]"#;
        let expected = Span { trace: 0xa1, id: 1, start_us: 12, duration_us: 3, ..Span::default() };
        assert_eq!(read_json(little.as_bytes()).unwrap(), [expected]);
        assert_eq!(read_json(b"[]").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, message: &str| {
            let error = read_json(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        };
        check("{}", "expected a sequence at line 1 column 0");
        check(r#"[{"traceId": "a", "id": "1"}, {"traceId": "b"}]"#, "span 1 has no valid id");
        check(r#"[{"traceId": "x", "id": "1"}]"#, "span 0 has no valid traceId");
        check(r#"[{"traceId": "a", "id": "1", "tags": {"a": []}}]"#, "expected text");
        check(&"[".repeat(100_000), "invalid type: sequence");
        check(&format!(r#"[{{"x": {}"#, "[".repeat(100_000)), "EOF");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in r#"\[(\{("(traceId|id|tags|timestamp|annotations|kind)":("[0-9a-f]{0,3}"|[0-9.e-]{1,4}|\{\}|\[\]|null),?){0,4}\},?){0,3}\]?"#) {
            drop(read_json(text.as_bytes()));
        }
    }
}
