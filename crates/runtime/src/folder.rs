//! The folder of an instance: what it should be, what it is, how it ended.
//!
//! Facts are files that appear once and whole, so that a process that knows nothing else can tell what
//! happened: `launch.json` (what to start), `stop` (it should not run), `status.json` (it was started),
//! `refused` (why it could not be), `exit.json` (how it ended), `log.N` (what it said). A file that is there and
//! cannot be read is damaged, which is an error of its own ([`is_damage`]) and never taken for one that is not there.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use host::files;
use model::instance::{Exit, ProcessId};
use serde::{Deserialize, Serialize};

use crate::launch::LaunchSpec;

/// An empty file whose lock says that lines are lost.
const LOSS: &str = "loss";

/// The folder of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceFolder(PathBuf);

/// What a supervisor writes down when it has started its instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The supervisor.
    pub supervisor: ProcessId,
    /// The instance's first process, leader of its process group.
    pub process: ProcessId,
    /// The boot of the machine in which both were started.
    pub boot_id: String,
}

/// Held by whoever may start the instance, for as long as its supervisor lives.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

/// Held by a supervisor while lines of its instance are lost.
#[derive(Debug)]
pub struct LossSign {
    _file: File,
}

/// Held by the supervisor of the one instance that may have a folder of data.
#[derive(Debug)]
pub struct DataLock {
    _folder: Option<File>,
}

/// Whether a file of the folder was there, and is not what it should be.
pub fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

impl InstanceFolder {
    /// The folder at `path`, which need not exist yet.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the instance may put files while it lives.
    pub fn scratch(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// Makes the folder and writes down what to start.
    pub fn prepare(&self, spec: &LaunchSpec) -> io::Result<()> {
        fs::create_dir_all(self.scratch())?;
        if let Some(data) = &spec.data {
            DirBuilder::new().recursive(true).mode(0o700).create(&data.path)?;
        }
        File::options().create(true).truncate(false).write(true).open(self.0.join(LOSS))?;
        let bytes = serde_json::to_vec(spec).map_err(io::Error::other)?;
        // The environment may hold secrets: for the owner's eyes only.
        files::write_whole_with_mode(&self.0.join("launch.json"), &bytes, 0o600)
    }

    /// What to start.
    pub fn spec(&self) -> io::Result<LaunchSpec> {
        let bytes = files::read_if_there(&self.0.join("launch.json"))?;
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Takes the instance's data for itself, if it is to have any and nobody else may; nothing if somebody has it.
    pub fn take_data(spec: &LaunchSpec) -> io::Result<Option<DataLock>> {
        let Some(data) = spec.data.as_ref().filter(|it| !it.shared) else {
            return Ok(Some(DataLock { _folder: None }));
        };
        let folder = File::open(&data.path)?;
        match rustix::fs::flock(&folder, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(DataLock { _folder: Some(folder) })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the lock, or nothing if somebody has it.
    pub fn lock(&self) -> io::Result<Option<InstanceLock>> {
        let file =
            File::options().create(true).truncate(false).write(true).open(self.0.join("lock"))?;
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Some(InstanceLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a start has left traces, readable or not.
    pub fn has_begun(&self) -> bool {
        ["status.json", "exit.json"].iter().any(|it| self.0.join(it).exists())
    }

    /// Takes the sign that lines are lost; nothing if somebody looks at it just now. It needs nothing to be
    /// written, so that it works on any disk.
    pub fn lose_lines(&self) -> Option<LossSign> {
        let file = File::open(self.0.join(LOSS)).ok()?;
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::flock(&file, operation).ok()?;
        Some(LossSign { _file: file })
    }

    /// Whether lines are lost now.
    pub fn loses_lines(&self) -> io::Result<bool> {
        self.is_held(LOSS)
    }

    /// Whether somebody has the lock. It needs nothing to be written.
    pub fn is_locked(&self) -> io::Result<bool> {
        self.is_held("lock")
    }

    /// Files that are there and cannot be understood, with the reason.
    pub fn damage(&self) -> Vec<String> {
        let of = |name: &str, found: Result<(), io::Error>| {
            let error = found.err().filter(is_damage)?;
            Some(format!("{} cannot be understood: {error}", self.0.join(name).display()))
        };
        let launch = of("launch.json", self.spec().map(drop));
        let status = of("status.json", self.status().map(drop));
        let exit = of("exit.json", self.exit().map(drop));
        [launch, status, exit].into_iter().flatten().collect()
    }

    fn is_held(&self, name: &str) -> io::Result<bool> {
        let file = match File::open(self.0.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that the instance should not run, for good.
    pub fn forbid(&self) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        fs::write(self.0.join("stop"), b"")
    }

    /// Whether it should not run.
    pub fn is_forbidden(&self) -> bool {
        self.0.join("stop").exists()
    }

    /// What was started, if it was.
    pub fn status(&self) -> io::Result<Option<Status>> {
        self.read("status.json")
    }

    /// Writes down what was started. [`Self::sync_status`] makes it durable, which nobody need wait for.
    pub fn write_status(&self, status: &Status) -> io::Result<()> {
        let bytes = serde_json::to_vec(status).map_err(io::Error::other)?;
        files::write_whole(&self.0.join("status.json"), &bytes)
    }

    /// Forces what was started to the disk.
    pub fn sync_status(&self) -> io::Result<()> {
        files::sync(&self.0.join("status.json"))
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> io::Result<Option<Exit>> {
        self.read("exit.json")
    }

    /// Writes down how it ended.
    pub fn write_exit(&self, exit: &Exit) -> io::Result<()> {
        let bytes = serde_json::to_vec(exit).map_err(io::Error::other)?;
        files::write_synced(&self.0.join("exit.json"), &bytes, 0o600)
    }

    /// Why the instance's program could not be started, if so.
    pub fn refusal(&self) -> io::Result<Option<String>> {
        let bytes = files::read_if_there(&self.0.join("refused"))?;
        Ok(bytes.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// Writes down why the instance's program could not be started.
    pub fn write_refusal(&self, reason: &str) -> io::Result<()> {
        files::write_whole(&self.0.join("refused"), reason.as_bytes())
    }

    /// Removes what an ended instance no longer needs; what it said and how it ended is kept.
    pub fn tidy(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.scratch()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> io::Result<Option<T>> {
        let bytes = files::read_if_there(&self.0.join(name))?;
        bytes.map(|it| serde_json::from_slice(&it)).transpose().map_err(damaged)
    }
}

fn damaged(error: serde_json::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
