//! What a log's records say: which series there are, and their samples.
//!
//! A record holds one batch. A series is named once in every file of the log, and is a number after that. Of a sample
//! one byte says what follows: most often it is the next series, at the same time, and all that follows is
//! how its value differs from the one before. Records above a size are compressed.

use std::collections::BTreeMap;

use super::chunk::{put_value, take_value};
use super::head::Head;
use crate::protobuf::{ProtobufError, put_varint, unzigzag, varint, zigzag};

/// A record that is longer is compressed.
const COMPRESS_BYTES: usize = 512;
/// Bytes a record may have when it is not compressed any more.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// zstd's level: the log is written once and seldom read.
const LEVEL: i32 = 1;

const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// In a sample's first byte: the time differs from the one before.
const TIME: u8 = 1 << 7;
/// It is not the next series.
const JUMP: u8 = 1 << 6;

/// A batch that is being put together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    series: Vec<u8>,
    series_count: u64,
    samples: Vec<u8>,
    next: u32,
    at_ms: i64,
}

impl Batch {
    /// Whether there is nothing in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.series.is_empty()
    }

    /// Says what series a number is.
    pub(super) fn name(&mut self, number: u32, labels: &promql::Labels) {
        self.series_count += 1;
        put_varint(&mut self.series, u64::from(number));
        put_varint(&mut self.series, labels.len() as u64);
        for (name, value) in labels.iter() {
            for text in [name, value] {
                put_varint(&mut self.series, text.len() as u64);
                self.series.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Adds a sample; `before` is the last value of the series in this file of the log.
    pub(super) fn sample(&mut self, number: u32, at_ms: i64, before: f64, value: f64) {
        let place = self.samples.len();
        self.samples.push(0);
        let mut kind = 0;
        if number != self.next {
            kind |= JUMP;
            let jump = i64::from(number) - i64::from(self.next);
            put_varint(&mut self.samples, zigzag(jump));
        }
        if at_ms != self.at_ms {
            kind |= TIME;
            put_varint(&mut self.samples, zigzag(at_ms.wrapping_sub(self.at_ms)));
        }
        kind |= put_value(&mut self.samples, before, value);
        if let Some(byte) = self.samples.get_mut(place) {
            *byte = kind;
        }
        self.next = number.wrapping_add(1);
        self.at_ms = at_ms;
    }

    /// The record, and an empty batch.
    pub(super) fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        let mut plain = vec![PLAIN];
        put_varint(&mut plain, self.series_count);
        plain.extend_from_slice(&self.series);
        plain.extend_from_slice(&self.samples);
        self.series.clear();
        self.samples.clear();
        (self.series_count, self.next, self.at_ms) = (0, 0, 0);
        if plain.len() < COMPRESS_BYTES {
            return Ok(plain);
        }
        let body = plain.get(1..).unwrap_or_default();
        let compressed = zstd::bulk::compress(body, LEVEL)?;
        let mut record = vec![COMPRESSED];
        put_varint(&mut record, body.len() as u64);
        record.extend_from_slice(&compressed);
        Ok(record)
    }
}

/// Puts records back into a head.
#[derive(Debug, Default)]
pub(super) struct Replay {
    file: u64,
    /// The head's series by its number in the file, and the last value in it.
    series: BTreeMap<u32, (u32, f64)>,
}

impl Replay {
    /// Takes in a record of the log's file `file`. Samples are put in order again as far as `late_ms` goes.
    pub(super) fn take(
        &mut self,
        head: &mut Head,
        file: u64,
        record: &[u8],
        late_ms: i64,
    ) -> Result<(), ProtobufError> {
        if file != self.file {
            *self = Self { file, series: BTreeMap::new() };
        }
        let (kind, mut rest) = record.split_first().ok_or(ProtobufError::Torn)?;
        let plain;
        if *kind == COMPRESSED {
            let length = usize::try_from(varint(&mut rest)?).unwrap_or(usize::MAX);
            if BATCH_BYTES_MAX < length {
                return Err(ProtobufError::Torn);
            }
            plain = zstd::bulk::decompress(rest, length).map_err(|_broken| ProtobufError::Torn)?;
            rest = &plain;
        }
        for _ in 0..varint(&mut rest)? {
            self.name(head, &mut rest)?;
        }
        let (mut next, mut at_ms) = (0_u32, 0_i64);
        while let Some((kind, after)) = rest.split_first() {
            rest = after;
            if kind & JUMP != 0 {
                let jump = unzigzag(varint(&mut rest)?);
                let number = i64::from(next).wrapping_add(jump);
                next = u32::try_from(number).map_err(|_negative| ProtobufError::Number)?;
            }
            if kind & TIME != 0 {
                at_ms = at_ms.wrapping_add(unzigzag(varint(&mut rest)?));
            }
            let (number, before) = self.series.get_mut(&next).ok_or(ProtobufError::Torn)?;
            *before = take_value(&mut rest, kind & !(JUMP | TIME), *before)?;
            head.push(*number, at_ms, *before, late_ms);
            next = next.wrapping_add(1);
        }
        Ok(())
    }

    fn name(&mut self, head: &mut Head, rest: &mut &[u8]) -> Result<(), ProtobufError> {
        let number = u32::try_from(varint(rest)?).map_err(|_large| ProtobufError::Number)?;
        let count = varint(rest)?;
        let mut labels = Vec::new();
        for _ in 0..count {
            labels.push((text(rest)?, text(rest)?));
        }
        let known = head.find(&labels);
        let kept = known.unwrap_or_else(|| head.add(&labels, 0));
        self.series.insert(number, (kept, 0.0));
        Ok(())
    }
}

/// Reads a text with its length in front, and takes it off.
pub(super) fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, ProtobufError> {
    let length = usize::try_from(varint(rest)?).unwrap_or(usize::MAX);
    let (text, after) = rest.split_at_checked(length).ok_or(ProtobufError::Torn)?;
    *rest = after;
    std::str::from_utf8(text).map_err(|_invalid| ProtobufError::Text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use promql::Labels;
    use proptest::prelude::*;

    #[test]
    fn a_scrape_takes_little() {
        let mut batch = Batch::default();
        for number in 0..1_000_u32 {
            batch.sample(number, 1_700_000_000_000, 5.0, if number % 4 == 0 { 7.0 } else { 5.0 });
        }
        let record = batch.finish().unwrap();
        assert!(record.len() < 60, "{}", record.len());
        assert!(batch.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_logged_is_replayed(
            samples in prop::collection::vec((0_u32..20, 1_i64..1000, any::<f64>()), 0..400),
        ) {
            let mut batch = Batch::default();
            let mut last = BTreeMap::new();
            let mut at_ms = 0;
            let (mut head, mut expected) = (Head::default(), Head::default());
            let mut replay = Replay::default();
            for chunk in samples.chunks(150) {
                for (number, step, value) in chunk {
                    at_ms += step;
                    let labels = [("n", number.to_string())];
                    let labels = [(labels[0].0, labels[0].1.as_str())];
                    let before = *last.entry(*number).or_insert_with(|| {
                        batch.name(*number, &Labels::of(labels));
                        0.0
                    });
                    batch.sample(*number, at_ms, before, *value);
                    last.insert(*number, *value);
                    let known = expected.find(&labels);
                    let known = known.unwrap_or_else(|| expected.add(&labels, 0));
                    expected.push(known, at_ms, *value, 0);
                }
                replay.take(&mut head, 1, &batch.finish().unwrap(), 0).unwrap();
            }
            let read = |mut head: Head| {
                let of = |it: super::super::head::Taken| {
                    let mut samples = super::super::chunk::Samples::default();
                    it.open.read(&mut samples);
                    let bits: Vec<u64> = samples.values.iter().map(|it| it.to_bits()).collect();
                    (it.labels.to_string(), samples.times, bits)
                };
                let mut all: Vec<_> = head.take().into_iter().map(of).collect();
                all.sort();
                all
            };
            prop_assert_eq!(read(head), read(expected));
        }

        #[test]
        fn garbage_is_refused(bytes: Vec<u8>) {
            let taken = Replay::default().take(&mut Head::default(), 1, &bytes, 0);
            prop_assert!(taken.is_err() || !bytes.is_empty());
        }
    }
}
