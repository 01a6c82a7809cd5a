//! Expressions: at one moment, at many, and the exemplars of what is in them.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use host::Clock;
use model::Instant;
use promql::eval::{self, Answer, Context, EvalError, Steps, Stop};
use telemetry::Stores;
use telemetry::metrics::exemplars::Exemplar;

use super::Shared;
use super::answer::{JSON, Refused, enclosed, labels, list, number, quote, result, success, time};
use super::asked::Asked;
use super::delivery::{Pieces, Wanted};

/// Time a question may take if it does not say another; Prometheus' default.
const TIMEOUT: Duration = Duration::from_mins(2);

/// When to stop working on a question: nobody waits for it, or it has taken too long.
#[derive(Debug)]
struct Watch {
    clock: Clock,
    until: Instant,
}

impl Watch {
    fn begin(clock: Clock, asked: &Asked) -> Result<Self, Refused> {
        let timeout_ms = asked.duration_ms("timeout")?;
        let timeout = timeout_ms.and_then(|it| u64::try_from(it).ok()).map(Duration::from_millis);
        let until = clock.now().after(timeout.unwrap_or(TIMEOUT).min(TIMEOUT));
        Ok(Self { clock, until })
    }

    fn stop(&self, wanted: &Wanted) -> Option<Stop> {
        if !wanted.is() {
            return Some(Stop::Canceled);
        }
        (self.until < self.clock.now()).then_some(Stop::TimedOut)
    }
}

fn limits(asked: &Asked) -> Result<eval::Limits, Refused> {
    let usual = eval::Limits::default();
    let lookback_ms = asked.duration_ms("lookback_delta")?.unwrap_or(usual.lookback_ms);
    Ok(eval::Limits { lookback_ms, ..usual })
}

pub(super) async fn instant(
    State(shared): State<Shared>,
    asked: Asked,
) -> Result<Response, Refused> {
    let expression = asked.expression()?;
    let now = shared.clock.timestamp().as_signed_millis();
    let at_ms = asked.time("time")?.unwrap_or(now);
    let evaluate = move |context: &Context<'_>| eval::instant(&expression, at_ms, context);
    evaluated(&shared, &asked, at_ms, evaluate).await
}

pub(super) async fn range(State(shared): State<Shared>, asked: Asked) -> Result<Response, Refused> {
    let (start_ms, end_ms) = (asked.time_of("start")?, asked.time_of("end")?);
    if end_ms < start_ms {
        let message = "invalid parameter \"end\": end timestamp must not be before start time";
        return Err(Refused::bad_data(message));
    }
    let step_ms = asked.duration_ms("step")?.unwrap_or(0);
    if step_ms <= 0 {
        let message = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Refused::bad_data(message));
    }
    let expression = asked.expression()?;
    let steps = Steps { start_ms, end_ms, step_ms };
    let evaluate = move |context: &Context<'_>| eval::range(&expression, steps, context);
    evaluated(&shared, &asked, start_ms, evaluate).await
}

/// Evaluates over the store, within the limits that are asked for, and for as long as somebody waits.
async fn evaluated(
    shared: &Shared,
    asked: &Asked,
    at_ms: i64,
    evaluate: impl FnOnce(&Context<'_>) -> Result<Answer, EvalError> + Send + 'static,
) -> Result<Response, Refused> {
    let limits = limits(asked)?;
    let watch = Watch::begin(shared.clock, asked)?;
    let find = move |stores: &Stores, wanted: &Wanted| {
        let stop = || watch.stop(wanted);
        Ok(evaluate(&Context { source: &stores.metrics, limits, stop: &stop })?)
    };
    shared
        .deliver(JSON, find, move |answer, pieces| {
            enclosed(pieces, |pieces| result(pieces, answer, at_ms))
        })
        .await
}

pub(super) async fn format(asked: Asked) -> Result<Response, Refused> {
    let mut text = String::new();
    quote(&mut text, &asked.expression()?.pretty());
    Ok(success(&text))
}

/// The exemplars of every selector in an expression.
pub(super) async fn exemplars(
    State(shared): State<Shared>,
    asked: Asked,
) -> Result<Response, Refused> {
    let range = (asked.time_of("start")?, asked.time_of("end")?);
    let expression = asked.expression()?;
    let find = move |stores: &Stores, _: &Wanted| {
        let selectors = expression.selectors().into_iter();
        let mut found: Vec<_> =
            selectors.flat_map(|it| stores.metrics.exemplars.find(&it.matchers, range)).collect();
        found.sort_by(|a, b| (&a.series, a.at_ms).cmp(&(&b.series, b.at_ms)));
        found.dedup();
        Ok(found)
    };
    let write = |pieces: &mut Pieces, same: &[Exemplar]| {
        pieces.text.push_str("{\"seriesLabels\":");
        if let Some(first) = same.first() {
            labels(&mut pieces.text, &first.series);
        }
        pieces.text.push_str(",\"exemplars\":");
        list(pieces, same.iter(), |pieces, it| {
            pieces.text.push_str("{\"labels\":");
            labels(&mut pieces.text, &it.labels);
            pieces.text.push_str(",\"value\":\"");
            number(&mut pieces.text, it.value);
            pieces.text.push_str("\",\"timestamp\":");
            time(&mut pieces.text, it.at_ms);
            pieces.text.push('}');
            Ok(())
        })?;
        pieces.text.push('}');
        Ok(())
    };
    shared
        .deliver(JSON, find, move |found, pieces| {
            let by_series = found.chunk_by(|a, b| a.series == b.series);
            enclosed(pieces, |pieces| list(pieces, by_series, write))
        })
        .await
}
