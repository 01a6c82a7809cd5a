//! One request and its answer.
//!
//! The head phase sends the request to one instance, to another if that fails and trying again is safe, to
//! two at once if the policy hedges, until the head of an answer is there. Then the answer is relayed
//! (`relay`). Meanwhile the rest of the request's body goes on being sent, and a client that goes away
//! ends it all.

use std::rc::Rc;
use std::time::Duration;

use model::Instant;
use model::route::RouteTarget;
use model::service::Protocol;
use traffic::{DeadlineBy, Outcome, Refusal};

use super::attempts::Answered;
use super::body::Body;
use super::client::{Client, Entry, Work};
use super::head::Framing;
use super::incoming::Gathered;
use super::request::{Method, RequestHead};
use super::write::{self, Connection, IsHead};
use super::{bridge, relay};
use crate::access::Record;
use crate::answer::{Answer, Sent, Wording};
use crate::bounds::{Kind, UploadBounds, Uploaded};
use crate::buffer::{Buffer, SMALL_BYTES};
use crate::connected::Connected;
use crate::crossing::{Asked, Crossing, End, Facts, hash_of};
use crate::edge::Edge;
use crate::gateway;
use crate::h2::grpc;
use crate::refused::Refused;
use crate::router::Entry as Route;
use crate::time_left::TimeLeft;
use crate::trace::TraceContext;

/// What becomes of the client's connection.
pub(crate) enum After {
    /// It goes on with the next request.
    Keep,
    /// It is closed.
    Close,
    /// It is reset: the client was told that the answer ends with the connection, and it has no end.
    Reset,
    /// It is closed after an answer, while the client may still be sending.
    Linger,
    /// It turns out to speak HTTP/2.
    Http2,
    /// It becomes a tunnel to this instance, which has said so much already.
    Tunnel(Box<Tunnelled>, Buffer),
}

/// The instance's end of a tunnel, with the request that made it: it is in flight as long as the tunnel.
pub(crate) struct Tunnelled {
    pub(crate) connected: Connected,
    pub(crate) crossing: Option<Crossing>,
    pub(crate) status: u16,
}

/// A request on its way, and everything that belongs to it.
pub(crate) struct Exchange<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) work: &'a mut Work,
    pub(crate) edge: Rc<Edge>,
    pub(crate) route: Option<Rc<Route>>,
    pub(crate) body: Body,
    /// Up to where the client's buffer holds this request's body.
    pub(crate) checked: usize,
    /// Whether all that has come of the body is still in the buffer.
    pub(crate) is_whole: bool,
    /// Whether the part of the buffer behind the head was sent and begins anew.
    pub(crate) made_room: bool,
    /// What the body is allowed.
    pub(crate) bounds: UploadBounds,
    /// When the head was there.
    pub(crate) began: Instant,
    /// A second reader of the body, for those who want it without its frame.
    pub(super) unframed: Body,
    /// When a byte of the body came last.
    pub(crate) moved_at: Instant,
    /// Whether an instance may have seen the request.
    pub(crate) sent: Sent,
    /// When the client ended its half of the connection, or took something of the answer after that.
    pub(crate) half_closed_at: Option<Instant>,
}

/// A head as the parts that do not speak HTTP/1.1 see it.
pub(crate) struct View<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) head: &'a RequestHead,
}

impl Asked for View<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.find(self.input, name)
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.head.cookie(self.input, name)
    }

    fn method(&self) -> &str {
        text(self.input, &self.head.method_name)
    }

    fn path(&self) -> &str {
        let target = text(self.input, &self.head.target);
        let path = target.split('?').next().unwrap_or_default();
        if path.is_empty() { "/" } else { path }
    }
}

pub(crate) fn text<'a>(input: &'a [u8], span: &super::head::Span) -> &'a str {
    let bytes = input.get(span.clone()).unwrap_or_default();
    str::from_utf8(bytes).unwrap_or_default()
}

impl Work {
    pub(crate) fn view(&self) -> View<'_> {
        View { input: self.input.filled(), head: &self.head }
    }

    fn host(&self) -> &str {
        self.head.host.as_ref().map_or("", |it| text(self.input.filled(), it))
    }
}

/// Where a request goes.
enum Way {
    Across(Rc<Edge>, Option<Rc<Route>>),
    /// Nowhere: this is the answer.
    Answered(After),
}

/// Serves the request whose head is in `work`. Afterwards the client's buffer begins with the next.
pub(crate) async fn run(client: &mut Client, work: &mut Work) -> After {
    let way = match &client.entry {
        Entry::Mesh(edge) => Way::Across(Rc::clone(edge), None),
        Entry::Gateway(_) => route(client, work).await,
    };
    let (edge, route) = match way {
        Way::Across(edge, route) => (edge, route),
        Way::Answered(after) => return after,
    };
    let bounds = edge.upload_bounds(route.as_deref(), Kind::Message);
    let checked = work.head.length;
    let body = Body::new(work.head.framing.get());
    let unframed = body.clone();
    let began = client.core.now();
    let mut exchange = Exchange {
        client,
        work,
        edge,
        route,
        body,
        checked,
        is_whole: true,
        made_room: false,
        bounds,
        began,
        unframed,
        moved_at: began,
        sent: Sent::No,
        half_closed_at: None,
    };
    exchange.run().await
}

/// Finds the route of a request at the gateway, and answers where it leads to no service.
async fn route(client: &mut Client, work: &mut Work) -> Way {
    let view = work.view();
    let protocol = if work.head.is_http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let origin = client.origin(work);
    let visit = client.visit(protocol, origin);
    client.record = visit.and_then(|it| Record::begin(&it, work.host(), &view));
    let found = client.core.router().find(work.host().as_bytes(), &view);
    let entry = match found {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            let answer = Answer::no_route(work.host(), view.path());
            return Way::Answered(answer_early(client, work, &Early::of(&answer)).await);
        }
        Err(bad) => {
            let answer = Answer::malformed(400, &bad.to_string());
            return Way::Answered(answer_early(client, work, &Early::of(&answer)).await);
        }
    };
    if let Some(record) = &mut client.record {
        record.routed(&entry);
    }
    let target = work.head.target_in(view.input);
    let target = str::from_utf8(&target).unwrap_or_default();
    let own = gateway::own_answer(&entry, &view, work.host(), target);
    match own {
        None => {}
        Some(gateway::Own::Bare(status, headers)) => {
            work.out.clear();
            let ends = must_close(work);
            let connection = connection(work, ends);
            write::bare(&mut work.out, status, &headers, connection);
            client.note(&work.out, status, gateway::bare_reason(status));
            return Way::Answered(send_early(client, work, ends).await);
        }
        Some(gateway::Own::Page(answer, page)) => {
            let early = Early { page: page.as_deref(), ..Early::of(&answer) };
            return Way::Answered(answer_early(client, work, &early).await);
        }
    }
    if let Some(limiter) = &entry.limiter {
        let key = entry.route.rate_limit.as_ref().and_then(|it| it.key.as_ref());
        let key = key.and_then(|it| hash_of(it, &view, origin));
        let allowed = limiter.borrow_mut().allow(client.core.now(), key);
        if let Err(after) = allowed {
            if let Some(edge) = &entry.edge {
                edge.counters.borrow_mut().refused("rate-limited");
            }
            let answer = Answer::rate_limited(after, entry.rate_limit());
            let page = entry.route.error_page.as_deref();
            let early = Early { page, edge: entry.edge.as_deref(), ..Early::of(&answer) };
            return Way::Answered(answer_early(client, work, &early).await);
        }
    }
    match (entry.target(), &entry.edge) {
        (RouteTarget::Service(_), Some(edge)) => {
            if let Entry::Gateway(crosses) = &client.entry {
                crosses.set(edge);
            }
            Way::Across(Rc::clone(edge), Some(entry))
        }
        _ => Way::Answered(After::Close),
    }
}

/// An answer in an instance's place to a request that has not crossed an edge.
struct Early<'a> {
    answer: &'a Answer,
    page: Option<&'a str>,
    /// The edge it was refused at, if it came that far.
    edge: Option<&'a Edge>,
    /// Its part of a trace, if that is known.
    trace: Option<TraceContext>,
    /// When its head was there, if that was not now.
    began: Option<Instant>,
}

impl<'a> Early<'a> {
    const fn of(answer: &'a Answer) -> Self {
        Self { answer, page: None, edge: None, trace: None, began: None }
    }
}

/// Answers a request before any of its body was read on.
async fn answer_early(client: &mut Client, work: &mut Work, early: &Early<'_>) -> After {
    let answer = early.answer;
    let trace = early.trace.unwrap_or_else(|| client.trace(work));
    let ends = must_close(work);
    let mut out = std::mem::take(&mut work.out);
    out.clear();
    own(&mut out, work, &answer.told(client.audience(&trace), early.page), ends);
    let began = early.began.unwrap_or(client.core.now());
    let refused = Refused { trace, edge: early.edge.map(|it| &it.name), answer, began };
    client.refused(&refused, &work.view(), &out);
    work.out = out;
    send_early(client, work, ends).await
}

/// Writes an answer of our own, in the words that the caller understands.
fn own(out: &mut Vec<u8>, work: &Work, wording: &Wording<'_>, ends: Ends) {
    let connection = connection(work, ends);
    match grpc::kind_of(&work.view()) {
        Some(kind) => write::grpc_answer(out, wording, kind, connection),
        None => write::answer(out, wording, connection, is_head(work)),
    }
}

async fn send_early(client: &mut Client, work: &mut Work, ends: Ends) -> After {
    if client.write(&work.out).await.is_err() {
        return After::Close;
    }
    work.input.consume(work.head.length);
    match ends {
        Ends::No => After::Keep,
        Ends::Yes => After::Linger,
    }
}

/// Whether the connection ends with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Yes,
    No,
}

/// A body that is not read leaves nothing that could be understood after it.
fn must_close(work: &Work) -> Ends {
    let has_body = !matches!(work.head.framing.get(), Framing::None | Framing::Length(0));
    if has_body || !work.head.keep_alive { Ends::Yes } else { Ends::No }
}

/// What the client is told about the connection.
pub(crate) const fn connection(work: &Work, ends: Ends) -> Connection {
    match ends {
        Ends::Yes => Connection::Close,
        Ends::No if work.head.is_http10 => Connection::KeepAlive,
        Ends::No => Connection::Open,
    }
}

fn is_head(work: &Work) -> IsHead {
    if work.head.method == Method::Head { IsHead::Yes } else { IsHead::No }
}

impl Exchange<'_> {
    async fn run(&mut self) -> After {
        if self.edge.is_gone() {
            // Should it be declared again, that is another edge, and another connection's.
            self.work.head.keep_alive = false;
            return self.refuse(&Answer::no_edge(), None).await;
        }
        if let Err(answer) = self.check_body() {
            return self.refuse(&answer, None).await;
        }
        self.widen();
        match self.gather().await {
            Gathered::Enough => {}
            Gathered::Refused(answer) => return self.refuse(&answer, None).await,
            Gathered::Gone => return After::Close,
        }
        let facts = self.facts();
        let (core, edge) = (Rc::clone(&self.client.core), Rc::clone(&self.edge));
        let begun = Crossing::begin(&core, &edge, &self.work.view(), facts).await;
        let mut crossing = match begun {
            Ok(crossing) => crossing,
            Err(refusal) => return self.refuse(&self.refusal(&refusal), Some(facts.trace)).await,
        };
        crossing.record = self.client.record.take();
        match self.edge.protocol() {
            Protocol::Http | Protocol::Tcp => {}
            Protocol::Http2 | Protocol::Grpc => return bridge::run(self, crossing).await,
        }
        let answered = self.head_phase(&mut crossing).await;
        crossing.bytes_in = self.body.bytes;
        self.part_if_finishing();
        match answered {
            Answered::Head(attempt) => relay::run(self, crossing, attempt).await,
            Answered::Failed(answer, outcome) => self.fail(crossing, &answer, outcome).await,
            Answered::Rejected(answer) => self.fail(crossing, &answer, Outcome::ClientError).await,
            Answered::Gone => {
                self.end(crossing, Outcome::Cancelled, None, Some("client-gone"));
                After::Close
            }
        }
    }

    /// A head that fills most of its buffer leaves no room for a body behind it.
    fn widen(&mut self) {
        if self.body.is_done() || self.work.head.length <= SMALL_BYTES / 2 {
            return;
        }
        self.client.core.buffers.enlarge(&mut self.work.input);
    }

    /// The process may have begun to end since the request came: then its answer is the last here.
    pub(crate) fn part_if_finishing(&mut self) {
        self.work.head.keep_alive &= !self.client.core.is_finishing();
    }

    /// What is known of the request.
    pub(crate) fn facts(&self) -> Facts {
        let head = &self.work.head;
        let trace = self.client.trace(self.work);
        let mut rng = self.client.core.rng.borrow_mut();
        let told = head
            .timeout_ms
            .map(|it| TimeLeft { time: Duration::from_millis(it), by: head.timeout_by });
        let (time_left, deadline_by) = match self.edge.protocol() {
            // Nobody else is asked for gRPC's, so that nothing is looked for on the usual path.
            Protocol::Http | Protocol::Tcp => (told, DeadlineBy::Others),
            Protocol::Http2 | Protocol::Grpc => {
                grpc::time_left(&self.work.view(), told, self.client.side)
            }
        };
        let priority = match &self.route {
            Some(route) => route.route.priority,
            None => head.priority.unwrap_or_default(),
        };
        Facts {
            client: self.client.origin(self.work),
            idempotent: head.method.is_idempotent() && head.upgrade.is_none(),
            priority,
            time_left,
            deadline_by,
            trace: trace.sampled(&mut rng, &self.client.core.spans),
        }
    }

    pub(crate) fn refusal(&self, refusal: &Refusal) -> Answer {
        self.edge.refused(refusal, self.client.core.now())
    }

    /// Answers in an instance's place, before anything was decided.
    async fn refuse(&mut self, answer: &Answer, trace: Option<TraceContext>) -> After {
        let page = self.route.as_ref().and_then(|it| it.route.error_page.as_deref());
        let (edge, began) = (Some(&*self.edge), Some(self.began));
        let early = Early { answer, page, edge, trace, began };
        answer_early(self.client, self.work, &early).await
    }

    /// Answers in an instance's place, after attempts.
    pub(crate) async fn fail(
        &mut self,
        mut crossing: Crossing,
        answer: &Answer,
        outcome: Outcome,
    ) -> After {
        let page = self.route.as_ref().and_then(|it| it.route.error_page.clone());
        let ends =
            if self.body.is_done() && self.work.head.keep_alive { Ends::No } else { Ends::Yes };
        let wording = answer.told(self.client.audience(&crossing.trace), page.as_deref());
        let mut out = std::mem::take(&mut self.work.out);
        out.clear();
        own(&mut out, self.work, &wording, ends);
        self.work.out = out;
        if let Some(record) = &mut crossing.record {
            let bytes = write::body_length(&self.work.out);
            record.refused(answer, crossing.trace.trace, bytes);
        }
        crossing.finish(&self.work.view(), &End::own(answer, outcome));
        if self.client.write(&self.work.out).await.is_err() {
            return After::Close;
        }
        self.work.input.consume(self.checked);
        if ends == Ends::No { After::Keep } else { After::Linger }
    }

    /// The request's body comes too slowly.
    pub(crate) fn too_slow(&self) -> Answer {
        let Self { began, moved_at, .. } = *self;
        let met = self.bounds.met(Uploaded { began, moved_at, bytes: self.body.bytes });
        Answer::too_slow(met.at(self.edge.name.hop()))
    }

    /// The request is over.
    pub(crate) fn end(
        &self,
        crossing: Crossing,
        outcome: Outcome,
        status: Option<u16>,
        error: Option<&str>,
    ) {
        crossing.finish(&self.work.view(), &End::of(outcome, status, error));
    }
}
