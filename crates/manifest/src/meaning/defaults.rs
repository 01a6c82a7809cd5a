//! The defaults that `model` leaves to whoever reads the file, in one place.

use model::units::DurationText;

/// One instance, unless somebody says otherwise.
pub(crate) const REPLICAS: u32 = 1;
/// A route without a path takes every path.
pub(crate) const ROUTE_PATH: &str = "/";
/// A call is made once.
pub(crate) const CALL_TIMES: u32 = 1;
/// Calls to one service in one step; more is a mistake in the file, and would make a simulation explode.
pub(crate) const CALL_TIMES_MAX: u32 = 100;
/// Attempts after the first; more than this is a denial of service by one's own hand.
pub(crate) const RETRY_ATTEMPTS_MAX: u8 = 10;
/// The steps of a canary that says nothing: small enough to hurt few, few enough to be over soon.
pub(crate) const CANARY_STEPS_PERCENT: [u32; 3] = [5, 25, 50];
/// What a synthetic service answers its healthcheck on.
pub(crate) const BEHAVIOUR_HEALTH_PATH: &str = "/health";

/// A duration as the schema writes it.
pub(crate) fn duration(value: std::time::Duration) -> String {
    DurationText(value).to_string()
}
