//! Datastores, caches and brokers an application asks for by kind.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use core::time::Duration;

use crate::units::{Bytes, optional_duration};

/// One resource, made from a catalog component of this kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The component's name in the catalog: `postgres`, `redis`, ..
    #[serde(rename = "type")]
    pub kind: String,
    /// The version wanted, the catalog's default if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Memory it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Time between backups; none are made if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub backup: Option<Duration>,
}
