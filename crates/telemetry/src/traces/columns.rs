//! Columns of a segment, scanned to find which spans are worth reading.
//!
//! Two numbers of 16 bits for each span: who did what, and how long it took, as a code that grows with the
//! duration. A code stands for durations within 1/2048 of each other, so the scan finds a few spans too many and
//! none too few; who reads the spans looks again. It refuses to be exact, which halves what is scanned.

/// Bits of a duration that are kept below its first.
const MANTISSA_BITS: u32 = 11;
/// Rows looked at together: one comparison for all of them is what the compiler makes vectors of.
const CHUNK_ROWS: usize = 64;

/// The code of a duration: never larger for a shorter one.
pub(super) fn duration_code(duration_us: u64) -> u16 {
    let bits = u64::BITS - duration_us.leading_zeros();
    let Some(shift) = bits.checked_sub(MANTISSA_BITS + 1) else {
        return u16::try_from(duration_us).unwrap_or(u16::MAX);
    };
    let mantissa = (duration_us >> shift) & ((1 << MANTISSA_BITS) - 1);
    let code = u64::from(shift + 1) << MANTISSA_BITS | mantissa;
    // Durations from 2^42 µs (51 days) on have one code.
    u16::try_from(code).unwrap_or(u16::MAX)
}

/// Which numbers are wanted: one bit for each.
#[derive(Debug)]
pub(super) struct Wanted {
    bits: Vec<u64>,
    pub(super) count: usize,
}

impl Wanted {
    pub(super) fn of(numbers: impl Iterator<Item = u16>) -> Self {
        let mut bits = vec![0_u64; 1024];
        let mut count = 0;
        for number in numbers {
            if let Some(word) = bits.get_mut(usize::from(number >> 6)) {
                *word |= 1 << (number & 63);
            }
            count += 1;
        }
        Self { bits, count }
    }

    fn has(&self, number: u16) -> bool {
        self.bits.get(usize::from(number >> 6)).is_some_and(|it| it & (1 << (number & 63)) != 0)
    }
}

/// The rows of a column whose value is within bounds, ascending.
pub(super) fn within(column: &[u8], least: u16, most: u16) -> Vec<u32> {
    let mut rows = Vec::new();
    let span = most.wrapping_sub(least);
    for (chunk, bytes) in column.chunks(CHUNK_ROWS * 2).enumerate() {
        let (values, _) = bytes.as_chunks::<2>();
        let hits = values.iter().fold(0_u16, |hits, it| {
            hits + u16::from(u16::from_le_bytes(*it).wrapping_sub(least) <= span)
        });
        if hits == 0 {
            continue;
        }
        for (row, value) in values.iter().enumerate() {
            if u16::from_le_bytes(*value).wrapping_sub(least) <= span {
                rows.extend(u32::try_from(chunk * CHUNK_ROWS + row));
            }
        }
    }
    rows
}

/// The rows of a column whose value is wanted, ascending.
pub(super) fn wanted(column: &[u8], wanted: &Wanted) -> Vec<u32> {
    let (values, _) = column.as_chunks::<2>();
    let rows = values.iter().enumerate();
    rows.filter(|(_, it)| wanted.has(u16::from_le_bytes(**it)))
        .filter_map(|(row, _)| u32::try_from(row).ok())
        .collect()
}

/// Of some rows, those whose value is wanted.
pub(super) fn retain_wanted(rows: &mut Vec<u32>, column: &[u8], wanted: &Wanted) {
    let (values, _) = column.as_chunks::<2>();
    rows.retain(|row| {
        values.get(*row as usize).is_some_and(|it| wanted.has(u16::from_le_bytes(*it)))
    });
}

/// The rows whose bit is set, ascending.
pub(super) fn set(bits: &[u8]) -> Vec<u32> {
    let mut rows = Vec::new();
    for (byte, bits) in bits.iter().enumerate().filter(|it| *it.1 != 0) {
        let set = (0..8).filter(|bit| bits & (1 << bit) != 0);
        rows.extend(set.filter_map(|bit| u32::try_from(byte * 8 + bit).ok()));
    }
    rows
}

/// Of some rows, those whose bit is set.
pub(super) fn retain_set(rows: &mut Vec<u32>, bits: &[u8]) {
    rows.retain(|row| bits.get(*row as usize / 8).is_some_and(|it| it & (1 << (row % 8)) != 0));
}

/// Entries of the sorted ids between two fences.
pub(super) const FENCE_ENTRIES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes() {
        assert_eq!(
            [0, 1, 2047, 2048, 2049, 4095].map(duration_code),
            [0, 1, 2047, 2048, 2049, 4095]
        );
        assert_eq!([4096, 4097, 4098].map(duration_code), [4096, 4096, 4097]);
        assert_eq!(duration_code((1 << 42) - 1), 65535);
        assert_eq!(duration_code(u64::MAX), 65535);
    }

    proptest! {
        #[test]
        fn codes_grow(one: u64, other: u64, shift in 0_u32..64) {
            let (one, other) = (one >> shift, other >> shift);
            prop_assert!((one <= other) <= (duration_code(one) <= duration_code(other)));
        }

        #[test]
        fn scans_find_what_a_loop_finds(values in prop::collection::vec(0_u16..40, 0..300), least in 0_u16..40, more in 0_u16..40) {
            let column: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
            let most = least + more;
            let rows = |is: &dyn Fn(u16) -> bool| {
                let rows = values.iter().enumerate().filter(|it| is(*it.1));
                rows.map(|it| u32::try_from(it.0).unwrap()).collect::<Vec<_>>()
            };
            let mut found = within(&column, least, most);
            prop_assert_eq!(&found, &rows(&|it| least <= it && it <= most));
            let few = Wanted::of([3, 9].into_iter());
            prop_assert_eq!(wanted(&column, &few), rows(&|it| it == 3 || it == 9));
            retain_wanted(&mut found, &column, &few);
            prop_assert_eq!(found, rows(&|it| least <= it && it <= most && (it == 3 || it == 9)));
        }
    }
}
