//! What is built before it is baked: the `build` commands of a file.
//!
//! Services with the same command share one run of it. Different commands run side by side, as many at once as there are
//! processors: what one said is shown if it failed.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::thread;

use model::service::Source;
use model::{ServiceName, Template};

use crate::Context;
use crate::error::CommandError;
use crate::input::Described;
use crate::output::{Look, Output, Tone};

/// Builds at once where the number of processors is not known.
const AT_ONCE: usize = 2;

/// One run of a command.
#[derive(Debug)]
struct Build {
    /// The first service it is for.
    service: ServiceName,
    words: Vec<String>,
    folder: PathBuf,
}

/// How a build ended that nobody watched.
#[derive(Debug)]
struct Built {
    said: Vec<u8>,
    result: Result<(), CommandError>,
}

/// Runs the build command of every service that has one, in the folder of the file; of those in `only`, if any
/// is named.
pub(crate) fn run(
    context: &Context,
    described: &Described,
    only: &[ServiceName],
    output: &mut Output,
) -> Result<(), CommandError> {
    let builds = needed(context, described, only)?;
    if !output.is_json() {
        for build in &builds {
            // Its other words may have passwords among them, and this ends up in the logs of a build.
            let program = build.words.first().map_or("nothing", String::as_str);
            let shown = format!("building {} with {program}", build.service);
            output.note(&output.paint(Tone::Faint, &shown))?;
        }
    }
    match builds.as_slice() {
        // A person watches the one build there is.
        [build] if output.look() == Look::Terminal => build.show(),
        builds => side_by_side(builds, output),
    }
}

/// The builds of services that are meant, each command once.
fn needed(
    context: &Context,
    described: &Described,
    only: &[ServiceName],
) -> Result<Vec<Build>, CommandError> {
    let mut seen: Vec<&[Template]> = Vec::new();
    let mut builds = Vec::new();
    for (name, service) in &described.application.services {
        let Source::Process { build, .. } = &service.source else { continue };
        let is_meant = only.is_empty() || only.contains(name);
        if !is_meant || build.is_empty() || seen.contains(&build.as_slice()) {
            continue;
        }
        seen.push(build);
        let words: Result<Vec<String>, String> =
            build.iter().map(|it| it.fill(|path| context.environment.get(path).cloned())).collect();
        let words = words.map_err(|path| {
            CommandError::wrong(format!("service `{name}`: `${{{path}}}` in `build` has no value"))
        })?;
        builds.push(Build { service: name.clone(), words, folder: described.folder.clone() });
    }
    Ok(builds)
}

/// Runs builds at once, and fails as the first of them that failed.
fn side_by_side(builds: &[Build], output: &mut Output) -> Result<(), CommandError> {
    let at_once = thread::available_parallelism().map_or(AT_ONCE, std::num::NonZero::get);
    let waiting = Mutex::new(builds.iter().enumerate());
    let mut ended: Vec<(usize, Built)> = Vec::new();
    thread::scope(|scope| {
        let worker = || {
            let mut built = Vec::new();
            // Whoever held the lock and panicked took no build with it.
            let next = || waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
            while let Some((place, build)) = next() {
                built.push((place, build.listen()));
            }
            built
        };
        let workers: Vec<_> = (0..at_once.min(builds.len())).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            ended.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    // As they stand in the file, whichever of them ended first.
    ended.sort_by_key(|it| it.0);
    let mut result = Ok(());
    for (_, built) in ended {
        if built.result.is_err() {
            output.notes(&String::from_utf8_lossy(&built.said))?;
        }
        result = result.and(built.result);
    }
    result
}

impl Build {
    /// Runs it where a person sees what it says.
    fn show(&self) -> Result<(), CommandError> {
        let (mut command, program) = self.command()?;
        self.concluded(command.status().map_err(|it| self.failed(&format!("{program}: {it}")))?)
    }

    /// Runs it and keeps what it says.
    fn listen(&self) -> Built {
        let ran = self.command().and_then(|(mut command, program)| {
            command.output().map_err(|it| self.failed(&format!("{program}: {it}")))
        });
        match ran {
            Ok(ran) => Built {
                said: [ran.stdout, ran.stderr].concat(),
                result: self.concluded(ran.status),
            },
            Err(error) => Built { said: Vec::new(), result: Err(error) },
        }
    }

    fn command(&self) -> Result<(Command, &str), CommandError> {
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| self.failed("its command is empty"))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder);
        Ok((command, program))
    }

    fn concluded(&self, status: ExitStatus) -> Result<(), CommandError> {
        if status.success() { Ok(()) } else { Err(self.failed(&status.to_string())) }
    }

    fn failed(&self, why: &str) -> CommandError {
        CommandError::wrong(format!("building {} failed: {why}", self.service))
    }
}

/// Services whose build may make something else of changed files. A file in a service's artifact is that
/// service's, and says nothing to others; any other file is of the services whose artifacts are nearest to it, and of all
/// that are built where none is near.
pub(crate) fn affected(described: &Described, changed: &[PathBuf]) -> Vec<ServiceName> {
    let services = described.application.services.iter();
    let sources: Vec<(&ServiceName, PathBuf, bool)> = services
        .filter_map(|(name, service)| match &service.source {
            Source::Process { artifact: Some(artifact), build, .. } => {
                let artifact = described.folder.join(artifact);
                let artifact = artifact.canonicalize().unwrap_or(artifact);
                Some((name, artifact, !build.is_empty()))
            }
            _ => None,
        })
        .collect();
    let mut meant = Vec::new();
    for path in changed.iter().filter(|it| **it != described.file) {
        let owners: Vec<_> = sources.iter().filter(|it| path.starts_with(&it.1)).collect();
        if owners.is_empty() {
            let built = || sources.iter().filter(|it| it.2);
            let near = |it: &PathBuf| shared(&described.folder, path, it);
            let nearest = built().map(|it| near(&it.1)).max().unwrap_or(0);
            meant.extend(built().filter(|it| near(&it.1) == nearest).map(|it| it.0.clone()));
        } else {
            meant.extend(owners.iter().filter(|it| it.2).map(|it| it.0.clone()));
        }
    }
    meant.sort();
    meant.dedup();
    meant
}

/// How many folders below `folder` two paths have in common.
fn shared(folder: &Path, one: &Path, other: &Path) -> usize {
    let (Ok(one), Ok(other)) = (one.strip_prefix(folder), other.strip_prefix(folder)) else {
        return 0;
    };
    one.components().zip(other.components()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(services: &str) -> Described {
        let text = format!("name: shop\nservices:\n{services}");
        let application = manifest::read("pelago.yaml", &text, &std::collections::BTreeMap::new());
        let application = application.unwrap().application;
        Described {
            application,
            file: "/shop/pelago.yaml".into(),
            folder: "/shop".into(),
            beside: Vec::new(),
        }
    }

    #[track_caller]
    fn check(services: &str, changed: &[&str], expected: &[&str]) {
        let changed: Vec<PathBuf> = changed.iter().map(|it| Path::new("/shop").join(it)).collect();
        let affected = affected(&described(services), &changed);
        let affected: Vec<&str> = affected.iter().map(ServiceName::as_str).collect();
        assert_eq!(affected, expected, "{changed:?}");
    }

    #[test]
    fn issue_12_only_what_a_changed_file_belongs_to_is_built() {
        let two =
            "  a: {artifact: ./a, command: ./x}\n  b: {artifact: ./b, command: ./x, build: make}\n";
        check(two, &["a/app.py"], &[]);
        check(two, &["b/app.py"], &["b"]);
        check(two, &["lib/shared.py"], &["b"]);
        check(two, &["pelago.yaml"], &[]);
        let built = "  web: {artifact: ./web/dist, command: ./x, build: npm run build}\n  api: \
                     {artifact: ./api/bin, command: ./x, build: make}\n";
        check(built, &["web/src/main.ts"], &["web"]);
        check(built, &["web/src/main.ts", "api/main.c"], &["api", "web"]);
        check(built, &["proto/shop.proto"], &["api", "web"]);
    }

    #[test]
    fn builds_run_side_by_side_and_one_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let build = |service: &str, script: String| Build {
            service: service.parse().unwrap(),
            words: ["sh".to_owned(), "-c".to_owned(), script].to_vec(),
            folder: folder.path().to_owned(),
        };
        // Each waits for the other: one after the other, they would wait for ever.
        let meet = |mine: &str, other: &str| {
            format!("touch {mine}; while ! test -e {other}; do sleep 0.01; done")
        };
        let (mut output, page) =
            crate::output::captured::output(Look::Plain, crate::arguments::Format::Text);
        if 1 < thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            let pair = [build("a", meet("one", "two")), build("b", meet("two", "one"))];
            side_by_side(&pair, &mut output).unwrap();
        }
        let failing = [build("c", "echo cannot compile; exit 3".to_owned())];
        let error = side_by_side(&failing, &mut output).unwrap_err();
        assert_eq!(error.to_string(), "building c failed: exit status: 3");
        assert!(page.text().contains("cannot compile"));
    }
}
