//! The difference that applying a definition would make.

use std::fmt;

use model::Service;
use model::release::Digest;
use model::{Application, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use world::{ApplicationState, Desired, ServiceState};

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// The application.
    pub application: String,
    /// The changes, by service; none if everything is already as described.
    pub changes: Vec<ChangeView>,
}

/// A change to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeView {
    /// The service.
    pub service: String,
    /// What would be done to it.
    pub action: ChangeAction,
    /// Why: what is different, one line each.
    pub details: Vec<String>,
}

/// What would be done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    /// It is new.
    Create,
    /// It gets a new release, and its instances are replaced.
    Release,
    /// Only the number of its instances changes.
    Scale,
    /// It is there, and will be started again.
    Start,
    /// It is taken away.
    Remove,
}

impl fmt::Display for ChangeAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Create => "create",
            Self::Release => "release",
            Self::Scale => "scale",
            Self::Start => "start",
            Self::Remove => "remove",
        })
    }
}

/// Whether `service` with these files needs a release other than the current one.
pub fn needs_release(state: &ServiceState, service: &Service, artifact: Option<&Digest>) -> bool {
    let Some(current) = state.current_release() else { return true };
    current.artifact.as_ref() != artifact
        || Service { replicas: 0, ..current.service.clone() }
            != Service { replicas: 0, ..service.clone() }
}

/// The difference between what runs and `definition` with these files.
pub fn changes(
    state: Option<&ApplicationState>,
    definition: &Application,
    artifacts: &BTreeMap<ServiceName, Digest>,
) -> Vec<ChangeView> {
    let mut changes = Vec::new();
    for (name, service) in &definition.services {
        let before = state.and_then(|it| it.services.get(name)).filter(|it| !it.removed);
        let action = match before {
            None => Some((ChangeAction::Create, created(service))),
            Some(before) => {
                let running = state.is_some_and(|it| it.desired == Desired::Running);
                changed(before, service, artifacts.get(name), running)
            }
        };
        changes.extend(action.map(|(action, details)| ChangeView {
            service: name.to_string(),
            action,
            details,
        }));
    }
    let gone = state
        .into_iter()
        .flat_map(|it| &it.services)
        .filter(|(name, service)| !service.removed && !definition.services.contains_key(*name));
    changes.extend(gone.map(|(name, _)| ChangeView {
        service: name.to_string(),
        action: ChangeAction::Remove,
        details: Vec::new(),
    }));
    changes
}

fn created(service: &Service) -> Vec<String> {
    vec![format!("replicas: {}", service.replicas)]
}

#[expect(clippy::fn_params_excessive_bools, reason = "one flag; the lint is set to none")]
fn changed(
    before: &ServiceState,
    service: &Service,
    artifact: Option<&Digest>,
    running: bool,
) -> Option<(ChangeAction, Vec<String>)> {
    let mut details = Vec::new();
    if before.replicas != service.replicas {
        details.push(format!("replicas: {} -> {}", before.replicas, service.replicas));
    }
    if needs_release(before, service, artifact) {
        if let Some(current) = before.current_release() {
            if current.artifact.as_ref() != artifact {
                details.push("artifact: its files have changed".to_owned());
            }
            details.extend(differences(&current.service, service));
        }
        return Some((ChangeAction::Release, details));
    }
    if !running {
        return Some((ChangeAction::Start, details));
    }
    (!details.is_empty()).then_some((ChangeAction::Scale, details))
}

/// The keys in which two services differ, with both values where they are short.
fn differences(before: &Service, after: &Service) -> Vec<String> {
    let to_map = |service: &Service| match serde_json::to_value(service) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (to_map(before), to_map(after));
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    for key in keys.into_iter().filter(|it| *it != "replicas") {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            lines.push(format!("{key}: {} -> {}", short(old), short(new)));
        }
    }
    lines
}

fn short(value: Option<&serde_json::Value>) -> String {
    /// Characters after which a value is cut.
    const CHARS_MAX: usize = 60;
    let Some(value) = value else { return "(none)".to_owned() };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    let cut: String = text.chars().take(CHARS_MAX).collect();
    format!("{cut}..")
}
