//! Spans as Zipkin's clients send them: a list as protobuf (`zipkin.proto3.ListOfSpans`).

use crate::protobuf::{Field, Message, ProtobufError};
use crate::traces::span::{EVENTS_MAX, TAGS_MAX};
use crate::traces::{Kind, Span};
use crate::zipkin::{ReadError, tidy};

/// Reads a list of spans.
pub fn read_protobuf(bytes: &[u8]) -> Result<Vec<Span>, ReadError> {
    let mut spans = Vec::new();
    for field in Message::new(bytes) {
        let field = field?;
        if field.number == 1 {
            let mut span = span(&field)?;
            let place = spans.len();
            for (id, name) in [(span.trace, "trace_id"), (u128::from(span.id), "id")] {
                if id == 0 {
                    return Err(ReadError::Id { place, field: name });
                }
            }
            tidy(&mut span);
            spans.push(span);
        }
    }
    Ok(spans)
}

fn span(field: &Field<'_>) -> Result<Span, ProtobufError> {
    let mut span = Span::default();
    for field in field.message()? {
        let field = field?;
        match field.number {
            1 => span.trace = id(field.bytes()?),
            2 => span.parent = Some(short_id(field.bytes()?)).filter(|it| *it != 0),
            3 => span.id = short_id(field.bytes()?),
            4 => span.kind = kind(field.number()?),
            5 => field.text()?.clone_into(&mut span.operation),
            6 => span.start_us = field.number()?,
            7 => span.duration_us = field.number()?,
            8 => span.service = service(&field)?,
            9 => span.remote = service(&field)?,
            10 if span.events.len() <= EVENTS_MAX => span.events.push(annotation(&field)?),
            11 if span.tags.len() <= TAGS_MAX => span.tags.push(tag(&field)?),
            13 => span.shared = field.number()? != 0,
            _ => {}
        }
    }
    Ok(span)
}

/// A number of as many bytes as come, the first the highest; of more than sixteen, the last.
fn id(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |id, it| id << 8 | u128::from(*it))
}

fn short_id(bytes: &[u8]) -> u64 {
    u64::try_from(id(bytes)).unwrap_or(0)
}

const fn kind(number: u64) -> Kind {
    match number {
        1 => Kind::Client,
        2 => Kind::Server,
        3 => Kind::Producer,
        4 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn service(field: &Field<'_>) -> Result<String, ProtobufError> {
    let mut name = "";
    for field in field.message()? {
        let field = field?;
        if field.number == 1 {
            name = field.text()?;
        }
    }
    Ok(name.to_owned())
}

fn annotation(field: &Field<'_>) -> Result<(u64, String), ProtobufError> {
    let (mut at_us, mut text) = (0, "");
    for field in field.message()? {
        let field = field?;
        match field.number {
            1 => at_us = field.number()?,
            2 => text = field.text()?,
            _ => {}
        }
    }
    Ok((at_us, text.to_owned()))
}

fn tag(field: &Field<'_>) -> Result<(String, String), ProtobufError> {
    let (mut key, mut value) = ("", "");
    for field in field.message()? {
        let field = field?;
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{put_bytes, put_fixed64, put_number};
    use proptest::prelude::*;

    fn message(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        out
    }

    fn list() -> Vec<u8> {
        let span = message(|out| {
            put_bytes(out, 1, &[0, 0, 0, 0, 0, 0, 1, 2]);
            put_bytes(out, 2, &[0, 0, 0, 0, 0, 0, 0, 9]);
            put_bytes(out, 3, &[0, 0, 0, 0, 0, 0, 0, 3]);
            put_number(out, 4, 1);
            put_bytes(out, 5, b"GET");
            put_fixed64(out, 6, 1_000);
            put_number(out, 7, 20);
            put_bytes(out, 8, &message(|out| put_bytes(out, 1, b"web")));
            put_bytes(out, 9, &message(|out| put_bytes(out, 1, b"cart")));
            put_bytes(
                out,
                10,
                &message(|out| {
                    put_fixed64(out, 1, 7);
                    put_bytes(out, 2, b"retry");
                }),
            );
            put_bytes(
                out,
                11,
                &message(|out| {
                    put_bytes(out, 1, b"k");
                    put_bytes(out, 2, b"v");
                }),
            );
            put_number(out, 13, 1);
            put_number(out, 99, 1);
        });
        message(|out| put_bytes(out, 1, &span))
    }

    #[test]
    fn a_list_is_read() {
        let expected = Span {
            trace: 0x102,
            id: 3,
            parent: Some(9),
            kind: Kind::Client,
            service: "web".to_owned(),
            operation: "get".to_owned(),
            remote: "cart".to_owned(),
            start_us: 1_000,
            duration_us: 20,
            tags: vec![("k".to_owned(), "v".to_owned())],
            events: vec![(7, "retry".to_owned())],
            links: Vec::new(),
            is_error: false,
            shared: true,
        };
        assert_eq!(read_protobuf(&list()).unwrap(), [expected]);
        let none = message(|out| put_bytes(out, 1, &[]));
        assert!(matches!(read_protobuf(&none), Err(ReadError::Id { place: 0, field: "trace_id" })));
    }

    proptest! {
        #[test]
        fn nothing_panics(at in 0_usize..200, byte: u8, garbage: Vec<u8>) {
            drop(read_protobuf(&garbage));
            let mut bytes = list();
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(read_protobuf(&bytes));
        }
    }
}
