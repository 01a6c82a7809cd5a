//! Whatever the framing, and wherever the packets are cut: a body arrives as it was sent.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::harness::{Instance, Plane, Shop};
use crate::wire::Wire;

/// How a body says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
}

/// A message's body, how it is framed, and the sizes of the pieces it is sent in.
#[derive(Clone, Debug)]
struct Message {
    body: Vec<u8>,
    framing: Framing,
    chunk: usize,
    pieces: Vec<usize>,
}

impl Message {
    /// The lines that say how it is framed, and the body as it is sent.
    fn written(&self) -> Vec<u8> {
        let mut out = match self.framing {
            Framing::Length => format!("Content-Length: {}\r\n\r\n", self.body.len()).into_bytes(),
            Framing::Chunked => b"Transfer-Encoding: chunked\r\n\r\n".to_vec(),
            Framing::UntilClose => b"\r\n".to_vec(),
        };
        if self.framing == Framing::Chunked {
            for chunk in self.body.chunks(self.chunk) {
                out.extend_from_slice(format!("{:X};a=b\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\nX-End: yes\r\n\r\n");
        } else {
            out.extend_from_slice(&self.body);
        }
        out
    }

    /// Sends it in its pieces, over and over.
    fn send(&self, wire: &mut Wire, line: &str) {
        let bytes = [line.as_bytes(), &self.written()].concat();
        let mut rest = &bytes[..];
        for size in self.pieces.iter().cycle() {
            if rest.is_empty() {
                return;
            }
            let (piece, more) = rest.split_at(rest.len().min(*size));
            // The other side may have heard enough.
            if wire.try_send(piece).is_err() {
                return;
            }
            rest = more;
        }
    }
}

fn message(framings: &'static [Framing]) -> impl Strategy<Value = Message> {
    let size = prop_oneof![4 => 0_usize..300, 2 => 300_usize..40_000, 1 => 40_000_usize..200_000];
    let body = size.prop_flat_map(|size| {
        any::<u8>().prop_map(move |seed| {
            let byte = |it: usize| it.to_le_bytes()[..3].iter().fold(seed, |sum, it| sum ^ it);
            (0..size).map(byte).collect::<Vec<_>>()
        })
    });
    let pieces = prop::collection::vec(
        prop_oneof![1_usize..50, 500_usize..5_000, 10_000_usize..70_000],
        1..5,
    );
    (body, prop::sample::select(framings), 1_usize..20_000, pieces).prop_map(
        |(body, framing, chunk, pieces)| {
            // Not thousands of packets of a byte.
            let least = body.len() / 300;
            let pieces = pieces.into_iter().map(|it| it.max(least)).collect();
            Message { body, framing, chunk: chunk.max(least), pieces }
        },
    )
}

const BOTH: &[Framing] = &[Framing::Length, Framing::Chunked];
const ALL: &[Framing] = &[Framing::Length, Framing::Chunked, Framing::UntilClose];

#[test]
fn bodies_pass_unchanged() {
    let next: Arc<Mutex<Option<Message>>> = Arc::default();
    let got: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (answer, asked_for) = (Arc::clone(&next), Arc::clone(&got));
    let cart = Instance::new(move |mut asked| {
        while let Some((_, body)) = asked.request() {
            *asked_for.lock().unwrap() = body;
            let message = answer.lock().unwrap().clone().unwrap();
            message.send(&mut asked.wire, "HTTP/1.1 200 OK\r\n");
            if message.framing == Framing::UntilClose {
                return;
            }
        }
    });
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let client = Mutex::new(plane.client());
    let mut runner = TestRunner::new(ProptestConfig { cases: 150, ..ProptestConfig::default() });
    runner
        .run(&(message(BOTH), message(ALL)), |(request, response)| {
            *next.lock().unwrap() = Some(response.clone());
            let mut client = client.lock().unwrap();
            request.send(&mut client, "POST / HTTP/1.1\r\nHost: a\r\n");
            let answer = client.answer();
            prop_assert_eq!(answer.verdict(), "200 -");
            prop_assert!(answer.body == response.body, "the answer's body is another");
            prop_assert!(*got.lock().unwrap() == request.body, "the request's body is another");
            Ok(())
        })
        .unwrap();
    drop(client);
    plane.end();
}
