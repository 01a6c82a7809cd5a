//! What a load measures while it runs. Pure: it is told how long things took.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::report::{End, Error, Late, Latency, Report, Second, Span};

/// The longest latency told apart from longer ones: an hour.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Significant digits of a latency: an error below 0.1 %.
const DIGITS: u8 = 3;

/// Lateness of the sender itself that is worth telling: several times what the scheduler of a busy
/// machine takes.
pub(crate) const LATE_AFTER: Duration = Duration::from_millis(5);

/// Seconds a report lists: a day. A longer load is reported in whole all the same.
const SECONDS_MAX: usize = 86_400;

/// The part of the load a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Sent and not counted.
    WarmUp,
    /// Counted.
    Measured,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// With an answer, whatever its status.
    Answered { status: u16, bytes: u64, service_time: Duration },
    /// Without.
    Failed(Error),
}

/// The measurements of one load.
pub(crate) struct Recorder {
    /// From the intended moment.
    latency: Times,
    /// From when it was written to a connection.
    service_time: Times,
    offered: u64,
    warmup: u64,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<Error, u64>,
    bytes: u64,
    connections: u64,
    waited: u64,
    late: u64,
    late_max: Duration,
    busy_percent: u8,
    second: Second,
    second_latency: Times,
    timeline: Vec<Second>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            latency: Times::default(),
            service_time: Times::default(),
            offered: 0,
            warmup: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            bytes: 0,
            connections: 0,
            waited: 0,
            late: 0,
            late_max: Duration::ZERO,
            busy_percent: 0,
            second: Second::default(),
            second_latency: Times::default(),
            timeline: Vec::new(),
        }
    }

    /// A request is handed to the connections, `lateness` after its intended moment.
    pub(crate) fn on_due(&mut self, lateness: Duration, phase: Phase) {
        self.second.offered += 1;
        if phase == Phase::WarmUp {
            self.warmup += 1;
            return;
        }
        self.offered += 1;
        self.late += u64::from(LATE_AFTER < lateness);
        self.late_max = self.late_max.max(lateness);
    }

    /// A request that is measured got a connection after this `wait`.
    pub(crate) fn on_taken(&mut self, wait: Duration) {
        self.waited += u64::from(LATE_AFTER < wait);
    }

    /// A connection was opened.
    pub(crate) fn on_connected(&mut self) {
        self.connections += 1;
    }

    /// A request that is measured ended, `latency` after its intended moment.
    pub(crate) fn on_end(&mut self, latency: Duration, ending: Ending) {
        match ending {
            Ending::Answered { status, bytes, service_time } => {
                *self.statuses.entry(status).or_default() += 1;
                self.bytes += bytes;
                self.latency.record(latency);
                self.service_time.record(service_time);
                self.second.answered += 1;
                self.second.server_errors += u64::from(500 <= status);
                self.second_latency.record(latency);
            }
            Ending::Failed(error) => {
                *self.errors.entry(error).or_default() += 1;
                self.second.failed += 1;
                if matches!(error, Error::Timeout | Error::NoConnection) {
                    // To leave them out would make a target look faster the more it gives up.
                    self.latency.record(latency);
                    self.second_latency.record(latency);
                }
            }
        }
    }

    /// A second ended.
    pub(crate) fn end_second(&mut self, number: u32, in_flight: usize, busy_percent: u8) -> Second {
        let mut ended = std::mem::take(&mut self.second);
        ended.number = number;
        ended.in_flight = in_flight as u64;
        ended.busy_percent = busy_percent;
        self.busy_percent = self.busy_percent.max(busy_percent);
        ended.latency = self.second_latency.summary();
        self.second_latency.clear();
        if self.timeline.len() < SECONDS_MAX {
            self.timeline.push(ended.clone());
        }
        ended
    }

    /// Everything that was measured.
    pub(crate) fn report(&mut self, span: Span, unfinished: usize) -> Report {
        let answered: u64 = self.statuses.values().sum();
        Report {
            interrupted: span.end == End::Interrupted,
            duration_s: span.offered.as_secs_f64(),
            offered: self.offered,
            offered_per_s: per_second(self.offered, span.offered),
            answered,
            answered_per_s: per_second(answered, span.whole),
            abandoned: unfinished as u64,
            warmup: self.warmup,
            statuses: std::mem::take(&mut self.statuses),
            errors: std::mem::take(&mut self.errors),
            latency: self.latency.summary(),
            service_time: self.service_time.summary(),
            received_bytes: self.bytes,
            connections: self.connections,
            waited: self.waited,
            busy_percent: self.busy_percent,
            late: Late { requests: self.late, max_us: micros(self.late_max) },
            timeline: std::mem::take(&mut self.timeline),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A histogram of times, absent only if it could not be made.
struct Times(Option<Histogram<u64>>);

impl Default for Times {
    fn default() -> Self {
        // The bounds are constants that are within what the histogram takes.
        Self(Histogram::new_with_bounds(1, LATENCY_MAX_US, DIGITS).ok())
    }
}

impl Times {
    fn record(&mut self, time: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(micros(time).max(1));
        }
    }

    fn clear(&mut self) {
        if let Some(histogram) = &mut self.0 {
            histogram.reset();
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean is between 0 and the largest value"
    )]
    fn summary(&self) -> Latency {
        let Some(histogram) = self.0.as_ref().filter(|it| !it.is_empty()) else {
            return Latency::default();
        };
        let at = |quantile| histogram.value_at_quantile(quantile);
        Latency {
            count: histogram.len(),
            mean_us: histogram.mean().round() as u64,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn answered(status: u16) -> Ending {
        Ending::Answered { status, bytes: 100, service_time: ms(1) }
    }

    /// The report of a load of ten seconds: 98 quick answers, an error and a timeout.
    pub(crate) fn example() -> Report {
        let mut recorder = Recorder::new();
        recorder.on_due(ms(0), Phase::WarmUp);
        recorder.on_connected();
        for request in 0..100 {
            let late = if request == 7 { ms(30) } else { ms(0) };
            recorder.on_due(late, Phase::Measured);
            recorder.on_taken(late / 2);
        }
        for _ in 0..97 {
            recorder.on_end(ms(2), answered(200));
        }
        recorder.on_end(ms(40), answered(503));
        recorder.on_end(ms(1), Ending::Failed(Error::Connect));
        recorder.on_end(ms(500), Ending::Failed(Error::Timeout));
        let second = recorder.end_second(0, 0, 97);
        assert_eq!((second.offered, second.answered, second.failed), (101, 98, 2));
        assert_eq!(recorder.end_second(1, 0, 5).latency, Latency::default());
        let span = Span { end: End::Complete, offered: ms(10_000), whole: ms(10_500) };
        recorder.report(span, 0)
    }

    #[test]
    fn a_timeout_counts_as_long_as_it_took() {
        let report = example();
        assert_eq!((report.offered, report.answered, report.warmup), (100, 98, 1));
        assert_eq!(report.statuses, BTreeMap::from([(200, 97), (503, 1)]));
        assert_eq!(report.errors, BTreeMap::from([(Error::Connect, 1), (Error::Timeout, 1)]));
        assert_eq!((report.latency.count, report.service_time.count), (99, 98));
        assert_eq!(report.latency.max_us / 1_000, 500);
        assert_eq!(report.service_time.max_us, 1_000);
        assert_eq!(report.late, Late { requests: 1, max_us: 30_000 });
        assert!((report.offered_per_s - 10.0).abs() < 1e-9);
        assert_eq!(report.timeline.len(), 2);
    }

    #[test]
    fn people_read_it() {
        let expected = "\
100 requests in 10.0s: 10.0/s offered, 9.3/s answered; 1 before them as warm-up, not counted
  answered       98  97 x 200, 1 x 503
  failed          2  1 x connect, 1 x timeout
  latency     p50 2.00ms  p90 2.00ms  p95 2.00ms  p99 500ms  p99.9 500ms  max 500ms  mean 7.42ms
  service     p50 1.00ms  p90 1.00ms  p95 1.00ms  p99 1.00ms  p99.9 1.00ms  max 1.00ms  mean 1.00ms
  received  9.6 KiB over 1 connection
  waited    1 of 100 requests waited more than 5ms for a connection: all were taken
  busy      this process was busy for 97% of a second: its own limits are in these numbers
  late      1 of 100 requests was sent more than 5ms after its moment (at most 30.0ms): this process was the bottleneck then
";
        assert_eq!(example().to_string(), expected);
    }
}
