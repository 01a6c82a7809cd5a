//! Alerts: what the rules say, against what is recorded.

use std::collections::BTreeMap;

use model::{ApplicationName, Timestamp};
use serde::Serialize;
use world::alert::Alert;
use world::{Event, World};

/// The alert that every application gets while something cannot be recorded.
pub(crate) const RECORDING_FAILS: &str = "PelagoRecordingFails";

/// What the rules of an application say of its alerts at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Alarm {
    pub(crate) application: ApplicationName,
    /// Who speaks: of the alerts of others it says nothing.
    pub(crate) source: Source,
    /// Those that fire.
    pub(crate) firing: Vec<Alert>,
    /// Name and labels of those whose condition holds, but which do not fire: after a restart, one that did is
    /// here until it has waited again.
    pub(crate) pending: Vec<(String, BTreeMap<String, String>)>,
}

/// Who raises an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The application's rules.
    Rules,
    /// The platform itself, which cannot record what happens.
    Platform,
}

impl Source {
    fn of(name: &str) -> Self {
        if name == RECORDING_FAILS { Self::Platform } else { Self::Rules }
    }
}

/// The events that say what has changed.
pub(crate) fn events(alarm: Alarm, world: &World) -> Vec<Event> {
    let Alarm { application, source, mut firing, pending } = alarm;
    firing.retain(|it| Source::of(&it.name) == source);
    let Some(state) = world.application(&application) else { return Vec::new() };
    let is_active = |it: &Alert| {
        firing.iter().any(|other| other.name == it.name && other.labels == it.labels)
            || pending.iter().any(|other| other.0 == it.name && other.1 == it.labels)
    };
    let own = state.alerts.iter().filter(|it| Source::of(&it.alert.name) == source);
    let resolved = own.filter(|it| !is_active(&it.alert));
    let resolved = resolved.map(|it| Event::AlertResolved {
        application: application.clone(),
        name: it.alert.name.clone(),
        labels: it.alert.labels.clone(),
    });
    let fired = firing.iter().filter(|it| state.alert(&it.name, &it.labels).is_none());
    let fired =
        fired.map(|it| Event::AlertFired { application: application.clone(), alert: it.clone() });
    resolved.chain(fired).collect()
}

/// What is posted. The names are those of Alertmanager's webhook.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    /// One sentence for people; the key is the one that chat services show.
    text: String,
    application: &'a ApplicationName,
    status: &'static str,
    alertname: &'a str,
    labels: &'a BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    at: String,
}

/// The address that wants to know of an event about an alert, and what it is told. `before` is the world without the event.
pub(crate) fn message(event: &Event, before: &World, at: Timestamp) -> Option<(String, String)> {
    let application = event.application()?;
    let state = before.application(application)?;
    let url = state.definition.rules.webhook.clone()?;
    let (alert, status, does) = match event {
        Event::AlertFired { alert, .. } => (alert.clone(), "firing", "fires"),
        Event::AlertResolved { name, labels, .. } => {
            (state.alert(name, labels)?.alert.clone(), "resolved", "has ended")
        }
        _ => return None,
    };
    let message = Message {
        text: format!("{application}: {} {does}: {}", alert.name, alert.text()),
        application,
        status,
        alertname: &alert.name,
        labels: &alert.labels,
        annotations: alert.annotations.clone(),
        at: at.to_string(),
    };
    Some((url, serde_json::to_string(&message).ok()?))
}
