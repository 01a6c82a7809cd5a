//! What a gateway does with a connection before it is served.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread::JoinHandle;

use host::Clock;
use model::heads::HeadTime;
use model::network::Networks;
use telemetry::GatewayOptions;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::access::{Logger, writer};
use crate::buffer::Buffer;
use crate::core::Core;
use crate::deadline::Deadline;
use crate::decisions::DecisionLog;
use crate::h1::head::Limits;
use crate::h1::request::Side;
use crate::proxy_protocol::{self, Header, Malformed};
use crate::says::Says;

/// What a worker knows of the gateway it is a part of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Front {
    /// The way to the access log, if there is one.
    pub(crate) access_log: Option<Logger>,
    /// The folder where decisions are logged, if they are.
    pub(crate) decision_log: Option<PathBuf>,
    /// What connections begin with.
    pub(crate) begins: Begins,
    /// Whose word is taken for whom a request comes from.
    pub(crate) trusted: Networks,
    /// What it says of itself.
    pub(crate) says: Says,
    /// How large a head may be, wherever it comes from.
    pub(crate) heads: Limits,
    /// How long one may take to come.
    pub(crate) head_time: HeadTime,
    /// Whether it was said already that connections begin with something else. Once is enough: whoever can
    /// connect could fill the log otherwise.
    pub(crate) is_said: Cell<bool>,
}

impl Front {
    /// What workers know of a gateway with these options, and the thread that writes its access log, if
    /// there is to be one.
    pub(crate) fn start(
        options: &GatewayOptions,
        clock: Clock,
    ) -> io::Result<(Self, Option<JoinHandle<()>>)> {
        let GatewayOptions {
            access_log,
            proxy_protocol,
            decision_log,
            trusted_proxies,
            head_size,
            head_time,
            says,
        } = options;
        let begins = if *proxy_protocol { Begins::WithProxyProtocol } else { Begins::AtOnce };
        let started = access_log.as_ref().map(|it| writer::start(it, clock)).transpose()?;
        let (access_log, thread) = started.unzip();
        let decision_log = decision_log.clone();
        let trusted = trusted_proxies.clone();
        let front = Self {
            access_log,
            decision_log,
            begins,
            trusted,
            heads: Limits::new(*head_size),
            head_time: *head_time,
            says: *says,
            ..Self::default()
        };
        Ok((front, thread))
    }
}

impl Front {
    /// What is believed of a client of the gateway.
    pub(crate) fn side_of(&self, peer: IpAddr) -> Side {
        if self.trusted.contains(peer) { Side::Proxied } else { Side::Outside }
    }

    /// Whom a request comes from that a trusted `peer` passes on: the last of the addresses in `x-forwarded-for`, line by line,
    /// that is no trusted proxy itself. Whatever stands before that one may have been made up.
    pub(crate) fn origin<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let mut last = peer;
        for text in lines.rev().flat_map(|it| it.rsplit(|it| *it == b',')) {
            let Some(address) = address_in(text.trim_ascii()) else { return last };
            last = address;
            if !self.trusted.contains(address) {
                return last;
            }
        }
        last
    }

    /// The log of a worker's decisions, if they are logged. Without it everything goes on.
    pub(crate) fn decisions(&self, worker: usize) -> Option<DecisionLog> {
        let folder = self.decision_log.as_ref()?;
        let log = DecisionLog::create(folder, worker);
        log.inspect_err(|error| tracing::warn!(%error, "decisions cannot be logged")).ok()
    }
}

/// An address as proxies write it, some of them with a port, and then of IPv6 in brackets.
fn address_in(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(with_port)
}

/// What the gateway's connections begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Begins {
    /// TLS or a request.
    #[default]
    AtOnce,
    /// A header of the PROXY protocol, which says whose connection it is.
    WithProxyProtocol,
}

/// Finds out who is at the other end of a connection to the gateway. Nothing if it does not say so as it
/// must, and is to be closed. `peer` is the address the socket knows.
pub(crate) async fn peer_of(
    core: &Core,
    stream: &mut TcpStream,
    peer: SocketAddr,
) -> Option<SocketAddr> {
    if core.front.begins == Begins::AtOnce {
        return Some(peer);
    }
    let mut deadline =
        Deadline::new(core.clock, core.clock.now().after(core.front.head_time.get()));
    let mut buffer = core.buffers.small();
    let header = tokio::select! {
        header = read_header(stream, &mut buffer) => header,
        () = deadline.passed() => Err(io::ErrorKind::TimedOut.into()),
    };
    core.buffers.give(buffer);
    match header {
        Ok(header) => Some(header.source.unwrap_or(peer)),
        Err(error) => {
            // A connection without a byte is a health check, or a client who has thought better of it.
            let is_wrong = error.kind() == io::ErrorKind::InvalidData;
            if is_wrong && !core.front.is_said.replace(true) {
                tracing::warn!(%peer, %error, "a connection to the gateway is closed; further ones like it are not reported");
            }
            None
        }
    }
}

/// Reads a header and nothing behind it: what follows may be TLS. So bytes are looked at first, and taken as
/// far as they belong to it.
async fn read_header(stream: &mut TcpStream, buffer: &mut Buffer) -> io::Result<Header> {
    loop {
        let before = buffer.len();
        let seen = stream.peek(buffer.room()).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.fill(seen);
        let header = proxy_protocol::read(buffer.filled()).map_err(invalid)?;
        let end = header.map_or(buffer.len(), |it| it.length);
        buffer.truncate(before);
        // They are there: this does not wait.
        let room = buffer.room().get_mut(..end.saturating_sub(before)).unwrap_or_default();
        let taken = stream.read_exact(room).await?;
        buffer.fill(taken);
        if let Some(header) = header {
            return Ok(header);
        }
    }
}

fn invalid(malformed: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Buffers;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    /// What is found of a connection that begins with these pieces: an address, `socket` or `closed`; and
    /// what follows the header.
    async fn found(pieces: &[&[u8]]) -> (String, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let mut stream = listener.accept().await.unwrap().0;
        let sending = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let mut buffer = Buffers::default().small();
        let (header, ()) = tokio::join!(read_header(&mut stream, &mut buffer), sending);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        let found = match header {
            Ok(header) => header.source.map_or("socket".to_owned(), |it| it.to_string()),
            Err(_) => "closed".to_owned(),
        };
        (found, rest)
    }

    #[track_caller]
    fn check(pieces: &[&[u8]], expected: &str, follows: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (source, rest) = runtime.block_on(found(pieces));
        assert_eq!(source, expected);
        if source != "closed" {
            assert_eq!(String::from_utf8_lossy(&rest), follows);
        }
    }

    #[test]
    fn a_header_is_taken_off_and_nothing_else() {
        let source = "192.0.2.7:4711";
        let whole: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nGET /";
        check(&[whole], source, "GET /");
        let pieces: Vec<&[u8]> = whole.chunks(1).collect();
        check(&pieces, source, "GET /");
        check(&[b"PROXY UNKNOWN\r\n", b"x"], "socket", "x");
        let binary =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\0\x50";
        check(&[&binary[..20], &binary[20..], b"x"], source, "x");
        check(&[b"GET / HTTP/1.1\r\n\r\n"], "closed", "");
        check(&[b"PROXY TCP4 192.0.2.7 "], "closed", "");
        check(&[], "closed", "");
    }
}
