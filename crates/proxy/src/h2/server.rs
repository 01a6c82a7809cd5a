//! Requests over HTTP/2 from clients.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use ::h2::RecvStream;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use model::Instant;
use model::route::RouteTarget;
use model::service::Protocol;
use traffic::Outcome;

use crate::access::{Record, Visit};
use crate::answer::{Answer, Audience};
use crate::bounds::{Extent, Kind};
use crate::core::Core;
use crate::crossing::{Crossing, End, Facts, hash_of};
use crate::edge::Edge;
use crate::gateway::{self, Coding};
use crate::h1::client::Entry;
use crate::h1::head::{content_length, is_hop_by_hop, is_own};
use crate::h1::request::{Side, priority};
use crate::h1::response::{ResponseHead, is_bare};
use crate::h2::call::{Call, Forwarded, Got, Refused, host, kind_of};
use crate::h2::checks::{announced, expects_continue, refused, settle_length};
use crate::h2::fields;
use crate::h2::grpc;
use crate::h2::interim::Interim;
use crate::h2::onward::edit;
use crate::h2::outgoing::{Outgoing, Passed};
use crate::h2::own::{bare, body_length, own};
use crate::h2::source::Http2;
use crate::h2::upload::{KEPT_BYTES_MAX, Source, Upload};
use crate::refused::Refused as Refusal;
use crate::router::Entry as Route;
use crate::says::Version;
use crate::time_left::{TIMEOUT_BY, TIMEOUT_MS, TimeLeft, TimeoutBy};
use crate::trace::{Sent, TraceContext};

/// Answers the requests of one connection.
pub(crate) struct Handler {
    pub(super) core: Rc<Core>,
    pub(super) entry: Entry,
    pub(super) peer: SocketAddr,
    pub(super) side: Side,
    pub(super) scheme: &'static str,
}

/// The edge a request crosses, and the route that led there.
type Way = (Rc<Edge>, Option<Rc<Route>>);

/// The answer to a request that crosses no edge.
enum Stays {
    /// In an instance's place, on this route if it found one.
    Refused(Answer, Option<Rc<Route>>),
    /// Its route's own.
    Own(gateway::Own),
}

/// Where a request is refused.
#[derive(Clone, Copy, Default)]
struct At<'a> {
    /// The edge, if it came that far.
    edge: Option<&'a Edge>,
    /// The page that is shown there in place of a sentence.
    page: Option<&'a str>,
}

fn page_of(route: Option<&Route>) -> Option<&str> {
    route.and_then(|it| it.route.error_page.as_deref())
}

/// A request before it crosses an edge.
struct Asking {
    head: Rc<Parts>,
    record: Option<Box<Record>>,
    trace: TraceContext,
    began: Instant,
}

impl Handler {
    pub(super) async fn handle(
        &self,
        mut head: Parts,
        body: RecvStream,
        interim: &Rc<Interim>,
    ) -> Response<Outgoing> {
        self.core.tick();
        let settled = settle_length(&mut head.headers);
        let wrong = || Answer::malformed(400, "content-length is wrong");
        let (head, began) = (Rc::new(head), self.core.now());
        let (record, trace) = (self.record(&head), self.trace(&head));
        let mut asking = Asking { head: Rc::clone(&head), record, trace, began };
        if let Some(answer) =
            refused(&head, &self.core.front).or_else(|| settled.is_none().then(wrong))
        {
            return self.refuse(asking, &answer, self.entered());
        }
        let (edge, route) = match self.way(&head, &mut asking.record) {
            Ok(way) => way,
            Err(stays) => return self.stay(asking, *stays),
        };
        let at = At { edge: Some(&edge), page: page_of(route.as_deref()) };
        let is_call = grpc::is_grpc(&head.headers) && edge.protocol() == Protocol::Grpc;
        let kind = if is_call { Kind::Stream } else { Kind::Message };
        let bounds = edge.upload_bounds(route.as_deref(), kind);
        if announced(&head).is_some_and(|it| bounds.bytes_max < it) {
            let answer = Answer::too_large(bounds.bytes_max, edge.name.hop());
            return self.refuse(asking, &answer, at);
        }
        let upload = Upload::new(Source::Stream(body), bounds.bytes_max);
        // One that asks whether to send its body is told by the instance; or here, where the instance would not.
        let mut waits = expects_continue(&head.headers);
        let is_http2 = matches!(edge.protocol(), Protocol::Http2 | Protocol::Grpc);
        if waits && is_http2 && !upload.is_done() {
            interim.go_on();
            waits = false;
        }
        let is_small = announced(&head).is_some_and(|it| it < KEPT_BYTES_MAX as u64) && !waits;
        if route.is_some() && is_small && kind == Kind::Message {
            // A client that sends it slowly holds neither a place nor an instance.
            if let Err(answer) = upload.gather(&self.core, (bounds, began), &edge).await {
                return self.refuse(asking, &answer, at);
            }
        }
        let facts = self.facts(&asking, route.as_deref());
        let begun = Crossing::begin(&self.core, &edge, &*head, facts).await;
        let mut crossing = match begun {
            Ok(crossing) => crossing,
            Err(refusal) => {
                let answer = edge.refused(&refusal, self.core.now());
                return self.refuse(asking, &answer, at);
            }
        };
        crossing.record = asking.record;
        let forwarded = match self.entry {
            Entry::Mesh(_) => None,
            Entry::Gateway(_) => {
                let (peer, scheme, side) = (self.peer.ip(), self.scheme, self.side);
                Some(Forwarded { peer, scheme, side, version: Version::Http2 })
            }
        };
        let (core, interim) = (Rc::clone(&self.core), Rc::clone(interim));
        let call = Call { core, edge, route, head, upload, bounds, began, forwarded, interim };
        match call.run(&mut crossing).await {
            Ok((_, got)) => passed(&call, crossing, got),
            Err(refused) => refuse(&call, crossing, refused),
        }
    }

    /// Whom a request comes from: the peer, or whoever the proxies say that are trusted.
    fn origin(&self, head: &Parts) -> IpAddr {
        let peer = self.peer.ip();
        if self.side != Side::Proxied {
            return peer;
        }
        let lines = head.headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
        self.core.front.origin(peer, lines)
    }

    /// The answer in an instance's place to a request that crosses no edge.
    fn refuse(&self, asking: Asking, answer: &Answer, at: At<'_>) -> Response<Outgoing> {
        let Asking { head, mut record, trace, began } = asking;
        let audience = match &self.entry {
            Entry::Mesh(_) => Audience::Mesh,
            Entry::Gateway(_) => Audience::Outside(trace.trace),
        };
        let response = own(&head, &answer.told(audience, at.page));
        let edge = at.edge.map(|it| &it.name);
        Refusal { trace, edge, answer, began }.remember(&self.core, &*head);
        if let Some(record) = &mut record {
            record.refused(answer, trace.trace, body_length(&response));
        }
        response
    }

    /// The answer to a request that its route keeps here.
    fn stay(&self, mut asking: Asking, stays: Stays) -> Response<Outgoing> {
        match stays {
            Stays::Refused(answer, None) => self.refuse(asking, &answer, self.entered()),
            Stays::Refused(answer, Some(route)) => {
                let at = At { edge: route.edge.as_deref(), page: page_of(Some(&route)) };
                self.refuse(asking, &answer, at)
            }
            Stays::Own(gateway::Own::Page(answer, page)) => {
                self.refuse(asking, &answer, At { edge: None, page: page.as_deref() })
            }
            Stays::Own(gateway::Own::Bare(status, headers)) => {
                let response = bare(status, &headers);
                if let Some(record) = &mut asking.record {
                    record.own(status, gateway::bare_reason(status), body_length(&response));
                }
                response
            }
        }
    }

    /// Where a request is that has just come in.
    fn entered(&self) -> At<'_> {
        match &self.entry {
            Entry::Mesh(edge) => At { edge: Some(edge), page: None },
            Entry::Gateway(_) => At::default(),
        }
    }

    /// Where a request goes; else why it stays here.
    fn way(&self, head: &Rc<Parts>, record: &mut Option<Box<Record>>) -> Result<Way, Box<Stays>> {
        let refused = |answer: Answer| Box::new(Stays::Refused(answer, None));
        let route = match &self.entry {
            Entry::Mesh(edge) if edge.is_gone() => return Err(refused(Answer::no_edge())),
            Entry::Mesh(edge) => return Ok((Rc::clone(edge), None)),
            Entry::Gateway(_) => {
                let host = host(head);
                let found = self.core.router().find(host.as_bytes(), &**head);
                found
                    .map_err(|bad| refused(Answer::malformed(400, &bad.to_string())))?
                    .ok_or_else(|| refused(Answer::no_route(host, head.uri.path())))?
            }
        };
        if let Some(record) = record {
            record.routed(&route);
        }
        let target = head.uri.path_and_query().map_or("/", |it| it.as_str());
        if let Some(answer) = gateway::own_answer(&route, &**head, host(head), target) {
            return Err(Box::new(Stays::Own(answer)));
        }
        if let Some(limiter) = &route.limiter {
            let key = route.route.rate_limit.as_ref().and_then(|it| it.key.as_ref());
            let key = key.and_then(|it| hash_of(it, &**head, self.origin(head)));
            let allowed = limiter.borrow_mut().allow(self.core.now(), key);
            if let Err(after) = allowed {
                if let Some(edge) = &route.edge {
                    edge.counters.borrow_mut().refused("rate-limited");
                }
                let answer = Answer::rate_limited(after, route.rate_limit());
                return Err(Box::new(Stays::Refused(answer, Some(route))));
            }
        }
        match (&route.edge, route.target()) {
            (Some(edge), RouteTarget::Service(_)) => {
                if let Entry::Gateway(crosses) = &self.entry {
                    crosses.set(edge);
                }
                Ok((Rc::clone(edge), Some(route)))
            }
            _ => Err(refused(Answer::no_route(host(head), head.uri.path()))),
        }
    }

    /// What will be logged of a request, where it came in at the gateway.
    fn record(&self, head: &Parts) -> Option<Box<Record>> {
        let Entry::Gateway(_) = self.entry else { return None };
        self.core.front.access_log.as_ref()?;
        let is_tls = self.scheme == "https";
        let visit =
            Visit { core: &self.core, client: self.origin(head), protocol: "HTTP/2", is_tls };
        Record::begin(&visit, host(head), head)
    }

    /// The request's part of a trace: that of its caller, or one that begins here.
    fn trace(&self, head: &Parts) -> TraceContext {
        let header = |name: &str| head.headers.get(name).map(HeaderValue::as_bytes);
        let sent = Sent {
            traceparent: header("traceparent"),
            b3: header("b3"),
            b3_parts: ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"].map(header),
        };
        TraceContext::of(&sent, &mut self.core.rng.borrow_mut())
    }

    fn facts(&self, asking: &Asking, route: Option<&Route>) -> Facts {
        let head = &*asking.head;
        let header = |name: &str| head.headers.get(name).map(HeaderValue::as_bytes);
        // What is the platform's own is believed from inside.
        let own = |name| header(name).filter(|_| route.is_none());
        let asked = own(TIMEOUT_MS).and_then(content_length).map(Duration::from_millis);
        let by = own(TIMEOUT_BY).map_or_else(TimeoutBy::default, TimeoutBy::of);
        let asked = asked.map(|time| TimeLeft { time, by });
        let said = own("x-pelago-priority").and_then(priority);
        let (time_left, deadline_by) = grpc::time_left(head, asked, self.side);
        let mut rng = self.core.rng.borrow_mut();
        Facts {
            client: self.origin(head),
            idempotent: kind_of(&head.method).is_idempotent(),
            priority: route.map_or_else(|| said.unwrap_or_default(), |it| it.route.priority),
            time_left,
            deadline_by,
            trace: asking.trace.sampled(&mut rng, &self.core.spans),
        }
    }
}

/// The answer in an instance's place.
fn refuse(call: &Call, mut crossing: Crossing, refused: Refused) -> Response<Outgoing> {
    crossing.bytes_in = call.upload.bytes();
    match refused {
        Refused::With(answer, outcome) => {
            let trace = crossing.trace.trace;
            let audience = call.route.as_ref().map_or(Audience::Mesh, |_| Audience::Outside(trace));
            let response = own(&call.head, &answer.told(audience, page_of(call.route.as_deref())));
            if let Some(record) = &mut crossing.record {
                record.refused(&answer, trace, body_length(&response));
            }
            crossing.finish(&*call.head, &End::own(&answer, outcome));
            response
        }
        Refused::Gone => {
            let error = Some("client-gone");
            crossing.finish(&*call.head, &End::of(Outcome::Cancelled, None, error));
            // Nobody reads it.
            bare(499, &[])
        }
    }
}

/// An instance's answer.
pub(crate) fn passed(call: &Call, crossing: Crossing, mut got: Got) -> Response<Outgoing> {
    let outcome = got.outcome();
    let (status, mut headers) = match &mut got {
        Got::Http1(attempt, _) => {
            (attempt.head.status, headers_of(&attempt.head, attempt.response.filled()))
        }
        Got::Http2(answer) => {
            let response = &mut answer.response;
            (response.status().as_u16(), std::mem::take(response.headers_mut()))
        }
    };
    let is_bare = is_bare(status) || call.head.method == Method::HEAD;
    if status == 204 {
        // There is nothing of which to say how long it is (RFC 9110, section 8.6).
        headers.remove(header::CONTENT_LENGTH);
    }
    let compress = call.route.as_ref().is_some_and(|it| {
        it.route.compress
            && status == 200
            && !is_bare
            && !got.is_over()
            && !headers.contains_key(header::CONTENT_ENCODING)
            && !gateway::is_final(
                headers.get_all(header::CACHE_CONTROL).iter().map(HeaderValue::as_bytes),
            )
            && kind_is_compressible(&headers)
            && gateway::accepts_gzip(&*call.head)
    });
    let coding = if compress { Coding::Gzip } else { Coding::Identity };
    if compress {
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::ACCEPT_RANGES);
        let etag = headers.get(header::ETAG).and_then(|it| gateway::weakened(it.as_bytes()));
        if let Some(etag) = etag.and_then(|it| HeaderValue::from_str(&it).ok()) {
            headers.insert(header::ETAG, etag);
        }
    }
    if let Some(route) = &call.route {
        fields::remove(&mut headers, is_own);
        for (name, value) in gateway::added_headers(&route.route, &*call.head, coding) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        if call.core.front.says.via {
            let version =
                if matches!(got, Got::Http1(..)) { Version::Http11 } else { Version::Http2 };
            headers.append(header::VIA, HeaderValue::from_static(version.via()));
        }
        edit(&mut headers, &route.route.response_headers);
    }
    // What is compressed goes on until it ends.
    let is_told = headers.contains_key(header::CONTENT_LENGTH) || got.is_over();
    let extent = if is_told { Extent::Told } else { Extent::Open };
    let told = (status, outcome, call.edge.patience(extent));
    let passed = Passed::new(&call.core, crossing, &call.head, &call.upload, told);
    let passed = match got {
        Got::Http1(attempt, pump) => passed.http1(attempt, pump),
        // What an instance sends all the same is not passed on, and not waited for.
        Got::Http2(_) if is_bare => passed,
        Got::Http2(answer) => passed.http2(Http2::new(*answer)),
    };
    let passed = if compress { passed.compressed() } else { passed };
    let mut response = Response::new(passed.begun());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = headers;
    response
}

fn kind_is_compressible(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|it| gateway::is_compressible(it.as_bytes()))
}

/// The headers of an answer that came over HTTP/1.1.
pub(crate) fn headers_of(head: &ResponseHead, buffer: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for span in head.copies.iter() {
        let lines = buffer.get(span.clone()).unwrap_or_default();
        for line in lines.split(|it| *it == b'\n') {
            if let Some((name, value)) = fields::read(line)
                && !is_hop_by_hop(name.as_str().as_bytes())
            {
                headers.append(name, value);
            }
        }
    }
    if let Some(length) = head.length_anew {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers
}
