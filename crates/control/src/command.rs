//! What people ask for, as events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::change::needs_release;
use api::{ApiError, ErrorKind};
use model::release::{Digest, Release};
use model::service::REPLICAS_MAX;
use model::{Application, ApplicationName, ReleaseNumber, Service, ServiceName, Timestamp};
use runtime::ports;
use world::{Desired, Event, ServiceState, World};

/// A wish, checked as far as it can be without the world.
#[derive(Debug)]
pub(crate) enum Command {
    Apply { definition: Arc<Application>, folder: String, artifacts: BTreeMap<ServiceName, Digest> },
    Stop { application: ApplicationName },
    Scale { application: ApplicationName, service: ServiceName, replicas: u32 },
    Restart { application: ApplicationName, service: Option<ServiceName> },
}

impl Command {
    /// The events that fulfil the wish, given the world as it is.
    pub(crate) fn events(&self, here: &Here<'_>) -> Result<Vec<Event>, ApiError> {
        let world = here.world;
        match self {
            Self::Apply { definition, folder, artifacts } => {
                apply(here, definition, folder, artifacts)
            }
            Self::Stop { application } => {
                let state = world
                    .application(application)
                    .ok_or_else(|| ApiError::no_application(application.as_str()))?;
                Ok(match state.desired {
                    Desired::Running => {
                        vec![Event::StopAsked { application: application.clone() }]
                    }
                    Desired::Stopping | Desired::Stopped => Vec::new(),
                })
            }
            Self::Scale { application, service, replicas } => {
                scale(here, application, service, *replicas)
            }
            Self::Restart { application, service } => restart(world, application, service.as_ref()),
        }
    }
}

/// What a wish meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here<'a> {
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
    /// Where the search for a first port begins.
    pub(crate) first_port: u16,
}

fn apply(
    here: &Here<'_>,
    definition: &Arc<Application>,
    folder: &str,
    artifacts: &BTreeMap<ServiceName, Digest>,
) -> Result<Vec<Event>, ApiError> {
    let application = &definition.name;
    let before = here.world.application(application);
    let mut events = vec![Event::ApplicationApplied {
        definition: Arc::clone(definition),
        folder: folder.to_owned(),
    }];
    let mut assigner = PortAssigner::new(here);
    for (name, service) in &definition.services {
        let state = before.and_then(|it| it.services.get(name)).map(AsRef::as_ref);
        let artifact = artifacts.get(name);
        if state.is_none_or(|it| needs_release(it, service, artifact)) {
            let number = state.map_or(1, |it| it.current.0 + 1);
            events.push(Event::ReleaseMade {
                application: application.clone(),
                service: name.clone(),
                release: Arc::new(Release {
                    number: ReleaseNumber(number),
                    service: service.clone(),
                    artifact: artifact.cloned(),
                    made_at: here.now,
                }),
            });
        }
        let place = Place { application, name, service, state };
        events.extend(assigner.assign(&place, service.replicas)?);
        let opened = |callee| before.and_then(|it| it.edge_port(name, callee));
        for callee in service.calls.keys().filter(|it| opened(it).is_none()) {
            events.push(Event::EdgeOpened {
                application: application.clone(),
                caller: name.clone(),
                callee: callee.clone(),
                port: assigner.any()?,
            });
        }
    }
    Ok(events)
}

fn scale(
    here: &Here<'_>,
    application: &ApplicationName,
    service: &ServiceName,
    replicas: u32,
) -> Result<Vec<Event>, ApiError> {
    if REPLICAS_MAX < replicas {
        return Err(ApiError::new(
            ErrorKind::Invalid,
            format!("{replicas} instances are more than the {REPLICAS_MAX} a service may have"),
        ));
    }
    let (state, definition) = running_service(here.world, application, service)?;
    if state.replicas == replicas {
        return Ok(Vec::new());
    }
    if let Some(port) = definition.port.filter(|_| 1 < replicas) {
        return Err(ApiError::new(
            ErrorKind::Invalid,
            format!(
                "{service} has the fixed port {port}, which only one instance can have; remove `port`"
            ),
        ));
    }
    let place = Place { application, name: service, service: definition, state: Some(state) };
    let mut events = PortAssigner::new(here).assign(&place, replicas)?;
    events.push(Event::ServiceScaled {
        application: application.clone(),
        service: service.clone(),
        replicas,
    });
    Ok(events)
}

fn restart(
    world: &World,
    application: &ApplicationName,
    service: Option<&ServiceName>,
) -> Result<Vec<Event>, ApiError> {
    let services: Vec<ServiceName> = if let Some(service) = service {
        running_service(world, application, service)?;
        vec![service.clone()]
    } else {
        let state = running(world, application)?;
        let present = state.services.iter().filter(|(_, it)| !it.removed);
        present.map(|(name, _)| name.clone()).collect()
    };
    let application = application.clone();
    Ok(services
        .into_iter()
        .map(|service| Event::RestartAsked { application: application.clone(), service })
        .collect())
}

fn running<'a>(
    world: &'a World,
    application: &ApplicationName,
) -> Result<&'a world::ApplicationState, ApiError> {
    let state = world
        .application(application)
        .ok_or_else(|| ApiError::no_application(application.as_str()))?;
    if state.desired != Desired::Running {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!("{application} does not run; start it with `pelago up`"),
        ));
    }
    Ok(state)
}

fn running_service<'a>(
    world: &'a World,
    application: &ApplicationName,
    service: &ServiceName,
) -> Result<(&'a ServiceState, &'a Service), ApiError> {
    let state = running(world, application)?;
    let missing = || ApiError::no_service(application.as_str(), service.as_str());
    let definition = state.definition.services.get(service).ok_or_else(missing)?;
    Ok((state.services.get(service).ok_or_else(missing)?, definition))
}

/// A service, and where it is.
#[derive(Clone, Copy)]
struct Place<'a> {
    application: &'a ApplicationName,
    name: &'a ServiceName,
    service: &'a Service,
    state: Option<&'a ServiceState>,
}

/// Finds ports that neither another slot nor an edge nor another program has.
struct PortAssigner {
    taken: BTreeSet<u16>,
    first: u16,
}

impl PortAssigner {
    fn new(here: &Here<'_>) -> Self {
        let applications = || here.world.applications.values();
        let slots =
            applications().flat_map(|it| it.services.values()).flat_map(|it| it.slots.values());
        let edges = applications().flat_map(|it| it.edges.values()).flat_map(|it| it.values());
        let taken = slots.flat_map(|it| [Some(it.port), it.spare_port]).flatten();
        Self { taken: taken.chain(edges.copied()).collect(), first: here.first_port }
    }

    /// Ports for each of the first `replicas` slots that has none yet, or not the one it must have: one,
    /// and another for whoever takes over. Where the port is fixed nobody can, while the other runs.
    fn assign(&mut self, place: &Place<'_>, replicas: u32) -> Result<Vec<Event>, ApiError> {
        let Place { application, name, service, state } = *place;
        let mut events = Vec::new();
        for slot in 0..replicas {
            let current = state.and_then(|it| it.slots.get(&slot));
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
                slot,
                port,
            }));
            if service.port.is_none() && current.is_none_or(|it| it.spare_port.is_none()) {
                let port = self.any()?;
                let service = service_name;
                events.push(Event::SparePortAssigned { application, service, slot, port });
            }
        }
        Ok(events)
    }

    fn fixed(&mut self, service: &ServiceName, port: u16) -> Result<u16, ApiError> {
        if self.taken.contains(&port) || !ports::is_free(port) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!("port {port} of {service} is in use; stop what uses it, or remove `port`"),
            ));
        }
        self.taken.insert(port);
        Ok(port)
    }

    fn any(&mut self) -> Result<u16, ApiError> {
        let start = self.taken.range(ports::PORTS).next_back();
        let start = start.map_or(self.first, |it| it.saturating_add(1));
        let port = ports::find(start, &|port| self.taken.contains(&port))
            .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
        self.taken.insert(port);
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Index;
    use world::Recorded;

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
        let command =
            Command::Apply { definition, folder: "/".to_owned(), artifacts: BTreeMap::new() };
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
        let slots = state.services.values().flat_map(|it| it.slots.values());
        let slots = slots.flat_map(|it| [Some(it.port), it.spare_port]).flatten();
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
