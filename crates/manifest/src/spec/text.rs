//! Scalars with a unit. The schema says what is meant under `x-kind`; the check of structure hands
//! the text to the parser of that kind, and its words are what people read.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// What the schema's `x-kind` is called and how an editor can tell, for a type of text.
trait Amount {
    /// The word in `x-kind`.
    const KIND: &'static str;
    /// A pattern for editors; what counts is the parser.
    const PATTERN: &'static str;
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident($type:ty), $kind:literal, $pattern:literal $(, $with:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name($(#[serde(with = $with)])? pub(crate) $type);

        impl Amount for $name {
            const KIND: &'static str = $kind;
            const PATTERN: &'static str = $pattern;
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(Self::KIND)
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": Self::PATTERN,
                    "x-kind": Self::KIND,
                })
            }
        }
    };
}

amount! {
    /// A time with its unit, `1m30s`.
    Duration(std::time::Duration), "duration",
    r"^\s*([0-9.]+\s*(ns|us|µs|ms|s|m|h|d)\s*)+$", "model::units::duration"
}
amount! {
    /// A number of bytes with its unit, `256MiB`.
    Size(model::units::Bytes), "size", r"^\s*[0-9.]+\s*([KMGTkmgt]i?)?[Bb]\s*$"
}
amount! {
    /// A percentage, `0.3%`.
    Share(model::units::Share), "share", r"^\s*[0-9.]+\s*%\s*$"
}

/// A number of processors, `0.5`: the one amount without a unit.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cpus(pub(crate) model::units::Cpus);

impl JsonSchema for Cpus {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("cpus")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string"], "x-kind": "cpus"})
    }
}

/// A text, or a number or truth value that is taken as the text that was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Scalar(pub(crate) String);

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("scalar")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean"], "x-kind": "scalar"})
    }
}
