//! What can happen.

mod about;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::instance::{Exit, ProcessId, StopReason};
use model::release::Release;
use model::{
    Application, ApplicationName, Index, InstanceId, PortName, ReleaseNumber, ServiceName,
    Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::rollout::{Counted, GroupNumber, Outcome, RolloutPlan, Thresholds, Verdict};
use crate::service::{NamedPort, Purpose, Traffic};

/// An event with its place in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its index.
    pub index: Index,
    /// When it was recorded; never earlier than the event before it, unless it says that the clock was set back.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A fact or an intent, in the past tense.
///
/// New variants and new optional fields may be added; what a variant means never changes, since
/// journals written years ago are folded by the code of today.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A control process took charge.
    ControlStarted {
        /// Its version.
        version: String,
        /// Its process.
        pid: u32,
    },
    /// The journal was damaged and has been repaired as far as could be.
    JournalRepaired {
        /// What was wrong, what was kept and what was lost.
        report: String,
    },
    /// The machine's clock was set: this event and those after it have the time as it is now.
    ClockSet {
        /// By how much, in milliseconds; less than zero if it was set back.
        by_ms: i64,
    },
    /// Somebody wants this application to run.
    ApplicationApplied {
        /// What it should be.
        definition: Arc<Application>,
        /// The folder that relative paths in it are meant from.
        folder: String,
    },
    /// An alert of one of the application's rules has begun to fire.
    AlertFired {
        /// Whose rules they are.
        application: ApplicationName,
        /// The alert.
        alert: Alert,
    },
    /// An alert that fired has ended.
    AlertResolved {
        /// Whose rules they are.
        application: ApplicationName,
        /// Its name.
        name: String,
        /// What tells it from others of its rule.
        labels: BTreeMap<String, String>,
    },
    /// Somebody wants the application to stop.
    StopAsked {
        /// Which.
        application: ApplicationName,
    },
    /// The last instance of an application that should stop has ended.
    ApplicationStopped {
        /// Which.
        application: ApplicationName,
    },
    /// Somebody wants an application that has been stopped to be forgotten.
    ApplicationRemoved {
        /// Which.
        application: ApplicationName,
    },
    /// A service got a new release, which is the one that should run from now on.
    ReleaseMade {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The release.
        release: Arc<Release>,
    },
    /// A service got a release that nothing runs yet.
    ReleaseBaked {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The release.
        release: Arc<Release>,
    },
    /// Traffic of a service should move from one release to another.
    RolloutStarted {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Why, from where to where, and how.
        rollout: Arc<RolloutPlan>,
    },
    /// Instances of the new release should be there for a step.
    RolloutStepBegun {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The step.
        step: u32,
    },
    /// The new release gets the traffic of a step.
    RolloutTrafficMoved {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The step.
        step: u32,
    },
    /// The latencies that a new release is compared with were read off the old one.
    RolloutBaselineFrozen {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// They.
        thresholds: Thresholds,
    },
    /// The data plane has counted more of two releases.
    RolloutObserved {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Its counters, as they are now.
        counted: Counted,
    },
    /// A stage of a rollout was judged, for good.
    RolloutJudged {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The verdict.
        verdict: Verdict,
        /// Why, in one sentence.
        reason: String,
    },
    /// Somebody wants a rollout to stay where it is.
    RolloutPaused {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Who.
        by: Option<String>,
    },
    /// Somebody wants a paused rollout to go on.
    RolloutResumed {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Who.
        by: Option<String>,
    },
    /// Somebody says that the stage a rollout is in is good enough.
    RolloutPromoted {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Who.
        by: Option<String>,
    },
    /// A rollout has ended.
    RolloutEnded {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// How.
        outcome: Outcome,
    },
    /// Whoever wants to know of a rollout's outcome was told, or could not be.
    RolloutTold {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Why it could not be told, if so.
        failure: Option<String>,
    },
    /// A release that was kept running without traffic is kept no longer.
    ReleaseRetired {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The group it ran in.
        group: GroupNumber,
    },
    /// A release should be run in a group of its own.
    GroupOpened {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The group.
        group: GroupNumber,
        /// The release.
        release: ReleaseNumber,
    },
    /// Somebody said how requests are shared among releases.
    TrafficSet {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// How.
        traffic: Traffic,
    },
    /// A slot of a service got its port.
    PortAssigned {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The group.
        #[serde(default, skip_serializing_if = "is_first")]
        group: GroupNumber,
        /// The slot.
        slot: u32,
        /// The port.
        port: u16,
    },
    /// A slot of a service got a second port, for an instance that takes over while the one before it
    /// still serves.
    SparePortAssigned {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The group.
        #[serde(default, skip_serializing_if = "is_first")]
        group: GroupNumber,
        /// The slot.
        slot: u32,
        /// The port.
        port: u16,
    },
    /// A slot of a service got a further port, and another for an instance that takes over.
    NamedPortAssigned {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The group.
        #[serde(default, skip_serializing_if = "is_first")]
        group: GroupNumber,
        /// The slot.
        slot: u32,
        /// What it is called.
        name: PortName,
        /// The ports.
        #[serde(flatten)]
        ports: NamedPort,
    },
    /// A declared call got its address.
    EdgeOpened {
        /// The application.
        application: ApplicationName,
        /// The service that calls.
        caller: ServiceName,
        /// The service that is called.
        callee: ServiceName,
        /// The group of the caller's instances that has this address, if it is not for all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupNumber>,
        /// The port on loopback where the caller finds the callee.
        port: u16,
    },
    /// Somebody wants another number of instances.
    ServiceScaled {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Instances wanted.
        replicas: u32,
    },
    /// Somebody wants every instance of a service replaced.
    RestartAsked {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
    },
    /// An instance should be started.
    InstanceCreated {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
        /// The group it belongs to.
        #[serde(default, skip_serializing_if = "is_first")]
        group: GroupNumber,
        /// What it is for.
        #[serde(default, skip_serializing_if = "serves")]
        purpose: Purpose,
        /// The slot it takes.
        slot: u32,
        /// The release it runs.
        release: ReleaseNumber,
        /// The port it is told to listen on.
        port: u16,
    },
    /// An instance's process was started.
    InstanceStarted {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
        /// Its process.
        process: ProcessId,
    },
    /// An instance can take requests.
    InstanceReady {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
    },
    /// An instance can no longer take requests.
    InstanceUnready {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
        /// What the failed check said.
        reason: String,
    },
    /// An instance failed its liveness check.
    LivenessFailed {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
        /// What the failed check said.
        reason: String,
    },
    /// An instance was told to stop.
    InstanceStopping {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
        /// Why.
        reason: StopReason,
    },
    /// An instance has ended.
    InstanceExited {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
        /// How.
        exit: Exit,
    },
    /// A service fails again and again.
    CrashLoopDeclared {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// Failed starts in a row.
        failures: u32,
    },
    /// A service that failed again and again has started well.
    CrashLoopCleared {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
    },
}

/// Most services have one group; what they record is as it was before there were others.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it may skip by reference")]
const fn is_first(group: &GroupNumber) -> bool {
    group.0 == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it may skip by reference")]
const fn serves(purpose: &Purpose) -> bool {
    matches!(purpose, Purpose::Serve)
}

/// A text that is no event: written by another version, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("not an event this version knows; a newer pelago may have written it")]
pub struct DecodeError(#[from] serde_json::Error);

/// Why an event could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("the event could not be encoded")]
pub struct EncodeError(#[from] serde_json::Error);

impl Event {
    /// The bytes a journal keeps: JSON, for whoever opens it with other tools.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// An event from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
