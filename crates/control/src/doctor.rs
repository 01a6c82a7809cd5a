//! A look at the machine and at what the platform has on it.

use std::path::Path;

use api::logs::{Finding, FindingVerdict};
use host::process;
use runtime::cgroup::{self, Support};
use world::World;

/// Free space below which a data folder will soon be full.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Looks at everything that could be wrong.
pub(crate) fn examine(folder: &Path, world: &World) -> Vec<Finding> {
    vec![control(world), space(folder), limits(), applications(world)]
}

fn finding(subject: &str, verdict: FindingVerdict, detail: String) -> Finding {
    Finding { subject: subject.to_owned(), verdict, detail }
}

fn control(world: &World) -> Finding {
    let pid = std::process::id();
    let memory = process::resident_bytes(pid).unwrap_or(0) >> 20;
    let version = env!("CARGO_PKG_VERSION");
    let detail = format!("version {version}, process {pid}, {memory} MiB, index @{}", world.index);
    finding("control", FindingVerdict::Good, detail)
}

fn space(folder: &Path) -> Finding {
    let subject = "data folder";
    match host::files::free_bytes(folder) {
        Ok(free) if FREE_BYTES_MIN <= free => {
            let detail = format!("{}, {} GiB free", folder.display(), free >> 30);
            finding(subject, FindingVerdict::Good, detail)
        }
        Ok(free) => {
            let detail = format!(
                "{}, only {} MiB free; make room, or choose another with --data",
                folder.display(),
                free >> 20
            );
            finding(subject, FindingVerdict::Limited, detail)
        }
        Err(error) => {
            let detail = format!("{} cannot be examined: {error}", folder.display());
            finding(subject, FindingVerdict::Bad, detail)
        }
    }
}

fn limits() -> Finding {
    let subject = "control groups";
    match cgroup::support() {
        Support::V2 => {
            finding(subject, FindingVerdict::Good, "version 2; limits are enforced".into())
        }
        Support::V1 => {
            finding(subject, FindingVerdict::Good, "version 1; limits are enforced".into())
        }
        Support::None => finding(
            subject,
            FindingVerdict::Limited,
            "not writable; instances run without CPU and memory limits. Run as root, or have \
             your user's slice delegated (systemd: Delegate=yes)"
                .into(),
        ),
    }
}

fn applications(world: &World) -> Finding {
    let subject = "applications";
    let failing: Vec<String> = world
        .applications
        .iter()
        .flat_map(|(application, state)| {
            let looping = state.services.iter().filter(|(_, it)| it.crash_loop_since.is_some());
            looping.map(move |(name, _)| format!("{application}/{name}"))
        })
        .collect();
    if failing.is_empty() {
        let count = world.instances().count();
        finding(subject, FindingVerdict::Good, format!("{count} instances, none crash-looping"))
    } else {
        let detail = format!(
            "crash-looping: {}; `pelago logs SERVICE` says what they said last",
            failing.join(", ")
        );
        finding(subject, FindingVerdict::Bad, detail)
    }
}
