//! A client that speaks HTTP/1.1, and an instance that speaks HTTP/2.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use hyper::body::{Body as _, Frame};
use traffic::Outcome;

use super::attempts::Event;
use super::exchange::{After, Ends, Exchange, connection};
use super::request::Method;
use super::response::is_bare;
use super::write;
use crate::crossing::Crossing;
use crate::h1::client::Entry;
use crate::h2::call::{Call, Forwarded, Got, Refused};
use crate::h2::fields;
use crate::h2::grpc;
use crate::h2::outgoing::Outgoing;
use crate::h2::pipe::{Writer, pipe};
use crate::h2::server::passed;
use crate::h2::source::Cut;
use crate::h2::trailers;
use crate::h2::upload::{Source, Upload};
use crate::says;

/// Passes a request on to an instance that speaks HTTP/2, and its answer back.
pub(crate) async fn run(exchange: &mut Exchange<'_>, mut crossing: Crossing) -> After {
    let Some(head) = head_of(exchange) else {
        let answer =
            crate::answer::Answer::malformed(400, "the head cannot be passed on as HTTP/2");
        return exchange.fail(crossing, &answer, Outcome::ClientError).await;
    };
    let (parts, received) = pipe();
    let upload = Upload::new(Source::Pipe(received), exchange.bounds.bytes_max);
    let forwarded = match exchange.client.entry {
        Entry::Mesh(_) => None,
        Entry::Gateway(_) => {
            let scheme = if exchange.client.stream.is_tls() { "https" } else { "http" };
            let (peer, side) = (exchange.client.peer.ip(), exchange.client.side);
            let is_old = exchange.work.head.is_http10;
            let version = if is_old { says::Version::Http10 } else { says::Version::Http11 };
            Some(Forwarded { peer, scheme, side, version })
        }
    };
    if exchange.work.head.expects_continue && exchange.body.bytes == 0 {
        // Nobody says so over HTTP/2, and what is read here goes on as it comes.
        if exchange.client.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            exchange.end(crossing, Outcome::Cancelled, None, Some("client-gone"));
            return After::Close;
        }
    }
    let call = Call {
        core: Rc::clone(&exchange.client.core),
        edge: Rc::clone(&exchange.edge),
        route: exchange.route.as_ref().map(Rc::clone),
        head: Rc::new(head),
        upload,
        bounds: exchange.bounds,
        began: exchange.began,
        forwarded,
        interim: Rc::default(),
    };
    let at = exchange.work.head.length;
    let mut sender = Sender { parts: Some(parts), at, trailers: HeaderMap::new() };
    let answered = attempts(exchange, &call, &mut crossing, &mut sender).await;
    exchange.part_if_finishing();
    match answered {
        Err(Event::Rejected(answer)) => {
            exchange.fail(crossing, &answer, Outcome::ClientError).await
        }
        Err(_) | Ok(Err(Refused::Gone)) => {
            exchange.end(crossing, Outcome::Cancelled, None, Some("client-gone"));
            After::Close
        }
        Ok(Err(Refused::With(answer, outcome))) => exchange.fail(crossing, &answer, outcome).await,
        Ok(Ok((_, got))) => {
            let response = passed(&call, crossing, got);
            back(exchange, response, &mut sender).await
        }
    }
}

/// What the attempts came to, or what the client did instead. What comes before the answer is passed on meanwhile.
async fn attempts(
    exchange: &mut Exchange<'_>,
    call: &Call,
    crossing: &mut Crossing,
    sender: &mut Sender,
) -> Result<Result<(usize, Got), Refused>, Event> {
    let mut running = pin!(call.run(crossing));
    loop {
        let (done, early) = poll_fn(|context| {
            if let Some(event) = sender.poll(context, exchange) {
                return Poll::Ready((Some(Err(event)), Vec::new()));
            }
            let done = running.as_mut().poll(context);
            match (done, call.interim.take()) {
                (Poll::Ready(done), early) => Poll::Ready((Some(Ok(done)), early)),
                (Poll::Pending, early) if early.is_empty() => Poll::Pending,
                (Poll::Pending, early) => Poll::Ready((None, early)),
            }
        })
        .await;
        // Old clients do not know of them.
        if !early.is_empty() && !exchange.work.head.is_http10 {
            let mut out = Vec::new();
            for response in early {
                write_head(&mut out, response.status(), response.headers());
                out.extend_from_slice(b"\r\n");
            }
            if exchange.client.write(&out).await.is_err() {
                return Err(Event::Gone);
            }
        }
        if let Some(done) = done {
            return done;
        }
    }
}

/// Writes a status and headers, without the empty line.
fn write_head(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    let reason = status.canonical_reason().unwrap_or("");
    write::put(out, format_args!("HTTP/1.1 {} {reason}\r\n", status.as_u16()));
    for (name, value) in headers {
        fields::write(out, name.as_str(), value.as_bytes());
    }
}

/// Hands the body on, as it comes.
struct Sender {
    parts: Option<Writer>,
    at: usize,
    /// What has come behind it.
    trailers: HeaderMap,
}

impl Sender {
    /// What the client did instead, if it is gone or sends what is no body.
    fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Option<Event> {
        loop {
            let Some(parts) = &self.parts else { return poll_gone(context, exchange) };
            if self.at < exchange.checked {
                if parts.poll_room(context).is_pending() {
                    return None;
                }
                // Chunks are taken apart here: HTTP/2 has frames of its own.
                let data = exchange.data_from(self.at, &mut self.trailers);
                parts.put(Bytes::from(data));
                self.at = exchange.checked;
            } else if exchange.body.is_done() {
                let trailers = std::mem::take(&mut self.trailers);
                if let Some(parts) = self.parts.take() {
                    parts.finish(trailers);
                }
            } else {
                let before = exchange.body.bytes;
                if let Some(event) = exchange.poll_client(context, Some(true)) {
                    return Some(event);
                }
                if std::mem::take(&mut exchange.made_room) {
                    self.at = exchange.work.head.length;
                }
                if exchange.body.bytes == before {
                    return None;
                }
            }
        }
    }
}

/// Whether the client goes away, of whom nothing more is to come.
fn poll_gone(context: &mut std::task::Context<'_>, exchange: &mut Exchange<'_>) -> Option<Event> {
    let event = exchange.poll_client(context, None);
    let gone_at = exchange.gone_at().filter(|_| event.is_none());
    let Some(gone_at) = gone_at else { return event };
    exchange.client.deadline.set(gone_at);
    exchange.client.deadline.poll(context).is_ready().then_some(Event::Gone)
}

/// The head in HTTP/2's types.
fn head_of(exchange: &Exchange<'_>) -> Option<http::request::Parts> {
    let head = &exchange.work.head;
    let input = exchange.work.input.filled();
    let text = |it: &super::head::Span| str::from_utf8(input.get(it.clone())?).ok();
    if head.method == Method::Connect {
        return None;
    }
    let target = head.target_in(input);
    let target = str::from_utf8(&target).ok()?;
    let host = head.host.as_ref().and_then(text).filter(|it| !it.is_empty());
    let uri = match host {
        Some(host) if target != "*" => format!("http://{host}{target}"),
        _ => target.to_owned(),
    };
    let mut builder = Request::builder().method(text(&head.method_name)?).uri(uri);
    if let Some(host) = host.filter(|_| target == "*") {
        builder = builder.header("host", host);
    }
    builder = builder.version(Version::HTTP_11);
    for span in head.copies.iter() {
        for line in input.get(span.clone())?.split(|it| *it == b'\n') {
            let Some(colon) = line.iter().position(|it| *it == b':') else { continue };
            let (name, value) = line.split_at(colon);
            if name.eq_ignore_ascii_case(b"expect") {
                continue;
            }
            let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
            builder = builder.header(name, value);
        }
    }
    let [trace, span, sampled] = &head.b3_parts;
    for (name, span) in [
        ("x-forwarded-host", &head.forwarded_host),
        ("x-forwarded-proto", &head.forwarded_proto),
        ("traceparent", &head.traceparent),
        ("b3", &head.b3),
        ("x-b3-traceid", trace),
        ("x-b3-spanid", span),
        ("x-b3-sampled", sampled),
    ] {
        if let Some(value) = span.as_ref().and_then(text) {
            builder = builder.header(name, value);
        }
    }
    for value in head.forwarded_for.iter().filter_map(text) {
        builder = builder.header("x-forwarded-for", value);
    }
    if let Some(length) = head.length_anew {
        builder = builder.header("content-length", length);
    }
    // Servers of gRPC refuse calls without it, and here trailers are understood whoever calls.
    if head.wants_trailers || grpc::kind_of(&exchange.work.view()).is_some() {
        builder = builder.header("te", "trailers");
    }
    builder.body(()).ok().map(|it| it.into_parts().0)
}

/// The next frame of an answer's body; nothing if its client is gone.
async fn frame(
    body: &mut Pin<&mut Outgoing>,
    exchange: &mut Exchange<'_>,
    sender: &mut Sender,
) -> Option<Option<Result<Frame<Bytes>, Cut>>> {
    poll_fn(|context| {
        if sender.poll(context, exchange).is_some() {
            return Poll::Ready(None);
        }
        body.as_mut().poll_frame(context).map(Some)
    })
    .await
}

/// Ends a head with what came behind it, where nothing came between: gRPC's Trailers-Only.
fn end_with(headers: &mut HeaderMap, trailers: &HeaderMap) {
    for (name, value) in trailers {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
}

/// How the body of an answer is told to a client of HTTP/1.1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// There is none, or what there is is not sent.
    Empty,
    /// Its length is told in the head.
    Length,
    Chunks,
    /// It ends with the connection.
    Close,
}

impl Told {
    fn of(exchange: &Exchange<'_>, head: &http::response::Parts) -> Self {
        if exchange.work.head.method == Method::Head || is_bare(head.status.as_u16()) {
            Self::Empty
        } else if head.headers.contains_key(header::CONTENT_LENGTH) {
            Self::Length
        } else if exchange.work.head.is_http10 {
            Self::Close
        } else {
            Self::Chunks
        }
    }
}

/// Passes the answer back.
async fn back(
    exchange: &mut Exchange<'_>,
    response: http::Response<Outgoing>,
    sender: &mut Sender,
) -> After {
    let (mut head, body) = response.into_parts();
    let mut body = pin!(body);
    let mut first = None;
    if grpc::is_grpc(&head.headers) && !body.is_end_stream() {
        // A call may fail behind an empty head. Over HTTP/1.1, a client may see nothing but heads.
        first = match frame(&mut body, exchange, sender).await {
            None | Some(Some(Err(_))) => return After::Close,
            Some(Some(Ok(frame))) => Some(frame),
            Some(None) => None,
        };
        if let Some(trailers) = first.as_ref().and_then(Frame::trailers_ref) {
            end_with(&mut head.headers, trailers);
            first = None;
        }
    }
    let told = Told::of(exchange, &head);
    // As over HTTP/1.1: who refuses a request before all of it has come reads no more of it.
    let is_early = !exchange.body.is_done() && head.status.as_u16() >= 400;
    let goes_on = exchange.work.head.keep_alive && told != Told::Close && !is_early;
    let ends = if goes_on { Ends::No } else { Ends::Yes };
    let mut out = std::mem::take(&mut exchange.work.out);
    out.clear();
    write_head(&mut out, head.status, &head.headers);
    if told == Told::Chunks {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    connection(exchange.work, ends).write(&mut out);
    out.extend_from_slice(b"\r\n");
    let mut trailers = None;
    loop {
        if exchange.client.write(&out).await.is_err() {
            return After::Close;
        }
        exchange.has_taken();
        out.clear();
        let next = match first.take() {
            Some(first) => Some(Some(Ok(first))),
            None => frame(&mut body, exchange, sender).await,
        };
        match next.map(Option::transpose) {
            Some(Err(_)) if told == Told::Close => return After::Reset,
            None | Some(Err(_)) => return After::Close,
            Some(Ok(None)) => break,
            Some(Ok(Some(frame))) => match frame.into_data() {
                Ok(data) => write_data(&mut out, &data, told),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
    if told == Told::Chunks {
        // Whoever does not say that it takes them may lose them on its way (RFC 9110, section 6.5.1).
        let trailers = trailers.filter(|_| exchange.work.head.wants_trailers);
        trailers::write_end(&mut out, trailers.as_ref());
        if exchange.client.write(&out).await.is_err() {
            return After::Close;
        }
    }
    exchange.work.out = out;
    let is_whole = exchange.body.is_done();
    exchange.work.input.consume(exchange.checked);
    match (is_whole, ends) {
        (true, Ends::No) => After::Keep,
        (true, Ends::Yes) => After::Close,
        (false, _) => After::Linger,
    }
}

fn write_data(out: &mut Vec<u8>, data: &[u8], told: Told) {
    if told == Told::Empty || data.is_empty() {
        return;
    }
    if told == Told::Chunks {
        write::put(out, format_args!("{:x}\r\n", data.len()));
    }
    out.extend_from_slice(data);
    if told == Told::Chunks {
        out.extend_from_slice(b"\r\n");
    }
}
