//! A look at the machine and at what the platform has on it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use api::logs::{Finding, FindingVerdict};
use host::process;
use model::Timestamp;
use runtime::Processes;
use runtime::cgroup::{self, Support};
use telemetry::Stores;
use world::{Desired, World};

use crate::dataplane::{Following, Hello, Observed, Retired};

/// Free space below which a data folder will soon be full.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Silence of the data plane, which reports every second, that is more than a hiccup.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Damaged files that are named, at most.
const DAMAGED_MAX: usize = 5;

/// How long an address that could not be listened on is shown after the last try.
const FAILURE_SHOWN_FOR: Duration = Duration::from_mins(5);

/// Looks at everything that could be wrong.
pub(crate) fn examine(
    folder: &Path,
    world: &World,
    observed: &Observed,
    now: Timestamp,
) -> Vec<Finding> {
    let mut findings = vec![control(world), data_plane(observed, now)];
    findings.extend(observed.retired.iter().map(retired));
    findings.extend(addresses(observed, world));
    findings.extend([space(folder), open_files(), limits(), applications(world)]);
    findings
}

/// Looks at the stores of what is measured.
pub(crate) fn telemetry(stores: &Stores, collector: Option<SocketAddr>) -> Finding {
    let subject = "telemetry";
    if !stores.has_room() {
        let detail = "the disk is almost full, and nothing more is taken in; make room".to_owned();
        return finding(subject, FindingVerdict::Bad, detail);
    }
    let (metrics, traces, logs) =
        (stores.metrics.statistics(), stores.traces.stats(), stores.logs.status());
    let bytes = [metrics.disk_bytes(), traces.disk_bytes(), logs.disk_bytes()];
    let place = collector.map_or_else(
        || "taken in nowhere; see `--telemetry`".to_owned(),
        |it| format!("taken in at {it}"),
    );
    let kept = bytes.map(mebibytes);
    let refused: u64 = metrics.refused.iter().map(|it| it.2).sum::<u64>()
        + traces.appended.refused
        + logs.services.iter().flat_map(|it| it.tally.refused.values()).sum::<u64>();
    let failing: Vec<String> = stores
        .board
        .targets()
        .iter()
        .filter_map(|it| Some(format!("{} ({})", it.url, it.error.as_ref()?)))
        .collect();
    let [metrics, traces, logs] = &kept;
    let mut detail = vec![place, format!("metrics {metrics}, traces {traces}, logs {logs}")];
    if 0 < refused {
        detail.push(format!("{refused} refused, `/v1/telemetry` says whose and why"));
    }
    let verdict = if failing.is_empty() {
        FindingVerdict::Good
    } else {
        detail.push(format!("not scraped: {}", failing.join(", ")));
        FindingVerdict::Limited
    };
    finding(subject, verdict, detail.join("; "))
}

/// Whole mebibytes.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
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

/// Whether what happens can be written down.
pub(crate) fn recording(problems: Vec<String>) -> Vec<Finding> {
    let subject = "recording";
    if problems.is_empty() {
        let detail = "what happens and what instances say is written down".to_owned();
        return vec![finding(subject, FindingVerdict::Good, detail)];
    }
    problems.into_iter().map(|it| finding(subject, FindingVerdict::Bad, it)).collect()
}

/// Damage to the journal that was repaired, for as long as the damaged files are kept.
pub(crate) fn repairs(folder: &Path) -> Option<Finding> {
    let reports = journal::repairs(folder).unwrap_or_default();
    let last = reports.last()?;
    let detail = format!(
        "the journal was repaired {}; last: {}. Remove the damaged files when you have seen to it",
        if reports.len() == 1 { "once".to_owned() } else { format!("{} times", reports.len()) },
        last.trim()
    );
    Some(finding("journal", FindingVerdict::Limited, detail))
}

/// Files of instances that are damaged.
pub(crate) fn instance_folders(processes: &Processes) -> Vec<Finding> {
    let damage = processes.damage().unwrap_or_else(|error| vec![model::chain(&error)]);
    let limited = |it| finding("instances", FindingVerdict::Limited, it);
    damage.into_iter().take(DAMAGED_MAX).map(limited).collect()
}

/// What the control process was told.
pub(crate) fn options(described: &str) -> Finding {
    let detail = format!("{described}; `pelago serve` with an option changes it");
    finding("options", FindingVerdict::Good, detail)
}

/// A data plane that was replaced, and goes on.
fn retired(it: &Retired) -> Finding {
    let Retired { pid, client_connections, resident_bytes } = it;
    let detail = format!(
        "process {pid} was replaced and goes on for the {client_connections} connections it has, {} MiB; `kill {pid}` cuts them",
        resident_bytes >> 20
    );
    finding("data plane", FindingVerdict::Good, detail)
}

fn data_plane(observed: &Observed, now: Timestamp) -> Finding {
    let subject = "data plane";
    let Some(hello) = observed.hello.as_ref().filter(|_| observed.is_connected) else {
        let detail = "not connected; proxy.log in the data folder says why".to_owned();
        return finding(subject, FindingVerdict::Bad, detail);
    };
    let memory = process::resident_bytes(hello.pid).unwrap_or(0) >> 20;
    let follows = follows(&observed.following);
    let process =
        format!("version {}, process {}, {memory} MiB{follows}", hello.version, hello.pid);
    let silence = now.since(observed.heard);
    if SILENCE_MAX < silence {
        let detail = format!(
            "{process}; it has said nothing for {} s; is it stopped, or the machine too busy? \
             `kill -CONT {}` wakes a stopped one",
            silence.as_secs(),
            hello.pid
        );
        return finding(subject, FindingVerdict::Bad, detail);
    }
    gateway(hello, process)
}

/// Where the gateway listens, and where it should and cannot.
fn gateway(hello: &Hello, process: String) -> Finding {
    let subject = "data plane";
    let asked = hello.asked.unwrap_or_default();
    let is_there = |wanted: SocketAddr, found: Option<SocketAddr>| {
        found.is_some_and(|it| it == wanted || wanted.port() == 0)
    };
    let places = [(asked.plain, hello.gateway), (asked.tls, hello.gateway_tls)];
    let missing: Vec<String> = places
        .iter()
        .filter_map(|(wanted, found)| wanted.filter(|it| !is_there(*it, *found)))
        .map(|it| it.to_string())
        .collect();
    let found: Vec<String> = places.iter().filter_map(|it| it.1).map(|it| it.to_string()).collect();
    let mut parts = vec![process];
    if !missing.is_empty() {
        let addresses = missing.join(" and ");
        parts.push(format!(
            "; the gateway cannot listen at {addresses}, which another program has, and tries \
             again; end that program, or choose another address with `pelago serve --gateway`"
        ));
    } else if found.is_empty() {
        let none = "; no gateway listens: none was asked for; `pelago serve --gateway` does";
        parts.push(none.to_owned());
    }
    if !found.is_empty() {
        parts.push(format!(", gateway at {}", found.join(" and ")));
    }
    let is_whole = missing.is_empty() && !found.is_empty();
    let verdict = if is_whole { FindingVerdict::Good } else { FindingVerdict::Limited };
    finding(subject, verdict, parts.concat())
}

/// How soon what is recorded is routed by, once there is something to go by.
fn follows(following: &Following) -> String {
    let millis = |percent| following.percentile(percent).map(|it| it.as_secs_f64() * 1e3);
    match (millis(50), millis(99)) {
        (Some(median), Some(most)) => {
            let count = following.count();
            format!(", follows within {median:.2} ms (p99 {most:.2} ms of {count} changes)")
        }
        _ => String::new(),
    }
}

/// Addresses of edges that another program has.
fn addresses(observed: &Observed, world: &World) -> Option<Finding> {
    let is_recent = |at: &Timestamp| world.at.since(*at) < FAILURE_SHOWN_FOR;
    let recent = observed.failures.iter().filter(|(_, (at, _))| is_recent(at));
    let failures: Vec<String> =
        recent.map(|(edge, (_, reason))| format!("{edge}: {reason}")).collect();
    (!failures.is_empty()).then(|| {
        let detail = format!("cannot be listened on, and are tried again: {}", failures.join(", "));
        finding("addresses of calls", FindingVerdict::Bad, detail)
    })
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

/// Descriptors: without them nothing can be started, checked or answered.
fn open_files() -> Finding {
    let subject = "open files";
    let raise = "raise the hard limit (`ulimit -Hn`, or LimitNOFILE= in systemd) and start `pelago serve` again";
    match (host::limits::open_files(), host::limits::open_files_max()) {
        (Ok(open), None) => {
            finding(subject, FindingVerdict::Good, format!("{open}, without limit"))
        }
        (Ok(open), Some(limit)) if open < limit / 4 * 3 => {
            finding(subject, FindingVerdict::Good, format!("{open} of {limit}"))
        }
        (Ok(open), Some(limit)) => {
            finding(subject, FindingVerdict::Limited, format!("{open} of {limit}; {raise}"))
        }
        (Err(error), _) => {
            finding(subject, FindingVerdict::Bad, format!("cannot be counted: {error}; {raise}"))
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
        .filter(|(_, it)| it.desired == Desired::Running)
        .flat_map(|(application, state)| {
            let looping = state
                .services
                .iter()
                .filter(|(_, it)| it.main_group().is_some_and(|it| it.crash_loop_since.is_some()));
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
