//! What people ask for, as events.

use std::collections::BTreeMap;
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

/// Finds ports that neither another slot nor another program has.
struct PortAssigner {
    taken: Vec<u16>,
    first: u16,
}

impl PortAssigner {
    fn new(here: &Here<'_>) -> Self {
        let services = here.world.applications.values().flat_map(|it| it.services.values());
        let taken = services.flat_map(|it| it.slots.values().map(|slot| slot.port)).collect();
        Self { taken, first: here.first_port }
    }

    /// A port for each of the first `replicas` slots that has none yet, or not the one it must have.
    fn assign(&mut self, place: &Place<'_>, replicas: u32) -> Result<Vec<Event>, ApiError> {
        let Place { application, name, service, state } = *place;
        let mut events = Vec::new();
        for slot in 0..replicas {
            let current = state.and_then(|it| it.slots.get(&slot)).map(|it| it.port);
            let port = match (current, service.port) {
                (Some(current), Some(fixed)) if current == fixed => continue,
                (Some(_), None) => continue,
                (_, Some(fixed)) => self.fixed(name, fixed)?,
                (None, None) => self.any()?,
            };
            self.taken.push(port);
            events.push(Event::PortAssigned {
                application: application.clone(),
                service: name.clone(),
                slot,
                port,
            });
        }
        Ok(events)
    }

    fn fixed(&self, service: &ServiceName, port: u16) -> Result<u16, ApiError> {
        if self.taken.contains(&port) || !ports::is_free(port) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!("port {port} of {service} is in use; stop what uses it, or remove `port`"),
            ));
        }
        Ok(port)
    }

    fn any(&self) -> Result<u16, ApiError> {
        let start = self.taken.iter().filter(|it| ports::PORTS.contains(it)).max();
        ports::find(start.map_or(self.first, |it| it.saturating_add(1)), &|port| {
            self.taken.contains(&port)
        })
        .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))
    }
}
