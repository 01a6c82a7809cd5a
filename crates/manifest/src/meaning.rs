//! From the file as written to the application as meant: names, references, defaults, and whether
//! the parts fit together.
//!
//! Runs also over files whose structure has mistakes, as far as they could be read, so that a person
//! learns all at once. So it asks the tree and not the spec whether something was written at all.

use std::collections::{BTreeMap, BTreeSet};

use model::application::Application;
use model::edge::{GATEWAY_TIMEOUT, Resilience};
use model::name::{ResourceName, ServiceName};
use model::resource::Resource;
use model::route::Value;

use crate::beside::{Beside, Files};
use crate::check::{did_you_mean, listed};
use crate::problem::{Findings, PROBLEMS_MAX, Place};
use crate::spec::{
    ApplicationSpec, ConfigSpec, DefaultsSpec, ProtocolSpec, ResourceSpec, ServiceSpec,
};
use crate::yaml::{At, Value as Yaml};

mod data;
pub(crate) mod defaults;
mod edge;
mod env_file;
mod fault;
mod flag;
mod graph;
mod header;
mod health;
mod monitoring;
mod network;
mod policy;
mod ports;
mod reference;
mod resilience;
mod route;
mod scenario;
mod service;
mod update;
mod users;
mod work;
mod workload;

pub(crate) use scenario::{fault, scenario};

/// What is known while the file is read.
#[derive(Debug)]
struct Reader<'a> {
    /// The environment of whoever reads it.
    environment: &'a BTreeMap<String, String>,
    /// Files of variables.
    files: &'a dyn Files,
    config: BTreeMap<String, Value>,
    /// Every name that was written, also of what is wrong in itself.
    services: BTreeSet<&'a str>,
    resources: BTreeSet<&'a str>,
    /// Services that speak TCP and nothing more.
    tcp: BTreeSet<&'a str>,
    /// Bytes that references may still put in.
    budget: usize,
    findings: &'a mut Findings,
}

/// The application, or nothing if too much is wrong; whether anything is wrong say the findings.
pub(crate) fn application(
    spec: &ApplicationSpec,
    at: At<'_>,
    beside: &Beside<'_>,
    findings: &mut Findings,
) -> Option<Application> {
    let speaks_tcp = |it: &ServiceSpec| it.protocol == Some(ProtocolSpec::Tcp);
    let services = spec.services.iter().flatten();
    let mut reader = Reader {
        tcp: services.filter(|(_, it)| speaks_tcp(it)).map(|(name, _)| name.as_str()).collect(),
        environment: beside.environment,
        files: beside.files,
        config: BTreeMap::new(),
        services: at.key("services").keys().collect(),
        resources: at.key("resources").keys().collect(),
        budget: reference::PUT_IN_BYTES_MAX,
        findings,
    };
    reader.config(spec.config.as_ref(), at.key("config"));
    let name = spec.name.as_deref().and_then(|it| {
        let place = at.key("name").place;
        let text = reader.early(it, place)?;
        reader.findings.take(place, text.parse())
    });
    let resources = reader.resources(spec, at.key("resources"));
    let base = reader.inherited_resilience(spec.defaults.as_ref(), at.key("defaults"));
    let services = reader.services(spec, at, &base);
    let routes = spec.routes.as_deref().unwrap_or_default();
    let is_timed =
        |it: &DefaultsSpec| it.resilience.as_ref().is_some_and(|it| it.timeout.is_some());
    let outside = if spec.defaults.as_ref().is_some_and(is_timed) {
        base
    } else {
        Resilience { timeout: GATEWAY_TIMEOUT, ..base }
    };
    let mut routes = reader.routes(routes, at.key("routes"), &outside);
    reader.path_parameters(&mut routes, spec, at.key("routes"));
    let flags = reader.flags(spec.flags.as_ref(), at.key("flags"));
    let rules = reader.rules(spec.rules.as_ref(), at.key("rules"));
    graph::check(&services, at.key("services"), reader.findings);
    let config = reader.config;
    Some(Application { name: name?, services, resources, routes, config, flags, rules })
}

impl Reader<'_> {
    /// The policy that every call and every route inherits.
    fn inherited_resilience(&mut self, defaults: Option<&DefaultsSpec>, at: At<'_>) -> Resilience {
        let base = Resilience::default();
        match defaults.and_then(|it| it.resilience.as_ref()) {
            Some(spec) => self.resilience(&base, spec, at.key("resilience")),
            None => base,
        }
    }

    fn services(
        &mut self,
        spec: &ApplicationSpec,
        at: At<'_>,
        resilience: &Resilience,
    ) -> BTreeMap<ServiceName, model::service::Service> {
        let nothing = DefaultsSpec::default();
        let defaults = spec.defaults.as_ref().unwrap_or(&nothing);
        let services = at.key("services");
        if services.node.is_some_and(|it| matches!(&it.value, Yaml::Map(of) if of.is_empty())) {
            self.findings.error(services.place, "`services` has no service; add one");
        }
        let mut meant = BTreeMap::new();
        for (name, spec) in spec.services.iter().flatten() {
            let written = service::Written {
                name,
                spec,
                at: At { place: services.named(name), ..services.key(name) },
                defaults,
                defaults_at: at.key("defaults"),
                resilience,
            };
            let service = service::service(self, &written);
            // A name that is none was reported with the structure.
            if let (Ok(name), Some(service)) = (name.parse(), service) {
                meant.insert(name, service);
            }
        }
        meant
    }

    fn resources(
        &mut self,
        spec: &ApplicationSpec,
        at: At<'_>,
    ) -> BTreeMap<ResourceName, Resource> {
        let mut meant = BTreeMap::new();
        for (name, spec) in spec.resources.iter().flatten() {
            if self.services.contains(name.as_str()) {
                let message = format!(
                    "`{name}` is the name of a service too; rename one, for they are found by name"
                );
                self.findings.error(at.named(name), message);
            }
            let ResourceSpec { kind, version, memory, backup } = spec;
            let place = at.key(name).key("backup").place;
            let backup = backup.and_then(|it| self.positive(it.0, "backup", place));
            if let (Ok(name), Some(kind)) = (name.parse(), kind.clone()) {
                let memory = memory.map(|it| it.0);
                meant.insert(name, Resource { kind, version: version.clone(), memory, backup });
            }
        }
        meant
    }

    /// A duration that must not be zero.
    fn positive(
        &mut self,
        value: std::time::Duration,
        key: &str,
        place: Place,
    ) -> Option<std::time::Duration> {
        if value.is_zero() {
            self.findings.error(place, format!("`{key}` is 0; write a time above 0, such as `5s`"));
            return None;
        }
        Some(value)
    }

    fn config(&mut self, config: Option<&BTreeMap<String, ConfigSpec>>, at: At<'_>) {
        for (key, value) in config.into_iter().flatten() {
            self.config_value(key.clone(), value, at.named(key), at.key(key));
        }
    }

    fn config_value(&mut self, key: String, spec: &ConfigSpec, place: Place, at: At<'_>) {
        let part_ok = |it: &str| {
            !it.is_empty() && it.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it))
        };
        if !key.split('.').all(part_ok) {
            let message = format!(
                "the key `{key}` cannot be asked for; use letters, digits, `-` and `_`, in parts \
                 joined by dots"
            );
            self.findings.error(place, message);
            return;
        }
        let value = match spec {
            ConfigSpec::Group(group) => {
                for (inner, value) in group {
                    let joined = format!("{key}.{inner}");
                    self.config_value(joined, value, at.named(inner), at.key(inner));
                }
                return;
            }
            ConfigSpec::Boolean(it) => Value::Boolean(*it),
            ConfigSpec::Integer(it) => Value::Integer(*it),
            ConfigSpec::Float(it) => Value::Float(*it),
            ConfigSpec::Text(it) => Value::Text(it.clone()),
        };
        if self.config.contains_key(&key) {
            let message = format!("`{key}` is given twice, with dots and nested; remove one");
            self.findings.error(place, message);
        }
        self.config.insert(key, value);
    }

    /// Reports that there is no service called `name`, if there is none.
    fn known_service(&mut self, name: &str, place: Place) -> Option<ServiceName> {
        if self.services.contains(name) {
            return name.parse().ok();
        }
        let message = if self.resources.contains(name) {
            format!(
                "`{name}` is a resource, not a service; name it under `depends_on` and take its \
                 address from `${{resources.{name}.url}}`"
            )
        } else {
            self.unknown("service", name, &self.services)
        };
        self.findings.error(place, message);
        None
    }

    /// What to say of a name that is none of `known`.
    fn unknown(&self, what: &str, name: &str, known: &BTreeSet<&str>) -> String {
        // A longer list would not be read.
        const LISTED_MAX: usize = 12;
        let names: Vec<_> = known.iter().take(LISTED_MAX + 1).copied().collect();
        // What was meant is only looked for as long as it will be shown: it takes a while.
        let suggest = self.findings.errors.len() < PROBLEMS_MAX;
        let close = if suggest { did_you_mean(name, known.iter().copied()) } else { None };
        let remedy = match close {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => format!("the file has no {what}s"),
            None if LISTED_MAX < names.len() => "add it, or look for how it is called".to_owned(),
            None => format!("there is {}", listed(&names)),
        };
        format!("there is no {what} `{name}`; {remedy}")
    }
}
