//! An application and a scenario, compiled: names are places, behaviours are ready to draw from.

use std::sync::Arc;

use model::scenario::Scenario;
use model::{Application, ServiceName};

/// What can be simulated.
#[derive(Clone, Debug)]
pub struct System {
    application: Arc<Application>,
    scenario: Arc<Scenario>,
    services: Vec<ServiceName>,
    edges: Vec<EdgeName>,
}

/// Who calls whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeName {
    /// The place of the service that calls; none for requests from outside.
    pub caller: Option<usize>,
    /// The place of the service that is called.
    pub callee: usize,
}

/// Why something cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// A service has code, and nobody said how it behaves.
    #[error(
        "nothing is known of how `{0}` behaves; describe it under `services.{0}.behaviour` in the scenario"
    )]
    NoBehaviour(ServiceName),
}

impl System {
    /// Compiles an application and a scenario.
    pub fn new(application: &Application, scenario: &Scenario) -> Result<Self, SystemError> {
        Ok(Self {
            application: Arc::new(application.clone()),
            scenario: Arc::new(scenario.clone()),
            services: application.services.keys().cloned().collect(),
            edges: Vec::new(),
        })
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
}
