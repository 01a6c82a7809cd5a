//! One end of a connection that speaks HTTP/1.1 by hand.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for anything: long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection, with what was read of it and not used yet.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// The head of a request or an answer, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Head(pub(crate) String);

impl Head {
    /// The value of a header; panics if it is there twice.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.lines().skip(1).filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        let first = found.next();
        assert_eq!(found.next(), None, "{name} twice in {}", self.0);
        first
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|it| it.trim().parse().ok()).unwrap()
    }

    /// Why the data plane answered itself, whose fault it was, and whether to try again: `-` if it is no
    /// answer of its own.
    pub(crate) fn why(&self) -> String {
        let part = |name| self.get(name).unwrap_or("-");
        let parts = ["x-pelago-reason", "x-pelago-fault", "x-pelago-retry"].map(part);
        if parts == ["-"; 3] { "-".to_owned() } else { parts.join(" ") }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Status and reason in one: `503 overloaded policy safe`.
    pub(crate) fn verdict(&self) -> String {
        format!("{} {}", self.head.status(), self.head.why())
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// The same connection, for another thread that writes.
    pub(crate) fn twin(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what may find nobody there.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads more. False at the end, or if the connection was torn down.
    fn more(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}, after {:?}", self.read),
        }
    }

    /// A head; nothing at the end.
    pub(crate) fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head = self.read.drain(..end + 4).collect();
                return Some(Head(String::from_utf8(head).unwrap()));
            }
            if !self.more() {
                assert!(self.read.is_empty(), "half a head: {:?}", self.rest_as_text());
                return None;
            }
        }
    }

    fn rest_as_text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// So many bytes.
    pub(crate) fn exact(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more(), "{} of {count} bytes came", self.read.len());
        }
        self.read.drain(..count).collect()
    }

    /// So many bytes; nothing if fewer come before the end.
    pub(crate) fn try_exact(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if !self.more() {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// A body in chunks, and its trailers; nothing if it is cut short.
    pub(crate) fn chunks(&mut self) -> Option<(Vec<u8>, Vec<String>)> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
            if size == 0 {
                break;
            }
            while self.read.len() < size + 2 {
                if !self.more() {
                    return None;
                }
            }
            body.extend(self.read.drain(..size));
            assert_eq!(self.read.drain(..2).collect::<Vec<_>>(), b"\r\n");
        }
        let mut trailers = Vec::new();
        loop {
            match self.line()? {
                line if line.is_empty() => return Some((body, trailers)),
                line => trailers.push(line),
            }
        }
    }

    /// The body that a head announces, of a request if `head` is one.
    pub(crate) fn body(&mut self, head: &Head) -> Vec<u8> {
        if head.get("transfer-encoding").is_some() {
            self.chunks().expect("the body is cut short").0
        } else if let Some(length) = head.get("content-length") {
            self.exact(length.parse().unwrap())
        } else if head.0.starts_with("HTTP/") {
            self.rest()
        } else {
            Vec::new()
        }
    }

    /// A whole answer; to HEAD with `answer_head`.
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head().expect("no answer came");
        let is_empty = matches!(head.status(), 100..=199 | 204 | 304);
        let body = if is_empty { Vec::new() } else { self.body(&head) };
        Answer { head, body }
    }

    /// Everything until the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.read)
    }

    /// Waits for the end; nothing may come before it.
    pub(crate) fn closed(&mut self) {
        let rest = self.rest();
        assert_eq!(String::from_utf8_lossy(&rest), "", "something came before the end");
    }

    /// How it ends, whatever comes before: nothing is an end in order.
    pub(crate) fn end_of(&mut self) -> Option<io::ErrorKind> {
        let mut bytes = [0; 1_024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(error.kind()),
            }
        }
    }

    /// Sends a request and reads the answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Asks with GET.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask(get(path))
    }

    /// Tears the connection down, so that the other side sees a reset.
    pub(crate) fn reset(self) {
        let socket = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        socket.unwrap();
    }
}

/// A GET request.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n")
}

/// An answer with a body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}
