//! Posting something to an address that somebody outside chose, over HTTP or HTTPS.
//!
//! One connection for one request: there are few, and the other side is far away. It refuses to follow
//! redirects, since what is posted is meant for that address alone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Time for everything: whoever wants to be told answers quickly.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read, so that the connection ends well; nothing is done with them.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why an address could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("`{0}` is no address to post to; it begins with `http://` or `https://` and a host")]
    Address(String),
    #[error("{host} cannot be reached")]
    Connect { host: String, source: io::Error },
    #[error("{host} has no certificate that this machine trusts")]
    Tls { host: String, source: io::Error },
    #[error("{host} did not answer as HTTP servers do")]
    Http { host: String, source: hyper::Error },
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("it did not answer within {}", model::units::DurationText(TIME_MAX))]
    Late,
}

/// What is posted.
#[derive(Clone, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) body: Vec<u8>,
    /// What it is.
    pub(crate) headers: &'a [(&'static str, &'static str)],
}

impl Payload<'static> {
    /// JSON.
    pub(crate) fn json(body: &str) -> Self {
        Self { body: body.as_bytes().to_vec(), headers: &[("content-type", "application/json")] }
    }
}

/// Posts something to `url`, and waits until it is taken.
pub(crate) async fn post(url: &str, payload: Payload<'_>) -> Result<(), WebhookError> {
    let posted = tokio::time::timeout(TIME_MAX, send(url, payload, &system_roots));
    posted.await.unwrap_or(Err(WebhookError::Late))
}

/// The authorities this machine trusts.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (_added, _ignored) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

async fn send(
    url: &str,
    payload: Payload<'_>,
    roots: &(dyn Fn() -> RootCertStore + Sync),
) -> Result<(), WebhookError> {
    let wrong = || WebhookError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let port = |default| uri.port_u16().unwrap_or(default);
    let connect = async |port| {
        let stream = TcpStream::connect((host.as_str(), port)).await;
        stream.map_err(|source| WebhookError::Connect { host: host.clone(), source })
    };
    match uri.scheme_str() {
        Some("http") => exchange(connect(port(80)).await?, &uri, &host, payload).await,
        Some("https") => {
            let failed = |source| WebhookError::Tls { host: host.clone(), source };
            let name = ServerName::try_from(host.clone()).map_err(|_| wrong())?;
            let connector = connector(roots()).map_err(io::Error::other).map_err(failed)?;
            let stream = connect(port(443)).await?;
            let stream = connector.connect(name, stream).await.map_err(failed)?;
            exchange(stream, &uri, &host, payload).await
        }
        _ => Err(wrong()),
    }
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    uri: &Uri,
    host: &str,
    payload: Payload<'_>,
) -> Result<(), WebhookError> {
    let failed = |source| WebhookError::Http { host: host.to_owned(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // It ends when the sender is dropped.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let authority = uri.authority().map_or(host, |it| it.as_str());
    // Names and passwords before the host are not for the host header.
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("host", authority)
        .header("user-agent", concat!("pelago/", env!("CARGO_PKG_VERSION")));
    for (name, value) in payload.headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Full::new(Bytes::from(payload.body)))
        .map_err(|_| WebhookError::Address(uri.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    // What it says does not matter, only that it is done.
    drop(Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await);
    if status.is_success() { Ok(()) } else { Err(WebhookError::Status(status.as_u16())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Empty;
    use hyper::Response;
    use hyper::server::conn::http1 as serving;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    /// Answers one request with `status`; returns what it was.
    async fn serve(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        status: u16,
    ) -> String {
        let (told, heard) = std::sync::mpsc::channel();
        let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
            let told = told.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let host = head.headers["host"].to_str().unwrap().to_owned();
                let body = String::from_utf8_lossy(&body).into_owned();
                let port = host.rsplit(':').next().unwrap_or_default().to_owned();
                let host = host.replace(&port, "PORT");
                let kind = head.headers["content-type"].to_str().unwrap().to_owned();
                told.send(format!("{} {} {host} {kind} {body}", head.method, head.uri)).unwrap();
                Ok::<_, hyper::Error>(
                    Response::builder().status(status).body(Empty::<Bytes>::new()).unwrap(),
                )
            }
        });
        serving::Builder::new().serve_connection(TokioIo::new(stream), answer).await.ok();
        heard.recv().unwrap()
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[tokio::test]
    async fn what_is_posted_arrives() {
        for (status, expected) in [(204, "Ok"), (500, "it answered with status 500")] {
            let (listener, port) = listener().await;
            let serving =
                tokio::spawn(
                    async move { serve(listener.accept().await.unwrap().0, status).await },
                );
            let posted = post(&format!("http://127.0.0.1:{port}/a?b=c"), Payload::json("{}")).await;
            let posted = posted.map_or_else(|it| it.to_string(), |()| "Ok".to_owned());
            assert_eq!(posted, expected);
            let seen = serving.await.unwrap();
            assert_eq!(seen, "POST /a?b=c 127.0.0.1:PORT application/json {}");
        }
    }

    #[tokio::test]
    async fn certificates_are_checked() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (chain, key) = (vec![made.cert.der().clone()], made.signing_key.serialize_der());
        let key = PrivateKeyDer::try_from(key).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let trusting = {
            let mut roots = RootCertStore::empty();
            roots.add(chain[0].clone()).unwrap();
            roots
        };
        for (roots, is_taken) in [(trusting, true), (RootCertStore::empty(), false)] {
            let ((listener, port), acceptor) = (listener().await, acceptor.clone());
            let serving = tokio::spawn(async move {
                let stream = acceptor.accept(listener.accept().await.unwrap().0).await.ok()?;
                Some(serve(stream, 200).await)
            });
            let url = format!("https://localhost:{port}/");
            let sent = send(&url, Payload::json("{}"), &|| roots.clone()).await;
            assert_eq!(sent.is_ok(), is_taken, "{sent:?}");
            assert_eq!(serving.await.unwrap().is_some(), is_taken);
        }
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused() {
        for url in ["", "ftp://a/", "/x", "http:///x"] {
            let refused = post(url, Payload::json("")).await;
            assert!(matches!(refused, Err(WebhookError::Address(_))), "{url}: {refused:?}");
        }
    }
}
