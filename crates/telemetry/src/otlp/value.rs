//! What all signals share: values of any kind, attributes, and the resource that sends.

use super::json::{Kind, Schema};
use crate::protobuf::{Field, Message, ProtobufError};

/// Values in values that are looked at; deeper ones are taken as absent.
const DEPTH_MAX: usize = 16;
/// Bytes of a name of an application, a service or an instance; what is over it is cut.
const NAME_BYTES_MAX: usize = 256;

/// `AnyValue`.
static ANY_VALUE: Schema = Schema {
    fields: &[
        ("stringValue", 1, Kind::Text),
        ("boolValue", 2, Kind::Bool),
        ("intValue", 3, Kind::Varint),
        ("doubleValue", 4, Kind::Double),
        ("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        ("kvlistValue", 6, Kind::Message(&KEY_VALUES)),
        ("bytesValue", 7, Kind::Base64),
    ],
};
static ARRAY_VALUE: Schema = Schema { fields: &[("values", 1, Kind::Message(&ANY_VALUE))] };
static KEY_VALUES: Schema = Schema { fields: &[("values", 1, Kind::Message(&KEY_VALUE_SCHEMA))] };
static KEY_VALUE_SCHEMA: Schema =
    Schema { fields: &[("key", 1, Kind::Text), ("value", 2, Kind::Message(&ANY_VALUE))] };

/// A value in a message.
pub(super) const VALUE: Kind = Kind::Message(&ANY_VALUE);
/// An attribute in a message.
pub(super) const KEY_VALUE: Kind = Kind::Message(&KEY_VALUE_SCHEMA);
/// A resource in a message.
pub(super) const RESOURCE: Kind =
    Kind::Message(&Schema { fields: &[("attributes", 1, KEY_VALUE)] });
/// An instrumentation scope in a message.
pub(super) const SCOPE: Kind =
    Kind::Message(&Schema { fields: &[("name", 1, Kind::Text), ("version", 2, Kind::Text)] });

/// A value of any kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Absent,
    Text(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// A message with values.
    Array(&'a [u8]),
    /// A message with keys and values.
    Map(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The value in a field that holds an `AnyValue`.
    pub(super) fn read(field: &Field<'a>) -> Result<Self, ProtobufError> {
        let mut value = Self::Absent;
        for field in field.message()? {
            let field = field?;
            value = match field.number {
                1 => Self::Text(field.text()?),
                2 => Self::Bool(field.number()? != 0),
                3 => Self::Int(field.number()?.cast_signed()),
                4 => Self::Double(field.double()?),
                5 => Self::Array(field.bytes()?),
                6 => Self::Map(field.bytes()?),
                7 => Self::Bytes(field.bytes()?),
                _ => value,
            };
        }
        Ok(value)
    }

    /// As text: lists and maps as JSON, bytes as base64.
    pub(super) fn text(&self) -> Result<String, ProtobufError> {
        Ok(match self {
            Self::Absent => String::new(),
            Self::Text(text) => (*text).to_owned(),
            Self::Bytes(bytes) => base64(bytes),
            Self::Double(value) => value.to_string(),
            Self::Bool(_) | Self::Int(_) | Self::Array(_) | Self::Map(_) => {
                self.json(0)?.to_string()
            }
        })
    }

    fn json(&self, depth: usize) -> Result<serde_json::Value, ProtobufError> {
        Ok(match self {
            Self::Absent => serde_json::Value::Null,
            _ if DEPTH_MAX <= depth => serde_json::Value::Null,
            Self::Text(text) => (*text).into(),
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            // JSON has no infinity.
            Self::Double(value) if !value.is_finite() => value.to_string().into(),
            Self::Double(value) => (*value).into(),
            Self::Bytes(bytes) => base64(bytes).into(),
            Self::Array(message) => {
                let mut list = Vec::new();
                for field in Message::new(message) {
                    list.push(Value::read(&field?)?.json(depth + 1)?);
                }
                list.into()
            }
            Self::Map(message) => {
                let mut map = serde_json::Map::new();
                for field in Message::new(message) {
                    let (key, value) = key_value(&field?)?;
                    map.insert(key.to_owned(), value.json(depth + 1)?);
                }
                map.into()
            }
        })
    }

    /// Hands every value in it to `visit`, maps' under their keys joined by dots.
    pub(super) fn flatten(
        &self,
        path: &mut String,
        visit: &mut dyn FnMut(&str, &Value<'_>) -> Result<(), ProtobufError>,
    ) -> Result<(), ProtobufError> {
        self.flatten_at(path, visit, 0)
    }

    fn flatten_at(
        &self,
        path: &mut String,
        visit: &mut dyn FnMut(&str, &Value<'_>) -> Result<(), ProtobufError>,
        depth: usize,
    ) -> Result<(), ProtobufError> {
        let Self::Map(message) = self else { return visit(path, self) };
        if depth == DEPTH_MAX {
            return Ok(());
        }
        let outer = path.len();
        for field in Message::new(message) {
            let (key, value) = key_value(&field?)?;
            if 0 < outer {
                path.push('.');
            }
            path.push_str(key);
            value.flatten_at(path, visit, depth + 1)?;
            path.truncate(outer);
        }
        Ok(())
    }
}

/// The key and the value in a field that holds a `KeyValue`.
pub(super) fn key_value<'a>(field: &Field<'a>) -> Result<(&'a str, Value<'a>), ProtobufError> {
    let (mut key, mut value) = ("", Value::Absent);
    for field in field.message()? {
        let field = field?;
        match field.number {
            1 => key = field.text()?,
            2 => value = Value::read(&field)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = (0..3)
            .fold(0_u32, |bits, it| (bits << 8) | three.get(it).copied().map_or(0, u32::from));
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) & 63;
            let character = ALPHABET.get(six as usize).copied().map_or('=', char::from);
            out.push(if place <= three.len() { character } else { '=' });
        }
    }
    out
}

/// Who sends.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Resource<'a> {
    /// `service.namespace`, which is the application.
    pub(super) namespace: &'a str,
    /// `service.name`.
    pub(super) service: &'a str,
    /// `service.instance.id`.
    pub(super) instance: String,
    /// Everything else.
    pub(super) attributes: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Resource<'a> {
    /// Reads the resource in a field.
    pub(super) fn read(field: &Field<'a>) -> Result<Self, ProtobufError> {
        let mut resource = Self::default();
        for field in field.message()? {
            let field = field?;
            if field.number != 1 {
                continue;
            }
            match key_value(&field)? {
                ("service.namespace", Value::Text(name)) => resource.namespace = cut(name),
                ("service.name", Value::Text(name)) => resource.service = cut(name),
                ("service.instance.id", value) => {
                    cut(&value.text()?).clone_into(&mut resource.instance);
                }
                other => resource.attributes.push(other),
            }
        }
        Ok(resource)
    }
}

/// The beginning of a name that is too long.
pub(super) fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or(name)
}
