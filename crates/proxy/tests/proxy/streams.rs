//! HTTP/2 as the protocol's own library gives it, on either side: answers before the answer, resets, trailers.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::runtime::Runtime;

use crate::wire::PATIENCE;

/// A connection of a client, with the runtime it runs on.
pub(crate) struct Streams {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Told {
    /// Answers before it.
    pub(crate) early: Vec<Response<()>>,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Told {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn in_time<T>(done: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, done).await.expect("it takes too long")
}

/// A request without a body.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let uri = format!("http://shop{path}");
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

impl Streams {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(async move { drop(connection.await) });
            sender
        });
        Self { runtime, sender }
    }

    /// Begins a request whose body is to follow.
    pub(crate) fn begin(&self, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let mut sender = in_time(sender.ready()).await.unwrap();
            sender.send_request(request, false).unwrap()
        })
    }

    /// The first answer before the answer; nothing if there is none.
    pub(crate) fn early(&self, answer: &mut ResponseFuture) -> Option<Response<()>> {
        let early = poll_fn(|context| answer.poll_informational(context));
        self.runtime.block_on(in_time(early)).map(Result::unwrap)
    }

    /// The rest of an answer; an error if the stream is reset.
    pub(crate) fn told(&self, mut answer: ResponseFuture) -> Result<Told, h2::Error> {
        let mut early = Vec::new();
        self.runtime.block_on(in_time(async {
            let response = poll_fn(|context| {
                while let Poll::Ready(Some(Ok(it))) = answer.poll_informational(context) {
                    early.push(it);
                }
                Pin::new(&mut answer).poll(context)
            })
            .await?;
            let (head, mut stream) = response.into_parts();
            let body = collected(&mut stream).await?;
            let trailers = stream.trailers().await?;
            let status = head.status.as_u16();
            Ok(Told { early, status, headers: head.headers, body, trailers })
        }))
    }

    /// Asks with a body, if there is one, and trailers behind it.
    pub(crate) fn try_ask(
        &self,
        request: Request<()>,
        body: &str,
        trailers: Option<HeaderMap>,
    ) -> Result<Told, h2::Error> {
        let (answer, mut stream) = self.begin(request);
        // What is short fits into the window.
        let sent = match trailers {
            None => stream.send_data(Bytes::from(body.to_owned()), true),
            Some(trailers) => stream
                .send_data(Bytes::from(body.to_owned()), false)
                .and_then(|()| stream.send_trailers(trailers)),
        };
        drop(sent);
        self.told(answer)
    }

    pub(crate) fn ask(&self, request: Request<()>) -> Told {
        self.try_ask(request, "", None).unwrap()
    }
}

/// All of a body.
pub(crate) async fn collected(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(body)
}

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An instance that speaks HTTP/2 and does this with each stream.
pub(crate) struct Serves {
    pub(crate) port: u16,
    _runtime: Runtime,
}

impl Serves {
    pub(crate) fn new(
        serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> Serving + Clone + Send + 'static,
    ) -> Self {
        let runtime = runtime();
        let listener = crate::harness::listener();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serve = serve.clone();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, reply))) = connection.accept().await {
                        tokio::spawn(serve(request, reply));
                    }
                });
            }
        });
        Self { port, _runtime: runtime }
    }
}

/// An answer's head.
pub(crate) fn head(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}
