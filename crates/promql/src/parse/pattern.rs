//! Regular expressions as Prometheus means them: the whole value has to fit, a dot fits a line's end too, and what they
//! say is read as Go reads it.
//!
//! Rust's regular expressions come from the same family. What differs is written anew: `\d`, `\w`, `\s` and `\b` know
//! ASCII only, a brace that counts nothing stands for itself, and within brackets there are no sets of sets.

use std::iter::Peekable;
use std::str::CharIndices;

use regex::Regex;

/// An expression that has to fit the whole of a value.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?s:{})$", translated(pattern)))
}

/// The pattern in Rust's words.
fn translated(pattern: &str) -> String {
    let mut translator = Translator {
        pattern,
        rest: pattern.char_indices().peekable(),
        written: String::with_capacity(pattern.len() + 16),
    };
    while let Some((at, character)) = translator.rest.next() {
        match character {
            '\\' => translator.escape(Place::Outside),
            '[' => translator.brackets(),
            '{' if !counts(pattern.get(at..).unwrap_or_default()) => {
                translator.written.push_str("\\{");
            }
            other => translator.written.push(other),
        }
    }
    translator.written
}

/// Whether a brace opens a number of repetitions.
fn counts(text: &str) -> bool {
    let inner = text.split_once('}').map_or("", |(inner, _)| inner).trim_start_matches('{');
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let number = |it: &str| it.chars().all(|it| it.is_ascii_digit());
    !least.is_empty() && number(least) && number(most)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Brackets,
}

struct Translator<'a> {
    pattern: &'a str,
    rest: Peekable<CharIndices<'a>>,
    written: String,
}

impl Translator<'_> {
    /// What follows a backslash.
    fn escape(&mut self, place: Place) {
        let Some((at, kind)) = self.rest.next() else {
            self.written.push('\\');
            return;
        };
        let words = match (kind, place) {
            ('d', _) => "[0-9]",
            ('D', _) => "[^0-9]",
            ('w', _) => "[0-9A-Za-z_]",
            ('W', _) => "[^0-9A-Za-z_]",
            ('s', _) => r"[\t\n\f\r ]",
            ('S', _) => r"[^\t\n\f\r ]",
            ('b', Place::Outside) => r"(?-u:\b)",
            ('B', Place::Outside) => r"(?-u:\B)",
            ('Q', Place::Outside) => return self.quoted(at + 1),
            _ => {
                self.written.extend(['\\', kind]);
                if matches!(kind, 'p' | 'P' | 'x') {
                    self.braces();
                }
                return;
            }
        };
        self.written.push_str(words);
    }

    /// The braces of `\p{..}` and `\x{..}`, as they are.
    fn braces(&mut self) {
        if self.rest.peek().is_none_or(|it| it.1 != '{') {
            return;
        }
        for (_, character) in self.rest.by_ref() {
            self.written.push(character);
            if character == '}' {
                return;
            }
        }
    }

    /// Everything up to `\E` stands for itself.
    fn quoted(&mut self, start: usize) {
        let text = self.pattern.get(start..).unwrap_or_default();
        let (plain, _) = text.split_once("\\E").unwrap_or((text, ""));
        self.written.push_str(&regex::escape(plain));
        let end = start + plain.len() + "\\E".len();
        while self.rest.next_if(|(at, _)| *at < end).is_some() {}
    }

    /// A class, of which the bracket is read.
    fn brackets(&mut self) {
        self.written.push('[');
        if self.rest.next_if(|it| it.1 == '^').is_some() {
            self.written.push('^');
        }
        if self.rest.next_if(|it| it.1 == ']').is_some() {
            self.written.push_str("\\]");
        }
        let mut before = '[';
        while let Some((at, character)) = self.rest.next() {
            match character {
                ']' => {
                    self.written.push(']');
                    return;
                }
                '\\' => self.escape(Place::Brackets),
                '[' if self.pattern.get(at..).is_some_and(|it| it.starts_with("[:")) => {
                    self.named_class(at);
                }
                '[' | '&' | '~' => self.written.extend(['\\', character]),
                '-' if before == '-' => self.written.push_str("\\-"),
                other => self.written.push(other),
            }
            before = character;
        }
    }

    /// A class such as `[:alpha:]`, as it is; what only looks like one is a bracket.
    fn named_class(&mut self, at: usize) {
        let text = self.pattern.get(at..).unwrap_or_default();
        let Some((name, _)) = text.split_once(":]") else {
            self.written.push_str("\\[");
            return;
        };
        self.written.push_str(name);
        self.written.push_str(":]");
        let end = at + name.len() + ":]".len();
        while self.rest.next_if(|it| it.0 < end).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, fits: &[&str], others: &[&str]) {
        let regex = anchored(pattern).unwrap();
        for value in fits {
            assert!(regex.is_match(value), "{pattern} should fit {value:?}: {regex}");
        }
        for value in others {
            assert!(!regex.is_match(value), "{pattern} should not fit {value:?}: {regex}");
        }
    }

    #[test]
    fn the_whole_value_has_to_fit() {
        check("a|b", &["a", "b"], &["ab", "", "ba"]);
        check("a.b", &["a\nb", "axb"], &["a\nbc"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn classes_know_ascii_only() {
        check(r"\d+", &["12"], &["\u{663}", "x"]);
        check(r"[\dx]\D", &["1a", "x\u{663}"], &["11", "\u{663}a"]);
        check(r"\w+", &["a_1"], &["\u{e9}"]);
        check(r"[^\w]", &["\u{e9}", "-"], &["a"]);
        check(r".*\bx", &["a x", "\u{e9}x"], &["ax"]);
        check(r"\s\S", &[" \u{a0}"], &["\u{a0}a", "\u{b}a"]);
    }

    #[test]
    fn braces_and_brackets_stand_for_themselves_where_they_count_nothing() {
        check("x{2,3}", &["xx", "xxx"], &["x", "x{2,3}"]);
        check("x{y}", &["x{y}"], &["x"]);
        check("{.*", &["{anything"], &["anything"]);
        check(r"x\{2", &["x{2"], &["xx"]);
        check("a{,2}.", &["a{,2}\n"], &["aa"]);
        check(r"\p{Greek}\x{3b1}", &["\u{3b1}\u{3b1}"], &["aa"]);
        check("[[]", &["["], &["]"]);
        check("[]a]", &["]", "a"], &["["]);
        check("[^]a]", &["b"], &["]", "a"]);
        check("[a&&b]", &["a", "&", "b"], &["c"]);
        check("[+--]", &["+", ",", "-"], &["."]);
        check("[[:alpha:]~]+", &["a~"], &["1", ":"]);
        check(r"\Qa.b[\E.", &["a.b[c"], &["axb[c"]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for pattern in ["(", "[a", "\\", "x{3,2}", "\\8", "*a"] {
            assert!(anchored(pattern).is_err(), "{pattern}");
        }
    }
}
