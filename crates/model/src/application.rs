//! An application: what people described, as meant.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::name::{ApplicationName, ResourceName, ServiceName};
use crate::resource::Resource;
use crate::route::{Flag, Route, Value};
use crate::service::Service;

/// One application with everything it is made of. References between its parts have been checked:
/// a callee, a dependency or a route's target that is named here exists here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Its name, unique on a machine.
    pub name: ApplicationName,
    /// What runs, by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// Datastores and brokers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<ResourceName, Resource>,
    /// Which outside requests reach which service, in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Configuration values by dotted key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
    /// Feature flags by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, Flag>,
}

impl Application {
    /// Every service with the services that must be up before it, directly.
    pub fn dependencies(&self) -> impl Iterator<Item = (&ServiceName, Vec<&ServiceName>)> {
        self.services.iter().map(|(name, service)| (name, service.depends_on.keys().collect()))
    }
}
