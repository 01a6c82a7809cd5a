//! What people ask for, as events.

mod apply;
mod ports;
mod release;

use std::sync::Arc;

use api::request::{Rollback, SetTraffic, Steer};
use api::{ApiError, ErrorKind};
use model::service::REPLICAS_MAX;
use model::{ApplicationName, Service, ServiceName, Timestamp};
use world::{Desired, Event, ServiceState, World};

pub(crate) use apply::{Apply, refuse_claimed_routes};
pub(crate) use ports::moved;
use ports::{Place, PortAssigner};

/// A wish, checked as far as it can be without the world.
#[derive(Debug)]
pub(crate) enum Command {
    Apply(Apply),
    Stop { application: ApplicationName },
    Start { application: ApplicationName },
    Remove { application: ApplicationName },
    Scale { application: ApplicationName, service: ServiceName, replicas: u32 },
    Restart { application: ApplicationName, service: Option<ServiceName> },
    SetTraffic { application: ApplicationName, service: ServiceName, traffic: SetTraffic },
    Steer { application: ApplicationName, service: ServiceName, steer: Steer },
    RollBack { application: ApplicationName, service: ServiceName, rollback: Rollback },
}

impl Command {
    /// The events that fulfil the wish, given the world as it is.
    pub(crate) fn events(&self, here: &Here<'_>) -> Result<Vec<Event>, ApiError> {
        let world = here.world;
        match self {
            Self::Apply(apply) => apply.events(here),
            Self::Stop { application } => {
                let state = known(world, application)?;
                Ok(match state.desired {
                    Desired::Running => {
                        vec![Event::StopAsked { application: application.clone() }]
                    }
                    Desired::Stopping | Desired::Stopped => Vec::new(),
                })
            }
            Self::Start { application } => start(here, application),
            Self::Remove { application } => {
                may_be_removed(world, application)?;
                Ok(vec![Event::ApplicationRemoved { application: application.clone() }])
            }
            Self::Scale { application, service, replicas } => {
                scale(here, application, service, *replicas)
            }
            Self::Restart { application, service } => restart(world, application, service.as_ref()),
            Self::SetTraffic { application, service, traffic } => {
                release::set_traffic(here, (application, service), traffic)
            }
            Self::Steer { application, service, steer } => {
                release::steer(here, (application, service), steer)
            }
            Self::RollBack { application, service, rollback } => {
                release::roll_back(here, (application, service), rollback)
            }
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

/// Starts an application as it was described last, with the releases it has.
fn start(here: &Here<'_>, application: &ApplicationName) -> Result<Vec<Event>, ApiError> {
    let state = known(here.world, application)?;
    if state.desired == Desired::Running {
        return Ok(Vec::new());
    }
    refuse_claimed_routes(here.world, &state.definition)?;
    let (definition, folder) = (Arc::clone(&state.definition), state.folder.clone());
    Ok(vec![Event::ApplicationApplied { definition, folder }])
}

/// Whether an application is there, and nothing of it runs.
pub(crate) fn may_be_removed(world: &World, application: &ApplicationName) -> Result<(), ApiError> {
    let state = known(world, application)?;
    if state.desired == Desired::Stopped {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorKind::Conflict,
        format!("{application} has not stopped; stop it first: `pelago -a {application} down`"),
    ))
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
    if let Some(port) = definition.fixed_ports().next().filter(|_| 1 < replicas) {
        return Err(ApiError::new(
            ErrorKind::Invalid,
            format!(
                "{service} has the fixed port {port}, which only one instance can have; leave the \
                 choice to Pelago"
            ),
        ));
    }
    if definition.has_own_data() && 1 < replicas {
        return Err(ApiError::new(
            ErrorKind::Invalid,
            format!(
                "{service} has data for one instance at a time; write `shared: true` in its `data` if it \
                 can be shared"
            ),
        ));
    }
    let mut assigner = PortAssigner::new(here);
    let mut events = Vec::new();
    // Releases beside the one that serves grow with it.
    for side in state.sides().filter(world::Side::is_in_use) {
        let (name, group) = (service, side.number);
        let place = Place { application, name, service: definition, state: Some(state), group };
        events.extend(assigner.assign(&place, replicas)?);
    }
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

fn known<'a>(
    world: &'a World,
    application: &ApplicationName,
) -> Result<&'a world::ApplicationState, ApiError> {
    world.application(application).ok_or_else(|| ApiError::no_application(application.as_str()))
}

fn running<'a>(
    world: &'a World,
    application: &ApplicationName,
) -> Result<&'a world::ApplicationState, ApiError> {
    let state = known(world, application)?;
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
