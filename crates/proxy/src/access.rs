//! The access log: what came in at the gateway and how it was answered, a JSON object a line.
//!
//! Every request has a [`Record`], from its head to its end, whatever that is: the record is written when
//! it is dropped, so that there is no way out of a request that is not logged. It travels with whatever the
//! request has become: the client's connection, then the crossing, then the body on its way.
//!
//! A worker never waits for the disk: it hands lines to one thread ([`writer`]), and what that has no room
//! for is dropped and counted. The query of a target is left out: it may hold secrets. Calls in the mesh are
//! not logged, there are spans of them.

pub(crate) mod writer;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use model::units::Share;
use model::{ApplicationName, InstanceId, Instant, ReleaseNumber, ServiceName, Timestamp};
use serde::{Serialize, Serializer};
use telemetry::Limit;

use crate::answer::{Answer, Fault};
use crate::core::Core;
use crate::crossing::{Asked, End};
use crate::limits::SLOW;
use crate::router::Entry;
use crate::trace::hex_text;
use crate::upstream::Upstream;

/// Bytes of a host, a path and a user agent that are logged: what is longer is mostly an attack, and the
/// lines that wait in memory are to be bounded.
const HOST_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 2 << 10;
const AGENT_BYTES_MAX: usize = 256;

/// A worker's way to the log.
#[derive(Clone, Debug)]
pub(crate) struct Logger {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    sample: Share,
}

impl Logger {
    /// Hands a line over, if there is room.
    fn log(&self, line: Vec<u8>) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How a client speaks to the gateway.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) core: &'a Rc<Core>,
    pub(crate) client: IpAddr,
    pub(crate) protocol: &'static str,
    pub(crate) is_tls: bool,
}

/// What will be logged of a request when it has ended.
#[derive(Debug)]
pub(crate) struct Record {
    core: Rc<Core>,
    began: Instant,
    client: IpAddr,
    protocol: &'static str,
    is_tls: bool,
    asked: Option<Question>,
    route: Option<Rc<Entry>>,
    status: Option<u16>,
    reason: Option<String>,
    fault: Option<Fault>,
    limit: Option<Limit>,
    trace: Option<u128>,
    crossed: Option<Crossed>,
    own_bytes: u64,
}

#[derive(Debug)]
struct Question {
    method: String,
    host: String,
    path: String,
    user_agent: Option<String>,
}

/// What became of a request that crossed an edge.
#[derive(Debug)]
pub(crate) struct Crossed {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// The instance that answered, or was tried last.
    pub(crate) last: Option<Rc<Upstream>>,
    pub(crate) attempts: u8,
    pub(crate) trace: u128,
}

impl Record {
    /// The record of a request that begins now; nothing if there is no log.
    pub(crate) fn begin(visit: &Visit<'_>, host: &str, asked: &impl Asked) -> Option<Box<Self>> {
        let mut record = Self::unread(visit)?;
        let agent = asked.header("user-agent").map(String::from_utf8_lossy);
        record.asked = Some(Question {
            method: asked.method().to_owned(),
            host: beginning(host, HOST_BYTES_MAX),
            path: beginning(asked.path(), PATH_BYTES_MAX),
            user_agent: agent.map(|it| beginning(&it, AGENT_BYTES_MAX)),
        });
        Some(record)
    }

    /// The record of what could not be read as a request.
    pub(crate) fn unread(visit: &Visit<'_>) -> Option<Box<Self>> {
        visit.core.front.access_log.as_ref()?;
        Some(Box::new(Self {
            core: Rc::clone(visit.core),
            began: visit.core.now(),
            client: visit.client,
            protocol: visit.protocol,
            is_tls: visit.is_tls,
            asked: None,
            route: None,
            status: None,
            reason: None,
            fault: None,
            limit: None,
            trace: None,
            crossed: None,
            own_bytes: 0,
        }))
    }

    /// The request takes this route.
    pub(crate) fn routed(&mut self, route: &Rc<Entry>) {
        self.route = Some(Rc::clone(route));
    }

    /// The gateway answers itself, with a body of so many bytes.
    pub(crate) fn own(&mut self, status: u16, reason: &str, bytes: usize) {
        self.status = Some(status);
        self.reason = Some(reason.to_owned());
        self.own_bytes = bytes as u64;
    }

    /// The same, in an instance's place: the client is told the id of its trace.
    pub(crate) fn refused(&mut self, answer: &Answer, trace: u128, bytes: usize) {
        self.own(answer.status, answer.reason, bytes);
        self.fault = Some(answer.fault);
        self.limit = answer.limit.as_deref().cloned();
        self.trace = Some(trace);
    }

    /// An edge was crossed, or it was tried. An answer of the gateway's own says more than the crossing.
    pub(crate) fn crossed(&mut self, crossed: Crossed, end: &End<'_>) {
        self.crossed = Some(crossed);
        if self.status.is_none() {
            self.status = end.status;
            self.reason = end.error.map(str::to_owned);
            self.limit = end.limit.cloned();
        }
    }

    /// Whether it is logged whatever the sample is.
    fn is_notable(&self, duration: Duration) -> bool {
        self.reason.is_some() || self.status.is_none_or(|it| 500 <= it) || SLOW <= duration
    }

    fn line(&self, duration: Duration) -> Option<Vec<u8>> {
        let now = self.core.clock.timestamp().as_millis();
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let asked = self.asked.as_ref();
        let route = self.route.as_ref();
        let crossed = self.crossed.as_ref();
        let last = crossed.and_then(|it| it.last.as_deref());
        let line = Line {
            time: Timestamp::from_millis(now.saturating_sub(millis)).to_string(),
            client: self.client,
            method: asked.map(|it| it.method.as_str()),
            host: asked.map(|it| it.host.as_str()),
            path: asked.map(|it| it.path.as_str()),
            status: self.status,
            duration,
            bytes_in: crossed.map_or(0, |it| it.bytes_in),
            bytes_out: crossed.map_or(0, |it| it.bytes_out) + self.own_bytes,
            application: route.map(|it| it.application()),
            route: route.map(|it| it.label()),
            service: route.and_then(|it| it.route.service()),
            release: last.map(|it| it.release),
            instance: last.map(|it| &it.instance),
            attempts: crossed.map_or(0, |it| it.attempts),
            trace: self.trace.or(crossed.map(|it| it.trace)).map(|it| hex_text(it, 32)),
            protocol: self.protocol,
            tls: self.is_tls,
            reason: self.reason.as_deref(),
            fault: self.fault.map(Fault::word),
            limit: self.limit.as_ref().map(|it| it.name.as_str()),
            limit_value: self.limit.as_ref().map(|it| it.value.as_str()),
            limit_key: self.limit.as_ref().and_then(|it| it.key.as_deref()),
            hop: self.limit.as_ref().map(|it| it.hop.as_str()),
            user_agent: asked.and_then(|it| it.user_agent.as_deref()),
        };
        let mut out = serde_json::to_vec(&line).ok()?;
        out.push(b'\n');
        Some(out)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(logger) = &self.core.front.access_log else { return };
        let duration = self.core.clock.now().since(self.began);
        if self.status.is_none() && self.reason.is_none() {
            // An end that nobody told of is that of a client who did not wait for one.
            self.reason = Some("client-gone".to_owned());
        }
        let is_sampled = || self.core.rng.borrow_mut().happens(logger.sample.as_fraction());
        if (logger.sample == Share::ALL || self.is_notable(duration) || is_sampled())
            && let Some(line) = self.line(duration)
        {
            logger.log(line);
        }
    }
}

/// One line. What is not known is left out.
#[derive(Serialize)]
struct Line<'a> {
    /// When it began, as RFC 3339 writes it.
    time: String,
    client: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    duration: Duration,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'a ApplicationName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a ServiceName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a InstanceId>,
    attempts: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    protocol: &'static str,
    tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hop: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

/// Milliseconds, with microseconds behind the point.
fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    serializer.serialize_f64(f64::from(micros) / 1e3)
}

/// The beginning of a text, at most so many bytes of it.
fn beginning(text: &str, bytes_max: usize) -> String {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests;
