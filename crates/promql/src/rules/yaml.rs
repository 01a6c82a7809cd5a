//! YAML as a tree of texts that know their line: rule files are strict, and a mistake is shown where it was made.
//!
//! Every scalar stays the text it was written as, since in rule files the field decides what it means. Refused
//! are anchors, tags, more than one document, and files that are large or deep.

use saphyr_parser::{Event, Marker, Parser};

use super::RuleError;

/// Bytes a file may have: ten thousand rules take about three million.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Levels of nesting: rule files have eight.
const DEPTH_MAX: usize = 32;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A line and a column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// What YAML has.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

impl Place {
    pub(super) fn error(self, message: impl Into<String>) -> RuleError {
        RuleError { line: self.line, column: self.column, message: message.into() }
    }

    fn of(marker: &Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}

/// A file as a tree; an empty one is an empty mapping.
pub(super) fn read(text: &str) -> Result<Node, RuleError> {
    let start = Place { line: 1, column: 1 };
    if TEXT_BYTES_MAX < text.len() {
        return Err(start.error(format!("the file is longer than {TEXT_BYTES_MAX} bytes")));
    }
    let mut builder = Builder { open: Vec::new(), root: None };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Place::of(error.marker()).error(error.info()))?;
        builder.take(event, Place::of(&span.start))?;
    }
    Ok(builder.root.unwrap_or(Node { place: start, value: Value::Map(Vec::new()) }))
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

/// A collection that has not ended.
struct Open {
    node: Node,
    key: Option<Key>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), RuleError> {
        match event {
            Event::Scalar(text, _, anchor, _) => {
                no_anchor(anchor, place)?;
                self.add(Node { place, value: Value::Text(text.into_owned()) })
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, place, Value::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, place, Value::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node),
                None => Ok(()),
            },
            Event::Alias(_) => Err(place.error("aliases are not read in rule files")),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(place.error("a second document; one file is one document"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, place: Place, value: Value) -> Result<(), RuleError> {
        no_anchor(anchor, place)?;
        if DEPTH_MAX <= self.open.len() {
            return Err(place.error(format!("more than {DEPTH_MAX} levels of nesting")));
        }
        self.open.push(Open { node: Node { place, value }, key: None });
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), RuleError> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let key = open.key.take();
        match (&mut open.node.value, key) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(key)) => {
                if entries.iter().any(|(other, _)| other.text == key.text) {
                    return Err(key.place.error(format!("{:?} is there twice", key.text)));
                }
                entries.push((key, node));
            }
            (Value::Map(_), None) => {
                let Value::Text(text) = node.value else {
                    return Err(node.place.error("a key has to be text"));
                };
                open.key = Some(Key { text, place: node.place });
            }
            (Value::Text(_), _) => {}
        }
        Ok(())
    }
}

fn no_anchor(anchor: usize, place: Place) -> Result<(), RuleError> {
    if anchor == 0 { Ok(()) } else { Err(place.error("anchors are not read in rule files")) }
}

impl Node {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Result<&str, RuleError> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.place.error("expected a text")),
        }
    }

    /// The items; nothing written is an empty list.
    pub(super) fn items(&self) -> Result<&[Self], RuleError> {
        match &self.value {
            Value::List(items) => Ok(items),
            Value::Text(text) if is_null(text) => Ok(&[]),
            _ => Err(self.place.error("expected a list")),
        }
    }

    /// The entries; nothing written is an empty mapping.
    pub(super) fn entries(&self) -> Result<&[(Key, Self)], RuleError> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            Value::Text(text) if is_null(text) => Ok(&[]),
            _ => Err(self.place.error("expected a mapping")),
        }
    }

    /// What stands at a key, in a mapping of which only some keys are known.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let entries = self.entries().unwrap_or_default();
        entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// Refuses keys that nobody knows.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), RuleError> {
        let entries = self.entries()?;
        match entries.iter().find(|(key, _)| !known.contains(&key.text.as_str())) {
            None => Ok(()),
            Some((key, _)) => {
                let known = known.join(", ");
                Err(key.place.error(format!("unknown field {:?}; there are {known}", key.text)))
            }
        }
    }

    /// A duration; `None` if nothing is written.
    pub(super) fn duration_ms(&self) -> Result<i64, RuleError> {
        let text = self.text()?;
        let read = if text == "0" { Some(0) } else { crate::parse::duration_ms(text) };
        read.ok_or_else(|| self.place.error(format!("not a valid duration string: {text:?}")))
    }

    /// Names and texts.
    pub(super) fn texts(&self) -> Result<Vec<(&Key, &str)>, RuleError> {
        self.entries()?.iter().map(|(key, node)| Ok((key, node.text()?))).collect()
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
