//! The head of an answer, read strictly.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::head::{
    Copies, Framing, HEADERS_MAX, Limits, Lines, Span, as_http11, content_length, elements,
    is_canonical_length, is_hop_by_hop, is_own, span,
};
use super::request::{Method, Side};

/// The head of an answer. Spans are of the buffer it was read from.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct ResponseHead {
    /// How large it may be.
    pub(crate) limits: Limits,
    /// Bytes of the head, its empty line included.
    pub(crate) length: usize,
    pub(crate) status: u16,
    /// The reason phrase.
    pub(crate) reason: Span,
    pub(crate) framing: ResponseFraming,
    /// Whether the connection can be used again when the body is over.
    pub(crate) keep_alive: bool,
    /// The protocol switched to, with status 101, or that to come back with, with 426 (RFC 9110, section 15.5.22).
    pub(crate) upgrade: Option<Span>,
    pub(crate) copies: Copies,
    /// The length of the body, where it was written in an unusual way: then it is written anew.
    pub(crate) length_anew: Option<u64>,
    pub(crate) content_type: Option<Span>,
    pub(crate) has_content_encoding: bool,
    pub(crate) grpc_status: Option<Span>,
    /// Whether it has headers of the platform's own.
    has_own: bool,
    has_length: Option<Span>,
    has_transfer_encoding: bool,
    says_close: bool,
    says_keep_alive: bool,
    names: Vec<Span>,
}

/// Where an answer's body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseFraming(pub(crate) Option<Framing>);

impl ResponseFraming {
    /// The framing.
    pub(crate) fn get(self) -> Framing {
        self.0.unwrap_or(Framing::UntilClose)
    }
}

/// Whether answers with this status have no body, whatever they say (RFC 9112, section 6.3).
pub(crate) const fn is_bare(status: u16) -> bool {
    status < 200 || matches!(status, 204 | 304)
}

/// An answer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbage(pub(crate) &'static str);

impl ResponseHead {
    /// Reads the head at the beginning of `buffer`, an answer to `method`. False if more of it must come
    /// first.
    pub(crate) fn read(&mut self, buffer: &[u8], method: Method) -> Result<bool, Garbage> {
        let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut response, buffer, &mut headers);
        let length = match parsed {
            Ok(Status::Complete(length)) if length <= self.limits.bytes() => length,
            Ok(Status::Partial) if buffer.len() < self.limits.bytes() => return Ok(false),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Garbage("its head is too large"));
            }
            Err(httparse::Error::Version) => {
                let later = as_http11(buffer, b"HTTP/1.".len());
                let later = later.ok_or(Garbage("its version is not HTTP/1"))?;
                return self.read(&later, method);
            }
            Err(_) => return Err(Garbage("its head is malformed")),
        };
        let (Some(status), Some(version)) = (response.code, response.version) else {
            return Err(Garbage("its head is malformed"));
        };
        self.reset(length, status);
        let reason = response.reason.unwrap_or_default().as_bytes();
        self.reason = if reason.is_empty() { 0..0 } else { span(buffer, reason) };
        let lines = Lines { buffer, headers: response.headers, end: length };
        if !(100..=599).contains(&status) || !buffer.starts_with(b"HTTP/") {
            return Err(Garbage("its status is none"));
        }
        if !lines.frame_is_strict() {
            return Err(Garbage("a line does not end with CRLF"));
        }
        for line in lines.iter() {
            let (header, line) = line.ok_or(Garbage("a line does not end with CRLF"))?;
            self.header(buffer, header, line)?;
        }
        if !self.names.is_empty() {
            self.cut_nominated(buffer, &lines);
        }
        self.settle(method, version);
        Ok(true)
    }

    fn reset(&mut self, length: usize, status: u16) {
        let mut copies = std::mem::take(&mut self.copies);
        copies.clear();
        let mut names = std::mem::take(&mut self.names);
        names.clear();
        let limits = self.limits;
        *self = Self { limits, length, status, copies, names, ..Self::default() };
    }

    fn header(&mut self, buffer: &[u8], header: &Header<'_>, line: Span) -> Result<(), Garbage> {
        let value = header.value;
        let name = header.name.as_bytes();
        let is = |it: &str| name.eq_ignore_ascii_case(it.as_bytes());
        match name.len() {
            7 if is("upgrade") => self.upgrade = Some(span(buffer, value)),
            10 if is("connection") => {
                for option in elements(value) {
                    if option.eq_ignore_ascii_case(b"close") {
                        self.says_close = true;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        self.says_keep_alive = true;
                    } else if !is_hop_by_hop(option) {
                        self.names.push(span(buffer, option));
                    }
                }
            }
            11 if is("grpc-status") => {
                self.grpc_status = Some(span(buffer, value));
                self.copies.push(line);
            }
            12 if is("content-type") => {
                self.content_type = Some(span(buffer, value));
                self.copies.push(line);
            }
            14 if is("content-length") => {
                let length = content_length(value).ok_or(Garbage("its content-length is wrong"))?;
                if self.framing.0.replace(Framing::Length(length)).is_some() {
                    return Err(Garbage("it says twice how long it is"));
                }
                self.has_length = Some(line.clone());
                if is_canonical_length(buffer.get(line.clone()).unwrap_or_default(), value) {
                    self.copies.push(line);
                } else {
                    self.length_anew = Some(length);
                }
            }
            16 if is("content-encoding") => {
                self.has_content_encoding = true;
                self.copies.push(line);
            }
            17 if is("transfer-encoding") => {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Garbage("its transfer-encoding is not chunked"));
                }
                if self.framing.0.replace(Framing::Chunked).is_some() {
                    return Err(Garbage("it says twice how long it is"));
                }
                self.has_transfer_encoding = true;
            }
            _ if is_hop_by_hop(name) => {}
            _ => {
                self.has_own |= is_own(name);
                self.copies.push(line);
            }
        }
        Ok(())
    }

    /// The lines that are copied for whoever is on this side. Outside nobody is told what the platform says to services, also where
    /// one passes on what it was told itself.
    pub(crate) fn copies_for(&self, buffer: &[u8], side: Side) -> Cow<'_, Copies> {
        if side == Side::Mesh || !self.has_own {
            return Cow::Borrowed(&self.copies);
        }
        let mut copies = Copies::default();
        for span in self.copies.iter() {
            let mut start = span.start;
            for line in
                buffer.get(span.clone()).unwrap_or_default().split_inclusive(|it| *it == b'\n')
            {
                let end = start + line.len();
                if !is_own(line.split(|it| *it == b':').next().unwrap_or_default()) {
                    copies.push(start..end);
                }
                start = end;
            }
        }
        Cow::Owned(copies)
    }

    fn cut_nominated(&mut self, buffer: &[u8], lines: &Lines<'_, '_>) {
        let mut kept = Copies::default();
        for (header, line) in lines.iter().flatten() {
            let name = header.name.as_bytes();
            let copied = self.copies.iter().any(|it| it.start <= line.start && line.end <= it.end);
            let is_named = self
                .names
                .iter()
                .any(|it| buffer.get(it.clone()).is_some_and(|it| it.eq_ignore_ascii_case(name)));
            if copied && (!is_named || name.eq_ignore_ascii_case(b"content-length")) {
                kept.push(line);
            }
        }
        self.copies = kept;
    }

    /// What the method and the status say about the body (RFC 9112, section 6.3).
    fn settle(&mut self, method: Method, version: u8) {
        let switches =
            self.status == 101 || (method == Method::Connect && (200..300).contains(&self.status));
        let empty = method == Method::Head || switches || is_bare(self.status);
        // Where there is never a body, nothing may say where it ends (RFC 9110, section 8.6; RFC 9112, section 6.1).
        let has_none = switches || self.status < 200 || self.status == 204;
        let said = self.framing.0;
        if has_none {
            self.has_transfer_encoding = false;
            self.length_anew = None;
            if let Some(line) = self.has_length.take() {
                self.copies = self.copies.without(&line);
            }
        }
        // An instance that announces one against the rule may go on to send it.
        let may_go_on = has_none && !matches!(said, None | Some(Framing::Length(0)));
        if empty {
            self.framing.0 = Some(Framing::None);
        }
        if !matches!(self.status, 101 | 426) {
            self.upgrade = None;
        }
        let ends_by_itself = self.framing.get() != Framing::UntilClose && !switches;
        let keeps = !self.says_close && !may_go_on && (version == 1 || self.says_keep_alive);
        self.keep_alive = ends_by_itself && keeps;
    }

    /// Whether a body was announced in chunks; a HEAD request's answer says so without having one.
    pub(crate) const fn is_chunked(&self) -> bool {
        self.has_transfer_encoding
    }

    /// The line with the length of the body, if there is one.
    pub(crate) const fn length_line(&self) -> Option<&Span> {
        self.has_length.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, method: Method, expected: Result<(Framing, bool), &str>) {
        let mut head = ResponseHead::default();
        let found = head.read(text.as_bytes(), method).map(|complete| {
            assert!(complete, "{text:?}");
            (head.framing.get(), head.keep_alive)
        });
        assert_eq!(found.map_err(|it| it.0), expected, "{text:?}");
    }

    #[test]
    fn bodies_end_where_the_rules_say() {
        let get = Method::Idempotent;
        let ok = "HTTP/1.1 200 OK\r\n";
        check(&format!("{ok}Content-Length: 3\r\n\r\n"), get, Ok((Framing::Length(3), true)));
        check(&format!("{ok}Content-Length: 3\r\n\r\n"), Method::Head, Ok((Framing::None, true)));
        check(
            &format!("{ok}Transfer-Encoding: chunked\r\n\r\n"),
            get,
            Ok((Framing::Chunked, true)),
        );
        check(&format!("{ok}\r\n"), get, Ok((Framing::UntilClose, false)));
        check(&format!("{ok}\r\n"), Method::Connect, Ok((Framing::None, false)));
        check("HTTP/1.1 204 No Content\r\n\r\n", get, Ok((Framing::None, true)));
        check("HTTP/1.1 304\r\nContent-Length: 9\r\n\r\n", get, Ok((Framing::None, true)));
        check("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", get, Ok((Framing::None, false)));
        let close = "Connection: close\r\nContent-Length: 1\r\n\r\n";
        check(&format!("{ok}{close}"), get, Ok((Framing::Length(1), false)));
        // RFC 9110, section 2.5.
        let later = "HTTP/1.7 200 OK\r\nContent-Length: 1\r\n\r\n";
        check(later, get, Ok((Framing::Length(1), true)));
        let old = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n";
        check(&format!("{old}\r\n"), get, Ok((Framing::Length(1), false)));
        check(&format!("{old}Connection: keep-alive\r\n\r\n"), get, Ok((Framing::Length(1), true)));
    }

    #[test]
    fn garbage_is_called_so() {
        let get = Method::Idempotent;
        let ok = "HTTP/1.1 200 OK\r\n";
        let twice = Err("it says twice how long it is");
        check(&format!("{ok}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), get, twice);
        check(&format!("{ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), get, twice);
        let wrong = Err("its content-length is wrong");
        check(&format!("{ok}Content-Length: 1x\r\n\r\n"), get, wrong);
        let not = Err("its transfer-encoding is not chunked");
        check(&format!("{ok}Transfer-Encoding: gzip\r\n\r\n"), get, not);
        check("SSH-2.0-OpenSSH\r\n", get, Err("its version is not HTTP/1"));
        check("HTTP/2.0 200 OK\r\n\r\n", get, Err("its version is not HTTP/1"));
        check("HTTP/1.1 700 x\r\n\r\n", get, Err("its status is none"));
        check("HTTP/1.1 200 OK\nX: y\n\n", get, Err("a line does not end with CRLF"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in "HTTP/1.[01] [0-9]{3} [ -~]{0,9}\r\n([ -~]{0,20}(\r\n|\n)){0,5}\r\n",
        ) {
            let mut head = ResponseHead::default();
            for input in [&bytes[..], text.as_bytes()] {
                if head.read(input, Method::Idempotent) == Ok(true) {
                    prop_assert!(head.length <= input.len());
                    prop_assert!(head.copies.iter().all(|it| it.end <= head.length));
                }
            }
        }
    }
}
