//! What is watched, as written.

use model::monitoring::{RULE_FILES_MAX, SCRAPE_INTERVAL_DEFAULT};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Duration;
use crate::meaning::defaults::duration;

/// Where instances expose their metrics: a path, or a mapping.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "metrics")]
pub(crate) enum ExpositionSpec {
    /// Only the path.
    Path(String),
    /// The path, and more.
    Map(ExpositionMapSpec),
}

/// Where instances expose their metrics, and how often they are scraped.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "metrics-mapping")]
pub(crate) struct ExpositionMapSpec {
    /// The path.
    #[schemars(extend("default" = "/metrics", "examples" = ["/metrics"]))]
    pub(crate) path: Option<String>,
    /// The port, if it is not the one of its requests: the name of one of its `ports`, or the number that the program
    /// has chosen itself.
    #[schemars(extend("examples" = [9100]))]
    pub(crate) port: Option<ExposedPortSpec>,
    /// Time between two scrapes, at least `1s`.
    #[schemars(extend("default" = duration(SCRAPE_INTERVAL_DEFAULT), "examples" = ["5s"]))]
    pub(crate) interval: Option<Duration>,
}

/// A port: a name, or a number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "exposed-port")]
pub(crate) enum ExposedPortSpec {
    /// The number.
    Number(#[schemars(range(min = 1))] u16),
    /// The name.
    Name(String),
}

/// Alert and recording rules: a list of files in Prometheus' format, or a mapping.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "rules")]
pub(crate) enum RulesSpec {
    /// Only the files.
    Files(Vec<String>),
    /// The files, and who is told.
    Map(RulesMapSpec),
}

/// Alert and recording rules, and who is told of alerts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rules-mapping")]
pub(crate) struct RulesMapSpec {
    /// Files of rules in Prometheus' format, relative to this file.
    #[schemars(length(max = RULE_FILES_MAX), extend("examples" = [["alerts.yml"]]))]
    pub(crate) files: Option<Vec<String>>,
    /// Address that is told when an alert begins to fire and when it has ended.
    #[schemars(extend("examples" = ["https://hooks.example/alerts"]))]
    pub(crate) webhook: Option<String>,
}
