//! The reasons of verdicts, as people read them.

use std::time::Duration;

use model::Timestamp;
use model::rollout::THRESHOLDS;
use world::rollout::{Counts, Rollout};

use super::evidence::float;
use super::{Comparison, InStep, Metric, share};

/// What of the old release the thresholds go by.
const NAMES: [&str; THRESHOLDS] = [
    "median",
    "95th percentile",
    "99th percentile",
    "99th percentile, and half as much,",
    "99th percentile, three times,",
];

pub(super) fn guardrail(rollout: &Rollout, new: &Counts) -> String {
    let Counts { errors, requests, .. } = *new;
    format!("{errors} of the last {requests} requests to {} failed", rollout.to)
}

/// Why a release is rejected.
pub(super) fn worse(rollout: &Rollout, it: &Comparison) -> String {
    let allowed = rollout.update.analysis.max_ratio;
    let times = match it.ratio {
        Some(ratio) => format!("{ratio:.1} times as often as with {}", rollout.from),
        None => format!("and with {} they do not", rollout.from),
    };
    let counts =
        format!("{} of {} against {} of {}", percent(it.new), it.new.0, percent(it.old), it.old.0);
    format!(
        "{} {times} ({counts}; at least {:.1} times, and {allowed} times is allowed)",
        subject(rollout, it.metric),
        it.at_least.max(allowed)
    )
}

/// What requests do that are bad.
fn subject(rollout: &Rollout, metric: Metric) -> String {
    match metric {
        Metric::Errors => "requests fail".to_owned(),
        Metric::Latency(place) => {
            let name = NAMES.get(place).unwrap_or(&"");
            let limits = rollout.thresholds.map(|it| it.latency_us).unwrap_or_default();
            let limit = limits.get(place).copied().unwrap_or_default();
            let (limit, from) = (millis(limit), rollout.from);
            format!("requests are slower than {limit} (what {from}'s {name} allows)")
        }
    }
}

fn millis(micros: u64) -> String {
    let millis = float(micros) / 1e3;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

fn percent((requests, bad): (u64, u64)) -> String {
    format!("{:.2} %", share(bad, requests) * 100.0)
}

pub(super) fn misshared(rollout: &Rollout, actual: f64) -> String {
    format!(
        "{:.1} % of requests came to {} instead of {}: what is compared is not alike; look whether its \
         instances are ejected, or callers keep to some",
        actual * 100.0,
        rollout.to,
        rollout.share(rollout.step())
    )
}

/// What speaks for a release, and what its step still lacks.
pub(super) fn good(
    rollout: &Rollout,
    errors: &Comparison,
    p95: Option<&Comparison>,
    (left, lacking): (Duration, u64),
) -> String {
    let no_more = |it: &Comparison| match it.at_most {
        Some(most) => format!("at most {most:.1} times as often"),
        None => format!("{} of {}", it.new.1, it.new.0),
    };
    let latency = match p95 {
        Some(it) => format!("slow {}", no_more(it)),
        None => "latency was not compared, for want of requests before".to_owned(),
    };
    let known = format!("requests fail {}; {latency}", no_more(errors));
    let rest = match (left.is_zero(), lacking) {
        (true, 0) => String::new(),
        (false, 0) => format!("; the step takes {}", more(left)),
        (_, lacking) => format!("; the step takes {lacking} more requests to {}", rollout.to),
    };
    known + &rest
}

pub(super) fn undecided(rollout: &Rollout, here: &InStep, latency: Option<&Comparison>) -> String {
    let limit = time(rollout.update.analysis.max_duration);
    let (old, new) = (here.old.requests, here.new.requests);
    let of = match new {
        0 => format!("no request came to {}", rollout.to),
        _ if latency.is_some() => {
            format!(
                "{new} requests to {} and {old} to {} are too few to tell",
                rollout.to, rollout.from
            )
        }
        _ => format!(
            "{new} requests to {} and {old} to {} are too few to tell, and latency was not compared",
            rollout.to, rollout.from
        ),
    };
    format!("{of} within {limit}")
}

/// What a verdict waits for.
pub(super) fn waits(
    rollout: &Rollout,
    here: &InStep,
    expected: Option<f64>,
    now: Timestamp,
) -> String {
    let waited = now.since(rollout.stage_since);
    let warm_up = rollout.update.analysis.warm_up;
    if waited < warm_up {
        return format!("warms up for {}", more(warm_up.saturating_sub(waited)));
    }
    let requests = here.old.requests + here.new.requests;
    let judged = waited.saturating_sub(warm_up).as_secs_f64();
    let (Some(expected), true) = (expected, 0 < requests) else {
        return "no request has been judged yet".to_owned();
    };
    let rate = float(requests) / judged;
    let left = rollout.update.analysis.max_duration.saturating_sub(waited);
    let expected = Duration::from_secs_f64(expected.min(1e9));
    if left < expected {
        return format!(
            "at {rate:.0} requests/s it is not to be decided within {}: that takes about {}",
            time(left),
            time(expected)
        );
    }
    format!("about {} at {rate:.0} requests/s", more(expected))
}

/// A time as people say it: `40 seconds`, `6 minutes`.
fn time(time: Duration) -> String {
    let (count, unit) = in_units(time);
    format!("{count} {unit}")
}

/// A time that is still to come: `40 more seconds`.
fn more(time: Duration) -> String {
    let (count, unit) = in_units(time);
    format!("{count} more {unit}")
}

fn in_units(time: Duration) -> (u64, &'static str) {
    let seconds = time.as_secs() + u64::from(0 < time.subsec_nanos());
    match seconds {
        1 => (1, "second"),
        0..=90 => (seconds, "seconds"),
        91..=5_400 => (seconds.div_ceil(60), "minutes"),
        _ => (seconds.div_ceil(3_600), "hours"),
    }
}
