//! Figures and how sure they are, in few characters: `12.3ms ±2%`.

use api::simulation::{Credibility, Estimate, Origin};
use model::units::DurationText;
use std::time::Duration;

use super::super::top::latency;
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::plot::number;
use crate::table::Cell;

/// How much of an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// What fits on a screen.
    Screen,
    /// Everything.
    All,
}

impl From<bool> for Extent {
    /// As the switch on the command line says.
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::Screen }
    }
}

impl Extent {
    /// How many of some lines are shown, at most.
    pub(super) const fn lines(self, on_a_screen: usize) -> usize {
        match self {
            Self::Screen => on_a_screen,
            Self::All => usize::MAX,
        }
    }
}

/// A time in milliseconds; a dash if there was nothing to measure.
pub(super) fn time(it: &Estimate) -> String {
    if it.value <= 0.0 && it.refused.is_some() {
        return "-".to_owned();
    }
    latency(Some(it.value)) + &relative(it)
}

/// So many a second.
pub(super) fn rate(it: &Estimate) -> String {
    format!("{}/s{}", number(rounded(it.value)), relative(it))
}

/// A share of a whole.
pub(super) fn share(it: &Estimate) -> String {
    let half = it.half_width.filter(|it| 0.000_005 <= *it);
    percent(it.value) + &half.map(|it| format!(" ±{}", percent(it))).unwrap_or_default()
}

/// A number without a unit.
pub(super) fn plain(it: &Estimate) -> String {
    number(rounded(it.value)) + &relative(it)
}

/// Half of the interval as a part of the figure; nothing if there is none, or none to speak of.
fn relative(it: &Estimate) -> String {
    let share = it.half_width.map(|half| 100.0 * half / it.value.abs());
    match share.filter(|it| it.is_finite() && 0.05 <= *it) {
        Some(share) if share < 9.95 => format!(" ±{share:.1}%"),
        Some(share) => format!(" ±{share:.0}%"),
        None => String::new(),
    }
}

/// Four digits: more are not known.
pub(super) fn rounded(value: f64) -> f64 {
    let size = 10_f64.powf(3.0 - value.abs().max(1e-9).log10().floor());
    (value * size).round() / size
}

/// A share with as many digits as tell it from nothing and from all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let from_end = percent.abs().min((100.0 - percent).abs());
    let text = match from_end {
        it if it < 1e-6 => format!("{percent:.0}"),
        it if it < 0.095 => format!("{percent:.3}"),
        it if it < 0.95 => format!("{percent:.2}"),
        _ => format!("{percent:.1}"),
    };
    format!("{text}%")
}

/// What a state of an objective looks like.
pub(super) fn sign(state: &str) -> Cell {
    let (sign, tone) = match state {
        "met" => ("✔", Tone::Good),
        "missed" => ("✘", Tone::Bad),
        _ => ("?", Tone::Busy),
    };
    (sign.to_owned(), tone)
}

/// What was run: `boutique: 10 times 5m, the first 20s of each not counted (mser-5)`.
pub(super) fn heading(origin: &Origin, output: &mut Output) -> Result<(), CommandError> {
    let seconds = |it: f64| {
        DurationText(Duration::from_millis(
            (Duration::from_secs_f64(it).as_millis()).try_into().unwrap_or(u64::MAX),
        ))
    };
    let name = output.paint(Tone::Strong, &origin.application);
    let counted = if 0.0 < origin.warm_up_s {
        let (time, by) = (seconds(origin.warm_up_s), &origin.warm_up_by);
        format!(", the first {time} of each not counted ({by})")
    } else {
        String::new()
    };
    let times = origin.replications;
    output.line(&format!("{name}: {times} times {}{counted}", seconds(origin.duration_s)))
}

/// Lines of one kind in what one should believe, at most; JSON has all of them.
const REASONS: usize = 3;

/// Why one should believe it, or not; what is fine is one faint line.
pub(super) fn belief(it: &Credibility, output: &mut Output) -> Result<(), CommandError> {
    reasons("✘ worth nothing: ", Tone::Bad, &it.violations, output)?;
    reasons("! no interval: ", Tone::Busy, &it.refusals, output)?;
    if it.violations.is_empty() {
        let little = percent(it.little_max_error);
        let text = format!("  nothing is lost, and Little's law holds within {little}");
        output.line(&output.paint(Tone::Faint, &text))?;
    }
    for assumption in &it.assumptions {
        output.line(&output.paint(Tone::Faint, &format!("  assumed: {assumption}")))?;
    }
    Ok(())
}

fn reasons(
    start: &str,
    tone: Tone,
    all: &[String],
    output: &mut Output,
) -> Result<(), CommandError> {
    for it in all.iter().take(REASONS) {
        output.line(&output.paint(tone, &format!("{start}{it}")))?;
    }
    match all.len().saturating_sub(REASONS) {
        0 => Ok(()),
        more => output.line(&output.paint(tone, &format!("{start}{more} more such reasons"))),
    }
}

/// What makes the same again.
pub(super) fn footer(origin: &Origin, output: &mut Output) -> Result<(), CommandError> {
    output.line("")?;
    #[expect(clippy::cast_precision_loss, reason = "a number of events, to three digits")]
    let events = number(origin.events as f64);
    let text = format!("model {} · outcome {} · {events} events", origin.model, origin.digest);
    output.line(&output.paint(Tone::Faint, &text))?;
    output.line(&output.paint(Tone::Faint, &format!("again: {}", origin.command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let of = |value, half| Estimate { value, half_width: Some(half), refused: None };
        assert_eq!(time(&of(12.345, 0.5)), "12.3ms ±4.1%");
        assert_eq!(time(&of(12.345, 0.000_1)), "12.3ms");
        assert_eq!(time(&Estimate { refused: Some("none".to_owned()), ..of(0.0, 0.0) }), "-");
        assert_eq!(rate(&of(1_234.56, 200.0)), "1235/s ±16%");
        assert_eq!(rate(&of(0.012_345, 0.0)), "0.0123/s");
        assert_eq!(share(&of(0.999_43, 0.000_12)), "99.943% ±0.012%");
        assert_eq!(share(&of(1.0, 0.0)), "100%");
        assert_eq!(plain(&of(1.034_56, 0.01)), "1.035 ±1.0%");
        assert_eq!(percent(0.0), "0%");
        assert_eq!(percent(0.5), "50.0%");
        assert_eq!(percent(0.999_996), "100.000%");
    }
}
