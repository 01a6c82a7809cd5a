//! What an event is about, told from its variant: whoever looks for the events of a service need not know
//! them all.

use model::{ApplicationName, InstanceId, ServiceName};

use super::Event;

impl Event {
    /// The name of its kind, as it is in its JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ControlStarted { .. } => "control_started",
            Self::JournalRepaired { .. } => "journal_repaired",
            Self::ClockSet { .. } => "clock_set",
            Self::ApplicationApplied { .. } => "application_applied",
            Self::AlertFired { .. } => "alert_fired",
            Self::AlertResolved { .. } => "alert_resolved",
            Self::StopAsked { .. } => "stop_asked",
            Self::ApplicationStopped { .. } => "application_stopped",
            Self::ApplicationRemoved { .. } => "application_removed",
            Self::ReleaseMade { .. } => "release_made",
            Self::ReleaseBaked { .. } => "release_baked",
            Self::RolloutStarted { .. } => "rollout_started",
            Self::RolloutStepBegun { .. } => "rollout_step_begun",
            Self::RolloutTrafficMoved { .. } => "rollout_traffic_moved",
            Self::RolloutBaselineFrozen { .. } => "rollout_baseline_frozen",
            Self::RolloutObserved { .. } => "rollout_observed",
            Self::RolloutJudged { .. } => "rollout_judged",
            Self::RolloutPaused { .. } => "rollout_paused",
            Self::RolloutResumed { .. } => "rollout_resumed",
            Self::RolloutPromoted { .. } => "rollout_promoted",
            Self::RolloutEnded { .. } => "rollout_ended",
            Self::RolloutTold { .. } => "rollout_told",
            Self::ReleaseRetired { .. } => "release_retired",
            Self::GroupOpened { .. } => "group_opened",
            Self::TrafficSet { .. } => "traffic_set",
            Self::PortAssigned { .. } => "port_assigned",
            Self::SparePortAssigned { .. } => "spare_port_assigned",
            Self::NamedPortAssigned { .. } => "named_port_assigned",
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
            Self::ControlStarted { .. } | Self::JournalRepaired { .. } | Self::ClockSet { .. } => {
                None
            }
            Self::ApplicationApplied { definition, .. } => Some(&definition.name),
            Self::AlertFired { application, .. }
            | Self::AlertResolved { application, .. }
            | Self::StopAsked { application }
            | Self::ApplicationStopped { application }
            | Self::ApplicationRemoved { application }
            | Self::ReleaseMade { application, .. }
            | Self::ReleaseBaked { application, .. }
            | Self::RolloutStarted { application, .. }
            | Self::RolloutStepBegun { application, .. }
            | Self::RolloutTrafficMoved { application, .. }
            | Self::RolloutBaselineFrozen { application, .. }
            | Self::RolloutObserved { application, .. }
            | Self::RolloutJudged { application, .. }
            | Self::RolloutPaused { application, .. }
            | Self::RolloutResumed { application, .. }
            | Self::RolloutPromoted { application, .. }
            | Self::RolloutEnded { application, .. }
            | Self::RolloutTold { application, .. }
            | Self::ReleaseRetired { application, .. }
            | Self::GroupOpened { application, .. }
            | Self::TrafficSet { application, .. }
            | Self::PortAssigned { application, .. }
            | Self::SparePortAssigned { application, .. }
            | Self::NamedPortAssigned { application, .. }
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
            | Self::ReleaseBaked { service, .. }
            | Self::RolloutStarted { service, .. }
            | Self::RolloutStepBegun { service, .. }
            | Self::RolloutTrafficMoved { service, .. }
            | Self::RolloutBaselineFrozen { service, .. }
            | Self::RolloutObserved { service, .. }
            | Self::RolloutJudged { service, .. }
            | Self::RolloutPaused { service, .. }
            | Self::RolloutResumed { service, .. }
            | Self::RolloutPromoted { service, .. }
            | Self::RolloutEnded { service, .. }
            | Self::RolloutTold { service, .. }
            | Self::ReleaseRetired { service, .. }
            | Self::GroupOpened { service, .. }
            | Self::TrafficSet { service, .. }
            | Self::PortAssigned { service, .. }
            | Self::SparePortAssigned { service, .. }
            | Self::NamedPortAssigned { service, .. }
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
}
