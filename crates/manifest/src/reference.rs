//! The reference pages of the files, written from their schemas: every key with its type, its default, what
//! it means and an example.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::schema::{APPLICATION, Document, SCENARIO, alternatives, definition, resolve};

/// What stands above the tables.
const INTRODUCTION: &str = "\
<!-- Generated from the types in crates/manifest/src/spec; `cargo run -p xtask -- generate` writes it. -->

# pelago.yaml

One file describes one application. Amounts have units: durations are written as `800ms`, `5s` or \
`1m30s`, sizes as `256MiB`, shares as `20%`. A key nobody knows, or one that stands twice, is an error.

A minimal file:

```yaml
name: shop
services:
  web:
    artifact: ./web
    command: python3 app.py --port ${PORT}
```

## References

Texts may refer to values. `$$` is a dollar sign, and `${..:-default}` says what to take when there is no \
value, or an empty one.

| reference | where | value |
| --- | --- | --- |
| `${env.NAME}` | `name`, `artifact`, `build`, `image`, `owner`, `host`, and where the next ones may stand | \
the shell's variable, taken when the file is read |
| `${config.KEY}` | the same | the value under `config`, taken when the file is read |
| `${resources.NAME.FIELD}` | `command`, `release_command`, `environment`, a check's `command` | a \
resource's `url`, `host`, `port`, `user`, `password` or `database`; the service then depends on it |
| `${PORT}` | the same | the port the instance listens on |
| `${CALLEE_URL}` | the same | where a callee is: `${ORDER_API_URL}` for `order-api`; in parts `${CALLEE_HOST}`, `${CALLEE_PORT}`, `${CALLEE_ADDRESS}` |
| `${PORT_NAME}` | the same | a further port of the instance: `${PORT_ADMIN}` for `ports: {admin: any}` |
| `${PELAGO_APPLICATION}`, `_SERVICE`, `_INSTANCE`, `_RELEASE` | the same | who the instance is |
| `${NAME}` | the same | another variable of the service's `environment`, `OTEL_SERVICE_NAME` or `TMPDIR` |

An instance finds all of these but the resources in its environment as well.
";

/// What stands above the tables of a scenario.
const SCENARIO_INTRODUCTION: &str = "\
<!-- Generated from the types in crates/manifest/src/spec; `cargo run -p xtask -- generate` writes it. -->

# scenario.yaml

What an application is put through: who uses it, over which network, what goes wrong and when. Every key has a \
default, so that an empty file is a scenario. Amounts have units as in [pelago.yaml](manifest.md): durations are \
written as `800ms`, sizes as `256MiB`, shares as `20%`, rates as `100/s`. [The guide](scenarios.md) explains it by \
examples.
";

/// The page of pelago.yaml.
pub(crate) fn reference() -> String {
    page(&APPLICATION, INTRODUCTION)
}

/// The page of scenario.yaml. What it shares with pelago.yaml is explained there.
pub(crate) fn scenario() -> String {
    page(&SCENARIO, SCENARIO_INTRODUCTION)
}

fn page(document: &Document, introduction: &str) -> String {
    let mut page = String::from(introduction);
    let mut waiting = vec![document.root.clone()];
    let mut seen = BTreeSet::new();
    let mut at = 0;
    while let Some(name) = waiting.get(at).cloned() {
        at += 1;
        if !seen.insert(name.clone()) || is_elsewhere(document, &name) {
            continue;
        }
        let is_root = name == document.root;
        let found = if is_root { Some(&document.schema) } else { definition(&name) };
        let Some(found) = found else { continue };
        let title = if is_root { "The file" } else { &name };
        section(&mut page, title, found, document);
        mentioned(found, &mut waiting);
    }
    page
}

/// Whether a definition is explained on the page of pelago.yaml, and this is another.
fn is_elsewhere(document: &Document, name: &str) -> bool {
    document.root != APPLICATION.root
        && APPLICATION.schema.get("$defs").is_some_and(|it| it.get(name).is_some())
}

/// Adds the definitions a schema refers to, in order.
fn mentioned(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let (_, Some(name)) = resolve(schema) {
                names.push(name.to_owned());
            }
            let inner = object.iter().filter(|(key, _)| *key != "$defs");
            inner.for_each(|(_, it)| mentioned(it, names));
        }
        Value::Array(items) => items.iter().for_each(|it| mentioned(it, names)),
        _ => {}
    }
}

fn section(page: &mut String, title: &str, definition: &Value, document: &Document) {
    let mut text = format!("\n## {title}\n\n{}\n\n", described(definition));
    if let Some(Value::Object(properties)) = definition.get("properties") {
        text.push_str("| key | type | default | meaning | example |\n");
        text.push_str("| --- | --- | --- | --- | --- |\n");
        for (key, property) in properties {
            text.push_str(&row(key, property, definition, document));
        }
    } else {
        for (alternative, inner) in options(definition) {
            let label = match alternative.get("const").and_then(Value::as_str) {
                Some(word) => format!("`{word}`"),
                None => kind(&alternative, inner.as_deref(), document),
            };
            for part in ["- ", &label, ": ", described(&alternative), "\n"] {
                text.push_str(part);
            }
        }
    }
    page.push_str(&text);
}

/// The alternatives of a definition, each with the description it has where it is used.
fn options(definition: &Value) -> Vec<(Value, Option<String>)> {
    let list = ["anyOf", "oneOf"].iter().find_map(|it| definition.get(it)?.as_array());
    let option = |it: &Value| {
        let (found, name) = resolve(it);
        let mut found = found.clone();
        if let (Some(own), Some(object)) = (it.get("description"), found.as_object_mut()) {
            object.insert("description".to_owned(), own.clone());
        }
        (found, name.map(str::to_owned))
    };
    list.into_iter().flatten().map(option).collect()
}

fn described(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn row(key: &str, property: &Value, owner: &Value, document: &Document) -> String {
    let required = owner.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().any(|it| it == key);
    let default = match property.get("default") {
        _ if required => "required".to_owned(),
        Some(default) => format!("`{}`", flow(default)),
        None => String::new(),
    };
    let examples = property.get("examples").and_then(Value::as_array);
    let example = examples.into_iter().flatten().map(|it| format!("`{}`", flow(it)));
    let example = example.collect::<Vec<_>>().join(", ");
    let mut row = String::new();
    let kind = of(property, document);
    let meaning = described(property);
    if writeln!(row, "| `{key}` | {kind} | {default} | {meaning} | {example} |").is_err() {
        row.clear();
    }
    row
}

/// The type of a value, with links to what is explained elsewhere.
fn of(property: &Value, document: &Document) -> String {
    if let (found, Some(name)) = resolve(property) {
        return kind(found, Some(name), document);
    }
    kind(property, None, document)
}

fn kind(schema: &Value, name: Option<&str>, document: &Document) -> String {
    if let Some(name) = name {
        let page = if is_elsewhere(document, name) { "manifest.md" } else { "" };
        return format!("[{name}]({page}#{name})");
    }
    if schema.get("anyOf").is_some() {
        let kinds: BTreeSet<_> = alternatives(schema)
            .iter()
            .filter(|(it, _)| it.get("type").is_none_or(|it| it != "null"))
            .map(|(it, name)| kind(it, *name, document))
            .collect();
        return kinds.into_iter().collect::<Vec<_>>().join(" or ");
    }
    let types = schema.get("type");
    let first = types.and_then(|it| it.as_str().or_else(|| it.get(0)?.as_str()));
    match (schema.get("x-kind").and_then(Value::as_str), first.unwrap_or_default()) {
        (Some(kind @ ("duration" | "size" | "share" | "rate")), _) => kind.to_owned(),
        (Some("cpus"), _) => "number".to_owned(),
        (Some("load"), _) => "rates".to_owned(),
        (Some("scalar"), _) => "text or number".to_owned(),
        (_, "array") => {
            let items = schema.get("items").map(|it| of(it, document));
            format!("list of {}", items.unwrap_or_default())
        }
        (_, "object") => match schema.get("additionalProperties") {
            Some(inner) if inner.is_object() => format!("mapping of {}", of(inner, document)),
            _ => "mapping".to_owned(),
        },
        (_, "string") => "text".to_owned(),
        (_, "integer") => "whole number".to_owned(),
        (_, "boolean") => "true or false".to_owned(),
        (_, other) => other.to_owned(),
    }
}

/// A value as YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => crate::import::scalar(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(object) => {
            let entry = |(key, it): (&String, &Value)| format!("{key}: {}", flow(it));
            format!("{{{}}}", object.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
