//! Views of the state.

use std::collections::BTreeMap;
use std::fmt;

use model::instance::StopReason;
use model::restart::RestartPolicy;
use model::service::Protocol;
use model::units::DurationText;
use model::{ApplicationName, InstanceId, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::alert::FiringAlert;
use world::{ApplicationState, Desired, Ended, Instance, Phase, ServiceState, Side, World};

use crate::traffic::DrainingView;

/// The state of everything, or of one application, at one index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// The index.
    pub index: u64,
    /// When the event with that index happened, in RFC 3339.
    pub at: String,
    /// What keeps the platform from writing down what happens now, in sentences; none if all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recording_problems: Vec<String>,
    /// Data planes that were replaced and go on for the connections they have, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draining: Vec<DrainingView>,
    /// The applications, by name.
    pub applications: Vec<ApplicationView>,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationView {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: ApplicationStateView,
    /// The folder it was described in.
    pub folder: String,
    /// When it was last applied, in RFC 3339.
    pub applied_at: String,
    /// Its services, by name.
    pub services: Vec<ServiceView>,
    /// Alerts of its rules that fire.
    #[serde(default)]
    pub alerts: Vec<AlertView>,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertView {
    /// Its name.
    pub name: String,
    /// What tells it from others of its rule.
    pub labels: BTreeMap<String, String>,
    /// What it says, in a sentence.
    pub text: String,
    /// Since when, in RFC 3339.
    pub since: String,
}

/// How an application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationStateView {
    /// Something that was asked for is not there yet.
    Starting,
    /// Everything that was asked for is there.
    Running,
    /// Everything was there, and a service has no instance any more that can take requests.
    Degraded,
    /// Something fails again and again.
    Failing,
    /// It is being stopped.
    Stopping,
    /// It has been stopped.
    Stopped,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: ServiceStateView,
    /// Why it is so, in words, where there is something to say.
    pub detail: String,
    /// The release that should run.
    pub release: String,
    /// Instances wanted.
    pub replicas: u32,
    /// Instances that can take requests.
    pub ready: usize,
    /// What it waits for before it is started.
    pub waiting_for: Vec<String>,
    /// Services it says it calls.
    pub calls: Vec<String>,
    /// Its instances, by number.
    pub instances: Vec<InstanceView>,
    /// The last instances that ended, oldest first.
    pub ended: Vec<EndedView>,
}

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStateView {
    /// It waits for what it depends on.
    Waiting,
    /// It is being started, or replaced, or waits for its next try.
    Starting,
    /// Every instance wanted is ready.
    Ready,
    /// It is a job, and is at it.
    Running,
    /// No instance can take requests, and one could before.
    Unready,
    /// Some instances are not ready, and one is.
    Degraded,
    /// Every instance is ready, and some are still to be replaced.
    Updating,
    /// It fails again and again.
    CrashLooping,
    /// It was a job, and is done.
    Completed,
    /// It was a job, and has failed for good.
    Failed,
    /// It is being stopped.
    Stopping,
    /// Nothing of it runs, as wanted.
    Stopped,
}

/// An instance that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceView {
    /// Its name.
    pub id: String,
    /// How it is.
    pub state: InstanceStateView,
    /// Why it is so, in words, where there is something to say.
    pub detail: String,
    /// The release it runs.
    pub release: String,
    /// Where it listens; empty for a job, which does not.
    pub url: String,
    /// Its process, once started.
    pub pid: Option<u32>,
    /// When its process was started, in RFC 3339.
    pub started_at: Option<String>,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStateView {
    /// Its process is being started.
    Created,
    /// It runs, and is not ready yet.
    Starting,
    /// It can take requests.
    Ready,
    /// It does a job.
    Running,
    /// It could take requests, and no longer can.
    Unready,
    /// It was told to stop.
    Stopping,
}

/// An instance that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedView {
    /// Its name.
    pub id: String,
    /// The release it ran.
    pub release: String,
    /// How it ended, in words.
    pub exit: String,
    /// Whether nobody asked for that.
    pub unasked: bool,
    /// When, in RFC 3339.
    pub at: String,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),* $(,)? }) => {
        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(match self { $(Self::$variant => $word),* })
            }
        }
    };
}

words!(ApplicationStateView {
    Starting => "starting",
    Running => "running",
    Degraded => "degraded",
    Failing => "failing",
    Stopping => "stopping",
    Stopped => "stopped",
});
words!(ServiceStateView {
    Waiting => "waiting",
    Starting => "starting",
    Ready => "ready",
    Running => "running",
    Unready => "unready",
    Degraded => "degraded",
    Updating => "updating",
    CrashLooping => "crash-looping",
    Completed => "completed",
    Failed => "failed",
    Stopping => "stopping",
    Stopped => "stopped",
});
words!(InstanceStateView {
    Created => "created",
    Starting => "starting",
    Ready => "ready",
    Running => "running",
    Unready => "unready",
    Stopping => "stopping",
});

impl ServiceStateView {
    /// Whether all of it is as it should be, so that there is nothing to wait for.
    pub const fn is_fine(self) -> bool {
        matches!(self, Self::Ready | Self::Running | Self::Completed)
    }
}

impl StatusView {
    /// The view of `world`, of one application only if one is named.
    pub fn of(world: &World, only: Option<&ApplicationName>) -> Self {
        let applications = world.applications.iter();
        Self {
            index: world.index.0,
            at: world.at.to_string(),
            recording_problems: Vec::new(),
            draining: Vec::new(),
            applications: applications
                .filter(|(name, _)| only.is_none_or(|it| it == *name))
                .map(|(name, state)| ApplicationView::of(name, state))
                .collect(),
        }
    }
}

impl ApplicationView {
    fn of(name: &ApplicationName, state: &ApplicationState) -> Self {
        let services = state.services.iter();
        let services: Vec<ServiceView> = services
            .filter(|(_, it)| !it.removed || !it.instances.is_empty())
            .map(|(service, it)| ServiceView::of(service, it, state))
            .collect();
        let failing = |it: &ServiceView| {
            matches!(it.state, ServiceStateView::CrashLooping | ServiceStateView::Failed)
        };
        let view_state = match state.desired {
            Desired::Stopping => ApplicationStateView::Stopping,
            Desired::Stopped => ApplicationStateView::Stopped,
            Desired::Running if services.iter().any(failing) => ApplicationStateView::Failing,
            Desired::Running if state.is_settled() => ApplicationStateView::Running,
            Desired::Running if services.iter().any(|it| it.state == ServiceStateView::Unready) => {
                ApplicationStateView::Degraded
            }
            Desired::Running => ApplicationStateView::Starting,
        };
        Self {
            name: name.to_string(),
            state: view_state,
            folder: state.folder.clone(),
            applied_at: state.applied_at.to_string(),
            services,
            alerts: state.alerts.iter().map(AlertView::of).collect(),
        }
    }
}

impl AlertView {
    fn of(firing: &FiringAlert) -> Self {
        let alert = &firing.alert;
        Self {
            name: alert.name.clone(),
            labels: alert.labels.clone(),
            text: alert.text(),
            since: firing.since.to_string(),
        }
    }
}

impl ServiceView {
    fn of(name: &ServiceName, service: &ServiceState, state: &ApplicationState) -> Self {
        // It is of interest while none has been started, and while those of an old release go on until new
        // ones can be.
        let waits = service.instances.is_empty() || service.replicas as usize <= service.ready();
        let is_wanted = state.desired == Desired::Running && !service.removed;
        let waiting_for: Vec<String> = if is_wanted && waits && !service.is_settled() {
            state.waiting_for(name).iter().map(ToString::to_string).collect()
        } else {
            Vec::new()
        };
        let view_state = service_state(service, state.desired, &waiting_for);
        let calls = state.definition.services.get(name);
        let id = |number| InstanceId { service: name.clone(), number };
        Self {
            name: name.to_string(),
            state: view_state,
            detail: detail(name, service, view_state, &waiting_for),
            release: service.current().to_string(),
            replicas: service.replicas,
            ready: service.ready(),
            waiting_for,
            calls: calls
                .map_or_else(Vec::new, |it| it.calls.keys().map(ToString::to_string).collect()),
            instances: service
                .instances
                .iter()
                .map(|(number, it)| InstanceView::of(&id(*number), it, service))
                .collect(),
            ended: service
                .ended
                .iter()
                .map(|it| EndedView::of(&id(it.number), it, service))
                .collect(),
        }
    }
}

fn service_state(
    service: &ServiceState,
    desired: Desired,
    waiting_for: &[String],
) -> ServiceStateView {
    let wanted = desired == Desired::Running && !service.removed;
    if !wanted {
        return if service.instances.is_empty() {
            ServiceStateView::Stopped
        } else {
            ServiceStateView::Stopping
        };
    }
    let Some(main) = service.main_side() else { return ServiceStateView::Stopped };
    let all_done = || main.wanted_slots().all(|(_, slot)| main.is_done(slot));
    if main.group.crash_loop_since.is_some() {
        ServiceStateView::CrashLooping
    } else if service.replicas == 0 && service.instances.is_empty() {
        ServiceStateView::Stopped
    } else if command_failure(service).is_some() && service.instances.is_empty() {
        ServiceStateView::Failed
    } else if service.is_completed() {
        ServiceStateView::Completed
    } else if service.is_settled() && service.ready() == 0 && all_done() {
        ServiceStateView::Failed
    } else if service.is_settled() && is_job(service) {
        ServiceStateView::Running
    } else if service.is_settled() {
        ServiceStateView::Ready
    } else if service.replicas as usize <= service.ready() {
        ServiceStateView::Updating
    } else if 0 < service.ready() {
        ServiceStateView::Degraded
    } else if service.instances.values().any(has_lost_health) {
        ServiceStateView::Unready
    } else if !waiting_for.is_empty() {
        ServiceStateView::Waiting
    } else {
        ServiceStateView::Starting
    }
}

/// Whether it runs to an end, and takes no requests.
fn is_job(service: &ServiceState) -> bool {
    service.restart_policy() != RestartPolicy::Always
}

/// Whether an instance runs, was ready, and is no longer.
fn has_lost_health(instance: &Instance) -> bool {
    instance.phase == Phase::Running && !instance.ready && instance.ready_at.is_some()
}

fn detail(
    name: &ServiceName,
    service: &ServiceState,
    state: ServiceStateView,
    waiting_for: &[String],
) -> String {
    let last_failure = || service.ended.iter().rev().find(|it| it.is_unasked());
    let last_failure = || last_failure().map(|it| how_it_ended(service, it));
    match state {
        ServiceStateView::Waiting | ServiceStateView::Updating if !waiting_for.is_empty() => {
            format!("waits for {}", waiting_for.join(", "))
        }
        ServiceStateView::CrashLooping | ServiceStateView::Failed => {
            command_failure(service).or_else(last_failure).unwrap_or_default()
        }
        ServiceStateView::Starting
        | ServiceStateView::Unready
        | ServiceStateView::Degraded
        | ServiceStateView::Updating => {
            let complaint = service.instances.values().find_map(|it| it.failing.clone());
            let slots = || service.groups.values().flat_map(|it| it.slots.values());
            let failed = || slots().any(|it| 0 < it.failures);
            let failure = || failed().then(last_failure).flatten();
            let obstacle = || obstacle(name, service);
            complaint.or_else(failure).or_else(obstacle).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// How the release command of the release that should serve failed, if it did.
fn command_failure(service: &ServiceState) -> Option<String> {
    let exit = service.commands.get(&service.current()).filter(|it| !it.is_success())?;
    Some(format!("its release command failed: {exit}; `pelago up` tries it again"))
}

/// What keeps a slot from being filled, other than a failure.
fn obstacle(name: &ServiceName, service: &ServiceState) -> Option<String> {
    let lacks_a_port = |it: Side<'_>| it.wanted_slots().count() < it.wanted() as usize;
    if service.sides().any(lacks_a_port) {
        return Some("an instance has no port; `pelago up` finds one".to_owned());
    }
    let is_leaving = |it: &Instance| matches!(it.phase, Phase::Stopping { .. });
    let leaving = service.instances.iter().find(|(_, it)| is_leaving(it));
    leaving.map(|(number, _)| format!("waits for {name}.{number} to end"))
}

impl InstanceView {
    fn of(id: &InstanceId, instance: &Instance, service: &ServiceState) -> Self {
        let release = service.releases.get(&instance.release).map(|it| &it.service);
        let is_job = release.is_some_and(|it| it.restart.policy != RestartPolicy::Always);
        let is_tcp = release.is_some_and(|it| it.protocol == Protocol::Tcp);
        let scheme = if is_tcp { "tcp" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", instance.port);
        let state = match instance.phase {
            Phase::Created => InstanceStateView::Created,
            Phase::Stopping { .. } => InstanceStateView::Stopping,
            Phase::Running if instance.ready && is_job => InstanceStateView::Running,
            Phase::Running if instance.ready => InstanceStateView::Ready,
            Phase::Running if instance.ready_at.is_some() => InstanceStateView::Unready,
            Phase::Running => InstanceStateView::Starting,
        };
        let detail = match instance.phase {
            Phase::Stopping { reason, .. } => reason.to_string(),
            _ => instance.failing.clone().unwrap_or_default(),
        };
        Self {
            id: id.to_string(),
            state,
            detail,
            release: instance.release.to_string(),
            url: if is_job { String::new() } else { url },
            pid: instance.process.map(|it| it.pid),
            started_at: instance.started_at.map(|it| it.to_string()),
        }
    }
}

impl EndedView {
    fn of(id: &InstanceId, ended: &Ended, service: &ServiceState) -> Self {
        Self {
            id: id.to_string(),
            release: ended.release.to_string(),
            exit: how_it_ended(service, ended),
            unasked: ended.is_unasked(),
            at: ended.at.to_string(),
        }
    }
}

fn how_it_ended(service: &ServiceState, ended: &Ended) -> String {
    match ended.stop_reason {
        Some(StopReason::NeverReady) => {
            let release = service.releases.get(&ended.release);
            let check = release.and_then(|it| it.service.health.readiness.as_ref());
            let allowed = check
                .map(|it| it.start_period.saturating_add(it.interval.saturating_mul(it.retries)));
            let within = allowed.map_or_else(String::new, |it| {
                format!(" (it had {}; if it needs longer, raise `start_period`)", DurationText(it))
            });
            format!("{}{within}: {}", StopReason::NeverReady, ended.exit)
        }
        Some(reason) => format!("{reason}: {}", ended.exit),
        None => ended.exit.to_string(),
    }
}
