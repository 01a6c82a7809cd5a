//! A block's index: texts, series, and which series have which label.
//!
//! ```text
//! texts | series: labels as numbers of texts, places of chunks | postings by name and value
//! ```
//!
//! It is read once from front to end into places; labels and postings are unpacked when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql::Labels;

use super::log::text;
use super::postings::{Postings, sorted};
use crate::protobuf::{ProtobufError, put_varint, unzigzag, varint, zigzag};

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where its frame begins in the file.
    pub(super) frame: u64,
    /// Where it begins in the frame.
    pub(super) start: u32,
    pub(super) length: u32,
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

/// A series of a block.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) labels: Labels,
    pub(super) places: Vec<Place>,
}

/// Puts an index together.
#[derive(Debug, Default)]
pub(super) struct IndexWriter {
    texts: BTreeMap<Arc<str>, u32>,
    by_number: Vec<Arc<str>>,
    /// For every series where its entry ends in `entries`.
    ends: Vec<usize>,
    entries: Vec<u8>,
    postings: BTreeMap<u32, BTreeMap<u32, Vec<u32>>>,
}

impl IndexWriter {
    /// How many series there are.
    pub(super) fn series(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn add(&mut self, labels: &Labels, places: &[Place]) {
        let number = self.series();
        put_varint(&mut self.entries, labels.len() as u64);
        for (name, value) in labels.iter() {
            let (name, value) = (self.text(name), self.text(value));
            put_varint(&mut self.entries, u64::from(name));
            put_varint(&mut self.entries, u64::from(value));
            self.postings.entry(name).or_default().entry(value).or_default().push(number);
        }
        put_varint(&mut self.entries, places.len() as u64);
        for place in places {
            put_varint(&mut self.entries, place.frame);
            put_varint(&mut self.entries, u64::from(place.start));
            put_varint(&mut self.entries, u64::from(place.length));
            put_varint(&mut self.entries, zigzag(place.from_ms));
            put_varint(&mut self.entries, zigzag(place.to_ms.wrapping_sub(place.from_ms)));
        }
        self.ends.push(self.entries.len());
    }

    fn text(&mut self, text: &Arc<str>) -> u32 {
        if let Some(number) = self.texts.get(text) {
            return *number;
        }
        let number = u32::try_from(self.by_number.len()).unwrap_or(u32::MAX);
        self.texts.insert(Arc::clone(text), number);
        self.by_number.push(Arc::clone(text));
        number
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.by_number.len() as u64);
        for text in &self.by_number {
            put_varint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        put_varint(&mut out, self.ends.len() as u64);
        let mut start = 0;
        for end in &self.ends {
            put_varint(&mut out, (end - start) as u64);
            start = *end;
        }
        out.extend_from_slice(&self.entries);
        put_varint(&mut out, self.postings.len() as u64);
        for (name, values) in &self.postings {
            put_varint(&mut out, u64::from(*name));
            put_varint(&mut out, values.len() as u64);
            for (value, series) in values {
                let mut list = Vec::new();
                let mut next = 0;
                for number in series {
                    put_varint(&mut list, u64::from(number - next));
                    next = number + 1;
                }
                put_varint(&mut out, u64::from(*value));
                put_varint(&mut out, list.len() as u64);
                out.extend_from_slice(&list);
            }
        }
        out
    }
}

/// By value, where in the index the list of series is, and its bytes.
type Lists = BTreeMap<Arc<str>, (usize, usize)>;

/// An index that can be asked.
#[derive(Debug)]
pub(super) struct Index {
    bytes: Vec<u8>,
    texts: Vec<Arc<str>>,
    /// Where the entries of series are.
    entries: Vec<(usize, usize)>,
    /// By name and value, where the list of series is.
    lists: BTreeMap<Arc<str>, Lists>,
}

impl Index {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, ProtobufError> {
        let all = bytes.as_slice();
        let mut rest = all;
        let count = length(&mut rest, 1)?;
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(Arc::from(text(&mut rest)?));
        }
        let count = length(&mut rest, 1)?;
        let mut entries = Vec::with_capacity(count);
        let mut start = 0;
        for _ in 0..count {
            let bytes = length(&mut rest, 0)?;
            entries.push((start, bytes));
            start += bytes;
        }
        let at = all.len() - rest.len();
        for entry in &mut entries {
            entry.0 += at;
        }
        rest = rest.get(start..).ok_or(ProtobufError::Torn)?;
        let mut lists = BTreeMap::new();
        for _ in 0..length(&mut rest, 1)? {
            let name = numbered(&texts, varint(&mut rest)?)?;
            let mut values = Vec::new();
            for _ in 0..length(&mut rest, 1)? {
                let value = numbered(&texts, varint(&mut rest)?)?;
                let bytes = length(&mut rest, 0)?;
                values.push((value, (all.len() - rest.len(), bytes)));
                rest = rest.get(bytes..).ok_or(ProtobufError::Torn)?;
            }
            lists.insert(name, values.into_iter().collect());
        }
        Ok(Self { bytes, texts, entries, lists })
    }

    /// A series by its number.
    pub(super) fn entry(&self, number: u32) -> Result<Entry, ProtobufError> {
        let (at, bytes) = self.entries.get(number as usize).ok_or(ProtobufError::Torn)?;
        let mut rest = self.part(*at, *bytes)?;
        let count = length(&mut rest, 2)?;
        let mut labels = Vec::with_capacity(count);
        for _ in 0..count {
            let name = numbered(&self.texts, varint(&mut rest)?)?;
            labels.push((name, numbered(&self.texts, varint(&mut rest)?)?));
        }
        let count = length(&mut rest, 5)?;
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let frame = varint(&mut rest)?;
            let small = |number| u32::try_from(number).map_err(|_large| ProtobufError::Number);
            let (start, length) = (small(varint(&mut rest)?)?, small(varint(&mut rest)?)?);
            let from_ms = unzigzag(varint(&mut rest)?);
            let to_ms = from_ms.wrapping_add(unzigzag(varint(&mut rest)?));
            places.push(Place { frame, start, length, from_ms, to_ms });
        }
        Ok(Entry { labels: Labels::new(labels), places })
    }

    /// The names, and of each its values.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.lists.iter().map(|(name, values)| (&**name, values.keys().map(|it| &**it)))
    }

    fn part(&self, at: usize, bytes: usize) -> Result<&[u8], ProtobufError> {
        let part = self.bytes.get(at..).and_then(|it| it.get(..bytes));
        part.ok_or(ProtobufError::Torn)
    }

    fn list(&self, (at, bytes): (usize, usize), out: &mut Vec<u32>) {
        let mut rest = self.part(at, bytes).unwrap_or_default();
        let mut next = 0_u64;
        while let Ok(gap) = varint(&mut rest) {
            let number = next.saturating_add(gap);
            out.push(u32::try_from(number).unwrap_or(u32::MAX));
            next = number.saturating_add(1);
        }
    }
}

impl Postings for Index {
    fn series(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    fn exact(&self, name: &str, value: &str) -> Vec<u32> {
        let mut found = Vec::new();
        if let Some(list) = self.lists.get(name).and_then(|it| it.get(value)) {
            self.list(*list, &mut found);
        }
        found
    }

    fn union(&self, name: &str, wanted: &mut dyn FnMut(&str) -> bool) -> Vec<u32> {
        let mut found = Vec::new();
        for (value, list) in self.lists.get(name).into_iter().flatten() {
            if wanted(value) {
                self.list(*list, &mut found);
            }
        }
        sorted(found)
    }
}

/// Reads a count of things that take `least` bytes each: more than there are bytes for are damage, not a
/// reason to reserve memory.
fn length(rest: &mut &[u8], least: usize) -> Result<usize, ProtobufError> {
    let count = usize::try_from(varint(rest)?).unwrap_or(usize::MAX);
    let fits = count.checked_mul(least).is_some_and(|it| it <= rest.len());
    if fits && u32::try_from(count).is_ok() { Ok(count) } else { Err(ProtobufError::Torn) }
}

fn numbered(texts: &[Arc<str>], number: u64) -> Result<Arc<str>, ProtobufError> {
    let found = usize::try_from(number).ok().and_then(|it| texts.get(it));
    found.cloned().ok_or(ProtobufError::Torn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_found() {
        let mut writer = IndexWriter::default();
        let place = |it| Place { frame: 8 + it, start: 1, length: 2, from_ms: -5, to_ms: 7 };
        for number in 0..3_u64 {
            let text = number.to_string();
            let places: Vec<_> = (0..number).map(place).collect();
            writer.add(&Labels::of([("n", text.as_str()), ("x", "y")]), &places);
        }
        let index = Index::read(writer.finish()).unwrap();
        assert_eq!(index.exact("n", "1"), [1]);
        assert_eq!(index.exact("x", "y"), [0, 1, 2]);
        assert_eq!(index.union("n", &mut |it| it != "1"), [0, 2]);
        let entry = index.entry(2).unwrap();
        assert_eq!(entry.labels.to_string(), r#"{n="2", x="y"}"#);
        assert_eq!(entry.places, [place(0), place(1)]);
        let names: Vec<_> = index.names().map(|(name, values)| (name, values.count())).collect();
        assert_eq!(names, [("n", 3), ("x", 1)]);
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_read(bytes: Vec<u8>) {
            if let Ok(index) = Index::read(bytes) {
                for number in 0..index.series().min(100) {
                    drop(index.entry(number));
                }
                drop(index.union("", &mut |_| true));
            }
        }
    }
}
