//! Where a release comes from: who makes it, and of which commit.

use std::path::Path;
use std::process::{Command, Stdio};

use model::release::Origin;

use crate::Context;

/// Digits of a commit that are shown: enough for any repository there is, and few enough to read.
const COMMIT_DIGITS: &str = "12";

/// Whoever called, and the commit that `folder` is at, if it is in a repository of git.
pub(crate) fn of(context: &Context, folder: &Path) -> Origin {
    Origin { note: None, by: who(context), commit: commit(folder) }
}

/// Who called.
pub(crate) fn who(context: &Context) -> Option<String> {
    let name = |key: &str| context.environment.get(key).filter(|it| !it.is_empty());
    name("USER").or_else(|| name("LOGNAME")).cloned()
}

fn commit(folder: &Path) -> Option<String> {
    let digits = format!("--short={COMMIT_DIGITS}");
    let commit = git(folder, &["rev-parse", &digits, "HEAD"])?;
    let changes = git(folder, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { commit + "+" })
}

/// What git answers; nothing if it is not there, or the folder is in no repository.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    let answer = command.output().ok().filter(|it| it.status.success())?;
    Some(String::from_utf8(answer.stdout).ok()?.trim().to_owned())
}
