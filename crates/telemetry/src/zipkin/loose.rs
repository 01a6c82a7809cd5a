//! Values of JSON as clients write them: numbers as text, text as numbers, nothing as `null`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::traces::span::{TAGS_MAX, read_span_hex, read_trace_hex};

/// Text, or a number or a truth value as text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

/// A whole number that is not negative; what is negative, or no number, is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u64);

/// The id of a trace; 0 if there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TraceId(pub(super) u128);

/// The id of a span; 0 if there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpanId(pub(super) u64);

/// The members of an object, in their order, as text.
#[derive(Debug, Default)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

macro_rules! deserialize_any {
    ($type:ty, $visitor:ident) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor)
            }
        }
    };
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Text, E> {
        Ok(Text(truth.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }
}

deserialize_any!(Text, TextVisitor);

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Whole, E> {
        let number = text.parse().map(Whole);
        number.map_err(|_invalid| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        Ok(Whole(u64::try_from(number).unwrap_or(0)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a floating-point number saturates, and what is not a number is 0"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        Ok(Whole(number as u64))
    }

    fn visit_unit<E: Error>(self) -> Result<Whole, E> {
        Ok(Whole(0))
    }
}

deserialize_any!(Whole, WholeVisitor);

struct TraceIdVisitor;

impl Visitor<'_> for TraceIdVisitor {
    type Value = TraceId;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("16 or 32 hexadecimal digits")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TraceId, E> {
        Ok(TraceId(read_trace_hex(text).unwrap_or(0)))
    }

    fn visit_unit<E: Error>(self) -> Result<TraceId, E> {
        Ok(TraceId(0))
    }
}

deserialize_any!(TraceId, TraceIdVisitor);

struct SpanIdVisitor;

impl Visitor<'_> for SpanIdVisitor {
    type Value = SpanId;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("16 hexadecimal digits")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SpanId, E> {
        Ok(SpanId(read_span_hex(text).unwrap_or(0)))
    }

    fn visit_unit<E: Error>(self) -> Result<SpanId, E> {
        Ok(SpanId(0))
    }
}

deserialize_any!(SpanId, SpanIdVisitor);

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Text>()? {
            // One more than is kept, so that the span says that there were more.
            if pairs.len() <= TAGS_MAX {
                pairs.push((key, value.0));
            }
        }
        Ok(Pairs(pairs))
    }

    fn visit_unit<E: Error>(self) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    // PHP writes an empty object as an empty list.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pairs, A::Error> {
        match list.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(Pairs::default()),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

deserialize_any!(Pairs, PairsVisitor);
