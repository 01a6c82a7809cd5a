//! Filters: what surely is not in a block or a segment need not be looked for there.
//!
//! A Bloom filter of twelve bits an entry and eight probes, which errs three times in a thousand. Hashes are CRC-32C,
//! which the processor computes, with a mixer behind it; they are on disk and so must never change. It refuses
//! to say that something is there.

/// Bits for each entry: with eight probes one answer in 320 is wrong (Bloom, 1970).
const BITS_PER_ENTRY: usize = 12;
const PROBES: u64 = 8;

/// The hash of an id.
pub(super) const fn hash_id(id: u64) -> u64 {
    mix(id)
}

/// The hash of a text.
pub(super) fn hash_text(text: &str) -> u64 {
    mix(u64::from(crc32c::crc32c(text.as_bytes())) | (text.len() as u64) << 32)
}

/// The hash of a text that belongs to another of hash `first`.
pub(super) fn hash_pair(first: u64, text: &str) -> u64 {
    mix(first.rotate_left(17) ^ hash_text(text))
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood, 2014).
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The bits of a filter that holds `hashes`.
pub(super) fn build(hashes: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; (hashes.len() * BITS_PER_ENTRY).div_ceil(8)];
    for hash in hashes {
        for bit in bits(*hash, bytes.len()) {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    bytes
}

/// Whether a filter may hold a hash; if not, it surely does not.
pub(super) fn may_hold(filter: &[u8], hash: u64) -> bool {
    !filter.is_empty()
        && bits(hash, filter.len())
            .all(|bit| filter.get(bit / 8).is_some_and(|it| it & (1 << (bit % 8)) != 0))
}

/// The bits of a hash: two hashes make as many as are wanted (Kirsch and Mitzenmacher, 2006).
fn bits(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let size = bytes as u64 * 8;
    let step = hash.rotate_left(32) | 1;
    (0..PROBES).map(move |probe| {
        let at = hash.wrapping_add(step.wrapping_mul(probe));
        // The high half of a product scales a hash to a size without a division (Lemire, 2016).
        usize::try_from((u128::from(at) * u128::from(size)) >> 64).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_is_found_and_hardly_anything_else() {
        let filter = build(&(0..10_000).map(hash_id).collect::<Vec<_>>());
        assert_eq!(filter.len(), 15_000);
        assert!((0..10_000).all(|it| may_hold(&filter, hash_id(it))));
        let wrong = (10_000..110_000).filter(|it| may_hold(&filter, hash_id(*it))).count();
        assert!(wrong < 400, "{wrong} of 100000");
        assert!(!may_hold(&build(&[]), hash_id(1)));
    }

    #[test]
    fn hashes_are_what_they_were() {
        assert_eq!(hash_id(1), 0x5692_161d_100b_05e5);
        let key = hash_text("http.method");
        assert_ne!(key, hash_text("http.path"));
        assert_ne!(hash_pair(key, "GET"), hash_pair(hash_text("GET"), "http.method"));
    }
}
