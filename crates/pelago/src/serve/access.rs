//! Whether the data folder can be written, and what becomes of a control process when that changes.
//!
//! On a disk that can only be read one starts all the same: it says how things are, watches what runs and feeds the
//! data plane, and records, starts and stops nothing. It does not turn into an ordinary one piece by piece when the
//! disk can be written again: the process begins anew, with the number it has, which is what its service manager
//! knows it by.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cli::{Context, substitute};
use control::Access;
use host::files;
use host::limits::{self, Usual};

/// How often a folder that can only be read is tried.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// What can be done with the data folder.
pub(super) fn of(folder: &Path) -> io::Result<Access> {
    if !files::is_read_only(folder) {
        let earlier_substitute = substitute::find(folder);
        // One that was killed has left what only it needed.
        earlier_substitute.as_deref().into_iter().for_each(empty);
        return Ok(Access::Writable { earlier_substitute });
    }
    let substitute = substitute::make(folder)?;
    tracing::error!(
        data = %folder.display(), sockets = %substitute.display(),
        "the data folder can only be read: nothing is recorded, started or stopped until it can be written"
    );
    Ok(Access::ReadOnly { substitute })
}

/// Where files of this process go.
pub(super) fn written<'a>(folder: &'a Path, access: &'a Access) -> &'a Path {
    match access {
        Access::Writable { .. } => folder,
        Access::ReadOnly { substitute } => substitute,
    }
}

/// Until a folder that could only be read can be written.
pub(super) async fn regained(folder: &Path, access: &Access) {
    if !access.is_read_only() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(TRIED_EVERY);
    loop {
        ticks.tick().await;
        let folder = folder.to_owned();
        // One that is gone, since its file system is mounted nowhere just now, is not to be made anew.
        let look = move || folder.is_dir() && !files::is_read_only(&folder);
        if tokio::task::spawn_blocking(look).await.unwrap_or(false) {
            return;
        }
    }
}

/// Removes what stood in for the data folder; the socket of a data plane that goes on stays.
pub(super) fn tidy(access: &Access) {
    let Access::ReadOnly { substitute } = access else { return };
    empty(substitute);
    // Refused, something is still in it.
    drop(fs::remove_dir(substitute));
}

fn empty(substitute: &Path) {
    for folder in ["journal", "telemetry"] {
        drop(fs::remove_dir_all(substitute.join(folder)));
    }
}

/// Becomes a new control process with the arguments of this one; returns only why not.
pub(super) fn begin_anew(context: &Context, usual: Option<Usual>) -> io::Error {
    if let Some(Err(error)) = usual.map(limits::give_back) {
        return error;
    }
    Command::new(&context.program).args(std::env::args_os().skip(1)).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn issue_12_a_folder_that_is_gone_is_waited_for_and_not_made() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("data");
        let access = Access::ReadOnly { substitute: outer.path().join("substitute") };
        let waiting = regained(&folder, &access);
        assert!(tokio::time::timeout(10 * TRIED_EVERY, waiting).await.is_err());
        assert!(!folder.exists());
        fs::create_dir(&folder).unwrap();
        regained(&folder, &access).await;
    }
}
