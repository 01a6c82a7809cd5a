//! A server and somebody who asks it.

use std::net::SocketAddr;
use std::sync::Arc;

use host::Clock;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use server::{Faces, Measured, Token};
use telemetry::Stores;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::pretended::Pretended;

/// What must be shown on the port.
pub(crate) const TOKEN: &str = "open sesame";

/// A server with both faces.
pub(crate) struct Served {
    pub(crate) platform: Pretended,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
    pub(crate) address: SocketAddr,
    /// Where telemetry is taken in and asked for.
    pub(crate) collector: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) stores: Arc<Stores>,
    folder: tempfile::TempDir,
}

impl Served {
    pub(crate) async fn new(platform: Pretended) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let unix = server::Socket::at(&folder.path().join("sock")).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector_address = collector.local_addr().unwrap();
        let tcp = Some((tcp, Token::new(TOKEN.to_owned())));
        let faces =
            Faces { unix, tcp, collector: Some(collector), tenure: server::Tenure::Lasting };
        let clock = Clock::start();
        let limits = telemetry::stores::Limits::default();
        let place = folder.path().join("telemetry");
        let (stores, _damage) = Stores::open(&place, limits, clock.timestamp()).unwrap();
        let stores = Arc::new(stores);
        let measured = Measured { stores: Arc::clone(&stores), clock };
        let task = tokio::spawn(server::serve(platform.clone(), measured, faces, stopped));
        Self { platform, stop, task, address, collector: collector_address, clock, stores, folder }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let request = Request::builder().method("POST").uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/json");
        self.ask(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
    }

    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Answer {
        Answer::of(self.open(request).await).await
    }

    /// The response as it begins.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = UnixStream::connect(self.folder.path().join("sock")).await.unwrap();
        send(stream, request).await
    }

    /// Asks where telemetry is taken in.
    pub(crate) async fn ask_collector(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.collector).await.unwrap();
        Answer::of(send(stream, request).await).await
    }

    pub(crate) async fn ask_port(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Answer::of(send(stream, request).await).await
    }
}

pub(crate) fn request(method: &str, path: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.body(Full::default()).unwrap()
}

/// With a header more.
pub(crate) fn with(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &str,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response<Incoming>) -> Self {
        let etag = response.headers().get("etag").map(|it| it.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Self { status, etag, text: String::from_utf8_lossy(&body).into_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Checks that it is an error, said as JSON, whose message contains `part`.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, kind: &str, part: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let error = self.json();
        assert_eq!(error["kind"], kind, "{self:?}");
        assert!(error["message"].as_str().unwrap().contains(part), "{self:?} lacks {part}");
    }
}
