//! The handle to the reconciler, which is what the faces call.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::change::{PlanView, Values, changes, whole};
use api::logs::{ExecView, Finding, LogPage, LogQuery};
use api::request::{self, Accepted, At, EventQuery, Rollback, SetTraffic, Steer};
use api::rollout::RolloutView;
use api::spans::{SpanQuery, SpanView};
use api::traffic::{DrainingView, Traffic};
use api::unrecorded::UnrecordedEnd;
use api::{ApiError, ErrorKind, Platform};
use host::process;
use model::{ApplicationName, Index, InstanceId, ServiceName};
use tokio::sync::{oneshot, watch};
use world::{Phase, Recorded, World};

use crate::command::{self, Apply, Command};
use crate::dataplane::Observed;
use crate::inbox::Input;
use crate::launch::{Launcher, working_folder};
use crate::parts::Parts;
use crate::traffic_view::{self, Seen};
use crate::{apply, doctor, history, logs, outlook, rollout_view};

/// Time a data plane may take to start before it is called missing.
const DATA_PLANE_START: Duration = Duration::from_secs(3);

/// A control process, as everybody else sees it.
#[derive(Clone, Debug)]
pub struct Control {
    parts: Parts,
    worlds: watch::Receiver<Arc<World>>,
    folder: PathBuf,
}

impl Control {
    pub(crate) const fn new(
        parts: Parts,
        worlds: watch::Receiver<Arc<World>>,
        folder: PathBuf,
    ) -> Self {
        Self { parts, worlds, folder }
    }

    /// Looks at what the data plane is and has measured. Whoever reads holds up what comes in: take what is
    /// needed, and work with it afterwards.
    pub fn data_plane<T>(&self, read: impl FnOnce(&Observed) -> T) -> T {
        self.parts.data_plane.read(read)
    }

    async fn wish(&self, command: Command) -> Result<Accepted, ApiError> {
        let (answer, answered) = oneshot::channel();
        let input = Input::Wish { command: Box::new(command), answer };
        let ending =
            || ApiError::new(ErrorKind::Unavailable, "the control process is ending; ask again");
        self.parts.inbox.send(input).await.map_err(|_| ending())?;
        answered.await.map_err(|_| ending())?
    }

    /// Refuses to end instances whose files are not there for the next ones.
    fn check_files(
        &self,
        application: &ApplicationName,
        service: Option<&ServiceName>,
    ) -> Result<(), ApiError> {
        let world = self.world();
        let services = world.applications.get(application).map(|it| &it.services);
        let meant =
            services.into_iter().flatten().filter(|it| service.is_none_or(|one| one == it.0));
        for (name, state) in meant {
            let current = state.current();
            let artifact = state.releases.get(&current).and_then(|it| it.artifact.as_ref());
            let folder = artifact.map(|it| self.parts.bakery.release_folder(it));
            if let Some(folder) = folder.filter(|it| !it.is_dir()) {
                let message = format!(
                    "the files of {name}@{current} are not at {} any more, so its instances are left as they are; \
                     `pelago deploy {name} --force` makes a release with them",
                    folder.display()
                );
                return Err(ApiError::new(ErrorKind::Conflict, message));
            }
        }
        Ok(())
    }
}

/// Runs something that blocks, such as reading many files, beside everything else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::new(ErrorKind::Internal, error.to_string())),
    }
}

impl Platform for Control {
    fn world(&self) -> Arc<World> {
        Arc::clone(&self.worlds.borrow())
    }

    async fn changed(&self, after: Index) -> Arc<World> {
        let mut worlds = self.worlds.clone();
        match worlds.wait_for(|it| after < it.index).await {
            Ok(world) => Arc::clone(&world),
            // The reconciler has ended: this is the last world there is.
            Err(_) => self.world(),
        }
    }

    async fn world_at(&self, at: At) -> Result<Arc<World>, ApiError> {
        let (storage, now) = (self.parts.storage.clone(), self.world());
        blocking(move || history::world_at(&storage, &now, at)).await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Recorded>, ApiError> {
        let (storage, now) = (self.parts.storage.clone(), self.world());
        blocking(move || history::events(&storage, now.index, &query)).await
    }

    async fn apply(&self, apply: request::Apply) -> Result<Accepted, ApiError> {
        apply::refuse_what_cannot_run(&apply.definition)?;
        let _not_swept = self.parts.bakes.read().await;
        let bakery = self.parts.bakery.clone();
        let (apply, baked) = blocking(move || {
            let baked = apply::bake(&bakery, &apply)?;
            Ok((apply, baked))
        })
        .await?;
        let request::Apply { definition, folder, deploy } = apply;
        let (definition, artifacts) = (Arc::new(definition), apply::digests(&baked));
        let wish = Apply { definition: Arc::clone(&definition), folder, artifacts, deploy };
        let accepted = self.wish(Command::Apply(wish)).await?;
        let baked = apply::shown(&baked, &definition, &accepted.releases);
        Ok(Accepted { baked, ..accepted })
    }

    async fn plan(&self, apply: request::Apply, values: Values) -> Result<PlanView, ApiError> {
        apply::refuse_what_cannot_run(&apply.definition)?;
        let _not_swept = self.parts.bakes.read().await;
        let (bakery, world, traffic) = (self.parts.bakery.clone(), self.world(), self.traffic());
        command::refuse_claimed_routes(&world, &apply.definition)?;
        blocking(move || {
            let artifacts = apply::digests(&apply::bake(&bakery, &apply)?);
            let state = world.application(&apply.definition.name);
            let mut changes = changes(state, &apply.definition, &artifacts, values);
            outlook::add(&mut changes, &apply.definition, &traffic);
            let whole = whole(state.map(|it| &*it.definition), &apply.definition, values);
            Ok(PlanView { application: apply.definition.name.to_string(), changes, whole })
        })
        .await
    }

    async fn stop(&self, application: ApplicationName) -> Result<Accepted, ApiError> {
        self.wish(Command::Stop { application }).await
    }

    async fn start(&self, application: ApplicationName) -> Result<Accepted, ApiError> {
        self.wish(Command::Start { application }).await
    }

    async fn remove(&self, application: ApplicationName) -> Result<Accepted, ApiError> {
        // Folders first: whoever starts an application of this name anew gives the same numbers, and an instance
        // must not be taken for one whose folder is still there.
        command::may_be_removed(&self.world(), &application)?;
        let (processes, name) = (self.parts.processes.clone(), application.clone());
        blocking(move || {
            processes
                .forget(&name)
                .map_err(|error| ApiError::new(ErrorKind::Unavailable, model::chain(&error)))
        })
        .await?;
        self.wish(Command::Remove { application }).await
    }

    async fn scale(
        &self,
        application: ApplicationName,
        service: ServiceName,
        replicas: u32,
    ) -> Result<Accepted, ApiError> {
        self.wish(Command::Scale { application, service, replicas }).await
    }

    async fn restart(
        &self,
        application: ApplicationName,
        service: Option<ServiceName>,
    ) -> Result<Accepted, ApiError> {
        self.check_files(&application, service.as_ref())?;
        self.wish(Command::Restart { application, service }).await
    }

    async fn set_traffic(
        &self,
        application: ApplicationName,
        service: ServiceName,
        traffic: SetTraffic,
    ) -> Result<Accepted, ApiError> {
        self.wish(Command::SetTraffic { application, service, traffic }).await
    }

    async fn steer(
        &self,
        application: ApplicationName,
        service: ServiceName,
        steer: Steer,
    ) -> Result<Accepted, ApiError> {
        self.wish(Command::Steer { application, service, steer }).await
    }

    async fn roll_back(
        &self,
        application: ApplicationName,
        service: ServiceName,
        rollback: Rollback,
    ) -> Result<Accepted, ApiError> {
        self.wish(Command::RollBack { application, service, rollback }).await
    }

    fn rollouts(&self) -> Vec<RolloutView> {
        rollout_view::all(&self.world(), &self.traffic(), self.parts.clock.timestamp())
    }

    async fn logs(&self, query: LogQuery) -> Result<LogPage, ApiError> {
        let (processes, world) = (self.parts.processes.clone(), self.world());
        blocking(move || logs::page(&processes, &world, &query)).await
    }

    async fn exec(
        &self,
        application: ApplicationName,
        instance: InstanceId,
    ) -> Result<ExecView, ApiError> {
        let world = self.world();
        let launcher = Launcher::find(&self.parts.machine, &world, &application, &instance)
            .ok_or_else(|| ApiError::no_service(application.as_str(), &instance.to_string()))?;
        let folders = self.parts.folders(&launcher);
        let environment = launcher
            .environment(&folders)
            .map_err(|reason| ApiError::new(ErrorKind::Conflict, reason))?;
        Ok(ExecView {
            instance: instance.to_string(),
            environment,
            folder: working_folder(&folders).display().to_string(),
        })
    }

    fn traffic(&self) -> Traffic {
        self.data_plane(Seen::of).traffic()
    }

    fn spans(&self, query: &SpanQuery) -> Vec<SpanView> {
        self.data_plane(|it| traffic_view::spans(it, query))
    }

    fn recording_problems(&self) -> Vec<String> {
        self.parts.recording.problems()
    }

    fn unrecorded_ends(&self) -> Vec<UnrecordedEnd> {
        if self.parts.recording.problems().is_empty() {
            return Vec::new();
        }
        let mut ends = self.parts.recording.ends();
        // How it ended is written down by its supervisor, which waits for the disk as well.
        let world = self.world();
        for (application, id, instance) in world.instances() {
            let is_gone = instance.phase == Phase::Running
                && instance.process.is_some_and(|it| !process::life(it).is_alive());
            let is_known =
                ends.iter().any(|it| it.instance == id && it.application == *application);
            if is_gone && !is_known {
                let application = application.clone();
                ends.push(UnrecordedEnd { application, instance: id, exit: None });
            }
        }
        ends
    }

    fn draining(&self) -> Vec<DrainingView> {
        self.data_plane(|it| it.retired.iter().map(traffic_view::draining).collect())
    }

    async fn doctor(&self) -> Vec<Finding> {
        let (folder, world) = (self.folder.clone(), self.world());
        self.parts.data_plane.arrival(DATA_PLANE_START).await;
        let observed = self.data_plane(Observed::clone);
        let (stores, collector) = (Arc::clone(&self.parts.stores), self.parts.collector);
        let (described, now) = (Arc::clone(&self.parts.described), self.parts.clock.timestamp());
        let (problems, processes) = (self.recording_problems(), self.parts.processes.clone());
        let examined = blocking(move || {
            let mut findings = doctor::examine(&folder, &world, &observed, now);
            findings.extend(doctor::recording(problems));
            findings.extend(doctor::repairs(&folder));
            findings.extend(doctor::instance_folders(&processes));
            findings.push(doctor::options(&described));
            findings.push(doctor::telemetry(&stores, collector));
            Ok(findings)
        });
        examined.await.unwrap_or_default()
    }

    fn shut_down(&self) {
        let inbox = self.parts.inbox.clone();
        tokio::spawn(async move { inbox.send(Input::ShutDown).await });
    }
}
