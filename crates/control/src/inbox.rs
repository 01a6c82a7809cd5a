//! What reaches the reconciler.

use api::ApiError;
use api::request::Accepted;
use model::instance::{Exit, ProcessId};
use model::{ApplicationName, InstanceId};
use tokio::sync::oneshot;

use crate::command::Command;

/// A wish, a fact, or the wish to end.
#[derive(Debug)]
pub(crate) enum Input {
    /// Somebody wants something, and waits for an answer.
    Wish { command: Box<Command>, answer: oneshot::Sender<Result<Accepted, ApiError>> },
    /// Something was seen.
    Seen(Sight),
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
