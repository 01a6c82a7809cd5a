//! Tail sampling: which traces are kept, decided when all that happened in them is known.
//!
//! A trace with an error is kept, and one with a span that was slow: slower than nearly all spans of the same service
//! and operation lately, or slower than a fixed bound. Of the rest every service may keep so many spans a second,
//! by the service its traces begin in; so one that makes a hundred times as many traces as the others does not
//! push them out. One of which every request fails would do the same: what is special is kept up to a bound, too,
//! ten times as high as the other by default. What decides is here alone, is told the time, and says why.

use std::collections::BTreeMap;

use model::Timestamp;

use crate::traces::encoded::Encoded;

/// Operations whose durations are known; of more, only the fixed bound is.
const OPERATIONS_MAX: usize = 4_096;
/// Services with a budget of their own; all others share one.
const SERVICES_MAX: usize = 1_024;
/// Durations that must be known before one is called slow.
const COUNT_LEAST: u32 = 100;
/// Durations after which the older ones count half.
const COUNT_MOST: u32 = 8_192;
/// Durations between two looks at what is slow.
const COUNT_BETWEEN: u32 = 64;
/// Buckets of durations, four in an octave: 71 minutes and more share the last.
const BUCKETS: usize = 128;
/// Seconds' worth of a budget that can be saved up: a burst after silence is what one wants to see.
const BURST_SECONDS: u64 = 10;

/// Why a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A span failed.
    Error,
    /// A span was slow.
    Slow,
    /// Earlier spans of it were kept.
    Late,
    /// There was room for it.
    Budget,
}

/// How many spans a second are kept of the traces that begin in a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of traces that are nothing special.
    pub usual: u64,
    /// Of traces that failed, were slow, or were kept before. A bound for floods, far above what people can look
    /// at.
    pub special: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { usual: 1_000, special: 10_000 }
    }
}

/// What was decided so far, in spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Spans of traces that were kept, by reason.
    pub kept: BTreeMap<Reason, u64>,
    /// Spans of traces that were not kept.
    pub left_out: u64,
    /// The same by the service their traces began in; those of services without a budget of their own under no
    /// name.
    pub left_out_by_service: BTreeMap<String, u64>,
}

/// Who decides.
#[derive(Debug)]
pub(super) struct Sampler {
    rates: Rates,
    slow_us: u64,
    durations: BTreeMap<Box<str>, BTreeMap<Box<str>, Durations>>,
    operations: usize,
    budgets: BTreeMap<Box<str>, Budget>,
    kept: BTreeMap<Reason, u64>,
}

/// How long an operation takes.
#[derive(Debug)]
struct Durations {
    counts: [u32; BUCKETS],
    count: u32,
    slow_us: u64,
}

/// What a service may keep, in thousandths of spans.
#[derive(Debug)]
struct Budget {
    usual: u64,
    special: u64,
    at: Timestamp,
    left_out: u64,
}

impl Sampler {
    /// One that keeps so much of every service; a span is slow if it took `slow_us` or longer, whatever is usual.
    pub(super) const fn new(rates: Rates, slow_us: u64) -> Self {
        Self {
            rates,
            slow_us,
            durations: BTreeMap::new(),
            operations: 0,
            budgets: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Whether a trace is kept, of which some spans may have been (`earlier`).
    pub(super) fn decide(
        &mut self,
        spans: &[Encoded<'_>],
        earlier: Option<Reason>,
        now: Timestamp,
    ) -> Option<Reason> {
        // Every duration counts for what is slow, whatever becomes of the trace.
        let slow = spans.iter().fold(false, |slow, it| self.is_slow(it) | slow);
        let error = spans.iter().any(|it| it.is_error).then_some(Reason::Error);
        let reason = error.or_else(|| slow.then_some(Reason::Slow)).or(earlier);
        let reason = reason.unwrap_or(Reason::Budget);
        if !self.take(spans, reason, now) {
            return None;
        }
        self.count_kept(reason, spans.len() as u64);
        Some(reason)
    }

    /// Counts spans that came to a trace that is kept.
    pub(super) fn count_kept(&mut self, reason: Reason, spans: u64) {
        *self.kept.entry(reason).or_default() += spans;
    }

    /// Counts a span that came to a trace that is not kept.
    pub(super) fn count_left_out(&mut self, span: &Encoded<'_>, now: Timestamp) {
        self.budget(span.service, now).left_out += 1;
    }

    /// What was decided so far.
    pub(super) fn decided(&self) -> Decided {
        let left_out = self.budgets.iter().filter(|it| it.1.left_out != 0);
        Decided {
            kept: self.kept.clone(),
            left_out: self.budgets.values().map(|it| it.left_out).sum(),
            left_out_by_service: left_out.map(|it| (it.0.to_string(), it.1.left_out)).collect(),
        }
    }

    fn is_slow(&mut self, span: &Encoded<'_>) -> bool {
        let is_slow = self.slow_us <= span.duration_us;
        let known = self.durations.get_mut(span.service).and_then(|it| it.get_mut(span.operation));
        if let Some(durations) = known {
            return durations.record(span.duration_us) | is_slow;
        }
        if self.operations < OPERATIONS_MAX {
            self.operations += 1;
            let mut durations = Durations { counts: [0; BUCKETS], count: 0, slow_us: u64::MAX };
            durations.record(span.duration_us);
            let service = self.durations.entry(span.service.into()).or_default();
            service.insert(span.operation.into(), durations);
        }
        is_slow
    }

    /// Takes a trace's spans off the budget of the service it begins in, if there is enough.
    fn take(&mut self, spans: &[Encoded<'_>], reason: Reason, now: Timestamp) -> bool {
        let first = spans.iter().min_by_key(|it| (it.parent.is_some(), it.start_us));
        let budget = self.budget(first.map_or("", |it| it.service), now);
        let left = if reason == Reason::Budget { &mut budget.usual } else { &mut budget.special };
        let cost = (spans.len() as u64).saturating_mul(1_000);
        if let Some(rest) = left.checked_sub(cost) {
            *left = rest;
            return true;
        }
        budget.left_out += spans.len() as u64;
        false
    }

    fn budget(&mut self, service: &str, now: Timestamp) -> &mut Budget {
        let Rates { usual, special } = self.rates;
        let most = [usual, special].map(|it| it.saturating_mul(BURST_SECONDS * 1_000));
        let is_known = self.budgets.contains_key(service) || self.budgets.len() < SERVICES_MAX;
        let service = if is_known { service } else { "" };
        let full = Budget { usual: most[0], special: most[1], at: now, left_out: 0 };
        let budget = self.budgets.entry(service.into()).or_insert(full);
        let elapsed_ms = now.as_millis().saturating_sub(budget.at.as_millis());
        let more = |left: u64, rate: u64, most: u64| {
            left.saturating_add(rate.saturating_mul(elapsed_ms)).min(most)
        };
        budget.usual = more(budget.usual, usual, most[0]);
        budget.special = more(budget.special, special, most[1]);
        // A clock that was set back stops the budget no longer than until the next call.
        budget.at = now;
        budget
    }
}

impl Durations {
    /// Counts a duration; whether it is slow by those before it.
    fn record(&mut self, duration_us: u64) -> bool {
        let is_slow = self.slow_us <= duration_us;
        if let Some(count) = self.counts.get_mut(bucket_of(duration_us)) {
            *count += 1;
        }
        self.count += 1;
        if COUNT_MOST <= self.count {
            self.counts.iter_mut().for_each(|it| *it /= 2);
            self.count = self.counts.iter().sum();
        }
        if COUNT_LEAST <= self.count && self.count.is_multiple_of(COUNT_BETWEEN) {
            self.slow_us = self.bound();
        }
        is_slow
    }

    /// The least duration above those of the bucket in which the 99th percentile is.
    fn bound(&self) -> u64 {
        let rank = self.count - self.count / 100;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|it| {
            seen += it;
            rank <= seen
        });
        bucket.map_or(u64::MAX, |it| least_of(it + 1))
    }
}

/// Four buckets in every octave; below four microseconds, one each.
fn bucket_of(duration_us: u64) -> usize {
    let bits = u64::BITS - duration_us.leading_zeros();
    let bucket = match bits.checked_sub(3) {
        Some(shift) => u64::from(shift) * 4 + (duration_us >> shift),
        None => duration_us,
    };
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The least duration of a bucket.
const fn least_of(bucket: usize) -> u64 {
    match bucket.checked_sub(8) {
        _ if BUCKETS <= bucket => u64::MAX,
        Some(above) => (4 + above as u64 % 4) << (above / 4 + 1),
        None => bucket as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::encoded;
    use crate::traces::span::Span;
    use crate::traces::testing::span;

    fn rates(usual: u64) -> Rates {
        Rates { usual, ..Rates::default() }
    }

    fn decide(sampler: &mut Sampler, spans: &[Span], at_ms: u64) -> Option<Reason> {
        let mut bytes = Vec::new();
        for span in spans {
            encoded::put(&mut bytes, span);
        }
        let spans: Vec<_> = encoded::all(&bytes).collect();
        sampler.decide(&spans, None, Timestamp::from_millis(at_ms))
    }

    #[test]
    fn buckets_follow_each_other() {
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(bucket_of(least_of(bucket)), bucket);
            assert_eq!(bucket_of(least_of(bucket + 1) - 1), bucket);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn errors_and_slow_ones_are_kept_whatever_the_budget() {
        let mut sampler = Sampler::new(rates(0), 5_000_000);
        let usual = |id| Span { duration_us: 900 + id % 100, ..span(1, id, "cart", "get") };
        for id in 1..=200 {
            assert_eq!(decide(&mut sampler, &[usual(id)], 0), None);
        }
        let failed = Span { is_error: true, ..usual(1) };
        assert_eq!(decide(&mut sampler, &[usual(1), failed], 0), Some(Reason::Error));
        // The bucket of nearly all ends at 1024.
        let slow = Span { duration_us: 1_024, ..usual(1) };
        assert_eq!(decide(&mut sampler, &[slow], 0), Some(Reason::Slow));
        assert_eq!(decide(&mut sampler, &[Span { duration_us: 1_023, ..usual(1) }], 0), None);
        let other = Span { duration_us: 5_000_000, ..span(1, 1, "cart", "put") };
        assert_eq!(decide(&mut sampler, &[other], 0), Some(Reason::Slow));
        let decided = sampler.decided();
        assert_eq!(decided.kept, BTreeMap::from([(Reason::Error, 2), (Reason::Slow, 2)]));
        assert_eq!(decided.left_out_by_service, BTreeMap::from([("cart".to_owned(), 201)]));
    }

    #[test]
    fn what_is_usual_changes() {
        let mut sampler = Sampler::new(rates(0), u64::MAX);
        let one = |duration_us| [Span { duration_us, ..span(1, 1, "a", "b") }];
        let mut kept = 0;
        for _ in 0..500 {
            decide(&mut sampler, &one(1_000), 0);
        }
        for _ in 0..500 {
            kept += u32::from(decide(&mut sampler, &one(9_000), 0).is_some());
        }
        // What was slow is usual after a look or two.
        assert!((1..=64).contains(&kept), "{kept}");
    }

    #[test]
    fn a_noisy_service_uses_up_its_own_budget() {
        let mut sampler = Sampler::new(rates(2), u64::MAX);
        let mut kept =
            |service, at_ms| decide(&mut sampler, &[span(1, 1, service, "")], at_ms).is_some();
        let noisy: usize = (0..1_000).map(|_| usize::from(kept("noisy", 0))).sum();
        assert_eq!(noisy, 20);
        assert!(kept("quiet", 0));
        assert!(!kept("noisy", 499));
        assert!(kept("noisy", 500));
        assert!(!kept("noisy", 100));
        // If everything fails, most of it is as good as any.
        let failed = [Span { is_error: true, ..span(1, 1, "broken", "") }];
        let mut strict = Sampler::new(Rates { usual: 2, special: 3 }, u64::MAX);
        let broken = (0..1_000).filter(|_| decide(&mut strict, &failed, 0).is_some()).count();
        assert_eq!(broken, 30);
        // A trace costs the service it begins in as many as it has.
        let child = |id| Span { parent: Some(1), ..span(1, id, "noisy", "") };
        let mut spans: Vec<_> = (2..=20).map(child).collect();
        spans.push(span(1, 1, "quiet", ""));
        assert_eq!(decide(&mut sampler, &spans, 0), None);
        assert_eq!(decide(&mut sampler, &spans, 500), Some(Reason::Budget));
    }
}
