//! Changes of the files an application is made of.
//!
//! The folder of the file is watched, and artifacts and files that it names outside. What `.gitignore` or `.pelagoignore` in that
//! folder leave out says nothing new, unless it is the artifact of a service that is built elsewhere, or a file that is
//! read with the application's: `.env` is mostly left out there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use model::service::Source;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::error::CommandError;
use crate::input::Described;

/// Time without a further change after which changes are taken for one: an editor writes several files.
const SETTLED_AFTER: Duration = Duration::from_millis(150);
/// Changed files that may wait to be looked at; of more than that, some would say nothing new.
const WAITING_MAX: usize = 4_096;

/// Whoever waits for changes.
#[derive(Debug)]
pub(crate) struct Changes {
    changed: mpsc::Receiver<PathBuf>,
    filter: Filter,
    /// It watches until it is dropped.
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Watches the files of an application from now on.
    pub(crate) fn of(described: &Described) -> Result<Self, CommandError> {
        let (sender, changed) = mpsc::channel(WAITING_MAX);
        let tell = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            for path in event.paths {
                // Where so many wait, this one is not needed to say that something has changed.
                let _told: Result<(), _> = sender.try_send(path);
            }
        };
        let failed = |error: notify::Error| {
            CommandError::wrong(format!("files cannot be watched for changes: {error}"))
        };
        let mut watcher = notify::recommended_watcher(tell).map_err(failed)?;
        let filter = Filter::of(described);
        watcher.watch(&described.folder, RecursiveMode::Recursive).map_err(failed)?;
        let is_outside = |it: &Path| !it.starts_with(&described.folder);
        for artifact in filter.artifacts.iter().filter(|it| is_outside(it)) {
            watcher.watch(artifact, RecursiveMode::Recursive).map_err(failed)?;
        }
        // Editors put another file in the place of one, which only its folder tells.
        let folders: BTreeSet<&Path> = filter.files.iter().filter_map(|it| it.parent()).collect();
        for folder in folders.into_iter().filter(|it| is_outside(it)) {
            watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
        }
        Ok(Self { changed, filter, _watcher: watcher })
    }

    /// Waits until something has changed and nothing more does: the files, in the order they changed. Given up
    /// after the first, it forgets that.
    pub(crate) async fn next(&mut self) -> Option<Vec<PathBuf>> {
        let mut changed = loop {
            let path = self.changed.recv().await?;
            if self.filter.says_something(&path) {
                break vec![path];
            }
        };
        while let Ok(Some(path)) = tokio::time::timeout(SETTLED_AFTER, self.changed.recv()).await {
            if self.filter.says_something(&path) && !changed.contains(&path) {
                changed.push(path);
            }
        }
        Some(changed)
    }

    /// Forgets changes so far: a build has made them.
    pub(crate) fn forget(&mut self) {
        while self.changed.try_recv().is_ok() {}
    }
}

/// Which files say something new.
#[derive(Debug)]
struct Filter {
    folder: PathBuf,
    ignored: Gitignore,
    /// What runs in it as it is: artifacts of services that are not built by a command of the file.
    artifacts: Vec<PathBuf>,
    /// Files that are read with the application's.
    files: BTreeSet<PathBuf>,
}

impl Filter {
    fn of(described: &Described) -> Self {
        let folder = &described.folder;
        let mut builder = GitignoreBuilder::new(folder);
        for name in [".gitignore", ".pelagoignore"] {
            // One that is not there, or cannot be read, leaves nothing out.
            drop(builder.add(folder.join(name)));
        }
        let artifacts = described.application.services.values().filter_map(|it| match &it.source {
            Source::Process { artifact: Some(artifact), build, .. } if build.is_empty() => {
                folder.join(artifact).canonicalize().ok()
            }
            _ => None,
        });
        // Events name the folder as it is, whatever links lead to it.
        let files = described
            .beside
            .iter()
            .filter_map(|it| Some(it.parent()?.canonicalize().ok()?.join(it.file_name()?)));
        Self {
            folder: folder.clone(),
            files: files.collect(),
            artifacts: artifacts.collect(),
            ignored: builder.build().unwrap_or_else(|_| Gitignore::empty()),
        }
    }

    fn says_something(&self, path: &Path) -> bool {
        if path.components().any(|it| it.as_os_str() == ".git") {
            return false;
        }
        if self.files.contains(path) || self.artifacts.iter().any(|it| path.starts_with(it)) {
            return true;
        }
        let is_below = path.starts_with(&self.folder);
        is_below && !self.ignored.matched_path_or_any_parents(path, path.is_dir()).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn described(folder: &Path) -> Described {
        let folder = folder.canonicalize().unwrap();
        let text = "name: shop\nservices:\n  web: {artifact: ./web, command: ./run}\n  cart: \
                    {artifact: ./out/cart, build: make, command: ./cart}\n  mail: {artifact: \
                    ./dist/mail, command: ./mail}\n";
        let application = manifest::read("pelago.yaml", text, &std::collections::BTreeMap::new());
        let application = application.unwrap().application;
        let beside = [".env", "../shared.env", "none/x.env"].map(|it| folder.join(it)).to_vec();
        Described { application, file: folder.join("pelago.yaml"), folder, beside }
    }

    #[test]
    fn what_is_ignored_says_nothing_unless_it_runs_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["web", "out/cart", "dist/mail", "src"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(folder.path().join(".gitignore"), "/out\n/dist\n*.log\n*.env\n").unwrap();
        let described = described(folder.path());
        let filter = Filter::of(&described);
        let check = |path: &str, expected: bool| {
            assert_eq!(filter.says_something(&described.folder.join(path)), expected, "{path}");
        };
        check("web/app.py", true);
        check("src/main.c", true);
        check("pelago.yaml", true);
        check("out/cart/cart", false);
        check("src/x.log", false);
        check(".git/index", false);
        check("dist/mail/mail", true);
        // Issue 12: nobody commits a `.env`, and it says what services are told.
        check(".env", true);
        check("web/.env", true);
        check("src/other.env", false);
        let outside = described.folder.parent().unwrap();
        assert!(filter.says_something(&outside.join("shared.env")));
        assert!(!filter.says_something(&outside.join("other.env")));
    }

    #[tokio::test]
    async fn a_change_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("web")).unwrap();
        fs::create_dir_all(folder.path().join("dist/mail")).unwrap();
        let described = described(folder.path());
        let mut changes = Changes::of(&described).unwrap();
        let file = described.folder.join("web/app.py");
        fs::write(&file, "1").unwrap();
        assert_eq!(changes.next().await, Some(vec![file]));
        changes.forget();
        let other = described.folder.join("pelago.yaml");
        fs::write(&other, "x").unwrap();
        assert_eq!(changes.next().await, Some(vec![other]));
    }
}
