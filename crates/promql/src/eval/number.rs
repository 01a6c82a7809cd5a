//! Arithmetic as Go and Prometheus do it, where Rust does otherwise.

/// A sum that keeps what rounding takes away (Neumaier's form of Kahan's).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) sum: f64,
    pub(super) carry: f64,
}

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        if total.is_infinite() {
            self.carry = 0.0;
        } else if value.abs() <= self.sum.abs() {
            self.carry += (self.sum - total) + value;
        } else {
            self.carry += (value - total) + self.sum;
        }
        self.sum = total;
    }

    pub(super) fn total(self) -> f64 {
        self.sum + self.carry
    }

    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = Self::default();
        for value in values {
            sum.add(value);
        }
        sum
    }
}

/// A mean that does not overflow: it sums while that goes well, and from then on moves the mean.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    sum: Sum,
    count: f64,
    moving: bool,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.moving {
            let mut next = self.sum;
            next.add(value);
            if self.count < 1.5 || !next.sum.is_infinite() {
                self.sum = next;
                return;
            }
            self.moving = true;
            let before = self.count - 1.0;
            self.sum = Sum { sum: self.sum.sum / before, carry: self.sum.carry / before };
        }
        let mean = self.sum.sum;
        let same_sign = mean.is_sign_positive() == value.is_sign_positive();
        if mean.is_infinite() && ((value.is_infinite() && same_sign) || value.is_finite()) {
            return;
        }
        let kept = (self.count - 1.0) / self.count;
        self.sum = Sum { sum: mean * kept, carry: self.sum.carry * kept };
        self.sum.add(value / self.count);
    }

    pub(super) fn mean(self) -> f64 {
        if self.moving {
            return self.sum.total();
        }
        self.sum.sum / self.count + self.sum.carry / self.count
    }

    pub(super) fn is_empty(self) -> bool {
        self.count < 0.5
    }
}

/// Spread around a mean, in one pass (Welford's).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Spread {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.total();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.total()));
    }

    pub(super) fn variance(self) -> f64 {
        self.squares.total() / self.count
    }

    pub(super) fn is_empty(self) -> bool {
        self.count < 0.5
    }
}

/// The greater; not-a-number if one is, unless the other is infinite.
pub(super) fn greater(left: f64, right: f64) -> f64 {
    if left == f64::INFINITY || right == f64::INFINITY {
        f64::INFINITY
    } else if left.is_nan() || right.is_nan() {
        f64::NAN
    } else {
        left.max(right)
    }
}

/// The lesser, likewise.
pub(super) fn lesser(left: f64, right: f64) -> f64 {
    -greater(-left, -right)
}

/// Seconds of a moment or a duration.
#[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^53 for 285 000 years")]
pub(super) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// A number of things.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 things fit in memory")]
pub(super) fn count(things: usize) -> f64 {
    things as f64
}

/// The value below which a share of the values is; sorts them.
pub(super) fn quantile(share: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if 1.0 < share {
        return f64::INFINITY;
    }
    values.sort_by(|a, b| nan_first(*a, *b));
    let last = values.len() - 1;
    let rank = share * count(last);
    let lower = index(rank.floor()).min(last);
    let weight = rank - rank.floor();
    let value = |place: usize| values.get(place.min(last)).copied().unwrap_or(f64::NAN);
    value(lower) * (1.0 - weight) + value(lower + 1) * weight
}

/// A place in a list, of a number that is not negative.
#[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
#[expect(clippy::cast_sign_loss, reason = "casts of floats saturate")]
pub(super) const fn index(number: f64) -> usize {
    number as usize
}

/// Ascending, with what is no number before all numbers.
pub(super) fn nan_first(left: f64, right: f64) -> std::cmp::Ordering {
    right
        .is_nan()
        .cmp(&left.is_nan())
        .then(left.partial_cmp(&right).unwrap_or(std::cmp::Ordering::Equal))
}
