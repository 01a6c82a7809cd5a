//! What a service needs of others: dependencies, resources, calls.

use std::collections::{BTreeMap, BTreeSet};

use model::edge::Resilience;
use model::name::{ResourceName, ServiceName, url_variable};
use model::service::Condition;

use super::Reader;
use super::service::Written;
use crate::problem::Place;
use crate::spec::{CallsSpec, ConditionSpec, DependsOnSpec};

/// Dependencies by what they are on.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    pub(super) services: BTreeMap<ServiceName, Condition>,
    pub(super) resources: BTreeMap<ResourceName, Condition>,
}

impl Reader<'_> {
    pub(super) fn dependencies(&mut self, written: &Written<'_>) -> Dependencies {
        let at = written.at.key("depends_on");
        let list: Vec<(&str, Place, Condition)> = match &written.spec.depends_on {
            None => Vec::new(),
            Some(DependsOnSpec::List(names)) => {
                let item = |(index, name)| (name, at.item(index).place, Condition::ServiceStarted);
                names.iter().map(String::as_str).enumerate().map(item).collect()
            }
            Some(DependsOnSpec::Map(map)) => {
                let entry = |(name, spec): (_, &crate::spec::DependencySpec)| {
                    let condition = match spec.condition {
                        None | Some(ConditionSpec::ServiceStarted) => Condition::ServiceStarted,
                        Some(ConditionSpec::ServiceHealthy) => Condition::ServiceHealthy,
                        Some(ConditionSpec::ServiceCompletedSuccessfully) => {
                            Condition::ServiceCompletedSuccessfully
                        }
                    };
                    (name, at.named(name), condition)
                };
                map.iter().map(|(name, spec)| entry((name.as_str(), spec))).collect()
            }
        };
        self.once(list.iter().map(|(name, place, _)| (*name, *place)), "depends_on");
        let mut dependencies = Dependencies::default();
        for (name, place, condition) in list {
            self.dependency(written.name, name, (place, condition), &mut dependencies);
        }
        dependencies
    }

    fn dependency(
        &mut self,
        service: &str,
        name: &str,
        (place, condition): (Place, Condition),
        dependencies: &mut Dependencies,
    ) {
        if name == service {
            let message = format!("`{name}` depends on itself, so it would never start; remove it");
            self.findings.error(place, message);
        } else if self.services.contains(name) {
            if let Ok(name) = name.parse() {
                dependencies.services.insert(name, condition);
            }
        } else if !self.resources.contains(name) {
            let known = self.services.union(&self.resources).copied();
            let known = known.filter(|it| *it != service).collect();
            let message = self.unknown("service or resource", name, &known);
            self.findings.error(place, message);
        } else if condition == Condition::ServiceCompletedSuccessfully {
            let message = format!(
                "`{name}` is a resource and never completes; write `condition: service_healthy`"
            );
            self.findings.error(place, message);
        } else if let Ok(name) = name.parse() {
            dependencies.resources.insert(name, condition);
        }
    }

    /// Reports names that stand in a list twice.
    fn once<'b>(&mut self, names: impl Iterator<Item = (&'b str, Place)>, key: &str) {
        let mut seen = BTreeSet::new();
        let mut places = BTreeMap::new();
        for (name, place) in names {
            if !seen.insert(name) {
                places.insert(name, place);
            }
        }
        for (name, place) in places {
            let message = format!("`{name}` stands in `{key}` twice; remove one");
            self.findings.error(place, message);
        }
    }

    /// The calls of a service with the policy of each, those of its behaviour among them.
    pub(super) fn calls(
        &mut self,
        written: &Written<'_>,
        implied: &[(ServiceName, Place)],
    ) -> BTreeMap<ServiceName, Resilience> {
        let base = written.resilience;
        let at = written.at.key("calls");
        let mut calls = BTreeMap::new();
        match &written.spec.calls {
            None => {}
            Some(CallsSpec::List(names)) => {
                let places = |(index, name)| (name, at.item(index).place);
                let names = names.iter().map(String::as_str).enumerate().map(places);
                self.once(names.clone(), "calls");
                for (name, place) in names {
                    if let Some(callee) = self.callee(written.name, name, place) {
                        calls.insert(callee, base.clone());
                    }
                }
            }
            Some(CallsSpec::Map(map)) => {
                for (name, spec) in map {
                    let policy = match spec {
                        Some(spec) => self.resilience(base, spec, at.key(name)),
                        None => base.clone(),
                    };
                    if let Some(callee) = self.callee(written.name, name, at.named(name)) {
                        calls.insert(callee, policy);
                    }
                }
            }
        }
        for (callee, _) in implied {
            calls.entry(callee.clone()).or_insert_with(|| base.clone());
        }
        self.distinct(&calls, written);
        calls
    }

    /// A callee that exists and is another service.
    pub(super) fn callee(&mut self, caller: &str, name: &str, place: Place) -> Option<ServiceName> {
        if name == caller {
            let message = format!("`{name}` calls itself; a call is to another service, remove it");
            self.findings.error(place, message);
            return None;
        }
        self.known_service(name, place)
    }

    /// Two callees must not share the variable that tells where they are.
    fn distinct(&mut self, calls: &BTreeMap<ServiceName, Resilience>, written: &Written<'_>) {
        let mut variables: BTreeMap<String, &ServiceName> = BTreeMap::new();
        for callee in calls.keys() {
            let variable = url_variable(callee.as_str());
            if let Some(other) = variables.insert(variable.clone(), callee) {
                let message = format!(
                    "`{other}` and `{callee}` would both be told as `{variable}`; rename one"
                );
                self.findings.error(written.at.key("calls").named(callee.as_str()), message);
            }
        }
    }
}
