//! Scalars against their schema: kinds, words, limits, and the parsers behind `x-kind`.

use model::name::ServiceName;
use model::profile::SEGMENT_MAX;
use model::template::{Template, split_words};
use model::units::{Bytes, Cpus, Share, parse_duration};
use serde_json::Value;

use super::suggest::did_you_mean;
use super::wanted::shortened;
use crate::spec::{Rate, profile};
use crate::yaml::{Node, Value as Yaml};

/// What JSON Schema calls the kind of a value.
pub(crate) const fn kind(node: &Node) -> &'static str {
    match node.value {
        Yaml::Null => "null",
        Yaml::Boolean(_) => "boolean",
        Yaml::Integer(_) => "integer",
        Yaml::Float(_) => "number",
        Yaml::Text => "string",
        Yaml::List(_) => "array",
        Yaml::Map(_) => "object",
    }
}

/// Whether a schema that is no alternative itself takes values of this kind.
pub(crate) fn takes(schema: &Value, kind: &str) -> bool {
    let is = |it: &Value| it == kind || (kind == "integer" && it == "number");
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(is),
        Some(one) => is(one),
        None => false,
    }
}

/// The words a schema consists of, if it does.
pub(crate) fn constants(schema: &Value) -> impl Iterator<Item = &str> {
    let list = schema.get("enum").and_then(Value::as_array);
    schema.get("const").into_iter().chain(list.into_iter().flatten()).filter_map(Value::as_str)
}

/// A scalar as JSON; nothing if its kind is wrong, a message if it is wrong in itself.
pub(crate) fn read(
    node: &Node,
    alternatives: &[(&Value, Option<&str>)],
    label: &str,
) -> Result<Option<Value>, String> {
    if matches!(node.value, Yaml::Float(it) if !it.is_finite()) {
        return Err(format!("{label} is `{}`; a number has an end here", node.raw));
    }
    let words: Vec<_> = alternatives.iter().flat_map(|(it, _)| constants(it)).collect();
    if words.contains(&node.raw.as_str()) && node.value == Yaml::Text {
        return Ok(Some(Value::String(node.raw.clone())));
    }
    let wordless = |it: &&(&Value, Option<&str>)| constants(it.0).next().is_none();
    // A number where an amount is meant is the parser's to explain: it lacks its unit.
    let amount = alternatives.iter().find_map(|(it, _)| it.get("x-kind")).and_then(Value::as_str);
    if let Some(kind) = amount {
        return parse(kind, &node.raw).map(|()| Some(Value::String(node.raw.clone())));
    }
    let Some((schema, _)) =
        alternatives.iter().filter(wordless).find(|(it, _)| takes(it, kind(node)))
    else {
        if !words.is_empty() && node.value == Yaml::Text {
            return Err(word(&node.raw, &words, label, alternatives));
        }
        return Ok(None);
    };
    let value = match node.value {
        Yaml::Boolean(it) => Value::Bool(it),
        Yaml::Integer(it) => {
            #[expect(
                clippy::cast_precision_loss,
                reason = "limits are small; a loss keeps the order"
            )]
            within(it as f64, schema, label)?;
            it.into()
        }
        Yaml::Float(it) => {
            within(it, schema, label)?;
            it.into()
        }
        _ => Value::String(node.raw.clone()),
    };
    Ok(Some(value))
}

/// What to say of a text that is none of the words.
fn word(
    written: &str,
    words: &[&str],
    label: &str,
    alternatives: &[(&Value, Option<&str>)],
) -> String {
    let written = &shortened(written);
    let known = super::wanted::wanted(alternatives);
    if words.contains(&"on-failure") && written == "unless-stopped" {
        return format!("{label} is `{written}`; write `always`; stopped by hand, it stays so");
    }
    let has_path = |it: &Value| it.get("properties").is_some_and(|it| it.get("path").is_some());
    if written.starts_with('/') && alternatives.iter().any(|(it, _)| has_path(it)) {
        return format!("{label} is `{written}`; write `{{path: {written}}}`");
    }
    match did_you_mean(written, words.iter().copied()) {
        Some(meant) => format!("{label} is `{written}`; did you mean `{meant}`?"),
        None => format!("{label} is `{written}`; write one of {known}"),
    }
}

fn within(value: f64, schema: &Value, label: &str) -> Result<(), String> {
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let format = schema.get("format").and_then(Value::as_str);
    let (low, high) = match format {
        Some("uint8") => (0.0, Some(f64::from(u8::MAX))),
        Some("uint16") => (0.0, Some(f64::from(u16::MAX))),
        Some("uint32") => (0.0, Some(f64::from(u32::MAX))),
        _ => (f64::NEG_INFINITY, None),
    };
    let low = limit("minimum").map_or(low, |it| it.max(low));
    let high = match (limit("maximum"), high) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    match high {
        Some(high) if value < low || high < value => {
            Err(format!("{label} is {value}; write a number from {low} to {high}"))
        }
        None if value < low => Err(format!("{label} is {value}; write a number from {low} on")),
        _ => Ok(()),
    }
}

/// Tries the parser behind `x-kind`.
pub(crate) fn parse(kind: &str, text: &str) -> Result<(), String> {
    match kind {
        "duration" => parse_duration(text).map(drop).map_err(|it| it.to_string()),
        "size" => text.parse::<Bytes>().map(drop).map_err(|it| it.to_string()),
        "share" => text.parse::<Share>().map(drop).map_err(|it| it.to_string()),
        "rate" => text.parse::<Rate>().map(drop).map_err(|it| it.to_string()),
        "load" => profile(text, SEGMENT_MAX).map(drop),
        "cpus" => text.parse::<Cpus>().map(drop).map_err(|it| it.to_string()),
        "name" => text.parse::<ServiceName>().map(drop).map_err(|it| it.to_string()),
        "command" => command(text),
        _ => Ok(()),
    }
}

/// A command line in words, each of which is a template.
fn command(line: &str) -> Result<(), String> {
    let words = split_words(line).map_err(|it| it.to_string())?;
    if words.is_empty() {
        return Err("a command has at least one word, the program".to_owned());
    }
    words.iter().try_for_each(|it| it.parse::<Template>().map(drop).map_err(|it| it.to_string()))
}
