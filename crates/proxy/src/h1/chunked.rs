//! The chunked transfer coding (RFC 9112, section 7.1), checked as it passes.
//!
//! A relay need not take chunks apart, it must only know where they end and that everybody else sees
//! the same end. So this is a checker that says how far a piece of input is good, and which part of it
//! is data for those who want it without its frame.

use std::ops::Range;

use super::head::may_trail;

/// Bytes of a line of the coding: a chunk's size with its extensions, or a trailer field. Attackers hide
/// floods in them (CVE-2023-39326); nobody else uses more.
const LINE_BYTES_MAX: u32 = 4 << 10;
/// Bytes of all trailer fields.
const TRAILER_BYTES_MAX: u32 = 16 << 10;
/// Hexadecimal digits of a size, with the zeros in front that some write: as many as a number of 64 bits has.
const SIZE_DIGITS_MAX: u8 = 16;
/// Bits of a size. 2^60 bytes are enough, and no reader takes them for a negative number.
const SIZE_BITS_MAX: u32 = 60;

/// A body in chunks, as far as it has been seen.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Data bytes left in this chunk, or the size as far as it has been read.
    left: u64,
    line: u32,
    trailers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8 },
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// A byte that cannot stand where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A field behind a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Bytes of its line.
    pub(crate) length: usize,
    /// Whether it is passed on.
    pub(crate) may_pass: bool,
}

/// How far a piece of input was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes taken.
    pub(crate) taken: usize,
    /// Which of them are data.
    pub(crate) data: Range<usize>,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::Size { digits: 0 }, left: 0, line: 0, trailers: 0 }
    }
}

impl Chunked {
    /// Whether the last chunk and its trailers are over.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes all of `input` that belongs to the body, up to the first field behind it.
    pub(crate) fn take(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let mut taken = 0;
        while taken < input.len() && !self.is_done() {
            let step = self.step(input.get(taken..).unwrap_or_default())?;
            if step.taken == 0 {
                break;
            }
            taken += step.taken;
        }
        Ok(taken)
    }

    fn is_before_trailer(&self, next: u8) -> bool {
        self.state == State::TrailerStart && next != b'\r'
    }

    /// Takes the field behind the body that `input` begins with. Nothing if there is none, or not all of its line has come:
    /// what is to be left out must not have been passed on in part.
    pub(crate) fn trailer(&mut self, input: &[u8]) -> Result<Option<Trailer>, Malformed> {
        if !input.first().is_some_and(|it| self.is_before_trailer(*it)) {
            return Ok(None);
        }
        let mut seen = self.clone();
        for (at, byte) in input.iter().enumerate() {
            seen.byte(*byte)?;
            if seen.state == State::TrailerStart {
                *self = seen;
                let name = input.iter().position(|it| *it == b':').unwrap_or_default();
                let may_pass = input.get(..name).is_some_and(may_trail);
                return Ok(Some(Trailer { length: at + 1, may_pass }));
            }
        }
        Ok(None)
    }

    /// Takes the next part of `input`, which is not empty: up to the end of one run of data.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut taken = 0;
        while let Some(byte) = input.get(taken).copied() {
            if self.state == State::Data {
                let run = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - taken);
                self.left -= run as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Step { taken: taken + run, data: taken..taken + run });
            }
            if self.is_done() || self.is_before_trailer(byte) {
                break;
            }
            self.byte(byte)?;
            taken += 1;
        }
        Ok(Step { taken, data: taken..taken })
    }

    fn byte(&mut self, byte: u8) -> Result<(), Malformed> {
        self.line += 1;
        if LINE_BYTES_MAX < self.line {
            return Err(Malformed);
        }
        self.state = match (self.state, byte) {
            (State::Size { digits }, _) => self.size(digits, byte)?,
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, byte) if is_field_byte(byte) => State::Extension,
            (State::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.line = 0;
                State::Size { digits: 0 }
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => {
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, byte) if is_field_byte(byte) => State::TrailerValue,
            (State::TrailerLf, b'\n') => {
                self.trailers += self.line;
                self.line = 0;
                State::TrailerStart
            }
            (State::EndLf, b'\n') => State::Done,
            _ => return Err(Malformed),
        };
        if TRAILER_BYTES_MAX < self.trailers { Err(Malformed) } else { Ok(()) }
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<State, Malformed> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if 0 < digits => return Ok(State::SizeLf),
            b';' if 0 < digits => return Ok(State::Extension),
            _ => return Err(Malformed),
        };
        if digits == 0 {
            self.left = 0;
        }
        if SIZE_DIGITS_MAX <= digits || 0 < self.left >> (SIZE_BITS_MAX - 4) {
            return Err(Malformed);
        }
        self.left = self.left * 16 + u64::from(digit);
        Ok(State::Size { digits: digits + 1 })
    }
}

/// What may stand in a field value: no control characters but the tab.
const fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (0x20 <= byte && byte != 0x7f)
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::string_slice, reason = "the texts are ASCII")]

    use super::*;
    use proptest::prelude::*;

    fn decode(input: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let mut chunked = Chunked::default();
        let (mut data, mut at) = (Vec::new(), 0);
        let mut pieces = pieces.iter().cycle();
        while at < input.len() && !chunked.is_done() {
            let end = input.len().min(at + pieces.next().unwrap().max(&1));
            let piece = &input[at..end];
            let step = chunked.step(piece)?;
            data.extend_from_slice(&piece[step.data]);
            at += step.taken;
            if step.taken == 0 {
                let Some(trailer) = chunked.trailer(&input[at..])? else { break };
                at += trailer.length;
            }
        }
        Ok((data, at, chunked.is_done()))
    }

    #[track_caller]
    fn check(input: &str, expected: Option<(&str, &str)>) {
        let decoded = decode(input.as_bytes(), &[usize::MAX / 2]).ok();
        let decoded = decoded
            .filter(|(_, _, done)| *done)
            .map(|(data, at, _)| (String::from_utf8(data).unwrap(), input[at..].to_owned()));
        let expected = expected.map(|(data, rest)| (data.to_owned(), rest.to_owned()));
        assert_eq!(decoded, expected, "{input:?}");
    }

    #[test]
    fn bodies() {
        check("0\r\n\r\n", Some(("", "")));
        check("5\r\nhello\r\n6; a=\"b\"\r\n world\r\n000\r\n\r\nGET", Some(("hello world", "GET")));
        check("A\r\n0123456789\r\n0\r\nx: y\r\nz:\r\n\r\n", Some(("0123456789", "")));
    }

    /// RFC 9112, section 7.1: zeros in front mean nothing, and are many in no honest size.
    #[test]
    fn issue_13_a_size_may_have_zeros_in_front() {
        check("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\nGET", Some(("hello", "GET")));
        for bad in ["00000000000000005\r\n", "00000000000000000\r\n", "1000000000000000\r\n"] {
            assert_eq!(decode(bad.as_bytes(), &[1 << 20]), Err(Malformed), "{bad:?}");
        }
        assert_eq!(decode(b"0fffffffffffffff\r\n", &[1 << 20]), Ok((Vec::new(), 18, false)));
    }

    #[test]
    fn what_others_might_read_differently_is_refused() {
        for bad in [
            "\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "-1\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "g\r\n",
            "10000000000000000\r\n",
            "0\r\n x: y\r\n\r\n",
            "0\r\nx y: z\r\n\r\n",
            "0\r\n: z\r\n\r\n",
            "0\r\nx: \0\r\n\r\n",
            "0\n\n",
            "0\r\n\n",
            "5;a=\u{1}\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes(), &[1 << 20]), Err(Malformed), "{bad:?}");
        }
        let long = format!("1;{}\r\n", "x".repeat(5_000));
        assert_eq!(decode(long.as_bytes(), &[1 << 20]), Err(Malformed));
        let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(4_000));
        assert_eq!(decode(many.as_bytes(), &[1 << 20]), Err(Malformed));
    }

    #[test]
    fn issue_13_fields_behind_a_body_are_taken_line_by_line() {
        let mut chunked = Chunked::default();
        let input = b"1\r\nx\r\n0\r\nX-Sum: 1\r\nHost: a\r\n\r\n";
        let begin = b"1\r\nx\r\n0\r\n".len();
        assert_eq!(chunked.take(input), Ok(begin));
        for end in begin..begin + b"X-Sum: 1\r\n".len() {
            assert_eq!(chunked.trailer(&input[begin..end]), Ok(None));
        }
        let sum = chunked.trailer(&input[begin..]).unwrap().unwrap();
        assert_eq!(sum, Trailer { length: 10, may_pass: true });
        let host = chunked.trailer(&input[begin + 10..]).unwrap().unwrap();
        assert_eq!(host, Trailer { length: 9, may_pass: false });
        assert_eq!(chunked.trailer(b"\r\n"), Ok(None));
        assert_eq!((chunked.take(b"\r\n"), chunked.is_done()), (Ok(2), true));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            pieces in prop::collection::vec(1_usize..30, 1..6),
            rest in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            let length = input.len();
            input.extend_from_slice(&rest);
            let whole = chunks.concat();
            prop_assert_eq!(decode(&input, &pieces), Ok((whole, length, true)));
            let mut chunked = Chunked::default();
            prop_assert_eq!(chunked.take(&input), Ok(length));
        }

        #[test]
        fn garbage_never_panics(input in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut chunked = Chunked::default();
            if let Ok(taken) = chunked.take(&input) {
                prop_assert!(taken <= input.len());
            }
        }
    }
}
