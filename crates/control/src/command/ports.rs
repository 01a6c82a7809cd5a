//! Ports for slots and edges.

use std::collections::{BTreeMap, BTreeSet};

use api::{ApiError, ErrorKind};
use model::{ApplicationName, InstanceId, PortName, Service, ServiceName};
use runtime::ports;
use world::{Event, GroupNumber, Instance, NamedPort, Phase, Purpose, ServiceState, Slot};

use super::Here;

/// A group of a service, and where it is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) application: &'a ApplicationName,
    pub(super) name: &'a ServiceName,
    pub(super) service: &'a Service,
    pub(super) state: Option<&'a ServiceState>,
    pub(super) group: GroupNumber,
}

/// Finds ports that neither another slot nor an edge nor another program has.
#[derive(Debug)]
pub(super) struct PortAssigner {
    taken: BTreeSet<u16>,
    first: u16,
}

impl PortAssigner {
    pub(super) fn new(here: &Here<'_>) -> Self {
        let applications = || here.world.applications.values();
        let slots =
            applications().flat_map(|it| it.services.values()).flat_map(|it| it.groups.values());
        let slots = slots.flat_map(|it| it.slots.values());
        let edges = applications().flat_map(|it| it.edge_ports());
        let named = |it: &Slot| {
            let pairs = it.named_ports.values().copied().collect::<Vec<_>>();
            pairs.into_iter().flat_map(|it| [Some(it.port), it.spare])
        };
        let taken = slots.flat_map(|it| named(it).chain([Some(it.port), it.spare_port])).flatten();
        Self { taken: taken.chain(edges).collect(), first: here.first_port }
    }

    /// Ports for each of the first `replicas` slots that has none yet, or not the one it must have: one,
    /// and another for whoever takes over. Where the port is fixed nobody can, while the other runs.
    pub(super) fn assign(
        &mut self,
        place: &Place<'_>,
        replicas: u32,
    ) -> Result<Vec<Event>, ApiError> {
        let Place { application, name, service, state, group } = *place;
        let mut events = Vec::new();
        for slot in 0..replicas {
            let current = state.and_then(|it| it.groups.get(&group)?.slots.get(&slot));
            let port = match (current.map(|it| it.port), service.port) {
                (Some(current), Some(fixed)) if current == fixed => None,
                (Some(_), None) => None,
                (_, Some(fixed)) => Some(self.fixed(name, fixed)?),
                (None, None) => Some(self.any()?),
            };
            let (application, service_name) = (application.clone(), name.clone());
            events.extend(port.map(|port| Event::PortAssigned {
                application: application.clone(),
                service: service_name.clone(),
                group,
                slot,
                port,
            }));
            if service.port.is_none() && current.is_none_or(|it| it.spare_port.is_none()) {
                let port = self.any()?;
                let service = service_name;
                events.push(Event::SparePortAssigned { application, service, group, slot, port });
            }
            events.extend(self.further(place, slot, current)?);
        }
        Ok(events)
    }

    /// The further ports that a slot lacks, or has other than they must be.
    fn further(
        &mut self,
        place: &Place<'_>,
        slot: u32,
        current: Option<&Slot>,
    ) -> Result<Vec<Event>, ApiError> {
        let mut events = Vec::new();
        for (name, fixed) in further_ports(place) {
            let current = current.and_then(|it| it.named_ports.get(name)).copied();
            let ports = match (current, fixed) {
                (Some(it), Some(fixed)) if it.port == fixed => continue,
                (Some(NamedPort { spare: Some(_), .. }), None) => continue,
                (_, Some(fixed)) => NamedPort { port: self.fixed(place.name, fixed)?, spare: None },
                (current, None) => {
                    let port = current.map_or_else(|| self.any(), |it| Ok(it.port))?;
                    NamedPort { port, spare: Some(self.any()?) }
                }
            };
            events.push(Event::NamedPortAssigned {
                application: place.application.clone(),
                service: place.name.clone(),
                group: place.group,
                slot,
                name: name.clone(),
                ports,
            });
        }
        Ok(events)
    }

    fn fixed(&mut self, service: &ServiceName, port: u16) -> Result<u16, ApiError> {
        // What only lingers is waited for when an instance is started.
        if self.taken.contains(&port) || ports::is_taken(port) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "port {port} of {service} is in use; stop what uses it, or leave the choice to Pelago"
                ),
            ));
        }
        self.taken.insert(port);
        Ok(port)
    }

    pub(super) fn any(&mut self) -> Result<u16, ApiError> {
        let start = self.taken.range(ports::PORTS).next_back();
        let start = start.map_or(self.first, |it| it.saturating_add(1));
        let port = ports::find(start, &|port| self.taken.contains(&port))
            .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
        self.taken.insert(port);
        Ok(port)
    }
}

/// The further ports a service needs: those it is described with, and those of releases it may go back to.
fn further_ports<'a>(place: &Place<'a>) -> BTreeMap<&'a PortName, Option<u16>> {
    let releases = place.state.into_iter().flat_map(|it| it.releases.values());
    // Where an earlier release has a number of its own, it takes no port from a slot.
    let earlier = releases.flat_map(|it| &it.service.ports).filter(|(_, fixed)| fixed.is_none());
    let described = place.service.ports.iter();
    earlier.chain(described).map(|(name, fixed)| (name, *fixed)).collect()
}

/// Another port in place of one that another program has taken, seen when an instance ended that was to listen
/// there and never became ready. Who calls finds it by the routing table, wherever it is.
pub(crate) fn moved(
    here: &Here<'_>,
    application: &ApplicationName,
    id: &InstanceId,
) -> Option<Event> {
    let service = here.world.service(application, &id.service)?;
    let instance = service.instances.get(&id.number)?;
    let described = &service.releases.get(&instance.release)?.service;
    let is_unasked = !matches!(instance.phase, Phase::Stopping { .. });
    let never_came = instance.ready_at.is_none() && instance.purpose == Purpose::Serve;
    if !is_unasked || !never_came {
        return None;
    }
    let is_lost = |port: u16| {
        let others = service.instances.iter().filter(|(number, _)| **number != id.number);
        let mut others = others.map(|(_, it)| it);
        let has = |it: &Instance| it.port == port || it.ports.values().any(|it| *it == port);
        !others.any(has) && !ports::is_free(port)
    };
    let (group, slot) = (instance.group, instance.slot);
    let ports = service.groups.get(&group)?.slots.get(&slot)?;
    let (application, service) = (application.clone(), id.service.clone());
    // Where none is left, it is tried again on the one it has.
    let other = || PortAssigner::new(here).any().ok();
    if described.port.is_none() && is_lost(instance.port) {
        let port = other()?;
        return Some(if ports.port == instance.port {
            Event::PortAssigned { application, service, group, slot, port }
        } else {
            Event::SparePortAssigned { application, service, group, slot, port }
        });
    }
    let is_given = |name: &PortName| described.ports.get(name) == Some(&None);
    let mut given = instance.ports.iter().filter(|(name, _)| is_given(name));
    let (name, lost) = given.find(|(_, port)| is_lost(**port))?;
    let mut moved = *ports.named_ports.get(name)?;
    if moved.port == *lost {
        moved.port = other()?;
    } else {
        moved.spare = Some(other()?);
    }
    let name = name.clone();
    Some(Event::NamedPortAssigned { application, service, group, slot, name, ports: moved })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::request::Deploy;
    use model::{Application, Index, Timestamp};
    use world::{Recorded, World};

    use super::super::Command;
    use super::super::apply::Apply;
    use super::*;

    fn application(services: &str) -> Arc<Application> {
        let text = format!(r#"{{"name": "shop", "services": {{{services}}}}}"#);
        Arc::new(serde_json::from_str(&text).unwrap())
    }

    fn service(name: &str, extra: &str) -> String {
        format!(
            r#""{name}": {{"source": {{"process": {{"command": ["true"]}}}}, "replicas": 1,
                "stop_grace_period": "1s", "restart": {{"policy": "always", "backoff": "1s",
                "max_backoff": "1s", "crash_loop": 5}}{extra}}}"#
        )
    }

    /// The ports that applying a definition gives out, in words, and the world after.
    fn ports(world: &World, services: &[String]) -> (Vec<String>, World) {
        let definition = application(&services.join(","));
        let command = Command::Apply(Apply {
            definition,
            folder: "/".to_owned(),
            artifacts: BTreeMap::new(),
            deploy: Deploy::default(),
        });
        let first_port = ports::PORTS.start;
        let events = command.events(&Here { world, now: Timestamp::EPOCH, first_port }).unwrap();
        let mut after = world.clone();
        let mut words = Vec::new();
        for event in events {
            words.extend(match &event {
                Event::PortAssigned { service, slot, .. } => Some(format!("{service} {slot}")),
                Event::SparePortAssigned { service, slot, .. } => {
                    Some(format!("{service} {slot} spare"))
                }
                Event::NamedPortAssigned { service, slot, name, .. } => {
                    Some(format!("{service} {slot} {name}"))
                }
                Event::EdgeOpened { caller, callee, .. } => Some(format!("{caller}>{callee}")),
                _ => None,
            });
            let index = Index(after.index.0 + 1);
            after.fold(&Recorded { index, at: Timestamp::EPOCH, event }).unwrap();
        }
        (words, after)
    }

    /// Every port in use, each as often as it was given out.
    fn used(world: &World) -> Vec<u16> {
        let state = world.application(&"shop".parse().unwrap()).unwrap();
        let groups = state.services.values().flat_map(|it| it.groups.values());
        let slots = groups.flat_map(|it| it.slots.values());
        let named = |it: &Slot| it.named_ports.values().copied().collect::<Vec<_>>();
        let slots = slots.flat_map(|it| {
            let named = named(it).into_iter().flat_map(|it| [Some(it.port), it.spare]);
            named.chain([Some(it.port), it.spare_port]).flatten()
        });
        slots.chain(state.edges.values().flat_map(|it| it.values()).copied()).collect()
    }

    #[test]
    fn ports_are_given_out_once_and_kept() {
        let calls = serde_json::to_string(&model::edge::Resilience::default()).unwrap();
        let calls = format!(r#", "calls": {{"cart": {calls}}}"#);
        let cart = || service("cart", "");
        let first = [service("web", &calls), cart()];
        let (given, world) = ports(&World::default(), &first);
        assert_eq!(given, ["cart 0", "cart 0 spare", "web 0", "web 0 spare", "web>cart"]);
        let all = used(&world);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5, "{all:?}");

        assert_eq!(ports(&world, &first).0, [""; 0]);
        // An edge that is declared no more keeps its port for when it is again.
        let (given, without) = ports(&world, &[service("web", ""), cart()]);
        assert_eq!((given, used(&without)), (Vec::new(), all));
        let more = ports(&without, &[service("web", &calls), service("ads", ""), cart()]);
        assert_eq!(more.0, ["ads 0", "ads 0 spare"]);
        assert_eq!(used(&more.1).iter().collect::<BTreeSet<_>>().len(), 7);
    }

    /// Issue 12: a second port that is the same for every instance lets none take over from another.
    #[test]
    fn further_ports_come_in_pairs_and_are_kept() {
        let web = |ports: &str| service("web", &format!(r#", "ports": {{{ports}}}"#));
        let (given, world) = ports(&World::default(), &[web(r#""admin": null"#)]);
        assert_eq!(given, ["web 0", "web 0 spare", "web 0 admin"]);
        let all = used(&world);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4, "{all:?}");
        // What a release before had is kept, so that it can be gone back to.
        let (given, world) = ports(&world, &[web(r#""grpc": null"#)]);
        assert_eq!(given, ["web 0 grpc"]);
        assert_eq!(used(&world).iter().collect::<BTreeSet<_>>().len(), 6);
        assert_eq!(ports(&world, &[web(r#""grpc": null, "admin": null"#)]).0, [""; 0]);
        let free = ports::find(27_100, &|_| false).unwrap();
        let (given, world) = ports(&world, &[web(&format!(r#""grpc": {free}"#))]);
        assert_eq!(given, ["web 0 grpc"]);
        let slot = &world.service(&"shop".parse().unwrap(), &"web".parse().unwrap()).unwrap();
        let grpc = slot.main_group().unwrap().slots[&0].named_ports[&"grpc".parse().unwrap()];
        assert_eq!(grpc, NamedPort { port: free, spare: None });
    }

    #[test]
    fn a_fixed_port_has_no_spare_one() {
        let free = ports::find(27_000, &|_| false).unwrap();
        let fixed = service("web", &format!(r#", "port": {free}"#));
        let (given, world) = ports(&World::default(), &[fixed]);
        assert_eq!((given, used(&world)), (vec!["web 0".to_owned()], vec![free]));
        // Where it is fixed no more, the port stays, and another may stand beside it.
        let (given, world) = ports(&world, &[service("web", "")]);
        assert_eq!((given, used(&world)[0]), (vec!["web 0 spare".to_owned()], free));
    }
}
