//! Views of what happened.

use std::time::Duration;

use model::units::DurationText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::rollout::{Kind, Outcome, RolloutPlan};
use world::routing::ReleaseShare;
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

/// In whole seconds, the nearest: nobody sets a clock to the millisecond on purpose, and the two clocks that are compared
/// are read one after the other.
fn clock_set(by_ms: i64) -> String {
    let by = DurationText(Duration::from_secs((by_ms.unsigned_abs() + 500) / 1_000));
    let direction = if by_ms < 0 { "back" } else { "forward" };
    format!("the machine's clock was set {direction} by {by}")
}

fn text(event: &Event) -> String {
    match event {
        Event::ControlStarted { version, pid } => {
            format!("control {version} started as process {pid}")
        }
        Event::JournalRepaired { report } => format!("the journal was repaired: {report}"),
        Event::ClockSet { by_ms } => clock_set(*by_ms),
        Event::ApplicationApplied { definition, .. } => {
            let services = count(definition.services.len(), "service");
            format!("{} applied with {services}", definition.name)
        }
        Event::AlertFired { alert, .. } => format!("alert {} fires: {}", alert.name, alert.text()),
        Event::AlertResolved { name, .. } => format!("alert {name} has ended"),
        Event::StopAsked { application } => format!("{application} should stop"),
        Event::ApplicationStopped { application } => format!("{application} has stopped"),
        Event::ApplicationRemoved { application } => format!("{application} is removed"),
        Event::ReleaseMade { service, release, .. } => {
            format!("{service}@{} made", release.number)
        }
        Event::PortAssigned { service, slot, port, .. } => {
            format!("{service} slot {slot} got port {port}")
        }
        Event::SparePortAssigned { service, slot, port, .. } => {
            format!("{service} slot {slot} got spare port {port}")
        }
        Event::NamedPortAssigned { service, slot, name, ports, .. } => {
            let spare = ports.spare.map(|it| format!(", spare port {it}")).unwrap_or_default();
            format!("{service} slot {slot} got port {} for {name}{spare}", ports.port)
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
        of_release => release_text(of_release),
    }
}

/// What happened to a release, or to a rollout of one.
fn release_text(event: &Event) -> String {
    match event {
        Event::ReleaseBaked { service, release, .. } => {
            format!("{service}@{} baked", release.number)
        }
        Event::RolloutStarted { service, rollout, .. } => {
            let RolloutPlan { kind, from, to, by: who, .. } = rollout.as_ref();
            let what = match kind {
                Kind::Deploy => "is rolled out over",
                Kind::Rollback => "gets its traffic back from",
            };
            format!("{service}@{to} {what} {from}{}", by(who.as_ref()))
        }
        Event::RolloutStepBegun { service, step, .. } => {
            format!("the rollout of {service} begins step {}", step + 1)
        }
        Event::RolloutTrafficMoved { service, step, .. } => {
            format!("the rollout of {service} takes the traffic of step {}", step + 1)
        }
        Event::RolloutBaselineFrozen { service, thresholds, .. } => {
            let [p50, p95, p99, ..] = thresholds.latency_us.map(Duration::from_micros);
            format!("{service} is compared with latencies of {p50:?}, {p95:?} and {p99:?}")
        }
        Event::RolloutObserved { service, counted, .. } => {
            let new = &counted.new;
            let (errors, requests) = (new.errors, count(as_usize(new.requests), "request"));
            format!("the new release of {service} failed {errors} of {requests}")
        }
        Event::ReleaseRetired { service, group, .. } => {
            format!("group {} of {service} is kept warm no longer", group.0)
        }
        Event::GroupOpened { service, group, release, .. } => {
            format!("{service}@{release} gets group {}", group.0)
        }
        Event::TrafficSet { service, traffic, .. } => {
            let share = |it: &ReleaseShare| format!("{}={}", it.release, it.weight);
            let shares: Vec<String> = traffic.shares.iter().map(share).collect();
            let shares =
                if shares.is_empty() { "one release".to_owned() } else { shares.join(" ") };
            format!("requests to {service} go to {shares}")
        }
        of_rollout => rollout_text(of_rollout),
    }
}

/// What was said of a rollout, by the judge, by people, or in the end.
fn rollout_text(event: &Event) -> String {
    match event {
        Event::RolloutJudged { service, verdict, reason, .. } => {
            let verdict = verdict.words();
            format!("the new release of {service} {verdict}: {reason}")
        }
        Event::RolloutPaused { service, by: who, .. } => {
            format!("the rollout of {service} was paused{}", by(who.as_ref()))
        }
        Event::RolloutResumed { service, by: who, .. } => {
            format!("the rollout of {service} was resumed{}", by(who.as_ref()))
        }
        Event::RolloutPromoted { service, by: who, .. } => {
            format!("the rollout of {service} was promoted{}", by(who.as_ref()))
        }
        Event::RolloutEnded { service, outcome, .. } => match outcome {
            Outcome::Completed => format!("the rollout of {service} was completed"),
            Outcome::Rejected { reason } => {
                format!("the new release of {service} was rejected: {reason}")
            }
            Outcome::Aborted { reason } => {
                format!("the rollout of {service} was aborted: {reason}")
            }
        },
        Event::RolloutTold { service, failure, .. } => match failure {
            None => format!("the webhook of {service} was told"),
            Some(failure) => format!("the webhook of {service} could not be told: {failure}"),
        },
        other => other.kind().to_owned(),
    }
}

/// Who did something, if that is known: ` by ada`.
fn by(who: Option<&String>) -> String {
    who.map_or_else(String::new, |it| format!(" by {it}"))
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
