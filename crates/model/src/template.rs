//! Text with holes: `${PORT}`, `${resources.shopdb.url}`, `${config.checkout.max_items}`.
//!
//! A template is parsed once, with the manifest, so that a mistake is found there; it is filled
//! when an instance starts, from values that exist only then. `$$` is a dollar sign.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Parts of a name after `${`: `resources.shopdb.url` has three, and a configuration key is rarely
/// nested deeper than that.
const PATH_PARTS_MAX: usize = 8;

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `${` without `}`.
    #[error("`${{` is never closed; add `}}`, or write `$$` for a dollar sign")]
    Unclosed,
    /// `$` before something that is neither `{` nor `$`.
    #[error("a lone `$`; write `${{NAME}}` for a value or `$$` for a dollar sign")]
    LoneDollar,
    /// `${}` or a name with odd characters.
    #[error(
        "`${{{0}}}` is not a reference; write for example `${{PORT}}`, `${{NAME:-default}}` or \
         `${{resources.db.url}}`"
    )]
    BadReference(String),
    /// A name of more parts than anybody nests keys.
    #[error("`${{{0}}}` has more than {PATH_PARTS_MAX} parts; use a shorter key")]
    TooManyParts(String),
    /// `${A:-${B}}`: the braces would be taken for text.
    #[error("the default of `${{{0}}}` refers to something itself; write a plain text after `:-`")]
    NestedDefault(String),
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Literal(String),
    /// A value to be looked up.
    Reference(Reference),
}

/// `${path}` or `${path:-default}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What is between the braces, before `:-`, such as `PORT` or `resources.shopdb.url`.
    pub path: String,
    /// What to use when there is no value, or an empty one.
    pub default: Option<String>,
}

/// A text with references, in the order they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// A template without holes.
    pub fn literal(text: &str) -> Self {
        Self(Vec::from([Part::Literal(text.to_owned())]))
    }

    /// Its pieces.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// What it refers to.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|it| match it {
            Part::Reference(reference) => Some(reference),
            Part::Literal(_) => None,
        })
    }

    /// The text with every hole filled by `value`, or the path for which there is neither a value nor a
    /// default.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Reference(Reference { path, default }) => {
                    let found = value(path).filter(|it| default.is_none() || !it.is_empty());
                    text.push_str(&found.or_else(|| default.clone()).ok_or_else(|| path.clone())?);
                }
            }
        }
        Ok(text)
    }
}

fn reference(inner: &str) -> Result<Reference, TemplateError> {
    let (path, default) = match inner.split_once(":-") {
        Some((path, default)) => (path, Some(default.to_owned())),
        None => (inner, None),
    };
    let part_ok = |part: &str| {
        !part.is_empty() && part.chars().all(|it| it.is_ascii_alphanumeric() || "_-".contains(it))
    };
    if !path.split('.').all(part_ok) {
        return Err(TemplateError::BadReference(inner.to_owned()));
    }
    if PATH_PARTS_MAX < path.split('.').count() {
        return Err(TemplateError::TooManyParts(path.to_owned()));
    }
    if default.as_ref().is_some_and(|it| it.contains("${")) {
        return Err(TemplateError::NestedDefault(path.to_owned()));
    }
    Ok(Reference { path: path.to_owned(), default })
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
            } else if let Some(after) = after.strip_prefix('{') {
                let (inner, after) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(core::mem::take(&mut literal)));
                }
                parts.push(Part::Reference(reference(inner)?));
                rest = after;
            } else {
                return Err(TemplateError::LoneDollar);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Literal(literal) => formatter.write_str(&literal.replace('$', "$$"))?,
                Part::Reference(Reference { path, default: None }) => {
                    write!(formatter, "${{{path}}}")?;
                }
                Part::Reference(Reference { path, default: Some(default) }) => {
                    write!(formatter, "${{{path}:-{default}}}")?;
                }
            }
        }
        Ok(())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a command line could not be split into words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A quote without its partner.
    #[error("a {0} quote is never closed")]
    OpenQuote(char),
    /// A backslash at the very end.
    #[error("a backslash at the end escapes nothing")]
    TrailingBackslash,
}

/// Splits a command line into words as a POSIX shell does (quotes, backslashes and continued lines, no
/// expansion; XCU 2.2), so that `command: python3 app.py --name 'a b'` needs no shell.
pub fn split_words(line: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(character) = chars.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                quoted(character, &mut chars, word)?;
            }
            '\\' => match chars.next().ok_or(SplitError::TrailingBackslash)? {
                '\n' => {}
                escaped => word.get_or_insert_default().push(escaped),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(
    quote: char,
    chars: &mut core::str::Chars<'_>,
    word: &mut String,
) -> Result<(), SplitError> {
    loop {
        match chars.next() {
            None => return Err(SplitError::OpenQuote(quote)),
            Some(it) if it == quote => return Ok(()),
            Some('\\') if quote == '"' => match chars.next() {
                None => return Err(SplitError::OpenQuote(quote)),
                Some('\n') => {}
                Some(it @ ('"' | '\\' | '$' | '`')) => word.push(it),
                Some(it) => word.extend(['\\', it]),
            },
            Some(it) => word.push(it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    fn values(path: &str) -> Option<String> {
        match path {
            "PORT" => Some("8080".into()),
            "resources.db.url" => Some("postgres://db".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[track_caller]
    fn check(text: &str, filled: Result<&str, &str>) {
        let template: Template = text.parse().unwrap();
        assert_eq!(template.fill(values).as_deref().map_err(String::as_str), filled);
        assert_eq!(template.to_string().parse(), Ok(template));
    }

    #[test]
    fn fills() {
        check("--port ${PORT}!", Ok("--port 8080!"));
        check("${resources.db.url}", Ok("postgres://db"));
        check("a$$b", Ok("a$b"));
        check("${NONE:-x y}${EMPTY:-z}${EMPTY}", Ok("x yz"));
        check("${NONE}", Err("NONE"));
    }

    #[test]
    fn refuses() {
        assert_eq!("${PORT".parse::<Template>(), Err(TemplateError::Unclosed));
        assert_eq!("5$".parse::<Template>(), Err(TemplateError::LoneDollar));
        assert_eq!("${}".parse::<Template>(), Err(TemplateError::BadReference(String::new())));
        assert!("${a b}".parse::<Template>().is_err());
        let nested = Err(TemplateError::NestedDefault("A".into()));
        assert_eq!("${A:-${B}}".parse::<Template>(), nested);
        let long = "${config.a.b.c.d.e.f.g.h}".parse::<Template>().unwrap_err().to_string();
        assert_eq!(long, "`${config.a.b.c.d.e.f.g.h}` has more than 8 parts; use a shorter key");
    }

    #[test]
    fn words() {
        let check = |line: &str, words: &[&str]| assert_eq!(split_words(line).unwrap(), words);
        check("python3  app.py\n--port 1", &["python3", "app.py", "--port", "1"]);
        check(
            r#"sh -c 'echo "a b"' "c\"d\n" e\ f ''"#,
            &["sh", "-c", "echo \"a b\"", "c\"d\\n", "e f", ""],
        );
        check("   ", &[]);
        check(
            "app \\\n  --port 1\\\n2 \"a\\\nb\" 'c\\\nd'",
            &["app", "--port", "12", "ab", "c\\\nd"],
        );
        assert_eq!(split_words("a 'b"), Err(SplitError::OpenQuote('\'')));
        assert_eq!(split_words("a\\"), Err(SplitError::TrailingBackslash));
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_what_it_writes(text in ".{0,40}") {
            drop(split_words(&text));
            if let Ok(template) = text.parse::<Template>() {
                prop_assert_eq!(template.to_string().parse(), Ok(template));
            }
        }
    }
}
