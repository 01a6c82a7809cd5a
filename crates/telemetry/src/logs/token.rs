//! The words of many rows, and a filter that says in which blocks a word cannot be.
//!
//! A word is a run of letters, digits and underscores, and of whatever is not ASCII; its case does not matter.
//! The filter is a split-block Bloom filter: one word looks at 32 bytes only, so that a block is ruled out
//! by one short read of its file. Source: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
//! Filters", 2007, as Apache Parquet specifies it.

/// Bytes of a part of a filter: what one word looks at.
pub(super) const PART_BYTES: usize = 32;
/// Bits for each word: one in some three hundred blocks is read in vain. A record has two or three words that
/// no other in its block has, so this is four to six bytes a record.
const BITS_PER_WORD: usize = 16;

/// What a byte becomes in a word; 0 if it is in none.
const FOLDED: [u8; 256] = folded();

const fn folded() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        if byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii() {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

const fn fold(byte: u8) -> u8 {
    FOLDED[byte as usize]
}

/// Whether a byte is part of a word.
pub(super) const fn is_in_word(byte: u8) -> bool {
    fold(byte) != 0
}

/// Hands the hash of every word of two bytes or more to `visit`, and where it begins and ends.
pub(super) fn words(text: &[u8], visit: &mut impl FnMut(u64, std::ops::Range<usize>)) {
    let mut hash = Hash::NEW;
    let mut start = 0;
    for (place, byte) in text.iter().enumerate() {
        match fold(*byte) {
            0 => {
                if start + 1 < place {
                    visit(hash.end(), start..place);
                }
                hash = Hash::NEW;
                start = place + 1;
            }
            folded => hash = hash.with(folded),
        }
    }
    if start + 1 < text.len() {
        visit(hash.end(), start..text.len());
    }
}

/// The word that stands for a trace: the low half of its id, which Zipkin's short ids share with long ones.
pub(super) fn trace_word(trace: u128) -> u64 {
    let low = trace & u128::from(u64::MAX);
    mix(u64::try_from(low).unwrap_or(0) ^ 0x7472_6163_6500_0000)
}

/// A word that a block must have to be worth reading, or else another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) word: u64,
    pub(super) otherwise: Option<u64>,
}

impl Need {
    /// One word and no other.
    pub(super) const fn of(word: u64) -> Self {
        Self { word, otherwise: None }
    }

    /// Whether it may be met, by what is known of each word.
    pub(super) fn may_be_met<E>(
        &self,
        mut may_have: impl FnMut(u64) -> Result<bool, E>,
    ) -> Result<bool, E> {
        if may_have(self.word)? {
            return Ok(true);
        }
        self.otherwise.map_or(Ok(false), may_have)
    }
}

/// FNV-1a, then mixed, since the filter takes its bits from all over the number.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    const NEW: Self = Self(0xcbf2_9ce4_8422_2325);

    const fn with(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0100_0000_01b3))
    }

    const fn end(self) -> u64 {
        mix(self.0)
    }
}

/// The finalizer of `SplitMix64`. It never makes 0 of a hash that matters: see [`WordSet`].
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Different words, as hashes: a table of twice as many places, used again for every block.
#[derive(Debug, Default)]
pub(super) struct WordSet {
    /// 0 is an empty place. The one word in 2^64 whose hash is 0 counts as there.
    places: Vec<u64>,
    count: usize,
}

impl WordSet {
    /// Forgets all words.
    pub(super) fn clear(&mut self) {
        self.places.fill(0);
        self.count = 0;
    }

    /// Adds a word.
    pub(super) fn insert(&mut self, hash: u64) {
        if self.places.len() <= 2 * self.count {
            self.grow();
        }
        let mask = self.places.len() - 1;
        let mut place = index(hash) & mask;
        while let Some(held) = self.places.get_mut(place) {
            if *held == hash {
                return;
            }
            if *held == 0 {
                *held = hash;
                self.count += 1;
                return;
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (2 * self.places.len()).max(1 << 14);
        let old = std::mem::replace(&mut self.places, vec![0; size]);
        self.count = 0;
        for hash in old.into_iter().filter(|it| *it != 0) {
            self.insert(hash);
        }
    }

    /// The filter of all words.
    pub(super) fn bloom(&self) -> Vec<u8> {
        let parts = (self.count * BITS_PER_WORD).div_ceil(8 * PART_BYTES).max(1);
        let mut filter = vec![0; parts * PART_BYTES];
        for hash in self.places.iter().filter(|it| **it != 0) {
            let start = part_of(*hash, filter.len());
            let part = filter.get_mut(start..start + PART_BYTES).unwrap_or_default();
            for (byte, bits) in part.iter_mut().zip(mask(*hash)) {
                *byte |= bits;
            }
        }
        filter
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is masked afterwards")]
const fn index(hash: u64) -> usize {
    hash as usize
}

/// Where the part of a filter of `length` bytes begins that a word looks at.
pub(super) fn part_of(hash: u64, length: usize) -> usize {
    let parts = (length / PART_BYTES) as u64;
    let part = ((hash >> 32) * parts) >> 32;
    usize::try_from(part).unwrap_or(0) * PART_BYTES
}

/// Whether the part of a filter says that the word may be there.
pub(super) fn may_contain(part: &[u8], hash: u64) -> bool {
    part.len() < PART_BYTES || mask(hash).iter().zip(part).all(|(bits, byte)| bits & !byte == 0)
}

/// One bit in each of eight words of 32 bits.
fn mask(hash: u64) -> [u8; PART_BYTES] {
    /// Odd numbers that spread 32 bits: those of Parquet's specification.
    const SALT: [u32; 8] = [
        0x47b6_137b,
        0x4497_4d91,
        0x8824_ad5b,
        0xa2b7_289d,
        0x7054_95c7,
        0x2df1_424b,
        0x9efc_4947,
        0x5c6b_fb31,
    ];
    let key = u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0);
    let mut mask = [0; PART_BYTES];
    for (bytes, salt) in mask.as_chunks_mut().0.iter_mut().zip(SALT) {
        *bytes = (1_u32 << (key.wrapping_mul(salt) >> 27)).to_le_bytes();
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words(text.as_bytes(), &mut |_, range| found.push(text.get(range).unwrap().to_owned()));
        found
    }

    fn hash(word: &str) -> u64 {
        let mut found = None;
        words(word.as_bytes(), &mut |hash, _| found = Some(hash));
        found.unwrap()
    }

    #[test]
    fn words_of_a_line() {
        assert_eq!(
            split("GET /cart/items?id=42_a a 200 \u{fc}ber(Ok)"),
            ["GET", "cart", "items", "id", "42_a", "200", "\u{fc}ber", "Ok"]
        );
        assert_eq!(split("a"), [""; 0]);
        assert_eq!(hash("Ok"), hash("oK"));
    }

    /// A filter has all its words, and few others.
    #[test]
    fn one_word_in_hundreds_is_there_in_vain() {
        let mut set = WordSet::default();
        for word in 0..20_000 {
            set.insert(hash(&format!("word{word}")));
            set.insert(hash(&format!("word{word}")));
        }
        let filter = set.bloom();
        assert_eq!(filter.len(), (20_000 * BITS_PER_WORD).div_ceil(256) * 32);
        let is_there = |word: u32| {
            let hash = hash(&format!("word{word}"));
            let start = part_of(hash, filter.len());
            may_contain(&filter[start..start + PART_BYTES], hash)
        };
        assert!((0..20_000).all(is_there));
        let vain = (20_000..120_000).filter(|it| is_there(*it)).count();
        assert!(vain < 330, "{vain} of 100000");
    }

    proptest! {
        #[test]
        fn a_line_has_the_words_of_its_parts(first in "[ -~]{0,9}", second in "[ -~]{0,9}") {
            let both = split(&format!("{first} {second}"));
            prop_assert_eq!(both, [split(&first), split(&second)].concat());
        }
    }
}
