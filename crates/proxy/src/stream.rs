//! A client's connection: plain, or with TLS around it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::buffer::Buffer;
use crate::limits::{KEEP_ALIVE_EVERY, KEEP_ALIVE_IDLE, KEEP_ALIVE_TIMES};

/// A client's connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// See [`keep_alive`].
    pub(crate) fn keep_alive(&self) {
        keep_alive(self.socket());
    }

    /// Whether TLS is around it.
    pub(crate) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Which version of HTTP was agreed on.
    pub(crate) fn agreed(&self) -> Agreed {
        match self {
            Self::Plain(_) => Agreed::Nothing,
            Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => Agreed::Http2,
            // HTTP/2 over TLS is agreed on or not spoken (RFC 9113, section 3.2).
            Self::Tls(_) => Agreed::Http1,
        }
    }

    /// Has the connection end by a reset when it is dropped: whoever reads it shall not take what has come for all.
    pub(crate) fn reset(&self) {
        reset(self.socket());
    }

    /// Ready when a read may give something: bytes, the end, or an error.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Tls(stream) = self
            && !stream.get_ref().1.wants_read()
        {
            return Poll::Ready(());
        }
        self.socket().poll_read_ready(context).map(drop)
    }

    /// Ready when something has come indeed. A socket that is new looks readable until somebody has
    /// looked, and whoever is believed to have sent something is given memory for it.
    pub(crate) fn poll_arrived(&self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_readable(context));
        match self {
            Self::Tls(stream) if !stream.get_ref().1.wants_read() => Poll::Ready(()),
            Self::Tls(_) | Self::Plain(_) => {
                let mut byte = [0];
                self.socket().poll_peek(context, &mut ReadBuf::new(&mut byte)).map(drop)
            }
        }
    }

    /// Reads into the room of `buffer`, which must have some; 0 is the end.
    pub(crate) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Buffer,
    ) -> Poll<io::Result<usize>> {
        let count = {
            let mut room = ReadBuf::new(buffer.room());
            match Pin::new(&mut *self).poll_read(context, &mut room) {
                Poll::Ready(Ok(())) => room.filled().len(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        };
        buffer.fill(count);
        Poll::Ready(Ok(count))
    }
}

/// Has the kernel ask from time to time whether the other side is still there: one that lost its power or its network says
/// nothing, and a connection that may be silent for long would be held for it.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let asks = sockopt::set_socket_keepalive(stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(stream, KEEP_ALIVE_IDLE))
        .and_then(|()| sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE_EVERY))
        .and_then(|()| sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_TIMES));
    if let Err(error) = asks {
        tracing::debug!(%error, "nobody asks whether the other side is still there");
    }
}

/// Which version of HTTP a connection is to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreed {
    /// Whichever it begins with.
    Nothing,
    Http1,
    Http2,
}

/// Has a connection end by a reset when it is dropped.
pub(crate) fn reset(socket: &TcpStream) {
    // Where it cannot be told so, it ends as usual.
    let _told: rustix::io::Result<()> = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Reads from an instance into the room of `buffer`, which must have some; 0 is the end.
pub(crate) fn poll_fill(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    buffer: &mut Buffer,
) -> Poll<io::Result<usize>> {
    let count = {
        let mut room = ReadBuf::new(buffer.room());
        match Pin::new(stream).poll_read(context, &mut room) {
            Poll::Ready(Ok(())) => room.filled().len(),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    };
    buffer.fill(count);
    Poll::Ready(Ok(count))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn issue_13_the_kernel_asks_whether_the_other_side_is_still_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        keep_alive(&stream);
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let (idle, every) = (sockopt::tcp_keepidle(&stream), sockopt::tcp_keepintvl(&stream));
        assert_eq!((idle.unwrap().as_secs(), every.unwrap().as_secs()), (60, 15));
        assert_eq!(sockopt::tcp_keepcnt(&stream).unwrap(), 4);
    }
}
