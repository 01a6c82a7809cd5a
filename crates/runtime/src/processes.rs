//! Instances as processes of this machine: launch, observe, stop, wait.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use host::process;
use model::instance::Exit;
use model::{ApplicationName, InstanceId};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::cgroup;
use crate::departures::Departures;
use crate::folder::{InstanceFolder, Status};
use crate::launch::LaunchSpec;

/// Time a supervisor may take until it has started its instance.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a supervisor that is just starting is looked at, while nothing can be waited for.
const STARTING_POLL: Duration = Duration::from_millis(5);

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
    /// Its supervisor did not start it in time.
    #[error("the supervisor did not start the instance within {LAUNCH_TIMEOUT:?}")]
    Timeout,
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
        format!("{}{application}-{instance}", self.cgroup_prefix)
    }

    /// Starts an instance, if that was not done before, and says what it found in the end.
    pub async fn launch(&self, spec: &LaunchSpec) -> Result<Observed, ProcessesError> {
        let folder = self.folder(&spec.application, &spec.instance);
        let found = self.observe(&spec.application, &spec.instance)?;
        if found != Observed::NotStarted {
            return Ok(found);
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
        // Its end is seen by everybody through its folder; this task only reaps it.
        tokio::spawn(async move { supervisor.wait().await.map(drop) });
        if let Some(stdout) = stdout {
            let mut line = String::new();
            let mut stdout = BufReader::new(stdout);
            let read = tokio::time::timeout(LAUNCH_TIMEOUT, stdout.read_line(&mut line)).await;
            read.map_err(|_| ProcessesError::Timeout)?.map_err(ProcessesError::Supervisor)?;
        }
        self.observe(&spec.application, &spec.instance)
    }

    /// What has become of an instance. Of one whose supervisor was killed, everything that is left is
    /// killed too.
    pub fn observe(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<Observed, ProcessesError> {
        let folder = self.folder(application, instance);
        if !folder.path().is_dir() {
            return Ok(Observed::NotStarted);
        }
        let found = self.look(&folder).map_err(|source| unusable(&folder, source))?;
        if found == Observed::Ended(Exit::Lost) {
            self.kill_left_behind(application, instance, &folder);
        }
        Ok(found)
    }

    fn look(&self, folder: &InstanceFolder) -> io::Result<Observed> {
        if let Some(exit) = folder.exit()? {
            return Ok(Observed::Ended(exit));
        }
        match folder.status()? {
            Some(status) if status.boot_id != self.boot_id => Ok(Observed::Ended(Exit::Lost)),
            Some(status) if process::is_alive(status.supervisor) => Ok(Observed::Running(status)),
            // The supervisor is gone. It may have written its last words since they were looked for.
            Some(_) => Ok(Observed::Ended(folder.exit()?.unwrap_or(Exit::Lost))),
            None if folder.lock()?.is_none() => Ok(Observed::Starting),
            None => match folder.exit()? {
                Some(exit) => Ok(Observed::Ended(exit)),
                None => Ok(Observed::NotStarted),
            },
        }
    }

    fn kill_left_behind(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
        folder: &InstanceFolder,
    ) {
        let cgroup = self.cgroup(application, instance);
        cgroup::sweep(&cgroup, &|name| name != cgroup);
        let same_boot = |it: &Status| it.boot_id == self.boot_id;
        if let Some(status) = folder.status().ok().flatten().filter(same_boot)
            && process::is_alive(status.process)
            && let Err(error) = process::signal_group(status.process.pid, Signal::KILL)
        {
            tracing::warn!(%instance, %error, "what a lost supervisor left behind cannot be killed");
        }
    }

    /// Waits until an instance that was started has ended.
    pub async fn ended(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<Exit, ProcessesError> {
        loop {
            match self.observe(application, instance)? {
                Observed::Ended(exit) => return Ok(exit),
                Observed::NotStarted => return Ok(Exit::Lost),
                Observed::Starting => starting().await,
                Observed::Running(status) => {
                    let folder = self.folder(application, instance);
                    let gone = self.departures.gone(status.supervisor).await;
                    gone.map_err(|source| unusable(&folder, source))?;
                }
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
        folder.forbid().map_err(|source| unusable(&folder, source))?;
        loop {
            match self.observe(application, instance)? {
                Observed::Ended(exit) => return Ok(exit),
                Observed::NotStarted => {
                    return Ok(Exit::NotStarted("stopped before it was started".to_owned()));
                }
                // It looks for the order to stop once more when it has started.
                Observed::Starting => starting().await,
                Observed::Running(status) => {
                    process::signal(status.supervisor, Signal::TERM)
                        .map_err(|source| unusable(&folder, source))?;
                    return self.ended(application, instance).await;
                }
            }
        }
    }

    /// Removes the folders of instances that are not in `known`, and kills what should not be there.
    pub fn sweep(
        &self,
        known: &dyn Fn(&ApplicationName, &InstanceId) -> bool,
    ) -> Result<(), ProcessesError> {
        let unusable_root = |source| ProcessesError::Folder { folder: self.folder.clone(), source };
        for application in subfolders(&self.folder).map_err(unusable_root)? {
            let Ok(name) = application.parse::<ApplicationName>() else { continue };
            let folder = self.folder.join(&application);
            for entry in subfolders(&folder).map_err(unusable_root)? {
                let Ok(instance) = entry.parse::<InstanceId>() else { continue };
                if !known(&name, &instance) {
                    self.remove(&name, &instance)?;
                }
            }
        }
        let live = |it: &str| self.is_live_cgroup(it);
        cgroup::sweep(&self.cgroup_prefix, &live);
        Ok(())
    }

    fn is_live_cgroup(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.cgroup_prefix) else { return true };
        rest.rsplit_once('.').is_some_and(|(front, number)| {
            // `application-service` may be cut at any of its dashes.
            front.match_indices('-').any(|(at, _)| {
                let (application, service) = front.split_at(at);
                let id = format!("{}.{number}", service.trim_start_matches('-'));
                match (application.parse(), id.parse()) {
                    (Ok(application), Ok(id)) => matches!(
                        self.observe(&application, &id),
                        Ok(Observed::Running(_) | Observed::Starting)
                    ),
                    _ => false,
                }
            })
        })
    }

    /// Removes the folder of an ended instance, its log with it. One that still runs is killed first.
    fn remove(
        &self,
        application: &ApplicationName,
        instance: &InstanceId,
    ) -> Result<(), ProcessesError> {
        let folder = self.folder(application, instance);
        match self.observe(application, instance)? {
            Observed::Running(status) => {
                tracing::warn!(%application, %instance, "an instance that nobody knows runs; stopping it");
                folder.forbid().map_err(|source| unusable(&folder, source))?;
                process::signal(status.supervisor, Signal::TERM)
                    .map_err(|source| unusable(&folder, source))
            }
            Observed::Starting => folder.forbid().map_err(|source| unusable(&folder, source)),
            Observed::NotStarted | Observed::Ended(_) => {
                fs::remove_dir_all(folder.path()).map_err(|source| unusable(&folder, source))
            }
        }
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

#[expect(clippy::disallowed_methods, reason = "a lock held by another process cannot be awaited")]
async fn starting() {
    tokio::time::sleep(STARTING_POLL).await;
}
