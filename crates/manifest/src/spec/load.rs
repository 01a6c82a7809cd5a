//! Who uses an application, as written.

use std::borrow::Cow;
use std::time::Duration;

use model::profile::{Profile, SEGMENT_MAX};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::{Duration as DurationSpec, PrioritySpec, Rate, ResilienceSpec, Size, WorkSpec};
use crate::meaning::defaults::{USERS_MAX, WEIGHT_MAX};

/// People, or programs, who send requests from outside: at a `load`, or as so many `users` who wait for answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "users")]
pub(crate) struct UsersSpec {
    /// What they are called in reports.
    #[schemars(extend("default" = "users", "examples" = ["shoppers"]))]
    pub(crate) name: Option<String>,
    /// Requests a second, whatever becomes of earlier ones: a rate, ramps, or a curve. Where it ends, the last rate
    /// goes on.
    #[schemars(extend("examples" = ["100/s", "50/s..200/s in 10m", {"low": "50/s", "high": "200/s", "period": "24h"}]))]
    pub(crate) load: Option<LoadSpec>,
    /// How many they are, each of whom waits for an answer, thinks, and sends again.
    #[schemars(range(min = 1, max = USERS_MAX), extend("examples" = [500]))]
    pub(crate) users: Option<u32>,
    /// How long each of `users` thinks: a duration, or a distribution.
    #[schemars(extend("default" = "0s", "examples" = [{"min": "1s", "max": "10s"}]))]
    pub(crate) think: Option<WorkSpec>,
    /// The only service they send to.
    #[schemars(extend("examples" = ["frontend"]))]
    pub(crate) to: Option<String>,
    /// What they send, if it is of several kinds.
    #[schemars(extend("examples" = [[{"service": "home", "weight": 9}, {"service": "checkout"}]]))]
    pub(crate) requests: Option<Vec<EntrySpec>>,
    /// The way in.
    #[schemars(extend("default" = "gateway", "examples" = ["direct"]))]
    pub(crate) door: Option<DoorSpec>,
    /// What they do when a request fails. Without it they give up.
    #[schemars(extend("examples" = [{"attempts": 3, "pause": "1s"}]))]
    pub(crate) again: Option<AgainSpec>,
}

/// Requests a second over time: a text, or a curve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "load")]
pub(crate) enum LoadSpec {
    /// A rate such as `100/s`, or parts such as `50/s for 1m, 50/s..200/s in 10m`.
    Text(LoadText),
    /// A curve.
    Map(CurveSpec),
}

/// A load over time on one line.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct LoadText(pub(crate) String);

impl JsonSchema for LoadText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("load-text")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-kind": "load"})
    }
}

/// Reads `100/s`, `10/s..500/s`, or parts such as `50/s for 1m, 50/s..200/s in 10m`. What says of no time
/// takes the `whole`.
pub(crate) fn profile(text: &str, whole: Duration) -> Result<Profile, String> {
    let timed = text.contains(',') || text.contains(" for ") || text.contains(" in ");
    let whole = whole.min(SEGMENT_MAX);
    let read = if timed { text.parse() } else { Profile::parse_rate(text, whole) };
    read.map_err(|it| model::chain(&it))
}

/// A load that comes again: between `low` and `high` in each `period` as over a day, or a `burst` over a `base` once
/// in `every`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "load-curve")]
pub(crate) struct CurveSpec {
    /// The lowest rate of a period.
    #[schemars(extend("examples" = ["50/s"]))]
    pub(crate) low: Option<Rate>,
    /// The highest rate of a period.
    #[schemars(extend("examples" = ["200/s"]))]
    pub(crate) high: Option<Rate>,
    /// How long a period is.
    #[schemars(extend("examples" = ["24h"]))]
    pub(crate) period: Option<DurationSpec>,
    /// When in a period the rate is highest; in its middle without it.
    #[schemars(extend("examples" = ["20h"]))]
    pub(crate) peak: Option<DurationSpec>,
    /// The rate between bursts.
    #[schemars(extend("examples" = ["100/s"]))]
    pub(crate) base: Option<Rate>,
    /// The rate in a burst.
    #[schemars(extend("examples" = ["1000/s"]))]
    pub(crate) burst: Option<Rate>,
    /// Time from the beginning of one burst to that of the next.
    #[schemars(extend("examples" = ["1m"]))]
    pub(crate) every: Option<DurationSpec>,
    /// How long a burst is.
    #[serde(rename = "for")]
    #[schemars(extend("examples" = ["5s"]))]
    pub(crate) lasts: Option<DurationSpec>,
}

/// One kind of request from outside.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "entry")]
pub(crate) struct EntrySpec {
    /// The service it goes to.
    #[schemars(required, extend("examples" = ["frontend"]))]
    pub(crate) service: Option<String>,
    /// How often, beside the others.
    #[schemars(range(min = 1, max = WEIGHT_MAX), extend("default" = 1, "examples" = [9]))]
    pub(crate) weight: Option<u32>,
    /// Size of its body; without one it is a GET.
    #[schemars(extend("default" = "0B", "examples" = ["2KiB"]))]
    pub(crate) request: Option<Size>,
    /// What goes first when there is too much; that of the service's route without it.
    #[schemars(extend("examples" = ["critical"]))]
    pub(crate) priority: Option<PrioritySpec>,
    /// The policy of the edge from outside, over that of the service's route.
    #[schemars(extend("examples" = [{"timeout": "3s"}]))]
    pub(crate) resilience: Option<ResilienceSpec>,
}

/// The way in from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "door")]
pub(crate) enum DoorSpec {
    /// Through the gateway, with its balancing and its policy.
    Gateway,
    /// To an instance drawn at random, without policy, network or time limit: textbook queues.
    Direct,
}

/// What users do when a request fails.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "again")]
pub(crate) struct AgainSpec {
    /// How often they try again at most. Without it, for ever.
    #[schemars(range(min = 1), extend("examples" = [3]))]
    pub(crate) attempts: Option<u32>,
    /// How long they wait before: a duration, or a distribution.
    #[schemars(required, extend("examples" = ["1s", {"mean": "5s"}]))]
    pub(crate) pause: Option<WorkSpec>,
}
