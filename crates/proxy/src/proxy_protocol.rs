//! The PROXY protocol, versions 1 and 2 (`HAProxy`, `doc/proxy-protocol.txt`): the header with which a load
//! balancer in front says, before anything else, whose connection it passes on.
//!
//! Read strictly. Whoever may send a header may claim any address, so what is not exactly a header ends
//! the connection, and there is no guessing whether one is there. A header says nothing about where it
//! ends until it has ended, so [`read`] is asked again with more bytes; how they came in pieces makes no
//! difference.
//!
//! The checksum and the other fields of version 2 behind the addresses are checked for their frame, and
//! for nothing else: TCP has a checksum of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a header of version 1, its CRLF included (specification, section 2.1).
pub const TEXT_BYTES_MAX: usize = 107;
/// Bytes of a header of version 2: the fixed part, the longest addresses (of Unix sockets), and 4 KiB of
/// further fields, which are mostly a client's certificate. The format would allow 64 KiB.
pub const BINARY_BYTES_MAX: usize = FIXED_BYTES + UNIX_BYTES + (4 << 10);

/// How a header of version 2 begins: what no protocol begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// How one of version 1 begins.
const WORD: &[u8; 6] = b"PROXY ";
/// The signature, version and command, family, and the length of the rest.
const FIXED_BYTES: usize = 16;
/// Two IPv4 addresses and two ports.
const V4_BYTES: usize = 12;
/// Two IPv6 addresses and two ports.
const V6_BYTES: usize = 36;
/// Two paths.
const UNIX_BYTES: usize = 216;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes it has.
    pub length: usize,
    /// Where the connection comes from. Nothing if the sender made it itself (`LOCAL`), or does not say
    /// (`UNKNOWN`, and everything that is no TCP): then it is the sender's.
    pub source: Option<SocketAddr>,
}

/// Why what a connection begins with is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY protocol header")]
    NoHeader,
    /// It goes on for too long.
    #[error("the PROXY protocol header is longer than allowed")]
    TooLong,
    /// A part of it is wrong.
    #[error("the PROXY protocol header is malformed: {0}")]
    Part(&'static str),
}

/// Reads the header at the beginning of `bytes`. Nothing if more of it must come first; all of `bytes`
/// belongs to it then.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if begins(bytes, SIGNATURE) {
        read_binary(bytes)
    } else if begins(bytes, WORD) {
        read_text(bytes)
    } else {
        Err(Malformed::NoHeader)
    }
}

/// Whether `bytes` begins like `with`, as far as it goes.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let common = bytes.len().min(with.len());
    bytes.get(..common) == with.get(..common)
}

fn read_text(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let seen = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = seen.iter().position(|it| *it == b'\n') else {
        return if seen.len() < TEXT_BYTES_MAX { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let line = seen.get(..end).and_then(|it| it.strip_suffix(b"\r"));
    let line = line.ok_or(Malformed::Part("its line does not end with CRLF"))?;
    let line = str::from_utf8(line).map_err(|_| Malformed::Part("it is not ASCII"))?;
    let mut words = line.split(' ').skip(1);
    let source = match words.next() {
        // What follows is to be ignored (section 2.1).
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(text_source::<Ipv4Addr>(&mut words)?),
        Some("TCP6") => Some(text_source::<Ipv6Addr>(&mut words)?),
        _ => return Err(Malformed::Part("its protocol is none of TCP4, TCP6 and UNKNOWN")),
    };
    Ok(Some(Header { length: end + 1, source }))
}

/// Two addresses and two ports, one space between each.
fn text_source<'a, A: std::str::FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<SocketAddr, Malformed> {
    let mut address = || {
        let word: Option<A> = words.next().and_then(|it| it.parse().ok());
        word.ok_or(Malformed::Part("an address is wrong"))
    };
    let (source, _destination) = (address()?, address()?);
    let mut port = || words.next().and_then(port).ok_or(Malformed::Part("a port is wrong"));
    let (port, _destination) = (port()?, port()?);
    match words.next() {
        Some(_) => Err(Malformed::Part("something follows its ports")),
        None => Ok(SocketAddr::new(source.into(), port)),
    }
}

/// A port without sign and without leading zeros.
fn port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|it| it.is_ascii_digit());
    let is_short = word == "0" || !word.starts_with('0');
    word.parse().ok().filter(|_| is_plain && is_short)
}

fn read_binary(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    // Each byte is judged as soon as it is there, so that nobody waits for the rest of what is none.
    let command = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(_) => return Err(Malformed::Part("its version or command is unknown")),
    };
    let family = match bytes.get(13) {
        None => return Ok(None),
        Some(0x00) => Family::Unspecified,
        Some(0x11) => Family::TcpV4,
        Some(0x21) => Family::TcpV6,
        Some(0x12) => Family::Other(V4_BYTES),
        Some(0x22) => Family::Other(V6_BYTES),
        Some(0x31 | 0x32) => Family::Other(UNIX_BYTES),
        Some(_) => return Err(Malformed::Part("its family or protocol is unknown")),
    };
    let Some(&[high, low]) = bytes.get(14..FIXED_BYTES) else { return Ok(None) };
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if BINARY_BYTES_MAX < length {
        return Err(Malformed::TooLong);
    }
    let addresses = match (command, family) {
        // The sender's own: what it says of addresses is to be ignored (section 2.2).
        (Command::Local, _) | (_, Family::Unspecified) => None,
        (Command::Proxy, Family::TcpV4) => Some(V4_BYTES),
        (Command::Proxy, Family::TcpV6) => Some(V6_BYTES),
        (Command::Proxy, Family::Other(size)) => Some(size),
    };
    if addresses.is_some_and(|it| length < FIXED_BYTES + it) {
        return Err(Malformed::Part("it is too short for its addresses"));
    }
    let Some(rest) = bytes.get(FIXED_BYTES..length) else { return Ok(None) };
    if let Some(size) = addresses {
        check_fields(rest.get(size..).unwrap_or_default())?;
    }
    let source = match (command, family) {
        (Command::Proxy, Family::TcpV4) => source_v4(rest),
        (Command::Proxy, Family::TcpV6) => source_v6(rest),
        _ => None,
    };
    Ok(Some(Header { length, source }))
}

#[derive(Clone, Copy)]
enum Command {
    Local,
    Proxy,
}

#[derive(Clone, Copy)]
enum Family {
    Unspecified,
    TcpV4,
    TcpV6,
    /// One that names no TCP connection, and the bytes of its addresses.
    Other(usize),
}

fn source_v4(addresses: &[u8]) -> Option<SocketAddr> {
    let [a, b, c, d, _, _, _, _, high, low] = *addresses.first_chunk()?;
    Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low])))
}

fn source_v6(addresses: &[u8]) -> Option<SocketAddr> {
    let source = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
    let port = u16::from_be_bytes(*addresses.get(32..)?.first_chunk()?);
    Some(SocketAddr::new(source.into(), port))
}

/// Each further field is a kind, two bytes of length, and so many bytes; they fill the header.
fn check_fields(mut fields: &[u8]) -> Result<(), Malformed> {
    while let [_kind, high, low, rest @ ..] = fields {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        fields = rest.get(length..).ok_or(Malformed::Part("a field is longer than it"))?;
    }
    if fields.is_empty() { Ok(()) } else { Err(Malformed::Part("a field is cut short")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Option<(usize, Option<&str>)>, Malformed>) {
        let found = read(bytes);
        let expected = expected.map(|it| {
            it.map(|(length, source)| Header {
                length,
                source: source.map(|it| it.parse().unwrap()),
            })
        });
        assert_eq!(found, expected, "{:?}", bytes.escape_ascii().to_string());
    }

    fn part(what: &'static str) -> Result<Option<(usize, Option<&'static str>)>, Malformed> {
        Err(Malformed::Part(what))
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; V4_BYTES] = [192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x1f, 0x90];

    #[test]
    fn text() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 12345 8080\r\nGET / HTTP/1.1\r\n";
        check(line, Ok(Some((46, Some("192.0.2.1:12345")))));
        let line = b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n";
        check(line, Ok(Some((36, Some("[2001:db8::1]:65535")))));
        check(b"PROXY UNKNOWN\r\n", Ok(Some((15, None))));
        check(b"PROXY UNKNOWN ffff::1 what ever\r\nx", Ok(Some((33, None))));
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(TEXT_BYTES_MAX - 16));
        check(longest.as_bytes(), Ok(Some((TEXT_BYTES_MAX, None))));
    }

    #[test]
    fn text_that_is_wrong() {
        let address = part("an address is wrong");
        let port = part("a port is wrong");
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", address),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", address),
            ("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", address),
            ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", address),
            ("PROXY TCP4 192.0.2.1\r\n", address),
            ("PROXY TCP4 192.0.2.1 192.0.2.2\r\n", port),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", port),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", port),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", port),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", port),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", part("something follows its ports")),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", part("its line does not end with CRLF")),
            ("PROXY UNKNOWN \u{e4}\n\r\n", part("its line does not end with CRLF")),
            ("PROXY TCP5\r\n", part("its protocol is none of TCP4, TCP6 and UNKNOWN")),
            ("PROXY \r\n", part("its protocol is none of TCP4, TCP6 and UNKNOWN")),
            ("GET / HTTP/1.1\r\n", Err(Malformed::NoHeader)),
            ("proxy UNKNOWN\r\n", Err(Malformed::NoHeader)),
            ("\r\nPROXY UNKNOWN\r\n", Err(Malformed::NoHeader)),
        ] {
            check(line.as_bytes(), expected);
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(TEXT_BYTES_MAX - 15));
        check(long.as_bytes(), Err(Malformed::TooLong));
    }

    #[test]
    fn binary_headers() {
        check(&binary(0x21, 0x11, &V4), Ok(Some((28, Some("192.0.2.1:12345")))));
        let mut v6 = [0; V6_BYTES];
        v6[15] = 1;
        v6[33] = 80;
        check(&binary(0x21, 0x21, &v6), Ok(Some((52, Some("[::1]:80")))));
        let fields = [&V4[..], &[0x04, 0, 0], &[0x02, 0, 3], b"a.b"].concat();
        check(&binary(0x21, 0x11, &fields), Ok(Some((37, Some("192.0.2.1:12345")))));
        check(&binary(0x21, 0x12, &V4), Ok(Some((28, None))));
        check(&binary(0x21, 0x31, &[0; UNIX_BYTES]), Ok(Some((232, None))));
        check(&binary(0x21, 0x00, b"any"), Ok(Some((19, None))));
        check(&binary(0x20, 0x00, b""), Ok(Some((16, None))));
        check(&binary(0x20, 0x11, b"any"), Ok(Some((19, None))));
        let largest = vec![0; BINARY_BYTES_MAX - FIXED_BYTES];
        check(&binary(0x20, 0x00, &largest), Ok(Some((BINARY_BYTES_MAX, None))));
    }

    #[test]
    fn binary_headers_that_are_wrong() {
        for command in [0x00, 0x01, 0x11, 0x22, 0x2f, 0x31] {
            check(&binary(command, 0x11, &V4), part("its version or command is unknown"));
        }
        for family in [0x01, 0x10, 0x13, 0x20, 0x33, 0x41, 0xff] {
            check(&binary(0x21, family, &V4), part("its family or protocol is unknown"));
        }
        for family in [0x11, 0x12, 0x21, 0x22, 0x31, 0x32] {
            let short = &V4[..V4_BYTES - 1];
            check(&binary(0x21, family, short), part("it is too short for its addresses"));
        }
        let field = |rest: &[u8]| binary(0x21, 0x11, &[&V4[..], rest].concat());
        check(&field(&[4, 0, 1]), part("a field is longer than it"));
        check(&field(&[4, 0]), part("a field is cut short"));
        let too_large = vec![0; BINARY_BYTES_MAX - FIXED_BYTES + 1];
        check(&binary(0x20, 0x00, &too_large), Err(Malformed::TooLong));
        check(b"\r\n\r\n\0\r\nQUIX", Err(Malformed::NoHeader));
    }

    fn headers() -> impl Strategy<Value = Vec<u8>> {
        let text = "PROXY (TCP4|TCP6|UNKNOWN) [0-9a-f:. ]{0,80}(\r\n|\n)";
        let real = (any::<[u8; 4]>(), any::<u16>()).prop_map(|(address, port)| {
            format!("PROXY TCP4 {} 192.0.2.2 {port} 80\r\n", Ipv4Addr::from(address)).into_bytes()
        });
        let rest = prop::collection::vec(any::<u8>(), 0..300);
        let version = prop_oneof![Just(0x20), Just(0x21), any::<u8>()];
        let family = prop_oneof![Just(0x11), Just(0x21), Just(0x31), Just(0), any::<u8>()];
        let second =
            (version, family, rest).prop_map(|(it, family, rest)| binary(it, family, &rest));
        prop_oneof![text.prop_map(String::into_bytes), real, second]
    }

    proptest! {
        /// More is asked for as long as the same verdict may still be reached, and what follows a
        /// header changes nothing.
        #[test]
        fn pieces_make_no_difference(header in headers(), follows in prop::collection::vec(any::<u8>(), 0..40)) {
            let whole = read(&header);
            let length = whole.ok().flatten().map_or(header.len(), |it| it.length);
            let first = (0..=length).map(|end| read(&header[..end])).find(|it| *it != Ok(None));
            prop_assert_eq!(first.unwrap_or(Ok(None)), whole);
            if let Ok(Some(_)) = whole {
                prop_assert_eq!(read(&[&header[..], &follows].concat()), whole);
            }
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes).is_ok_and(|it| it.is_none()) == bytes.is_empty() || bytes[0] == b'P' || bytes[0] == b'\r');
            for begin in [&SIGNATURE[..], b"PROXY TCP4 "] {
                if let Ok(Some(header)) = read(&[begin, &bytes].concat()) {
                    prop_assert!(header.length <= begin.len() + bytes.len());
                }
            }
        }

        #[test]
        fn what_is_written_is_read(address: [u8; 4], port: u16) {
            let source = SocketAddr::new(Ipv4Addr::from(address).into(), port);
            let line = format!("PROXY TCP4 {} 192.0.2.2 {port} 80\r\n", source.ip());
            let mut rest = V4;
            rest[..4].copy_from_slice(&address);
            rest[8..10].copy_from_slice(&port.to_be_bytes());
            for header in [line.into_bytes(), binary(0x21, 0x11, &rest)] {
                prop_assert_eq!(read(&header), Ok(Some(Header { length: header.len(), source: Some(source) })));
            }
        }
    }
}
