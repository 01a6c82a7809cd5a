//! Frames of HTTP/2 written by hand, for what no library lets one say.

use std::net::SocketAddr;

use crate::wire::Wire;

/// What came of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// An answer with this status.
    Status(u16),
    /// The stream was reset, for this reason (RFC 9113, section 7).
    Reset(u32),
    /// The connection was given up.
    GoAway,
    /// The connection ended.
    End,
}

/// A client's connection.
pub(crate) struct Frames {
    wire: Wire,
    stream: u32,
}

impl Frames {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut wire = Wire::connect(address);
        wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self { wire, stream: 1 };
        frames.frame(4, 0, 0, &[]);
        frames
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.wire.send([&head[..], payload].concat());
    }

    /// Sends a request without a body, and says what came of it.
    pub(crate) fn ask(&mut self, fields: &[(&str, &[u8])]) -> Came {
        let mut block = Vec::new();
        for (name, value) in fields {
            // Literals that are not indexed (RFC 7541, section 6.2.2).
            block.push(0);
            string(&mut block, name.as_bytes());
            string(&mut block, value);
        }
        let stream = self.stream;
        self.stream += 2;
        self.frame(1, 5, stream, &block);
        self.came(stream)
    }

    /// The same with these instead of a usual request's.
    pub(crate) fn ask_with(&mut self, fields: &[(&str, &[u8])]) -> Came {
        let usual: [(&str, &[u8]); 4] =
            [(":method", b"GET"), (":scheme", b"http"), (":authority", b"shop"), (":path", b"/")];
        let is_given = |name: &str| fields.iter().any(|it| it.0 == name);
        let pseudo = usual.into_iter().filter(|it| !is_given(it.0));
        let own = |is_pseudo: bool| {
            fields.iter().copied().filter(move |it| it.0.starts_with(':') == is_pseudo)
        };
        let all: Vec<_> = pseudo.chain(own(true)).chain(own(false)).collect();
        self.ask(&all)
    }

    fn came(&mut self, stream: u32) -> Came {
        loop {
            let Some(head) = self.wire.try_exact(9) else { return Came::End };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let on = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let Some(payload) = self.wire.try_exact(length as usize) else { return Came::End };
            match head[3] {
                1 if on == stream => return Came::Status(status(&payload)),
                3 if on == stream => {
                    return Came::Reset(u32::from_be_bytes(payload[..4].try_into().unwrap()));
                }
                4 if head[4] == 0 => self.frame(4, 1, 0, &[]),
                7 => return Came::GoAway,
                _ => {}
            }
        }
    }
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    // An integer with a prefix of seven bits (RFC 7541, section 5.1).
    match text.len().checked_sub(127) {
        None => block.push(u8::try_from(text.len()).unwrap()),
        Some(mut left) => {
            block.push(127);
            while left >= 128 {
                block.push(u8::try_from(left % 128).unwrap() | 128);
                left /= 128;
            }
            block.push(u8::try_from(left).unwrap());
        }
    }
    block.extend_from_slice(text);
}

/// The status of an answer, which stands first: indexed, or by digits (RFC 7541, appendices A and B).
fn status(block: &[u8]) -> u16 {
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        // Huffman's code has five bits for 0, 1 and 2 and six for the other digits.
        _ => {
            let bits = block[2..].iter().take(3).fold(0_u32, |all, it| all << 8 | u32::from(*it));
            let mut at = 24;
            let mut digit = || {
                let five = bits >> (at - 5) & 31;
                if five < 3 {
                    at -= 5;
                    return u16::try_from(five).unwrap();
                }
                at -= 6;
                u16::try_from((bits >> at & 63) - 22).unwrap()
            };
            (0..3).fold(0, |all, _| all * 10 + digit())
        }
    }
}
