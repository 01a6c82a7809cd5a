//! Finding the control process, and starting it where there is none.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Context;
use crate::client::{Client, Presence};
use crate::error::CommandError;
use crate::substitute::{self, SOCKET};

/// Time a control process may take until it answers: a journal of a million events is replayed in three
/// seconds.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How often it is asked whether it is there.
const START_POLL: Duration = Duration::from_millis(10);
/// Time without anything running after which a control process that was started by a command ends.
const IDLE_EXIT: &str = "5m";
/// Bytes of its output that are shown when it does not start.
const TAIL_BYTES_MAX: usize = 4_096;

/// The control process of the data folder, if one is there.
pub(crate) async fn find(context: &Context) -> Result<Option<Client>, CommandError> {
    let (client, presence) = meet(context).await;
    match presence {
        Presence::There(_) => Ok(Some(client)),
        Presence::Absent => Ok(None),
        Presence::Silent => Err(client.silent()),
    }
}

/// What came of asking a control process to make way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// A command had started it, and it ends.
    Granted,
    /// It was started on purpose, and goes on.
    Refused,
    /// Nobody answers: it is just starting, or has ended.
    Unheard,
}

/// Asks a control process that a command started to make way for one that is started on purpose.
pub async fn relieve(context: &Context) -> Relief {
    let (client, presence) = meet(context).await;
    match presence {
        Presence::There(health) if health.stands_in => match client.shut_down().await {
            Ok(()) => Relief::Granted,
            Err(_) => Relief::Unheard,
        },
        Presence::There(_) => Relief::Refused,
        Presence::Absent | Presence::Silent => Relief::Unheard,
    }
}

/// Whether the control process that has the folder goes on: then a command needs no other.
pub async fn attended(context: &Context) -> Relief {
    match meet(context).await.1 {
        Presence::There(_) => Relief::Refused,
        Presence::Absent | Presence::Silent => Relief::Unheard,
    }
}

/// The control process of the data folder; one is started if none is there.
pub(crate) async fn ensure(context: &Context) -> Result<Client, CommandError> {
    match find(context).await? {
        Some(client) => Ok(client),
        None => start(context).await,
    }
}

/// Who answers for the data folder: in it, or in its substitute where it can only be read.
async fn meet(context: &Context) -> (Client, Presence) {
    let usual = Client::new(context.data.join(SOCKET));
    let presence = usual.presence().await;
    let elsewhere = substitute::find(&context.data).map(|it| it.join(SOCKET));
    match (&presence, elsewhere.filter(|it| it.exists())) {
        (Presence::Absent, Some(socket)) => {
            let client = Client::new(socket);
            let presence = client.presence().await;
            (client, presence)
        }
        _ => (usual, presence),
    }
}

/// Whoever answers, if a control process does.
async fn answering(context: &Context) -> Option<Client> {
    let (client, presence) = meet(context).await;
    matches!(presence, Presence::There(_)).then_some(client)
}

/// What a control process says goes to a file in the data folder, or in its substitute where that can only be read.
fn open_log(context: &Context) -> Result<(PathBuf, File), CommandError> {
    let open = |folder: &Path| {
        let path = folder.join("serve.log");
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        match file {
            Ok(file) => Ok((path, file)),
            Err(source) => Err((path, source)),
        }
    };
    let opened = match open(&context.data) {
        Err((path, source)) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            substitute::make(&context.data).map_err(|it| (path, it)).and_then(|it| open(&it))
        }
        other => other,
    };
    opened.map_err(|(path, source)| CommandError::File { path, verb: "written", source })
}

async fn start(context: &Context) -> Result<Client, CommandError> {
    let unusable = |path: &Path, verb| {
        let path = path.to_owned();
        move |source| CommandError::File { path, verb, source }
    };
    let folder = DirBuilder::new().recursive(true).mode(0o700).create(&context.data);
    folder.map_err(unusable(&context.data, "created"))?;
    let (path, log) = open_log(context)?;
    let errors = log.try_clone().map_err(unusable(&path, "written"))?;
    let mut child = Command::new(&context.program)
        .arg("serve")
        .arg("--background")
        .args(["--idle-exit", IDLE_EXIT])
        .arg("--data")
        .arg(&context.data)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors))
        .spawn()
        .map_err(unusable(&context.program, "run"))?;
    let ready = async {
        let mut ticks = tokio::time::interval(START_POLL);
        loop {
            ticks.tick().await;
            if let Some(client) = answering(context).await {
                return Ok(client);
            }
            if has_ended(&mut child) {
                return answering(context).await.ok_or(());
            }
        }
    };
    match tokio::time::timeout(START_TIMEOUT, ready).await {
        Ok(Ok(client)) => Ok(client),
        _ => Err(CommandError::NotStarted(tail(&path))),
    }
}

/// Another command may have started one at the same time; then ours ends, and the other answers.
fn has_ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)) | Err(_))
}

fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let from = text.len().saturating_sub(TAIL_BYTES_MAX);
    let text = String::from_utf8_lossy(text.get(from..).unwrap_or_default()).into_owned();
    if text.trim().is_empty() { format!("it said nothing; see {}", path.display()) } else { text }
}
