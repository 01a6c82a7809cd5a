//! The level of a line of plain text.
//!
//! It is what stands behind `level=`, `lvl=` or `severity=` (logfmt), or else a word in capitals or in brackets
//! near the beginning, where every logging library puts it, or the first word with a colon, or a letter and a
//! date as Kubernetes' programs write them (`E1124`). A word further on is prose.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::logs::Severity;

/// Bytes at the beginning in which the level stands, behind a time, a process and a thread.
const PREFIX_BYTES: usize = 80;

/// The end of `level=` and of `lvl=`.
static LEVEL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("l="));
static SEVERITY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("severity="));

/// The level that a line says it has.
pub(super) fn severity(line: &[u8]) -> Option<Severity> {
    logfmt(line).or_else(|| letter(line)).or_else(|| word(line))
}

/// The letter that a line of klog begins with, before month and day.
fn letter(line: &[u8]) -> Option<Severity> {
    let [letter, date @ ..] = line.first_chunk::<5>()?;
    if !date.iter().all(u8::is_ascii_digit) {
        return None;
    }
    match letter {
        b'I' => Some(Severity::Info),
        b'W' => Some(Severity::Warn),
        b'E' => Some(Severity::Error),
        b'F' => Some(Severity::Fatal),
        _ => None,
    }
}

fn logfmt(line: &[u8]) -> Option<Severity> {
    // Without a pair there is nothing to find, and that is cheap to see.
    memchr::memchr(b'=', line)?;
    let levels = LEVEL.find_iter(line).filter_map(|hit| {
        let before = line.get(..=hit)?;
        let name = [&b"level"[..], b"lvl"].into_iter().find_map(|it| before.strip_suffix(it))?;
        Some((name, hit + 2))
    });
    let severities = SEVERITY
        .find_iter(line)
        .filter_map(|hit| Some((line.get(..hit)?, hit + SEVERITY.needle().len())));
    levels.chain(severities).find_map(|(before, value)| {
        let is_key = before.last().is_none_or(|it| !it.is_ascii_alphanumeric());
        let value = line.get(value..)?;
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        is_key.then(|| of(value)).flatten()
    })
}

/// A whole word in capitals, or one that is in brackets, or the first one with a colon.
fn word(line: &[u8]) -> Option<Severity> {
    let mut before = b' ';
    let mut at = 0;
    while let Some(byte) = line.get(at).filter(|_| at < PREFIX_BYTES) {
        if !byte.is_ascii_alphabetic() {
            before = *byte;
            at += 1;
            continue;
        }
        let rest = line.get(at..)?;
        let length = rest.iter().take_while(|it| it.is_ascii_alphanumeric()).count();
        let word = rest.get(..length)?;
        let is_in_brackets = before == b'[' && matches!(rest.get(length), Some(b']' | b' '));
        let is_heading = at == 0 && rest.get(length) == Some(&b':');
        let is_capital = word.iter().all(u8::is_ascii_uppercase);
        let stands_out = is_in_brackets || is_heading || is_capital;
        let is_whole = !before.is_ascii_alphanumeric() && before != b'_';
        if stands_out
            && is_whole
            && let Some(found) = of(word).filter(|_| word.iter().all(u8::is_ascii_alphabetic))
        {
            return Some(found);
        }
        before = b'a';
        at += length;
    }
    None
}

fn of(value: &[u8]) -> Option<Severity> {
    let length = value.iter().take_while(|it| it.is_ascii_alphabetic()).count();
    Severity::parse(std::str::from_utf8(value.get(..length)?).ok()?)
}
