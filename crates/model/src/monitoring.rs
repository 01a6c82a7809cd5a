//! What is watched of an application beyond what crosses the mesh: metrics its services expose, and rules over all
//! metrics.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::PortName;
use crate::units::duration;

/// Time between two scrapes if nobody says otherwise: Prometheus' default is a minute, which is long for a laptop, and
/// its users' usual choice is this.
pub const SCRAPE_INTERVAL_DEFAULT: Duration = Duration::from_secs(15);
/// The shortest time between two scrapes.
pub const SCRAPE_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Files of rules an application may have.
pub const RULE_FILES_MAX: usize = 50;

/// Where instances of a service expose their metrics, as Prometheus' text or as OpenMetrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposition {
    /// The path, with its query.
    pub path: String,
    /// The port; the one of its requests if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<ExposedPort>,
    /// Time between two scrapes.
    #[serde(with = "duration")]
    pub interval: Duration,
}

/// A port that is not the one of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ExposedPort {
    /// This one, which the program chose itself.
    Number(u16),
    /// One of the service's further ports.
    Name(PortName),
}

/// Rules over metrics, in Prometheus' format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The files.
    pub files: Vec<RuleFile>,
    /// Who is told when an alert begins to fire and when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

impl Rules {
    /// Whether nothing is said.
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty() && self.webhook.is_none()
    }
}

/// A file of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFile {
    /// Its name as written, relative to the manifest's folder.
    pub name: String,
    /// What stands in it.
    pub text: String,
}
