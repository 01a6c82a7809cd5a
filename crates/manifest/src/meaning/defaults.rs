//! The defaults that `model` leaves to whoever reads the file, in one place.

use model::units::{DurationText, Share};

/// One instance, unless somebody says otherwise.
pub(crate) const REPLICAS: u32 = 1;
/// A route without a path takes every path.
pub(crate) const ROUTE_PATH: &str = "/";
/// A call is made once.
pub(crate) const CALL_TIMES: u32 = 1;
/// Calls to one service in one step; more is a mistake in the file, and would make a simulation explode.
pub(crate) const CALL_TIMES_MAX: u32 = 100;
/// Copies of what a store keeps; more cost every write more than any failure would.
pub(crate) const COPIES_MAX: u32 = 100;
/// Squares of variation, and shapes: beyond this a mean says nothing, or is all there is.
pub(crate) const VARIATION_MAX: u32 = 10_000;
/// Tail indexes: from here on everything is as short as it can be.
pub(crate) const TAIL_MAX: u32 = 100;
/// Instances of a service that are simulated, and requests that come at one moment.
pub(crate) const INSTANCES_MAX: u32 = 1_000_000;
/// Zones: three in each region of the largest clouds.
pub(crate) const ZONES_MAX: u32 = 300;
/// Cores of a data plane that decide each by itself.
pub(crate) const WORKERS_MAX: u32 = 64;
/// Users who wait and think: each is kept in memory.
pub(crate) const USERS_MAX: u32 = 10_000_000;
/// Weight of a kind of request beside others.
pub(crate) const WEIGHT_MAX: u32 = 1_000_000;
/// How many times as long, or as much: beyond this nothing is left.
pub(crate) const FACTOR_MAX: u32 = 1_000_000;
/// Parts of a load: a year by the hour, or bursts for a day every twenty seconds.
pub(crate) const LOAD_PARTS_MAX: usize = 10_000;
/// Attempts after the first; more than this is a denial of service by one's own hand.
pub(crate) const RETRY_ATTEMPTS_MAX: u8 = 10;
/// Places in a queue; as many requests as wait longer than anybody would.
pub(crate) const QUEUE_LENGTH_MAX: u32 = 100_000;
/// How many times slower than its peers an instance may be; beyond this nothing is ever ejected.
pub(crate) const SLOWER_THAN_MAX: u32 = 1_000;
/// A second request is for the slowest twentieth, as in Dean and Barroso, "The tail at scale" (2013).
pub(crate) const HEDGE_AFTER: Share = Share::from_percent(95);
/// Second requests: as many as there are in that twentieth.
pub(crate) const HEDGE_BUDGET: Share = Share::from_percent(5);
/// A redirect keeps the method, and is not remembered for good.
pub(crate) const REDIRECT_STATUS: u16 = 307;

/// A duration as the schema writes it.
pub(crate) fn duration(value: std::time::Duration) -> String {
    DurationText(value).to_string()
}
