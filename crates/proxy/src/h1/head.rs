//! What request and response heads have in common: lines, limits, framing.

use std::ops::Range;

use model::heads::HeadSize;

/// Headers a head may have, as in `HAProxy` (101) and Apache httpd (100).
pub(crate) const HEADERS_MAX: usize = 100;

/// How large a head may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits(HeadSize);

impl Limits {
    pub(crate) const fn new(size: HeadSize) -> Self {
        Self(size)
    }

    /// Bytes of it.
    pub(crate) fn bytes(self) -> usize {
        self.0.bytes()
    }

    /// Bytes of a request's target: a half, which is usually what nginx's `large_client_header_buffers` allow.
    pub(crate) fn target_bytes(self) -> usize {
        self.bytes() / 2
    }

    /// Bytes as HTTP/2 counts them, which are 32 more for each header (RFC 9113, section 6.5.2): as many as the longest
    /// head over HTTP/1.1 may have. What is longer is refused by the protocol's library.
    pub(crate) fn list_bytes(self) -> u32 {
        u32::try_from(self.bytes() + 32 * (HEADERS_MAX + 4)).unwrap_or(u32::MAX)
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// Where the connection does; responses only.
    UntilClose,
}

/// A range of a buffer's bytes.
pub(crate) type Span = Range<usize>;

/// Header lines that are copied as they are: neighbours are one span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copies(Vec<Span>);

impl Copies {
    /// Adds a line.
    pub(crate) fn push(&mut self, line: Span) {
        match self.0.last_mut() {
            Some(last) if last.end == line.start => last.end = line.end,
            _ => self.0.push(line),
        }
    }

    /// The lines, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }

    /// The same without a line.
    pub(crate) fn without(&self, line: &Span) -> Self {
        let mut left = Self::default();
        for span in self.iter() {
            if span.start <= line.start && line.end <= span.end {
                for part in [span.start..line.start, line.end..span.end] {
                    if !part.is_empty() {
                        left.push(part);
                    }
                }
            } else {
                left.push(span.clone());
            }
        }
        left
    }

    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The parsed headers of a head with the span of each one's line.
pub(crate) struct Lines<'b, 'h> {
    pub(crate) buffer: &'b [u8],
    pub(crate) headers: &'h [httparse::Header<'b>],
    pub(crate) end: usize,
}

impl<'b, 'h> Lines<'b, 'h> {
    /// Each header with its line. Nothing if a line ends with a bare LF: one party may see two lines
    /// where another sees one.
    pub(crate) fn iter(
        &self,
    ) -> impl Iterator<Item = Option<(&'h httparse::Header<'b>, Span)>> + use<'_, 'b, 'h> {
        let starts = self.headers.iter().map(|it| offset(self.buffer, it.name.as_bytes()));
        let ends = starts.clone().skip(1).chain(std::iter::once(self.end.saturating_sub(2)));
        self.headers.iter().zip(starts.zip(ends)).map(|(header, (start, end))| {
            ends_with_crlf(self.buffer, end).then_some((header, start..end))
        })
    }

    /// Whether the line before the first header, and the empty line, end as they should.
    pub(crate) fn frame_is_strict(&self) -> bool {
        let first = self.headers.first().map(|it| offset(self.buffer, it.name.as_bytes()));
        ends_with_crlf(self.buffer, self.end)
            && ends_with_crlf(self.buffer, first.unwrap_or(self.end.saturating_sub(2)))
    }
}

fn ends_with_crlf(buffer: &[u8], end: usize) -> bool {
    buffer.get(..end).is_some_and(|it| it.ends_with(b"\r\n"))
}

/// Where `part`, a slice of `buffer`, begins in it.
fn offset(buffer: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize)
}

/// Which bytes of `buffer` its slice `part` is.
pub(crate) fn span(buffer: &[u8], part: &[u8]) -> Span {
    let start = offset(buffer, part);
    start..start + part.len()
}

/// A head of a later HTTP/1 as one of HTTP/1.1, which is how it is to be read (RFC 9110, section 2.5); nothing if it is none.
/// `minor` is where the last digit of its version stands.
pub(crate) fn as_http11(buffer: &[u8], minor: usize) -> Option<Vec<u8>> {
    let version = buffer.get(minor.checked_sub(b"HTTP/1.".len())?..=minor)?;
    if !version.starts_with(b"HTTP/1.") || !matches!(version.last(), Some(b'2'..=b'9')) {
        return None;
    }
    let mut copy = buffer.to_vec();
    *copy.get_mut(minor)? = b'1';
    Some(copy)
}

/// A `content-length` as strict as RFC 9110, section 8.6: digits only, once.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    // 19 digits are below 2^64.
    if value.is_empty() || 19 < value.len() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// Whether a line with the length of a body is written in the one way that every reader takes for the same: no white space but
/// what is usual, no zeros in front.
pub(crate) fn is_canonical_length(line: &[u8], value: &[u8]) -> bool {
    let usual = b"content-length: \r\n".len() + value.len();
    let is_usual = line.len() == usual && line.get(14..16) == Some(b": ");
    is_usual && (value.len() == 1 || !value.starts_with(b"0"))
}

/// The elements of a comma-separated list, without white space around them.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|it| *it == b',').map(<[u8]>::trim_ascii).filter(|it| !it.is_empty())
}

/// Whether a header of this name is between two parties alone (RFC 9110, section 7.6.1) and is never
/// passed on, whatever `connection` says.
pub(crate) fn is_hop_by_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    ];
    NAMES.iter().any(|it| it.eq_ignore_ascii_case(name))
}

/// Whether a field may stand behind a body. Many programs merge what stands there into the headers; so what says where a message
/// ends, whom it is for, who sends it, what its content is, or how to treat it does not (RFC 9110, section 6.5.1).
pub(crate) fn may_trail(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 25] = [
        b"age",
        b"authentication-info",
        b"authorization",
        b"cache-control",
        b"cookie",
        b"date",
        b"expect",
        b"expires",
        b"host",
        b"http2-settings",
        b"location",
        b"max-forwards",
        b"pragma",
        b"proxy-authentication-info",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"tracestate",
        b"traceparent",
        b"trailer",
        b"vary",
        b"via",
        b"warning",
        b"www-authenticate",
        b"x-http-method-override",
    ];
    let begins =
        |with: &[u8]| name.get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with));
    let is_told = begins(b"content-") || begins(b"if-") || begins(b"access-control-");
    let is_named = NAMES.iter().any(|it| it.eq_ignore_ascii_case(name));
    !(is_told || is_named || is_hop_by_hop(name) || is_own(name) || is_about_client(name))
}

/// What the names of headers of the platform's own begin with.
const OWN: &[u8] = b"x-pelago-";

/// Whether a header is one of the platform's own, which says something inside the mesh and nothing when it comes from
/// outside. Names with underscores count as well: programs behind CGI or WSGI cannot tell them apart.
pub(crate) fn is_own(name: &[u8]) -> bool {
    let same =
        |(it, own): (&u8, &u8)| it.eq_ignore_ascii_case(own) || (*own == b'-' && *it == b'_');
    name.len() > OWN.len() && name.iter().zip(OWN).all(same)
}

/// Whether a header says whom a request comes from, and how: `x-forwarded-for` and its kin, of which proxies believe one or the
/// other. Names with underscores count as well.
pub(crate) fn is_about_client(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"x-original-host",
        b"x-original-forwarded-for",
    ];
    const FORWARDED: &[u8] = b"x-forwarded-";
    let same =
        |(it, own): (&u8, &u8)| it.eq_ignore_ascii_case(own) || (*own == b'-' && *it == b'_');
    let begins = |own: &[u8]| own.len() <= name.len() && name.iter().zip(own).all(same);
    begins(FORWARDED) || NAMES.iter().any(|it| it.len() == name.len() && begins(it))
}

/// Whether a name has an underscore in it, where programs behind CGI or WSGI see a hyphen.
pub(crate) fn has_underscore(name: &[u8]) -> bool {
    name.contains(&b'_')
}

/// The values of every header of a name in a head, whole lines each.
pub(crate) fn values<'a>(head: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    head.split(|it| *it == b'\n').skip(1).filter_map(move |line| {
        let colon = line.iter().position(|it| *it == b':')?;
        let (found, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        found.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        for text in ["", "+5", "-1", " 5", "5 ", "0x5", "5, 5", "5;", "18446744073709551616"] {
            assert_eq!(content_length(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn issue_13_headers_of_the_platforms_own() {
        for name in
            ["x-pelago-timeout-ms", "X-Pelago-Priority", "x_pelago_timeout_ms", "X-PELAGO_x"]
        {
            assert!(is_own(name.as_bytes()), "{name}");
        }
        for name in ["x-pelago-", "x-pelag-timeout", "pelago", "x-pelagos-x", "xx-pelago-timeout"] {
            assert!(!is_own(name.as_bytes()), "{name}");
        }
    }

    /// RFC 9110, section 6.5.1.
    #[test]
    fn issue_13_what_may_stand_behind_a_body() {
        for name in ["X-Sum", "etag", "grpc-status", "server-timing", "digest", "repr-digest", "i"]
        {
            assert!(may_trail(name.as_bytes()), "{name}");
        }
        for name in [
            "Content-Length",
            "transfer-encoding",
            "TE",
            "Host",
            "content-type",
            "Content-MD5",
            "Authorization",
            "Set-Cookie",
            "If-Match",
            "trailer",
            "connection",
            "x-pelago-timeout-ms",
            "X_Forwarded_For",
        ] {
            assert!(!may_trail(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn neighbours_are_one_span() {
        let mut copies = Copies::default();
        for line in [0..3, 3..9, 12..20, 20..21] {
            copies.push(line);
        }
        assert_eq!(copies.iter().cloned().collect::<Vec<_>>(), [0..9, 12..21]);
    }
}
