//! Reads what people write (pelago.yaml, scenarios, Compose files, Procfiles, spigo architectures) and says
//! what is wrong with it, and where. Text in, [`model::Application`] out: nothing here runs
//! anything, reads a file or looks at the environment by itself.
//!
//! A file goes through four stages. `yaml` makes a tree in which everything knows its place;
//! `check` walks it along the JSON Schema made from the types in `spec`; serde fills those types;
//! `meaning` turns them into the application, defaults filled in and references resolved. All four
//! go on after a mistake, so that all of them are reported at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::application::Application;

mod beside;
mod check;
mod dotenv;
mod edit;
pub mod import;
mod interpolate;
mod line;
mod meaning;
mod naming;
mod problem;
mod reference;
mod scenario;
mod schema;
mod spec;
mod yaml;

pub use beside::{Beside, Files, NoFiles};
pub use edit::{SetError, has, set};
pub use import::{Kind, detect};
pub use naming::name_of;
pub use problem::{PROBLEMS_MAX, Place, Problem, Problems, Severity};
pub use scenario::{
    RATE_DEFAULT, ScenarioRead, default_users, fault, scenario, scenario_reference, scenario_schema,
};
pub use yaml::{DEPTH_MAX, ENTRIES_MAX, NODES_MAX, TEXT_BYTES_MAX};

/// What was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// The application as meant.
    pub application: Application,
    /// What is probably not as meant.
    pub warnings: Problems,
}

/// Reads a pelago.yaml. `name` is the file's, for messages; `environment` is the caller's, for
/// `${env.NAME}`.
pub fn read(
    name: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Read, Problems> {
    read_beside(name, text, &Beside::alone(environment))
}

/// Reads a pelago.yaml with what stands around it: `.env`, and what `env_file` names.
pub fn read_beside(name: &str, text: &str, beside: &Beside<'_>) -> Result<Read, Problems> {
    let mut findings = problem::Findings::default();
    let variables = beside.variables(&mut findings);
    let beside = Beside { environment: &variables, ..*beside };
    let application =
        yaml::parse(text, &mut findings).and_then(|root| understand(&root, &beside, &mut findings));
    let text: Arc<str> = Arc::from(text);
    let problem::Findings { errors, warnings, dropped } = findings;
    match application {
        Some(application) if errors.is_empty() => {
            let warnings = Problems::new(name, &text, warnings, 0);
            Ok(Read { application, warnings })
        }
        _ => {
            let all = errors.into_iter().chain(warnings).collect();
            Err(Problems::new(name, &text, all, dropped))
        }
    }
}

fn understand(
    root: &yaml::Node,
    beside: &Beside<'_>,
    findings: &mut problem::Findings,
) -> Option<Application> {
    let value = check::check(root, &schema::APPLICATION, findings);
    let spec = filled(value, root.place, findings)?;
    meaning::application(&spec, yaml::At::root(root), beside, findings)
}

/// The type that a checked value fills; nothing if there was no mapping to check.
fn filled<T: serde::de::DeserializeOwned>(
    value: serde_json::Value,
    place: Place,
    findings: &mut problem::Findings,
) -> Option<T> {
    if !value.is_object() {
        return None;
    }
    match serde_json::from_value(value) {
        Ok(spec) => Some(spec),
        Err(error) => {
            // The schema took what serde does not: a defect here, said rather than hidden.
            let message = format!("this is a defect of Pelago, please report it: {error}");
            findings.error(place, message);
            None
        }
    }
}

/// The JSON Schema (2020-12) of pelago.yaml, for editors.
pub fn schema() -> serde_json::Value {
    schema::APPLICATION.schema.clone()
}

/// The reference page of pelago.yaml, in Markdown.
pub fn reference() -> String {
    reference::reference()
}
