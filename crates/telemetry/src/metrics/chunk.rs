//! Samples of one series in few bytes.
//!
//! An [`OpenChunk`] grows sample by sample in memory. A closed chunk is made once, in the form that turns
//! out shortest, and put into a block. Both are aligned to bytes, not to bits as Gorilla's are: they are read
//! several times as fast, and a block's frames are compressed after that, which undoes what alignment cost.
//!
//! Times are deltas of deltas; a series that is sampled regularly needs none at all when it is closed.
//! Values are differences of integers, where all of a chunk are integers at some decimal exponent, and else what
//! differs in the bits of two neighbours (after Pelkonen et al., "Gorilla", VLDB 2015). It refuses samples out of order.

use crate::protobuf::{ProtobufError, put_varint, unzigzag, varint, zigzag};

/// Integers a double holds exactly (2^53).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Decimal places tried before values are taken for anything but decimal.
const PLACES_MAX: u8 = 6;
const POWERS: [f64; PLACES_MAX as usize + 1] =
    [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0];

/// The value is the one before.
const SAME: u8 = 0;
/// An integer that differs from the one before by what follows.
const INTEGER: u8 = 1;
/// The bits that differ follow: how many bytes are zero in front and behind, and those between.
const BITS: u8 = 2;
/// In the first byte of a sample: the delta of its time's delta follows.
const IRREGULAR: u8 = 1 << 7;

/// Times and values, decoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Milliseconds since 1970, ascending.
    pub times: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
}

impl Samples {
    /// Forgets what is there, and keeps the room.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
    }

    /// Appends a sample.
    pub fn push(&mut self, at_ms: i64, value: f64) {
        self.times.push(at_ms);
        self.values.push(value);
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

/// A chunk that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenChunk {
    bytes: Vec<u8>,
    count: u32,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    delta_ms: i64,
    pub(super) last: f64,
}

impl OpenChunk {
    /// Samples in it.
    pub(super) const fn len(&self) -> u32 {
        self.count
    }

    /// Bytes it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a sample that is later than the last.
    pub(super) fn push(&mut self, at_ms: i64, value: f64) {
        if self.count == 0 {
            self.first_ms = at_ms;
            self.last_ms = at_ms;
            self.delta_ms = 0;
            self.last = 0.0;
        }
        let delta = at_ms.wrapping_sub(self.last_ms);
        let change = delta.wrapping_sub(self.delta_ms);
        let control = self.bytes.len();
        self.bytes.push(0);
        let mut kind = 0;
        if change != 0 {
            kind = IRREGULAR;
            put_varint(&mut self.bytes, zigzag(change));
        }
        kind |= put_value(&mut self.bytes, self.last, value);
        if let Some(byte) = self.bytes.get_mut(control) {
            *byte = kind;
        }
        (self.last_ms, self.delta_ms, self.last) = (at_ms, delta, value);
        self.count += 1;
    }

    /// Appends all samples to `out`.
    pub(super) fn read(&self, out: &mut Samples) {
        let mut rest = self.bytes.as_slice();
        let (mut at, mut delta, mut value) = (self.first_ms, 0_i64, 0.0);
        while let Some((kind, after)) = rest.split_first() {
            rest = after;
            if kind & IRREGULAR != 0 {
                delta = delta.wrapping_add(unzigzag(varint(&mut rest).unwrap_or(0)));
            }
            at = at.wrapping_add(delta);
            value = take_value(&mut rest, kind & !IRREGULAR, value).unwrap_or(value);
            out.push(at, value);
        }
    }
}

/// Appends what tells `value` from the one before, and says how.
pub(super) fn put_value(out: &mut Vec<u8>, before: f64, value: f64) -> u8 {
    if before.to_bits() == value.to_bits() {
        return SAME;
    }
    if let (Some(before), Some(value)) = (integer(before), integer(value)) {
        put_varint(out, zigzag(value - before));
        return INTEGER;
    }
    put_bits(out, before.to_bits() ^ value.to_bits());
    BITS
}

/// Reads what [`put_value`] has written, and takes it off.
pub(super) fn take_value(rest: &mut &[u8], kind: u8, before: f64) -> Result<f64, ProtobufError> {
    match kind {
        SAME => Ok(before),
        INTEGER => {
            let change = unzigzag(varint(rest)?);
            Ok(double(integer(before).unwrap_or(0).wrapping_add(change)))
        }
        _ => Ok(f64::from_bits(before.to_bits() ^ take_bits(rest)?)),
    }
}

/// The integer a value is, if it is one that a double tells from its neighbours. Minus zero is none.
#[expect(clippy::cast_possible_truncation, reason = "it was looked at whether it fits")]
fn integer(value: f64) -> Option<i64> {
    let is_one = value.abs() < EXACT_MAX && value.fract() == 0.0;
    (is_one && value.to_bits() != (-0.0_f64).to_bits()).then_some(value as i64)
}

#[expect(clippy::cast_precision_loss, reason = "only integers that fit come here")]
const fn double(integer: i64) -> f64 {
    integer as f64
}

/// How many bytes are zero in front (high four bits) and behind (low four), then the others.
fn put_bits(out: &mut Vec<u8>, bits: u64) {
    let front = (bits.leading_zeros() / 8).min(7);
    let behind = (bits.trailing_zeros() / 8).min(7 - front);
    out.push((front << 4 | behind).to_le_bytes()[0]);
    let bytes = bits.to_le_bytes();
    let between = bytes.get(behind as usize..8 - front as usize);
    out.extend_from_slice(between.unwrap_or_default());
}

fn take_bits(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    let (head, after) = rest.split_first().ok_or(ProtobufError::Torn)?;
    let (front, behind) = (usize::from(head >> 4), usize::from(head & 15));
    let count = 8_usize.checked_sub(front + behind).ok_or(ProtobufError::Torn)?;
    let (between, after) = after.split_at_checked(count).ok_or(ProtobufError::Torn)?;
    *rest = after;
    let mut bytes = [0; 8];
    if let Some(place) = bytes.get_mut(behind..behind + count) {
        place.copy_from_slice(between);
    }
    Ok(u64::from_le_bytes(bytes))
}

/// Every time is as far from the one before.
const REGULAR: u8 = 0;
const CHANGING: u8 = 1;

/// Every value is the first.
const CONSTANT: u8 = 0;
/// Differences of integers; the decimal exponent is added.
const DECIMAL: u8 = 16;
/// Differences of differences.
const DECIMAL_SECOND: u8 = 32;
/// What differs in the bits.
const BITWISE: u8 = 1;

/// Appends samples as a closed chunk.
pub(super) fn close(samples: &Samples, out: &mut Vec<u8>) {
    put_varint(out, samples.len() as u64);
    put_times(&samples.times, out);
    put_values(&samples.values, out);
}

fn put_times(times: &[i64], out: &mut Vec<u8>) {
    let (Some(first), delta) = (times.first(), times.get(1)) else { return };
    let delta = delta.map_or(0, |it| it.wrapping_sub(*first));
    let is_regular = pairs(times).all(|(a, b)| b.wrapping_sub(a) == delta);
    out.push(if is_regular { REGULAR } else { CHANGING });
    put_varint(out, zigzag(*first));
    put_varint(out, zigzag(delta));
    if !is_regular {
        let mut last = delta;
        for (earlier, later) in pairs(times).skip(1) {
            let delta = later.wrapping_sub(earlier);
            put_varint(out, zigzag(delta.wrapping_sub(last)));
            last = delta;
        }
    }
}

fn pairs<T: Copy>(all: &[T]) -> impl Iterator<Item = (T, T)> {
    all.iter().copied().zip(all.iter().copied().skip(1))
}

fn put_values(values: &[f64], out: &mut Vec<u8>) {
    let Some(first) = values.first() else { return };
    if values.iter().all(|it| it.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        out.extend_from_slice(&first.to_bits().to_le_bytes());
        return;
    }
    if let Some((places, integers)) = decimals(values) {
        let (once, twice) = (differences(&integers), differences(&differences(&integers)));
        let weight = |all: &[i64]| all.iter().map(|it| bytes_of(zigzag(*it))).sum::<u32>();
        let (kind, all) =
            if weight(&twice) < weight(&once) { (DECIMAL_SECOND, twice) } else { (DECIMAL, once) };
        out.push(kind + places);
        for it in all {
            put_varint(out, zigzag(it));
        }
        return;
    }
    out.push(BITWISE);
    let mut before = 0;
    for value in values {
        put_bits(out, before ^ value.to_bits());
        before = value.to_bits();
    }
}

const fn bytes_of(number: u64) -> u32 {
    (70 - (number | 1).leading_zeros()) / 7
}

/// The first as it is, then what is added to get the next.
fn differences(all: &[i64]) -> Vec<i64> {
    let first = all.first().copied().into_iter();
    first.chain(pairs(all).map(|(a, b)| b.wrapping_sub(a))).collect()
}

/// The values as integers at the least decimal exponent that gives every one of them back.
fn decimals(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let mut places = 0_u8;
    let mut integers = Vec::with_capacity(values.len());
    let mut from = 0;
    loop {
        let power = *POWERS.get(usize::from(places))?;
        let fitting = values.iter().skip(from).map_while(|value| {
            let scaled = integer((value * power).round())?;
            let is_same = (double(scaled) / power).to_bits() == value.to_bits();
            is_same.then_some(scaled)
        });
        integers.extend(fitting);
        if integers.len() == values.len() {
            return Some((places, integers));
        }
        // The others fit a longer exponent as well, but not as these integers.
        places += 1;
        integers.clear();
        from = 0;
    }
}

/// Appends the samples of a closed chunk to `out`.
pub(super) fn open(chunk: &[u8], out: &mut Samples) -> Result<(), ProtobufError> {
    let mut rest = chunk;
    let count = varint(&mut rest)?;
    // A sample takes no byte at all where all is regular, but no chunk holds more than this.
    let count = usize::try_from(count).ok().filter(|it| *it <= super::CHUNK_SAMPLES_MAX);
    let count = count.ok_or(ProtobufError::Torn)?;
    if count == 0 {
        return Ok(());
    }
    let rest = take_times(rest, count, &mut out.times)?;
    take_values(rest, count, &mut out.values)
}

fn take_times<'a>(
    mut rest: &'a [u8],
    count: usize,
    out: &mut Vec<i64>,
) -> Result<&'a [u8], ProtobufError> {
    let (kind, after) = rest.split_first().ok_or(ProtobufError::Torn)?;
    rest = after;
    let mut at = unzigzag(varint(&mut rest)?);
    let mut delta = unzigzag(varint(&mut rest)?);
    out.reserve(count);
    out.push(at);
    for place in 1..count {
        if *kind != REGULAR && 1 < place {
            delta = delta.wrapping_add(unzigzag(varint(&mut rest)?));
        }
        at = at.wrapping_add(delta);
        out.push(at);
    }
    Ok(rest)
}

fn take_values(mut rest: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), ProtobufError> {
    let (kind, after) = rest.split_first().ok_or(ProtobufError::Torn)?;
    rest = after;
    out.reserve(count);
    match *kind {
        CONSTANT => {
            let bits = rest.first_chunk().ok_or(ProtobufError::Torn)?;
            out.extend(std::iter::repeat_n(f64::from_bits(u64::from_le_bytes(*bits)), count));
        }
        BITWISE => {
            let mut bits = 0;
            for _ in 0..count {
                bits ^= take_bits(&mut rest)?;
                out.push(f64::from_bits(bits));
            }
        }
        kind => {
            let power = *POWERS.get(usize::from(kind & 15)).ok_or(ProtobufError::Torn)?;
            let is_second = DECIMAL_SECOND <= kind;
            let (mut value, mut delta) = (0_i64, 0_i64);
            for _ in 0..count {
                let change = unzigzag(varint(&mut rest)?);
                delta = if is_second { delta.wrapping_add(change) } else { change };
                value = value.wrapping_add(delta);
                out.push(double(value) / power);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(samples: &Samples) -> (Vec<i64>, Vec<u64>) {
        (samples.times.clone(), samples.values.iter().map(|it| it.to_bits()).collect())
    }

    /// Both forms give back what was put in; the closed one takes `expected` bytes.
    #[track_caller]
    fn check(times: &[i64], values: &[f64]) -> usize {
        let samples = Samples { times: times.to_vec(), values: values.to_vec() };
        let mut growing = OpenChunk::default();
        for (at, value) in times.iter().zip(values) {
            growing.push(*at, *value);
        }
        let mut read = Samples::default();
        growing.read(&mut read);
        assert_eq!(bits(&read), bits(&samples));
        let mut closed = Vec::new();
        close(&samples, &mut closed);
        let mut read = Samples::default();
        open(&closed, &mut read).unwrap();
        assert_eq!(bits(&read), bits(&samples));
        closed.len()
    }

    #[test]
    fn usual_series_are_short() {
        let times: Vec<i64> = (0..240).map(|it| 1_700_000_000_000 + it * 15_000).collect();
        let of =
            |value: fn(f64) -> f64| (0..240).map(|it| value(f64::from(it))).collect::<Vec<_>>();
        // Two bytes of count, one of kind, six and three of times; a kind, and eight of value.
        assert_eq!(check(&times, &of(|_| 0.25)), 2 + 1 + 6 + 3 + 1 + 8);
        assert_eq!(check(&times, &of(|it| it * 7.0)), 2 + 1 + 6 + 3 + 1 + 240);
        assert_eq!(
            check(&times, &of(|it| (it * 0.1 * 10.0).round() / 10.0)),
            2 + 1 + 6 + 3 + 1 + 240
        );
        assert_eq!(check(&times, &of(|it| it * it * 1e6)) - 13, 1 + 3 + 238 * 4);
        assert_eq!(check(&times, &of(|it| 7.0 + it * 1e6)) - 13, 1 + 3 + 238);
        assert!(check(&times, &of(f64::sqrt)) < 13 + 240 * 9);
        // A counter that did not begin here, and grows evenly but for little: differences of differences are shortest.
        let second = of(|it| 170.0 + 150.0 * it + it % 2.0);
        assert_eq!(check(&times, &second) - 13, 2 + 239);
        assert_eq!(check(&[], &[]), 1);
    }

    #[test]
    fn odd_values_come_back() {
        let odd = [
            0.0,
            -0.0,
            f64::NAN,
            promql::source::STALE,
            f64::INFINITY,
            f64::MIN_POSITIVE,
            1e300,
            -5.0,
        ];
        let times: Vec<i64> =
            vec![0, 1, 5, i64::from(u32::MAX), 1 << 40, 1 << 41, i64::MAX - 1, i64::MAX];
        check(&times, &odd);
        check(&[i64::MIN, i64::MAX], &[EXACT_MAX, EXACT_MAX - 1.0]);
    }

    proptest! {
        #[test]
        fn every_series_comes_back(
            steps in prop::collection::vec((1_i64..100_000, prop_oneof![
                any::<f64>(), (-1000_i64..1000).prop_map(double), (-1000_i64..1000).prop_map(|it| double(it) / 100.0),
            ]), 1..200),
        ) {
            let mut at = 0;
            let (times, values): (Vec<_>, Vec<_>) =
                steps.into_iter().map(|(step, value)| { at += step; (at, value) }).unzip();
            check(&times, &values);
        }

        /// Counters, whose differences hardly change.
        #[test]
        fn every_counter_comes_back(
            first in -100_000_i64..100_000,
            grown in prop::collection::vec(0_i64..50, 1..200),
            by in 0_i64..1_000,
            places in 0_usize..3,
        ) {
            let mut value = first;
            let power = POWERS[places];
            let values: Vec<_> =
                grown.iter().map(|it| { value += by + it; double(value) / power }).collect();
            let times: Vec<i64> = (0..).take(values.len()).collect();
            check(&times, &values);
        }

        #[test]
        fn garbage_is_refused_or_read(bytes: Vec<u8>) {
            let mut out = Samples::default();
            if open(&bytes, &mut out).is_ok() {
                prop_assert_eq!(out.times.len(), out.values.len());
            }
        }
    }
}
