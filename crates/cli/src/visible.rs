//! Text of others, made visible: a character that a terminal acts on, or that turns the order of what is read, is
//! written as its escape.
//!
//! Names, attributes, lines and error texts come from whoever sends them. A terminal that is shown them as they are may
//! be made to rename its window, to answer as if somebody typed, or to show what was never said (CWE-150). So nothing
//! goes to a terminal unless it went through here; `Output` sees to that.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Begins a colour in text on its way to a terminal. Unicode keeps these characters for such inner use;
/// nothing that is read has them.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// Whether a character does something else than to be read.
const fn acts(it: char) -> bool {
    matches!(it,
        // C0 but the tab, DEL, and C1, of which U+009B begins an escape sequence too (ECMA-48).
        '\0'..='\u{8}' | '\u{a}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // What turns the direction of text (UAX #9), so that something else is read than is there.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Ends of lines and paragraphs, to those who take them for such.
        | '\u{2028}' | '\u{2029}'
        // Annotations, of which a part is not shown, and tags, of which nothing is.
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        // Our own marks.
        | '\u{fdd0}'..='\u{fdef}'
    )
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_hidden = |it: char| acts(it) && !is_kept(it);
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for it in text.chars() {
        if is_hidden(it) {
            out.extend(it.escape_default());
        } else {
            out.push(it);
        }
    }
    Cow::Owned(out)
}

/// `text`, which is on one line: the end of a line is written as its escape, too.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// `text`, which may have several lines.
pub fn block(text: &str) -> Cow<'_, str> {
    escaped(text, |it| it == '\n')
}

/// `text` with [marks](Mark) of colours in it, on one line.
pub(crate) fn marked(text: &str) -> Cow<'_, str> {
    escaped(text, |it| MARKS.contains(&it))
}

/// The same, which may have several lines.
pub(crate) fn marked_block(text: &str) -> Cow<'_, str> {
    escaped(text, |it| it == '\n' || MARKS.contains(&it))
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// No colour from here on.
    Plain,
    /// The colour with this number.
    Colour(usize),
}

impl Mark {
    /// The character it is in text.
    pub(crate) fn character(self) -> char {
        let place = match self {
            Self::Plain => 0,
            Self::Colour(number) => number + 1,
        };
        MARKS.clone().nth(place).unwrap_or(*MARKS.start())
    }

    /// What a character marks, if it is a mark.
    pub(crate) fn of(it: char) -> Option<Self> {
        let place = MARKS.clone().position(|mark| mark == it)?;
        Some(place.checked_sub(1).map_or(Self::Plain, Self::Colour))
    }
}

/// JSON whose texts say by `\u` what a terminal would act on; it means the same.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    // Outside of texts stand no such characters but the ends of lines.
    let is_hidden = |it: char| it != '\n' && acts(it);
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for it in text.chars() {
        if is_hidden(it) {
            for unit in it.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _written = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(it);
        }
    }
    Cow::Owned(out)
}

/// A log whose entries have one line each, whatever was put into them.
#[derive(Clone, Copy, Debug)]
pub struct Log<W> {
    out: W,
    escape: fn(&str) -> Cow<'_, str>,
}

impl<W> Log<W> {
    /// A log of lines that people read.
    pub const fn of_text(out: W) -> Self {
        Self { out, escape: line }
    }

    /// A log of JSON documents.
    pub const fn of_json(out: W) -> Self {
        Self { out, escape: json }
    }
}

impl<W: Write> Write for Log<W> {
    /// Takes one entry, with the end of its line.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        self.out.write_all(format!("{}\n", (self.escape)(text)).as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn issue_12_what_a_terminal_acts_on_is_shown() {
        let check = |text: &str, expected: &str| assert_eq!(line(text), expected);
        check("GET /\t\u{e9}\u{1f600} \u{fffd}", "GET /\t\u{e9}\u{1f600} \u{fffd}");
        check("\u{1b}[31mred\u{1b}]0;t\u{7}", "\\u{1b}[31mred\\u{1b}]0;t\\u{7}");
        check("a\r over\nb", "a\\r over\\nb");
        check("\u{9b}31m\u{7f}\u{202e}", "\\u{9b}31m\\u{7f}\\u{202e}");
        check("\u{fdd1}red", "\\u{fdd1}red");
        assert_eq!(block("a\nb\r\n"), "a\nb\\r\n");
        assert_eq!(json("\"\u{9b}\u{202e}\u{e0041}\"\n"), "\"\\u009b\\u202e\\udb40\\udc41\"\n");
    }

    #[test]
    fn an_entry_of_a_log_is_one_line() {
        let mut log = Log::of_text(Vec::new());
        log.write_all("INFO a=\u{1b}[2J\nINFO forged\n".as_bytes()).unwrap();
        assert_eq!(log.out, b"INFO a=\\u{1b}[2J\\nINFO forged\n");
        let mut log = Log::of_json(Vec::new());
        log.write_all("{\"a\":\"\u{9b}\"}\n".as_bytes()).unwrap();
        assert_eq!(log.out, b"{\"a\":\"\\u009b\"}\n");
    }

    proptest! {
        #[test]
        fn nothing_acts_and_nothing_else_changes(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(acts));
            prop_assert!(!block(&text).chars().any(|it| it != '\n' && acts(it)));
            if !text.contains(acts) {
                prop_assert_eq!(&*line(&text), text.as_str());
            }
            let document = serde_json::to_string(&text).unwrap();
            let shown = json(&document);
            prop_assert!(!shown.chars().any(acts));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
