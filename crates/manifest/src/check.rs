//! The check of structure: the tree is walked along the schema, every key and every scalar is held
//! against it, and what is right is handed on as JSON for serde.
//!
//! Walking the schema instead of letting serde stop at the first error finds all mistakes at once,
//! with places, and keeps the schema editors use honest: what it does not say is not accepted. What
//! is wrong is left out of the JSON, so that the rest can still be checked for its meaning.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::problem::{Findings, Place};
use crate::schema::{Document, alternatives, definition};
use crate::yaml::{Entry, Node, Value as Yaml};

mod foreign;
mod scalar;
mod suggest;
mod wanted;

pub(crate) use suggest::did_you_mean;
use wanted::{owner, wanted};

/// What a value is called in messages, and where to point if it has no place of its own.
#[derive(Clone, Copy, Debug)]
struct Spot<'a> {
    label: &'a str,
    place: Place,
}

/// Checks the whole file against its schema.
pub(crate) fn check(root: &Node, document: &'static Document, findings: &mut Findings) -> Value {
    let spot = Spot { label: "the file", place: root.place };
    if !matches!(root.value, Yaml::Map(_)) {
        let what = match root.value {
            Yaml::Null if document.begin.is_none() => return Value::Object(Map::new()),
            Yaml::Null => "empty",
            Yaml::List(_) => "a list",
            _ => "a text",
        };
        let begin = document.begin.unwrap_or("begin with a key");
        findings.error(root.place, format!("the file is {what}; {begin}"));
        return Value::Null;
    }
    let root_name = Some(document.root.as_str());
    Checker { document, findings }.mapping(root, &document.schema, root_name, spot)
}

/// Checks a mapping against the definition of that name. `label` is what it is called.
pub(crate) fn check_part(
    node: &Node,
    (name, document): (&str, &'static Document),
    label: &str,
    findings: &mut Findings,
) -> Value {
    let spot = Spot { label, place: node.place };
    let schema = definition(name).unwrap_or(&Value::Null);
    Checker { document, findings }.mapping(node, schema, Some(name), spot)
}

#[derive(Debug)]
struct Checker<'a> {
    document: &'static Document,
    findings: &'a mut Findings,
}

impl Checker<'_> {
    /// The value as JSON, or nothing if it is wrong.
    fn value(&mut self, node: &Node, schema: &Value, spot: Spot<'_>) -> Option<Value> {
        let alternatives = alternatives(schema);
        let takes = |kind: &str| alternatives.iter().find(|(it, _)| scalar::takes(it, kind));
        if node.is_null() {
            if takes("null").is_some() {
                return Some(Value::Null);
            }
            let Spot { label, place } = spot;
            let message = format!("{label} is empty; write {} or remove it", wanted(&alternatives));
            self.findings.error(place, message);
            return None;
        }
        match (&node.value, takes(scalar::kind(node))) {
            (Yaml::Map(_), Some((schema, name))) => Some(self.mapping(node, schema, *name, spot)),
            (Yaml::List(items), Some((schema, _))) => self.list(items, schema, spot),
            (Yaml::List(_) | Yaml::Map(_), None) => self.mismatch(node, &alternatives, spot),
            _ => match scalar::read(node, &alternatives, spot.label) {
                Ok(Some(value)) => Some(value),
                Ok(None) => self.mismatch(node, &alternatives, spot),
                Err(message) => {
                    self.findings.error(node.place, message);
                    None
                }
            },
        }
    }

    fn mismatch(
        &mut self,
        node: &Node,
        alternatives: &[(&Value, Option<&str>)],
        spot: Spot<'_>,
    ) -> Option<Value> {
        let place = if node.is_scalar() { node.place } else { spot.place };
        self.findings.error(place, wanted::mismatch(node, alternatives, spot.label));
        None
    }

    /// The items, or nothing if one is wrong: places are found by position later, so none may be
    /// left out.
    fn list(&mut self, items: &[Node], schema: &Value, spot: Spot<'_>) -> Option<Value> {
        let label = format!("an item of {}", spot.label);
        let wanted = schema.get("items").unwrap_or(&Value::Bool(true));
        let mut read = |it: &Node| {
            let place = if it.place.length == 0 && it.is_null() { spot.place } else { it.place };
            self.value(it, wanted, Spot { label: &label, place })
        };
        let read: Vec<_> = items.iter().map(&mut read).collect();
        read.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn mapping(
        &mut self,
        node: &Node,
        schema: &Value,
        name: Option<&str>,
        spot: Spot<'_>,
    ) -> Value {
        let mut object = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|it| it.is_object());
        let extensions = schema.get("patternProperties").is_some();
        for entry in node.entries() {
            let Entry { key, place, node } = entry;
            let label = format!("`{key}`");
            let spot = Spot { label: &label, place: *place };
            if let Some(property) = properties.and_then(|it| it.get(key)) {
                if let Some(value) = self.value(node, property, spot) {
                    object.insert(key.clone(), value);
                }
            } else if let Some(others) = others {
                self.name(key, *place, schema);
                if let Some(value) = self.value(node, others, spot) {
                    object.insert(key.clone(), value);
                }
            } else if !(extensions && key.starts_with("x-")) {
                let keys = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                let known: Vec<_> = keys.collect();
                let message = unknown(key, name.unwrap_or_default(), &known, self.document);
                self.findings.error(*place, message);
            }
        }
        self.required(node, schema, spot);
        Value::Object(object)
    }

    fn name(&mut self, key: &str, place: Place, schema: &Value) {
        let kind = schema.get("propertyNames").and_then(|it| it.get("x-kind"));
        if let Some(Err(message)) = kind.and_then(Value::as_str).map(|it| scalar::parse(it, key)) {
            self.findings.error(place, message);
        }
    }

    fn required(&mut self, node: &Node, schema: &Value, spot: Spot<'_>) {
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            let meant = |it: &Entry| did_you_mean(&it.key, [key]).is_some();
            if node.entry(key).is_some() || node.entries().iter().any(meant) {
                continue;
            }
            let property = schema.get("properties").and_then(|it| it.get(key));
            let example = property.and_then(|it| it.get("examples")).and_then(|it| it.get(0));
            let remedy = match example {
                Some(Value::String(text)) => format!("add for example `{key}: {text}`"),
                Some(example) => format!("add for example `{key}: {example}`"),
                None => format!("add `{key}:`"),
            };
            self.findings.error(spot.place, format!("{} has no `{key}`; {remedy}", spot.label));
        }
    }
}

/// What to say of a key that is not known where it stands.
fn unknown(key: &str, name: &str, known: &[&str], document: &Document) -> String {
    if let Some(remedy) = foreign::remedy(name, key) {
        return format!("unknown key `{key}`; {remedy}");
    }
    if let Some(meant) = did_you_mean(key, known.iter().copied()) {
        return format!("unknown key `{key}`; did you mean `{meant}`?");
    }
    let elsewhere = owners(key, document);
    if !elsewhere.is_empty() {
        return format!("unknown key `{key}` here; it belongs in {}", elsewhere.join(" or "));
    }
    format!("unknown key `{key}`; {} has {}", owner(name), listed(known))
}

/// The mappings that have a key of this name, those nearest to the root first.
fn owners(key: &str, document: &Document) -> Vec<String> {
    let of = |schema: &Value| schema.get("properties").is_some_and(|it| it.get(key).is_some());
    let has = |name: &&&str| definition(name).is_some_and(of);
    let root = of(&document.schema).then(|| "the top level of the file".to_owned());
    let places = document.places.iter().filter(has).map(|it| owner(it));
    root.into_iter().chain(places).take(2).collect()
}

/// Whether a character has no place in a path or an address, which stand in the one line that a request begins with.
pub(crate) fn is_stray(it: char) -> bool {
    it.is_whitespace() || it.is_control()
}

/// Names in a sentence, each in backquotes.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> String {
    let names: BTreeSet<_> = names.into_iter().collect();
    let quoted: Vec<_> = names.iter().map(|it| format!("`{it}`")).collect();
    quoted.join(", ")
}
