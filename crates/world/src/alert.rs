//! Alerts of an application's rules that fire.

use std::collections::BTreeMap;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::application::ApplicationState;
use crate::event::Event;

/// An alert that has begun to fire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// What tells it from others of its rule, but for its name.
    pub labels: BTreeMap<String, String>,
    /// What its rule says about it, for people (annotations).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Alert {
    /// One sentence: its summary, or its description, or its labels.
    pub fn text(&self) -> String {
        let said =
            ["summary", "description", "message"].iter().find_map(|it| self.annotations.get(*it));
        said.cloned().unwrap_or_else(|| {
            let labels = self.labels.iter().map(|(name, value)| format!("{name}={value}"));
            labels.collect::<Vec<_>>().join(" ")
        })
    }
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiringAlert {
    /// The alert.
    pub alert: Alert,
    /// Since when.
    pub since: Timestamp,
}

impl ApplicationState {
    /// The alert with this name and these labels, if it fires.
    pub fn alert(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<&FiringAlert> {
        self.alerts.iter().find(|it| it.alert.name == name && it.alert.labels == *labels)
    }

    /// An alert has begun to fire, or has ended.
    pub(crate) fn alarmed(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::AlertFired { alert, .. } => {
                self.forget_alert(&alert.name, &alert.labels);
                self.alerts.push(FiringAlert { alert: alert.clone(), since: at });
            }
            Event::AlertResolved { name, labels, .. } => self.forget_alert(name, labels),
            _ => {}
        }
    }

    fn forget_alert(&mut self, name: &str, labels: &BTreeMap<String, String>) {
        self.alerts.retain(|it| it.alert.name != name || it.alert.labels != *labels);
    }
}
