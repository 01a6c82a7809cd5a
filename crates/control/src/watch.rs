//! The task of one instance: start it if that is due, try its checks, see its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use host::Clock;
use model::health::Health;
use model::instance::Exit;
use model::{ApplicationName, InstanceId};
use runtime::launch::LaunchSpec;
use runtime::probe::{Tried, Try};
use runtime::processes::ProcessesError;
use runtime::{Observed, Processes, ports};
use tokio::sync::mpsc;

use crate::checkup::{Checkup, Kind, Readiness, Verdict};
use crate::inbox::{Fact, Input, Sight};
use crate::recording::Recording;
use crate::room::Room;

/// Time after which an instance without a readiness check counts as ready, if it has not ended by then. What
/// cannot start mostly ends at once, and must not be called ready before; supervisord waits as long
/// (`startsecs`).
const UNCHECKED_READY_AFTER: Duration = Duration::from_secs(1);

/// Time after which it is tried again what the machine did not allow.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Time a supervisor gets to say how its instance ended when the first process has. It takes a few
/// milliseconds where that leaves nothing behind, and then there is one fact, not two.
const LAST_WORDS: Duration = Duration::from_millis(25);
/// The longest that a port is waited for: Linux remembers a closed connection for 60 s (`TCP_TIMEWAIT_LEN`).
const LINGERING_MAX: Duration = Duration::from_secs(65);
/// Time between two looks at such a port.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What the task of an instance must know.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) application: ApplicationName,
    pub(crate) instance: InstanceId,
    pub(crate) processes: Processes,
    pub(crate) clock: Clock,
    pub(crate) inbox: mpsc::Sender<Input>,
    pub(crate) recording: Recording,
    pub(crate) room: Room,
}

/// The checks of an instance, as it is asked and as it is tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    pub(crate) health: Health,
    pub(crate) readiness: Option<Try>,
    pub(crate) liveness: Option<Try>,
    /// Ports it can have only when nobody else has.
    pub(crate) fixed_ports: Vec<u16>,
    /// Those it is known to listen on.
    pub(crate) own_ports: Vec<u16>,
}

impl Watched {
    async fn tell(&self, fact: Fact) {
        let sight =
            Sight { application: self.application.clone(), instance: self.instance.clone(), fact };
        // Nobody listens when the control process is about to end; the fact can be seen again later.
        drop(self.inbox.send(Input::Seen(sight)).await);
    }

    /// Starts the instance, if it was not started before, and watches it.
    pub(crate) async fn launch(self, spec: Result<Box<LaunchSpec>, String>, checks: Checks) {
        let found = match spec {
            Ok(spec) => {
                self.await_ports(&checks.fixed_ports).await;
                match self.taken(&checks.own_ports) {
                    Some(port) => {
                        Err(format!("port {port} is in use by another program; stop that"))
                    }
                    None => self.insist(|| self.launched(&spec)).await,
                }
            }
            Err(reason) => Err(reason),
        };
        match found {
            Ok(Observed::Running(status)) => {
                self.tell(Fact::Started(status.process)).await;
                self.watch(checks, Readiness::NotYet).await;
            }
            Ok(Observed::Ended(exit)) => self.tell(Fact::Exited(exit)).await,
            Ok(Observed::Starting | Observed::NotStarted) => {
                self.give_up("its supervisor ended before it was started".to_owned()).await;
            }
            Err(reason) => self.give_up(reason).await,
        }
    }

    /// Waits while the system remembers connections of a server that has ended on one of `ports`: a program that was
    /// started now would only fail.
    #[expect(clippy::disallowed_methods, reason = "nothing tells that a port can be had again")]
    async fn await_ports(&self, ports: &[u16]) {
        for port in ports {
            let mut left = LINGERING_MAX;
            while ports::lingers(*port) && !left.is_zero() {
                if left == LINGERING_MAX {
                    tracing::info!(instance = %self.instance, port, "a port of a server that has ended is waited for");
                }
                tokio::time::sleep(LOOK_AGAIN).await;
                left = left.saturating_sub(LOOK_AGAIN);
            }
        }
    }

    /// A port that another program has, if the instance was not started before: its checks would be answered by that
    /// program, and requests as well.
    fn taken(&self, ports: &[u16]) -> Option<u16> {
        let port = ports.iter().copied().find(|it| ports::is_taken(*it))?;
        let observed = self.processes.observe(&self.application, &self.instance);
        matches!(observed, Ok(Observed::NotStarted)).then_some(port)
    }

    /// Starts the instance when there is room for a start.
    async fn launched(&self, spec: &LaunchSpec) -> Result<Observed, ProcessesError> {
        let _permit = self.room.launch().await;
        self.processes.launch(spec).await
    }

    /// Asks the instance to stop until it has.
    pub(crate) async fn stop(self) {
        match self.insist(|| self.processes.stop(&self.application, &self.instance)).await {
            Ok(exit) => self.tell(Fact::Exited(exit)).await,
            Err(error) => {
                tracing::error!(instance = %self.instance, %error, "an instance cannot be stopped");
                self.tell(Fact::Exited(Exit::Lost)).await;
            }
        }
    }

    /// Makes sure that it does not run, and will not, before saying that it could not be started.
    async fn give_up(&self, reason: String) {
        let stopped = self.insist(|| self.processes.stop(&self.application, &self.instance));
        let exit = match stopped.await {
            Ok(exit @ (Exit::Code(_) | Exit::Signal(_) | Exit::OutOfMemory)) => exit,
            Ok(Exit::NotStarted(_) | Exit::Lost) => Exit::NotStarted(reason),
            Err(error) => Exit::NotStarted(format!("{reason}; {error}")),
        };
        self.tell(Fact::Exited(exit)).await;
    }

    /// Watches an instance that runs until it has ended.
    pub(crate) async fn watch(self, checks: Checks, readiness: Readiness) {
        let me = Arc::new(self);
        let started_at = me.clock.now();
        let mut tries = tokio::task::JoinSet::new();
        if checks.health.readiness.is_none() && readiness == Readiness::NotYet {
            tries.spawn(Arc::clone(&me).settle());
        }
        for checkup in Checkup::of(&checks.health, started_at, readiness) {
            let try_ = match checkup.kind() {
                Kind::Readiness => &checks.readiness,
                Kind::Liveness => &checks.liveness,
            };
            if let Some(try_) = try_.clone() {
                tries.spawn(Arc::clone(&me).check(checkup, try_));
            }
        }
        let mut ended = pin!(me.ended());
        let exit = tokio::select! {
            exit = &mut ended => exit,
            () = me.leaderless() => {
                // What it has left behind may still answer, and is about to be stopped.
                tries.abort_all();
                let reason = "its first process has ended, and the rest is being stopped";
                me.tell(Fact::Unready(reason.to_owned())).await;
                ended.await
            }
        };
        tries.abort_all();
        me.tell(Fact::Exited(exit)).await;
    }

    /// Until it has ended. That it cannot be looked at does not mean that it has.
    #[expect(clippy::disallowed_methods, reason = "nothing tells when the machine allows it again")]
    async fn ended(&self) -> Exit {
        let mut is_told = false;
        loop {
            match self.processes.ended(&self.application, &self.instance).await {
                Ok(exit) => return exit,
                Err(error) if is_told => {
                    tracing::debug!(instance = %self.instance, error = %model::chain(&error), "an instance still cannot be watched");
                }
                Err(error) => {
                    is_told = true;
                    tracing::error!(instance = %self.instance, error = %model::chain(&error), "an instance cannot be watched, and is tried again");
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Tries until it is done or cannot be, however long the disk, or want of descriptors, keeps it from being done.
    #[expect(clippy::disallowed_methods, reason = "nothing tells when the machine allows it again")]
    async fn insist<T, F: Future<Output = Result<T, ProcessesError>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, String> {
        loop {
            match attempt().await {
                Err(error) if error.may_work_later() => {
                    let error = model::chain(&error);
                    if self.recording.waits(&self.application, &self.instance, error.clone()) {
                        tracing::error!(instance = %self.instance, error, "an instance waits for the disk");
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                found => {
                    self.recording.goes_on(&self.application, &self.instance);
                    return found.map_err(|it| model::chain(&it));
                }
            }
        }
    }

    /// Until the instance's first process has ended and its supervisor goes on all the same; else for good.
    #[expect(clippy::disallowed_methods, reason = "a supervisor's next step cannot be awaited")]
    async fn leaderless(&self) {
        if let Err(error) = self.processes.leaderless(&self.application, &self.instance).await {
            tracing::warn!(instance = %self.instance, error = %model::chain(&error), "the first process of an instance cannot be watched; its end is seen later");
            return std::future::pending().await;
        }
        tokio::time::sleep(LAST_WORDS).await;
    }

    #[expect(clippy::disallowed_methods, reason = "nothing else tells that it goes on running")]
    async fn settle(self: Arc<Self>) {
        tokio::time::sleep(UNCHECKED_READY_AFTER).await;
        self.tell(Fact::Ready).await;
    }

    #[expect(clippy::disallowed_methods, reason = "the pause is what the checkup says")]
    async fn check(self: Arc<Self>, mut checkup: Checkup, try_: Try) {
        loop {
            tokio::time::sleep(checkup.next_pause()).await;
            let permit = self.room.check().await;
            let result = try_.run(checkup.check().timeout).await;
            drop(permit);
            if let Tried::Unknown(reason) = &result {
                tracing::warn!(instance = %self.instance, reason, "a check could not be tried");
            }
            for verdict in checkup.on_result(self.clock.now(), result) {
                self.tell(match verdict {
                    Verdict::Ready => Fact::Ready,
                    Verdict::Unready(reason) => Fact::Unready(reason),
                    Verdict::NotLive(reason) => Fact::NotLive(reason),
                })
                .await;
            }
        }
    }
}
