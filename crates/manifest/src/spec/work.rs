//! A time that is drawn, as written: how long work takes, how patient a request is, how long a user thinks.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Duration;
use crate::meaning::defaults::{TAIL_MAX, VARIATION_MAX};

/// A time: a duration, or a distribution.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "work")]
pub(crate) enum WorkSpec {
    /// Always the same.
    Fixed(Duration),
    /// A distribution.
    Map(WorkMapSpec),
}

/// A distribution of times, told by its keys: `p50` and `p99` (lognormal), `mean` (exponential), `mean` and
/// `variation` (hyperexponential), `mean` and `shape` (gamma), `min` and `max` (uniform), `min`, `max` and `tail`
/// (Pareto), or `quantiles` (as measured).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "distribution")]
pub(crate) struct WorkMapSpec {
    /// Lognormal: half of all requests take no longer.
    #[schemars(extend("examples" = ["40ms"]))]
    pub(crate) p50: Option<Duration>,
    /// Lognormal: 99 % of all requests take no longer.
    #[schemars(extend("examples" = ["900ms"]))]
    pub(crate) p99: Option<Duration>,
    /// Exponential, hyperexponential or gamma: the mean.
    #[schemars(extend("examples" = ["20ms"]))]
    pub(crate) mean: Option<Duration>,
    /// Hyperexponential: the variance over the square of the mean; 1 is exponential.
    #[schemars(range(min = 1, max = VARIATION_MAX), extend("examples" = [4]))]
    pub(crate) variation: Option<f64>,
    /// Gamma: the square of the mean over the variance; 1 is exponential, more is more regular.
    #[schemars(range(min = 0.01, max = VARIATION_MAX), extend("examples" = [2.5]))]
    pub(crate) shape: Option<f64>,
    /// Uniform or Pareto: the shortest.
    #[schemars(extend("examples" = ["5ms"]))]
    pub(crate) min: Option<Duration>,
    /// Uniform or Pareto: the longest.
    #[schemars(extend("examples" = ["15ms"]))]
    pub(crate) max: Option<Duration>,
    /// Pareto: the tail index; the smaller, the more of the longest.
    #[schemars(range(min = 0.01, max = TAIL_MAX), extend("examples" = [1.5]))]
    pub(crate) tail: Option<f64>,
    /// As measured: times in ascending order, an equal share of all between each and the next.
    #[schemars(extend("examples" = [["1ms", "2ms", "3ms", "8ms", "40ms"]]))]
    pub(crate) quantiles: Option<Vec<Duration>>,
}
