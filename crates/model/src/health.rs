//! How it is found out whether an instance can do its work.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::template::Template;
use crate::units::duration;

/// A check that is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is tried.
    #[serde(flatten)]
    pub probe: Probe,
    /// Time between two tries of a started instance.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Time after which a try has failed.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Time after the start in which failures do not count.
    #[serde(with = "duration")]
    pub start_period: Duration,
    /// Failures in a row that make a verdict, at least 1.
    pub retries: u32,
}

/// Compose's default for `healthcheck.interval` is 30 s; a router needs to know sooner.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
/// Time a try may take if nobody says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// Time a start may take if nobody says otherwise.
pub const START_PERIOD_DEFAULT: Duration = Duration::from_secs(20);
/// Failures in a row that make an instance unready, as in Compose.
pub const RETRIES_DEFAULT: u32 = 3;
/// Liveness needs this many times the failures of readiness, where only `healthcheck` is given: to
/// be left alone for a while is a milder measure than to be killed.
pub const LIVENESS_RETRIES_FACTOR: u32 = 3;

impl Check {
    /// A check of `probe` with every default.
    pub const fn new(probe: Probe) -> Self {
        Self {
            probe,
            interval: INTERVAL_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            start_period: START_PERIOD_DEFAULT,
            retries: RETRIES_DEFAULT,
        }
    }
}

/// One way to ask an instance how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// GET this path on its port; a status of 200 to 399 is healthy.
    Http(String),
    /// Connect to its port.
    Tcp,
    /// Run this command beside it; exit code 0 is healthy.
    Command(Vec<Template>),
}

/// The checks of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether an instance can take requests. Without a check it can when it has
    /// not ended within the first second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Check>,
    /// Whether an instance must be replaced. Without a check it is only replaced when it exits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Check>,
}

impl Health {
    /// Whether a check asks at the instance's port, so that it listens there.
    pub fn asks_its_port(&self) -> bool {
        let checks = [&self.readiness, &self.liveness].into_iter().flatten();
        checks.into_iter().any(|it| !matches!(it.probe, Probe::Command(_)))
    }
}
