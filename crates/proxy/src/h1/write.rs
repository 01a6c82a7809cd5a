//! Heads as they are written: to an instance, and to a client.

use std::io::Write as _;

use model::route::HeaderEdits;

use super::head::{Copies, Framing, Span};
use super::request::{RequestHead, Side};
use super::response::ResponseHead;
use crate::answer::{Wording, phrase};
use crate::h2::grpc;
use crate::says::{Received, Says, Version};
use crate::time_left::{TIMEOUT_BY, TIMEOUT_MS, TimeLeft, TimeoutBy};
use crate::trace::TraceContext;

/// No changes to headers.
pub(crate) static NO_EDITS: HeaderEdits =
    HeaderEdits { set: Vec::new(), add: Vec::new(), remove: Vec::new() };

/// What is added to a request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Onward<'a> {
    pub(crate) trace: &'a TraceContext,
    /// The time the callee has.
    pub(crate) time_left: TimeLeft,
    /// The host a request without one is for.
    pub(crate) host: &'a str,
    /// What the gateway tells about the client; nothing in the mesh.
    pub(crate) forwarded: Option<Forwarded<'a>>,
    /// The target in place of the request's own.
    pub(crate) target: Option<&'a str>,
    pub(crate) edits: &'a HeaderEdits,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarded<'a> {
    /// Its address, as text.
    pub(crate) client: &'a str,
    pub(crate) is_tls: bool,
    /// What the gateway says of itself.
    pub(crate) says: Says,
}

/// Writes the head of a request that was read from `input` for an instance.
pub(crate) fn request(out: &mut Vec<u8>, input: &[u8], head: &RequestHead, onward: &Onward<'_>) {
    let part = |it: &Span| input.get(it.clone()).unwrap_or_default();
    out.extend_from_slice(part(&head.method_name));
    out.push(b' ');
    match onward.target {
        Some(target) => out.extend_from_slice(target.as_bytes()),
        None => out.extend_from_slice(&head.target_in(input)),
    }
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    let host = head.host.as_ref().map(part).filter(|it| !it.is_empty());
    out.extend_from_slice(host.unwrap_or(onward.host.as_bytes()));
    out.extend_from_slice(b"\r\n");
    copy(out, input, &head.copies, onward.edits);
    length_anew(out, head.length_anew);
    if head.framing.get() == Framing::Chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if head.wants_trailers {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    if let Some(upgrade) = &head.upgrade {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: ");
        out.extend_from_slice(part(upgrade));
        out.extend_from_slice(b"\r\n");
    }
    if let Some(forwarded) = onward.forwarded {
        out.extend_from_slice(b"x-forwarded-for: ");
        for before in head.forwarded_for.iter().map(part).filter(|it| !it.is_empty()) {
            out.extend_from_slice(before);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(forwarded.client.as_bytes());
        out.extend_from_slice(b"\r\nx-forwarded-proto: ");
        let own: &[u8] = if forwarded.is_tls { b"https" } else { b"http" };
        out.extend_from_slice(head.forwarded_proto.as_ref().map_or(own, part));
        if let Some(host) = head.forwarded_host.as_ref().map(part).or(host) {
            out.extend_from_slice(b"\r\nx-forwarded-host: ");
            out.extend_from_slice(host);
        }
        out.extend_from_slice(b"\r\n");
        let received = Received {
            peer: forwarded.client,
            scheme: if forwarded.is_tls { "https" } else { "http" },
            host: host.unwrap_or_default(),
            version: if head.is_http10 { Version::Http10 } else { Version::Http11 },
        };
        received.write(out, forwarded.says);
    }
    out.extend_from_slice(b"traceparent: ");
    onward.trace.write_traceparent(out);
    out.extend_from_slice(b"\r\n");
    time_left(out, onward.time_left);
    if head.b3.is_some() {
        out.extend_from_slice(b"b3: ");
        onward.trace.write_b3(out);
        out.extend_from_slice(b"\r\n");
    }
    if head.b3_parts.iter().any(Option::is_some) {
        onward.trace.write_b3_parts(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes how much time the callee has.
pub(crate) fn time_left(out: &mut Vec<u8>, left: TimeLeft) {
    let millis = u64::try_from(left.time.as_millis()).unwrap_or(u64::MAX);
    out.extend_from_slice(TIMEOUT_MS.as_bytes());
    out.extend_from_slice(b": ");
    number(out, millis);
    out.extend_from_slice(b"\r\n");
    if left.by == TimeoutBy::Client {
        out.extend_from_slice(TIMEOUT_BY.as_bytes());
        out.extend_from_slice(b": client\r\n");
    }
}

/// How the client is told where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// As the instance told us.
    Same,
    /// In chunks, whatever the instance did.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// What a client is told beside what the instance said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backward<'a> {
    pub(crate) told: Told,
    /// Where the client is.
    pub(crate) side: Side,
    /// Whether the connection goes on, and whether an old client must be told that.
    pub(crate) connection: Connection,
    pub(crate) edits: &'a HeaderEdits,
    /// Lines of the gateway's own, each with its CRLF.
    pub(crate) more: &'a [u8],
}

/// What is said about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// Nothing: it goes on.
    Open,
    /// It goes on, which an old client does not expect.
    KeepAlive,
    /// It ends.
    Close,
}

impl Connection {
    /// Writes the line that says it, if one does.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Open => b"" as &[u8],
            Self::KeepAlive => b"connection: keep-alive\r\n",
            Self::Close => b"connection: close\r\n",
        });
    }
}

/// Writes the head of an answer that was read from `input` for a client.
pub(crate) fn response(out: &mut Vec<u8>, input: &[u8], head: &ResponseHead, back: &Backward<'_>) {
    let part = |it: &Span| input.get(it.clone()).unwrap_or_default();
    status_line(out, input, head);
    let copies = head.copies_for(input, back.side);
    if let (Told::Chunked | Told::Close, Some(line)) = (back.told, head.length_line()) {
        copy(out, input, &copies.without(line), back.edits);
    } else {
        copy(out, input, &copies, back.edits);
        length_anew(out, head.length_anew.filter(|_| back.told == Told::Same));
    }
    let chunked = back.told == Told::Chunked || (back.told == Told::Same && head.is_chunked());
    if chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    out.extend_from_slice(back.more);
    match &head.upgrade {
        Some(upgrade) => {
            out.extend_from_slice(match back.connection {
                Connection::Open => b"connection: upgrade\r\nupgrade: " as &[u8],
                Connection::KeepAlive => b"connection: keep-alive, upgrade\r\nupgrade: ",
                Connection::Close => b"connection: close, upgrade\r\nupgrade: ",
            });
            out.extend_from_slice(part(upgrade));
            out.extend_from_slice(b"\r\n");
        }
        None => back.connection.write(out),
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an answer before the answer (status 1xx) that was read from `input`, as one relay says it to the next:
/// what is between two parties alone is left out, as of any answer (RFC 9110, section 7.6.1).
pub(crate) fn interim(out: &mut Vec<u8>, input: &[u8], head: &ResponseHead) {
    status_line(out, input, head);
    // Nobody needs the platform's own headers there.
    copy(out, input, &head.copies_for(input, Side::Outside), &NO_EDITS);
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, input: &[u8], head: &ResponseHead) {
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(head.status));
    out.push(b' ');
    out.extend_from_slice(input.get(head.reason.clone()).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

/// Writes an answer of our own.
pub(crate) fn answer(
    out: &mut Vec<u8>,
    wording: &Wording<'_>,
    connection: Connection,
    is_head: IsHead,
) {
    let (kind, body) = wording.body();
    let status = wording.answer.status;
    put(out, format_args!("HTTP/1.1 {status} {}\r\n", phrase(status)));
    put(out, format_args!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len()));
    for (name, value) in wording.headers() {
        put(out, format_args!("{name}: {value}\r\n"));
    }
    connection.write(out);
    out.extend_from_slice(b"\r\n");
    if is_head == IsHead::No {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Writes an answer of our own to a call of this kind of gRPC. As over HTTP/2, all of it is in the head (Trailers-Only).
pub(crate) fn grpc_answer(
    out: &mut Vec<u8>,
    wording: &Wording<'_>,
    kind: &[u8],
    connection: Connection,
) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: ");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\r\ncontent-length: 0\r\n");
    for (name, value) in grpc::answer(wording) {
        put(out, format_args!("{name}: {value}\r\n"));
    }
    connection.write(out);
    out.extend_from_slice(b"\r\n");
}

/// Bytes of the body of an answer of our own.
pub(crate) fn body_length(answer: &[u8]) -> usize {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    end.map_or(0, |it| answer.len() - it - 4)
}

/// Whether a request was HEAD: its answer has no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsHead {
    Yes,
    No,
}

/// Writes an answer without a body, with these headers.
pub(crate) fn bare(
    out: &mut Vec<u8>,
    status: u16,
    headers: &[(&str, String)],
    connection: Connection,
) {
    put(out, format_args!("HTTP/1.1 {status} {}\r\n", phrase(status)));
    if status != 204 {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    for (name, value) in headers {
        put(out, format_args!("{name}: {value}\r\n"));
    }
    connection.write(out);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number in decimal, without the machinery of formatting: every request needs a few.
pub(crate) fn number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Writing to memory cannot fail.
pub(crate) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    drop(out.write_fmt(text));
}

/// Writes the length of a body that its sender wrote in an unusual way.
fn length_anew(out: &mut Vec<u8>, length: Option<u64>) {
    if let Some(length) = length {
        out.extend_from_slice(b"content-length: ");
        number(out, length);
        out.extend_from_slice(b"\r\n");
    }
}

/// Copies header lines, changed as `edits` say.
fn copy(out: &mut Vec<u8>, input: &[u8], copies: &Copies, edits: &HeaderEdits) {
    if edits.is_empty() {
        for span in copies.iter() {
            out.extend_from_slice(input.get(span.clone()).unwrap_or_default());
        }
        return;
    }
    let is_cut = |name: &[u8]| {
        let names = edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name));
        names.into_iter().any(|it| name.eq_ignore_ascii_case(it.as_bytes()))
    };
    for span in copies.iter() {
        let lines = input.get(span.clone()).unwrap_or_default();
        for line in lines.split_inclusive(|it| *it == b'\n') {
            let name = line.split(|it| *it == b':').next().unwrap_or_default();
            if !is_cut(name) {
                out.extend_from_slice(line);
            }
        }
    }
    for (name, value) in edits.set.iter().chain(&edits.add) {
        put(out, format_args!("{name}: {value}\r\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::request::Method;
    use std::time::Duration;

    const TRACE: TraceContext =
        TraceContext { trace: 0xabc, parent: Some(1), span: 0xdef, sampled: true };

    fn passed_on(text: &str, forwarded: Option<Forwarded<'_>>, target: Option<&str>) -> String {
        let side = if forwarded.is_some() { Side::Outside } else { Side::Mesh };
        passed_on_from(side, text, forwarded, target)
    }

    fn passed_on_from(
        side: Side,
        text: &str,
        forwarded: Option<Forwarded<'_>>,
        target: Option<&str>,
    ) -> String {
        let mut head = RequestHead::default();
        assert_eq!(head.read(text.as_bytes(), side), Ok(true));
        let onward = Onward {
            trace: &TRACE,
            time_left: TimeLeft { time: Duration::from_millis(750), by: TimeoutBy::Policy },
            host: "cart",
            forwarded,
            target,
            edits: &HeaderEdits::default(),
        };
        let mut out = Vec::new();
        request(&mut out, text.as_bytes(), &head, &onward);
        String::from_utf8(out).unwrap().replace('\r', "")
    }

    /// Issue 13: anybody could say who he is.
    #[test]
    fn issue_13_where_a_request_has_been_is_believed_of_trusted_proxies_alone() {
        let text = "GET /x HTTP/1.1\r\nHost: b\r\nX-Forwarded-For: 8.8.8.8\r\nX-Real-IP: 1.1.1.1\r\n\
                    X_Forwarded_For: 7.7.7.7\r\nForwarded: for=2.2.2.2\r\nX-Forwarded-For: 9.9.9.9\r\n\
                    X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 1\r\n\r\n";
        let peer = Forwarded { client: "10.0.0.1", is_tls: false, says: Says::default() };
        let lines = |side| {
            let passed = passed_on_from(side, text, Some(peer), None);
            let lines: Vec<String> = passed.lines().map(str::to_owned).collect();
            lines
                .into_iter()
                .filter(|it| it.to_lowercase().contains("for") || it.contains("IP"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines(Side::Outside),
            ["x-forwarded-for: 10.0.0.1", "x-forwarded-proto: http", "x-forwarded-host: b"]
        );
        assert_eq!(
            lines(Side::Proxied),
            [
                "X-Real-IP: 1.1.1.1",
                "Forwarded: for=2.2.2.2",
                "X-Forwarded-Port: 1",
                "x-forwarded-for: 8.8.8.8, 9.9.9.9, 10.0.0.1",
                "x-forwarded-proto: https",
                "x-forwarded-host: shop.example",
            ]
        );
    }

    #[test]
    fn requests() {
        let text = "GET http://a/x HTTP/1.1\r\nHost: b\r\nA: 1\r\nConnection: close\r\nB: 2\r\n\
                    X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nb3: 0\r\n\r\n";
        let client = Forwarded { client: "127.0.0.1", is_tls: false, says: Says::default() };
        insta::assert_snapshot!(passed_on(text, Some(client), None), @r"
        GET /x HTTP/1.1
        host: a
        A: 1
        B: 2
        x-forwarded-for: 127.0.0.1
        x-forwarded-proto: http
        x-forwarded-host: a
        traceparent: 00-00000000000000000000000000000abc-0000000000000def-01
        x-pelago-timeout-ms: 750
        b3: 00000000000000000000000000000abc-0000000000000def-1-0000000000000001
        ");
        let text = "GET / HTTP/1.0\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n";
        insta::assert_snapshot!(passed_on(text, None, Some("/y")), @r"
        GET /y HTTP/1.1
        host: cart
        X-Forwarded-For: 9.9.9.9
        traceparent: 00-00000000000000000000000000000abc-0000000000000def-01
        x-pelago-timeout-ms: 750
        ");
    }

    #[test]
    fn answers() {
        let text =
            "HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nA: 1\r\nKeep-Alive: x\r\nServer: y\r\n\r\n";
        let mut head = ResponseHead::default();
        assert_eq!(head.read(text.as_bytes(), Method::Idempotent), Ok(true));
        let edits = HeaderEdits {
            set: vec![("a".to_owned(), "2".to_owned())],
            add: Vec::new(),
            remove: vec!["server".to_owned()],
        };
        let back = Backward {
            told: Told::Chunked,
            side: Side::Outside,
            connection: Connection::Close,
            edits: &edits,
            more: b"",
        };
        let mut out = Vec::new();
        response(&mut out, text.as_bytes(), &head, &back);
        insta::assert_snapshot!(String::from_utf8(out).unwrap().replace('\r', ""), @r"
        HTTP/1.1 200 Fine
        a: 2
        transfer-encoding: chunked
        connection: close
        ");
    }
}
