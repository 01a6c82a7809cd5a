//! The trait the engine implements and the faces call.

use std::sync::Arc;

use model::{ApplicationName, Index, InstanceId, ServiceName};
use world::{Recorded, World};

use crate::change::{PlanView, Values};
use crate::error::ApiError;
use crate::logs::{ExecView, Finding, LogPage, LogQuery};
use crate::request::{Accepted, Apply, At, EventQuery, Rollback, SetTraffic, Steer};
use crate::rollout::RolloutView;
use crate::spans::{SpanQuery, SpanView};
use crate::traffic::{DrainingView, Traffic};
use crate::unrecorded::UnrecordedEnd;

/// Everything that can be asked of a running platform. Each wish is answered when it is recorded for
/// good; what becomes of it is seen in the world.
pub trait Platform: Clone + Send + Sync + 'static {
    /// The state as it is now.
    fn world(&self) -> Arc<World>;

    /// The state as soon as its index is above `after`.
    fn changed(&self, after: Index) -> impl Future<Output = Arc<World>> + Send;

    /// The state at a point in the past.
    fn world_at(&self, at: At) -> impl Future<Output = Result<Arc<World>, ApiError>> + Send;

    /// What happened.
    fn events(
        &self,
        query: EventQuery,
    ) -> impl Future<Output = Result<Vec<Recorded>, ApiError>> + Send;

    /// Makes an application run as described.
    fn apply(&self, apply: Apply) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// What `apply` would change.
    fn plan(
        &self,
        apply: Apply,
        values: Values,
    ) -> impl Future<Output = Result<PlanView, ApiError>> + Send;

    /// Makes an application stop.
    fn stop(
        &self,
        application: ApplicationName,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// Makes an application that was stopped run again, as it was described last.
    fn start(
        &self,
        application: ApplicationName,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// Forgets an application that was stopped, and removes what it has left.
    fn remove(
        &self,
        application: ApplicationName,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// Changes the number of a service's instances.
    fn scale(
        &self,
        application: ApplicationName,
        service: ServiceName,
        replicas: u32,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// Replaces every instance of a service, or of all services.
    fn restart(
        &self,
        application: ApplicationName,
        service: Option<ServiceName>,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// Shares requests to a service among its releases, until somebody says otherwise.
    fn set_traffic(
        &self,
        application: ApplicationName,
        service: ServiceName,
        traffic: SetTraffic,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// Pauses, resumes, promotes or aborts a service's rollout.
    fn steer(
        &self,
        application: ApplicationName,
        service: ServiceName,
        steer: Steer,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// Gives all traffic to an earlier release again.
    fn roll_back(
        &self,
        application: ApplicationName,
        service: ServiceName,
        rollback: Rollback,
    ) -> impl Future<Output = Result<Accepted, ApiError>> + Send;

    /// The rollouts that are in progress, and the last one of every other service that had one.
    fn rollouts(&self) -> Vec<RolloutView>;

    /// Lines that instances said.
    fn logs(&self, query: LogQuery) -> impl Future<Output = Result<LogPage, ApiError>> + Send;

    /// What a command needs to run beside an instance.
    fn exec(
        &self,
        application: ApplicationName,
        instance: InstanceId,
    ) -> impl Future<Output = Result<ExecView, ApiError>> + Send;

    /// What crossed the edges in the last while.
    fn traffic(&self) -> Traffic;

    /// The latest sampled calls, newest first.
    fn spans(&self, query: &SpanQuery) -> Vec<SpanView>;

    /// What keeps the platform from writing down what happens, in sentences; nothing if all is well.
    fn recording_problems(&self) -> Vec<String>;

    /// Instances that have ended, which could not be recorded yet.
    fn unrecorded_ends(&self) -> Vec<UnrecordedEnd>;

    /// Data planes that were replaced and go on for the connections they have.
    fn draining(&self) -> Vec<DrainingView>;

    /// What is right and wrong with the machine and the platform on it.
    fn doctor(&self) -> impl Future<Output = Vec<Finding>> + Send;

    /// Ends the control process; instances go on.
    fn shut_down(&self);
}
