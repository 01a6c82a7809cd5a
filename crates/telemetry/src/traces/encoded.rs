//! Spans as they stand in the log and in the head: one after the other, each whole in itself.
//!
//! The same bytes go to the log and are kept in memory, so that a span is encoded once when it comes and read
//! without copying as often as somebody looks for something. It refuses nothing that [`Span::clip`] has passed.

use crate::protobuf::{put_varint, varint};
use crate::traces::borrowed::Borrowed;
use crate::traces::span::{Kind, Link, Span};

const KIND: u8 = 7;
const ERROR: u8 = 1 << 3;
const SHARED: u8 = 1 << 4;
const PARENT: u8 = 1 << 5;

/// A span that was encoded, read as far as its tags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a> {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) kind: Kind,
    pub(super) is_error: bool,
    pub(super) shared: bool,
    pub(super) start_us: u64,
    pub(super) duration_us: u64,
    pub(super) service: &'a str,
    pub(super) operation: &'a str,
    pub(super) remote: &'a str,
    tags: &'a [u8],
    events: &'a [u8],
    links: &'a [u8],
}

/// Appends a span.
pub(super) fn put(out: &mut Vec<u8>, span: &Span) {
    let parent = if span.parent.is_some() { PARENT } else { 0 };
    let error = if span.is_error { ERROR } else { 0 };
    let shared = if span.shared { SHARED } else { 0 };
    out.push(kind_number(span.kind) | parent | error | shared);
    out.extend_from_slice(&span.trace.to_le_bytes());
    out.extend_from_slice(&span.id.to_le_bytes());
    if let Some(parent) = span.parent {
        out.extend_from_slice(&parent.to_le_bytes());
    }
    put_varint(out, span.start_us);
    put_varint(out, span.duration_us);
    for name in [&span.service, &span.operation, &span.remote] {
        put_text(out, name);
    }
    let tag_bytes = |it: &(String, String)| text_bytes(&it.0) + text_bytes(&it.1);
    put_varint(out, span.tags.iter().map(tag_bytes).sum::<usize>() as u64);
    for (key, value) in &span.tags {
        put_text(out, key);
        put_text(out, value);
    }
    let event_bytes = |it: &(u64, String)| varint_bytes(it.0) + text_bytes(&it.1);
    put_varint(out, span.events.iter().map(event_bytes).sum::<usize>() as u64);
    for (at_us, text) in &span.events {
        put_varint(out, *at_us);
        put_text(out, text);
    }
    put_varint(out, (span.links.len() * 24) as u64);
    for link in &span.links {
        out.extend_from_slice(&link.trace.to_le_bytes());
        out.extend_from_slice(&link.id.to_le_bytes());
    }
}

/// The number of a kind on disk.
pub(super) const fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Client => 1,
        Kind::Server => 2,
        Kind::Producer => 3,
        Kind::Consumer => 4,
        Kind::Internal => 5,
    }
}

/// The kind with a number; none if there is none.
pub(super) fn kind_of(number: u8) -> Option<Kind> {
    Kind::ALL.get(usize::from(number)).copied()
}

/// Appends text with its length before it.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Takes text with its length before it off the front; none if it is damaged.
pub(super) fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(bytes)?).ok()
}

/// Takes bytes with their length before them off the front.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(bytes).ok()?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Takes so many bytes off the front.
pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

const fn varint_bytes(number: u64) -> usize {
    (70 - (number | 1).leading_zeros() as usize) / 7
}

const fn text_bytes(text: &str) -> usize {
    varint_bytes(text.len() as u64) + text.len()
}

impl<'a> Encoded<'a> {
    /// Takes a span off the front; none if nothing is left, or what is there is none.
    pub(super) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let [flags] = take_array::<1>(bytes)?;
        let trace = u128::from_le_bytes(take_array(bytes)?);
        let id = u64::from_le_bytes(take_array(bytes)?);
        let parent = match flags & PARENT {
            0 => None,
            _ => Some(u64::from_le_bytes(take_array(bytes)?)),
        };
        Some(Self {
            trace,
            id,
            parent,
            kind: kind_of(flags & KIND)?,
            is_error: flags & ERROR != 0,
            shared: flags & SHARED != 0,
            start_us: varint(bytes).ok()?,
            duration_us: varint(bytes).ok()?,
            service: take_text(bytes)?,
            operation: take_text(bytes)?,
            remote: take_text(bytes)?,
            tags: take_bytes(bytes)?,
            events: take_bytes(bytes)?,
            links: take_bytes(bytes)?,
        })
    }

    /// Its tags.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.tags;
        std::iter::from_fn(move || Some((take_text(&mut rest)?, take_text(&mut rest)?)))
    }

    /// Its events.
    pub(super) fn events(&self) -> impl Iterator<Item = (u64, &'a str)> + use<'a> {
        let mut rest = self.events;
        std::iter::from_fn(move || Some((varint(&mut rest).ok()?, take_text(&mut rest)?)))
    }

    /// Its links.
    pub(super) fn links(&self) -> impl Iterator<Item = Link> + use<'a> {
        let mut rest = self.links;
        std::iter::from_fn(move || {
            let trace = u128::from_le_bytes(take_array(&mut rest)?);
            Some(Link { trace, id: u64::from_le_bytes(take_array(&mut rest)?) })
        })
    }

    /// All of it.
    pub(super) fn borrowed(&self) -> Borrowed<'a> {
        Borrowed {
            trace: self.trace,
            id: self.id,
            parent: self.parent,
            kind: self.kind,
            service: self.service,
            operation: self.operation,
            remote: self.remote,
            start_us: self.start_us,
            duration_us: self.duration_us,
            tags: self.tags().collect(),
            events: self.events().collect(),
            links: self.links().collect(),
            is_error: self.is_error,
            shared: self.shared,
        }
    }
}

/// The spans that stand one after the other in `bytes`, up to the first that is damaged.
pub(super) fn all(bytes: &[u8]) -> impl Iterator<Item = Encoded<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || Encoded::take(&mut rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::any_span;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken(spans in prop::collection::vec(any_span(), 0..5)) {
            let mut bytes = Vec::new();
            for span in &spans {
                put(&mut bytes, span);
            }
            prop_assert_eq!(all(&bytes).map(|it| it.borrowed().to_span()).collect::<Vec<_>>(), spans);
        }

        #[test]
        fn garbage_ends(bytes: Vec<u8>) {
            prop_assert!(all(&bytes).count() <= bytes.len());
        }
    }
}
