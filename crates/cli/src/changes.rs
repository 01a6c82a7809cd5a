//! Changes of the files an application is made of.
//!
//! The folder of the file is watched, and artifacts outside it. What `.gitignore` or `.pelagoignore` in that
//! folder leave out says nothing new, unless it is the artifact of a service that is built elsewhere.

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
        for artifact in &filter.artifacts {
            if !artifact.starts_with(&described.folder) {
                watcher.watch(artifact, RecursiveMode::Recursive).map_err(failed)?;
            }
        }
        Ok(Self { changed, filter, _watcher: watcher })
    }

    /// Waits until something has changed and nothing more does: the files, in the order they changed. It may be given up
    /// while it waits for the first.
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
    ignored: Gitignore,
    /// What runs in it as it is: artifacts of services that are not built by a command of the file.
    artifacts: Vec<PathBuf>,
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
        Self {
            artifacts: artifacts.collect(),
            ignored: builder.build().unwrap_or_else(|_| Gitignore::empty()),
        }
    }

    fn says_something(&self, path: &Path) -> bool {
        if path.components().any(|it| it.as_os_str() == ".git") {
            return false;
        }
        if self.artifacts.iter().any(|it| path.starts_with(it)) {
            return true;
        }
        let is_below = path.starts_with(self.ignored.path());
        !is_below || !self.ignored.matched_path_or_any_parents(path, path.is_dir()).is_ignore()
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
        Described { application, file: folder.join("pelago.yaml"), folder }
    }

    #[test]
    fn what_is_ignored_says_nothing_unless_it_runs_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["web", "out/cart", "dist/mail", "src"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(folder.path().join(".gitignore"), "/out\n/dist\n*.log\n").unwrap();
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
