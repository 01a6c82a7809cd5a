//! Simulated requests as the spans that the same requests would have made for real.
//!
//! An attempt is two spans, as the mesh and the service's own SDK would tell of it: a client's, as long as the caller
//! waited, and below it a server's, as long as the instance had it. An attempt that no instance got is the client's only.
//! Requests from outside are the gateway's.

use api::simulation::{TraceSpan, Traces};
use model::Timestamp;

/// The service that calls where somebody outside does, as the mesh calls it.
pub(super) const GATEWAY: &str = "gateway";
/// Nanoseconds of a millisecond.
const NANOS_PER_MS: u64 = 1_000_000;

/// Which side of a call tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// One span.
#[derive(Clone, Debug)]
pub(super) struct Exported<'a> {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) side: Side,
    /// Who tells.
    pub(super) service: &'a str,
    /// The instance that tells; none of the gateway.
    pub(super) instance: Option<String>,
    /// The zone of the instance that tells.
    pub(super) zone: Option<&'a str>,
    /// Who is at the other end.
    pub(super) remote: &'a str,
    /// What is called.
    pub(super) callee: &'a str,
    /// The instance that was called.
    pub(super) called: String,
    /// Who sent the request that this is for.
    pub(super) users: &'a str,
    /// Nanoseconds since 1970.
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    /// When a worker began with it, if it had to wait for one.
    pub(super) began_ns: Option<u64>,
    pub(super) outcome: &'a str,
}

impl Exported<'_> {
    /// What the outcome is called where it is an error.
    pub(super) fn error(&self) -> Option<&str> {
        (!is_good(self.outcome)).then_some(self.outcome)
    }

    /// What it is called: the callee, as simulated requests have no paths.
    pub(super) const fn name(&self) -> &str {
        self.callee
    }
}

fn is_good(outcome: &str) -> bool {
    matches!(outcome, "ok" | "success" | "client-error")
}

/// Whether it ended without an answer.
fn is_given_up(outcome: &str) -> bool {
    matches!(outcome, "attempt-timeout" | "timeout" | "cancelled" | "reset")
}

/// All spans of all traces, with ids that follow from the seed. A span of a place that does not exist is left out.
pub(super) fn spans(traces: &Traces, epoch: Timestamp) -> Vec<Exported<'_>> {
    let mut all = Vec::new();
    for (place, trace) in (0_u64..).zip(&traces.traces) {
        let ids = Ids { seed: traces.seed, trace: place };
        for (number, span) in (0_u64..).zip(&trace.spans) {
            let parent = span.parent.and_then(|it| Some((ids.of_place(it)?, trace.spans.get(it)?)));
            let attempt = Attempt { traces, span, parent, users: &trace.users, ids, number };
            all.extend(attempt.client(epoch));
            all.extend(attempt.server(epoch));
        }
    }
    all
}

/// Where ids come from.
#[derive(Clone, Copy)]
struct Ids {
    seed: u64,
    trace: u64,
}

impl Ids {
    fn trace(self) -> u128 {
        let high = mixed(self.seed, mixed(self.trace, 1));
        let low = mixed(self.seed, mixed(self.trace, 2));
        u128::from(high) << 64 | u128::from(low.max(1))
    }

    /// The id of a span: two for each attempt.
    fn span(self, number: u64, side: Side) -> u64 {
        let side = match side {
            Side::Client => 3,
            Side::Server => 4,
        };
        mixed(self.seed, mixed(self.trace, mixed(number, side))).max(1)
    }

    fn of_place(self, place: usize) -> Option<u64> {
        Some(self.span(u64::try_from(place).ok()?, Side::Server))
    }
}

/// Two numbers as one that looks like chance.
///
/// Source: the finalizer of `SplitMix64` (Steele, Lea, Flood 2014).
const fn mixed(a: u64, b: u64) -> u64 {
    let mut mixed = a.wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One attempt, with what is around it.
struct Attempt<'a> {
    traces: &'a Traces,
    span: &'a TraceSpan,
    /// The server's span it was made in, and what that was.
    parent: Option<(u64, &'a TraceSpan)>,
    users: &'a str,
    ids: Ids,
    number: u64,
}

impl<'a> Attempt<'a> {
    fn client(&self, epoch: Timestamp) -> Option<Exported<'a>> {
        let mut exported = self.common(Side::Client)?;
        exported.parent = self.parent.map(|it| it.0);
        exported.remote = exported.callee;
        match self.parent {
            None => exported.service = GATEWAY,
            Some((_, caller)) => {
                exported.service = self.traces.services.get(caller.service)?;
                exported.instance = Some(instance(exported.service, caller));
                exported.zone = self.traces.zones.get(caller.zone).map(String::as_str);
            }
        }
        exported.start_ns = real(epoch, self.span.sent_ns);
        exported.end_ns = real(epoch, self.span.ended_ns.max(self.span.sent_ns));
        Some(exported)
    }

    /// None if no instance got it: then nothing came after sending but its end.
    fn server(&self, epoch: Timestamp) -> Option<Exported<'a>> {
        let span = self.span;
        if span.answered_ns <= span.sent_ns && !is_good(&span.outcome) {
            return None;
        }
        let mut exported = self.common(Side::Server)?;
        exported.parent = Some(self.ids.span(self.number, Side::Client));
        exported.service = exported.callee;
        exported.instance = Some(exported.called.clone());
        exported.zone = self.traces.zones.get(span.zone).map(String::as_str);
        exported.remote = match self.parent {
            None => GATEWAY,
            Some((_, caller)) => self.traces.services.get(caller.service)?,
        };
        exported.start_ns = real(epoch, span.arrived_ns);
        // One that never answered had it until nobody waited for it any more.
        let is_answered = span.began_ns.max(span.arrived_ns) < span.answered_ns;
        let end_ns = if is_answered || !is_given_up(&span.outcome) {
            span.answered_ns
        } else {
            span.ended_ns
        };
        exported.end_ns = real(epoch, end_ns.max(span.arrived_ns));
        let waited = span.arrived_ns < span.began_ns && span.began_ns <= span.answered_ns;
        exported.began_ns = waited.then(|| real(epoch, span.began_ns));
        Some(exported)
    }

    fn common(&self, side: Side) -> Option<Exported<'a>> {
        let callee = self.traces.services.get(self.span.service)?;
        Some(Exported {
            trace: self.ids.trace(),
            id: self.ids.span(self.number, side),
            parent: None,
            side,
            service: callee,
            instance: None,
            zone: None,
            remote: callee,
            callee,
            called: instance(callee, self.span),
            users: self.users,
            start_ns: 0,
            end_ns: 0,
            began_ns: None,
            outcome: &self.span.outcome,
        })
    }
}

/// `cart.2`, as instances are called.
fn instance(service: &str, span: &TraceSpan) -> String {
    format!("{service}.{}", span.instance)
}

fn real(epoch: Timestamp, virtual_ns: u64) -> u64 {
    epoch.as_millis().saturating_mul(NANOS_PER_MS).saturating_add(virtual_ns)
}
