//! From signals and the world to samples.
//!
//! It reads what is there and makes samples of it; only processor time and memory are asked of the system.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host::process;
use model::instance::ProcessId;
use model::{ApplicationName, ReleaseNumber, Timestamp};
use telemetry::metrics::Point;
use telemetry::report::{Caller, EdgeName, Outcomes, ReleaseSignals};
use telemetry::{EdgeSignals, Histogram, Stores};
use world::routing::{Table, backend_key, route_key};
use world::{Desired, ServiceState, World};

use super::names;
use crate::dataplane::{Observed, Replaced};

/// What must be copied of what was observed, so that nobody waits for the rest.
#[derive(Debug)]
pub(super) struct Seen {
    is_connected: bool,
    pid: Option<u32>,
    edges: BTreeMap<EdgeName, Arc<EdgeSignals>>,
    replaced: Replaced,
    client_connections: u32,
    upstream_connections: u32,
    spans_dropped: u64,
}

impl Seen {
    pub(super) fn of(observed: &Observed) -> Self {
        Self {
            is_connected: observed.is_connected,
            pid: observed.hello.as_ref().map(|it| it.pid),
            edges: observed.edges.clone(),
            replaced: observed.replaced.clone(),
            client_connections: observed.client_connections,
            upstream_connections: observed.upstream_connections,
            spans_dropped: observed.spans_dropped,
        }
    }
}

/// Makes samples. It remembers what was there the last time, so that series that are gone end.
#[derive(Debug, Default)]
pub(super) struct Collector {
    is_described: bool,
    before: Vec<Vec<(String, String)>>,
}

/// The samples of one moment.
struct Sheet {
    at_ms: i64,
    points: Vec<Point>,
}

/// The label of what crosses a data plane that was replaced.
const DATA_PLANE: &str = "data_plane";

type Label<'a> = (&'static str, &'a str);

impl Sheet {
    fn add(&mut self, metric: &str, labels: &[Label<'_>], value: f64) {
        let own = [("__name__", metric), ("job", "pelago")];
        let all = own.iter().chain(labels);
        let labels = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.points.push(Point { labels, at_ms: self.at_ms, value });
    }

    #[expect(clippy::cast_precision_loss, reason = "samples are doubles; counts stay below 2^53")]
    fn count(&mut self, metric: &str, labels: &[Label<'_>], value: u64) {
        self.add(metric, labels, value as f64);
    }
}

impl Collector {
    /// Everything at one moment.
    pub(super) fn points(
        &mut self,
        world: &World,
        seen: &Seen,
        stores: &Stores,
        now: Timestamp,
    ) -> Vec<Point> {
        if !self.is_described {
            self.is_described = true;
            for (metric, kind, help) in names::ABOUT {
                stores.metrics.describe(metric, |it| {
                    (*kind).clone_into(&mut it.kind);
                    (*help).clone_into(&mut it.help);
                });
            }
        }
        let at_ms = now.as_signed_millis();
        let mut sheet = Sheet { at_ms, points: Vec::new() };
        data_plane(&mut sheet, seen);
        unasked(&mut sheet, world, seen);
        for (name, application) in &world.applications {
            if application.desired == Desired::Stopped {
                continue;
            }
            for (service, state) in application.services.iter().filter(|it| !it.1.removed) {
                instances(&mut sheet, name, service.as_str(), state);
            }
        }
        platform(&mut sheet, world, seen, stores);
        self.end_missing(&mut sheet);
        sheet.points
    }

    /// Ends the series of data planes that were replaced: the next control process does not know what they had counted. All
    /// others go on in a moment.
    pub(super) fn ended(&mut self, now: Timestamp) -> Vec<Point> {
        let is_replaced = |it: &(String, String)| it.0 == DATA_PLANE;
        self.before.retain(|it| it.iter().any(is_replaced));
        let mut sheet = Sheet { at_ms: now.as_signed_millis(), points: Vec::new() };
        self.end_missing(&mut sheet);
        sheet.points
    }

    /// Ends the series that were there the last time and are not now.
    fn end_missing(&mut self, sheet: &mut Sheet) {
        let mut now: Vec<_> = sheet.points.iter().map(|it| it.labels.clone()).collect();
        now.sort_unstable();
        for labels in std::mem::take(&mut self.before) {
            if now.binary_search(&labels).is_err() {
                let value = telemetry::metrics::STALE;
                sheet.points.push(Point { labels, at_ms: sheet.at_ms, value });
            }
        }
        self.before = now;
    }
}

fn data_plane(sheet: &mut Sheet, seen: &Seen) {
    sheet.count(names::DATA_PLANE_UP, &[], u64::from(seen.is_connected));
    if !seen.is_connected {
        return;
    }
    sheet.count(names::CLIENT_CONNECTIONS, &[], seen.client_connections.into());
    sheet.count(names::UPSTREAM_CONNECTIONS, &[], seen.upstream_connections.into());
    sheet.count(names::SPANS_DROPPED, &[], seen.spans_dropped);
    for signals in seen.edges.values() {
        let caller = names::caller(&signals.edge.caller);
        let labels = labels(&signals.edge, &caller);
        counted(sheet, &labels, signals);
        standing(sheet, &labels, signals);
    }
    // A series of its own, since both count from zero: one sum of the two would fall when a data plane is replaced.
    for signals in seen.replaced.sums().values() {
        let caller = names::caller(&signals.edge.caller);
        let labels = labels(&signals.edge, &caller);
        let labels = with(&labels, DATA_PLANE, "replaced");
        counted(sheet, &labels, signals);
        let in_flight = seen.replaced.in_flight(&signals.edge);
        sheet.count(names::IN_FLIGHT, &labels, in_flight.into());
    }
}

/// Releases that can be asked and have not been yet: their counters begin at 0, so that what comes first is seen as a rise.
fn unasked(sheet: &mut Sheet, world: &World, seen: &Seen) {
    if !seen.is_connected {
        return;
    }
    let table = Table::of(world);
    let calls = table.edges.values().map(|it| EdgeName {
        application: it.application.clone(),
        caller: Caller::Service(it.caller.clone()),
        callee: it.callee.clone(),
    });
    let routes = table.routes.iter().flat_map(|(application, routes)| {
        routes.iter().filter_map(|route| {
            let (application, callee) = (application.clone(), route.service()?.clone());
            Some(EdgeName { application, caller: Caller::Route(route_key(route)), callee })
        })
    });
    for name in calls.chain(routes).collect::<BTreeSet<_>>() {
        let backend = table.backends.get(&backend_key(&name.application, &name.callee));
        let there = backend.iter().flat_map(|it| &it.endpoints).map(|it| it.release);
        let asked = seen.edges.get(&name).map(|it| it.releases.as_slice()).unwrap_or_default();
        let is_unasked =
            |release: &ReleaseNumber| !asked.iter().any(|it| it.release == Some(*release));
        let caller = names::caller(&name.caller);
        let labels = labels(&name, &caller);
        for release in there.filter(is_unasked).collect::<BTreeSet<_>>() {
            let number = release.to_string();
            let labels = with(&labels, "release", &number);
            for (outcome, count) in outcomes(&Outcomes::default()) {
                sheet.count(names::REQUESTS, &with(&labels, "outcome", outcome), count);
            }
        }
    }
}

fn labels<'a>(name: &'a EdgeName, caller: &'a str) -> [Label<'a>; 3] {
    [
        ("application", name.application.as_str()),
        ("caller", caller),
        ("callee", name.callee.as_str()),
    ]
}

/// What crossed an edge.
fn counted(sheet: &mut Sheet, labels: &[Label<'_>], signals: &EdgeSignals) {
    for (reason, count) in &signals.refused {
        sheet.count(names::REFUSED, &with(labels, "reason", reason), *count);
    }
    sheet.count(names::QUEUED, labels, signals.queued);
    for it in &signals.releases {
        release(sheet, labels, it);
    }
}

/// How an edge is.
fn standing(sheet: &mut Sheet, labels: &[Label<'_>], signals: &EdgeSignals) {
    sheet.count(names::IN_FLIGHT, labels, signals.in_flight.into());
    if let Some(limit) = signals.limit {
        sheet.count(names::LIMIT, labels, limit.into());
    }
    sheet.count(names::EDGE_OPEN, labels, signals.open.into());
    for it in &signals.instances {
        let instance = it.instance.to_string();
        sheet.count(names::EJECTED, &with(labels, "instance", &instance), it.ejected.into());
    }
}

fn with<'a>(labels: &[Label<'a>], name: &'static str, value: &'a str) -> Vec<Label<'a>> {
    labels.iter().copied().chain([(name, value)]).collect()
}

fn release(sheet: &mut Sheet, labels: &[Label<'_>], signals: &ReleaseSignals) {
    // What reached no release was refused, and is counted there.
    let Some(number) = signals.release else { return };
    let number = number.to_string();
    let labels = with(labels, "release", &number);
    for (metric, all) in
        [(names::REQUESTS, &signals.outcomes), (names::FIRST_ATTEMPTS, &signals.first_attempts)]
    {
        for (outcome, count) in outcomes(all) {
            sheet.count(metric, &with(&labels, "outcome", outcome), count);
        }
    }
    sheet.count(names::RETRIES, &labels, signals.retries);
    sheet.count(names::HEDGES, &labels, signals.hedges);
    sheet.count(names::BODY_BYTES, &with(&labels, "direction", "in"), signals.bytes_in);
    sheet.count(names::BODY_BYTES, &with(&labels, "direction", "out"), signals.bytes_out);
    durations(sheet, &labels, &signals.latency);
}

const fn outcomes(all: &Outcomes) -> [(&'static str, u64); 6] {
    [
        ("ok", all.ok),
        ("client_error", all.client_error),
        ("server_error", all.server_error),
        ("failed", all.failed),
        ("timeout", all.timeout),
        ("cancelled", all.cancelled),
    ]
}

fn durations(sheet: &mut Sheet, labels: &[Label<'_>], latency: &Histogram) {
    let bucket = format!("{}_bucket", names::DURATION);
    for (bound, limit_us) in names::BOUNDS {
        sheet.count(&bucket, &with(labels, "le", bound), latency.count_up_to(limit_us));
    }
    sheet.count(&bucket, &with(labels, "le", "+Inf"), latency.count());
    sheet.count(&format!("{}_count", names::DURATION), labels, latency.count());
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a process's life")]
    let seconds = latency.sum() as f64 / 1e6;
    sheet.add(&format!("{}_sum", names::DURATION), labels, seconds);
}

fn instances(
    sheet: &mut Sheet,
    application: &ApplicationName,
    service: &str,
    state: &ServiceState,
) {
    let labels = [("application", application.as_str()), ("service", service)];
    let wanted: u32 = state.sides().map(|it| it.wanted()).sum();
    sheet.count(names::INSTANCES_WANTED, &labels, wanted.into());
    let ready = state.instances.values().filter(|it| it.ready).count();
    sheet.count(names::INSTANCES_READY, &labels, ready as u64);
    sheet.count(
        names::INSTANCES_CREATED,
        &labels,
        u64::from(state.next_instance.saturating_sub(1)),
    );
    let slots = state.groups.values().flat_map(|it| it.slots.values());
    sheet.count(names::FAILED_STARTS, &labels, slots.map(|it| u64::from(it.failures)).sum());
    for (number, instance) in &state.instances {
        let (id, release) = (format!("{service}.{number}"), instance.release.to_string());
        let labels = with(&with(&labels, "instance", &id), "release", &release);
        sheet.count(names::INSTANCE_READY, &labels, instance.ready.into());
        let Some(usage) = instance.process.and_then(process::usage) else { continue };
        sheet.add(names::INSTANCE_CPU, &labels, usage.cpu.as_secs_f64());
        sheet.count(names::INSTANCE_MEMORY, &labels, usage.resident_bytes);
        sheet.count(names::INSTANCE_PROCESSES, &labels, usage.processes.into());
    }
}

fn platform(sheet: &mut Sheet, world: &World, seen: &Seen, stores: &Stores) {
    sheet.count(names::INDEX, &[], world.index.0);
    let data_plane = seen.pid.and_then(|it| process::identify(it).ok().flatten());
    for (name, id) in [("control", process::this().ok()), ("data plane", data_plane)] {
        own_process(sheet, name, id);
    }
    let statistics = stores.metrics.statistics();
    sheet.count(names::STORE_SERIES, &[], statistics.series as u64);
    sheet.count(names::STORE_SAMPLES, &[], statistics.appended);
    let (traces, logs) = (stores.traces.stats(), stores.logs.status());
    sheet.count(names::STORE_BYTES, &[("signal", "metrics")], statistics.disk_bytes());
    sheet.count(names::STORE_BYTES, &[("signal", "traces")], traces.disk_bytes());
    sheet.count(names::STORE_BYTES, &[("signal", "logs")], logs.disk_bytes());
    sheet.count(names::SPANS, &[("outcome", "accepted")], traces.appended.accepted);
    sheet.count(names::SPANS, &[("outcome", "refused")], traces.appended.refused);
    sheet.count(names::SPANS, &[("outcome", "left_out")], traces.decided.left_out);
    for it in &logs.services {
        let labels = [("application", it.application.as_str()), ("service", it.service.as_str())];
        sheet.count(names::LOG_RECORDS, &with(&labels, "outcome", "accepted"), it.tally.accepted);
        for (refusal, count) in &it.tally.refused {
            sheet.count(
                names::LOG_RECORDS,
                &with(&labels, "outcome", &refusal.to_string()),
                *count,
            );
        }
    }
    for (origin, refusal, count) in &statistics.refused {
        let labels = [("origin", origin.as_str()), ("reason", refusal.as_str())];
        sheet.count(names::STORE_REFUSED, &labels, *count);
    }
}

fn own_process(sheet: &mut Sheet, name: &str, id: Option<ProcessId>) {
    // Its children are instances, or processes of their own: only itself counts.
    let Some(id) = id else { return };
    let labels = [("process", name)];
    if let Some(cpu) = process::cpu(id) {
        sheet.add(names::PROCESS_CPU, &labels, cpu.as_secs_f64());
    }
    if let Some(bytes) = process::resident_bytes(id.pid) {
        sheet.count(names::PROCESS_MEMORY, &labels, bytes);
    }
}
