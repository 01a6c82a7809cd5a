//! HTTP/2 and gRPC, on either side or on both.

mod ends;
mod old_clients;
mod stalls;
mod times;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Collected, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::service::Protocol;
use telemetry::report::Outcomes;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};

use crate::harness::{Instance, Plane, Shop, free_port};
use crate::wire::{PATIENCE, ok};

/// A body written while it is sent. Dropped without an end, it is broken off.
struct Written(mpsc::UnboundedReceiver<Option<Frame<Bytes>>>);

impl Body for Written {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.get_mut().0.poll_recv(context).map(|it| match it {
            Some(Some(frame)) => Some(Ok(frame)),
            Some(None) => None,
            None => Some(Err(std::io::Error::other("broken off"))),
        })
    }
}

pub(crate) type AnyBody = BoxBody<Bytes, std::io::Error>;

pub(crate) fn whole(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

pub(crate) fn nothing() -> AnyBody {
    Empty::new().map_err(|never: Infallible| match never {}).boxed()
}

fn trailers(name: &'static str, value: &'static str) -> HeaderMap {
    [(http::HeaderName::from_static(name), http::HeaderValue::from_static(value))]
        .into_iter()
        .collect()
}

/// What is told of a request that ended at an instance without an answer, or of its body.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Asked,
    Dropped,
    BrokenOff,
    Ended,
}

/// Tells when a request is given up.
struct Guard(Sender<Heard>);

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.send(Heard::Dropped));
    }
}

/// An instance that speaks HTTP/2, with the runtime it runs on.
struct Instance2 {
    port: u16,
    heard: Receiver<Heard>,
    _runtime: Runtime,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl Instance2 {
    fn new() -> Self {
        Self::of(usize::MAX)
    }

    /// One that ends each connection, as the protocol wants it, when it has had so many requests.
    fn of(requests: usize) -> Self {
        let runtime = runtime();
        let (tell, heard) = channel();
        let listener = crate::harness::listener();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let tell = tell.clone();
                let (count, enough) = (AtomicUsize::new(0), Arc::new(Notify::new()));
                let is_enough = Arc::clone(&enough);
                let service = service_fn(move |request| {
                    if count.fetch_add(1, Ordering::SeqCst) + 1 == requests {
                        is_enough.notify_one();
                    }
                    answer(request, tell.clone())
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let serving = server.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    let mut serving = pin!(serving);
                    tokio::select! {
                        _ = serving.as_mut() => return,
                        () = enough.notified() => serving.as_mut().graceful_shutdown(),
                    }
                    drop(serving.await);
                });
            }
        });
        Self { port, heard, _runtime: runtime }
    }

    fn heard(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }
}

/// Bytes of a large answer: more than a stream holds on its way.
const BIG: usize = 3_000_000;

async fn answer(
    request: Request<Incoming>,
    tell: Sender<Heard>,
) -> Result<Response<AnyBody>, Infallible> {
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/echo" => {
            let mut response = Response::new(body.map_err(std::io::Error::other).boxed());
            response.headers_mut().insert("x-te", head.headers.contains_key("te").into_text());
            Ok(response)
        }
        "/headers" => {
            let mut lines: Vec<String> = head
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            lines.sort_unstable();
            Ok(Response::new(whole(lines.join("\n"))))
        }
        "/big" => {
            // Made once: it takes a while.
            static BODY: OnceLock<Bytes> = OnceLock::new();
            let body = BODY.get_or_init(|| Bytes::from(pattern(BIG)));
            Ok(Response::new(whole(body.clone())))
        }
        "/busy" => {
            // Busy for the first, in trailers of their own; well for the others.
            static ASKED: AtomicUsize = AtomicUsize::new(0);
            body.collect().await.unwrap();
            let is_first = ASKED.fetch_add(1, Ordering::SeqCst) == 0;
            Ok(if is_first { called(Message::No, "14") } else { called(Message::Yes, "0") })
        }
        path if path.starts_with("/empty/") => {
            // A gRPC call that fails with this status, in trailers behind an empty head.
            Ok(called(Message::No, path.rsplit('/').next().unwrap()))
        }
        "/hang" => {
            tell.send(Heard::Asked).unwrap();
            let _guard = Guard(tell);
            std::future::pending().await
        }
        "/upload" => {
            tell.send(Heard::Asked).unwrap();
            let all = body.collect().await;
            tell.send(if all.is_ok() { Heard::Ended } else { Heard::BrokenOff }).unwrap();
            Ok(Response::new(nothing()))
        }
        path => {
            // A gRPC call whose path ends with the status it comes to.
            Ok(called(Message::Yes, path.rsplit('/').next().unwrap()))
        }
    }
}

/// Whether there is a message in the answer to a gRPC call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Yes,
    No,
}

/// The answer to a gRPC call: one message or none, and the status behind it.
fn called(message: Message, status: &str) -> Response<AnyBody> {
    let (write, written) = mpsc::unbounded_channel();
    if message == Message::Yes {
        write.send(Some(Frame::data(Bytes::from_static(b"\0\0\0\0\x01x")))).unwrap();
    }
    let end = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())]);
    write.send(Some(Frame::trailers(end))).unwrap();
    write.send(None).unwrap();
    let mut response = Response::new(Written(written).boxed());
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

/// A truth as a header's value.
trait IntoText {
    fn into_text(self) -> http::HeaderValue;
}

impl IntoText for bool {
    fn into_text(self) -> http::HeaderValue {
        http::HeaderValue::from_static(if self { "yes" } else { "no" })
    }
}

/// A client that speaks HTTP/2, with the runtime it runs on.
pub(crate) struct Client {
    runtime: Runtime,
    sender: SendRequest<AnyBody>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::with_window(address, 1 << 20)
    }

    /// One that lets so many bytes of each answer come before it reads them.
    fn with_window(address: SocketAddr, window: u32) -> Self {
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(window);
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(async move { drop(connection.await) });
            sender
        });
        Self { runtime, sender }
    }

    fn send(
        &self,
        request: Request<AnyBody>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let mut sender = self.sender.clone();
        async move {
            sender.ready().await?;
            sender.send_request(request).await
        }
    }

    pub(crate) fn ask(
        &self,
        request: Request<AnyBody>,
    ) -> (http::response::Parts, Collected<Bytes>) {
        let answered = self.send(request);
        self.runtime.block_on(async {
            let (head, body) = answered.await.unwrap().into_parts();
            (head, body.collect().await.unwrap())
        })
    }
}

pub(crate) fn request(path: &str, body: AnyBody) -> Request<AnyBody> {
    Request::post(format!("http://shop{path}")).body(body).unwrap()
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|it| u8::try_from(it % 251).unwrap()).collect()
}

#[test]
fn bodies_go_from_http2_to_http1_and_back() {
    let cart = Instance::echo();
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let client = Client::new(plane.gateway);
    for size in [0, 1, 16_384, 65_536, 2_000_000] {
        let (head, body) = client.ask(request("/", whole(pattern(size))));
        assert_eq!(head.status, 200);
        assert!(body.to_bytes() == pattern(size), "{size}");
    }
    // Without a length it comes in chunks.
    let (write, written) = mpsc::unbounded_channel();
    for part in pattern(300_000).chunks(7_000) {
        write.send(Some(Frame::data(Bytes::copy_from_slice(part)))).unwrap();
    }
    write.send(None).unwrap();
    let (_, body) = client.ask(request("/", Written(written).boxed()));
    assert!(body.to_bytes() == pattern(300_000));
    let last = cart.heads().pop().unwrap();
    assert_eq!(last.get("transfer-encoding"), Some("chunked"));
    // A hundred at once, over this one connection.
    let all: Vec<_> =
        (0..100).map(|_| client.runtime.spawn(client.send(request("/", whole("x"))))).collect();
    for one in all {
        assert_eq!(client.runtime.block_on(one).unwrap().unwrap().status(), 200);
    }
    assert_eq!(plane.outcomes(106).ok, 106);
    drop(client);
    plane.end();
}

#[test]
fn bodies_and_trailers_go_from_http2_to_http2_and_back() {
    let cart = Instance2::new();
    let plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    let client = Client::new(plane.gateway);
    let (write, written) = mpsc::unbounded_channel();
    for part in pattern(2_000_000).chunks(50_000) {
        write.send(Some(Frame::data(Bytes::copy_from_slice(part)))).unwrap();
    }
    write.send(Some(Frame::trailers(trailers("x-sum", "7")))).unwrap();
    write.send(None).unwrap();
    let mut request = request("/echo", Written(written).boxed());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let (head, body) = client.ask(request);
    assert_eq!((head.status.as_u16(), &head.headers["x-te"]), (200, &"yes".parse().unwrap()));
    assert_eq!(body.trailers(), Some(&trailers("x-sum", "7")));
    assert!(body.to_bytes() == pattern(2_000_000));
    drop(client);
    plane.end();
}

#[test]
fn a_stream_that_is_reset_ends_its_request() {
    let cart = Instance2::new();
    let mut plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    let client = Client::new(plane.gateway);
    let waiting = client.runtime.spawn(client.send(request("/hang", nothing())));
    assert_eq!(cart.heard(), Heard::Asked);
    waiting.abort();
    assert_eq!(cart.heard(), Heard::Dropped);
    // A body that is broken off is not taken for a whole one.
    let (write, written) = mpsc::unbounded_channel();
    write.send(Some(Frame::data(Bytes::from_static(b"half")))).unwrap();
    let waiting = client.runtime.spawn(client.send(request("/upload", Written(written).boxed())));
    assert_eq!(cart.heard(), Heard::Asked);
    drop(write);
    assert_eq!(cart.heard(), Heard::BrokenOff);
    drop(client.runtime.block_on(waiting));
    assert_eq!(plane.outcomes(2), Outcomes { cancelled: 2, ..Outcomes::default() });
    drop(client);
    plane.end();
    let (told, tell) = channel();
    let cart = Instance::new(move |mut asked| {
        asked.request();
        told.send(()).unwrap();
        asked.wire.closed();
        told.send(()).unwrap();
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let client = Client::new(plane.gateway);
    let waiting = client.runtime.spawn(client.send(request("/", nothing())));
    tell.recv().unwrap();
    waiting.abort();
    tell.recv().unwrap();
    assert_eq!(plane.outcomes(1), Outcomes { cancelled: 1, ..Outcomes::default() });
    drop(client);
    plane.end();
}

#[test]
fn bodies_go_from_http1_to_http2_and_back() {
    let cart = Instance2::new();
    let plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    let mut client = plane.client();
    for size in [0, 1, 16_384, 65_536, 3_000_000] {
        let body = pattern(size);
        // It echoes while it is still being sent, so somebody must read meanwhile.
        let mut writing = client.twin();
        let sent = body.clone();
        let writer = std::thread::spawn(move || {
            writing
                .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
            writing.send(&sent);
            writing.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            for chunk in sent.chunks(9_999) {
                writing.send(format!("{:x}\r\n", chunk.len()));
                writing.send(chunk);
                writing.send("\r\n");
            }
            writing.send("0\r\n\r\n");
        });
        assert!(client.answer().body == body, "{size}");
        assert!(client.answer().body == body, "{size} in chunks");
        writer.join().unwrap();
    }
    let head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(client.ask(head).head.status(), 100);
    assert_eq!(client.ask("hi").text(), "hi");
    let head = "GET /headers HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\nX-B3-TraceId: \
                00000000000000000000000000000abc\r\nX-B3-SpanId: 00000000000000ef\r\n\r\n";
    let headers = client.ask(head);
    let lines: Vec<_> = headers.text().lines().collect();
    assert!(lines.contains(&"x-forwarded-for: 127.0.0.1"), "{lines:?}");
    assert!(lines.contains(&"x-b3-traceid: 00000000000000000000000000000abc"), "{lines:?}");
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    assert_eq!(client.ask(connect).head.status(), 404);
    drop(client);
    plane.end();
}

#[test]
fn a_client_of_http1_that_goes_away_breaks_its_body_off() {
    let cart = Instance2::new();
    let mut plane = Plane::new(&Shop::new(&[cart.port]).speaking(Protocol::Http2));
    for framing in
        ["Content-Length: 100000\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"]
    {
        let mut client = plane.client();
        client.send(format!("POST /upload HTTP/1.1\r\nHost: a\r\n{framing}"));
        assert_eq!(cart.heard(), Heard::Asked);
        drop(client);
        assert_eq!(cart.heard(), Heard::BrokenOff);
    }
    assert_eq!(plane.outcomes(2), Outcomes { cancelled: 2, ..Outcomes::default() });
    let mut client = plane.client();
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
    client.send(head);
    assert_eq!(cart.heard(), Heard::Asked);
    client.send("nonsense\r\n");
    let answer = client.answer();
    assert_eq!(plane.found(&answer), "400 malformed-request caller useless");
    assert_eq!(cart.heard(), Heard::BrokenOff);
    drop(client);
    plane.end();
}
