//! The moments an expression is evaluated at.

use crate::parse::{At, Shift};

/// Moments that are evenly spaced; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) start_ms: i64,
    pub(super) step_ms: i64,
    pub(super) count: usize,
}

impl Grid {
    pub(super) fn last_ms(self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    fn at(self, step: usize) -> i64 {
        let steps = i64::try_from(step).unwrap_or(i64::MAX);
        self.start_ms.saturating_add(steps.saturating_mul(self.step_ms))
    }

    /// Every moment.
    pub(super) fn times(self) -> impl ExactSizeIterator<Item = i64> + Clone {
        (0..self.count).map(move |step| self.at(step))
    }

    /// The first moment alone.
    pub(super) const fn first(self) -> Self {
        Self { count: 1, ..self }
    }
}

/// The time a question is about, as it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

/// Where each moment of a grid is read: a moved grid, or the same moment again and again. `asked` is what `start()` and
/// `end()` mean.
pub(super) fn shifted(grid: Grid, shift: Shift, asked: Asked) -> Grid {
    let (start_ms, step_ms) = match shift.at {
        None => (grid.start_ms, grid.step_ms),
        Some(At::Time(at_ms)) => (at_ms, 0),
        Some(At::Start) => (asked.start_ms, 0),
        Some(At::End) => (asked.end_ms, 0),
    };
    Grid { start_ms: start_ms.saturating_sub(shift.offset_ms), step_ms, ..grid }
}
