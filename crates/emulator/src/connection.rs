//! One client connection: one request at a time, driven by the task that waits for its answer.
//!
//! hyper's client is a handle and a driver meant for a task of its own. Polling both in the calling
//! task saves the switches between them. A driver that nobody polls does not notice that the
//! other side closed an idle connection; it does when the next request begins, and that request comes
//! back unsent to be sent on a new connection.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bytes read from a connection at once, and the most its answer's headers may have.
const BUFFER_BYTES: usize = 64 << 10;

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection that is open as far as is known.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Absent once the connection has closed.
    driver: Option<Driver>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// No connection came about.
    #[error("cannot connect to {address}")]
    Connect { address: SocketAddr, source: std::io::Error },
    /// The connection had closed before the request was sent: sending it again is safe.
    #[error("the connection had closed before the request was sent")]
    Unsent(Box<Request<Full<Bytes>>>),
    /// The connection closed before the answer was complete.
    #[error("the connection closed before the answer was complete")]
    Closed,
    /// What came back is not HTTP/1.1.
    #[error("the answer is not HTTP/1.1")]
    Protocol(#[source] hyper::Error),
}

impl From<hyper::Error> for ExchangeError {
    fn from(error: hyper::Error) -> Self {
        // A body that ends early or a refused write is the connection's end, not a breach of protocol.
        let in_parse = error.is_parse() || error.is_parse_too_large() || error.is_user();
        if in_parse { Self::Protocol(error) } else { Self::Closed }
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, ExchangeError> {
        let failed = |source| ExchangeError::Connect { address, source };
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        // Without it small requests wait for the acknowledgement of the ones before.
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self { sender, driver: Some(driver) })
    }

    /// Sends `request`, hands every piece of the answer's body to `sink`, and returns its status.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<StatusCode, ExchangeError> {
        let Self { sender, driver } = self;
        let exchange = async {
            if sender.ready().await.is_err() {
                return Err(ExchangeError::Unsent(Box::new(request)));
            }
            let sent = sender.try_send_request(request).await;
            let response = sent.map_err(|mut error| match error.take_message() {
                Some(request) => ExchangeError::Unsent(Box::new(request)),
                None => error.into_error().into(),
            })?;
            let status = response.status();
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                if let Some(data) = frame?.data_ref() {
                    sink(data);
                }
            }
            Ok(status)
        };
        drive(driver, exchange).await
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }
}

/// Polls `exchange` and, for as long as the connection lives, its driver.
async fn drive<T>(
    driver: &mut Option<Driver>,
    exchange: impl Future<Output = Result<T, ExchangeError>>,
) -> Result<T, ExchangeError> {
    let mut exchange = pin!(exchange);
    poll_fn(|context| {
        if let Some(running) = driver
            && Pin::new(running).poll(context).is_ready()
        {
            // Dropping it hands an unsent request back through `exchange`.
            *driver = None;
        }
        match exchange.as_mut().poll(context) {
            Poll::Pending if driver.is_none() => Poll::Ready(Err(ExchangeError::Closed)),
            polled => polled,
        }
    })
    .await
}
