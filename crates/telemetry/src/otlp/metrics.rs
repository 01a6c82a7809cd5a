//! Metrics of OTLP, as samples of series with Prometheus' names.
//!
//! A metric becomes what Prometheus 3 makes of it with its default settings: names with units, `job`
//! and `instance` from the resource's service, everything else the resource says in `target_info`, a
//! histogram's buckets as counters with `le`, a summary's quantiles as gauges. Exponential histograms become
//! classic buckets, which Prometheus does not do. Deltas are rejected, as there: to add them
//! up, one would have to remember every series, and to guess what was lost; SDKs send totals unless they are
//! told otherwise.

mod exponential;
mod name;
mod point;
mod schema;

use std::collections::BTreeMap;

use model::Timestamp;
use promql::Labels;

use super::json;
use super::value::{Resource, Value};
use super::{Encoding, OtlpError, Rejected};
use crate::metrics::Point;
use crate::metrics::exemplars::Exemplar;
use crate::protobuf::{Field, Message, ProtobufError};
use point::{DataPoint, Shape};

/// Samples of one request, at most: a data point may be a thousand.
pub const SAMPLES_MAX: usize = 500_000;
/// Bytes of all samples' labels in one request, at most.
pub const LABEL_BYTES_MAX: usize = 128 << 20;
/// Labels of one series, at most.
pub const LABELS_MAX: usize = 64;
/// Buckets of a histogram and quantiles of a summary, at most.
pub const BUCKETS_MAX: usize = 1_000;
/// Bytes of a metric's help that are kept.
const HELP_BYTES_MAX: usize = 1_024;
/// What a series ends with: Prometheus' own not-a-number.
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// What a request says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Received {
    /// Samples, those of one data point together.
    pub points: Vec<Point>,
    /// Of each metric that has a sample.
    pub metadata: Vec<Metadata>,
    /// Measurements with the traces they were made in.
    pub exemplars: Vec<Exemplar>,
    /// What is not among them.
    pub rejected: Rejected,
}

/// What is known of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its name, without `_bucket` and the like.
    pub name: String,
    /// `counter`, `gauge`, `histogram` or `summary`.
    pub kind: &'static str,
    /// What it means.
    pub help: String,
    /// Its unit, as OTLP writes it.
    pub unit: String,
}

/// Reads an `ExportMetricsServiceRequest`. Data points without a time are taken as of `now`.
pub fn read(body: &[u8], encoding: Encoding, now: Timestamp) -> Result<Received, OtlpError> {
    let written;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            written = json::to_protobuf(body, &schema::REQUEST)?;
            &written
        }
    };
    let now_ms = now.as_signed_millis();
    let mut reader = Reader { received: Received::default(), now_ms, label_bytes: 0 };
    for field in Message::new(body) {
        let field = field?;
        if field.number == 1 {
            reader.resource_metrics(&field)?;
        }
    }
    Ok(reader.received)
}

struct Reader {
    received: Received,
    now_ms: i64,
    label_bytes: usize,
}

/// A metric whose data points are read.
struct Metric<'a> {
    name: String,
    shape: Shape,
    /// The labels of its resource.
    target: &'a BTreeMap<String, String>,
}

/// Why a data point is rejected.
type Reason = String;

impl Reader {
    fn resource_metrics(&mut self, field: &Field<'_>) -> Result<(), ProtobufError> {
        let mut resource = Resource::default();
        for field in field.message()? {
            let field = field?;
            if field.number == 1 {
                resource = Resource::read(&field)?;
            }
        }
        let target = target(&resource);
        let first = self.received.points.len();
        for scope in field.message()? {
            let scope = scope?;
            if scope.number != 2 {
                continue;
            }
            for field in scope.message()? {
                let field = field?;
                if field.number == 2 {
                    self.metric(&field, &target)?;
                }
            }
        }
        let latest = self.received.points.iter().skip(first).map(|it| it.at_ms).max();
        if let Some(at_ms) = latest
            && !target.is_empty()
            && !resource.attributes.is_empty()
            && let Ok(mut labels) = labels(&mut resource.attributes)?
        {
            labels.extend(target);
            // There is room for one more, or it is left out: it says nothing that is counted.
            drop(self.put("target_info", &labels, None, (at_ms, 1.0)));
        }
        Ok(())
    }

    fn metric(
        &mut self,
        field: &Field<'_>,
        target: &BTreeMap<String, String>,
    ) -> Result<(), ProtobufError> {
        let (mut otlp_name, mut help, mut unit, mut data) = ("", "", "", None);
        for field in field.message()? {
            let field = field?;
            match field.number {
                1 => otlp_name = field.text()?,
                2 => help = field.text()?,
                3 => unit = field.text()?,
                number => data = Shape::of(number).map(|shape| (shape, field)).or(data),
            }
        }
        let Some((shape, data)) = data else { return Ok(()) };
        let (mut temporality, mut is_monotonic) = (0, false);
        for field in data.message()? {
            let field = field?;
            match field.number {
                2 => temporality = field.number()?,
                3 => is_monotonic = field.number()? != 0,
                _ => {}
            }
        }
        let (kind, word) = match shape {
            Shape::Sum if is_monotonic => (name::Kind::Counter, "counter"),
            Shape::Gauge => (name::Kind::Gauge, "gauge"),
            Shape::Sum => (name::Kind::Other, "gauge"),
            Shape::Histogram | Shape::Exponential => (name::Kind::Other, "histogram"),
            Shape::Summary => (name::Kind::Other, "summary"),
        };
        let has_temporality = !matches!(shape, Shape::Gauge | Shape::Summary);
        let name = match name::metric(otlp_name, unit, kind) {
            _ if has_temporality && temporality != CUMULATIVE => Err(format!(
                "metric {otlp_name}: only totals are kept (temporality CUMULATIVE), and this is not one; set \
                 OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"
            )),
            None => Err(format!("metric {otlp_name:?}: a name needs a letter or a digit")),
            Some(name) => Ok(name),
        };
        let points = data.message()?.filter(|it| it.as_ref().is_ok_and(|it| it.number == 1));
        let name = match name {
            Ok(name) => name,
            Err(reason) => {
                self.received.rejected.add(points.count() as u64, || reason);
                return Ok(());
            }
        };
        let first = self.received.points.len();
        let metric = Metric { name, shape, target };
        for point in points {
            let kept = self.data_point(&metric, DataPoint::read(&point?, shape)?)?;
            if let Err(reason) = kept {
                self.received.rejected.add(1, || format!("metric {otlp_name}: {reason}"));
            }
        }
        if first < self.received.points.len() {
            let help = help.get(..help.floor_char_boundary(HELP_BYTES_MAX)).unwrap_or_default();
            let (help, unit) = (help.to_owned(), super::value::cut(unit).to_owned());
            self.received.metadata.push(Metadata { name: metric.name, kind: word, help, unit });
        }
        Ok(())
    }

    /// Keeps the samples of a data point, or none of them.
    fn data_point(
        &mut self,
        metric: &Metric<'_>,
        mut point: DataPoint<'_>,
    ) -> Result<Result<(), Reason>, ProtobufError> {
        let mut labels = match labels(&mut point.attributes)? {
            Ok(labels) => labels,
            Err(reason) => return Ok(Err(reason)),
        };
        labels.extend(metric.target.iter().map(|(key, value)| (key.clone(), value.clone())));
        let before = (self.received.points.len(), self.received.exemplars.len());
        let kept = self.samples(metric, &point, &labels);
        if kept.is_err() {
            self.received.points.truncate(before.0);
            self.received.exemplars.truncate(before.1);
        }
        Ok(kept)
    }

    fn samples(
        &mut self,
        metric: &Metric<'_>,
        point: &DataPoint<'_>,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Reason> {
        let at_ms = self.millis(point.time_ns);
        let value = |it: f64| (at_ms, if point.is_stale { f64::from_bits(STALE) } else { it });
        let name = &metric.name;
        if matches!(metric.shape, Shape::Gauge | Shape::Sum) {
            self.put(name, labels, None, value(point.value))?;
            let bounds = [(f64::INFINITY, None)];
            self.exemplars(point, name, labels, &bounds);
            return Ok(());
        }
        if BUCKETS_MAX < point.bounds.len() || exponential::READ_MAX < most_buckets(point) {
            return Err(format!("over BUCKETS_MAX ({BUCKETS_MAX}) buckets or quantiles"));
        }
        if let Some(sum) = point.sum {
            self.put(&format!("{name}_sum"), labels, None, value(sum))?;
        }
        self.put(&format!("{name}_count"), labels, None, value(count(point.count)))?;
        if metric.shape == Shape::Summary {
            for (quantile, of_it) in point.bounds.iter().zip(&point.values) {
                let quantile = ("quantile", quantile.to_string());
                self.put(name, labels, Some(quantile), value(*of_it))?;
            }
            return Ok(());
        }
        let bucket = format!("{name}_bucket");
        let mut bounds = Vec::new();
        for (bound, cumulative) in cumulative(metric.shape, point) {
            let le = ("le", bound.to_string());
            self.put(&bucket, labels, Some(le.clone()), value(count(cumulative)))?;
            bounds.push((bound, Some(le)));
        }
        let le = ("le", "+Inf".to_owned());
        self.put(&bucket, labels, Some(le.clone()), value(count(point.count)))?;
        bounds.push((f64::INFINITY, Some(le)));
        self.exemplars(point, &bucket, labels, &bounds);
        Ok(())
    }

    /// Keeps a sample: when, and how much.
    fn put(
        &mut self,
        name: &str,
        labels: &BTreeMap<String, String>,
        extra: Option<(&'static str, String)>,
        (at_ms, value): (i64, f64),
    ) -> Result<(), Reason> {
        let labels = series(name, labels, extra);
        let bytes = labels.iter().map(|(key, value)| key.len() + value.len());
        self.label_bytes += bytes.sum::<usize>();
        if LABEL_BYTES_MAX < self.label_bytes {
            return Err(format!("over LABEL_BYTES_MAX ({LABEL_BYTES_MAX}) in one request"));
        }
        if SAMPLES_MAX <= self.received.points.len() {
            return Err(format!("over SAMPLES_MAX ({SAMPLES_MAX}) in one request"));
        }
        self.received.points.push(Point { labels, at_ms, value });
        Ok(())
    }

    /// Keeps the exemplars of a data point that name a trace, each with the series of the first bound that is
    /// not below it.
    fn exemplars(
        &mut self,
        point: &DataPoint<'_>,
        name: &str,
        labels: &BTreeMap<String, String>,
        bounds: &[(f64, Option<(&'static str, String)>)],
    ) {
        for exemplar in point.exemplars.iter().filter(|it| it.trace != 0) {
            let Some((_, extra)) = bounds.iter().find(|it| exemplar.value <= it.0) else {
                continue;
            };
            let series = series(name, labels, extra.clone());
            let mut where_to = vec![("trace_id", format!("{:032x}", exemplar.trace))];
            if exemplar.span != 0 {
                where_to.push(("span_id", format!("{:016x}", exemplar.span)));
            }
            self.received.exemplars.push(Exemplar {
                series: Labels::of(
                    series.iter().map(|(key, value)| (key.as_str(), value.as_str())),
                ),
                labels: Labels::of(where_to.iter().map(|(key, value)| (*key, value.as_str()))),
                at_ms: self.millis(exemplar.time_ns),
                value: exemplar.value,
            });
        }
    }

    fn millis(&self, ns: u64) -> i64 {
        if ns == 0 { self.now_ms } else { i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX) }
    }
}

/// Upper bounds and the count at or below each, without the one of everything.
fn cumulative(shape: Shape, point: &DataPoint<'_>) -> Vec<(f64, u64)> {
    if shape == Shape::Exponential {
        return point.exponential.clone().classic();
    }
    let mut sum = 0_u64;
    let bounds = point.bounds.iter().zip(&point.counts).map(|(bound, count)| {
        sum = sum.saturating_add(*count);
        (*bound, sum)
    });
    bounds.filter(|it| it.0 < f64::INFINITY).collect()
}

fn most_buckets(point: &DataPoint<'_>) -> usize {
    point.exponential.positive.counts.len().max(point.exponential.negative.counts.len())
}

#[expect(clippy::cast_precision_loss, reason = "a sample is a double")]
const fn count(number: u64) -> f64 {
    number as f64
}

/// A series: its name, its labels, and one that none of them may hide.
fn series(
    name: &str,
    labels: &BTreeMap<String, String>,
    extra: Option<(&'static str, String)>,
) -> Vec<(String, String)> {
    let hidden = extra.as_ref().map(|it| it.0);
    let mut series = Vec::with_capacity(labels.len() + 2);
    series.push(("__name__".to_owned(), name.to_owned()));
    let shown = labels.iter().filter(|it| Some(it.0.as_str()) != hidden && !it.1.is_empty());
    series.extend(shown.map(|(key, value)| (key.clone(), value.clone())));
    series.extend(extra.map(|(key, value)| (key.to_owned(), value)));
    series
}

/// `job` and `instance` of what sends.
fn target(resource: &Resource<'_>) -> BTreeMap<String, String> {
    let mut target = BTreeMap::new();
    if !resource.service.is_empty() {
        let job = match resource.namespace {
            "" => resource.service.to_owned(),
            namespace => format!("{namespace}/{}", resource.service),
        };
        target.insert("job".to_owned(), job);
    }
    if !resource.instance.is_empty() {
        target.insert("instance".to_owned(), resource.instance.clone());
    }
    target
}

/// Labels of attributes. Values of those that get one name are joined by semicolons, in the order of their own
/// names, as the specification has it.
fn labels(
    attributes: &mut [(&str, Value<'_>)],
) -> Result<Result<BTreeMap<String, String>, Reason>, ProtobufError> {
    if LABELS_MAX < attributes.len() {
        return Ok(Err(format!("over LABELS_MAX ({LABELS_MAX}) attributes")));
    }
    attributes.sort_by_key(|it| it.0);
    let mut labels = BTreeMap::<String, String>::new();
    for (key, value) in attributes.iter() {
        // A series has one name.
        let Some(label) = name::label(key).filter(|it| it != "__name__") else { continue };
        let text = value.text()?;
        labels.entry(label).and_modify(|it| *it = format!("{it};{text}")).or_insert(text);
    }
    Ok(Ok(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(9_000);
    const RESOURCE: &str = r#"{"attributes": [
        {"key": "service.name", "value": {"stringValue": "cart"}},
        {"key": "service.namespace", "value": {"stringValue": "shop"}},
        {"key": "service.instance.id", "value": {"stringValue": "cart.1"}},
        {"key": "host.name", "value": {"stringValue": "a"}},
        {"key": "process.pid", "value": {"intValue": 7}}]}"#;

    fn request(resource: &str, metrics: &str) -> String {
        format!(
            r#"{{"resourceMetrics": [{{"resource": {resource}, "scopeMetrics": [{{"scope": {{"name": "x"}}, "metrics": [{metrics}]}}]}}]}}"#
        )
    }

    fn received(resource: &str, metrics: &str) -> Received {
        let json = request(resource, metrics);
        let received = read(json.as_bytes(), Encoding::Json, NOW).unwrap();
        let written = json::to_protobuf(json.as_bytes(), &schema::REQUEST).unwrap();
        let again = read(&written, Encoding::Protobuf, NOW).unwrap();
        assert_eq!(format!("{again:?}"), format!("{received:?}"));
        received
    }

    fn text(labels: &[(String, String)]) -> String {
        let labels = labels.iter().map(|(key, value)| match key.as_str() {
            "__name__" => value.clone(),
            _ => format!(" {key}={value}"),
        });
        labels.collect()
    }

    /// The samples of one metric of a resource that says nothing, as text.
    #[track_caller]
    fn check(metric: &str, expected: &[&str]) {
        let received = received("{}", metric);
        let found: Vec<String> = received
            .points
            .iter()
            .map(|it| format!("{} {} @{}", text(&it.labels), it.value, it.at_ms))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(received.rejected, Rejected::default());
    }

    #[test]
    fn numbers() {
        check(
            r#"{"name": "queue.length", "gauge": {"dataPoints": [
                {"asInt": "-3", "timeUnixNano": "1500000000"},
                {"asDouble": 0.5, "attributes": [{"key": "a.b", "value": {"boolValue": true}},
                    {"key": "a_b", "value": {"intValue": 2}}, {"key": "empty", "value": {"stringValue": ""}},
                    {"key": "__name__", "value": {"stringValue": "x"}}]}]}}"#,
            &["queue_length -3 @1500", "queue_length a_b=true;2 0.5 @9000"],
        );
        check(
            r#"{"name": "requests", "unit": "1", "sum": {"aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": [{"asInt": 3}, {"flags": 1}]}}"#,
            &["requests_total 3 @9000", "requests_total NaN @9000"],
        );
        check(
            r#"{"name": "requests.active", "sum": {"aggregationTemporality": 2, "dataPoints": [{"asInt": 3}]}}"#,
            &["requests_active 3 @9000"],
        );
        check(r#"{"name": "nothing"}"#, &[]);
    }

    #[test]
    fn histograms() {
        check(
            r#"{"name": "took", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [
                {"count": "6", "sum": 1.5, "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.005, 10],
                 "attributes": [{"key": "le", "value": {"stringValue": "mine"}}]}]}}"#,
            &[
                "took_seconds_sum le=mine 1.5 @9000",
                "took_seconds_count le=mine 6 @9000",
                "took_seconds_bucket le=0.005 1 @9000",
                "took_seconds_bucket le=10 3 @9000",
                "took_seconds_bucket le=+Inf 6 @9000",
            ],
        );
        check(
            r#"{"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [{"count": 2}]}}"#,
            &["h_count 2 @9000", "h_bucket le=+Inf 2 @9000"],
        );
        check(
            r#"{"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
                {"count": 6, "sum": 9, "scale": -1, "zeroCount": 1,
                 "positive": {"offset": -1, "bucketCounts": ["2", 3]}}]}}"#,
            &[
                "e_sum 9 @9000",
                "e_count 6 @9000",
                "e_bucket le=0 1 @9000",
                "e_bucket le=0.25 1 @9000",
                "e_bucket le=1 3 @9000",
                "e_bucket le=4 6 @9000",
                "e_bucket le=+Inf 6 @9000",
            ],
        );
        check(
            r#"{"name": "s", "summary": {"dataPoints": [
                {"count": 2, "sum": 3, "quantileValues": [{"quantile": 0.5, "value": 1.25}, {"quantile": 1}]}]}}"#,
            &[
                "s_sum 3 @9000",
                "s_count 2 @9000",
                "s quantile=0.5 1.25 @9000",
                "s quantile=1 0 @9000",
            ],
        );
    }

    #[test]
    fn what_sends_is_job_and_instance_and_the_rest_is_information() {
        let received = received(
            RESOURCE,
            r#"{"name": "up.time", "unit": "s", "description": "since the start", "gauge": {"dataPoints": [
                {"asInt": 1, "timeUnixNano": "5000000000"},
                {"asInt": 1, "timeUnixNano": "6000000000",
                 "attributes": [{"key": "job", "value": {"stringValue": "mine"}}]}]}}"#,
        );
        let series: Vec<_> =
            received.points.iter().map(|it| (text(&it.labels), it.at_ms)).collect();
        assert_eq!(
            series,
            [
                ("up_time_seconds instance=cart.1 job=shop/cart".to_owned(), 5_000),
                ("up_time_seconds instance=cart.1 job=shop/cart".to_owned(), 6_000),
                (
                    "target_info host_name=a instance=cart.1 job=shop/cart process_pid=7"
                        .to_owned(),
                    6_000
                ),
            ]
        );
        assert_eq!(
            received.metadata,
            [Metadata {
                name: "up_time_seconds".into(),
                kind: "gauge",
                help: "since the start".into(),
                unit: "s".into(),
            }]
        );
    }

    #[test]
    fn exemplars_are_with_their_buckets() {
        let received = received(
            "{}",
            r#"{"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [{"count": 2,
                "bucketCounts": [1, 1], "explicitBounds": [1], "exemplars": [
                {"asDouble": 1.0, "timeUnixNano": "7000000", "spanId": "00f067aa0ba902b7",
                 "traceId": "4bf92f3577b34da6a3ce929d0e0e4736"},
                {"asInt": 2, "traceId": "4bf92f3577b34da6a3ce929d0e0e4736"}, {"asInt": 2}]}]}}"#,
        );
        let pairs = |it: &Labels| {
            it.iter().map(|it| format!("{}={} ", it.0, it.1)).collect::<Vec<_>>().concat()
        };
        let found: Vec<_> = received
            .exemplars
            .iter()
            .map(|it| (pairs(&it.series), pairs(&it.labels), it.value.to_string(), it.at_ms))
            .collect();
        let trace = "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 ";
        assert_eq!(
            found,
            [
                (
                    "__name__=h_bucket le=1 ".to_owned(),
                    format!("span_id=00f067aa0ba902b7 {trace}"),
                    "1".to_owned(),
                    7
                ),
                ("__name__=h_bucket le=+Inf ".to_owned(), trace.to_owned(), "2".to_owned(), 9_000),
            ]
        );
    }

    #[test]
    fn what_cannot_be_kept_is_counted_and_the_rest_is_kept() {
        let attributes: Vec<_> =
            (0..65).map(|it| format!(r#"{{"key": "k{it}", "value": {{}}}}"#)).collect();
        let bounds: Vec<_> = (0..1_001).map(|it| it.to_string()).collect();
        let check = |metric: &str, count, reason: &str| {
            let both = format!(r#"{metric}, {{"name": "ok", "gauge": {{"dataPoints": [{{}}]}}}}"#);
            let received = received("{}", &both);
            assert_eq!(received.rejected, Rejected { count, reason: reason.to_owned() });
            assert_eq!(received.points.len(), 1);
        };
        check(
            r#"{"name": "d", "sum": {"aggregationTemporality": 1, "dataPoints": [{}, {}]}}"#,
            2,
            "metric d: only totals are kept (temporality CUMULATIVE), and this is not one; set \
             OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
        );
        check(
            r#"{"name": "-", "gauge": {"dataPoints": [{}]}}"#,
            1,
            "metric \"-\": a name needs a letter or a digit",
        );
        check(
            &format!(
                r#"{{"name": "g", "gauge": {{"dataPoints": [{{"attributes": [{}]}}]}}}}"#,
                attributes.join(",")
            ),
            1,
            "metric g: over LABELS_MAX (64) attributes",
        );
        check(
            &format!(
                r#"{{"name": "h", "histogram": {{"aggregationTemporality": 2, "dataPoints": [{{"explicitBounds": [{}]}}]}}}}"#,
                bounds.join(",")
            ),
            1,
            "metric h: over BUCKETS_MAX (1000) buckets or quantiles",
        );
    }

    /// A few bytes that would be a lot of samples.
    #[test]
    fn a_request_that_grows_is_cut() {
        let point = format!(
            r#"{{"bucketCounts": [{zeros}], "explicitBounds": [{bounds}], "attributes": [
                {{"key": "k", "value": {{"stringValue": "{long}"}}}}]}}"#,
            zeros = vec!["0"; 1_000].join(","),
            bounds = (0..1_000).map(|it| it.to_string()).collect::<Vec<_>>().join(","),
            long = "x".repeat(10_000),
        );
        let metric = format!(
            r#"{{"name": "h", "histogram": {{"aggregationTemporality": 2, "dataPoints": [{}]}}}}"#,
            vec![point; 20].join(",")
        );
        let received = read(request("{}", &metric).as_bytes(), Encoding::Json, NOW).unwrap();
        assert_eq!((received.points.len(), received.rejected.count), (13 * 1_002, 7));
        assert_eq!(
            received.rejected.reason,
            "metric h: over LABEL_BYTES_MAX (134217728) in one request"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            drop(read(&bytes, Encoding::Protobuf, NOW));
            drop(read(&bytes, Encoding::Json, NOW));
        }

        /// Nearly a request: one whose bytes were changed here and there.
        #[test]
        fn changed_bytes_are_read_or_refused(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
            let json = request(
                RESOURCE,
                r#"{"name": "h", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [{"count": 2,
                    "bucketCounts": [1, 1], "explicitBounds": [1]}]}},
                   {"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [{"count": 2,
                    "scale": 3, "zeroThreshold": 0.1, "positive": {"offset": -5, "bucketCounts": [1, 2]}}]}},
                   {"name": "s", "summary": {"dataPoints": [{"quantileValues": [{"quantile": 0.5}]}]}},
                   {"name": "g", "gauge": {"dataPoints": [{"asDouble": 1, "attributes": [{"key": "k", "value": {"intValue": 1}}]}]}}"#,
            );
            let mut bytes = json::to_protobuf(json.as_bytes(), &schema::REQUEST).unwrap();
            for (place, byte) in changes {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            drop(read(&bytes, Encoding::Protobuf, NOW));
        }
    }
}
