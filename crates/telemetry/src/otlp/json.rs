//! OTLP's JSON, written as protobuf by a table of the fields that each message has.
//!
//! Names are in lower camel case or as in the protobuf; ids are hexadecimal and other bytes base64; whole
//! numbers are numbers or text, floating-point ones may be `"NaN"` and `"Infinity"`; `null` is absence; what is
//! not in the table is passed over. It is read in one pass, so that memory grows with what was sent and no
//! more; objects nested deeper than `serde_json` allows (128) are refused.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::OtlpError;
use crate::protobuf::{put_bytes, put_fixed64, put_number, put_varint, zigzag};

/// The fields of a message.
#[derive(Debug)]
pub(super) struct Schema {
    /// Name, number, kind.
    pub(super) fields: &'static [(&'static str, u32, Kind)],
}

/// How a field is written, in both encodings. Each may be repeated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A message.
    Message(&'static Schema),
    /// Text.
    Text,
    /// Bytes, in JSON hexadecimal digits.
    Hexadecimal,
    /// Bytes, in JSON base64.
    Base64,
    /// Eight bytes, a whole number of either sign.
    Fixed64,
    /// Eight bytes, a floating-point number.
    Double,
    /// A whole number of variable length, or one of an enumeration.
    Varint,
    /// A whole number such that small ones of either sign are short.
    Zigzag,
    /// Yes or no.
    Bool,
}

/// Writes a JSON message as protobuf.
pub(super) fn to_protobuf(text: &[u8], schema: &'static Schema) -> Result<Vec<u8>, OtlpError> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = Message { schema, out: &mut out }.deserialize(&mut deserializer);
    let read = read.and_then(|()| deserializer.end());
    read.map_err(|error| OtlpError::Json(error.to_string()))?;
    Ok(out)
}

/// An object, whose fields are appended.
struct Message<'a> {
    schema: &'static Schema,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let found = self.schema.fields.iter().find(|it| is_same_name(it.0, &name));
            match found {
                Some((_, number, kind)) => {
                    map.next_value_seed(Field {
                        number: *number,
                        kind: *kind,
                        out: &mut *self.out,
                    })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Whether two names are one, in camel case or in snake case.
fn is_same_name(known: &str, name: &str) -> bool {
    let letters = |it: &str| {
        let bytes: Vec<u8> = it.bytes().filter(|it| *it != b'_').collect();
        bytes
    };
    known == name || (name.contains('_') && known.as_bytes().eq_ignore_ascii_case(&letters(name)))
}

/// The value of a field, or each of several.
struct Field<'a> {
    number: u32,
    kind: Kind,
    out: &'a mut Vec<u8>,
}

impl Field<'_> {
    /// Writes a whole number of 64 bits, with a sign or without.
    fn whole<E: Error>(self, number: i128) -> Result<(), E> {
        let bits = i64::try_from(number).map(i64::cast_unsigned);
        let bits = bits.or_else(|_large| u64::try_from(number)).map_err(E::custom)?;
        match self.kind {
            Kind::Varint => put_number(self.out, self.number, bits),
            Kind::Zigzag => put_number(self.out, self.number, zigzag(bits.cast_signed())),
            Kind::Fixed64 => put_fixed64(self.out, self.number, bits),
            #[expect(clippy::cast_precision_loss, reason = "the field is a double")]
            Kind::Double => put_fixed64(self.out, self.number, (number as f64).to_bits()),
            _ => return Err(E::custom("a number where none is expected")),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Bytes of a length that is written before it is known: it is filled up with empty groups of seven bits.
const LENGTH_BYTES: usize = 5;

impl<'de> Visitor<'de> for Field<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.kind {
            Kind::Message(_) => "an object",
            Kind::Text => "text",
            Kind::Hexadecimal => "hexadecimal digits",
            Kind::Base64 => "base64",
            Kind::Fixed64 | Kind::Varint | Kind::Zigzag => "a whole number",
            Kind::Double => "a number",
            Kind::Bool => "true or false",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(schema) = self.kind else {
            return Err(A::Error::custom("an object where none is expected"));
        };
        put_varint(self.out, (u64::from(self.number) << 3) | 2);
        let start = self.out.len() + LENGTH_BYTES;
        self.out.resize(start, 0);
        Message { schema, out: &mut *self.out }.visit_map(map)?;
        let mut length = self.out.len() - start;
        let place = self.out.get_mut(start - LENGTH_BYTES..start).unwrap_or_default();
        for (number, byte) in place.iter_mut().enumerate() {
            let more = if number + 1 < LENGTH_BYTES { 128 } else { 0 };
            *byte = length.to_le_bytes()[0] & 127 | more;
            length >>= 7;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (number, kind) = (self.number, self.kind);
        while list.next_element_seed(Field { number, kind, out: &mut *self.out })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.kind {
            Kind::Text => put_bytes(self.out, self.number, text.as_bytes()),
            Kind::Hexadecimal => {
                let bytes = hexadecimal(text).ok_or_else(|| E::custom("no hexadecimal digits"))?;
                put_bytes(self.out, self.number, &bytes);
            }
            Kind::Base64 => {
                let bytes = base64(text).ok_or_else(|| E::custom("no base64"))?;
                put_bytes(self.out, self.number, &bytes);
            }
            Kind::Double => {
                let number = text.parse::<f64>().map_err(|_invalid| E::custom("no number"))?;
                put_fixed64(self.out, self.number, number.to_bits());
            }
            Kind::Fixed64 | Kind::Varint | Kind::Zigzag => {
                let number = text.parse().map_err(|_invalid| E::custom("no whole number"))?;
                return self.whole(number);
            }
            Kind::Message(_) | Kind::Bool => return Err(E::custom("text where none is expected")),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.whole(i128::from(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.whole(i128::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.kind {
            Kind::Double => put_fixed64(self.out, self.number, number.to_bits()),
            // Some encoders write every number with a point.
            _ if number.fract().abs() < f64::EPSILON && number.abs() < 9e15 => {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
                let whole = number as i128;
                return self.whole(whole);
            }
            _ => return Err(E::custom("a fraction where none is expected")),
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        let Kind::Bool = self.kind else { return Err(E::custom("true or false is not expected")) };
        put_number(self.out, self.number, u64::from(value));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |it: u8| char::from(it).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    pairs.iter().map(byte).collect()
}

/// Both alphabets, with and without padding, as protobuf's JSON allows.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for character in text.trim_end_matches('=').bytes() {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if 8 <= held {
            held -= 8;
            bytes.push((bits >> held).to_le_bytes()[0]);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf;
    use proptest::prelude::*;

    static NODE: Schema = Schema {
        fields: &[
            ("child", 1, Kind::Message(&NODE)),
            ("text", 2, Kind::Text),
            ("traceId", 3, Kind::Hexadecimal),
            ("bytesValue", 4, Kind::Base64),
            ("timeUnixNano", 5, Kind::Fixed64),
            ("asDouble", 6, Kind::Double),
            ("intValue", 7, Kind::Varint),
            ("scale", 8, Kind::Zigzag),
            ("isOn", 9, Kind::Bool),
        ],
    };

    fn fields(json: &str) -> Vec<(u32, protobuf::Value<'static>)> {
        let bytes = to_protobuf(json.as_bytes(), &NODE).unwrap().leak();
        protobuf::Message::new(bytes)
            .map(|it| it.unwrap())
            .map(|it| (it.number, it.value))
            .collect()
    }

    #[test]
    fn each_kind() {
        use protobuf::Value::{Bytes, Fixed64, Varint};
        let check = |json: &str, expected: &[(u32, protobuf::Value<'_>)]| {
            assert_eq!(fields(json), expected, "{json}");
        };
        check(r#"{"text":"a\"","unknown":{"text":[1]}}"#, &[(2, Bytes(b"a\""))]);
        check(r#"{"traceId":"00fF","trace_id":""}"#, &[(3, Bytes(&[0, 255])), (3, Bytes(b""))]);
        check(r#"{"bytesValue":"+/8="}"#, &[(4, Bytes(&[251, 255]))]);
        check(r#"{"bytesValue":"-_8"}"#, &[(4, Bytes(&[251, 255]))]);
        check(r#"{"timeUnixNano":"18446744073709551615"}"#, &[(5, Fixed64(u64::MAX))]);
        check(r#"{"time_unix_nano":-1}"#, &[(5, Fixed64(u64::MAX))]);
        check(r#"{"asDouble":"-Infinity"}"#, &[(6, Fixed64(f64::NEG_INFINITY.to_bits()))]);
        check(r#"{"asDouble":-1}"#, &[(6, Fixed64((-1_f64).to_bits()))]);
        check(
            r#"{"asDouble":[1.5,2]}"#,
            &[(6, Fixed64(1.5_f64.to_bits())), (6, Fixed64(2_f64.to_bits()))],
        );
        check(r#"{"intValue":"-2"}"#, &[(7, Varint(u64::MAX - 1))]);
        check(r#"{"intValue":3.0}"#, &[(7, Varint(3))]);
        check(r#"{"scale":-2}"#, &[(8, Varint(3))]);
        check(r#"{"isOn":true,"text":null}"#, &[(9, Varint(1))]);
        check(r#"{"child":[{},{"intValue":1}]}"#, &[(1, Bytes(b"")), (1, Bytes(&[56, 1]))]);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let check = |json: &str, expected: &str| {
            let error = to_protobuf(json.as_bytes(), &NODE).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("[]", "invalid type: sequence, expected an object at line 1 column 0");
        check("{} {}", "trailing characters at line 1 column 4");
        check(r#"{"traceId":"0"}"#, "no hexadecimal digits at line 1 column 14");
        check(r#"{"intValue":1.5}"#, "a fraction where none is expected at line 1 column 15");
        check(r#"{"intValue":"SEVERE"}"#, "no whole number at line 1 column 20");
        check(r#"{"child":1}"#, "a number where none is expected at line 1 column 10");
        let deep = format!("{}{}", "{\"child\":".repeat(10_000), "}".repeat(10_000));
        check(&deep, "recursion limit exceeded at line 1 column 1144");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"\{("(child|text|traceId|intValue|asDouble)":("[0-9a-f]{0,5}"|[0-9.e-]{1,4}|\{|\[|null|true|\]|\}),?){0,8}\}{0,3}"#) {
            if let Ok(bytes) = to_protobuf(text.as_bytes(), &NODE) {
                prop_assert!(protobuf::Message::new(&bytes).all(|it| it.is_ok()));
                prop_assert!(bytes.len() <= 5 * text.len());
            }
        }
    }
}
