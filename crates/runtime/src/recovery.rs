//! What was started, found again without the file that says it.
//!
//! A supervisor holds its folder's lock and was told the folder's path; the instance it supervises leads the
//! one process group among its children. So a live instance whose `status.json` was damaged or removed is
//! neither lost nor taken for one that has not begun.

use std::io;

use host::process;

use crate::folder::{InstanceFolder, Status};

/// What runs in a folder whose lock somebody has; nothing if that cannot be told.
pub(crate) fn find(folder: &InstanceFolder, boot_id: &str) -> io::Result<Option<Status>> {
    let Some(path) = folder.path().to_str() else { return Ok(None) };
    for supervisor in process::with_last_words(&["supervise", path])? {
        let mut children = process::children(supervisor.pid).into_iter();
        let leader = children.find(|it| process::leads_group(*it));
        let Some(leader) = leader else { continue };
        if let Some(process) = process::identify(leader)? {
            return Ok(Some(Status { supervisor, process, boot_id: boot_id.to_owned() }));
        }
    }
    Ok(None)
}
