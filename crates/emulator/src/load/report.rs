//! What came of a load, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::units::RoundedSize;
use serde::{Deserialize, Serialize};

use super::recorder::LATE_AFTER;

/// From here on waiting for processor time is a good part of what is measured: at 90 % a queue with
/// random arrivals is nine long on average.
const BUSY_PERCENT: u8 = 90;

/// What came of a load. Requests of the warm-up are in none of its numbers but `warmup` and the
/// `offered` of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// Time in which requests were meant to be sent.
    pub duration_s: f64,
    /// Requests whose moment came.
    pub offered: u64,
    /// Those, per second of that time.
    pub offered_per_s: f64,
    /// Requests answered, with whatever status.
    pub answered: u64,
    /// Those, per second until the last of them.
    pub answered_per_s: f64,
    /// Requests of which nothing is known, because the load was stopped before they ended.
    pub abandoned: u64,
    /// Requests of the warm-up.
    pub warmup: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, by reason.
    pub errors: BTreeMap<Error, u64>,
    /// From the intended moment to the end of the answer: what a user waits. Requests that were given
    /// up count with the time they took until then.
    pub latency: Latency,
    /// From when a request was written to a connection to the end of its answer.
    pub service_time: Latency,
    /// Bytes of the answers' bodies.
    pub received_bytes: u64,
    /// Connections opened.
    pub connections: u64,
    /// Requests that waited more than 5 ms for a connection, because all were taken: the target is slow, or
    /// more connections are needed.
    pub waited: u64,
    /// Requests this process sent late.
    pub late: Late,
    /// The most that the sending thread was busy in any full second, in percent. Near 100 the numbers
    /// are as much about this process as about the target.
    pub busy_percent: u8,
    /// Second by second, the last one maybe shorter.
    pub timeline: Vec<Second>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Error {
    /// No connection came about.
    Connect,
    /// None within the time allowed.
    Timeout,
    /// The connection closed before the answer was complete.
    Reset,
    /// What came back is not HTTP/1.1.
    Protocol,
    /// It was never sent: every connection was taken until its time had passed.
    NoConnection,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::NoConnection => "no connection",
        })
    }
}

/// A distribution of times, in microseconds, to three digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Requests in it. All else is 0 if there are none.
    pub count: u64,
    /// Their mean.
    pub mean_us: u64,
    /// Half took no longer.
    pub p50_us: u64,
    /// 90 % took no longer.
    pub p90_us: u64,
    /// 95 % took no longer.
    pub p95_us: u64,
    /// 99 % took no longer.
    pub p99_us: u64,
    /// 99.9 % took no longer.
    pub p99_9_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// How far this process itself fell behind. Its lateness is in the latencies, though the target is not
/// to blame for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Requests handed to the connections more than 5 ms after their moment.
    pub requests: u64,
    /// The most any was late.
    pub max_us: u64,
}

/// One second of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Which, from 0.
    pub number: u32,
    /// Requests whose moment was in it, those of the warm-up as well.
    pub offered: u64,
    /// Answers that came in it.
    pub answered: u64,
    /// Of those, with a status of 5xx.
    pub server_errors: u64,
    /// Requests that ended in it without an answer.
    pub failed: u64,
    /// Requests that had not ended at its end.
    pub in_flight: u64,
    /// How busy the sending thread was, in percent.
    pub busy_percent: u8,
    /// Latency of what ended in it.
    pub latency: Latency,
}

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Interrupted,
}

/// The time a load covers, its warm-up left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) end: End,
    /// In which requests were meant to be sent.
    pub(crate) offered: Duration,
    /// Until the last of them ended.
    pub(crate) whole: Duration,
}

impl fmt::Display for Report {
    /// A few lines for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offered, offered_per_s, answered_per_s, duration_s, .. } = self;
        write!(
            formatter,
            "{offered} requests in {duration_s:.1}s: {offered_per_s:.1}/s offered, \
             {answered_per_s:.1}/s answered"
        )?;
        if 0 < self.warmup {
            write!(formatter, "; {} before them as warm-up, not counted", self.warmup)?;
        }
        if self.interrupted {
            write!(formatter, "; interrupted, {} abandoned", self.abandoned)?;
        }
        let failed: u64 = self.errors.values().sum();
        writeln!(formatter, "\n  answered {:>8}  {}", self.answered, Counts(&self.statuses))?;
        if 0 < failed {
            writeln!(formatter, "  failed   {failed:>8}  {}", Counts(&self.errors))?;
        }
        writeln!(formatter, "  latency   {}", self.latency)?;
        writeln!(formatter, "  service   {}", self.service_time)?;
        let plural = if self.connections == 1 { "" } else { "s" };
        let size = RoundedSize(self.received_bytes);
        writeln!(formatter, "  received  {size} over {} connection{plural}", self.connections)?;
        self.caveats(formatter)
    }
}

impl Report {
    /// What else the numbers may be due to than the target.
    fn caveats(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offered, waited, busy_percent, .. } = self;
        let after = LATE_AFTER.as_millis();
        if 0 < *waited {
            writeln!(
                formatter,
                "  waited    {waited} of {offered} requests waited more than {after}ms for a \
                 connection: all were taken",
            )?;
        }
        if BUSY_PERCENT <= *busy_percent {
            writeln!(
                formatter,
                "  busy      this process was busy for {busy_percent}% of a second: its own limits \
                 are in these numbers",
            )?;
        }
        let Late { requests, max_us } = self.late;
        if 0 < requests {
            let was = if requests == 1 { "was" } else { "were" };
            let its = if requests == 1 { "its" } else { "their" };
            writeln!(
                formatter,
                "  late      {requests} of {offered} requests {was} sent more than {after}ms after \
                 {its} moment (at most {}): this process was the bottleneck then",
                Millis(max_us),
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return formatter.write_str("  nothing to measure");
        }
        for (name, value) in [
            ("p50", self.p50_us),
            ("p90", self.p90_us),
            ("p95", self.p95_us),
            ("p99", self.p99_us),
            ("p99.9", self.p99_9_us),
            ("max", self.max_us),
            ("mean", self.mean_us),
        ] {
            write!(formatter, "  {name} {}", Millis(value))?;
        }
        Ok(())
    }
}

/// Counts, as `97 x 200, 1 x 503`.
struct Counts<'a, K>(&'a BTreeMap<K, u64>);

impl<K: fmt::Display> fmt::Display for Counts<'_, K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, count)) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(formatter, "{separator}{count} x {name}")?;
        }
        Ok(())
    }
}

/// Microseconds as milliseconds, to three digits: `1.23ms`, `45.6ms`, `789ms`.
struct Millis(u64);

#[expect(clippy::cast_precision_loss, reason = "times for people, far below 2^53")]
impl fmt::Display for Millis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 as f64 / 1e3;
        let digits = match self.0 {
            0..10_000 => 2,
            10_000..100_000 => 1,
            _ => 0,
        };
        write!(formatter, "{millis:.digits$}ms")
    }
}
