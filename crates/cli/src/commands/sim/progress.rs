//! How far a question is: one line on standard error, redrawn, where a person is looking.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;
use model::units::DurationText;
use simulator::Go;
use simulator::questions::{Progress, QuestionError};

use crate::error::CommandError;
use crate::{Context, visible};

/// Time before anything is shown: what is over by then needs no progress.
const QUIET: Duration = Duration::from_millis(500);
/// Time from one drawing to the next.
const REDRAW: Duration = Duration::from_millis(200);
/// Columns of the bar.
const BAR: usize = 24;

/// What shows how far a question is.
pub(super) struct Meter {
    now: fn() -> Timestamp,
    began: Timestamp,
    is_shown: bool,
    drawn: Mutex<Option<Timestamp>>,
}

impl Meter {
    pub(super) fn new(context: &Context) -> Self {
        let is_dumb = context.environment.get("TERM").is_some_and(|it| it == "dumb");
        Self {
            now: context.now,
            began: (context.now)(),
            is_shown: io::stderr().is_terminal() && !is_dumb,
            drawn: Mutex::new(None),
        }
    }

    /// Shows how far it is, and goes on.
    pub(super) fn tell(&self, progress: Progress<'_>) -> Go {
        if !self.is_shown {
            return Go::On;
        }
        let now = (self.now)();
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = match *drawn {
            None => QUIET <= now.since(self.began),
            Some(last) => REDRAW <= now.since(last),
        };
        if is_due {
            *drawn = Some(now);
            let line = line(progress, now.since(self.began));
            let line = visible::line(&line);
            // Progress that cannot be shown changes nothing about the answer.
            drop(write!(io::stderr(), "\r\u{1b}[2K{line}"));
        }
        Go::On
    }

    /// Takes the line away, and returns what was found.
    pub(super) fn end<T>(self, found: Result<T, QuestionError>) -> Result<T, CommandError> {
        let drawn = self.drawn.into_inner().unwrap_or_else(PoisonError::into_inner);
        if drawn.is_some() {
            drop(write!(io::stderr(), "\r\u{1b}[2K"));
        }
        Ok(found?)
    }
}

/// `██████░░░░ 62 %, 12s left: playing`.
fn line(progress: Progress<'_>, taken: Duration) -> String {
    let done = progress.done.clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a few dozen columns"
    )]
    let full = (done * BAR as f64).round() as usize;
    let bar = "█".repeat(full) + &"░".repeat(BAR.saturating_sub(full));
    // Of what has hardly begun nobody knows how long it takes.
    let left = (0.02 < done).then(|| taken.as_secs_f64() * (1.0 - done) / done);
    let left =
        left.map(|it| Duration::from_secs(Duration::from_secs_f64(it.min(1e9)).as_secs() + 1));
    let left = left.map(|it| format!(", {} left", DurationText(it))).unwrap_or_default();
    format!("{bar} {:.0} %{left}: {}", done * 100.0, progress.doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_and_how_long() {
        let check = |done, taken, expected: &str| {
            let progress = Progress { done, doing: "playing" };
            assert_eq!(line(progress, Duration::from_secs(taken)), expected);
        };
        check(0.0, 0, "░░░░░░░░░░░░░░░░░░░░░░░░ 0 %: playing");
        check(0.25, 30, "██████░░░░░░░░░░░░░░░░░░ 25 %, 1m31s left: playing");
        check(1.0, 30, "████████████████████████ 100 %, 1s left: playing");
    }
}
