//! HTTP/1.1 as far as the tests need it: one request a connection.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::DEADLINE;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|it| panic!("{it}: {self:?}"))
    }

    /// The body of an answer that must be a good one.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }
}

/// Something to ask.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a str,
}

impl<'a> Request<'a> {
    pub(crate) const fn get(target: &'a str) -> Self {
        Self { method: "GET", target, headers: &[], body: "" }
    }

    pub(crate) const fn post(target: &'a str, body: &'a str) -> Self {
        Self { method: "POST", target, headers: &[], body }
    }

    fn write(&self, stream: &mut impl Write) -> std::io::Result<()> {
        let Self { method, target, headers, body } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            text += "host: localhost\r\n";
        }
        for (name, value) in *headers {
            text.extend([*name, ": ", *value, "\r\n"]);
        }
        if *method == "POST" {
            text += "content-type: application/json\r\n";
        }
        // In one piece: a server may answer and close when it has read the head.
        text.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n", body]);
        stream.write_all(text.as_bytes())
    }

    /// Writes it; whoever has answered and closed before its end has answered.
    fn send(&self, stream: &mut impl Write) -> std::io::Result<()> {
        match self.write(stream) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

/// Asks over a Unix socket. An error means that nobody is there, or was killed before it answered.
pub(crate) fn ask(socket: &Path, request: &Request<'_>) -> std::io::Result<Response> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    request.send(&mut stream)?;
    read(stream)
}

/// Asks over TCP.
pub(crate) fn ask_tcp(address: &str, request: &Request<'_>) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    request.write(&mut stream)?;
    read(stream)
}

/// Asks a URL such as `http://127.0.0.1:20000`.
pub(crate) fn get_url(url: &str, path: &str) -> std::io::Result<Response> {
    let address = url.strip_prefix("http://").expect("a plain URL");
    ask_tcp(address, &Request::get(path))
}

/// Opens a stream of server-sent events and reads past its head.
pub(crate) fn open_stream(socket: &Path, request: &Request<'_>) -> BufReader<UnixStream> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    request.write(&mut stream).unwrap();
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader).unwrap();
    assert_eq!(status, 200, "{headers:?}");
    assert_eq!(headers.get("content-type").map(String::as_str), Some("text/event-stream"));
    reader
}

fn read(stream: impl Read) -> std::io::Result<Response> {
    let mut reader = BufReader::new(stream);
    let (status, headers) = read_head(&mut reader)?;
    let mut body = Vec::new();
    match headers.get("content-length").and_then(|it| it.parse::<u64>().ok()) {
        Some(length) => {
            reader.by_ref().take(length).read_to_end(&mut body)?;
            if body.len() as u64 != length {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        None => drop(reader.read_to_end(&mut body)?),
    }
    Ok(Response { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn read_head(
    reader: &mut impl std::io::BufRead,
) -> std::io::Result<(u16, BTreeMap<String, String>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            None => return Ok((status, headers)),
        }
    }
}
