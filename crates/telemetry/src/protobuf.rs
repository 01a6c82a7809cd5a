//! The wire format of Protocol Buffers, read without copying and without a schema compiler.
//!
//! Collectors take in hundreds of thousands of small messages a second; a reader that hands out fields as
//! slices of what was received is several times as fast as one that builds every message first. It refuses groups,
//! which nobody sends any more.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// It ends within a field.
    #[error("the message ends within a field")]
    Torn,
    /// A number of more than ten bytes.
    #[error("a number is longer than ten bytes")]
    Number,
    /// A field of a kind that does not exist, or of one nobody uses.
    #[error("wire type {0} cannot be read")]
    WireType(u8),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Text,
    /// A field is of another kind than its message says.
    #[error("field {0} is of another kind than it should be")]
    Kind(u32),
}

/// The value of a field as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Bytes, text, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
}

impl<'a> Field<'a> {
    /// Its bytes; an error if it is of another kind.
    pub const fn bytes(&self) -> Result<&'a [u8], ProtobufError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError::Kind(self.number)),
        }
    }

    /// Its text.
    pub fn text(&self) -> Result<&'a str, ProtobufError> {
        std::str::from_utf8(self.bytes()?).map_err(|_invalid| ProtobufError::Text)
    }

    /// Its number, of whatever width.
    pub const fn number(&self) -> Result<u64, ProtobufError> {
        match self.value {
            Value::Varint(number) | Value::Fixed64(number) => Ok(number),
            Value::Fixed32(number) => Ok(number as u64),
            Value::Bytes(_) => Err(ProtobufError::Kind(self.number)),
        }
    }

    /// Its floating-point number of eight bytes.
    pub const fn double(&self) -> Result<f64, ProtobufError> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(ProtobufError::Kind(self.number)),
        }
    }

    /// The fields of the message it is.
    pub fn message(&self) -> Result<Message<'a>, ProtobufError> {
        Ok(Message::new(self.bytes()?))
    }
}

/// The fields of a message, in the order they came. It ends after the first error.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn field(&mut self) -> Result<Field<'a>, ProtobufError> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).map_err(|_large| ProtobufError::Number)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or(ProtobufError::Torn)?;
                self.rest = rest;
                Value::Fixed64(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_large| ProtobufError::Torn)?;
                let split = self.rest.split_at_checked(length).ok_or(ProtobufError::Torn)?;
                self.rest = split.1;
                Value::Bytes(split.0)
            }
            5 => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or(ProtobufError::Torn)?;
                self.rest = rest;
                Value::Fixed32(u32::from_le_bytes(*bytes))
            }
            other => return Err(ProtobufError::WireType(other.to_le_bytes()[0])),
        };
        Ok(Field { number, value })
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<Field<'a>, ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Reads a number of variable length from the front of `bytes`, and takes it off.
pub fn varint(bytes: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(ProtobufError::Torn)?;
        *bytes = rest;
        number |= u64::from(byte & 127).checked_shl(shift).unwrap_or(0);
        if *byte < 128 {
            return Ok(number);
        }
    }
    Err(ProtobufError::Number)
}

/// Appends a number of variable length.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while 127 < number {
        out.push(number.to_le_bytes()[0] | 128);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// A number such that small ones of either sign are small (`sint64`).
pub const fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

/// The number [`zigzag`] was given.
pub const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Appends a field of bytes, text, or a message.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field with a number of variable length.
pub fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// Appends a field of eight bytes.
pub fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_published_examples() {
        let fields: Vec<_> = Message::new(&[0x08, 0x96, 0x01]).collect();
        assert_eq!(fields, [Ok(Field { number: 1, value: Value::Varint(150) })]);
        let field = Message::new(b"\x12\x07testing").next().unwrap().unwrap();
        assert_eq!((field.number, field.text()), (2, Ok("testing")));
        assert_eq!([zigzag(0), zigzag(-1), zigzag(1), zigzag(-2)], [0, 1, 2, 3]);
        assert_eq!(zigzag(i64::MIN), u64::MAX);
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        let check = |bytes: &[u8], expected| {
            assert_eq!(Message::new(bytes).collect::<Vec<_>>(), [Err(expected)]);
        };
        check(&[0x12, 9, 1], ProtobufError::Torn);
        check(&[0x0b], ProtobufError::WireType(3));
        check(&[0xff; 12], ProtobufError::Number);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 1_u32..1000, value: u64, bytes: Vec<u8>, signed: i64) {
            let mut out = Vec::new();
            put_number(&mut out, number, value);
            put_bytes(&mut out, number, &bytes);
            put_fixed64(&mut out, number, value);
            let values: Vec<_> = Message::new(&out).map(|it| it.unwrap().value).collect();
            prop_assert_eq!(values, [Value::Varint(value), Value::Bytes(&bytes), Value::Fixed64(value)]);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn garbage_ends(bytes: Vec<u8>) {
            prop_assert!(Message::new(&bytes).count() <= bytes.len());
        }
    }
}
