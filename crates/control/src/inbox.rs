//! What reaches the reconciler.

use api::ApiError;
use api::request::Accepted;
use model::instance::{Exit, ProcessId};
use model::{ApplicationName, InstanceId, ServiceName};
use tokio::sync::oneshot;
use world::rollout::{Counted, Thresholds};

use crate::alert::Alarm;
use crate::command::Command;

/// A wish, a fact, or the wish to end.
#[derive(Debug)]
pub(crate) enum Input {
    /// Somebody wants something, and waits for an answer.
    Wish { command: Box<Command>, answer: oneshot::Sender<Result<Accepted, ApiError>> },
    /// Something was seen.
    Seen(Sight),
    /// Something was measured, or said, of a rollout.
    Heard(Heard),
    /// The rules were evaluated.
    Alarm(Alarm),
    /// The control process should end.
    ShutDown,
}

/// Something seen of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) application: ApplicationName,
    pub(crate) instance: InstanceId,
    pub(crate) fact: Fact,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Started(ProcessId),
    Ready,
    Unready(String),
    NotLive(String),
    Exited(Exit),
}

/// What was heard of a service's rollout.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) application: ApplicationName,
    pub(crate) service: ServiceName,
    pub(crate) news: News,
}

/// The news.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// The data plane has counted more.
    Counted(Counted),
    /// The latencies of the old release are known.
    Baseline(Thresholds),
    /// Whoever wants to know the outcome was told, or could not be, for this reason.
    Told(Option<String>),
}
