//! What is asked of the parsers, whatever comes: by the fuzz target `http1`, and by a property test of fewer
//! inputs.

use std::time::Duration;

use crate::h1::chunked::{Chunked, Malformed};
use crate::h1::head::Framing;
use crate::h1::request::{Method, RequestHead, Side};
use crate::h1::response::ResponseHead;
use crate::h1::write::{self, Backward, Connection, Forwarded, NO_EDITS, Onward, Told};
use crate::says::Says;
use crate::time_left::{TimeLeft, TimeoutBy};
use crate::trace::TraceContext;

const TRACE: TraceContext = TraceContext { trace: 1, parent: None, span: 2, sampled: false };

/// A request that is passed on is read by the next one as it was by us: the same method, the same end.
///
/// # Panics
///
/// If it is not.
pub fn request(input: &[u8]) {
    for side in [Side::Outside, Side::Proxied, Side::Mesh] {
        let mut head = RequestHead::default();
        if head.read(input, side) != Ok(true) {
            continue;
        }
        assert!(head.length <= input.len(), "the head is longer than what came");
        let prefix = input.get(..head.length - 1).unwrap_or_default();
        assert_ne!(RequestHead::default().read(prefix, side), Ok(true), "a part is a whole");
        let forwarded = Forwarded { client: "127.0.0.1", is_tls: false, says: Says::default() };
        let onward = Onward {
            trace: &TRACE,
            time_left: TimeLeft { time: Duration::from_secs(1), by: TimeoutBy::Client },
            host: "cart",
            forwarded: (side != Side::Mesh).then_some(forwarded),
            target: None,
            edits: &NO_EDITS,
        };
        let mut out = Vec::new();
        write::request(&mut out, input, &head, &onward);
        let mut again = RequestHead::default();
        match again.read(&out, Side::Mesh) {
            Ok(true) => {
                assert_eq!(again.length, out.len(), "something stands behind the head");
                assert_eq!(again.method, head.method, "the method is another");
                assert_eq!(again.framing.get(), head.framing.get(), "the body ends elsewhere");
            }
            // What is added may be too much.
            Err(rejected) if rejected.status == 431 => {}
            other => assert!(other.is_err_and(|it| it.status == 431), "it is no request any more"),
        }
    }
}

/// A path has one spelling: what routes are matched with is matched as itself.
///
/// # Panics
///
/// If it is not.
pub fn path(input: &[u8]) {
    let Ok(once) = crate::path::matched(input) else { return };
    assert_eq!(crate::path::matched(&once).as_deref(), Ok(&*once), "it has two");
}

/// An answer that is passed on is read by the client as it was by us.
///
/// # Panics
///
/// If it is not.
pub fn response(input: &[u8]) {
    for method in [Method::Idempotent, Method::Head, Method::Connect] {
        let mut head = ResponseHead::default();
        if head.read(input, method) != Ok(true) {
            continue;
        }
        assert!(head.length <= input.len(), "the head is longer than what came");
        let (told, expected) = match head.framing.get() {
            Framing::UntilClose => (Told::Chunked, Framing::Chunked),
            framing => (Told::Same, framing),
        };
        let back = Backward {
            told,
            side: Side::Mesh,
            connection: Connection::Open,
            edits: &NO_EDITS,
            more: b"",
        };
        let mut out = Vec::new();
        write::response(&mut out, input, &head, &back);
        let mut again = ResponseHead::default();
        // One more header, or a longer status line, may be too much.
        if again.read(&out, method) == Ok(true) {
            assert_eq!(again.length, out.len(), "something stands behind the head");
            assert_eq!(again.status, head.status, "the status is another");
            assert_eq!(again.framing.get(), expected, "the body ends elsewhere");
        }
    }
}

/// A body in chunks ends in the same place however it is cut.
///
/// # Panics
///
/// If it does not.
pub fn chunks(input: &[u8], piece: usize) {
    let mut whole = Chunked::default();
    let at_once = taken(&mut whole, input);
    let mut cut = Chunked::default();
    let (mut end, mut at) = (0, 0);
    while end < input.len() && !cut.is_done() {
        end = input.len().min(end + piece.max(1));
        let Ok(count) = taken(&mut cut, input.get(at..end).unwrap_or_default()) else {
            assert!(at_once.is_err(), "it is malformed only in pieces");
            return;
        };
        at += count;
    }
    let taken = at;
    assert_eq!(at_once.ok(), Some(taken), "it ends elsewhere in pieces");
    assert_eq!(whole.is_done(), cut.is_done(), "it ends only one way");
}

/// Takes what there is of a body, and of the fields behind it.
fn taken(chunked: &mut Chunked, input: &[u8]) -> Result<usize, Malformed> {
    let mut at = 0;
    loop {
        at += chunked.take(input.get(at..).unwrap_or_default())?;
        let Some(trailer) = chunked.trailer(input.get(at..).unwrap_or_default())? else {
            return Ok(at);
        };
        at += trailer.length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines that say something, and lines that nearly do.
    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                "Host: a",
                "Host:",
                "Content-Length: 5",
                "Content-Length: 0",
                "Transfer-Encoding: chunked",
                "Transfer-Encoding: CHUNKED",
                "Connection: close, x, content-length",
                "Connection: upgrade",
                "Upgrade: websocket",
                "X-Forwarded-For: 1.2.3.4",
                "Traceparent: 00-1-2-3",
                "TE: trailers",
                "Expect: 100-continue",
                "X: y",
                " X: y",
                "X : y",
                "X-Pelago-Timeout-Ms: 7",
                "b3: 0",
            ])
            .prop_map(str::to_owned),
            "[!-~]{0,9}:[ -~\t]{0,9}",
        ]
    }

    fn head(first: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let lines = prop::collection::vec((line(), prop::sample::select(vec!["\r\n", "\n"])), 0..6);
        (first, lines).prop_map(|(first, lines)| {
            let lines = lines.iter().map(|(line, end)| format!("{line}{end}"));
            format!("{first}\r\n{}\r\nbody", lines.collect::<String>())
        })
    }

    proptest! {
        #[test]
        fn requests(
            text in head("(GET|POST|HEAD|CONNECT|OPTIONS|X) (/|\\*|a:1|http://b(/c)?|/[!-~]{0,9}) HTTP/1\\.[01]".prop_map(|it| it)),
        ) {
            request(text.as_bytes());
        }

        #[test]
        fn responses(text in head("HTTP/1\\.[01] [1-5][0-9]{2}( [ -~]{0,5})?".prop_map(|it| it))) {
            response(text.as_bytes());
        }

        #[test]
        fn bodies(text in "([0-5](;[a-z=]{0,3})?\r\n[a-z]{0,5}\r\n){0,3}0\r\n(x: y\r\n)?\r\nrest", piece in 1_usize..9) {
            chunks(text.as_bytes(), piece);
        }
    }
}
