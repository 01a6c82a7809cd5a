//! The strings of a segment, each once: names, and tags with few values.
//!
//! A tag's key and value are one entry together, so that a tag of a span is one small number. A key whose values
//! do not repeat (an order's number, a query) would fill the dictionary with what is used once; after 512 values
//! it gets no more of them, and later ones stand with their spans. It refuses to grow with what hostile callers
//! make up: keys are limited, too.

use hashbrown::HashTable;
use memchr::memmem::Finder;

use crate::protobuf::{put_varint, varint};
use crate::traces::encoded::{Encoded, put_text, take_text};
use crate::traces::filter::{hash_pair, hash_text};

/// Values of one key that are told apart; those of a key with more are mostly used once.
pub(super) const VALUES_MAX: u32 = 512;
/// Keys of a segment: far more than conventions have, and a bound for those who make them up.
pub(super) const KEYS_MAX: usize = 4_096;
/// Pairs of service and operation in a segment that have a number of their own in its column.
pub(super) const PAIRS_MAX: usize = 65_535;
/// The number of the pairs that found no place.
pub(super) const PAIR_OTHER: u16 = u16::MAX;

/// Strings, numbered as they come.
#[derive(Debug, Default)]
pub(super) struct Strings {
    table: HashTable<u32>,
    text: String,
    ends: Vec<u32>,
}

impl Strings {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string with a number; empty if there is none.
    pub(super) fn get(&self, number: u32) -> &str {
        get(&self.text, &self.ends, number)
    }

    fn find(&self, hash: u64, text: &str) -> Option<u32> {
        self.table.find(hash, |it| self.get(*it) == text).copied()
    }

    fn add(&mut self, hash: u64, text: &str) -> u32 {
        let Self { table, text: all, ends } = self;
        let number = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        all.push_str(text);
        ends.push(u32::try_from(all.len()).unwrap_or(u32::MAX));
        table.insert_unique(hash, number, |it| hash_text(get(all, ends, *it)));
        number
    }

    /// The number of a string, which is added if it is new.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        let hash = hash_text(text);
        match self.find(hash, text) {
            Some(number) => number,
            None => self.add(hash, text),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for number in 0..self.len() {
            put_text(out, self.get(u32::try_from(number).unwrap_or(u32::MAX)));
        }
    }
}

fn get<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let number = number as usize;
    let begin = number.checked_sub(1).and_then(|it| ends.get(it)).copied().unwrap_or(0);
    let end = ends.get(number).copied().unwrap_or(begin);
    text.get(begin as usize..end as usize).unwrap_or_default()
}

/// A key while a segment is made.
#[derive(Debug, Clone, Copy)]
struct Key {
    values: u32,
    /// The block it was last used in.
    block: u32,
}

/// A key with a value while a segment is made.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u32,
    value: u32,
    hash: u64,
    block: u32,
}

/// A service and one it called, while a segment is made.
#[derive(Debug, Clone, Copy)]
struct Remote {
    service: u32,
    name: u32,
    block: u32,
}

/// How a tag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// By the number of its key and value.
    Known(u32),
    /// By the number of its key, and with its value.
    Keyed(u32),
    /// With its key and its value.
    Plain,
}

/// A service and an operation, and the slowest span of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) service: u32,
    pub(super) operation: u32,
    pub(super) slowest_us: u64,
    pub(super) has_errors: bool,
}

/// The dictionary of a segment that is made.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) names: Strings,
    pairs: Vec<Pair>,
    pair_table: HashTable<u16>,
    remotes: Vec<Remote>,
    remote_table: HashTable<u32>,
    keys: Strings,
    key_uses: Vec<Key>,
    values: Strings,
    entries: Vec<Entry>,
    entry_table: HashTable<u32>,
    /// What is in the tags of the block that is made.
    pub(super) hashes: Vec<u64>,
    block: u32,
}

fn hash_two(first: u32, second: u32) -> u64 {
    crate::traces::filter::hash_id(u64::from(first) << 32 | u64::from(second))
}

impl Builder {
    /// The number of a service's operation.
    pub(super) fn pair(&mut self, service: u32, operation: u32) -> u16 {
        let Self { pairs, pair_table, .. } = self;
        let hash = hash_two(service, operation);
        let known = |it: &u16| {
            pairs
                .get(usize::from(*it))
                .is_some_and(|it| it.service == service && it.operation == operation)
        };
        if let Some(number) = pair_table.find(hash, known) {
            return *number;
        }
        let Some(number) = u16::try_from(pairs.len()).ok().filter(|it| *it < PAIR_OTHER) else {
            return PAIR_OTHER;
        };
        pairs.push(Pair { service, operation, ..Pair::default() });
        let hash_of = |it: &u16| {
            pairs.get(usize::from(*it)).map_or(0, |it| hash_two(it.service, it.operation))
        };
        pair_table.insert_unique(hash, number, hash_of);
        number
    }

    /// Notes what a span of a pair was like.
    pub(super) fn note(&mut self, pair: u16, span: &Encoded<'_>) {
        if let Some(pair) = self.pairs.get_mut(usize::from(pair)) {
            pair.slowest_us = pair.slowest_us.max(span.duration_us);
            pair.has_errors |= span.is_error;
        }
    }

    /// Notes that a service called another; whether that is new to the block.
    pub(super) fn remote(&mut self, service: u32, remote: u32) -> bool {
        let Self { remotes, remote_table, block, .. } = self;
        let hash = hash_two(service, remote);
        let same = |it: &u32| {
            remotes.get(*it as usize).is_some_and(|it| it.service == service && it.name == remote)
        };
        if let Some(number) = remote_table.find(hash, same).copied() {
            let Some(known) = remotes.get_mut(number as usize) else { return true };
            return std::mem::replace(&mut known.block, *block) != *block;
        }
        if remotes.len() < PAIRS_MAX {
            let number = u32::try_from(remotes.len()).unwrap_or(u32::MAX);
            remotes.push(Remote { service, name: remote, block: *block });
            let hash_of =
                |it: &u32| remotes.get(*it as usize).map_or(0, |it| hash_two(it.service, it.name));
            remote_table.insert_unique(hash, number, hash_of);
        }
        true
    }

    /// How a tag is written; it is noted for the block's filter.
    pub(super) fn tag(&mut self, key: &str, value: &str) -> Tag {
        let key_hash = hash_text(key);
        let hash = hash_pair(key_hash, value);
        let Some(number) = self.key(key_hash, key) else {
            self.hashes.extend([key_hash, hash]);
            return Tag::Plain;
        };
        let Self { entries, entry_table, values, block, .. } = self;
        let same = |it: &u32| {
            entries
                .get(*it as usize)
                .is_some_and(|it| it.key == number && values.get(it.value) == value)
        };
        if let Some(entry) = entry_table.find(hash, same).copied() {
            if let Some(it) = entries.get_mut(entry as usize).filter(|it| it.block != *block) {
                it.block = *block;
                self.hashes.push(hash);
            }
            return Tag::Known(entry);
        }
        self.hashes.push(hash);
        let Some(uses) = self.key_uses.get_mut(number as usize) else { return Tag::Plain };
        if VALUES_MAX <= uses.values {
            return Tag::Keyed(number);
        }
        uses.values += 1;
        let entry = Entry { key: number, value: self.values.number(value), hash, block: *block };
        let place = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        entries.push(entry);
        entry_table
            .insert_unique(hash, place, |it| entries.get(*it as usize).map_or(0, |it| it.hash));
        Tag::Known(place)
    }

    fn key(&mut self, hash: u64, key: &str) -> Option<u32> {
        let found = self.keys.find(hash, key);
        let number = match found {
            Some(number) => number,
            None if self.keys.len() < KEYS_MAX => {
                self.key_uses.push(Key { values: 0, block: u32::MAX });
                self.keys.add(hash, key)
            }
            None => return None,
        };
        let uses = self.key_uses.get_mut(number as usize)?;
        if uses.block != self.block {
            uses.block = self.block;
            self.hashes.push(hash);
        }
        Some(number)
    }

    /// What the block that was made holds; another one begins.
    pub(super) fn end_block(&mut self) -> Vec<u64> {
        self.block += 1;
        std::mem::take(&mut self.hashes)
    }

    /// Writes it down.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.names.put(out);
        put_varint(out, self.pairs.len() as u64);
        for pair in &self.pairs {
            put_varint(out, u64::from(pair.service));
            put_varint(out, u64::from(pair.operation));
            put_varint(out, pair.slowest_us);
            put_varint(out, u64::from(pair.has_errors));
        }
        put_varint(out, self.remotes.len() as u64);
        for known in &self.remotes {
            put_varint(out, u64::from(known.service));
            put_varint(out, u64::from(known.name));
        }
        self.keys.put(out);
        self.values.put(out);
        put_varint(out, self.entries.len() as u64);
        for entry in &self.entries {
            put_varint(out, u64::from(entry.key));
            put_varint(out, u64::from(entry.value));
        }
    }
}

/// Strings that were written down.
#[derive(Debug, Default)]
pub(super) struct List {
    text: String,
    ends: Vec<u32>,
}

impl List {
    /// The string with a number; empty if there is none.
    pub(super) fn get(&self, number: u32) -> &str {
        get(&self.text, &self.ends, number)
    }

    /// Whether a string may contain a text in lower case, whatever its own case.
    fn may_contain(&self, lower: &Finder<'_>) -> bool {
        lower.find(&self.text.as_bytes().to_ascii_lowercase()).is_some()
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let count = varint(bytes).ok()?;
        let mut list = Self::default();
        for _ in 0..count {
            list.text.push_str(take_text(bytes)?);
            list.ends.push(u32::try_from(list.text.len()).ok()?);
        }
        Some(list)
    }
}

/// The dictionary of a segment.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    pub(super) names: List,
    pub(super) pairs: Vec<Pair>,
    /// Services, and whom they called.
    pub(super) remotes: Vec<(u32, u32)>,
    pub(super) keys: List,
    values: List,
    entries: Vec<(u32, u32)>,
}

impl Dictionary {
    /// Reads what [`Builder::put`] wrote; none if it is damaged.
    pub(super) fn take(bytes: &mut &[u8]) -> Option<Self> {
        let number = |bytes: &mut &[u8]| u32::try_from(varint(bytes).ok()?).ok();
        let names = List::take(bytes)?;
        let mut pairs = Vec::new();
        for _ in 0..varint(bytes).ok()? {
            let (service, operation) = (number(bytes)?, number(bytes)?);
            let (slowest_us, errors) = (varint(bytes).ok()?, varint(bytes).ok()?);
            pairs.push(Pair { service, operation, slowest_us, has_errors: errors != 0 });
        }
        let mut remotes = Vec::new();
        for _ in 0..varint(bytes).ok()? {
            remotes.push((number(bytes)?, number(bytes)?));
        }
        let keys = List::take(bytes)?;
        let values = List::take(bytes)?;
        let mut entries = Vec::new();
        for _ in 0..varint(bytes).ok()? {
            entries.push((number(bytes)?, number(bytes)?));
        }
        Some(Self { names, pairs, remotes, keys, values, entries })
    }

    /// The tag with a number.
    pub(super) fn tag(&self, number: u32) -> Option<(&str, &str)> {
        let (key, value) = self.entries.get(number as usize)?;
        Some((self.keys.get(*key), self.values.get(*value)))
    }

    /// Whether a string may contain a text in lower case; if not, it can only be with the spans.
    pub(super) fn may_contain(&self, lower: &Finder<'_>) -> bool {
        [&self.names, &self.keys, &self.values].into_iter().any(|it| it.may_contain(lower))
    }

    /// All tags that are here.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|it| (self.keys.get(it.0), self.values.get(it.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::encoded;
    use crate::traces::span::Span;

    #[test]
    fn a_key_with_many_values_stops_adding_them() {
        let mut builder = Builder::default();
        for number in 0..512 {
            assert_eq!(builder.tag("order", &number.to_string()), Tag::Known(number));
        }
        assert_eq!(builder.tag("order", "512"), Tag::Keyed(0));
        assert_eq!(builder.tag("order", "7"), Tag::Known(7));
        assert_eq!(builder.tag("method", "7"), Tag::Known(512));
        for number in 2..KEYS_MAX {
            assert_eq!(
                builder.tag(&number.to_string(), ""),
                Tag::Known(511 + u32::try_from(number).unwrap())
            );
        }
        assert_eq!(builder.tag("one more", "7"), Tag::Plain);
        let service = builder.names.number("cart");
        assert_eq!(
            (builder.pair(service, 0), builder.pair(service, 1), builder.pair(service, 0)),
            (0, 1, 0)
        );
        let mut bytes = Vec::new();
        encoded::put(&mut bytes, &Span { is_error: true, duration_us: 7, ..Span::default() });
        builder.note(1, &Encoded::take(&mut bytes.as_slice()).unwrap());
        builder.remote(service, 0);
        let mut bytes = Vec::new();
        builder.put(&mut bytes);
        let read = Dictionary::take(&mut bytes.as_slice()).unwrap();
        assert_eq!((read.tag(7), read.tag(512)), (Some(("order", "7")), Some(("method", "7"))));
        assert_eq!((read.names.get(0), read.names.get(9)), ("cart", ""));
        assert_eq!(read.pairs[1], Pair { service, operation: 1, slowest_us: 7, has_errors: true });
        for end in (0..bytes.len()).step_by(997) {
            assert!(Dictionary::take(&mut &bytes[..end]).is_none());
        }
    }

    /// The filter of a block is told of what is in the block, once.
    #[test]
    fn a_block_knows_its_own_tags() {
        let mut builder = Builder::default();
        builder.tag("a", "1");
        builder.tag("a", "1");
        builder.tag("a", "2");
        let first = builder.end_block();
        let a = hash_text("a");
        assert_eq!(first, [a, hash_pair(a, "1"), hash_pair(a, "2")]);
        builder.tag("a", "2");
        assert_eq!(builder.end_block(), [a, hash_pair(a, "2")]);
    }
}
