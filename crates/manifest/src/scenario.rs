//! Reads what an application is put through: a scenario.yaml, one fault on a line, and who uses an application
//! when nobody says.
//!
//! A scenario is read against an application, since what it names must exist there; and it may say what the
//! application's file cannot: how code behaves, and what stands in for a datastore.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::application::Application;
use model::name::ServiceName;
use model::scenario::{DURATION_DEFAULT, Door, Entry, Fault, Load, LoadPart, Scenario, Users};
use model::units::Bytes;

use crate::check::check_part;
use crate::line;
use crate::meaning;
use crate::problem::{Findings, Place, Problems};
use crate::schema::SCENARIO;
use crate::yaml::At;

/// Requests a second if nobody says otherwise: what a service of one instance usually takes.
pub const RATE_DEFAULT: f64 = 100.0;

/// A scenario that was read.
#[derive(Clone, Debug)]
pub struct ScenarioRead {
    /// The application as it is in this scenario.
    pub application: Application,
    /// The scenario as meant.
    pub scenario: Scenario,
    /// What is probably not as meant.
    pub warnings: Problems,
}

/// Reads a scenario.yaml for `application`. `name` is the file's, for messages.
pub fn scenario(
    name: &str,
    text: &str,
    application: &Application,
) -> Result<ScenarioRead, Problems> {
    let mut findings = Findings::default();
    let read = crate::yaml::parse(text, &mut findings).and_then(|root| {
        let value = crate::check::check(&root, &SCENARIO, &mut findings);
        let spec = crate::filled(value, root.place, &mut findings)?;
        Some(meaning::scenario(&spec, At::root(&root), application, &mut findings))
    });
    let text: Arc<str> = Arc::from(text);
    let Findings { errors, warnings, dropped } = findings;
    match read {
        Some((application, scenario)) if errors.is_empty() => {
            let warnings = Problems::new(name, &text, warnings, 0);
            Ok(ScenarioRead { application, scenario, warnings })
        }
        _ => {
            let all = errors.into_iter().chain(warnings).collect();
            Err(Problems::new(name, &text, all, dropped))
        }
    }
}

/// Reads a fault on one line, `at 60s for 30s slow cart by 10`, as it stands in a scenario or on a command line. Names
/// of zones are not checked: a line does not know which there are.
pub fn fault(text: &str, application: &Application) -> Result<Fault, Problems> {
    let mut findings = Findings::default();
    let place = |offset: usize, length: usize| Place {
        line: 1,
        column: text.get(..offset).map_or(0, |it| it.chars().count()) + 1,
        offset,
        length,
    };
    let fault = line::node(text, place, &mut findings).and_then(|node| {
        let value = check_part(&node, ("fault", &SCENARIO), "the fault", &mut findings);
        let spec = crate::filled(value, node.place, &mut findings)?;
        meaning::fault(&spec, At::root(&node), application, &mut findings)
    });
    let Findings { errors, dropped, .. } = findings;
    match fault {
        Some(fault) if errors.is_empty() => Ok(fault),
        _ => Err(Problems::new("fault", &Arc::from(text), errors, dropped)),
    }
}

/// Who uses an application if nobody says: people who send so many requests a second, evenly to all services that
/// routes lead to; if there are no routes, to those that nobody calls; and if there are none of these, to all.
pub fn default_users(application: &Application, rate: f64) -> Vec<Users> {
    let part = LoadPart { from: rate, to: rate, lasts: DURATION_DEFAULT };
    vec![Users {
        name: "users".to_owned(),
        load: Load::Open(vec![part]),
        requests: doors(application).into_iter().map(|it| entry(application, it)).collect(),
        door: Door::Gateway,
        again: None,
    }]
}

/// The services that are called from outside.
fn doors(application: &Application) -> Vec<&ServiceName> {
    let services = &application.services;
    let routed: BTreeSet<_> = application.routes.iter().filter_map(|it| it.service()).collect();
    if !routed.is_empty() {
        return routed.into_iter().collect();
    }
    let called: BTreeSet<_> = services.values().flat_map(|it| it.calls.keys()).collect();
    let uncalled: Vec<_> = services.keys().filter(|it| !called.contains(it)).collect();
    if uncalled.is_empty() { services.keys().collect() } else { uncalled }
}

/// One kind of request to a service, by the policy of the first route that leads there.
pub(crate) fn entry(application: &Application, service: &ServiceName) -> Entry {
    let route = application.routes.iter().find(|it| it.service() == Some(service));
    Entry {
        service: service.clone(),
        weight: 1,
        request: Bytes::default(),
        priority: route.map(|it| it.priority).unwrap_or_default(),
        resilience: route.map(|it| Box::new(it.resilience.clone())).unwrap_or_default(),
    }
}

/// The JSON Schema (2020-12) of scenario.yaml, for editors.
pub fn scenario_schema() -> serde_json::Value {
    SCENARIO.schema.clone()
}

/// The reference page of scenario.yaml, in Markdown.
pub fn scenario_reference() -> String {
    crate::reference::scenario()
}
