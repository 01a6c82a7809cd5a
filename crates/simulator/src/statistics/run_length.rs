//! How long a run must be before an interval of it means something.
//!
//! A queue forgets slowly: near saturation its ups and downs last so long that a run which sees few of them is not a
//! sample of anything, and the replications agree on a wrong number. The yardstick is the queue whose answer is known:
//! as many workers as one instance has, random (Poisson) arrivals, exponential work. The variance of the mean number over a long
//! time is then that of a birth and death process (Burman 1980; Whitt, "Asymptotic formulas for Markov processes with
//! applications to simulation", 1992):
//!
//! ```text
//! s^2 = 2 sum_j (sum_{i<=j} (i - L) p_i)^2 / (l p_j),    T = s^2 (z / (e L))^2
//! ```
//!
//! For one worker that is `2 (1 + u) z^2 / (u (1 - u)^2 e^2)` times as long as a piece of work, in which `l T` requests are served.
//! Instances of a service count together: that many queues side by side are seen that much more often.

/// The relative error of the mean number present that a run must allow for: 5 %, either way.
pub const PRECISION: f64 = 0.05;

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// From here on a station counts as saturated: the run would need more than a thousand million services.
const UTILISATION_MAX: f64 = 0.998;
/// States beyond which the tail is left out, as a share of all: what is left changes the answer by less than that.
const TAIL: f64 = 1e-14;
/// Workers of one queue that are reckoned with: more wait so rarely that more make no difference.
const WORKERS_MAX: f64 = 10_000.0;

/// How long a run of a station must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunLength {
    /// So long.
    Needed {
        /// How many times as long as a piece of work.
        work_times: f64,
        /// Requests that are served meanwhile: by all instances in all replications together.
        requests: f64,
    },
    /// No length is enough: more comes in than can be done, or nearly.
    Saturated,
}

/// How long a run must be for an interval, where each instance has so many workers (at least 1, possibly a mean) of which such a share
/// is busy.
pub fn run_length(workers: f64, utilisation: f64) -> RunLength {
    if UTILISATION_MAX < utilisation || utilisation.is_nan() {
        return RunLength::Saturated;
    }
    let workers = workers.clamp(1.0, WORKERS_MAX);
    let offered = utilisation.max(f64::MIN_POSITIVE) * workers;
    if offered < TAIL {
        return RunLength::Needed { work_times: 0.0, requests: 0.0 };
    }
    let states = states(workers, offered);
    let total: f64 = states.iter().sum();
    let weighted = states.iter().zip(0_u32..).map(|(weight, number)| weight * f64::from(number));
    let mean = weighted.sum::<f64>() / total;
    let (mut below, mut sum) = (0.0, 0.0);
    for (weight, number) in states.iter().zip(0_u32..) {
        let probability = weight / total;
        below += (f64::from(number) - mean) * probability;
        if f64::MIN_POSITIVE < probability {
            sum += below * below / probability;
        }
    }
    // With work of length 1 the arrival rate is what is offered.
    let requests = 2.0 * sum * (Z / (PRECISION * mean)) * (Z / (PRECISION * mean));
    RunLength::Needed { work_times: requests / offered, requests }
}

/// The weights of the states of the queue, from none present on, up to where the rest does not matter.
fn states(workers: f64, offered: f64) -> Vec<f64> {
    let mut weights = vec![1.0];
    let (mut weight, mut total, mut number) = (1.0, 1.0, 0.0);
    // What is left above a state shrinks by the utilisation from one to the next, and the sum squares the distance to the mean.
    let share_left = 1.0 - offered / workers;
    loop {
        number += 1.0;
        weight *= offered / workers.min(number);
        total += weight;
        weights.push(weight);
        if offered < number && weight * number * number < TAIL * total * share_left {
            return weights;
        }
        // Weights of a large pool grow beyond any number before they shrink; only their ratios matter.
        if 1e200 < weight {
            for it in &mut weights {
                *it /= 1e200;
            }
            weight /= 1e200;
            total /= 1e200;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(workers: f64, utilisation: f64) -> (f64, f64) {
        match run_length(workers, utilisation) {
            RunLength::Needed { work_times, requests } => (work_times, requests),
            RunLength::Saturated => panic!("saturated"),
        }
    }

    #[test]
    fn one_worker_needs_what_is_published() {
        for (utilisation, published) in [(0.5, 36.9e3), (0.8, 173e3), (0.9, 649e3), (0.95, 2.52e6)]
        {
            let (found, requests) = needed(1.0, utilisation);
            assert!((found / published - 1.0).abs() < 0.005, "{utilisation}: {found}");
            let rest = 1.0 - utilisation;
            let exact = 2.0 * (1.0 + utilisation) * Z * Z
                / (utilisation * rest * rest * PRECISION * PRECISION);
            assert!((found / exact - 1.0).abs() < 1e-6, "{utilisation}: {found}, exactly {exact}");
            assert!((requests / (utilisation * exact) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn many_workers_need_less_and_nobody_less_than_work_itself_does() {
        // Without any waiting the number present is Poisson's, and 2 z^2 / e^2 requests are enough.
        let least = 2.0 * Z * Z / (PRECISION * PRECISION);
        assert!((needed(1_000.0, 0.3).1 / least - 1.0).abs() < 1e-6);
        let mut before = f64::INFINITY;
        for workers in [1.0, 2.0, 4.0, 16.0, 64.0, 256.0] {
            let found = needed(workers, 0.9).1;
            assert!(found < before && least <= found, "{workers}: {found}");
            before = found;
        }
    }

    #[test]
    fn extremes_end() {
        assert_eq!(run_length(1.0, 0.999), RunLength::Saturated);
        assert_eq!(run_length(4.0, f64::NAN), RunLength::Saturated);
        assert_eq!(needed(1.0, 0.0), (0.0, 0.0));
        assert!(needed(10_000.0, 0.998).1.is_finite());
        assert!(needed(0.5, 0.9).1.is_finite() && needed(1e9, 0.5).1.is_finite());
    }
}
