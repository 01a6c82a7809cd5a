//! Reads a filter.

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use super::{Attribute, Clause, Edge, Edges, Filter, Sign, Term};
use crate::logs::row::{FIELD_END, KEY_END};
use crate::logs::token::{self, Need};

/// Bytes of a filter: more than a person writes, less than a compiled expression should be made of.
pub const FILTER_BYTES_MAX: usize = 4 << 10;
/// Conditions of a filter: each is looked for in every record that the others leave.
pub const CLAUSES_MAX: usize = 32;
/// Bytes of a compiled expression, of each of a filter's.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Why a filter cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A quote that is not closed.
    #[error("the quote at byte {at} has no end; add one, or write \\\" for the character")]
    Quote {
        /// Where it begins.
        at: usize,
    },
    /// Nothing between two quotes.
    #[error("an empty quote at byte {at} finds everything; leave it out")]
    Empty {
        /// Where it is.
        at: usize,
    },
    /// An expression that is none, or too large a one.
    #[error("/{pattern}/ is no regular expression: {reason}; quote it to look for it as text")]
    Regex {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Too long.
    #[error("{bytes} bytes, over FILTER_BYTES_MAX ({FILTER_BYTES_MAX}); shorten it")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Too many conditions.
    #[error("over CLAUSES_MAX ({CLAUSES_MAX}) conditions; leave some out")]
    TooMany,
}

/// Reads a filter.
pub(super) fn filter(text: &str) -> Result<Filter, FilterError> {
    if FILTER_BYTES_MAX < text.len() {
        return Err(FilterError::TooLong { bytes: text.len() });
    }
    let mut reader = Reader { text, at: 0 };
    let mut filter = Filter::default();
    while let Some((clause, needs)) = reader.clause()? {
        if filter.clauses.len() == CLAUSES_MAX {
            return Err(FilterError::TooMany);
        }
        if clause.sign == Sign::With {
            filter.needs.extend(needs);
        }
        filter.clauses.push(clause);
    }
    Ok(filter)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next clause, and what a record has for certain if it has the term.
    fn clause(&mut self) -> Result<Option<(Clause, Vec<Need>)>, FilterError> {
        self.at = self.text.len() - self.rest().trim_start().len();
        let mut sign = Sign::With;
        let rest = self.rest();
        if rest.strip_prefix('-').is_some_and(|it| !it.is_empty() && !it.starts_with(' ')) {
            sign = Sign::Without;
            self.at += 1;
        }
        let rest = self.rest();
        let (term, needs) = if rest.is_empty() {
            return Ok(None);
        } else if rest.starts_with('"') {
            literal(&self.quote()?, Edge::Anywhere)?
        } else if let Some(pattern) = closed_pattern(rest) {
            self.at += pattern.len() + 2;
            (Term::Regex(regex(pattern, pattern)?), Vec::new())
        } else if let Some((key, differs)) = key(rest) {
            self.at += key.len() + 1 + usize::from(differs == Sign::Without);
            if differs == Sign::Without {
                sign = if sign == Sign::With { Sign::Without } else { Sign::With };
            }
            let value = if self.rest().starts_with('"') { self.quote()? } else { self.word() };
            field(key, value)
        } else {
            literal(&self.word(), Edge::Word)?
        };
        Ok(Some((Clause { sign, term }, needs)))
    }

    fn word(&mut self) -> String {
        let word = self.rest().split(char::is_whitespace).next().unwrap_or_default();
        self.at += word.len();
        word.to_owned()
    }

    /// What stands between quotes; a backslash takes the next character as it is.
    fn quote(&mut self) -> Result<String, FilterError> {
        let start = self.at;
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((place, character)) = characters.next() {
            match character {
                '"' if text.is_empty() => return Err(FilterError::Empty { at: start }),
                '"' => {
                    self.at = start + place + 1;
                    return Ok(text);
                }
                '\\' => text.extend(characters.next().map(|it| it.1)),
                other => text.push(other),
            }
        }
        Err(FilterError::Quote { at: start })
    }
}

/// What stands between two slashes, the second of which ends the word: `/api/cart` is a path.
fn closed_pattern(rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix('/')?;
    let mut is_escaped = false;
    for (place, character) in inner.char_indices() {
        let ends = inner.get(place + 1..).unwrap_or_default();
        if character == '/'
            && !is_escaped
            && 0 < place
            && ends.chars().next().is_none_or(char::is_whitespace)
        {
            return inner.get(..place);
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    None
}

/// The key before `=` or `!=`, if there is one.
fn key(rest: &str) -> Option<(&str, Sign)> {
    let is_in_key = |it: char| it.is_alphanumeric() || "_.-@/".contains(it);
    let key = rest.get(..rest.find(|it| !is_in_key(it))?)?;
    let after = rest.get(key.len()..)?;
    if key.is_empty() {
        None
    } else if after.starts_with('=') {
        Some((key, Sign::With))
    } else if after.starts_with("!=") {
        Some((key, Sign::Without))
    } else {
        None
    }
}

fn field(key: &str, value: String) -> (Term, Vec<Need>) {
    let mut needle = vec![FIELD_END];
    needle.extend_from_slice(key.as_bytes());
    needle.push(KEY_END);
    needle.extend_from_slice(value.as_bytes());
    needle.push(FIELD_END);
    let finder = Box::new(Finder::new(&needle).into_owned());
    if let Some(name) = Attribute::parse(key) {
        let id = u128::from_str_radix(&value, 16).ok().filter(|_| name == Attribute::Trace);
        let needs = id.map_or_else(Vec::new, |id| needs_of(value.as_bytes(), Some(id)));
        return (Term::Attribute { name, value, field: finder }, needs);
    }
    (Term::Field(finder), needs_of(&needle, None))
}

/// All words of a text; if it is the id of a trace, a record may have that in place of each.
fn needs_of(text: &[u8], trace: Option<u128>) -> Vec<Need> {
    let otherwise = trace.map(token::trace_word);
    let mut needs = Vec::new();
    token::words(text, &mut |word, _| needs.push(Need { word, otherwise }));
    needs
}

/// Text in whatever case; `edge` says whether a word at its end must end there in the record too.
fn literal(text: &str, edge: Edge) -> Result<(Term, Vec<Need>), FilterError> {
    let bytes = text.as_bytes();
    // Where no word ends, none can be cut.
    let edge_at = |byte: Option<&u8>| {
        if byte.is_some_and(|it| token::is_in_word(*it)) { edge } else { Edge::Anywhere }
    };
    let edges = Edges { start: edge_at(bytes.first()), end: edge_at(bytes.last()) };
    let finder = regex(text, &format!("(?i-u){}", escape(text)))?;
    if edge == Edge::Word
        && let Some(trace) = id(text)
    {
        return Ok((Term::Id { trace, finder, edges }, needs_of(bytes, Some(trace))));
    }
    let mut needs = Vec::new();
    token::words(bytes, &mut |word, range| {
        let is_whole = edge == Edge::Word || (0 < range.start && range.end < bytes.len());
        if is_whole {
            needs.push(Need::of(word));
        }
    });
    Ok((Term::Literal { finder, edges, bytes: bytes.len() }, needs))
}

/// The number that a word is which looks like the id of a trace.
fn id(word: &str) -> Option<u128> {
    let looks_so = matches!(word.len(), 16 | 32) && word.bytes().all(|it| it.is_ascii_hexdigit());
    u128::from_str_radix(word, 16).ok().filter(|it| looks_so && *it != 0)
}

/// Bytes beyond ASCII as they are: without Unicode, an expression's characters are bytes.
fn escape(text: &str) -> String {
    let mut pattern = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b' ' || byte == b'_' {
            pattern.push(char::from(byte));
        } else {
            pattern.push_str("\\x");
            pattern.extend(
                [byte >> 4, byte & 15].iter().filter_map(|it| char::from_digit(u32::from(*it), 16)),
            );
        }
    }
    pattern
}

fn regex(written: &str, pattern: &str) -> Result<Regex, FilterError> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
        let text = error.to_string();
        // The crate draws the expression and points at the place over several lines; the last says what is wrong.
        let last = text.lines().last().unwrap_or_default();
        let reason = last.strip_prefix("error: ").unwrap_or(last).to_owned();
        FilterError::Regex { pattern: written.to_owned(), reason }
    })
}
