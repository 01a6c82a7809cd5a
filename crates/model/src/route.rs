//! What the outside sees: routes to services, and the values and flags that steer them.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::name::ServiceName;
use crate::units::Share;

/// Requests for `host` below `path` go to `service`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Host name to match; every host if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path prefix to match, beginning with `/`.
    pub path: String,
    /// Where matching requests go.
    pub service: ServiceName,
    /// Whether the prefix is taken off before the request is passed on.
    #[serde(default)]
    pub strip_prefix: bool,
}

/// A configuration value: one of the scalar types of YAML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Integer(value) => write!(formatter, "{value}"),
            Self::Float(value) => write!(formatter, "{value}"),
            Self::Text(value) => formatter.write_str(value),
        }
    }
}

/// A feature flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// What it is for whoever is not in `percent`.
    pub default: bool,
    /// Share of recipients for whom it is the opposite of `default`.
    #[serde(default)]
    pub percent: Share,
    /// The attribute by which recipients are told apart, so that one keeps its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
