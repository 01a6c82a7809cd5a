//! The difference that applying a definition would make.

mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::release::{Digest, Release};
use model::rollout::{Strategy, Update};
use model::{Application, Service, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use world::{ApplicationState, Desired, ServiceState};

pub use whole::whole;

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// The application.
    pub application: String,
    /// The changes, by service; none if everything is already as described.
    pub changes: Vec<ChangeView>,
    /// What is different beside the services, a line each: routes, configuration, flags, rules.
    #[serde(default)]
    pub whole: Vec<String>,
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
    /// What is said of it changes, and nothing that its instances are made of: they go on.
    Amend,
    /// It is there, and will be started again.
    Start,
    /// It is taken away.
    Remove,
}

/// Whether values are shown that may hold passwords: of environment variables, and of commands and addresses that
/// variables are put into. What is shown ends up in the logs of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Values {
    /// Only that they differ.
    #[default]
    Masked,
    /// As they are: somebody asked for it.
    Shown,
}

impl fmt::Display for ChangeAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Create => "create",
            Self::Release => "release",
            Self::Scale => "scale",
            Self::Amend => "amend",
            Self::Start => "start",
            Self::Remove => "remove",
        })
    }
}

/// Whether `service` with these files needs a release other than the current one.
pub fn needs_release(state: &ServiceState, service: &Service, artifact: Option<&Digest>) -> bool {
    state.current_release().is_none_or(|it| differs(it, service, artifact))
}

/// Whether a release is of something else than `service` with these files.
pub fn differs(release: &Release, service: &Service, artifact: Option<&Digest>) -> bool {
    release.artifact.as_ref() != artifact || matter(&release.service) != matter(service)
}

/// What of a service its instances, and calls to and from them, are made of. Who owns it, how many instances it has and
/// how its next release takes over is said of it, and is no other release. That two of them must not be there at a time is
/// so for every restart.
fn matter(service: &Service) -> Service {
    let mut update = Update::default();
    if service.update.strategy == Strategy::Recreate {
        update.strategy = Strategy::Recreate;
    }
    Service { replicas: 0, owner: None, update, ..service.clone() }
}

/// The difference between what runs and `definition` with these files.
pub fn changes(
    state: Option<&ApplicationState>,
    definition: &Application,
    artifacts: &BTreeMap<ServiceName, Digest>,
    values: Values,
) -> Vec<ChangeView> {
    let mut changes = Vec::new();
    for (name, service) in &definition.services {
        let before = state.and_then(|it| it.services.get(name)).filter(|it| !it.removed);
        let action = match before {
            None => Some((ChangeAction::Create, created(service))),
            Some(before) => {
                let desired = state.map_or(Desired::Stopped, |it| it.desired);
                let said = state.and_then(|it| it.definition.services.get(name));
                changed(before, (said, service, artifacts.get(name)), desired, values)
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
    let owner = service.owner.iter().map(|it| format!("owner: {it}"));
    [format!("replicas: {}", service.replicas)].into_iter().chain(owner).collect()
}

fn changed(
    before: &ServiceState,
    (said, service, artifact): (Option<&Service>, &Service, Option<&Digest>),
    desired: Desired,
    values: Values,
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
            details.extend(differences(&current.service, service, values));
        }
        return Some((ChangeAction::Release, details));
    }
    let is_scaled = !details.is_empty();
    details.extend(said.iter().flat_map(|it| differences(it, service, values)));
    if desired != Desired::Running {
        return Some((ChangeAction::Start, details));
    }
    let action = if is_scaled { ChangeAction::Scale } else { ChangeAction::Amend };
    (!details.is_empty()).then_some((action, details))
}

/// The keys in which two services differ, as paths, with both values where they are short.
pub(crate) fn differences(before: &Service, after: &Service, values: Values) -> Vec<String> {
    let without_replicas = |service: &Service| {
        let mut value = serde_json::to_value(service).unwrap_or_default();
        if let Value::Object(map) = &mut value {
            map.remove("replicas");
        }
        value
    };
    let mut lines = Vec::new();
    compare("", &without_replicas(before), &without_replicas(after), (values, &mut lines));
    lines
}

/// Keys with names below them that people chose; the key is left out where there are none.
const MAPS: [&str; 5] = ["environment", "depends_on", "uses", "calls", "limits"];

/// What environment variables are below.
const ENVIRONMENT: &str = "environment.";
/// Keys of text that variables are put into, and passwords with them.
const PRIVATE: [&str; 4] = ["command", "build", "release_command", "webhook"];

/// Whether what is at a path may hold what is not everybody's business.
fn is_private(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or_default();
    path.starts_with(ENVIRONMENT) || PRIVATE.contains(&key)
}

/// Adds a line for each leaf that differs below `path`.
fn compare(path: &str, before: &Value, after: &Value, (values, lines): (Values, &mut Vec<String>)) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let value = |map: &Map<String, Value>, key: &String| map.get(key).cloned();
            for key in keys {
                let (old, new) = (value(old, key), value(new, key));
                compare(
                    &join(path, key),
                    &old.unwrap_or_default(),
                    &new.unwrap_or_default(),
                    (values, lines),
                );
            }
        }
        (old, new) if old == new => {}
        (Value::Null, Value::Object(_)) if MAPS.contains(&path) => {
            compare(path, &Value::Object(Map::new()), after, (values, lines));
        }
        (Value::Object(_), Value::Null) if MAPS.contains(&path) => {
            compare(path, before, &Value::Object(Map::new()), (values, lines));
        }
        (old, new) if values == Values::Masked && is_private(path) => {
            let what = match (old, new) {
                (Value::Null, _) => "added",
                (_, Value::Null) => "removed",
                _ => "changed",
            };
            lines.push(format!("{path}: {what}"));
        }
        // What is in it would only repeat its defaults.
        (Value::Null, Value::Object(_)) => lines.push(format!("{path}: added")),
        (Value::Object(_), Value::Null) => lines.push(format!("{path}: removed")),
        (old, new) => lines.push(format!("{path}: {} -> {}", short(old), short(new))),
    }
}

/// The path of a key. What runs is written beside the other keys, not below a `source`.
fn join(path: &str, key: &str) -> String {
    match (path, key) {
        ("" | "source" | "process", _) => key.to_owned(),
        ("image", "reference") => path.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// A value on one line: a list of words as a command is typed, anything else as JSON.
fn short(value: &Value) -> String {
    /// Characters after which a value is cut.
    const CHARS_MAX: usize = 60;
    let text = match value {
        Value::Null => return "(none)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            words.map_or_else(|| value.to_string(), |it| it.join(" "))
        }
        other => other.to_string(),
    };
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    let cut: String = text.chars().take(CHARS_MAX).collect();
    format!("{cut}..")
}
