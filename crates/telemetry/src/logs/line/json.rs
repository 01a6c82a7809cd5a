//! A line that is a JSON object, read in one pass.
//!
//! The first message, level, trace and span become what they are; everything else is a field. Arrays and what
//! is nested too deep stay JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::{Line, span_of, trace_of};
use crate::logs::Severity;

/// Fields of one record: more than anybody reads, and what is over it is left out.
pub(super) const FIELDS_MAX: usize = 128;
/// Keys that are joined by dots; what is nested deeper stays JSON.
const DEPTH_MAX: usize = 8;

/// Reads one object with nothing behind it.
pub(super) fn read(text: &str) -> Option<Line<'_>> {
    let mut object = Object { line: Line::default(), has_text: false, path: String::new() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Member { object: &mut object, depth: 0 }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(object.line)
}

/// What was read so far.
struct Object<'a> {
    line: Line<'a>,
    has_text: bool,
    /// The key of the value that is read and those of the objects around it.
    path: String,
}

impl<'a> Object<'a> {
    fn text(&mut self, value: Cow<'a, str>) {
        if !self.is_known(&value) {
            match self.path.as_str() {
                "message" | "msg" | "log" if !self.has_text => {
                    self.has_text = true;
                    self.line.text = without_end(value);
                }
                _ => self.field(value.into_owned()),
            }
        }
    }

    /// Whether a text is the level or one of the ids, which is then kept as such.
    fn is_known(&mut self, value: &str) -> bool {
        let line = &mut self.line;
        match self.path.as_str() {
            "level" | "severity" | "lvl" | "levelname" | "log.level" | "severity_text"
                if line.severity.is_none() =>
            {
                line.severity = Severity::parse(value);
                line.severity.is_some()
            }
            path if line.trace.is_none() && path.contains("race") => {
                line.trace = trace_of(path, value);
                line.trace.is_some()
            }
            path if line.span.is_none() && path.contains("pan") => {
                line.span = span_of(path, value);
                line.span.is_some()
            }
            _ => false,
        }
    }

    fn number(&mut self, value: u64) {
        if self.path == "level" && self.line.severity.is_none() {
            self.line.severity = Severity::from_bunyan(value);
            if self.line.severity.is_some() {
                return;
            }
        }
        let text = value.to_string();
        // Datadog's ids are numbers.
        if !self.is_known(&text) {
            self.field(text);
        }
    }

    fn field(&mut self, value: String) {
        if self.line.fields.len() < FIELDS_MAX {
            self.line.fields.push((self.path.clone(), value));
        }
    }
}

/// Container runtimes keep the end of the line in what they wrap.
fn without_end(text: Cow<'_, str>) -> Cow<'_, str> {
    let ends = ['\n', '\r'];
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(ends)),
        Cow::Owned(mut text) => {
            text.truncate(text.trim_end_matches(ends).len());
            Cow::Owned(text)
        }
    }
}

/// A value somewhere in the object, or the object itself.
struct Member<'s, 'a> {
    object: &'s mut Object<'a>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Member<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth == DEPTH_MAX {
            match <Value as serde::Deserialize>::deserialize(deserializer)? {
                Value::String(text) => self.object.text(Cow::Owned(text)),
                value => self.object.field(value.to_string()),
            }
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let object = self.object;
        let outer = object.path.len();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if object.line.fields.len() == FIELDS_MAX {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if 0 < outer {
                object.path.push('.');
            }
            object.path.push_str(&key);
            map.next_value_seed(Member { object: &mut *object, depth: self.depth + 1 })?;
            object.path.truncate(outer);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.depth == 0 {
            return Err(A::Error::custom("a list is no object"));
        }
        let mut values = Vec::new();
        while let Some(value) = list.next_element::<Value>()? {
            values.push(value);
        }
        self.object.field(Value::Array(values).to_string());
        Ok(())
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        self.object.text(Cow::Borrowed(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.object.text(Cow::Owned(value.to_owned()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.object.number(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.object.field(value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.object.field(value.to_string());
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.object.field(value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.object.field("null".to_owned());
        Ok(())
    }
}
