//! From a world to its routing table.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::edge::Resilience;
use model::units::Share;
use model::{ApplicationName, InstanceId, ReleaseNumber, ServiceName};

use super::{
    Backend, Edge, Endpoint, ReleaseMatch, ReleaseShare, Table, Trial, backend_key, edge_key,
    group_edge_key,
};
use crate::application::{ApplicationState, Desired};
use crate::rollout::{GroupNumber, Stage};
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
            self.add_edges((name, state), (caller, None), ports);
        }
        // They stay while the caller does: what is counted at them must not be counted down.
        for (caller, groups) in &state.group_edges {
            for (group, ports) in groups {
                self.add_edges((name, state), (caller, Some(*group)), ports);
            }
        }
        let routes = &state.definition.routes;
        if !routes.is_empty() {
            self.routes.insert(name.clone(), Arc::from(routes.as_slice()));
        }
    }

    fn add_edges(
        &mut self,
        (name, state): (&ApplicationName, &ApplicationState),
        (caller, group): (&ServiceName, Option<GroupNumber>),
        ports: &BTreeMap<ServiceName, u16>,
    ) {
        let Some(service) = state.services.get(caller) else { return };
        let policies = policies(service);
        for (callee, port) in ports {
            let Some(policy) = policies.get(callee) else { continue };
            let edge = Edge {
                application: name.clone(),
                caller: caller.clone(),
                callee: callee.clone(),
                port: *port,
                policy: (*policy).clone(),
                prefers: group.and_then(|it| preferred(state, (caller, it), callee)),
            };
            let key = match group {
                None => edge_key(name, caller, callee),
                Some(group) => group_edge_key(name, (caller, group), callee),
            };
            self.edges.insert(key, Arc::new(edge));
        }
    }
}

/// The release of a callee that calls from a group keep to: both are rolled out together.
fn preferred(
    state: &ApplicationState,
    (caller, group): (&ServiceName, GroupNumber),
    callee: &ServiceName,
) -> Option<ReleaseNumber> {
    let rollout_of = |name: &ServiceName| state.services.get(name)?.active_rollout();
    let rollout =
        rollout_of(caller).filter(|it| it.group == group && it.together.contains(callee))?;
    let other = rollout_of(callee).filter(|it| it.started_at == rollout.started_at)?;
    Some(other.to)
}

fn backend(application: &ApplicationName, name: &ServiceName, service: &ServiceState) -> Backend {
    let protocol = service.current_release().map(|it| it.service.protocol).unwrap_or_default();
    let (split, trial) = split(service);
    let matches = matches(service);
    let gets_requests = |release: ReleaseNumber| {
        split.iter().any(|it| it.release == release && it.weight != Share::ZERO)
            || matches.iter().any(|it| it.release == release)
    };
    // Without a split all of the main group's instances share, also while they are of two releases. Other
    // groups are kept warm, or are not ready to be compared.
    let takes =
        |it: &Instance| (split.is_empty() && it.group == service.main) || gets_requests(it.release);
    let serving = service.instances.iter().filter(|(_, it)| it.is_serving() && takes(it));
    let endpoints = serving.map(|(number, it)| endpoint(name, *number, it)).collect();
    let sticky = service.traffic.sticky.clone();
    let (application, service) = (application.clone(), name.clone());
    Backend { application, service, protocol, endpoints, split, sticky, matches, trial }
}

/// How requests are shared among releases, and which two are compared.
fn split(service: &ServiceState) -> (Vec<ReleaseShare>, Option<Trial>) {
    let main = || main_shares(service, service.current(), Share::ALL);
    let is_matched = !service.traffic.matches.is_empty();
    let Some(rollout) = service.active_rollout() else {
        let shares = match service.traffic.shares.as_slice() {
            // A match needs its release among the endpoints, which must get nothing else.
            [] if is_matched => main(),
            [] => Vec::new(),
            // One that is given everything gets it when all its instances are there: it is the main one then.
            [_] => main(),
            shares if shares.iter().any(|it| serves(service, it.release)) => shares.to_vec(),
            _ => main(),
        };
        return (shares, None);
    };
    let trial = match rollout.stage {
        Stage::Taking { epoch, .. } => Some(Trial {
            epoch,
            old: rollout.from,
            new: rollout.to,
            thresholds_us: rollout.thresholds.map(|it| it.latency_us),
        }),
        Stage::Preparing { .. } => None,
    };
    if rollout.is_in_place() {
        return (Vec::new(), trial);
    }
    // A release that has lost all its instances gives back what it had: the one before it still has its own.
    let weight = if serves(service, rollout.to) { rollout.weight() } else { Share::ZERO };
    let mut shares = main_shares(service, rollout.from, weight.complement());
    // The main group may still have instances of what is rolled out: it was superseded, and is wanted again.
    match shares.iter_mut().find(|it| it.release == rollout.to) {
        Some(both) => both.weight = both.weight.plus(weight),
        None => shares.push(ReleaseShare { release: rollout.to, weight }),
    }
    shares.retain(|it| it.weight != Share::ZERO);
    (shares, trial)
}

/// Whether an instance of a release can take requests.
fn serves(service: &ServiceState, release: ReleaseNumber) -> bool {
    service.instances.values().any(|it| it.is_serving() && it.release == release)
}

/// What the main group gets, which is to run `release`: shared among the releases its instances that serve are of, by
/// their number. They are of others while the group goes back from one that was superseded before it was found
/// good; what is to run does not serve then.
fn main_shares(service: &ServiceState, release: ReleaseNumber, weight: Share) -> Vec<ReleaseShare> {
    let mut serving: BTreeMap<ReleaseNumber, u64> = BTreeMap::new();
    let of_main = service.instances.values().filter(|it| it.group == service.main);
    for it in of_main.filter(|it| it.is_serving()) {
        *serving.entry(it.release).or_default() += 1;
    }
    let count: u64 = serving.values().sum();
    if count == 0 {
        return vec![ReleaseShare { release, weight }];
    }

    // Each gets what lies between two marks, so that nothing is lost by rounding.
    let whole = u64::from(weight.millionths());
    let mut before = 0;
    let between = |(release, instances): (ReleaseNumber, u64)| {
        let from = whole * before / count;
        before += instances;
        let millionths = whole * before / count - from;
        let weight = Share::from_millionths(u32::try_from(millionths).unwrap_or(u32::MAX));
        ReleaseShare { release, weight }
    };
    serving.into_iter().map(between).collect()
}

/// Requests that somebody said go to one release: as far as it serves. Where it does not, they are as any other.
fn matches(service: &ServiceState) -> Vec<ReleaseMatch> {
    let matches = service.traffic.matches.iter();
    matches.filter(|it| serves(service, it.release)).cloned().collect()
}

fn endpoint(service: &ServiceName, number: u32, instance: &Instance) -> Endpoint {
    Endpoint {
        instance: InstanceId { service: service.clone(), number },
        release: instance.release,
        port: instance.port,
        ready_at: instance.ready_at.unwrap_or(instance.created_at),
    }
}

/// What a service calls, and how. The release that serves says how a call is made, unless the service was
/// taken out of the definition; what only others call, the latest of them that has living instances.
fn policies(service: &ServiceState) -> BTreeMap<&ServiceName, &Resilience> {
    let current = (!service.removed).then(|| service.current());
    let mut releases: Vec<_> = service.instances.values().map(|it| it.release).collect();
    releases.sort_unstable();
    releases.dedup();
    releases.extend(current);
    let releases = releases.iter().filter_map(|it| service.releases.get(it));
    releases.flat_map(|it| &it.service.calls).collect()
}
