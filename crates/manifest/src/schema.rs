//! The JSON Schemas of the files, for editors, for the reference page and for our own checks.
//!
//! It says less than the checks do: where alternatives differ only by the keys of a mapping it names
//! one mapping with all of them, since a message about three alternatives helps nobody. `x-kind`
//! names the parser of a text.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::spec::{ApplicationSpec, ScenarioSpec};

/// A kind of file, as its schema says.
#[derive(Debug)]
pub(crate) struct Document {
    /// The schema of the whole file.
    pub(crate) schema: Value,
    /// The name of its root among the definitions.
    pub(crate) root: String,
    /// What to begin a file with, in a sentence; it may be empty where there is nothing.
    pub(crate) begin: Option<&'static str>,
    /// Definitions to look for a key in that stands in the wrong place, those nearest to the root first.
    pub(crate) places: &'static [&'static str],
}

/// pelago.yaml.
pub(crate) static APPLICATION: LazyLock<Document> = LazyLock::new(|| Document {
    schema: made::<ApplicationSpec>("pelago.yaml", APPLICATION_ID),
    root: ApplicationSpec::schema_name().into_owned(),
    begin: Some("begin with `name: shop`, then `services:`"),
    places: &["service", "defaults", "behaviour", "resilience", "update", "resource", "route"],
});

/// scenario.yaml.
pub(crate) static SCENARIO: LazyLock<Document> = LazyLock::new(|| Document {
    schema: made::<ScenarioSpec>("scenario.yaml", SCENARIO_ID),
    root: ScenarioSpec::schema_name().into_owned(),
    begin: None,
    places: &["users", "network", "fault", "objective", "change", "entry", "behaviour"],
});

/// The schemas' names, not addresses anybody has to reach.
const APPLICATION_ID: &str = "https://pelago.dev/schema/pelago.schema.json";
const SCENARIO_ID: &str = "https://pelago.dev/schema/scenario.schema.json";

fn made<T: JsonSchema>(title: &str, id: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(NotNull);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.insert("$id".to_owned(), id.into());
    sorted(schema.to_value())
}

/// A definition by its name. Both kinds of file mean the same by the same name.
pub(crate) fn definition(name: &str) -> Option<&'static Value> {
    let of = |document: &'static Document| document.schema.get("$defs").and_then(|it| it.get(name));
    of(&APPLICATION).or_else(|| of(&SCENARIO))
}

/// What `schema` refers to, with the name of the definition, if it refers.
pub(crate) fn resolve(schema: &Value) -> (&Value, Option<&str>) {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|it| it.rsplit('/').next());
    match name.and_then(definition) {
        Some(found) => (found, name),
        None => (schema, None),
    }
}

/// The alternatives of a schema, each resolved with its name; itself if there are none.
pub(crate) fn alternatives(schema: &Value) -> Vec<(&Value, Option<&str>)> {
    let (schema, name) = resolve(schema);
    let list = ["anyOf", "oneOf"].iter().find_map(|it| schema.get(it).and_then(Value::as_array));
    match list {
        Some(list) => {
            list.iter().flat_map(alternatives).map(|(it, inner)| (it, inner.or(name))).collect()
        }
        None => vec![(schema, name)],
    }
}

/// Takes `null` from what may stand under a key: a key without a value is a mistake here.
#[derive(Clone, Debug)]
struct NotNull;

impl Transform for NotNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.values_mut().for_each(not_null);
        }
        transform_subschemas(self, schema);
    }
}

fn not_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|it| it.get("type").is_none_or(|it| it != "null"));
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// The same with every mapping in alphabetical order, whatever features `serde_json` was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(
                entries.into_iter().map(|(key, it)| (key, sorted(it))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value is checked against the alternative of its kind, so there may be only one.
    #[test]
    fn alternatives_differ_in_kind() {
        let mut schemas = vec![&APPLICATION.schema, &SCENARIO.schema];
        while let Some(schema) = schemas.pop() {
            match schema {
                Value::Object(object) => schemas.extend(object.values()),
                Value::Array(items) => schemas.extend(items),
                _ => {}
            }
            if schema.get("anyOf").is_none() {
                continue;
            }
            let alternatives = alternatives(schema);
            for kind in ["string", "array", "object", "boolean"] {
                let of_kind = alternatives.iter().filter(|(it, _)| {
                    let constant = it.get("const").is_some();
                    it.get("type").is_some_and(|it| it == kind) && !constant
                });
                assert!(of_kind.count() <= 1, "{schema}");
            }
        }
    }

    #[test]
    fn every_key_says_what_it_is() {
        for schema in [&APPLICATION.schema, &SCENARIO.schema] {
            let definitions = schema["$defs"].as_object().unwrap().values();
            for definition in definitions.chain([schema]) {
                let properties = definition.get("properties").and_then(Value::as_object);
                for (key, property) in properties.into_iter().flatten() {
                    assert!(property.get("description").is_some(), "{key}: {property}");
                }
            }
        }
    }

    #[test]
    fn a_name_means_the_same_in_both() {
        let of = |it: &'static Document| it.schema["$defs"].as_object().unwrap();
        let mut shared = 0;
        for (name, definition) in of(&SCENARIO) {
            if let Some(other) = of(&APPLICATION).get(name) {
                assert_eq!(definition, other, "{name}");
                shared += 1;
            }
        }
        assert!(10 < shared, "only {shared} definitions are shared");
    }
}
