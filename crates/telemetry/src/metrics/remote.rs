//! Prometheus' remote write, both ways, in its first version: a snappy-compressed protobuf message.
//!
//! Source: <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

use promql::Labels;

use super::append::Appender;
use super::exemplars::Exemplar;
use super::store::{Metadata, Store};
use crate::protobuf::{Message, ProtobufError, put_bytes, put_fixed64, put_number};

/// Bytes of a message when it is not compressed any more, at most.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Why a message was refused.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// It is not what snappy makes.
    #[error("the message is not compressed with snappy")]
    Compression,
    /// It is longer than a message may be.
    #[error("the message has more than 64 MiB")]
    TooLong,
    /// It is no write request.
    #[error("the message is no write request: {0}")]
    Message(#[from] ProtobufError),
}

/// Takes in the samples, exemplars and metadata of a request. What is wrong with a single series is counted by the appender.
pub fn write(
    body: &[u8],
    appender: &mut Appender<'_>,
    store: &Store,
) -> Result<(), RemoteWriteError> {
    let length =
        snap::raw::decompress_len(body).map_err(|_broken| RemoteWriteError::Compression)?;
    if MESSAGE_BYTES_MAX < length {
        return Err(RemoteWriteError::TooLong);
    }
    let mut decoder = snap::raw::Decoder::new();
    let message = decoder.decompress_vec(body).map_err(|_broken| RemoteWriteError::Compression)?;
    // It is read whole first: a request that is broken at its end must not count in its beginning.
    let (mut all, mut about) = (Vec::new(), Vec::new());
    for field in Message::new(&message) {
        let field = field?;
        match field.number {
            1 => all.push(series(field.bytes()?)?),
            3 => about.push(metadata(field.bytes()?)?),
            _ => {}
        }
    }
    for (metric, metadata) in about {
        store.describe(metric, |it| *it = metadata);
    }
    for series in all {
        series.take(appender, store);
    }
    Ok(())
}

/// A series as it was sent.
#[derive(Debug, Default)]
struct Sent<'a> {
    labels: Vec<(&'a str, &'a str)>,
    samples: Vec<(i64, f64)>,
    exemplars: Vec<(Labels, f64, i64)>,
}

fn series(bytes: &[u8]) -> Result<Sent<'_>, ProtobufError> {
    let mut sent = Sent::default();
    for field in Message::new(bytes) {
        let field = field?;
        match field.number {
            1 => sent.labels.push(label(field.bytes()?)?),
            2 => sent.samples.push(sample(field.bytes()?)?),
            3 => sent.exemplars.push(exemplar(field.bytes()?)?),
            _ => {}
        }
    }
    Ok(sent)
}

impl Sent<'_> {
    fn take(mut self, appender: &mut Appender<'_>, store: &Store) {
        if !self.exemplars.is_empty() {
            let series = Labels::of(self.labels.iter().copied());
            for (labels, value, at_ms) in self.exemplars {
                store.exemplars.push(Exemplar { series: series.clone(), labels, value, at_ms });
            }
        }
        if self.samples.is_empty() {
            return;
        }
        if let Some(series) = appender.series(&mut self.labels) {
            for (at_ms, value) in self.samples {
                appender.sample(series, at_ms, value);
            }
        }
    }
}

fn label(bytes: &[u8]) -> Result<(&str, &str), ProtobufError> {
    let (mut name, mut value) = ("", "");
    for field in Message::new(bytes) {
        let field = field?;
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

fn sample(bytes: &[u8]) -> Result<(i64, f64), ProtobufError> {
    let (mut at_ms, mut value) = (0, 0.0);
    for field in Message::new(bytes) {
        let field = field?;
        match field.number {
            1 => value = field.double()?,
            2 => at_ms = field.number()?.cast_signed(),
            _ => {}
        }
    }
    Ok((at_ms, value))
}

fn exemplar(bytes: &[u8]) -> Result<(Labels, f64, i64), ProtobufError> {
    let mut labels = Vec::new();
    let (mut at_ms, mut value) = (0, 0.0);
    for field in Message::new(bytes) {
        let field = field?;
        match field.number {
            1 => labels.push(label(field.bytes()?)?),
            2 => value = field.double()?,
            3 => at_ms = field.number()?.cast_signed(),
            _ => {}
        }
    }
    Ok((Labels::of(labels), value, at_ms))
}

/// The names of `MetricMetadata.MetricType`, by number.
const KINDS: [&str; 8] =
    ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

/// What is said about a metric.
fn metadata(bytes: &[u8]) -> Result<(&str, Metadata), ProtobufError> {
    let (mut kind, mut metric, mut metadata) = (0, "", Metadata::default());
    for field in Message::new(bytes) {
        let field = field?;
        match field.number {
            1 => kind = usize::try_from(field.number()?).unwrap_or(0),
            2 => metric = field.text()?,
            4 => field.text()?.clone_into(&mut metadata.help),
            5 => field.text()?.clone_into(&mut metadata.unit),
            _ => {}
        }
    }
    KINDS.get(kind).copied().unwrap_or("unknown").clone_into(&mut metadata.kind);
    Ok((metric, metadata))
}

/// Puts a request together.
#[derive(Debug, Default)]
pub struct WriteRequest {
    message: Vec<u8>,
}

impl WriteRequest {
    /// Adds a series with samples.
    pub fn add(&mut self, labels: &Labels, samples: impl IntoIterator<Item = (i64, f64)>) {
        let mut series = Vec::new();
        for (name, value) in labels.iter() {
            let mut label = Vec::new();
            put_bytes(&mut label, 1, name.as_bytes());
            put_bytes(&mut label, 2, value.as_bytes());
            put_bytes(&mut series, 1, &label);
        }
        for (at_ms, value) in samples {
            let mut sample = Vec::new();
            put_fixed64(&mut sample, 1, value.to_bits());
            put_number(&mut sample, 2, at_ms.cast_unsigned());
            put_bytes(&mut series, 2, &sample);
        }
        put_bytes(&mut self.message, 1, &series);
    }

    /// Whether nothing was added.
    pub const fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// The request's body.
    pub fn body(&self) -> Vec<u8> {
        let mut encoder = snap::raw::Encoder::new();
        // Only a message of more than four gigabytes cannot be compressed.
        encoder.compress_vec(&self.message).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use promql::{Matcher, Selection, Source as _};
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Limits;

    #[test]
    fn what_is_sent_is_taken_in() {
        let mut request = WriteRequest::default();
        let labels = Labels::of([("__name__", "up"), ("job", "x")]);
        request.add(&labels, [(1_000, 1.0), (2_000, f64::NAN)]);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Limits::default()).unwrap().store;
        let mut appender = store.append("remote", Timestamp::from_millis(3_000));
        write(&request.body(), &mut appender, &store).unwrap();
        assert_eq!(appender.finish().unwrap().accepted, 2);
        let matchers = [Matcher::equal("job", "x")];
        let selection = Selection { matchers: &matchers, from_ms: 0, to_ms: 5_000 };
        let visit = &mut |series: promql::Series<'_>| {
            assert_eq!((series.labels, series.times), (&labels, &[1_000_i64, 2_000][..]));
            assert!(series.values[1].is_nan());
            std::ops::ControlFlow::Continue(())
        };
        store.select(&selection, visit).unwrap();
    }

    #[test]
    fn a_request_that_is_broken_at_its_end_counts_for_nothing() {
        let mut request = WriteRequest::default();
        request.add(&Labels::of([("__name__", "up")]), [(1_000, 1.0)]);
        let mut about = Vec::new();
        put_bytes(&mut about, 2, b"up");
        put_bytes(&mut about, 4, b"Whether it is.");
        put_bytes(&mut request.message, 3, &about);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Limits::default()).unwrap().store;
        let check = |request: &WriteRequest, accepted, help: Option<&str>| {
            let mut appender = store.append("remote", Timestamp::from_millis(3_000));
            let written = write(&request.body(), &mut appender, &store);
            assert_eq!(
                (written.is_ok(), appender.finish().unwrap().accepted),
                (0 < accepted, accepted)
            );
            assert_eq!(store.metadata("up").map(|it| it.help).as_deref(), help);
        };
        let broken = WriteRequest { message: [&request.message[..], &[0x0a, 9]].concat() };
        check(&broken, 0, None);
        check(&request, 1, Some("Whether it is."));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn garbage_is_refused(bytes: Vec<u8>) {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), Limits::default()).unwrap().store;
            for body in [bytes.clone(), WriteRequest { message: bytes }.body()] {
                let mut appender = store.append("remote", Timestamp::from_millis(3_000));
                if write(&body, &mut appender, &store).is_err() {
                    prop_assert_eq!(appender.finish().unwrap().accepted, 0);
                }
            }
        }
    }
}
