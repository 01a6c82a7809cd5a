//! The bytes a record's text and fields are kept as, such that one search goes over many of them.
//!
//! A row is `text RS (key US value RS)* GS`, with ASCII's separators, which are made for this. So a substring
//! can be looked for in thousands of rows at once, a field is a substring too, and nothing but the row itself
//! says where it ends. In what was said, the three separators become spaces: they mean nothing to people.

use memchr::{memchr, memchr3_iter};

/// Bytes of a row, at most: several times the longest line of an instance. What is over it is cut.
pub(super) const ROW_BYTES_MAX: usize = 64 << 10;

/// Ends a row.
pub(super) const ROW_END: u8 = 0x1d;
/// Ends the text, and each field.
pub(super) const FIELD_END: u8 = 0x1e;
/// Stands between a key and its value.
pub(super) const KEY_END: u8 = 0x1f;

/// Appends a row. What does not fit is left out: the end of the text, and whole fields.
pub(super) fn put(out: &mut Vec<u8>, text: &str, fields: &[(String, String)]) {
    let start = out.len();
    let most = ROW_BYTES_MAX - 2;
    put_part(out, text.get(..text.floor_char_boundary(most)).unwrap_or_default());
    out.push(FIELD_END);
    for (key, value) in fields {
        if ROW_BYTES_MAX < out.len() - start + key.len() + value.len() + 3 {
            continue;
        }
        put_part(out, key);
        out.push(KEY_END);
        put_part(out, value);
        out.push(FIELD_END);
    }
    out.push(ROW_END);
}

fn put_part(out: &mut Vec<u8>, part: &str) {
    let start = out.len();
    out.extend_from_slice(part.as_bytes());
    let Some(added) = out.get_mut(start..) else { return };
    let found: Vec<usize> = memchr3_iter(ROW_END, FIELD_END, KEY_END, part.as_bytes()).collect();
    for place in found {
        if let Some(byte) = added.get_mut(place) {
            *byte = b' ';
        }
    }
}

/// The text of a row, and what comes behind it.
pub(super) fn text(row: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr(FIELD_END, row).unwrap_or(row.len());
    (row.get(..end).unwrap_or_default(), row.get(end + 1..).unwrap_or_default())
}

/// The keys and values of a row.
pub(super) fn fields(row: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text(row).1;
    std::iter::from_fn(move || {
        let end = memchr(FIELD_END, rest)?;
        let (field, after) = rest.split_at_checked(end)?;
        rest = after.get(1..).unwrap_or_default();
        let middle = memchr(KEY_END, field)?;
        Some((field.get(..middle)?, field.get(middle + 1..)?))
    })
}

/// Text that was UTF-8 when it came.
pub(super) fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn separators_become_spaces_and_too_much_is_cut() {
        let mut out = Vec::new();
        put(&mut out, "a\u{1e}b\u{1d}", &[pair("k\u{1f}", "v")]);
        assert_eq!(out, b"a b \x1ek \x1fv\x1e\x1d");
        out.clear();
        let long = "\u{fc}".repeat(ROW_BYTES_MAX);
        put(&mut out, &long, &[pair("k", "v")]);
        assert_eq!(out.len(), ROW_BYTES_MAX);
        assert!(String::from_utf8(out).is_ok());
    }

    proptest! {
        #[test]
        fn rows_are_read_as_written(
            said in "\\PC{0,20}",
            pairs in prop::collection::vec(("\\PC{0,5}", "\\PC{0,9}"), 0..4),
        ) {
            let mut out = Vec::new();
            put(&mut out, &said, &pairs);
            prop_assert_eq!(memchr(ROW_END, &out), Some(out.len() - 1));
            prop_assert_eq!(string(text(&out).0), said);
            let found: Vec<_> = fields(&out).map(|(key, value)| (string(key), string(value))).collect();
            prop_assert_eq!(found, pairs);
        }
    }
}
