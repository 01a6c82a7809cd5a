//! Views of what happened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Event, Recorded};

/// An event, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Its index.
    pub index: u64,
    /// When, in RFC 3339.
    pub at: String,
    /// The name of its kind.
    pub kind: String,
    /// The application it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The service it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The instance it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What happened, in a sentence.
    pub text: String,
}

impl EventView {
    /// The view of an event.
    pub fn of(recorded: &Recorded) -> Self {
        let event = &recorded.event;
        Self {
            index: recorded.index.0,
            at: recorded.at.to_string(),
            kind: event.kind().to_owned(),
            application: event.application().map(ToString::to_string),
            service: event.service().map(ToString::to_string),
            instance: event.instance().map(ToString::to_string),
            text: text(event),
        }
    }
}

fn text(event: &Event) -> String {
    match event {
        Event::ControlStarted { version, pid } => {
            format!("control {version} started as process {pid}")
        }
        Event::JournalRepaired { report } => format!("the journal was repaired: {report}"),
        Event::ApplicationApplied { definition, .. } => {
            let services = count(definition.services.len(), "service");
            format!("{} applied with {services}", definition.name)
        }
        Event::StopAsked { application } => format!("{application} should stop"),
        Event::ApplicationStopped { application } => format!("{application} has stopped"),
        Event::ReleaseMade { service, release, .. } => {
            format!("{service}@{} made", release.number)
        }
        Event::PortAssigned { service, slot, port, .. } => {
            format!("{service} slot {slot} got port {port}")
        }
        Event::SparePortAssigned { service, slot, port, .. } => {
            format!("{service} slot {slot} got spare port {port}")
        }
        Event::EdgeOpened { caller, callee, port, .. } => {
            format!("{caller} finds {callee} on port {port}")
        }
        Event::ServiceScaled { service, replicas, .. } => {
            format!("{service} should have {}", count(*replicas as usize, "instance"))
        }
        Event::RestartAsked { service, .. } => format!("{service} should be restarted"),
        Event::InstanceCreated { instance, release, port, .. } => {
            format!("{instance} should run {release} on port {port}")
        }
        Event::InstanceStarted { instance, process, .. } => {
            format!("{instance} started as process {}", process.pid)
        }
        Event::InstanceReady { instance, .. } => format!("{instance} is ready"),
        Event::InstanceUnready { instance, reason, .. } => {
            format!("{instance} is not ready: {reason}")
        }
        Event::LivenessFailed { instance, reason, .. } => {
            format!("{instance} failed its liveness check: {reason}")
        }
        Event::InstanceStopping { instance, reason, .. } => {
            format!("{instance} told to stop: {reason}")
        }
        Event::InstanceExited { instance, exit, .. } => format!("{instance} ended: {exit}"),
        Event::CrashLoopDeclared { service, failures, .. } => {
            let failures = count(*failures as usize, "failed start");
            format!("{service} is crash-looping: {failures} in a row")
        }
        Event::CrashLoopCleared { service, .. } => format!("{service} no longer crash-loops"),
    }
}

fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
