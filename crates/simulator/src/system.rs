//! An application and a scenario, compiled: names are places, behaviours are ready to draw from.
//!
//! Nothing here changes while it is run, so that replications on several threads share one.

use std::sync::Arc;

use behaviour::{Behaviour, BehaviourError, Sampler};
use model::edge::Resilience;
use model::scenario::{FaultKind, Load, Scenario, Victims};
use model::service::Source;
use model::workload::Workload;
use model::{Application, ServiceName};

/// What can be simulated.
#[derive(Clone, Debug)]
pub struct System {
    application: Arc<Application>,
    scenario: Arc<Scenario>,
    services: Vec<ServiceName>,
    edges: Vec<EdgeName>,
    pub(crate) parts: Vec<Part>,
    pub(crate) links: Vec<Link>,
    pub(crate) users: Vec<UsersPart>,
    /// The regions of zones, by place: a number for each region.
    pub(crate) regions: Vec<usize>,
}

/// Who calls whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeName {
    /// The place of the service that calls; none for requests from outside.
    pub caller: Option<usize>,
    /// The place of the service that is called.
    pub callee: usize,
}

/// One service.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) behaviour: Behaviour,
    pub(crate) workload: Workload,
    /// The edge to each of the behaviour's callees.
    pub(crate) edges: Vec<u32>,
    pub(crate) replicas: u32,
}

/// One edge.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) policy: Resilience,
}

/// One kind of users.
#[derive(Clone, Debug)]
pub(crate) struct UsersPart {
    /// The edge of each of its requests.
    pub(crate) edges: Vec<u32>,
    pub(crate) think: Option<Sampler>,
    pub(crate) pause: Option<Sampler>,
}

/// Why something cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// A service has code, and nobody said how it behaves.
    #[error(
        "nothing is known of how `{0}` behaves; describe it under `services.{0}.behaviour` in the \
         scenario"
    )]
    NoBehaviour(ServiceName),
    /// A behaviour is beyond what can be executed.
    #[error("service `{service}`")]
    Behaviour {
        /// Whose.
        service: ServiceName,
        /// Why.
        source: BehaviourError,
    },
    /// Something speaks of a service that is not there.
    #[error(
        "{by} speaks of `{service}`, which is not in the application; add it or correct the name"
    )]
    NoService {
        /// What does.
        by: String,
        /// The name.
        service: String,
    },
    /// Something speaks of a zone or region that is not there.
    #[error("{by} speaks of `{zone}`, which is not in `network.zones`; add it or correct the name")]
    NoZone {
        /// What does.
        by: String,
        /// The name.
        zone: String,
    },
    /// Nobody sends anything.
    #[error("nobody uses the application: say who does under `users`, or give `--load`")]
    NoUsers,
    /// Users who send nothing.
    #[error("the users `{0}` send no request; name one under `requests`")]
    NoRequests(String),
    /// There is nowhere to be.
    #[error("there is no zone; name at least one under `network.zones`")]
    NoZones,
    /// A copy each on more instances than there are.
    #[error(
        "`{service}` keeps {factor} copies on {replicas} instances; raise `replicas` or lower \
         `replication.factor`"
    )]
    TooManyCopies {
        /// Whose.
        service: ServiceName,
        /// Copies.
        factor: u32,
        /// Instances.
        replicas: u32,
    },
}

impl System {
    /// Compiles an application and a scenario.
    pub fn new(application: &Application, scenario: &Scenario) -> Result<Self, SystemError> {
        let services: Vec<ServiceName> = application.services.keys().cloned().collect();
        let mut system = Self {
            application: Arc::new(application.clone()),
            scenario: Arc::new(scenario.clone()),
            services,
            edges: Vec::new(),
            parts: Vec::new(),
            links: Vec::new(),
            users: Vec::new(),
            regions: regions(scenario)?,
        };
        system.add_services(application)?;
        system.add_users(scenario)?;
        system.check_faults(scenario)?;
        Ok(system)
    }

    /// The application.
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Its services, in the order of outcomes.
    pub fn services(&self) -> &[ServiceName] {
        &self.services
    }

    /// Its edges, in the order of outcomes.
    pub fn edges(&self) -> &[EdgeName] {
        &self.edges
    }

    /// The place of a service.
    pub(crate) fn place(&self, name: &ServiceName) -> Option<usize> {
        self.services.binary_search(name).ok()
    }

    /// The edge between two services.
    pub(crate) fn edge(&self, caller: usize, callee: usize) -> Option<usize> {
        self.edges.iter().position(|it| it.caller == Some(caller) && it.callee == callee)
    }

    fn find(&self, name: &ServiceName, by: &str) -> Result<usize, SystemError> {
        let missing =
            || SystemError::NoService { by: by.to_owned(), service: name.as_str().to_owned() };
        self.place(name).ok_or_else(missing)
    }

    fn add_services(&mut self, application: &Application) -> Result<(), SystemError> {
        for (place, (name, service)) in application.services.iter().enumerate() {
            let Source::Behaviour(workload) = &service.source else {
                return Err(SystemError::NoBehaviour(name.clone()));
            };
            let failed = |source| SystemError::Behaviour { service: name.clone(), source };
            let behaviour = Behaviour::new(workload).map_err(failed)?;
            if let Some(replication) = workload.replication
                && service.replicas < replication.factor
            {
                let (service, factor, replicas) =
                    (name.clone(), replication.factor, service.replicas);
                return Err(SystemError::TooManyCopies { service, factor, replicas });
            }
            let mut edges = Vec::new();
            for callee in behaviour.callees() {
                let by = format!("the behaviour of `{name}`");
                let edge = EdgeName { caller: Some(place), callee: self.find(callee, &by)? };
                let policy = service.calls.get(callee).cloned().unwrap_or_default();
                edges.push(self.add_edge(edge, policy));
            }
            self.parts.push(Part {
                workload: workload.clone(),
                replicas: service.replicas,
                behaviour,
                edges,
            });
        }
        Ok(())
    }

    fn add_edge(&mut self, edge: EdgeName, policy: Resilience) -> u32 {
        self.edges.push(edge);
        self.links.push(Link { policy });
        u32::try_from(self.edges.len() - 1).unwrap_or(u32::MAX)
    }

    fn add_users(&mut self, scenario: &Scenario) -> Result<(), SystemError> {
        if scenario.users.is_empty() {
            return Err(SystemError::NoUsers);
        }
        for users in &scenario.users {
            if users.requests.is_empty() {
                return Err(SystemError::NoRequests(users.name.clone()));
            }
            let by = format!("the users `{}`", users.name);
            let mut edges = Vec::new();
            for entry in &users.requests {
                let edge = EdgeName { caller: None, callee: self.find(&entry.service, &by)? };
                edges.push(self.add_edge(edge, (*entry.resilience).clone()));
            }
            let think = match &users.load {
                Load::Closed { think, .. } => Some(Sampler::new(think)),
                Load::Open(_) => None,
            };
            let pause = users.again.as_ref().map(|it| Sampler::new(&it.pause));
            self.users.push(UsersPart { edges, think, pause });
        }
        Ok(())
    }

    fn check_faults(&self, scenario: &Scenario) -> Result<(), SystemError> {
        let by = "a fault";
        let zone = |name: &String| {
            let known =
                scenario.network.zones.iter().any(|it| it.name == *name || it.region == *name);
            let missing = || SystemError::NoZone { by: by.to_owned(), zone: name.clone() };
            if known { Ok(()) } else { Err(missing()) }
        };
        for fault in &scenario.faults {
            match &fault.what {
                FaultKind::Kill(victims)
                | FaultKind::Slow { victims, .. }
                | FaultKind::Flaky { victims, .. }
                | FaultKind::Cpu { victims, .. } => self.check_victims(victims, by)?,
                FaultKind::ZoneLost(name) | FaultKind::RegionLost(name) => zone(name)?,
                FaultKind::Partition { from, to } => {
                    for side in from.iter().chain(to) {
                        let is_service = self.services.iter().any(|it| it.as_str() == side);
                        if !is_service {
                            zone(side)?;
                        }
                    }
                }
                FaultKind::CacheFlushed { service, .. }
                | FaultKind::Released { service, .. }
                | FaultKind::Scaled { service, .. } => {
                    self.find(service, by)?;
                }
                FaultKind::Configured { caller, callee, .. } => {
                    let (from, to) = (self.find(caller, by)?, self.find(callee, by)?);
                    let missing = || SystemError::NoService {
                        by: format!("a fault of an edge of `{caller}`"),
                        service: callee.as_str().to_owned(),
                    };
                    self.edge(from, to).ok_or_else(missing)?;
                }
                FaultKind::Loss(_)
                | FaultKind::Delay(_)
                | FaultKind::Load(_)
                | FaultKind::Surge(_) => {}
            }
        }
        Ok(())
    }

    fn check_victims(&self, victims: &Victims, by: &str) -> Result<(), SystemError> {
        victims.service.as_ref().map_or(Ok(0), |it| self.find(it, by)).map(drop)
    }
}

fn regions(scenario: &Scenario) -> Result<Vec<usize>, SystemError> {
    let zones = &scenario.network.zones;
    if zones.is_empty() {
        return Err(SystemError::NoZones);
    }
    let mut names: Vec<&str> = Vec::new();
    let places = zones.iter().map(|zone| {
        names.iter().position(|it| *it == zone.region).unwrap_or_else(|| {
            names.push(&zone.region);
            names.len() - 1
        })
    });
    let places = places.collect();
    for link in &scenario.network.links {
        for end in [&link.between.0, &link.between.1] {
            if !names.contains(&end.as_str()) {
                return Err(SystemError::NoZone { by: "a link".to_owned(), zone: end.clone() });
            }
        }
    }
    Ok(places)
}
