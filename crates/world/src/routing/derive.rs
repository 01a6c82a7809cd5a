//! From a world to its routing table.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::edge::Resilience;
use model::{ApplicationName, InstanceId, ServiceName};

use super::{Backend, Edge, Endpoint, Table, backend_key, edge_key};
use crate::application::{ApplicationState, Desired};
use crate::service::ServiceState;
use crate::{Instance, World};

impl Table {
    /// The table of `world`: of every application that has not been stopped, its services with the
    /// instances that serve, its declared calls, and its routes.
    ///
    /// It is made anew at every index. That costs less than keeping track of what an event could
    /// change, and cannot be wrong.
    pub fn of(world: &World) -> Self {
        let mut table = Self { index: world.index, ..Self::default() };
        for (name, state) in &world.applications {
            if state.desired != Desired::Stopped {
                table.add(name, state);
            }
        }
        table
    }

    fn add(&mut self, name: &ApplicationName, state: &ApplicationState) {
        for (service_name, service) in &state.services {
            let defined = state.definition.services.contains_key(service_name);
            if defined || !service.instances.is_empty() {
                let backend = backend(name, service_name, service);
                self.backends.insert(backend_key(name, service_name), Arc::new(backend));
            }
        }
        for (caller, ports) in &state.edges {
            let Some(service) = state.services.get(caller) else { continue };
            let policies = policies(service);
            for (callee, port) in ports {
                let Some(policy) = policies.get(callee) else { continue };
                let edge = Edge {
                    application: name.clone(),
                    caller: caller.clone(),
                    callee: callee.clone(),
                    port: *port,
                    policy: (*policy).clone(),
                };
                self.edges.insert(edge_key(name, caller, callee), Arc::new(edge));
            }
        }
        let routes = &state.definition.routes;
        if !routes.is_empty() {
            self.routes.insert(name.clone(), Arc::from(routes.as_slice()));
        }
    }
}

fn backend(application: &ApplicationName, name: &ServiceName, service: &ServiceState) -> Backend {
    let protocol = service.current_release().map(|it| it.service.protocol).unwrap_or_default();
    let serving = service.instances.iter().filter(|(_, it)| it.is_serving());
    Backend {
        application: application.clone(),
        service: name.clone(),
        protocol,
        endpoints: serving.map(|(number, it)| endpoint(name, *number, it)).collect(),
        split: Vec::new(),
        sticky: None,
        matches: Vec::new(),
    }
}

fn endpoint(service: &ServiceName, number: u32, instance: &Instance) -> Endpoint {
    Endpoint {
        instance: InstanceId { service: service.clone(), number },
        release: instance.release,
        port: instance.port,
        ready_at: instance.ready_at.unwrap_or(instance.created_at),
    }
}

/// What a service calls: in its current release, unless it was taken out of the definition, and in
/// those of its living instances. The latest release that makes a call says how.
fn policies(service: &ServiceState) -> BTreeMap<&ServiceName, &Resilience> {
    let current = (!service.removed).then_some(service.current);
    let mut releases: Vec<_> = service.instances.values().map(|it| it.release).collect();
    releases.extend(current);
    releases.sort_unstable();
    releases.dedup();
    let releases = releases.iter().filter_map(|it| service.releases.get(it));
    releases.flat_map(|it| &it.service.calls).collect()
}
