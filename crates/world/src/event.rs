//! What can happen.

use std::sync::Arc;

use model::instance::{Exit, ProcessId, StopReason};
use model::release::Release;
use model::{
    Application, ApplicationName, Index, InstanceId, ReleaseNumber, ServiceName, Timestamp,
};
use serde::{Deserialize, Serialize};

/// An event with its place in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its index.
    pub index: Index,
    /// When it was recorded; never earlier than the event before it.
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
    /// Somebody wants this application to run.
    ApplicationApplied {
        /// What it should be.
        definition: Arc<Application>,
        /// The folder that relative paths in it are meant from.
        folder: String,
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
    /// A service got a new release, which is the one that should run from now on.
    ReleaseMade {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
        /// The release.
        release: Arc<Release>,
    },
    /// A slot of a service got its port.
    PortAssigned {
        /// The application.
        application: ApplicationName,
        /// The service.
        service: ServiceName,
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
        /// The slot.
        slot: u32,
        /// The port.
        port: u16,
    },
    /// A declared call got its address.
    EdgeOpened {
        /// The application.
        application: ApplicationName,
        /// The service that calls.
        caller: ServiceName,
        /// The service that is called.
        callee: ServiceName,
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

/// A text that is no event: written by another version, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("not an event this version knows; a newer pelago may have written it")]
pub struct DecodeError(#[from] serde_json::Error);

/// Why an event could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("the event could not be encoded")]
pub struct EncodeError(#[from] serde_json::Error);

impl Event {
    /// The name of its kind, as it is in its JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ControlStarted { .. } => "control_started",
            Self::JournalRepaired { .. } => "journal_repaired",
            Self::ApplicationApplied { .. } => "application_applied",
            Self::StopAsked { .. } => "stop_asked",
            Self::ApplicationStopped { .. } => "application_stopped",
            Self::ReleaseMade { .. } => "release_made",
            Self::PortAssigned { .. } => "port_assigned",
            Self::SparePortAssigned { .. } => "spare_port_assigned",
            Self::EdgeOpened { .. } => "edge_opened",
            Self::ServiceScaled { .. } => "service_scaled",
            Self::RestartAsked { .. } => "restart_asked",
            Self::InstanceCreated { .. } => "instance_created",
            Self::InstanceStarted { .. } => "instance_started",
            Self::InstanceReady { .. } => "instance_ready",
            Self::InstanceUnready { .. } => "instance_unready",
            Self::LivenessFailed { .. } => "liveness_failed",
            Self::InstanceStopping { .. } => "instance_stopping",
            Self::InstanceExited { .. } => "instance_exited",
            Self::CrashLoopDeclared { .. } => "crash_loop_declared",
            Self::CrashLoopCleared { .. } => "crash_loop_cleared",
        }
    }

    /// The application it is about, if it is about one.
    pub fn application(&self) -> Option<&ApplicationName> {
        match self {
            Self::ControlStarted { .. } | Self::JournalRepaired { .. } => None,
            Self::ApplicationApplied { definition, .. } => Some(&definition.name),
            Self::StopAsked { application }
            | Self::ApplicationStopped { application }
            | Self::ReleaseMade { application, .. }
            | Self::PortAssigned { application, .. }
            | Self::SparePortAssigned { application, .. }
            | Self::EdgeOpened { application, .. }
            | Self::ServiceScaled { application, .. }
            | Self::RestartAsked { application, .. }
            | Self::InstanceCreated { application, .. }
            | Self::InstanceStarted { application, .. }
            | Self::InstanceReady { application, .. }
            | Self::InstanceUnready { application, .. }
            | Self::LivenessFailed { application, .. }
            | Self::InstanceStopping { application, .. }
            | Self::InstanceExited { application, .. }
            | Self::CrashLoopDeclared { application, .. }
            | Self::CrashLoopCleared { application, .. } => Some(application),
        }
    }

    /// The service it is about, if it is about one.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::ReleaseMade { service, .. }
            | Self::PortAssigned { service, .. }
            | Self::SparePortAssigned { service, .. }
            | Self::EdgeOpened { caller: service, .. }
            | Self::ServiceScaled { service, .. }
            | Self::RestartAsked { service, .. }
            | Self::CrashLoopDeclared { service, .. }
            | Self::CrashLoopCleared { service, .. } => Some(service),
            _ => self.instance().map(|it| &it.service),
        }
    }

    /// The instance it is about, if it is about one.
    pub const fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::InstanceCreated { instance, .. }
            | Self::InstanceStarted { instance, .. }
            | Self::InstanceReady { instance, .. }
            | Self::InstanceUnready { instance, .. }
            | Self::LivenessFailed { instance, .. }
            | Self::InstanceStopping { instance, .. }
            | Self::InstanceExited { instance, .. } => Some(instance),
            _ => None,
        }
    }

    /// The bytes a journal keeps: JSON, for whoever opens it with other tools.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// An event from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
