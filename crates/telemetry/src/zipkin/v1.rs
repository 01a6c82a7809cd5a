//! Spans as old clients of Zipkin send them: a list as JSON, version 1.
//!
//! There, what a span is follows from annotations (`cs` and `cr`: a client sent and received; `sr` and `ss`: a
//! server did), each with its own service, and a client and a server may write to one span. Such a span becomes two
//! here, of which the server's is shared; that is what Zipkin's `V1SpanConverter` does.

use serde::Deserialize;

use crate::traces::span::{EVENTS_MAX, TAGS_MAX};
use crate::traces::{Kind, Span};
use crate::zipkin::json::EndpointSpec;
use crate::zipkin::loose::{SpanId, Text, TraceId, Whole};
use crate::zipkin::{ReadError, tidy};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanSpec {
    #[serde(default)]
    trace_id: TraceId,
    #[serde(default)]
    id: SpanId,
    #[serde(default)]
    parent_id: SpanId,
    #[serde(default)]
    name: Text,
    #[serde(default)]
    timestamp: Whole,
    #[serde(default)]
    duration: Whole,
    annotations: Option<Vec<AnnotationSpec>>,
    binary_annotations: Option<Vec<BinarySpec>>,
}

#[derive(Deserialize)]
struct AnnotationSpec {
    #[serde(default)]
    timestamp: Whole,
    #[serde(default)]
    value: Text,
    endpoint: Option<EndpointSpec>,
}

#[derive(Deserialize)]
struct BinarySpec {
    #[serde(default)]
    key: Text,
    #[serde(default)]
    value: Text,
    endpoint: Option<EndpointSpec>,
}

/// What an annotation that begins a half of a call makes of it: the annotation, the one that ends it, and the
/// address of the other side.
const HALVES: [(Kind, &str, &str, &str); 4] = [
    (Kind::Client, "cs", "cr", "sa"),
    (Kind::Server, "sr", "ss", "ca"),
    (Kind::Producer, "ms", "", "ma"),
    (Kind::Consumer, "mr", "", "ma"),
];
/// Annotations that say what another one says, and keys that are addresses.
const CORE: [&str; 8] = ["cs", "cr", "sr", "ss", "ms", "mr", "ws", "wr"];
const ADDRESSES: [&str; 3] = ["ca", "sa", "ma"];
/// The key whose endpoint is the service of a span within it.
const LOCAL: &str = "lc";

/// Reads a list of spans.
pub fn read_v1_json(bytes: &[u8]) -> Result<Vec<Span>, ReadError> {
    let list: Vec<SpanSpec> = serde_json::from_slice(bytes)?;
    let mut spans = Vec::with_capacity(list.len());
    for (place, spec) in list.into_iter().enumerate() {
        for (id, field) in [(spec.trace_id.0, "traceId"), (u128::from(spec.id.0), "id")] {
            if id == 0 {
                return Err(ReadError::Id { place, field });
            }
        }
        spans.extend(spec.spans());
    }
    spans.iter_mut().for_each(tidy);
    Ok(spans)
}

fn service(endpoint: Option<&EndpointSpec>) -> &str {
    endpoint.map_or("", |it| &it.service_name.0)
}

impl SpanSpec {
    fn spans(self) -> Vec<Span> {
        let annotations = self.annotations.as_deref().unwrap_or_default();
        let tags = self.binary_annotations.as_deref().unwrap_or_default();
        let mut halves: Vec<_> =
            HALVES.iter().filter_map(|it| self.half(it, annotations, tags)).collect();
        if halves.is_empty() {
            halves.push(self.whole(annotations, tags));
        }
        if let [first, second] = halves.as_mut_slice() {
            // The times of the span are those of who began it.
            first.start_us = if self.timestamp.0 == 0 { first.start_us } else { self.timestamp.0 };
            first.duration_us =
                if self.duration.0 == 0 { first.duration_us } else { self.duration.0 };
            second.shared = second.kind == Kind::Server;
        }
        give(&mut halves, annotations, tags);
        halves
    }

    fn base(&self) -> Span {
        Span {
            trace: self.trace_id.0,
            id: self.id.0,
            parent: Some(self.parent_id.0).filter(|it| *it != 0),
            operation: self.name.0.clone(),
            start_us: self.timestamp.0,
            duration_us: self.duration.0,
            ..Span::default()
        }
    }

    /// One side of a call, if it is there.
    fn half(
        &self,
        (kind, begin, end, address): &(Kind, &str, &str, &str),
        annotations: &[AnnotationSpec],
        tags: &[BinarySpec],
    ) -> Option<Span> {
        let find =
            |value: &str| annotations.iter().find(|it| !value.is_empty() && it.value.0 == value);
        let (begun, ended) = (find(begin), find(end));
        let known = begun.or(ended)?;
        let other = HALVES.iter().filter(|it| it.0 != *kind);
        let is_alone = !other.flat_map(|it| [it.1, it.2]).any(|it| find(it).is_some());
        let remote =
            tags.iter().find(|it| it.key.0 == *address).and_then(|it| it.endpoint.as_ref());
        let mut span = Span {
            kind: *kind,
            service: service(known.endpoint.as_ref()).to_owned(),
            remote: service(remote).to_owned(),
            ..self.base()
        };
        // A server that does not say when the span began has taken it over from its client.
        span.shared = *kind == Kind::Server && is_alone && self.timestamp.0 == 0;
        if !is_alone || self.timestamp.0 == 0 {
            span.start_us = begun.map_or(0, |it| it.timestamp.0);
        }
        if !is_alone || self.duration.0 == 0 {
            let times =
                begun.zip(ended).map(|it| it.1.timestamp.0.saturating_sub(it.0.timestamp.0));
            span.duration_us = times.unwrap_or(0);
        }
        Some(span)
    }

    /// A span that is no side of a call.
    fn whole(&self, annotations: &[AnnotationSpec], tags: &[BinarySpec]) -> Span {
        let local = tags.iter().find(|it| it.key.0 == LOCAL);
        let own = tags.iter().filter(|it| !ADDRESSES.contains(&it.key.0.as_str()));
        let endpoints = local.into_iter().chain(own).map(|it| it.endpoint.as_ref());
        let mut names =
            endpoints.chain(annotations.iter().map(|it| it.endpoint.as_ref())).map(service);
        let address = tags.iter().find(|it| ADDRESSES.contains(&it.key.0.as_str()));
        let remote = service(address.and_then(|it| it.endpoint.as_ref()));
        let kind = match address.map(|it| it.key.0.as_str()) {
            Some("sa") => Kind::Client,
            Some("ca") => Kind::Server,
            _ => Kind::Unspecified,
        };
        let name = names.find(|it| !it.is_empty()).unwrap_or_default();
        Span { kind, service: name.to_owned(), remote: remote.to_owned(), ..self.base() }
    }
}

/// Gives annotations and tags to the half whose service wrote them, or to the first.
fn give(halves: &mut [Span], annotations: &[AnnotationSpec], tags: &[BinarySpec]) {
    let place = |halves: &[Span], endpoint: Option<&EndpointSpec>| {
        halves.iter().position(|it| it.service == service(endpoint)).unwrap_or(0)
    };
    for annotation in annotations.iter().filter(|it| !CORE.contains(&it.value.0.as_str())) {
        let at = place(halves, annotation.endpoint.as_ref());
        if let Some(half) = halves.get_mut(at).filter(|it| it.events.len() <= EVENTS_MAX) {
            half.events.push((annotation.timestamp.0, annotation.value.0.clone()));
        }
    }
    for tag in tags {
        let is_empty_local = tag.key.0 == LOCAL && tag.value.0.is_empty();
        if is_empty_local || ADDRESSES.contains(&tag.key.0.as_str()) {
            continue;
        }
        let at = place(halves, tag.endpoint.as_ref());
        if let Some(half) = halves.get_mut(at).filter(|it| it.tags.len() <= TAGS_MAX) {
            half.tags.push((tag.key.0.clone(), tag.value.0.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each span as its kind, service, remote service, times, whether it is shared, events and tags.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let spans = read_v1_json(text.as_bytes()).unwrap();
        let found = spans.iter().map(|it| {
            let shared = if it.shared { " shared" } else { "" };
            let (names, counts) =
                ((it.kind.name(), &it.service, &it.remote), (it.events.len(), it.tags.len()));
            let times = (it.start_us, it.duration_us);
            format!("{names:?} {times:?}{shared} {counts:?}")
        });
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_client_alone() {
        check(
            r#"[{"traceId": "a", "id": "b", "name": "GET", "timestamp": 100, "duration": 50,
              "annotations": [
                {"timestamp": 100, "value": "cs", "endpoint": {"serviceName": "web"}},
                {"timestamp": 120, "value": "retry", "endpoint": {"serviceName": "web"}},
                {"timestamp": 150, "value": "cr", "endpoint": {"serviceName": "web"}}],
              "binaryAnnotations": [
                {"key": "http.path", "value": "/", "endpoint": {"serviceName": "web"}},
                {"key": "sa", "value": true, "endpoint": {"serviceName": "Cart", "ipv4": "1.2.3.4"}}]}]"#,
            &[r#"("client", "web", "cart") (100, 50) (1, 1)"#],
        );
    }

    #[test]
    fn a_client_and_its_server_in_one_span() {
        check(
            r#"[{"traceId": "a", "id": "b", "timestamp": 100, "duration": 50,
              "annotations": [
                {"timestamp": 100, "value": "cs", "endpoint": {"serviceName": "web"}},
                {"timestamp": 110, "value": "sr", "endpoint": {"serviceName": "cart"}},
                {"timestamp": 140, "value": "ss", "endpoint": {"serviceName": "cart"}},
                {"timestamp": 150, "value": "cr", "endpoint": {"serviceName": "web"}}],
              "binaryAnnotations": [
                {"key": "sql", "value": "select", "endpoint": {"serviceName": "cart"}},
                {"key": "count", "value": 7, "type": "I64", "endpoint": {"serviceName": "cart"}},
                {"key": "ca", "value": true, "endpoint": {"serviceName": "web"}}]}]"#,
            &[
                r#"("client", "web", "") (100, 50) (0, 0)"#,
                r#"("server", "cart", "web") (110, 30) shared (0, 2)"#,
            ],
        );
    }

    #[test]
    fn others() {
        check(
            r#"[{"traceId": "a", "id": "b", "annotations": [
                {"timestamp": 110, "value": "sr", "endpoint": {"serviceName": "cart"}},
                {"timestamp": 140, "value": "ss", "endpoint": {"serviceName": "cart"}}]},
              {"traceId": "a", "id": "c", "timestamp": 5, "binaryAnnotations": [
                {"key": "lc", "value": "", "endpoint": {"serviceName": "cart"}}, {"key": "error", "value": "no"}]},
              {"traceId": "a", "id": "d", "timestamp": 5, "annotations": [
                {"timestamp": 6, "value": "ms", "endpoint": {"serviceName": "cart"}}]},
              {"traceId": "a", "id": "e", "binaryAnnotations": null, "annotations": null}]"#,
            &[
                r#"("server", "cart", "") (110, 30) shared (0, 0)"#,
                r#"("", "cart", "") (5, 0) (0, 1)"#,
                r#"("producer", "cart", "") (5, 0) (0, 0)"#,
                r#"("", "", "") (0, 0) (0, 0)"#,
            ],
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(values in prop::collection::vec(prop::sample::select(vec!["cs", "cr", "sr", "ss", "ms", "mr", "ws", "x"]), 0..6), times in prop::collection::vec(any::<u64>(), 6)) {
            let annotations = values.iter().zip(times).map(|(value, at)| {
                format!(r#"{{"timestamp": {at}, "value": "{value}", "endpoint": {{"serviceName": "{}"}}}}"#, at % 3)
            });
            let text = format!(r#"[{{"traceId": "a", "id": "b", "annotations": [{}]}}]"#, annotations.collect::<Vec<_>>().join(","));
            let spans = read_v1_json(text.as_bytes()).unwrap();
            prop_assert!((1..=4).contains(&spans.len()));
        }
    }
}
