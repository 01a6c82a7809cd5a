//! Bodies as they pass: how much of what has come belongs to this message.

use super::chunked::{Chunked, Malformed, Trailer};
use super::head::{Framing, Span};

/// A body on its way, of a request or an answer.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    framing: Framing,
    left: u64,
    chunked: Chunked,
    done: bool,
    /// Bytes of it that have come, with the frame of its chunks.
    pub(crate) bytes: u64,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        let done = matches!(framing, Framing::None | Framing::Length(0));
        Self { framing, left, chunked: Chunked::default(), done, bytes: 0 }
    }

    /// Whether all of it has come.
    pub(crate) const fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the end of the connection is its end, rather than too early.
    pub(crate) const fn may_end(&self) -> bool {
        self.done || matches!(self.framing, Framing::UntilClose)
    }

    /// Bytes that are still to come, if that is known.
    pub(crate) const fn left(&self) -> Option<u64> {
        match self.framing {
            Framing::None => Some(0),
            Framing::Length(_) => Some(self.left),
            Framing::Chunked | Framing::UntilClose => None,
        }
    }

    /// Takes what belongs to it of bytes that have just come; what is left is the next message's.
    pub(crate) fn take(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let taken = match self.framing {
            Framing::None => 0,
            Framing::Length(_) => {
                let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                self.left -= taken as u64;
                self.done = self.left == 0;
                taken
            }
            Framing::Chunked => {
                let taken = self.chunked.take(input)?;
                self.done = self.chunked.is_done();
                taken
            }
            Framing::UntilClose => input.len(),
        };
        self.bytes += taken as u64;
        Ok(taken)
    }

    /// Takes the field behind the body that `input` begins with. Nothing if there is none, or not all of it has come.
    pub(crate) fn trailer(&mut self, input: &[u8]) -> Result<Option<Trailer>, Malformed> {
        if self.framing != Framing::Chunked {
            return Ok(None);
        }
        let trailer = self.chunked.trailer(input)?;
        self.bytes += trailer.map_or(0, |it| it.length as u64);
        Ok(trailer)
    }

    /// Takes the next part, and says which of it is data. `input` is not empty. Nothing is taken where a field behind the body
    /// begins.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<(usize, Span), Malformed> {
        if self.framing != Framing::Chunked {
            let taken = self.take(input)?;
            return Ok((taken, 0..taken));
        }
        let step = self.chunked.step(input)?;
        self.done = self.chunked.is_done();
        self.bytes += step.taken as u64;
        Ok((step.taken, step.data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_take_what_is_theirs() {
        let mut body = Body::new(Framing::Length(5));
        assert_eq!((body.take(b"hel"), body.is_done()), (Ok(3), false));
        assert_eq!((body.take(b"lo GET"), body.is_done(), body.left()), (Ok(2), true, Some(0)));
        assert_eq!(body.take(b" / "), Ok(0));
        let mut body = Body::new(Framing::UntilClose);
        assert_eq!((body.take(b"abc"), body.is_done(), body.may_end()), (Ok(3), false, true));
        let mut body = Body::new(Framing::Chunked);
        assert_eq!(body.step(b"3\r\nabc\r\n"), Ok((6, 3..6)));
        assert_eq!((body.take(b"\r\n0\r\n\r\nx"), body.is_done()), (Ok(7), true));
        assert!(Body::new(Framing::None).is_done() && Body::new(Framing::Length(0)).is_done());
    }
}
