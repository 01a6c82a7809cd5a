//! Synthetic users: an open load on real sockets, measured from when each request was meant to be sent.
//!
//! A closed load, where each user waits for an answer before the next request, sends less just when
//! the target is slow, and so hides what everybody else would have waited (coordinated omission; Tene,
//! "How NOT to Measure Latency", 2013). Here the moments of sending are decided beforehand: a request
//! that is sent late, because every connection is taken or because this process had no time, counts
//! its latency from its intended moment all the same. What the load could not do itself is reported
//! apart, never smoothed over.

mod recorder;
mod report;
mod workers;

use std::pin::pin;
use std::time::Duration;

use behaviour::{Arrivals, Mix};
use bytes::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Uri};
use model::{Instant, Rng};

pub use report::{Error, Late, Latency, Report, Second};

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::origin::{Origin, UrlError};
use recorder::{Phase, Recorder};
use report::{End, Span};
use workers::{Job, Prepared, Workers};

/// A load to send.
#[derive(Clone, Debug)]
pub struct Load {
    /// What is requested, at least one.
    pub targets: Vec<Target>,
    /// When.
    pub arrivals: Arrivals,
    /// Connections to each address, at most. Requests beyond wait for one, and the wait counts.
    pub connections_max: usize,
    /// Time from its intended moment after which a request is given up.
    pub timeout: Duration,
    /// Time from the beginning whose requests are sent and not counted.
    pub warmup: Duration,
    /// What the choice among targets follows from.
    pub seed: u64,
}

/// Connections to one address if nobody says otherwise: below the 1024 file descriptors that a process
/// may have open on most systems.
pub const CONNECTIONS_DEFAULT: usize = 512;

/// Time after which a request is given up if nobody says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// A request that is sent again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it goes: `http://shop.localhost:8080/api/orders`.
    pub url: String,
    /// Its method.
    pub method: String,
    /// Its headers, names and values. `Host` is set if it is not among them.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How often it is chosen, relative to the others.
    pub weight: u32,
}

impl Target {
    /// GET `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            weight: 1,
        }
    }
}

/// Why a load cannot be sent at all. A target that does not answer is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is nothing to request.
    #[error("a load needs at least one target")]
    NoTarget,
    /// A target's URL cannot be called.
    #[error("the target cannot be called")]
    Url(#[from] UrlError),
    /// A method is none.
    #[error("`{0}` is not a method; write for example `GET` or `POST`")]
    Method(String),
    /// A header is none.
    #[error("`{0}` is not a header, or its value is none")]
    Header(String),
    /// The thread that measures waits did not start.
    #[error("the timer thread cannot be started")]
    Alarm(#[source] std::io::Error),
}

/// Requests sent between two looks at the sockets, when many are due: what is sent in about a
/// millisecond.
const BATCH: usize = 64;

/// Sends `load` and reports how it went. `progress` is told each second as it ends. On `shutdown` it
/// stops at once and reports what it has.
pub async fn load(
    load: Load,
    clock: Clock,
    mut progress: impl FnMut(&Second),
    shutdown: impl Future<Output = ()>,
) -> Result<Report, LoadError> {
    let Load { targets, arrivals, connections_max, timeout, warmup, seed } = load;
    let (prepared, addresses) = prepare(&targets).await?;
    let mix = Mix::new(targets.iter().map(|it| it.weight));
    let alarm = Alarm::start(Clock::clone(&clock)).map_err(LoadError::Alarm)?;
    let started = clock();
    let duration = arrivals.profile().duration();
    let mut run = Run {
        started,
        measured_from: started.after(warmup),
        ends: started.after(duration),
        rng: Rng::new(seed).child("targets"),
        arrivals: arrivals.peekable(),
        mix,
        workers: Workers::new(workers::Settings {
            clock: Clock::clone(&clock),
            targets: prepared,
            addresses,
            connections_max: connections_max.max(1),
            timeout,
            recorder: Recorder::new(),
        }),
        clock,
        alarm,
        busy: Busy::new(started),
        seconds: 0,
    };
    let end = tokio::select! {
        () = run.send_all(&mut progress) => End::Complete,
        () = pin!(shutdown) => End::Interrupted,
    };
    Ok(run.finish(end, &mut progress))
}

async fn prepare(
    targets: &[Target],
) -> Result<(Vec<Prepared>, Vec<std::net::SocketAddr>), LoadError> {
    if targets.is_empty() {
        return Err(LoadError::NoTarget);
    }
    let mut addresses = Vec::new();
    let mut prepared = Vec::with_capacity(targets.len());
    for target in targets {
        let origin = Origin::resolve(&target.url).await?;
        let place = addresses.iter().position(|it| *it == origin.address).unwrap_or_else(|| {
            addresses.push(origin.address);
            addresses.len() - 1
        });
        prepared.push(Prepared { address: place, request: request(target, &origin)? });
    }
    Ok((prepared, addresses))
}

fn request(target: &Target, origin: &Origin) -> Result<Request<Bytes>, LoadError> {
    let method = Method::from_bytes(target.method.as_bytes())
        .map_err(|_| LoadError::Method(target.method.clone()))?;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, origin.host.clone());
    for (name, value) in &target.headers {
        let not = || LoadError::Header(format!("{name}: {value}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| not())?;
        let value = HeaderValue::from_str(value).map_err(|_| not())?;
        if name == HOST {
            headers.insert(name, value);
        } else {
            headers.append(name, value);
        }
    }
    let mut request = Request::new(Bytes::from(target.body.clone()));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(origin.path.clone());
    *request.headers_mut() = headers;
    Ok(request)
}

/// A load that is being sent.
struct Run {
    clock: Clock,
    alarm: Alarm,
    started: Instant,
    measured_from: Instant,
    ends: Instant,
    arrivals: std::iter::Peekable<Arrivals>,
    mix: Mix,
    rng: Rng,
    workers: Workers,
    busy: Busy,
    /// Seconds that have ended.
    seconds: u32,
}

/// How busy the threads of the runtime are.
struct Busy {
    busy: Duration,
    at: Instant,
}

impl Busy {
    fn new(at: Instant) -> Self {
        Self { busy: Self::total(), at }
    }

    fn total() -> Duration {
        let metrics = tokio::runtime::Handle::current().metrics();
        (0..metrics.num_workers()).map(|it| metrics.worker_total_busy_duration(it)).sum()
    }

    /// In percent, since it was last asked.
    fn since_last(&mut self, now: Instant) -> u8 {
        let before = std::mem::replace(self, Self::new(now));
        let threads = tokio::runtime::Handle::current().metrics().num_workers() as u128;
        let whole = now.since(before.at).as_micros() * threads;
        let busy = self.busy.saturating_sub(before.busy).as_micros();
        (busy * 100).checked_div(whole).map_or(0, |it| u8::try_from(it.min(100)).unwrap_or(100))
    }
}

impl Run {
    /// Sends everything and waits for the answers. Cut short it can still be finished.
    async fn send_all(&mut self, progress: &mut impl FnMut(&Second)) {
        loop {
            let now = (self.clock)();
            self.end_seconds(now, progress);
            let next = self.arrivals.peek().map(|it| self.started.after(*it));
            match next {
                Some(due) if due <= now => {
                    self.send_due(now);
                    tokio::task::yield_now().await;
                }
                Some(due) => self.alarm.wait_until(due.min(self.second_ends())).await,
                None if now < self.ends => {
                    self.alarm.wait_until(self.ends.min(self.second_ends())).await;
                }
                None => {
                    let second_ends = self.second_ends();
                    tokio::select! {
                        () = self.workers.idle() => return,
                        () = self.alarm.wait_until(second_ends) => {}
                    }
                }
            }
        }
    }

    fn send_due(&mut self, now: Instant) {
        for _ in 0..BATCH {
            let started = self.started;
            let Some(offset) = self.arrivals.next_if(|it| started.after(*it) <= now) else {
                return;
            };
            let intended = started.after(offset);
            let target = self.mix.draw(&mut self.rng);
            let counted = self.measured_from <= intended;
            let phase = if counted { Phase::Measured } else { Phase::WarmUp };
            self.workers.send(Job { intended, handed: (self.clock)(), target, phase });
        }
    }

    fn second_ends(&self) -> Instant {
        self.started.after(Duration::from_secs(u64::from(self.seconds) + 1))
    }

    fn end_seconds(&mut self, now: Instant, progress: &mut impl FnMut(&Second)) {
        while self.second_ends() <= now {
            let busy_percent = self.busy.since_last(now);
            progress(&self.workers.end_second(self.seconds, busy_percent));
            self.seconds += 1;
        }
    }

    fn finish(mut self, end: End, progress: &mut impl FnMut(&Second)) -> Report {
        let now = (self.clock)();
        self.end_seconds(now, progress);
        let second_began = self.started.after(Duration::from_secs(u64::from(self.seconds)));
        if second_began < now {
            // Too short to say how busy it was.
            progress(&self.workers.end_second(self.seconds, 0));
        }
        let offered_until = now.min(self.ends);
        self.workers.finish(Span {
            end,
            offered: offered_until.since(self.measured_from),
            whole: now.since(self.measured_from),
        })
    }
}
