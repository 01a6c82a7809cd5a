//! Spans of OTLP.
//!
//! Attributes are tags, and so are those of the resource, except what says the same of every span of a process and
//! is looked for by nobody (`process.*`, `telemetry.*`). The other side of a call is what an attribute names it by: a
//! service, a database, a queue, a host; an address is nobody's name. An event is its name, with its attributes as
//! JSON behind it. Spans without valid ids are rejected and counted; the others are kept.

use super::json::{self, Kind as Json, Schema};
use super::value::{KEY_VALUE, RESOURCE, Resource, SCOPE, Value, key_value};
use super::{Encoding, OtlpError, Rejected};
use crate::protobuf::{Field, Message, ProtobufError};
use crate::traces::span::{EVENTS_MAX, LINKS_MAX, TAGS_MAX};
use crate::traces::{Kind, Link, Span};

/// Spans of one request, at most: one with nothing but ids costs 30 bytes of it and ten times that in memory. SDKs
/// send 512 at a time, collectors 8192.
pub const SPANS_MAX: usize = 200_000;
/// The service of a resource without a name, as the specification calls it.
const UNKNOWN_SERVICE: &str = "unknown_service";
/// Attributes of a resource that no tag is made of.
const LEFT_OUT: [&str; 2] = ["process.", "telemetry."];
/// Attributes that name the other side of a call, the best first.
const REMOTE: [&str; 7] = [
    "peer.service",
    "db.system.name",
    "db.system",
    "messaging.system",
    "server.address",
    "net.peer.name",
    "rpc.service",
];

static REQUEST: Schema = Schema {
    fields: &[(
        "resourceSpans",
        1,
        Json::Message(&Schema {
            fields: &[
                ("resource", 1, RESOURCE),
                (
                    "scopeSpans",
                    2,
                    Json::Message(&Schema {
                        fields: &[("scope", 1, SCOPE), ("spans", 2, Json::Message(&SPAN))],
                    }),
                ),
            ],
        }),
    )],
};
static SPAN: Schema = Schema {
    fields: &[
        ("traceId", 1, Json::Hexadecimal),
        ("spanId", 2, Json::Hexadecimal),
        ("parentSpanId", 4, Json::Hexadecimal),
        ("name", 5, Json::Text),
        ("kind", 6, Json::Varint),
        ("startTimeUnixNano", 7, Json::Fixed64),
        ("endTimeUnixNano", 8, Json::Fixed64),
        ("attributes", 9, KEY_VALUE),
        ("events", 11, Json::Message(&EVENT)),
        ("links", 13, Json::Message(&LINK)),
        ("status", 15, Json::Message(&STATUS)),
    ],
};
static EVENT: Schema = Schema {
    fields: &[
        ("timeUnixNano", 1, Json::Fixed64),
        ("name", 2, Json::Text),
        ("attributes", 3, KEY_VALUE),
    ],
};
static LINK: Schema =
    Schema { fields: &[("traceId", 1, Json::Hexadecimal), ("spanId", 2, Json::Hexadecimal)] };
static STATUS: Schema = Schema { fields: &[("message", 2, Json::Text), ("code", 3, Json::Varint)] };

/// What a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its spans, in the order they came.
    pub spans: Vec<Span>,
    /// What is not among them.
    pub rejected: Rejected,
}

/// Reads an `ExportTraceServiceRequest`.
pub fn read(body: &[u8], encoding: Encoding) -> Result<Received, OtlpError> {
    let written;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            written = json::to_protobuf(body, &REQUEST)?;
            &written
        }
    };
    let mut received = Received::default();
    for field in Message::new(body) {
        let field = field?;
        if field.number == 1 {
            resource_spans(&field, &mut received)?;
        }
    }
    Ok(received)
}

/// What all spans of a scope have in common.
#[derive(Clone, Default)]
struct Origin {
    service: String,
    tags: Vec<(String, String)>,
}

fn resource_spans(field: &Field<'_>, received: &mut Received) -> Result<(), ProtobufError> {
    let mut resource = Resource::default();
    // Fields may come in any order.
    for field in field.message()? {
        let field = field?;
        if field.number == 1 {
            resource = Resource::read(&field)?;
        }
    }
    let origin = origin(&resource)?;
    for field in field.message()? {
        let field = field?;
        if field.number == 2 {
            scope_spans(&field, &origin, received)?;
        }
    }
    Ok(())
}

fn origin(resource: &Resource<'_>) -> Result<Origin, ProtobufError> {
    let service = if resource.service.is_empty() { UNKNOWN_SERVICE } else { resource.service };
    let mut origin = Origin { service: service.to_owned(), tags: Vec::new() };
    let names =
        [("service.namespace", resource.namespace), ("service.instance.id", &resource.instance)];
    for (key, value) in names.into_iter().filter(|it| !it.1.is_empty()) {
        origin.tags.push((key.to_owned(), value.to_owned()));
    }
    for (key, value) in &resource.attributes {
        if origin.tags.len() < TAGS_MAX && !LEFT_OUT.iter().any(|it| key.starts_with(it)) {
            origin.tags.push(((*key).to_owned(), value.text()?));
        }
    }
    Ok(origin)
}

fn scope_spans(
    field: &Field<'_>,
    origin: &Origin,
    received: &mut Received,
) -> Result<(), ProtobufError> {
    let mut origin = origin.clone();
    for field in field.message()? {
        let field = field?;
        if field.number == 1 {
            for field in field.message()? {
                let field = field?;
                let key = match field.number {
                    1 => "otel.scope.name",
                    2 => "otel.scope.version",
                    _ => continue,
                };
                origin.tags.push((key.to_owned(), field.text()?.to_owned()));
            }
        }
    }
    for field in field.message()? {
        let field = field?;
        if field.number != 2 {
            continue;
        }
        if SPANS_MAX <= received.spans.len() {
            let reason =
                || format!("over SPANS_MAX ({SPANS_MAX}) spans in one request; send fewer");
            received.rejected.add(1, reason);
            continue;
        }
        let span = span(&field, &origin)?;
        if span.trace == 0 || span.id == 0 {
            let reason = "a span without a trace id of 16 bytes and a span id of 8 bytes";
            received.rejected.add(1, || reason.to_owned());
        } else {
            received.spans.push(span);
        }
    }
    Ok(())
}

fn span(field: &Field<'_>, origin: &Origin) -> Result<Span, ProtobufError> {
    let mut span = Span { service: origin.service.clone(), ..Span::default() };
    let (mut start_ns, mut end_ns, mut remote) = (0_u64, 0_u64, (REMOTE.len(), String::new()));
    for field in field.message()? {
        let field = field?;
        match field.number {
            1 => span.trace = id(field.bytes()?).map_or(0, u128::from_be_bytes),
            2 => span.id = id(field.bytes()?).map_or(0, u64::from_be_bytes),
            4 => {
                let parent = id(field.bytes()?).map_or(0, u64::from_be_bytes);
                span.parent = Some(parent).filter(|it| *it != 0);
            }
            5 => field.text()?.clone_into(&mut span.operation),
            6 => span.kind = kind(field.number()?),
            7 => start_ns = field.number()?,
            8 => end_ns = field.number()?,
            9 if span.tags.len() <= TAGS_MAX => {
                let (key, value) = key_value(&field)?;
                let value = value.text()?;
                if let Some(rank) = rank(key, &value).filter(|it| *it < remote.0) {
                    remote = (rank, value.clone());
                }
                span.tags.push((key.to_owned(), value));
            }
            11 if span.events.len() <= EVENTS_MAX => span.events.push(event(&field)?),
            13 if span.links.len() <= LINKS_MAX => span.links.extend(link(&field)?),
            15 => status(&field, &mut span)?,
            _ => {}
        }
    }
    span.start_us = start_ns / 1_000;
    // A span that took less than a microsecond took some time.
    let took_us = end_ns.saturating_sub(start_ns).div_ceil(1_000);
    span.duration_us = took_us;
    if matches!(span.kind, Kind::Client | Kind::Producer | Kind::Consumer) {
        span.remote = remote.1;
    }
    let room = TAGS_MAX.saturating_sub(span.tags.len());
    span.tags.extend(origin.tags.iter().take(room).cloned());
    Ok(span)
}

/// Bytes of an id, if they are as many as they should be.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

const fn kind(number: u64) -> Kind {
    match number {
        1 => Kind::Internal,
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

/// How good an attribute names the other side, the best by 0; none if it does not.
fn rank(key: &str, value: &str) -> Option<usize> {
    let rank = REMOTE.iter().position(|it| *it == key)?;
    let is_address = value.parse::<std::net::IpAddr>().is_ok() || value == "localhost";
    (!value.is_empty() && !is_address).then_some(rank)
}

fn event(field: &Field<'_>) -> Result<(u64, String), ProtobufError> {
    let (mut at_ns, mut name) = (0, "");
    let mut attributes = serde_json::Map::new();
    for field in field.message()? {
        let field = field?;
        match field.number {
            1 => at_ns = field.number()?,
            2 => name = field.text()?,
            3 if attributes.len() < TAGS_MAX => {
                let (key, value) = key_value(&field)?;
                attributes.insert(key.to_owned(), attribute(&value)?);
            }
            _ => {}
        }
    }
    let text = if attributes.is_empty() {
        name.to_owned()
    } else {
        format!("{name} {}", serde_json::Value::Object(attributes))
    };
    Ok((at_ns / 1_000, text))
}

fn attribute(value: &Value<'_>) -> Result<serde_json::Value, ProtobufError> {
    Ok(match value {
        Value::Int(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
        other => other.text()?.into(),
    })
}

fn link(field: &Field<'_>) -> Result<Option<Link>, ProtobufError> {
    let mut link = Link { trace: 0, id: 0 };
    for field in field.message()? {
        let field = field?;
        match field.number {
            1 => link.trace = id(field.bytes()?).map_or(0, u128::from_be_bytes),
            2 => link.id = id(field.bytes()?).map_or(0, u64::from_be_bytes),
            _ => {}
        }
    }
    Ok(Some(link).filter(|it| it.trace != 0 && it.id != 0))
}

/// What became of the work, in the tags Zipkin's exporters use.
fn status(field: &Field<'_>, span: &mut Span) -> Result<(), ProtobufError> {
    let (mut message, mut code) = ("", 0);
    for field in field.message()? {
        let field = field?;
        match field.number {
            2 => message = field.text()?,
            3 => code = field.number()?,
            _ => {}
        }
    }
    let name = match code {
        1 => "OK",
        2 => "ERROR",
        _ => return Ok(()),
    };
    span.tags.push(("otel.status_code".to_owned(), name.to_owned()));
    span.is_error = code == 2;
    if span.is_error && !message.is_empty() {
        span.tags.push(("error".to_owned(), message.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{put_bytes, put_fixed64, put_number};
    use proptest::prelude::*;

    const EXAMPLE: &str = r#"{"resourceSpans": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": "my.service"}},
            {"key": "service.instance.id", "value": {"stringValue": "i-1"}},
            {"key": "process.pid", "value": {"intValue": "17"}},
            {"key": "zone", "value": {"stringValue": "a"}}]},
        "scopeSpans": [{
            "scope": {"name": "my.library", "version": "1.0.0", "attributes": []},
            "spans": [{
                "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
                "parentSpanId": "EEE19B7EC3C1B173", "name": "I'm a client span", "kind": 3,
                "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000001,
                "attributes": [
                    {"key": "server.address", "value": {"stringValue": "10.0.0.1"}},
                    {"key": "db.system", "value": {"stringValue": "postgresql"}},
                    {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"boolValue": true}]}}}],
                "droppedAttributesCount": 3,
                "events": [
                    {"timeUnixNano": "1544712660500000000", "name": "retry"},
                    {"timeUnixNano": "1544712660600000000", "name": "exception", "attributes": [
                        {"key": "exception.type", "value": {"stringValue": "IOError"}}, {"key": "n", "value": {"intValue": 2}}]}],
                "links": [{"traceId": "5b8efff798038103d269b633813fc60d", "spanId": "eee19b7ec3c1b175"}],
                "status": {"message": "broken", "code": 2}},
              {"traceId": "", "spanId": "eee19b7ec3c1b174", "name": "no trace"}]}]}]}"#;

    #[test]
    fn the_example_of_the_specification() {
        let received = read(EXAMPLE.as_bytes(), Encoding::Json).unwrap();
        let tags = [
            ("server.address", "10.0.0.1"),
            ("db.system", "postgresql"),
            ("list", "[1,true]"),
            ("otel.status_code", "ERROR"),
            ("error", "broken"),
            ("service.instance.id", "i-1"),
            ("zone", "a"),
            ("otel.scope.name", "my.library"),
            ("otel.scope.version", "1.0.0"),
        ];
        let expected = Span {
            trace: 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c,
            id: 0xeee1_9b7e_c3c1_b174,
            parent: Some(0xeee1_9b7e_c3c1_b173),
            kind: Kind::Client,
            service: "my.service".to_owned(),
            operation: "I'm a client span".to_owned(),
            remote: "postgresql".to_owned(),
            start_us: 1_544_712_660_000_000,
            duration_us: 1_000_001,
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            events: vec![
                (1_544_712_660_500_000, "retry".to_owned()),
                (
                    1_544_712_660_600_000,
                    r#"exception {"exception.type":"IOError","n":2}"#.to_owned(),
                ),
            ],
            links: vec![Link {
                trace: 0x5b8e_fff7_9803_8103_d269_b633_813f_c60d,
                id: 0xeee1_9b7e_c3c1_b175,
            }],
            is_error: true,
            shared: false,
        };
        assert_eq!(received.spans, [expected]);
        let reason = "a span without a trace id of 16 bytes and a span id of 8 bytes".to_owned();
        assert_eq!(received.rejected, Rejected { count: 1, reason });
    }

    fn message(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        out
    }

    fn request() -> Vec<u8> {
        let span = message(|out| {
            put_bytes(out, 1, &[1; 16]);
            put_bytes(out, 2, &[2; 8]);
            put_bytes(out, 4, &[]);
            put_bytes(out, 5, b"GET /");
            put_number(out, 6, 2);
            put_fixed64(out, 7, 5_000_000);
            put_fixed64(out, 8, 5_000_001);
        });
        let scope = message(|out| put_bytes(out, 2, &span));
        let resource = message(|out| put_bytes(out, 2, &scope));
        message(|out| put_bytes(out, 1, &resource))
    }

    #[test]
    fn protobuf_is_read() {
        let expected = Span {
            trace: u128::from_be_bytes([1; 16]),
            id: u64::from_be_bytes([2; 8]),
            kind: Kind::Server,
            service: "unknown_service".to_owned(),
            operation: "GET /".to_owned(),
            start_us: 5_000,
            duration_us: 1,
            ..Span::default()
        };
        let received = read(&request(), Encoding::Protobuf).unwrap();
        assert_eq!(received, Received { spans: vec![expected], rejected: Rejected::default() });
        assert_eq!(read(&[], Encoding::Protobuf), Ok(Received::default()));
        assert_eq!(read(b"{}", Encoding::Json), Ok(Received::default()));
    }

    proptest! {
        #[test]
        fn nothing_panics(at in 0_usize..10_000, byte: u8, garbage: Vec<u8>) {
            drop(read(&garbage, Encoding::Protobuf));
            let mut bytes = request();
            let place = at % bytes.len();
            bytes[place] = byte;
            drop(read(&bytes, Encoding::Protobuf));
            let mut text = EXAMPLE.as_bytes().to_vec();
            let place = at % text.len();
            text[place] = byte;
            drop(read(&text, Encoding::Json));
        }
    }
}
