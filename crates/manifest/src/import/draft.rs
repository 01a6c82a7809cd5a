//! A pelago.yaml while it is being made, and how it is written: as a person would, short mappings on
//! one line, quotes only where they are needed.

use std::fmt::Write as _;

use crate::problem::Place;
use crate::yaml::{Value, resolve};

/// Characters of a mapping or list that is put on one line.
const INLINE_MAX: usize = 72;
/// Levels below which a mapping may stand on one line: the fields of a service, not a service.
const INLINE_LEVEL: usize = 2;

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Draft {
    /// As it is: a number, `true`.
    Plain(String),
    /// A text, in quotes if it must be.
    Text(String),
    List(Vec<Draft>),
    Map(Vec<Field>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) value: Draft,
    /// Where it came from.
    pub(super) origin: Place,
    /// What a person should know about it.
    pub(super) comment: Option<String>,
    /// Whether it is only written as a comment.
    pub(super) disabled: bool,
}

impl Draft {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn plain(value: impl std::fmt::Display) -> Self {
        Self::Plain(format!("{value}"))
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(fields) => fields.is_empty(),
            Self::Plain(_) | Self::Text(_) => false,
        }
    }
}

/// A mapping while it is filled.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(pub(super) Vec<Field>);

impl Fields {
    /// Adds a key, unless there is nothing to say under it.
    pub(super) fn add(&mut self, key: &str, value: Draft, origin: Place) -> &mut Self {
        if !value.is_empty() {
            let key = key.to_owned();
            self.0.push(Field { key, value, origin, comment: None, disabled: false });
        }
        self
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|it| it.key == key)
    }

    pub(super) fn done(self) -> Draft {
        Draft::Map(self.0)
    }
}

/// The text, and for each of its lines where it came from.
pub(super) fn write(draft: &Draft, comments: &[String]) -> (String, Vec<Place>) {
    let mut writer = Writer::default();
    for comment in comments {
        writer.comment(0, comment);
    }
    writer.value(draft, 0, 0);
    (writer.text, writer.origins)
}

#[derive(Debug, Default)]
struct Writer {
    text: String,
    origins: Vec<Place>,
    origin: Place,
    /// Where the `#` stands, if what is written is a comment.
    disabled: Option<usize>,
}

impl Writer {
    fn line(&mut self, indent: usize, text: &str) {
        let outer = self.disabled.unwrap_or(indent);
        self.text.push_str(&" ".repeat(outer));
        if self.disabled.is_some() {
            self.text.push_str("# ");
        }
        self.text.push_str(&" ".repeat(indent - outer));
        self.text.push_str(text);
        self.text.push('\n');
        self.origins.push(self.origin);
    }

    fn comment(&mut self, indent: usize, comment: &str) {
        for line in comment.lines() {
            let line = line.replace(|it: char| it.is_control(), " ");
            self.line(indent, format!("# {line}").trim_end());
        }
    }

    /// Writes the lines of a mapping or a list.
    fn value(&mut self, draft: &Draft, indent: usize, level: usize) {
        match draft {
            Draft::Map(fields) => {
                for field in fields {
                    self.field(field, indent, level);
                }
            }
            Draft::List(items) => {
                for item in items {
                    if let Draft::Map(fields) = item
                        && let Some(first) = fields.first()
                    {
                        self.origin = first.origin;
                    }
                    let text = inline(item).unwrap_or_default();
                    self.line(indent, &format!("- {text}"));
                }
            }
            scalar => {
                let text = inline(scalar).unwrap_or_default();
                self.line(indent, &text);
            }
        }
    }

    fn field(&mut self, field: &Field, indent: usize, level: usize) {
        let Field { key, value, origin, comment, disabled } = field;
        let outer = (self.origin, self.disabled);
        self.origin = *origin;
        if let Some(comment) = comment {
            self.comment(indent, comment);
        }
        if *disabled {
            self.disabled.get_or_insert(indent);
        }
        let key = scalar(key);
        let inline = inline(value);
        let nested = matches!(value, Draft::Map(_) | Draft::List(_));
        let short = |it: &String| {
            !nested
                || value.is_empty()
                || (INLINE_LEVEL <= level && indent + key.len() + it.len() <= INLINE_MAX)
        };
        if let Some(text) = inline.filter(short) {
            self.line(indent, &format!("{key}: {text}"));
        } else {
            self.line(indent, &format!("{key}:"));
            self.value(value, indent + 2, level + 1);
        }
        (self.origin, self.disabled) = outer;
    }
}

/// On one line. Nothing if there is a comment in it.
fn inline(draft: &Draft) -> Option<String> {
    let mut text = String::new();
    match draft {
        Draft::Plain(plain) => text.push_str(plain),
        Draft::Text(value) => text = scalar(value),
        Draft::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(inline).collect();
            text = format!("[{}]", items?.join(", "));
        }
        Draft::Map(fields) => {
            text.push('{');
            for (at, Field { key, value, comment, disabled, .. }) in fields.iter().enumerate() {
                if comment.is_some() || *disabled {
                    return None;
                }
                let comma = if at == 0 { "" } else { ", " };
                write!(text, "{comma}{}: {}", scalar(key), inline(value)?).ok()?;
            }
            text.push('}');
        }
    }
    Some(text)
}

/// A text as a scalar, in quotes if it would be read as something else.
pub(crate) fn scalar(text: &str) -> String {
    let inner = |it: char| it.is_ascii_alphanumeric() || "_./%@:+= -".contains(it);
    let plain = text.starts_with(|it: char| it.is_ascii_alphanumeric() || "./_".contains(it))
        && text.chars().all(inner)
        && !text.ends_with([':', ' '])
        && !text.contains(": ")
        && resolve(text) == Value::Text;
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(character),
            _ if character.is_alphanumeric() => quoted.push(character),
            _ => quoted = format!("{quoted}\\U{:08x}", u32::from(character)),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_where_they_are_needed() {
        for (text, written) in [
            ("web", "web"),
            ("redis:7", "redis:7"),
            ("python3 app.py --port 80", "python3 app.py --port 80"),
            ("5s", "5s"),
            ("15", "\"15\""),
            ("true", "\"true\""),
            ("no", "no"),
            ("", "\"\""),
            ("${PORT}", "\"${PORT}\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("- a", "\"- a\""),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(scalar(text), written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(key in ".{1,12}", text in ".{0,40}") {
            let (key, text) = (key.replace('\0', "0"), text.replace('\0', "0"));
            let mut fields = Fields::default();
            fields.add(&key, Draft::List(vec![Draft::text(text.as_str())]), Place::START);
            let (yaml, origins) = write(&fields.done(), &["a comment".to_owned()]);
            prop_assert_eq!(origins.len(), yaml.lines().count());
            let mut findings = crate::problem::Findings::default();
            let node = crate::yaml::parse(&yaml, &mut findings).unwrap();
            prop_assert!(findings.errors.is_empty(), "{:?} {}", findings, yaml);
            let entry = &node.entries()[0];
            prop_assert_eq!(&entry.key, &key);
            prop_assert_eq!(&entry.node.items()[0].raw, &text);
        }
    }
}
