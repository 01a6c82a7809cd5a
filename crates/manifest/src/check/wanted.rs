//! What a schema wants and what a value is, in words.

use serde_json::Value;

use super::scalar::constants;
use crate::yaml::{Node, Value as Yaml};

/// A mapping's name in a sentence.
pub(crate) fn owner(name: &str) -> String {
    match name {
        "application" | "scenario" => "the top level of the file".to_owned(),
        "change" => "a service".to_owned(),
        "entry" => "an item of `requests`".to_owned(),
        "background-work" => "an item of `background`".to_owned(),
        "load-curve" => "`load`".to_owned(),
        "defaults" => "`defaults`".to_owned(),
        "resilience" => "a call's policy".to_owned(),
        "update" | "analysis" | "limits" | "retry" | "behaviour" | "queue" | "hedge" | "cors"
        | "users" | "network" | "objective" | "again" | "replication" | "cache" => {
            format!("`{name}`")
        }
        "circuit-breaker" | "rate-limit" => format!("`{}`", name.replace('-', "_")),
        "balance-mapping" => "`balance`".to_owned(),
        "request-key-mapping" => "`key`".to_owned(),
        "header-edits" => "a list of changes to headers".to_owned(),
        "" => "this mapping".to_owned(),
        other => format!("a {}", other.replace('-', " ")),
    }
}

/// What may be written, as the object of a sentence.
pub(crate) fn wanted(alternatives: &[(&Value, Option<&str>)]) -> String {
    let mut phrases: Vec<String> = Vec::new();
    let words: Vec<_> = alternatives.iter().flat_map(|(it, _)| constants(it)).collect();
    if !words.is_empty() {
        phrases.push(words.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "));
    }
    for (schema, name) in alternatives {
        if constants(schema).next().is_some() {
            continue;
        }
        let types = schema.get("type");
        let first = types.and_then(|it| it.as_str().or_else(|| it.get(0)?.as_str()));
        let kind = schema.get("x-kind").and_then(Value::as_str);
        let phrase = match (kind, first.unwrap_or_default()) {
            (Some("duration"), _) => "a duration such as `5s`".to_owned(),
            (Some("size"), _) => "a size such as `256MiB`".to_owned(),
            (Some("share"), _) => "a percentage such as `20%`".to_owned(),
            (Some("rate"), _) => "a rate such as `100/s`".to_owned(),
            (Some("load"), _) => "a load such as `100/s`".to_owned(),
            (Some("cpus"), _) => "a number of processors such as `0.5`".to_owned(),
            (Some("command"), _) => "a command line".to_owned(),
            (_, "string") => "a text".to_owned(),
            (_, "integer") => "a whole number".to_owned(),
            (_, "number") => "a number".to_owned(),
            (_, "boolean") => "`true` or `false`".to_owned(),
            (_, "array") => "a list".to_owned(),
            (_, "object") => mapping(schema, *name),
            _ => continue,
        };
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    phrases.join(" or ")
}

/// A mapping, by its keys if they are few.
fn mapping(schema: &Value, name: Option<&str>) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    match properties {
        Some(properties) if properties.len() <= 8 => {
            let keys: Vec<_> = properties.keys().map(|it| format!("`{it}`")).collect();
            format!("a mapping with {}", keys.join(", "))
        }
        Some(_) => format!("a mapping with the keys of {}", owner(name.unwrap_or_default())),
        None => "a mapping".to_owned(),
    }
}

/// What to say of a value of the wrong kind.
pub(crate) fn mismatch(
    node: &Node,
    alternatives: &[(&Value, Option<&str>)],
    label: &str,
) -> String {
    let takes =
        |kind: &str| alternatives.iter().any(|(it, _)| it.get("type").is_some_and(|it| it == kind));
    let raw = shortened(&node.raw);
    match &node.value {
        Yaml::Boolean(false) if alternatives.iter().any(|(it, _)| constants(it).eq(["none"])) => {
            return format!("{label} cannot be {raw}; write `none` to do without");
        }
        Yaml::Integer(_) | Yaml::Float(_) | Yaml::Boolean(_) if takes("string") => {
            let what =
                if matches!(node.value, Yaml::Boolean(_)) { "truth value" } else { "number" };
            return format!(
                "{label} is a text, but {raw} without quotes is a {what}; write \"{raw}\""
            );
        }
        Yaml::Text if takes("integer") && node.raw.trim().parse::<i64>().is_ok() => {
            return format!("{label} is a number; write {raw} without quotes");
        }
        Yaml::Text if takes("boolean") => {
            let meant = match node.raw.to_lowercase().as_str() {
                "yes" | "on" | "y" | "true" | "enabled" => Some("true"),
                "no" | "off" | "n" | "false" | "disabled" => Some("false"),
                _ => None,
            };
            if let Some(meant) = meant {
                return format!("{label} is `{raw}`, which is a text in YAML 1.2; write {meant}");
            }
        }
        _ => {}
    }
    if let Some(meant) = meant(node, alternatives, label) {
        return format!("{label} is {meant}");
    }
    if let Some(key) = alternatives.iter().find_map(|(it, _)| only_key(it, node)) {
        return format!("{label} is `{raw}`; write `{{{key}: {raw}}}`");
    }
    let written = match &node.value {
        Yaml::List(_) => "a list".to_owned(),
        Yaml::Map(_) => "a mapping".to_owned(),
        _ => format!("`{raw}`"),
    };
    format!("{label} is {written}; {} is meant", wanted(alternatives))
}

/// What was written, and what was probably meant by it, for a value in another's clothes.
fn meant(node: &Node, alternatives: &[(&Value, Option<&str>)], label: &str) -> Option<String> {
    let raw = shortened(&node.raw);
    let takes =
        |kind: &str| alternatives.iter().any(|(it, _)| it.get("type").is_some_and(|it| it == kind));
    match &node.value {
        Yaml::Text if takes("integer") => {
            // Two ports, as Compose has them.
            let (outer, inner) = node.raw.rsplit_once(':')?;
            let (_, inner) = (outer.parse::<u16>().ok()?, inner.parse::<u16>().ok()?);
            Some(format!("`{raw}`; write only {inner}, the one it has itself"))
        }
        Yaml::Text if raw == node.raw && alternatives.iter().any(|(it, _)| lists_texts(it)) => {
            let separators: &[char] = if raw.contains('=') { &[','] } else { &[',', ' '] };
            let items = raw.split(separators).map(str::trim).filter(|it| !it.is_empty());
            let items: Vec<_> = items.map(crate::import::scalar).collect();
            Some(format!("`{raw}`; write `[{}]`", items.join(", ")))
        }
        // Ports as Compose has them.
        Yaml::List(_) if label == "`ports`" => Some(
            "a list; write `port: 8080` for the port that requests come to and a route for the \
             outside, and only further ports here, by name: `{admin: any}`"
                .to_owned(),
        ),
        Yaml::List(items) if takes("object") => {
            let name =
                |it: &Node| it.get("name").filter(|it| it.is_scalar()).map(|it| it.raw.clone());
            let names: Option<Vec<_>> = items.iter().map(name).collect();
            let first = names?.into_iter().next()?;
            Some(format!("a list; write each item below its name, as in `{}:`", shortened(&first)))
        }
        Yaml::Map(_) if takes("string") && label.starts_with("an item of") => Some(
            "a mapping, and a text is meant; leave out the `-` before it, or put it in quotes"
                .to_owned(),
        ),
        _ => None,
    }
}

fn lists_texts(schema: &Value) -> bool {
    let items = schema.get("items").map(crate::schema::alternatives).unwrap_or_default();
    items.iter().any(|(it, _)| it.get("type").is_some_and(|it| it == "string"))
}

/// The key under which a scalar was probably meant: the only one that is required, or the only one.
fn only_key<'a>(schema: &'a Value, node: &Node) -> Option<&'a str> {
    let properties = schema.get("properties")?.as_object()?;
    let required = schema.get("required").and_then(Value::as_array);
    let key = match required.map(Vec::as_slice) {
        Some([key]) => key.as_str()?,
        None if properties.len() == 1 => properties.keys().next()?,
        _ => return None,
    };
    let alternatives = crate::schema::alternatives(properties.get(key)?);
    let fits = super::scalar::read(node, &alternatives, "").is_ok_and(|it| it.is_some());
    (node.is_scalar() && fits).then_some(key)
}

/// The beginning of a long text, so that a message stays a line.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= SHOWN_MAX && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    line.chars().take(SHOWN_MAX).chain("..".chars()).collect()
}
