//! Instances as processes of this machine: launch, observe, stop, wait.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use host::files;
use host::process::{self, Life};
use model::instance::{Exit, ProcessId};
use model::{ApplicationName, InstanceId};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStdout;

use crate::cgroup;
use crate::departures::Departures;
use crate::folder::{InstanceFolder, Status, is_damage};
use crate::launch::LaunchSpec;
use crate::leftovers;
use crate::recovery;
use crate::supervisor;

/// Time a supervisor may take until it has started its instance.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// How often something is looked at that cannot be waited for: a supervisor that is just starting, or
/// what is left of one that was killed.
const POLL: Duration = Duration::from_millis(5);

/// Time in which everything that is left of an instance must have died once it was killed. What the kernel
/// keeps longer than that waits for a device, and nobody can help it.
const BURIAL_MAX: Duration = Duration::from_secs(5);

/// Time a supervisor has beyond the grace of its instance, to kill it and to write down how it ended.
const OVERDUE: Duration = Duration::from_secs(10);
/// The grace of an instance whose own cannot be read: that of the manifest.
const GRACE: Duration = Duration::from_secs(20);

/// What has become of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing was started, and nothing is being started.
    NotStarted,
    /// A supervisor is about to start it.
    Starting,
    /// It runs, or its supervisor is still at work.
    Running(Status),
    /// It has ended.
    Ended(Exit),
}

impl Observed {
    /// Whether it runs, or is about to.
    pub const fn is_alive(&self) -> bool {
        matches!(self, Self::Starting | Self::Running(_))
    }
}

/// The instances of one data folder.
#[derive(Clone, Debug)]
pub struct Processes {
    folder: PathBuf,
    program: PathBuf,
    boot_id: String,
    cgroup_prefix: String,
    departures: Departures,
}

/// Why an instance could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum ProcessesError {
    /// Its folder is not usable.
    #[error("the folder {folder} is not usable")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its supervisor could not be started.
    #[error("the supervisor could not be started")]
    Supervisor(#[source] io::Error),
    /// Its start could not be written down, and was taken back.
    #[error("{0}")]
    Unrecorded(String),
    /// Its supervisor did not start it in time.
    #[error("the supervisor did not start the instance within {LAUNCH_TIMEOUT:?}")]
    Timeout,
}

impl ProcessesError {
    /// Whether it says something of the disk or of this process alone, and nothing of the instance: then it is tried
    /// again, and nothing is concluded from it.
    pub fn may_work_later(&self) -> bool {
        match self {
            Self::Folder { source, .. } | Self::Supervisor(source) => files::may_work_later(source),
            Self::Unrecorded(_) => true,
            Self::Timeout => false,
        }
    }
}

impl Processes {
    /// The instances whose folders are in `folder`. `program` is this binary, which supervises them.
    pub fn new(folder: &Path, program: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let hash = blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex();
        let cgroup_prefix = format!("{}-", hash.get(..12).unwrap_or_default());
        let departures = Departures::start()?;
        Ok(Self { folder, program, boot_id: process::boot_id()?, cgroup_prefix, departures })
    }

    /// The folder of an instance.
    pub fn folder(&self, application: &ApplicationName, instance: &InstanceId) -> InstanceFolder {
        let path = self.folder.join(application.as_str()).join(instance.to_string());
        InstanceFolder::new(path)
    }

    /// The name of an instance's control group.
    pub fn cgroup(&self, application: &ApplicationName, instance: &InstanceId) -> String {
        format!("{}{application}.{instance}", self.cgroup_prefix)
    }

    /// Starts an instance, if that was not done before, and says what it found in the end.
    pub async fn launch(&self, spec: &LaunchSpec) -> Result<Observed, ProcessesError> {
        let folder = self.folder(&spec.application, &spec.instance);
        let found = self.observe(&spec.application, &spec.instance)?;
        if found != Observed::NotStarted {
            return self.started(&spec.application, &spec.instance).await;
        }
        folder.prepare(spec).map_err(|source| unusable(&folder, source))?;
        let mut supervisor = Command::new(&self.program)
            .arg("supervise")
            .arg(folder.path())
            .current_dir("/")
            .env_clear()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ProcessesError::Supervisor)?;
        let stdout = supervisor.stdout.take();
        // Its end is seen by everybody through its folder; this only reaps it.
        tokio::spawn(self.departures.clone().reap(supervisor));
        if let Some(stdout) = stdout {
            let mut line = String::new();
            let stdout = ChildStdout::from_std(stdout).map_err(ProcessesError::Supervisor)?;
            let mut stdout = BufReader::new(stdout);
            let read = tokio::time::timeout(LAUNCH_TIMEOUT, stdout.read_line(&mut line)).await;
            read.map_err(|_| ProcessesError::Timeout)?.map_err(ProcessesError::Supervisor)?;
            if let Some(reason) = line.strip_prefix(supervisor::UNRECORDED) {
                return Err(ProcessesError::Unrecorded(reason.trim_end().to_owned()));
            }
        }
        self.started(&spec.application, &spec.instance).await
    }

    /// What has become of an instance once nobody is about to start it any more: the supervisor that does
    /// may be another than ours, begun by the control process before this one.
    async fn started(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<Observed, ProcessesError> {
        let started = async {
            loop {
                match self.observe(application, instance)? {
                    Observed::Starting => pause().await,
                    Observed::Ended(Exit::Lost) => {
                        self.bury(application, instance).await?;
                        return Ok(Observed::Ended(Exit::Lost));
                    }
                    found => return Ok(found),
                }
            }
        };
        tokio::time::timeout(LAUNCH_TIMEOUT, started).await.map_err(|_| ProcessesError::Timeout)?
    }

    /// What has become of an instance.
    pub fn observe(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<Observed, ProcessesError> {
        let folder = self.folder(application, instance);
        if !folder.path().is_dir() {
            return Ok(Observed::NotStarted);
        }
        self.look(&folder).map_err(|source| unusable(&folder, source))
    }

    fn look(&self, folder: &InstanceFolder) -> io::Result<Observed> {
        match folder.exit() {
            Ok(Some(exit)) => return Ok(Observed::Ended(exit)),
            // Somebody wrote down how it ended, and nobody can read it.
            Err(error) if is_damage(&error) && !folder.is_locked()? => {
                return Ok(Observed::Ended(Exit::Lost));
            }
            Err(error) if !is_damage(&error) => return Err(error),
            Ok(None) | Err(_) => {}
        }
        match folder.status() {
            Ok(Some(status)) if status.boot_id != self.boot_id => Ok(Observed::Ended(Exit::Lost)),
            Ok(Some(status)) => match process::life(status.supervisor) {
                Life::Alive => Ok(Observed::Running(status)),
                // It may have written its last words since they were looked for.
                Life::Ended => Ok(Observed::Ended(last_words(folder)?.unwrap_or(Exit::Lost))),
                Life::Unknown(error) => Err(error),
            },
            Ok(None) if folder.is_locked()? => Ok(Observed::Starting),
            Ok(None) => match last_words(folder)? {
                Some(exit) => Ok(Observed::Ended(exit)),
                None => Ok(Observed::NotStarted),
            },
            // It was started, and what cannot be read is looked for.
            Err(error) if is_damage(&error) => {
                if !folder.is_locked()? {
                    return Ok(Observed::Ended(last_words(folder)?.unwrap_or(Exit::Lost)));
                }
                let found = recovery::find(folder, &self.boot_id)?;
                Ok(found.map_or(Observed::Starting, Observed::Running))
            }
            Err(error) => Err(error),
        }
    }

    /// Finds what runs although nothing, or nothing readable, says so, and writes it down again.
    pub fn recover(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<(), ProcessesError> {
        let folder = self.folder(application, instance);
        let is_known = matches!(folder.status(), Ok(Some(_)));
        let recover = || {
            if is_known || !folder.is_locked()? {
                return Ok(());
            }
            let Some(status) = recovery::find(&folder, &self.boot_id)? else { return Ok(()) };
            tracing::warn!(%application, %instance, "it was not written down that an instance runs, which is mended");
            folder.write_status(&status)
        };
        recover().map_err(|source| unusable(&folder, source))
    }

    /// What is damaged in the folders of instances, with the reason.
    pub fn damage(&self) -> Result<Vec<String>, ProcessesError> {
        let all = self.list()?.into_iter();
        Ok(all.flat_map(|(application, id)| self.folder(&application, &id).damage()).collect())
    }

    /// Instances in `among` that say more than can be kept.
    pub fn losing_lines(
        &self,
        among: impl Iterator<Item = (ApplicationName, InstanceId)>,
    ) -> Vec<(ApplicationName, InstanceId)> {
        among.filter(|(name, id)| self.folder(name, id).loses_lines().unwrap_or(false)).collect()
    }

    /// Kills everything that is left of an instance whose supervisor was killed, and waits until it is
    /// gone: its port and its files are for whoever comes next.
    async fn bury(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<(), ProcessesError> {
        let folder = self.folder(application, instance);
        let cgroup = self.cgroup(application, instance);
        let gone = async {
            while !leftovers::kill(&folder, &cgroup).map_err(|source| unusable(&folder, source))? {
                pause().await;
            }
            folder.tidy().map_err(|source| unusable(&folder, source))
        };
        tokio::time::timeout(BURIAL_MAX, gone).await.unwrap_or_else(|_| {
            tracing::warn!(%application, %instance, "what a lost supervisor left behind does not die");
            Ok(())
        })
    }

    /// Waits until an instance that was started has ended.
    pub async fn ended(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<Exit, ProcessesError> {
        loop {
            match self.observe(application, instance)? {
                Observed::Ended(Exit::Lost) => {
                    self.bury(application, instance).await?;
                    return Ok(Exit::Lost);
                }
                Observed::Ended(exit) => return Ok(exit),
                Observed::NotStarted => return Ok(Exit::Lost),
                Observed::Starting => pause().await,
                Observed::Running(status) => {
                    let folder = self.folder(application, instance);
                    let gone = self.departures.gone(status.supervisor).await;
                    gone.map_err(|source| unusable(&folder, source))?;
                }
            }
        }
    }

    /// Waits until the first process of an instance that runs has ended, whatever it leaves behind. Nothing of
    /// an instance that does not run is waited for.
    pub async fn leaderless(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<(), ProcessesError> {
        loop {
            match self.observe(application, instance)? {
                Observed::Starting => pause().await,
                Observed::Running(status) => {
                    let folder = self.folder(application, instance);
                    let gone = self.departures.gone(status.process).await;
                    return gone.map_err(|source| unusable(&folder, source));
                }
                Observed::Ended(_) | Observed::NotStarted => return Ok(()),
            }
        }
    }

    /// Asks an instance to stop, and sees to it that it will never be started if it was not. Returns how
    /// it ended, when it has.
    pub async fn stop(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<Exit, ProcessesError> {
        let folder = self.folder(application, instance);
        // What runs is stopped also where that it should cannot be written down.
        let forbidden = folder.forbid();
        loop {
            match self.observe(application, instance)? {
                Observed::Ended(_) => return self.ended(application, instance).await,
                Observed::NotStarted => {
                    forbidden.map_err(|source| unusable(&folder, source))?;
                    return Ok(Exit::NotStarted("stopped before it was started".to_owned()));
                }
                // It looks for the order to stop once more when it has started.
                Observed::Starting => pause().await,
                Observed::Running(status) => {
                    process::signal(status.supervisor, Signal::TERM)
                        .map_err(|source| unusable(&folder, source))?;
                    let limit = time_to_stop(&folder);
                    let ended = self.ended(application, instance);
                    if let Ok(exit) = tokio::time::timeout(limit, ended).await {
                        return exit;
                    }
                    return self.end(application, instance, status.supervisor).await;
                }
            }
        }
    }

    /// Ends an instance whose supervisor was told to stop it and did not: it is stopped itself, say.
    async fn end(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
        supervisor: ProcessId,
    ) -> Result<Exit, ProcessesError> {
        tracing::warn!(%application, %instance, "the supervisor does not stop it; both are killed");
        let folder = self.folder(application, instance);
        self.bury(application, instance).await?;
        // Everybody who waits for the supervisor's end looks here next.
        folder
            .write_exit(&Exit::Signal(Signal::KILL.as_raw()))
            .and_then(|()| process::kill(supervisor))
            .map_err(|source| unusable(&folder, source))?;
        self.ended(application, instance).await
    }

    /// Every instance that has a folder.
    pub fn list(&self) -> Result<Vec<(ApplicationName, InstanceId)>, ProcessesError> {
        let unusable_root = |source| ProcessesError::Folder { folder: self.folder.clone(), source };
        let mut found = Vec::new();
        for application in subfolders(&self.folder).map_err(unusable_root)? {
            let Ok(name) = application.parse::<ApplicationName>() else { continue };
            let folder = self.folder.join(&application);
            let entries = subfolders(&folder).map_err(unusable_root)?;
            let instances = entries.iter().filter_map(|it| it.parse().ok());
            found.extend(instances.map(|it| (name.clone(), it)));
        }
        Ok(found)
    }

    /// Removes the folders of ended instances that are not in `known`, and control groups nobody needs.
    pub fn sweep(
        &self,
        known: &dyn Fn(&ApplicationName, &InstanceId) -> bool,
    ) -> Result<(), ProcessesError> {
        self.remove_ended(&|application, instance| !known(application, instance))?;
        let live = |it: &str| self.is_live_cgroup(it);
        cgroup::sweep(&self.cgroup_prefix, &live);
        Ok(())
    }

    /// Removes the folders of those `meant` that have ended.
    fn remove_ended(
        &self,
        meant: &dyn Fn(&ApplicationName, &InstanceId) -> bool,
    ) -> Result<(), ProcessesError> {
        for (application, instance) in self.list()? {
            let ended = || self.observe(&application, &instance).map(|it| !it.is_alive());
            if meant(&application, &instance) && ended()? {
                self.remove(&application, &instance)?;
            }
        }
        Ok(())
    }

    /// Removes the folders of an application's instances that have ended, and the application's when it is empty.
    pub fn forget(&self, application: &ApplicationName) -> Result<(), ProcessesError> {
        self.remove_ended(&|of, _| of == application)?;
        let path = self.folder.join(application.as_str());
        match fs::remove_dir(&path) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(ProcessesError::Folder { folder: path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Names have no dots, so that a group's name tells whose it is.
    fn is_live_cgroup(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.cgroup_prefix) else { return true };
        let Some((application, id)) = rest.split_once('.') else { return false };
        match (application.parse(), id.parse()) {
            (Ok(application), Ok(id)) => {
                // What cannot be looked at may live.
                self.observe(&application, &id).map_or(true, |it| it.is_alive())
            }
            _ => false,
        }
    }

    /// Removes the folder of an ended instance, its log with it.
    pub fn remove(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<(), ProcessesError> {
        let folder = self.folder(application, instance);
        fs::remove_dir_all(folder.path()).map_err(|source| unusable(&folder, source))
    }
}

/// Time after which an instance that was told to stop has ended, if its supervisor is at work.
fn time_to_stop(folder: &InstanceFolder) -> Duration {
    folder.spec().map_or(GRACE, |it| it.stop_grace_period).saturating_add(OVERDUE)
}

/// How an instance ended, if that was written down; damaged, it is as good as not known.
fn last_words(folder: &InstanceFolder) -> io::Result<Option<Exit>> {
    match folder.exit() {
        Err(error) if is_damage(&error) => Ok(Some(Exit::Lost)),
        found => found,
    }
}

fn unusable(folder: &InstanceFolder, source: io::Error) -> ProcessesError {
    ProcessesError::Folder { folder: folder.path().to_owned(), source }
}

fn subfolders(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

#[expect(clippy::disallowed_methods, reason = "another process's lock or death cannot be awaited")]
async fn pause() {
    tokio::time::sleep(POLL).await;
}
