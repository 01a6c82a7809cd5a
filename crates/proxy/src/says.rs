//! What the gateway says of itself where it is asked to: `forwarded` (RFC 7239) and `via` (RFC 9110, section 7.6.3).
//!
//! Each is a line of its own behind those that came, which makes it the last element of one list (RFC 9110, section 5.3).

pub(crate) use telemetry::report::Says;

use crate::h1::write::put;

/// A request as the gateway received it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    /// The address of whoever has sent it here.
    pub(crate) peer: &'a str,
    pub(crate) scheme: &'a str,
    /// The host it is for; without bytes that end a quoted text, as `is_host` makes sure.
    pub(crate) host: &'a [u8],
    pub(crate) version: Version,
}

/// The version of HTTP in which a message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
    Http2,
}

impl Version {
    /// The value of `via` for it.
    pub(crate) const fn via(self) -> &'static str {
        match self {
            Self::Http10 => "1.0 pelago",
            Self::Http11 => "1.1 pelago",
            Self::Http2 => "2.0 pelago",
        }
    }
}

impl Received<'_> {
    /// Writes what is said of it to an instance, as lines.
    pub(crate) fn write(&self, out: &mut Vec<u8>, says: Says) {
        let Received { peer, scheme, host, version } = self;
        if says.forwarded {
            // An address of IPv6 has brackets and quotes (RFC 7239, section 6).
            let is_v6 = peer.contains(':');
            let (open, close) = if is_v6 { ("\"[", "]\"") } else { ("", "") };
            put(out, format_args!("forwarded: for={open}{peer}{close};proto={scheme}"));
            if !host.is_empty() {
                out.extend_from_slice(b";host=\"");
                out.extend_from_slice(host);
                out.push(b'"');
            }
            out.extend_from_slice(b"\r\n");
        }
        if says.via {
            put(out, format_args!("via: {}\r\n", version.via()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(says: Says, peer: &str, host: &str, version: Version, expected: &str) {
        let received = Received { peer, scheme: "https", host: host.as_bytes(), version };
        let mut out = Vec::new();
        received.write(&mut out, says);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn issue_13_what_is_asked_for_is_said() {
        let both = Says { forwarded: true, via: true };
        let expected = "forwarded: for=10.0.0.1;proto=https;host=\"shop.localhost:8080\"\r\nvia: 1.1 pelago\r\n";
        check(both, "10.0.0.1", "shop.localhost:8080", Version::Http11, expected);
        let expected =
            "forwarded: for=\"[2001:db8::1]\";proto=https;host=\"[::1]:80\"\r\nvia: 2.0 pelago\r\n";
        check(both, "2001:db8::1", "[::1]:80", Version::Http2, expected);
        let via = Says { forwarded: false, via: true };
        check(via, "::1", "", Version::Http10, "via: 1.0 pelago\r\n");
        let forwarded = Says { forwarded: true, via: false };
        check(forwarded, "::1", "", Version::Http11, "forwarded: for=\"[::1]\";proto=https\r\n");
        check(Says::default(), "::1", "a", Version::Http11, "");
    }
}
