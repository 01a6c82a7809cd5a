//! As much of HTTP/1.1 as one service needs: requests and answers with a length, or in chunks where
//! they come from others; everything bounded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Bytes of a line, lines of a head, bytes of a body.
const LINE_MAX: u64 = 8 << 10;
const LINES_MAX: usize = 100;
const BODY_MAX: usize = 1 << 20;

/// Time for a call: above what the mesh allows, which answers first and says why.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// Headers that make one trace of a request and the calls made for it.
const PASSED_ON: [&str; 5] = ["traceparent", "tracestate", "baggage", "b3", "x-request-id"];

pub type Error = Box<dyn std::error::Error + Send + Sync>;

pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
    /// Whether the connection ends with it.
    pub close: bool,
    headers: Vec<(String, String)>,
}

pub struct Response {
    pub status: u16,
    pub body: String,
}

/// The next request on a connection, or none at its end.
pub fn read_request(reader: &mut impl BufRead) -> Result<Option<Request>, Error> {
    let line = read_line(reader)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err("not a request".into());
    };
    let headers = read_headers(reader)?;
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let close = find(&headers, "connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
    let body = read_body(reader, &headers, 0)?;
    Ok(Some(Request { method: method.to_owned(), path, body, close, headers }))
}

pub fn write_response(mut stream: &TcpStream, response: &Response) -> Result<(), Error> {
    let reason = match response.status {
        200 => "OK",
        404 => "Not Found",
        _ => "Bad Gateway",
    };
    let Response { status, body } = response;
    let text = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(stream.write_all(text.as_bytes())?)
}

/// Sends the body of `cause`, and the headers of its trace, to `path` at `url`.
pub fn post(url: &str, path: &str, cause: &Request) -> Result<Response, Error> {
    let authority = url.strip_prefix("http://").ok_or("its URL does not begin with http://")?;
    let (authority, prefix) = authority.split_once('/').unwrap_or((authority, ""));
    let with_port =
        if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let address = with_port.to_socket_addrs()?.next().ok_or("its host has no address")?;
    let stream = TcpStream::connect_timeout(&address, CALL_TIMEOUT)?;
    stream.set_read_timeout(Some(CALL_TIMEOUT))?;
    stream.set_write_timeout(Some(CALL_TIMEOUT))?;
    stream.set_nodelay(true)?;

    let base = if prefix.is_empty() {
        String::new()
    } else {
        format!("/{}", prefix.trim_end_matches('/'))
    };
    let mut head = format!(
        "POST {base}{path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n",
        cause.body.len()
    );
    for name in PASSED_ON {
        if let Some(value) = find(&cause.headers, name) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str("\r\n");
    let mut message = head.into_bytes();
    message.extend_from_slice(&cause.body);
    (&stream).write_all(&message)?;

    let mut reader = BufReader::new(&stream);
    let line = read_line(&mut reader)?;
    let status = line.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or("not an answer")?;
    let headers = read_headers(&mut reader)?;
    let body = read_body(&mut reader, &headers, BODY_MAX)?;
    Ok(Response { status, body: String::from_utf8_lossy(&body).into_owned() })
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
}

/// A line without its end; empty at the end of the connection.
fn read_line(reader: &mut impl BufRead) -> Result<String, Error> {
    let mut line = String::new();
    reader.by_ref().take(LINE_MAX).read_line(&mut line)?;
    if !line.is_empty() && !line.ends_with('\n') {
        return Err("a line is too long, or cut off".into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_headers(reader: &mut impl BufRead) -> Result<Vec<(String, String)>, Error> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or("not a header")?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        if LINES_MAX < headers.len() {
            return Err("too many headers".into());
        }
    }
}

/// A body by its length or its chunks; without either what follows, up to `otherwise` bytes.
fn read_body(
    reader: &mut impl BufRead,
    headers: &[(String, String)],
    otherwise: usize,
) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let mut read = |reader: &mut dyn BufRead, length: usize| {
        if BODY_MAX - body.len() < length {
            return Err(Error::from("a body is too large"));
        }
        let begin = body.len();
        body.resize(begin + length, 0);
        Ok(reader.read_exact(&mut body[begin..])?)
    };
    if find(headers, "transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = read_line(reader)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16)?;
            read(reader, length)?;
            read_line(reader)?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
    match find(headers, "content-length") {
        Some(length) => read(reader, length.parse()?)?,
        None => drop(reader.take(otherwise as u64).read_to_end(&mut body)?),
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, body: Option<&str>) {
        let read = read_request(&mut text.as_bytes());
        let found = read.ok().flatten().map(|it| String::from_utf8_lossy(&it.body).into_owned());
        assert_eq!(found.as_deref(), body, "{text}");
    }

    #[test]
    fn bodies_have_a_length_or_chunks() {
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcdef", Some("abc"));
        check("GET / HTTP/1.1\r\n\r\n", Some(""));
        check(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            Some("abc"),
        );
        check("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", None);
        check(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\nffffffffffffffff\r\n",
            None,
        );
        check("nonsense\r\n\r\n", None);
        check("", None);
    }
}
