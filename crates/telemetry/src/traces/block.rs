//! A block: some traces, whole, compressed together.
//!
//! What is alike stands together: ids, which nothing compresses; times; the shape of spans (kinds, names, tags
//! by number); and texts. An index says where each trace begins in each of the four, so that one trace is read
//! without the others. A parent within the trace is its place in it, which is one byte instead of eight. It
//! refuses to hold a part of a trace: who asks for a trace reads one block.

use memchr::memmem::Finder;

use crate::protobuf::{put_varint, unzigzag, varint, zigzag};
use crate::traces::borrowed::Borrowed;
use crate::traces::columns::duration_code;
use crate::traces::dictionary::{Builder, Dictionary, PAIR_OTHER, Tag};
use crate::traces::encoded::{Encoded, kind_number, kind_of, put_text, take_array, take_text};
use crate::traces::filter;
use crate::traces::span::Link;

const KIND: u8 = 7;
const ERROR: u8 = 1 << 3;
const SHARED: u8 = 1 << 4;
const PARENT_HERE: u8 = 1 << 5;
const PARENT_ELSEWHERE: u8 = 1 << 6;
/// Parts of a block: ids, times, shape, texts.
const PARTS: usize = 4;
/// What is before the remote service's name in the hash of it, so that it is no tag's.
const REMOTE: &str = "\0remote";
/// The same for the text of an event.
const EVENT: &str = "\0event";

/// A block that is being filled, and the rows of the segment's columns.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    index: Vec<u8>,
    parts: [Vec<u8>; PARTS],
    traces: u32,
    pub(super) rows: Rows,
}

/// One entry for each span of the segment.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) pairs: Vec<u8>,
    pub(super) durations: Vec<u8>,
    pub(super) errors: Vec<u8>,
    pub(super) count: u32,
}

impl Rows {
    fn push(&mut self, pair: u16, span: &Encoded<'_>) {
        self.pairs.extend_from_slice(&pair.to_le_bytes());
        self.durations.extend_from_slice(&duration_code(span.duration_us).to_le_bytes());
        if self.count.is_multiple_of(8) {
            self.errors.push(0);
        }
        if let Some(byte) = self.errors.last_mut().filter(|_| span.is_error) {
            *byte |= 1 << (self.count % 8);
        }
        self.count += 1;
    }
}

/// What the hash of a remote service's name is, whatever its case.
pub(super) fn remote_hash(name: &str) -> u64 {
    filter::hash_pair(filter::hash_text(REMOTE), &name.to_ascii_lowercase())
}

/// What the hash of an event's text is.
pub(super) fn event_hash(text: &str) -> u64 {
    filter::hash_pair(filter::hash_text(EVENT), text)
}

impl BlockWriter {
    /// Bytes that were written, before they are compressed.
    pub(super) fn len(&self) -> usize {
        self.index.len() + self.parts.iter().map(Vec::len).sum::<usize>()
    }

    /// Adds a trace, all of whose spans have the same id of a trace.
    pub(super) fn trace(&mut self, spans: &[Encoded<'_>], dictionary: &mut Builder) {
        let Some(first) = spans.first() else { return };
        let before = [0, 1, 2, 3].map(|it| self.part(it).len());
        let start_us = spans.iter().map(|it| it.start_us).min().unwrap_or(0);
        self.part(0).extend_from_slice(&first.trace.to_le_bytes());
        put_varint(self.part(1), start_us);
        put_varint(self.part(2), spans.len() as u64);
        let mut places: Vec<_> = spans.iter().enumerate().map(|(at, it)| (it.id, at)).collect();
        places.sort_unstable();
        for span in spans {
            self.span(span, start_us, &places, dictionary);
        }
        for (part, before) in before.into_iter().enumerate() {
            let length = self.part(part).len() - before;
            put_varint(&mut self.index, length as u64);
        }
        self.traces += 1;
    }

    fn span(
        &mut self,
        span: &Encoded<'_>,
        start_us: u64,
        places: &[(u64, usize)],
        dictionary: &mut Builder,
    ) {
        let [ids, times, shape, texts] = &mut self.parts;
        ids.extend_from_slice(&span.id.to_le_bytes());
        put_varint(times, zigzag(span.start_us.wrapping_sub(start_us).cast_signed()));
        put_varint(times, span.duration_us);
        let mut flags = kind_number(span.kind);
        flags |= if span.is_error { ERROR } else { 0 } | if span.shared { SHARED } else { 0 };
        let place = span.parent.and_then(|parent| {
            let at = places.partition_point(|it| it.0 < parent);
            places.get(at).filter(|it| it.0 == parent)
        });
        match (span.parent, place) {
            (Some(_), Some((_, at))) => {
                shape.push(flags | PARENT_HERE);
                put_varint(shape, *at as u64);
            }
            (Some(parent), None) => {
                shape.push(flags | PARENT_ELSEWHERE);
                ids.extend_from_slice(&parent.to_le_bytes());
            }
            (None, _) => shape.push(flags),
        }
        let service = dictionary.names.number(span.service);
        let operation = dictionary.names.number(span.operation);
        let pair = dictionary.pair(service, operation);
        put_varint(shape, u64::from(pair));
        if pair == PAIR_OTHER {
            put_varint(shape, u64::from(service));
            put_varint(shape, u64::from(operation));
        }
        dictionary.note(pair, span);
        put_remote(shape, span.remote, service, dictionary);
        put_tags(shape, texts, span, dictionary);
        self.events_and_links(span, start_us, dictionary);
        self.rows.push(pair, span);
    }

    fn events_and_links(&mut self, span: &Encoded<'_>, start_us: u64, dictionary: &mut Builder) {
        let [ids, times, shape, texts] = &mut self.parts;
        put_varint(shape, span.events().count() as u64);
        for (at_us, text) in span.events() {
            put_varint(times, zigzag(at_us.wrapping_sub(start_us).cast_signed()));
            put_text(texts, text);
            dictionary.hashes.push(event_hash(text));
        }
        put_varint(shape, span.links().count() as u64);
        for link in span.links() {
            ids.extend_from_slice(&link.trace.to_le_bytes());
            ids.extend_from_slice(&link.id.to_le_bytes());
        }
    }

    fn part(&mut self, part: usize) -> &mut Vec<u8> {
        let [ids, times, shape, texts] = &mut self.parts;
        match part {
            0 => ids,
            1 => times,
            2 => shape,
            _ => texts,
        }
    }

    /// Ends the block: its bytes, to be compressed. Another one begins.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() + 32);
        put_varint(&mut out, u64::from(self.traces));
        out.append(&mut self.index);
        for part in &mut self.parts {
            out.append(part);
        }
        self.traces = 0;
        out
    }
}

fn put_remote(shape: &mut Vec<u8>, remote: &str, service: u32, dictionary: &mut Builder) {
    if remote.is_empty() {
        return shape.push(0);
    }
    let number = dictionary.names.number(remote);
    put_varint(shape, u64::from(number) + 1);
    if dictionary.remote(service, number) {
        dictionary.hashes.push(remote_hash(remote));
    }
}

/// A tag is its number and two, or 1 with its key's number and its value, or 0 with its key and its value.
fn put_tags(
    shape: &mut Vec<u8>,
    texts: &mut Vec<u8>,
    span: &Encoded<'_>,
    dictionary: &mut Builder,
) {
    put_varint(shape, span.tags().count() as u64);
    for (key, value) in span.tags() {
        match dictionary.tag(key, value) {
            Tag::Known(number) => put_varint(shape, u64::from(number) + 2),
            Tag::Keyed(key) => {
                shape.push(1);
                put_varint(shape, u64::from(key));
                put_text(texts, value);
            }
            Tag::Plain => {
                shape.push(0);
                put_text(texts, key);
                put_text(texts, value);
            }
        }
    }
}

/// A block that was read.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Where the parts of each trace begin, and where the last one's end.
    begins: Vec<[usize; PARTS]>,
}

/// What is left of a trace's parts.
struct Parts<'a> {
    ids: &'a [u8],
    times: &'a [u8],
    shape: &'a [u8],
    texts: &'a [u8],
}

impl Block {
    /// A block of the bytes [`BlockWriter::end`] returned; none if they are damaged.
    pub(super) fn new(bytes: Vec<u8>) -> Option<Self> {
        let mut rest = bytes.as_slice();
        let count = varint(&mut rest).ok()?;
        let mut lengths = Vec::new();
        let mut sums = [0_usize; PARTS];
        for _ in 0..count {
            lengths.push(sums);
            for sum in &mut sums {
                *sum = sum.checked_add(usize::try_from(varint(&mut rest).ok()?).ok()?)?;
            }
        }
        lengths.push(sums);
        let mut at = bytes.len() - rest.len();
        let mut bases = [0; PARTS];
        for (base, sum) in bases.iter_mut().zip(sums) {
            *base = at;
            at = at.checked_add(sum)?;
        }
        let place = |sums: [usize; PARTS]| {
            let mut place = bases;
            place.iter_mut().zip(sums).for_each(|(it, sum)| *it += sum);
            place
        };
        let begins = lengths.into_iter().map(place).collect();
        (at == bytes.len()).then_some(Self { bytes, begins })
    }

    /// Traces in it.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.begins.len() - 1
    }

    /// Whether a text that stands with the spans may contain one in lower case, whatever its own case.
    pub(super) fn may_contain(&self, lower: &Finder<'_>) -> bool {
        let begin = self.begins.first().and_then(|it| it.last()).copied().unwrap_or(0);
        let texts = self.bytes.get(begin..).unwrap_or_default();
        lower.find(&texts.to_ascii_lowercase()).is_some()
    }

    /// The spans of the trace at a place; none if there is none, or it is damaged.
    pub(super) fn trace<'a>(
        &'a self,
        place: usize,
        dictionary: &'a Dictionary,
    ) -> Option<Vec<Borrowed<'a>>> {
        let (begin, end) = (self.begins.get(place)?, self.begins.get(place + 1)?);
        let [ids, times, shape, texts] = [0, 1, 2, 3].map(|part| {
            let range = begin.get(part).copied()?..end.get(part).copied()?;
            self.bytes.get(range)
        });
        let mut parts = Parts { ids: ids?, times: times?, shape: shape?, texts: texts? };
        let trace = u128::from_le_bytes(take_array(&mut parts.ids)?);
        let start_us = varint(&mut parts.times).ok()?;
        let count = varint(&mut parts.shape).ok()?;
        let mut spans = Vec::new();
        let mut here = Vec::new();
        for _ in 0..count {
            let (span, parent) = parts.span(start_us, dictionary)?;
            here.push(parent);
            spans.push(Borrowed { trace, ..span });
        }
        for (at, parent) in here.into_iter().enumerate() {
            let Some(parent) = parent else { continue };
            let id = spans.get(parent)?.id;
            spans.get_mut(at)?.parent = Some(id);
        }
        Some(spans)
    }
}

impl<'a> Parts<'a> {
    /// The next span, and the place of its parent if that is in the trace.
    fn span(
        &mut self,
        start_us: u64,
        dictionary: &'a Dictionary,
    ) -> Option<(Borrowed<'a>, Option<usize>)> {
        let id = u64::from_le_bytes(take_array(&mut self.ids)?);
        let begin = unzigzag(varint(&mut self.times).ok()?).cast_unsigned().wrapping_add(start_us);
        let duration_us = varint(&mut self.times).ok()?;
        let [flags] = take_array(&mut self.shape)?;
        let here = match flags & PARENT_HERE {
            0 => None,
            _ => Some(usize::try_from(varint(&mut self.shape).ok()?).ok()?),
        };
        let parent = match flags & PARENT_ELSEWHERE {
            0 => None,
            _ => Some(u64::from_le_bytes(take_array(&mut self.ids)?)),
        };
        let (service, operation) = self.names(dictionary)?;
        let remote = self.number()?;
        let remote = remote.checked_sub(1).map_or("", |it| dictionary.names.get(it));
        let mut tags = Vec::new();
        for _ in 0..self.number()? {
            tags.push(self.tag(dictionary)?);
        }
        let mut events = Vec::new();
        for _ in 0..self.number()? {
            let at_us = unzigzag(varint(&mut self.times).ok()?).cast_unsigned();
            events.push((at_us.wrapping_add(start_us), take_text(&mut self.texts)?));
        }
        let mut links = Vec::new();
        for _ in 0..self.number()? {
            let trace = u128::from_le_bytes(take_array(&mut self.ids)?);
            links.push(Link { trace, id: u64::from_le_bytes(take_array(&mut self.ids)?) });
        }
        let span = Borrowed {
            trace: 0,
            id,
            parent,
            kind: kind_of(flags & KIND)?,
            service,
            operation,
            remote,
            start_us: begin,
            duration_us,
            tags,
            events,
            links,
            is_error: flags & ERROR != 0,
            shared: flags & SHARED != 0,
        };
        Some((span, here))
    }

    fn number(&mut self) -> Option<u32> {
        u32::try_from(varint(&mut self.shape).ok()?).ok()
    }

    fn names(&mut self, dictionary: &'a Dictionary) -> Option<(&'a str, &'a str)> {
        let pair = self.number()?;
        let (service, operation) = if pair == u32::from(PAIR_OTHER) {
            (self.number()?, self.number()?)
        } else {
            let pair = dictionary.pairs.get(pair as usize)?;
            (pair.service, pair.operation)
        };
        Some((dictionary.names.get(service), dictionary.names.get(operation)))
    }

    fn tag(&mut self, dictionary: &'a Dictionary) -> Option<(&'a str, &'a str)> {
        match self.number()? {
            0 => Some((take_text(&mut self.texts)?, take_text(&mut self.texts)?)),
            1 => Some((dictionary.keys.get(self.number()?), take_text(&mut self.texts)?)),
            number => dictionary.tag(number - 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::encoded;
    use crate::traces::span::Span;
    use crate::traces::testing::any_span;
    use proptest::prelude::*;

    fn write(traces: &[Vec<Span>]) -> (Vec<u8>, Dictionary) {
        let mut builder = Builder::default();
        let mut writer = BlockWriter::default();
        for trace in traces {
            let mut bytes = Vec::new();
            for span in trace {
                encoded::put(&mut bytes, span);
            }
            writer.trace(&encoded::all(&bytes).collect::<Vec<_>>(), &mut builder);
        }
        let mut bytes = Vec::new();
        builder.put(&mut bytes);
        (writer.end(), Dictionary::take(&mut bytes.as_slice()).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(mut traces in prop::collection::vec(prop::collection::vec(any_span(), 1..6), 0..4)) {
            for (trace, spans) in traces.iter_mut().enumerate() {
                for span in spans {
                    span.trace = trace as u128 + 1;
                }
            }
            let (bytes, dictionary) = write(&traces);
            let block = Block::new(bytes).unwrap();
            prop_assert_eq!(block.len(), traces.len());
            for (place, spans) in traces.iter().enumerate() {
                let read = block.trace(place, &dictionary).unwrap();
                prop_assert_eq!(&read.iter().map(Borrowed::to_span).collect::<Vec<_>>(), spans);
            }
        }

        /// Checksums come first, but what has a wrong one that fits must not do harm.
        #[test]
        fn garbage_is_no_trace(at in 0_usize..400, byte: u8, spans in prop::collection::vec(any_span(), 1..6)) {
            let (mut bytes, dictionary) = write(&[spans]);
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Some(block) = Block::new(bytes) {
                for place in 0..block.len() {
                    drop(block.trace(place, &dictionary));
                }
            }
        }
    }
}
