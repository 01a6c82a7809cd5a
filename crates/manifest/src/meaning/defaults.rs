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
/// What a synthetic service answers its healthcheck on.
pub(crate) const BEHAVIOUR_HEALTH_PATH: &str = "/health";

/// A duration as the schema writes it.
pub(crate) fn duration(value: std::time::Duration) -> String {
    DurationText(value).to_string()
}
