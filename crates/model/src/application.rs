//! An application: what people described, as meant.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::monitoring::Rules;
use crate::name::{ApplicationName, ResourceName, ServiceName};
use crate::resource::Resource;
use crate::route::{Flag, Route, Value};
use crate::service::{REPLICAS_MAX, Service};

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
    /// Alert and recording rules.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
}

impl Application {
    /// An application with nothing in it yet: what a generator fills, and what a new application is compared with.
    pub fn empty(name: ApplicationName) -> Self {
        Self {
            name,
            services: BTreeMap::new(),
            resources: BTreeMap::new(),
            routes: Vec::new(),
            config: BTreeMap::new(),
            flags: BTreeMap::new(),
            rules: Rules::default(),
        }
    }

    /// What is wrong with the references and numbers in it; nothing if it came from a manifest. For
    /// definitions that come another way, where nobody can be shown a line.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, service) in &self.services {
            if REPLICAS_MAX < service.replicas {
                let replicas = service.replicas;
                problems.push(format!(
                    "service `{name}` has {replicas} replicas; at most {REPLICAS_MAX} are allowed"
                ));
            }
            if service.has_own_data() && 1 < service.replicas {
                problems.push(format!(
                    "service `{name}` has {} replicas, and its data is for one instance at a time; \
                     write `replicas: 1`, or `data: {{name: .., shared: true}}` if it can be shared",
                    service.replicas
                ));
            }
            for other in service.depends_on.keys().chain(service.calls.keys()) {
                if !self.services.contains_key(other) {
                    problems.push(format!(
                        "service `{name}` refers to `{other}`, which is not defined; define it, or \
                         remove the reference"
                    ));
                }
            }
        }
        for service in self.routes.iter().filter_map(Route::service) {
            if !self.services.contains_key(service) {
                problems.push(format!(
                    "a route leads to `{service}`, which is not defined; define it, or remove the route"
                ));
            }
        }
        problems.extend(self.data_with_two_owners());
        problems.extend(self.circle().map(|names| {
            let names: Vec<&str> = names.iter().map(|it| it.as_str()).collect();
            format!("these services depend on each other in a circle: {}", names.join(", "))
        }));
        problems
    }

    /// Data that several services have, and one of them alone.
    fn data_with_two_owners(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let of = |it: &'_ Service| it.data.clone();
        for (name, service) in &self.services {
            let Some(data) = of(service) else { continue };
            let others = self.services.range((Bound::Excluded(name), Bound::Unbounded));
            for (other, second) in others {
                let is_same = of(second).is_some_and(|it| it.name == data.name);
                if is_same && (service.has_own_data() || second.has_own_data()) {
                    let data = &data.name;
                    problems.push(format!(
                        "services `{name}` and `{other}` have the data `{data}` each for itself; give one \
                         another name, or write `shared: true` in both"
                    ));
                }
            }
        }
        problems
    }

    /// Services that can never be started because each waits for another of them.
    fn circle(&self) -> Option<Vec<&ServiceName>> {
        let mut left: BTreeMap<&ServiceName, &Service> = self.services.iter().collect();
        loop {
            let before = left.len();
            let names: Vec<&ServiceName> = left.keys().copied().collect();
            left.retain(|_, service| service.depends_on.keys().any(|it| names.contains(&it)));
            if left.is_empty() {
                return None;
            }
            if left.len() == before {
                return Some(names);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(services: &str, problems: &[&str]) {
        let text = format!(r#"{{"name": "shop", "services": {services}}}"#);
        let application: Application = serde_json::from_str(&text).unwrap();
        assert_eq!(application.problems(), problems);
    }

    fn service(depends_on: &str, replicas: u32) -> String {
        let restart =
            r#"{"policy": "always", "backoff": "1s", "max_backoff": "1s", "crash_loop": 5}"#;
        format!(
            r#"{{"source": {{"process": {{"command": ["true"]}}}}, "replicas": {replicas},
                "depends_on": {{{depends_on}}}, "stop_grace_period": "1s", "restart": {restart}}}"#
        )
    }

    #[test]
    fn references_and_numbers_are_checked() {
        let on = |name: &str| format!(r#""{name}": "service_started""#);
        let (free, a_on_b, b_on_a) = (service("", 1), service(&on("b"), 1), service(&on("a"), 1));
        check(&format!(r#"{{"a": {a_on_b}, "b": {free}}}"#), &[]);
        check(
            &format!(r#"{{"a": {a_on_b}, "b": {b_on_a}, "c": {free}}}"#),
            &["these services depend on each other in a circle: a, b"],
        );
        check(
            &format!(r#"{{"a": {a_on_b}}}"#),
            &[
                "service `a` refers to `b`, which is not defined; define it, or remove the reference",
            ],
        );
        check(
            &format!(r#"{{"a": {}}}"#, service("", 2000)),
            &["service `a` has 2000 replicas; at most 1000 are allowed"],
        );
    }

    #[test]
    fn routes_lead_somewhere() {
        let text = r#"{"name": "shop", "services": {}, "routes": [
            {"path": "/", "service": "web"}, {"path": "/old", "redirect": {"to": "/", "status": 307}}
        ]}"#;
        let application: Application = serde_json::from_str(text).unwrap();
        let expected =
            "a route leads to `web`, which is not defined; define it, or remove the route";
        assert_eq!(application.problems(), [expected]);
    }
}
