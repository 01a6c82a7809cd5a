//! The head of a request, read strictly.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Header, Status};
use model::route::Priority;

use super::chunked::is_token;
use super::head::{
    Copies, Framing, HEADERS_MAX, Limits, Lines, Span, as_http11, content_length, elements,
    has_underscore, is_about_client, is_canonical_length, is_hop_by_hop, is_own, span, values,
};
use crate::target;
use crate::time_left::{TIMEOUT_BY, TIMEOUT_MS, TimeoutBy};

/// Where a request comes from, which says what of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// From outside, by anybody: what it says about where it has been is worth nothing.
    Outside,
    /// From outside, by a proxy that is trusted: what it says about where it has been is completed.
    Proxied,
    /// From a service, over a declared edge.
    Mesh,
}

impl Side {
    /// Whether a header is passed on as it came: from outside, nobody speaks in the platform's name, and only a proxy that is
    /// trusted says whom a request comes from.
    pub(crate) fn lets_in(self, name: &[u8]) -> bool {
        match self {
            Self::Mesh => true,
            Self::Proxied => !is_own(name) && (!has_underscore(name) || !is_about_client(name)),
            Self::Outside => !is_own(name) && !is_about_client(name),
        }
    }
}

/// The method, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// Answers to it have no body.
    Head,
    /// It asks for a tunnel.
    Connect,
    /// One that may be repeated (RFC 9110, section 9.2.2).
    #[default]
    Idempotent,
    /// Any other.
    Other,
}

impl Method {
    /// What a method's name means. Names are case-sensitive.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            "GET" | "PUT" | "DELETE" | "OPTIONS" | "TRACE" => Self::Idempotent,
            _ => Self::Other,
        }
    }

    /// Whether the request may be repeated.
    pub(crate) const fn is_idempotent(self) -> bool {
        matches!(self, Self::Head | Self::Idempotent)
    }
}

/// The head of a request: what it says that matters, and what is copied. Spans are of the buffer it was
/// read from.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct RequestHead {
    /// How large it may be.
    pub(crate) limits: Limits,
    /// Bytes of the head, its empty line included.
    pub(crate) length: usize,
    pub(crate) method: Method,
    pub(crate) method_name: Span,
    /// The target in origin form, `*`, or authority form for CONNECT; without a path in front where the absolute form had
    /// none. What is passed on is said by [`Self::target_in`].
    pub(crate) target: Span,
    pub(crate) host: Option<Span>,
    pub(crate) is_http10: bool,
    pub(crate) framing: RequestFraming,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) wants_trailers: bool,
    /// The protocol asked for, if an upgrade is.
    pub(crate) upgrade: Option<Span>,
    pub(crate) copies: Copies,
    /// The length of the body, where it was written in an unusual way: then it is written anew.
    pub(crate) length_anew: Option<u64>,
    /// Where it says that it has been, line by line; only from a proxy that is trusted.
    pub(crate) forwarded_for: Vec<Span>,
    pub(crate) forwarded_host: Option<Span>,
    pub(crate) forwarded_proto: Option<Span>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) timeout_by: TimeoutBy,
    pub(crate) priority: Option<Priority>,
    pub(crate) traceparent: Option<Span>,
    pub(crate) b3: Option<Span>,
    pub(crate) b3_parts: [Option<Span>; 3],
    connection_names: Vec<Span>,
    has_transfer_encoding: bool,
    wants_upgrade: bool,
    says_close: bool,
    says_keep_alive: bool,
    cut: Vec<Span>,
}

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestFraming(pub(crate) Option<Framing>);

impl RequestFraming {
    /// The framing.
    pub(crate) fn get(self) -> Framing {
        self.0.unwrap_or(Framing::None)
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// The status of the answer.
    pub(crate) status: u16,
    /// What is wrong, in a few words.
    pub(crate) what: &'static str,
}

const fn bad(what: &'static str) -> Rejected {
    Rejected { status: 400, what }
}

impl RequestHead {
    /// Reads the head at the beginning of `buffer`. False if more of it must come first.
    pub(crate) fn read(&mut self, buffer: &[u8], side: Side) -> Result<bool, Rejected> {
        let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(buffer, &mut headers) {
            Ok(Status::Complete(length)) if length <= self.limits.bytes() => length,
            Ok(Status::Partial) if buffer.len() < self.limits.bytes() => return Ok(false),
            // Not even the request line is whole (RFC 9112, section 3).
            Ok(Status::Partial) if !buffer.contains(&b'\n') => {
                return Err(Rejected { status: 414, what: "the target is too long" });
            }
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Rejected { status: 431, what: "the head is too large" });
            }
            Err(httparse::Error::Version) => {
                let line = buffer.split(|it| matches!(it, b'\r' | b'\n')).next();
                let later = as_http11(buffer, line.map_or(0, <[u8]>::len).saturating_sub(1));
                let what = "the version is not HTTP/1";
                let later = later.ok_or(Rejected { status: 505, what })?;
                return self.read(&later, side);
            }
            Err(httparse::Error::Token) => return Err(bad("the request line is malformed")),
            Err(_) => return Err(bad("a header is malformed")),
        };
        let (Some(method), Some(target), Some(version)) =
            (request.method, request.path, request.version)
        else {
            return Err(bad("the request line is malformed"));
        };
        self.reset(length);
        self.is_http10 = version == 0;
        self.method = Method::of(method);
        self.method_name = span(buffer, method.as_bytes());
        if self.method_name.start != 0 {
            return Err(bad("the head does not begin with a method"));
        }
        let lines = Lines { buffer, headers: request.headers, end: length };
        if !lines.frame_is_strict() {
            return Err(bad("a line does not end with CRLF"));
        }
        for line in lines.iter() {
            let (header, line) = line.ok_or_else(|| bad("a line does not end with CRLF"))?;
            self.header(buffer, header, line, side)?;
        }
        self.read_target(buffer, target)?;
        self.settle(buffer, &lines)?;
        Ok(true)
    }

    fn reset(&mut self, length: usize) {
        let mut copies = std::mem::take(&mut self.copies);
        copies.clear();
        let mut connection_names = std::mem::take(&mut self.connection_names);
        connection_names.clear();
        let mut cut = std::mem::take(&mut self.cut);
        cut.clear();
        let mut forwarded_for = std::mem::take(&mut self.forwarded_for);
        forwarded_for.clear();
        let limits = self.limits;
        *self = Self {
            limits,
            length,
            copies,
            forwarded_for,
            connection_names,
            cut,
            ..Self::default()
        };
    }

    /// Takes one header in: most are copied.
    fn header(
        &mut self,
        buffer: &[u8],
        header: &Header<'_>,
        line: Span,
        side: Side,
    ) -> Result<(), Rejected> {
        let value = header.value;
        let name = header.name.as_bytes();
        let is = |it: &str| name.eq_ignore_ascii_case(it.as_bytes());
        match name.len() {
            2 if is("te") => {
                self.wants_trailers |=
                    elements(value).any(|it| it.eq_ignore_ascii_case(b"trailers"));
            }
            4 if is("host") => {
                if self.host.replace(span(buffer, value)).is_some() {
                    return Err(bad("there are two host headers"));
                }
                // It stays first, and is written anew with an absolute target.
            }
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Rejected {
                        status: 417,
                        what: "only 100-continue can be expected",
                    });
                }
                self.expects_continue = true;
                self.copies.push(line);
            }
            7 if is("upgrade") => self.upgrade = Some(span(buffer, value)),
            10 if is("connection") => self.connection(buffer, value)?,
            14 if is("content-length") => self.content_length(buffer, value, line)?,
            14 if is("http2-settings") => {}
            15 if is("x-forwarded-for") && side == Side::Proxied => {
                self.forwarded_for.push(span(buffer, value));
            }
            16 if is("x-forwarded-host") && side == Side::Proxied => {
                self.forwarded_host.get_or_insert(span(buffer, value));
            }
            17 if is("x-forwarded-proto") && side == Side::Proxied => {
                self.forwarded_proto.get_or_insert(span(buffer, value));
            }
            17 if is("transfer-encoding") => {
                if self.is_http10 || self.has_transfer_encoding {
                    return Err(bad("transfer-encoding is in HTTP/1.0, or twice"));
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Rejected { status: 501, what: "only chunked is understood" });
                }
                self.has_transfer_encoding = true;
                if self.framing.0.replace(Framing::Chunked).is_some() {
                    return Err(bad("there are two headers that say how long the body is"));
                }
            }
            _ if !side.lets_in(name) => {}
            17 if is("x-pelago-priority") => {
                self.priority = priority(value);
                self.copies.push(line);
            }
            19 if is(TIMEOUT_MS) => self.timeout_ms = content_length(value),
            19 if is(TIMEOUT_BY) => self.timeout_by = TimeoutBy::of(value),
            2 | 11 | 12 | 17 if self.trace(name, span(buffer, value)) => {}
            _ if is_hop_by_hop(name) => {}
            _ => self.copies.push(line),
        }
        Ok(())
    }

    fn content_length(&mut self, buffer: &[u8], value: &[u8], line: Span) -> Result<(), Rejected> {
        let length = content_length(value).ok_or_else(|| bad("content-length is wrong"))?;
        // Said twice alike, it is passed on once (RFC 9110, section 8.6).
        if self.framing.0 == Some(Framing::Length(length)) {
            return Ok(());
        }
        if self.framing.0.replace(Framing::Length(length)).is_some() {
            return Err(bad("there are two headers that say how long the body is"));
        }
        if is_canonical_length(buffer.get(line.clone()).unwrap_or_default(), value) {
            self.copies.push(line);
        } else {
            self.length_anew = Some(length);
        }
        Ok(())
    }

    /// Takes in what a header says about the trace. False if it says nothing about one.
    fn trace(&mut self, name: &[u8], value: Span) -> bool {
        let is = |it: &str| name.eq_ignore_ascii_case(it.as_bytes());
        let place = match name.len() {
            2 if is("b3") => &mut self.b3,
            11 if is("traceparent") => &mut self.traceparent,
            11 if is("x-b3-spanid") => &mut self.b3_parts[1],
            12 if is("x-b3-traceid") => &mut self.b3_parts[0],
            12 if is("x-b3-sampled") => &mut self.b3_parts[2],
            // It is written anew.
            17 => return is("x-b3-parentspanid"),
            _ => return false,
        };
        *place = Some(value);
        true
    }

    fn connection(&mut self, buffer: &[u8], value: &[u8]) -> Result<(), Rejected> {
        for option in elements(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.says_close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.says_keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.wants_upgrade = true;
            } else if !option.iter().all(|it| is_token(*it)) {
                return Err(bad("connection has something that is no name"));
            } else if !is_hop_by_hop(option) {
                self.connection_names.push(span(buffer, option));
            }
        }
        Ok(())
    }

    /// The target: origin form is usual, absolute form says the host itself (RFC 9112, section 3.2).
    fn read_target(&mut self, buffer: &[u8], target: &str) -> Result<(), Rejected> {
        target::check(target.as_bytes(), self.limits)?;
        self.target = span(buffer, target.as_bytes());
        if self.method == Method::Connect {
            let has_port = target.rsplit_once(':').is_some_and(|(host, port)| {
                is_host(host.as_bytes()) && port.bytes().all(|it| it.is_ascii_digit())
            });
            return if has_port { Ok(()) } else { Err(bad("CONNECT needs a host and a port")) };
        }
        if target::is_path(target.as_bytes(), self.method_in(buffer)) {
            return Ok(());
        }
        let scheme = ["http://", "https://"]
            .into_iter()
            .find(|it| target.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it)));
        let scheme = scheme.ok_or_else(|| bad("the target is no path"))?;
        let rest = self.target.start + scheme.len();
        let end = self.target.end;
        let authority = buffer.get(rest..end).unwrap_or_default();
        let path = authority.iter().position(|it| matches!(it, b'/' | b'?'));
        let path = path.map_or(end, |it| rest + it);
        if rest == path {
            return Err(bad("the target has no host"));
        }
        self.host = Some(rest..path);
        self.target = path..end;
        Ok(())
    }

    fn method_in<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        buffer.get(self.method_name.clone()).unwrap_or_default()
    }

    /// The target as it is passed on. In absolute form it may have no path: then that is the root (RFC 9110, section 4.2.3),
    /// or the server itself for OPTIONS (RFC 9112, section 3.2.4).
    pub(crate) fn target_in<'b>(&self, buffer: &'b [u8]) -> Cow<'b, [u8]> {
        match buffer.get(self.target.clone()).unwrap_or_default() {
            b"" if self.method_in(buffer) == b"OPTIONS" => Cow::Borrowed(b"*"),
            b"" => Cow::Borrowed(b"/"),
            query if query.starts_with(b"?") => Cow::Owned([b"/", query].concat()),
            target => Cow::Borrowed(target),
        }
    }

    /// What only all headers together say.
    fn settle(&mut self, buffer: &[u8], lines: &Lines<'_, '_>) -> Result<(), Rejected> {
        match &self.host {
            None if !self.is_http10 => return Err(bad("there is no host header")),
            Some(host) if !is_host(buffer.get(host.clone()).unwrap_or_default()) => {
                return Err(bad("the host is malformed"));
            }
            _ => {}
        }
        self.keep_alive = !self.says_close && (!self.is_http10 || self.says_keep_alive);
        if !self.wants_upgrade || self.is_http10 || self.is_h2c(buffer) {
            self.upgrade = None;
        }
        if self.expects_continue && self.is_http10 {
            self.expects_continue = false;
        }
        if !self.connection_names.is_empty() {
            self.cut_nominated(buffer, lines);
        }
        Ok(())
    }

    /// Nobody who asks for an upgrade to HTTP/2 minds going on with HTTP/1.1 (RFC 9113 dropped it).
    fn is_h2c(&self, buffer: &[u8]) -> bool {
        let value = self.upgrade.clone().and_then(|it| buffer.get(it)).unwrap_or_default();
        elements(value).any(|it| it.eq_ignore_ascii_case(b"h2c"))
    }

    /// Takes out the lines that `connection` names. What says where the message ends, or whom it is for, is
    /// not to be talked away.
    fn cut_nominated(&mut self, buffer: &[u8], lines: &Lines<'_, '_>) {
        const KEPT: [&[u8]; 3] = [b"content-length", b"host", b"expect"];
        for (header, line) in lines.iter().flatten() {
            let name = header.name.as_bytes();
            let mut names = self.connection_names.iter();
            let is_named = names
                .any(|it| buffer.get(it.clone()).is_some_and(|it| it.eq_ignore_ascii_case(name)));
            if is_named && !KEPT.iter().any(|it| it.eq_ignore_ascii_case(name)) {
                self.cut.push(line);
            }
        }
        let mut kept = Copies::default();
        for (_, line) in lines.iter().flatten() {
            let copied = self.copies.iter().any(|it| it.start <= line.start && line.end <= it.end);
            if copied && !self.cut.contains(&line) {
                kept.push(line);
            }
        }
        self.copies = kept;
    }

    /// The value of a header of a request that was read from `buffer`.
    pub(crate) fn find<'b>(&self, buffer: &'b [u8], name: &str) -> Option<&'b [u8]> {
        values(buffer.get(..self.length)?, name).next()
    }

    /// The value of a cookie.
    pub(crate) fn cookie<'b>(&self, buffer: &'b [u8], name: &str) -> Option<&'b [u8]> {
        cookie(self.find(buffer, "cookie")?, name)
    }
}

/// The value of a cookie in a `cookie` header (RFC 6265, section 4.2.1).
pub(crate) fn cookie<'b>(header: &'b [u8], name: &str) -> Option<&'b [u8]> {
    header.split(|it| *it == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|it| *it == b'=')?;
        (pair.get(..equals)? == name.as_bytes()).then(|| pair.get(equals + 1..))?
    })
}

/// The priority a caller gives its request.
pub(crate) fn priority(value: &[u8]) -> Option<Priority> {
    Some(match value {
        b"critical" => Priority::Critical,
        b"normal" => Priority::Normal,
        b"low" => Priority::Low,
        b"sheddable" => Priority::Sheddable,
        _ => return None,
    })
}

/// Characters of a host and its port (RFC 3986, section 3.2), without user information.
pub(crate) fn is_host(host: &[u8]) -> bool {
    host.iter().all(|it| it.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(it))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::string_slice, reason = "the texts are ASCII")]

    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<RequestHead>, Rejected> {
        let mut head = RequestHead::default();
        Ok(head.read(text.as_bytes(), Side::Outside)?.then_some(head))
    }

    fn copied(text: &str) -> String {
        let head = read(text).unwrap().unwrap();
        head.copies.iter().map(|it| text[it.clone()].to_owned()).collect()
    }

    #[test]
    fn a_usual_request() {
        let text = "POST /a/b?c=d HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\nContent-Length: 5\r\n\
                    Connection: keep-alive\r\nCookie: a=1; b=2\r\n\r\nhello";
        let head = read(text).unwrap().unwrap();
        assert_eq!((head.length, &text[head.target.clone()]), (text.len() - 5, "/a/b?c=d"));
        assert_eq!(head.host.clone().map(|it| &text[it]), Some("shop"));
        assert_eq!(head.framing.get(), Framing::Length(5));
        assert!(head.keep_alive && !head.method.is_idempotent());
        assert_eq!(head.cookie(text.as_bytes(), "b"), Some(&b"2"[..]));
        assert_eq!(head.find(text.as_bytes(), "ACCEPT"), Some(&b"*/*"[..]));
        assert_eq!(copied(text), "Accept: */*\r\nContent-Length: 5\r\nCookie: a=1; b=2\r\n");
        for cut in 0..head.length {
            assert!(read(&text[..cut]).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn what_is_between_two_parties_is_not_copied() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop, content-length\r\nX-Hop: 1\r\n\
                    Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: x\r\nX: y\r\n\
                    Content-Length: 0\r\n\r\n";
        assert_eq!(copied(text), "X: y\r\nContent-Length: 0\r\n");
        let head = read(text).unwrap().unwrap();
        assert!(!head.keep_alive && head.wants_trailers);
    }

    #[test]
    fn targets() {
        let absolute = "GET HTTP://shop:80/x?y HTTP/1.1\r\nHost: other\r\n\r\n";
        let head = read(absolute).unwrap().unwrap();
        assert_eq!(&absolute[head.target.clone()], "/x?y");
        assert_eq!(&absolute[head.host.unwrap()], "shop:80");
        assert!(read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
        assert!(read("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
        for target in [
            "*",
            "x",
            "ftp://a/",
            "/a#b",
            "http://",
            "http:///x",
            "http://?x",
            "http://u@a/",
            "/\u{e4}",
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(read(&text).unwrap_err().status, 400, "{target}");
        }
    }

    /// RFC 9110, section 4.2.3, and RFC 9112, sections 3.2.2 and 3.2.4: an empty path is the root, and of the server itself
    /// the last proxy asks with an asterisk.
    #[test]
    fn issue_13_a_target_without_a_path_is_the_root() {
        for (line, expected) in [
            ("GET http://shop", "/"),
            ("GET HTTPS://shop:8443?x=/y", "/?x=/y"),
            ("GET http://shop/?x", "/?x"),
            ("OPTIONS http://shop", "*"),
            ("OPTIONS http://shop/", "/"),
            ("OPTIONS http://shop?x", "/?x"),
            ("OPTIONS *", "*"),
        ] {
            let text = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
            let head = read(&text).unwrap().unwrap();
            assert_eq!(&*head.target_in(text.as_bytes()), expected.as_bytes(), "{line}");
        }
    }

    /// RFC 9110, section 8.6: twice the same is once.
    #[test]
    fn issue_13_a_length_that_is_said_twice_alike_is_passed_on_once() {
        let text =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nA: 1\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(read(text).unwrap().unwrap().framing.get(), Framing::Length(5));
        assert_eq!(copied(text), "Content-Length: 5\r\nA: 1\r\n");
    }

    /// RFC 9110, section 8.6: one way to write a length, so that nobody reads another.
    #[test]
    fn issue_13_a_length_is_passed_on_in_one_way() {
        for (line, is_copied) in [
            ("Content-Length: 5", true),
            ("content-length: 0", true),
            ("Content-Length: 005", false),
            ("Content-Length: 00", false),
            ("Content-Length:5", false),
            ("Content-Length:  5", false),
            ("Content-Length: 5 ", false),
            ("Content-Length:\t5", false),
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\nA: 1\r\n{line}\r\nB: 2\r\n\r\n");
            let head = read(&text).unwrap().unwrap();
            let Framing::Length(length) = head.framing.get() else { panic!("{line}") };
            assert_eq!(head.length_anew, (!is_copied).then_some(length), "{line}");
            assert_eq!(
                copied(&text).to_lowercase().contains("content-length"),
                is_copied,
                "{line}"
            );
        }
    }

    /// RFC 9110, section 2.5: a later minor version is read as the latest that is known.
    #[test]
    fn issue_13_a_later_minor_version_is_read_as_the_latest_known() {
        let text = "GET /a HTTP/1.2\r\nHost: a\r\nX: HTTP/1.3\r\n\r\n";
        let head = read(text).unwrap().unwrap();
        assert!(head.keep_alive && !head.is_http10);
        assert_eq!((&text[head.target.clone()], copied(text).as_str()), ("/a", "X: HTTP/1.3\r\n"));
        for cut in 0..head.length {
            assert!(read(&text[..cut]).unwrap().is_none(), "{cut}");
        }
        for version in
            ["HTTP/2.0", "HTTP/2", "HTTP/0.9", "HTTP/3.0", "http/1.2", "HTTP/12", "HTTP/1.x"]
        {
            let text = format!("GET / {version}\r\nHost: a\r\n\r\n");
            let status = read(&text).unwrap_err().status;
            assert_eq!(status, 505, "{version}");
        }
    }

    /// The cases of the smuggling literature: each is read in two ways by some pair of servers.
    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (headers, status) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
            ("Content-Length: 5\r\nContent-Length: 6", 400),
            ("Content-Length: 5, 5", 400),
            ("Content-Length: +5", 400),
            ("Content-Length:", 400),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: identity", 501),
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Transfer-Encoding: chunked, identity", 501),
            ("Transfer-Encoding: \u{b}chunked", 400),
            ("Transfer-Encoding : chunked", 400),
            ("Content-Length : 5", 400),
            ("X: a\nTransfer-Encoding: chunked", 400),
            ("X: a\r\n folded", 400),
            ("Host: b", 400),
            ("X\0: y", 400),
            ("X: y\0", 400),
            ("X: a\rY: b", 400),
            (": y", 400),
            ("no colon", 400),
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
            assert_eq!(read(&text).map(|_| ()).map_err(|it| it.status), Err(status), "{headers:?}");
        }
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
            ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 505),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
        ] {
            assert_eq!(read(text).map(|_| ()).map_err(|it| it.status), Err(status), "{text:?}");
        }
        let many = "X: y\r\n".repeat(HEADERS_MAX);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
        assert_eq!(read(&many).unwrap_err().status, 431);
        let limits = Limits::default();
        let long = "x".repeat(limits.target_bytes());
        let long = format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(read(&long).unwrap_err().status, 414);
        let large = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(limits.bytes()));
        assert_eq!(read(&large).unwrap_err().status, 431);
        let target = format!("GET /{}", "x".repeat(limits.bytes()));
        assert_eq!(read(&target).unwrap_err().status, 414);
        // Whole, and larger than it may be all the same.
        assert_eq!(read(&format!("{large}\r\nHost: a\r\n\r\n")).unwrap_err().status, 431);
    }

    #[test]
    fn an_old_client_keeps_its_connection_only_if_it_says_so() {
        assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().keep_alive);
        let text = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
        assert!(read(text).unwrap().unwrap().keep_alive);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in "(GET|POST) [ -~]{0,9} HTTP/1.[01]\r\n([ -~]{0,20}(\r\n|\n)){0,5}\r\n",
        ) {
            let mut head = RequestHead::default();
            for input in [&bytes[..], text.as_bytes()] {
                if head.read(input, Side::Mesh) == Ok(true) {
                    prop_assert!(head.length <= input.len());
                    prop_assert!(head.copies.iter().all(|it| it.end <= head.length));
                }
            }
        }
    }
}
