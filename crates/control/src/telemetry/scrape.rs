//! Scraping what services expose.
//!
//! Every instance that is ready and whose service says where its metrics are is a target, from when it is
//! until it is not. A target is asked at a moment of its own within the interval, so that not all are asked at once, and
//! its samples are of exactly that moment, which makes regular series and those are kept in fewer bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::Clock;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::monitoring::{ExposedPort, Exposition};
use model::{ApplicationName, InstanceId, ReleaseNumber, Timestamp};
use telemetry::Stores;
use telemetry::board::TargetStatus;
use telemetry::metrics::exposition::Format;
use telemetry::metrics::scrape::Target;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use world::{Desired, Instance, World};

/// Bytes of an answer, at most: fifty thousand samples have about eight million.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The longest a scrape may take; the interval, if that is shorter.
const TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// Formats that are understood, the preferred one first.
const ACCEPT: &str =
    "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// How often it is looked whether a target is due.
const LOOK: Duration = Duration::from_millis(200);

type Key = (ApplicationName, InstanceId);

/// What the task needs.
#[derive(Debug)]
pub(super) struct Scraper {
    pub(super) stores: Arc<Stores>,
    pub(super) clock: Clock,
    pub(super) worlds: watch::Receiver<Arc<World>>,
}

/// A target between two scrapes. While it is scraped, `target` is with the task that does it.
#[derive(Debug)]
struct Scheduled {
    wanted: Wanted,
    target: Option<Target>,
    next_ms: u64,
    status: TargetStatus,
    is_gone: bool,
}

/// What a scrape brought back.
struct Done {
    key: Key,
    target: Target,
    status: TargetStatus,
}

impl Scraper {
    /// Runs until the last world was published.
    pub(super) async fn run(mut self) {
        let mut targets: BTreeMap<Key, Scheduled> = BTreeMap::new();
        let mut running: JoinSet<Done> = JoinSet::new();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        self.worlds.mark_changed();
        loop {
            tokio::select! {
                _at = ticks.tick() => self.begin_due(&mut targets, &mut running),
                Some(done) = running.join_next() => {
                    if let Ok(done) = done {
                        self.finish(&mut targets, done);
                    }
                }
                changed = self.worlds.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let world = Arc::clone(&self.worlds.borrow_and_update());
                    self.follow(&mut targets, &world);
                }
            }
        }
    }

    /// Takes up new targets, and ends those that are gone.
    fn follow(&self, targets: &mut BTreeMap<Key, Scheduled>, world: &World) {
        let now = self.clock.timestamp();
        let mut wanted = wanted(world);
        for (key, scheduled) in targets.iter_mut() {
            if wanted.get(key) == Some(&scheduled.wanted) {
                wanted.remove(key);
                scheduled.is_gone = false;
            } else {
                scheduled.is_gone = true;
            }
        }
        targets.retain(|key, scheduled| {
            if !scheduled.is_gone {
                return true;
            }
            // One that is being scraped ends when that is done.
            let Some(target) = &mut scheduled.target else { return true };
            self.end(key, target, now);
            false
        });
        for (key, wanted) in wanted {
            targets.entry(key.clone()).or_insert_with(|| Scheduled::new(&key, wanted, now));
        }
        self.publish(targets);
    }

    fn end(&self, (application, id): &Key, target: &mut Target, now: Timestamp) {
        if let Err(error) = target.end(&self.stores.metrics, now) {
            tracing::warn!(%application, %id, %error, "the end of a target cannot be kept");
        }
    }

    fn begin_due(&self, targets: &mut BTreeMap<Key, Scheduled>, running: &mut JoinSet<Done>) {
        if !self.stores.has_room() {
            return;
        }
        let now_ms = self.clock.timestamp().as_millis();
        for (key, scheduled) in targets.iter_mut() {
            let interval_ms = scheduled.interval_ms();
            // What is further ahead than an interval was said by a clock that has been set back since.
            if now_ms.saturating_add(interval_ms) < scheduled.next_ms {
                scheduled.next_ms = now_ms;
            }
            if now_ms < scheduled.next_ms {
                continue;
            }
            let at =
                Timestamp::from_millis(scheduled.next_ms.max(now_ms.saturating_sub(interval_ms)));
            scheduled.next_ms += interval_ms * (1 + (now_ms - scheduled.next_ms) / interval_ms);
            // One that still runs is late, and this moment is left out.
            let Some(target) = scheduled.target.take() else { continue };
            let scrape = Scrape {
                stores: Arc::clone(&self.stores),
                clock: self.clock,
                exposition: scheduled.wanted.exposition.clone(),
                port: scheduled.wanted.port,
                at,
            };
            running.spawn(scrape.run(key.clone(), target, scheduled.status.clone()));
        }
    }

    fn finish(&self, targets: &mut BTreeMap<Key, Scheduled>, done: Done) {
        let Done { key, mut target, status } = done;
        match targets.get_mut(&key) {
            Some(scheduled) if !scheduled.is_gone => {
                scheduled.target = Some(target);
                scheduled.status = status;
            }
            _ => {
                self.end(&key, &mut target, self.clock.timestamp());
                targets.remove(&key);
                // What took its place meanwhile is found again.
                let world = Arc::clone(&self.worlds.borrow());
                self.follow(targets, &world);
            }
        }
        self.publish(targets);
    }

    fn publish(&self, targets: &BTreeMap<Key, Scheduled>) {
        self.stores.board.set_targets(targets.values().map(|it| it.status.clone()).collect());
    }
}

/// Whose samples they are. All instances of a service are one origin, those that will be started among them: a service
/// that floods has one share of the series, however many instances it has.
fn origin((application, id): &Key) -> String {
    format!("scrape: {application}/{}", id.service)
}

/// How a target is asked, and what it runs. The port of an instance and its release do not change while it lives, but
/// its number comes again when a data folder is emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    exposition: Exposition,
    port: u16,
    release: ReleaseNumber,
}

/// Every target there should be.
fn wanted(world: &World) -> BTreeMap<Key, Wanted> {
    let mut wanted = BTreeMap::new();
    for (name, application) in &world.applications {
        if application.desired != Desired::Running {
            continue;
        }
        for (id, instance) in application.instances() {
            let service = application.services.get(&id.service);
            let release = service.and_then(|it| it.releases.get(&instance.release));
            let exposition = release.and_then(|it| it.service.metrics.clone());
            if let (Some(exposition), true) = (exposition, instance.ready) {
                let Some(port) = port(&exposition, instance) else { continue };
                let release = instance.release;
                wanted.insert((name.clone(), id), Wanted { exposition, port, release });
            }
        }
    }
    wanted
}

/// Where an instance's metrics are; nothing where it was told no port of the name, before there was one.
fn port(exposition: &Exposition, instance: &Instance) -> Option<u16> {
    match &exposition.port {
        None => Some(instance.port),
        Some(ExposedPort::Number(port)) => Some(*port),
        Some(ExposedPort::Name(name)) => instance.ports.get(name).copied(),
    }
}

impl Scheduled {
    fn new(key: &Key, wanted: Wanted, now: Timestamp) -> Self {
        let (application, id) = key;
        let Wanted { exposition, port, release } = &wanted;
        let labels = [
            ("job", id.service.to_string()),
            ("instance", id.to_string()),
            ("application", application.to_string()),
            ("service", id.service.to_string()),
            ("release", release.to_string()),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let interval_ms = millis(exposition.interval);
        // A moment of its own within the interval, the same whenever it is taken up.
        let spread = key
            .1
            .to_string()
            .bytes()
            .fold(u64::from(*port), |sum, it| sum.wrapping_mul(31).wrapping_add(u64::from(it)));
        let (now_ms, offset) = (now.as_millis(), spread % interval_ms.max(1));
        let first = now_ms - now_ms % interval_ms + offset;
        Self {
            target: Some(Target::new(origin(key), labels.clone())),
            next_ms: if first < now_ms { first + interval_ms } else { first },
            status: TargetStatus {
                application: application.to_string(),
                url: format!("http://127.0.0.1:{port}{}", exposition.path),
                labels,
                at: Timestamp::EPOCH,
                seconds: 0.0,
                samples: 0,
                error: None,
                interval: exposition.interval,
            },
            wanted,
            is_gone: false,
        }
    }

    fn interval_ms(&self) -> u64 {
        millis(self.wanted.exposition.interval)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// One scrape.
struct Scrape {
    stores: Arc<Stores>,
    clock: Clock,
    exposition: Exposition,
    port: u16,
    at: Timestamp,
}

impl Scrape {
    async fn run(self, key: Key, mut target: Target, mut status: TargetStatus) -> Done {
        let begun = self.clock.now();
        let timeout = self.exposition.interval.min(TIMEOUT_MAX);
        let asked = tokio::time::timeout(timeout, ask(self.port, &self.exposition.path, timeout));
        let answer =
            asked.await.unwrap_or_else(|_late| Err("it did not answer in time".to_owned()));
        let seconds = self.clock.now().since(begun).as_secs_f64();
        let (stores, at) = (Arc::clone(&self.stores), self.at);
        let taken = tokio::task::spawn_blocking(move || {
            let read = answer.as_ref().map_err(Clone::clone).and_then(|(body, format)| {
                let text = std::str::from_utf8(body);
                Ok((text.map_err(|_invalid| "the answer is not UTF-8".to_owned())?, *format))
            });
            let scraped = target.take(&stores.metrics, at, seconds, read);
            (target, scraped)
        });
        status.at = self.at;
        status.seconds = seconds;
        match taken.await {
            Ok((target, scraped)) => {
                match scraped {
                    Ok(scraped) => {
                        status.samples = scraped.samples;
                        status.error = scraped.error;
                    }
                    Err(error) => {
                        status.error = Some(format!("its samples cannot be kept: {error}"));
                    }
                }
                Done { key, target, status }
            }
            Err(error) => {
                // The target is lost with the task; a new one begins anew.
                status.error = Some(error.to_string());
                let target = Target::new(origin(&key), status.labels.clone());
                Done { key, target, status }
            }
        }
    }
}

/// Asks for metrics, and returns the answer and its format.
async fn ask(port: u16, path: &str, timeout: Duration) -> Result<(Bytes, Format), String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let stream = stream.map_err(|error| format!("it cannot be connected to: {error}"))?;
    let failed = |error: hyper::Error| format!("it did not answer as HTTP servers do: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends when the sender is dropped.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("accept", ACCEPT)
        .header("user-agent", concat!("pelago/", env!("CARGO_PKG_VERSION")))
        .header("x-prometheus-scrape-timeout-seconds", timeout.as_secs_f64().to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("{path} cannot be asked for: {error}"))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!("it answered with status {}", response.status().as_u16()));
    }
    let content_type = response.headers().get("content-type").and_then(|it| it.to_str().ok());
    let format = Format::of(content_type.unwrap_or_default());
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let limit = model::units::Bytes(ANSWER_BYTES_MAX as u64);
            return format!("its answer has more than {limit}; expose fewer series");
        }
        format!("its answer could not be read: {error}")
    })?;
    Ok((body.to_bytes(), format))
}
