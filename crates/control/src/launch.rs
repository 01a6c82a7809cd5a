//! From a world to everything a supervisor must know: pure, so that it can be tested and simulated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use model::health::{Check, Probe};
use model::name::url_variable;
use model::release::Release;
use model::service::Source;
use model::{ApplicationName, InstanceId, Template};
use runtime::launch::{LaunchSpec, LogLimits};
use runtime::probe::Try;
use world::{ApplicationState, Instance, World};

/// Variables of the control process that instances get too; everything else must be declared.
pub(crate) const INHERITED: [&str; 8] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TZ", "USER"];

/// Where things are on this machine, for [`Launcher`].
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// This binary.
    pub(crate) program: PathBuf,
    /// The [`INHERITED`] variables.
    pub(crate) inherited: BTreeMap<String, String>,
}

/// An instance with everything around it that its start depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launcher<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) application: &'a ApplicationName,
    pub(crate) state: &'a ApplicationState,
    pub(crate) id: &'a InstanceId,
    pub(crate) instance: &'a Instance,
    pub(crate) release: &'a Release,
}

/// What must be known of the machine's folders to start an instance.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// The release's files, if it has any.
    pub(crate) release: Option<PathBuf>,
    /// Where the instance may put files.
    pub(crate) scratch: PathBuf,
}

impl<'a> Launcher<'a> {
    /// Finds the instance in the world, or nothing if it is not there.
    pub(crate) fn find(
        machine: &'a Machine,
        world: &'a World,
        application: &'a ApplicationName,
        id: &'a InstanceId,
    ) -> Option<Self> {
        let state = world.application(application)?;
        let service = state.services.get(&id.service)?;
        let instance = service.instances.get(&id.number)?;
        let release = service.releases.get(&instance.release)?;
        Some(Self { machine, application, state, id, instance, release })
    }

    /// What to start, or why it cannot be.
    pub(crate) fn spec(&self, folders: &Folders, cgroup: String) -> Result<LaunchSpec, String> {
        let environment = self.environment(folders)?;
        let words = self.words(&environment)?;
        let (program, arguments) = words.split_first().ok_or("its command is empty")?;
        Ok(LaunchSpec {
            application: self.application.clone(),
            instance: self.id.clone(),
            program: program.clone(),
            arguments: arguments.to_vec(),
            environment,
            working_folder: working_folder(folders),
            limits: self.release.service.limits.clone(),
            stop_grace_period: self.release.service.stop_grace_period,
            log: LogLimits::default(),
            cgroup,
        })
    }

    fn words(&self, environment: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
        match &self.release.service.source {
            Source::Process { command, .. } => fill_all(command, environment),
            Source::Behaviour(_) => {
                let program = self.machine.program.display().to_string();
                Ok(vec![program, "emulate".to_owned()])
            }
            Source::Image { .. } => Err("this version does not run images".to_owned()),
        }
    }

    /// The instance's whole environment: what is inherited, what the platform tells it, and what the
    /// manifest says, which has the last word.
    pub(crate) fn environment(
        &self,
        folders: &Folders,
    ) -> Result<BTreeMap<String, String>, String> {
        let mut environment = self.machine.inherited.clone();
        let mut tell = |key: &str, value: String| {
            environment.insert(key.to_owned(), value);
        };
        tell("PORT", self.instance.port.to_string());
        tell("TMPDIR", folders.scratch.display().to_string());
        tell("PELAGO_APPLICATION", self.application.to_string());
        tell("PELAGO_SERVICE", self.id.service.to_string());
        tell("PELAGO_INSTANCE", self.id.to_string());
        tell("PELAGO_RELEASE", self.instance.release.to_string());
        tell("OTEL_SERVICE_NAME", self.id.service.to_string());
        for callee in self.release.service.calls.keys() {
            let slot = self.state.services.get(callee).and_then(|it| it.slots.get(&0));
            if let Some(slot) = slot {
                tell(&url_variable(callee.as_str()), format!("http://127.0.0.1:{}", slot.port));
            }
        }
        if let Source::Behaviour(workload) = &self.release.service.source {
            let text = serde_json::to_string(workload).map_err(|error| error.to_string())?;
            tell("PELAGO_BEHAVIOUR", text);
        }
        fill_environment(&mut environment, &self.release.service.environment)?;
        Ok(environment)
    }

    /// A health check of this instance, ready to be tried.
    pub(crate) fn check(&self, check: &Check, folders: &Folders) -> Result<Try, String> {
        let port = self.instance.port;
        Ok(match &check.probe {
            Probe::Http(path) => Try::Http { port, path: path.clone() },
            Probe::Tcp => Try::Tcp { port },
            Probe::Command(command) => {
                let environment = self.environment(folders)?;
                let words = fill_all(command, &environment)?;
                let (program, arguments) =
                    words.split_first().ok_or("the command of its check is empty")?;
                Try::Command {
                    program: program.clone(),
                    arguments: arguments.to_vec(),
                    environment,
                    folder: working_folder(folders),
                }
            }
        })
    }
}

/// In the release's own copy; without files, in a folder of the instance's own.
pub(crate) fn working_folder(folders: &Folders) -> PathBuf {
    folders.release.as_deref().unwrap_or_else(|| Path::new(&folders.scratch)).to_owned()
}

fn fill_all(
    templates: &[Template],
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, String> {
    let fill = |template: &Template| {
        template
            .fill(|path| environment.get(path).cloned())
            .map_err(|path| format!("`${{{path}}}` in its command has no value and no default"))
    };
    templates.iter().map(fill).collect()
}

/// Adds `declared` to `environment`. Entries may refer to each other, in any order; an entry waits for those
/// it refers to. `PATH: ${PATH}:/extra` means the inherited one.
fn fill_environment(
    environment: &mut BTreeMap<String, String>,
    declared: &BTreeMap<String, Template>,
) -> Result<(), String> {
    let mut left: BTreeMap<&String, &Template> = declared.iter().collect();
    while !left.is_empty() {
        let ready: Vec<(&String, &Template)> = left
            .iter()
            .filter(|(key, template)| !refers_to_later(template, key, &left))
            .map(|(key, template)| (*key, *template))
            .collect();
        if ready.is_empty() {
            return Err("its environment variables refer to each other in a circle".to_owned());
        }
        for (key, template) in ready {
            let value = template.fill(|path| environment.get(path).cloned()).map_err(|path| {
                format!(
                    "`${{{path}}}` in its environment variable {key} has no value and no default"
                )
            })?;
            environment.insert(key.clone(), value);
            left.remove(key);
        }
    }
    Ok(())
}

fn refers_to_later(template: &Template, key: &str, left: &BTreeMap<&String, &Template>) -> bool {
    template.references().any(|it| it.path != key && left.contains_key(&it.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(declared: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>) {
        let mut environment = BTreeMap::from([
            ("PORT".to_owned(), "8080".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ]);
        let declared = declared
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.parse().unwrap()))
            .collect();
        match (fill_environment(&mut environment, &declared), expected) {
            (Ok(()), Ok(expected)) => {
                for (key, value) in expected {
                    assert_eq!(environment.get(*key).map(String::as_str), Some(*value), "{key}");
                }
            }
            (Err(error), Err(expected)) => assert_eq!(error, expected),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn environments_fill() {
        check(
            &[("A", "${B}/a"), ("B", "${C}:${PORT}"), ("C", "c"), ("PATH", "${PATH}:/extra")],
            Ok(&[("A", "c:8080/a"), ("B", "c:8080"), ("PATH", "/bin:/extra")]),
        );
        check(&[("A", "${B:-x}"), ("B", "b")], Ok(&[("A", "b")]));
        check(&[("A", "${NONE:-x}")], Ok(&[("A", "x")]));
        check(
            &[("A", "${NONE}")],
            Err("`${NONE}` in its environment variable A has no value and no default"),
        );
        check(
            &[("A", "${B:-}"), ("B", "${A:-}")],
            Err("its environment variables refer to each other in a circle"),
        );
    }
}
