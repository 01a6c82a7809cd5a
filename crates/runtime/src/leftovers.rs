//! What is left of an instance whose supervisor was killed.
//!
//! The instance itself dies with its supervisor, but not what it had started. A control group finds all
//! of that; where there are none, a process is known by the environment it was given, which names
//! the instance. One that has changed its environment and left its parents is not found then.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use host::{limits, process};
use model::instance::ProcessId;
use rustix::process::Signal;

use crate::cgroup;
use crate::folder::InstanceFolder;

/// The variables that together name an instance of a data folder.
const NAMING: [&str; 4] = ["PELAGO_APPLICATION", "PELAGO_INSTANCE", "PORT", "TMPDIR"];

/// Kills what is left; true when nothing is. To be called again until then.
pub(crate) fn kill(folder: &InstanceFolder, cgroup: &str) -> io::Result<bool> {
    let mut is_gone = cgroup::end(cgroup);
    let Ok(spec) = folder.spec() else { return Ok(is_gone) };
    for process in with_environment(&spec.environment)? {
        is_gone = false;
        process::signal(process, Signal::KILL)?;
    }
    Ok(is_gone)
}

/// Every process that was given the [`NAMING`] variables of this environment. None of an environment that
/// lacks one of them: it would not name one instance alone.
fn with_environment(environment: &BTreeMap<String, String>) -> io::Result<Vec<ProcessId>> {
    let named = |name: &&str| Some(format!("{name}={}", environment.get(*name)?).into_bytes());
    let Some(wanted) = NAMING.iter().map(named).collect::<Option<Vec<_>>>() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|it| it.parse().ok());
        let Some(pid) = pid else { continue };
        let Some(process) = process::identify(pid)? else { continue };
        let given = match fs::read(entry.path().join("environ")) {
            Ok(given) => given,
            // Not looked at is not gone.
            Err(error) if limits::is_shortage(&error) => return Err(error),
            // It belongs to another user, or has ended.
            Err(_) => continue,
        };
        if wanted.iter().all(|it| given.split(|byte| *byte == 0).any(|given| given == it)) {
            found.push(process);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_the_whole_of_their_name() {
        let environment = |port: &str| {
            let values = ["shop", "cart.7", port, "/tmp/somewhere"];
            let pairs = NAMING.iter().zip(values);
            pairs.map(|(name, value)| ((*name).to_owned(), value.to_owned())).collect()
        };
        // The number of this process, since this very test may run twice at once.
        let mine: BTreeMap<String, String> = environment(&std::process::id().to_string());
        let mut child =
            std::process::Command::new("sleep").arg("60").env_clear().envs(&mine).spawn().unwrap();
        let found = with_environment(&mine).unwrap();
        assert_eq!(found, [process::identify(child.id()).unwrap().unwrap()]);
        assert_eq!(with_environment(&environment("0")).unwrap(), []);
        assert_eq!(with_environment(&BTreeMap::new()).unwrap(), []);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
