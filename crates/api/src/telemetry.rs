//! Views of the stores: how full they are, and what they had to refuse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TelemetryView {
    /// Where telemetry is taken in, if anywhere.
    pub signals: Vec<SignalView>,
    /// What was refused, by where it came from and why.
    pub refused: Vec<RefusedSignalView>,
    /// What is scraped.
    pub targets: Vec<TargetView>,
}

/// One store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalView {
    /// `metrics`, `traces` or `logs`.
    pub signal: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Samples, spans or records on disk and in memory.
    pub count: u64,
    /// Those that came since the control process started.
    pub accepted: u64,
    /// Live series of metrics, traces, or services with logs.
    pub groups: u64,
}

/// What was refused for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedSignalView {
    /// `metrics`, `traces` or `logs`.
    pub signal: String,
    /// Where it came from.
    pub origin: String,
    /// Why.
    pub reason: String,
    /// How many since the control process started.
    pub count: u64,
}

/// Something that is scraped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetView {
    /// The application.
    pub application: String,
    /// What is asked.
    pub url: String,
    /// Samples of the last scrape.
    pub samples: usize,
    /// Why it does not count, if it does not.
    pub error: Option<String>,
}
