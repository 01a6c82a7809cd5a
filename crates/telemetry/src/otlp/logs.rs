//! Log records of OTLP.
//!
//! A body that is text is the text; one that is a map is as a line of JSON is: its message is the text and the
//! rest are fields. Attributes are fields, and so are the name of the scope, which is the logger's, and of the
//! event. Of the resource, application, service and instance are kept; what else it says is the same in every
//! record and is with the metrics (`target_info`).

use std::sync::Arc;

use model::Timestamp;

use super::json::{self, Kind, Schema};
use super::value::{KEY_VALUE, RESOURCE, Resource, SCOPE, VALUE, Value, key_value};
use super::{Encoding, OtlpError, Rejected};
use crate::logs::{Record, Severity, Source, Stream};
use crate::protobuf::{Field, Message, ProtobufError};

/// Log records of one request, at most: an empty one costs two bytes of it and fifty times that in memory.
/// SDKs send 512 at a time, collectors 8192.
pub const RECORDS_MAX: usize = 100_000;
/// Microseconds that a record may be ahead of our clock. One that is further is of a clock that is wrong, and
/// would be the newest of all for as long as it is kept; it is taken as said now.
const AHEAD_US_MAX: u64 = 3_600 * 1_000_000;
/// Fields of one record; what is over it is left out.
const FIELDS_MAX: usize = 128;
/// The service of a resource without a name, as the specification calls it.
const UNKNOWN_SERVICE: &str = "unknown_service";

static REQUEST: Schema = Schema {
    fields: &[(
        "resourceLogs",
        1,
        Kind::Message(&Schema {
            fields: &[
                ("resource", 1, RESOURCE),
                (
                    "scopeLogs",
                    2,
                    Kind::Message(&Schema {
                        fields: &[("scope", 1, SCOPE), ("logRecords", 2, Kind::Message(&RECORD))],
                    }),
                ),
            ],
        }),
    )],
};
static RECORD: Schema = Schema {
    fields: &[
        ("timeUnixNano", 1, Kind::Fixed64),
        ("severityNumber", 2, Kind::Varint),
        ("severityText", 3, Kind::Text),
        ("body", 5, VALUE),
        ("attributes", 6, KEY_VALUE),
        ("traceId", 9, Kind::Hexadecimal),
        ("spanId", 10, Kind::Hexadecimal),
        ("observedTimeUnixNano", 11, Kind::Fixed64),
        ("eventName", 12, Kind::Text),
    ],
};

/// What a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its log records, in the order they came.
    pub records: Vec<Record>,
    /// What is not among them.
    pub rejected: Rejected,
}

/// Reads an `ExportLogsServiceRequest`. Records without a time are taken as said at `now`.
pub fn read(body: &[u8], encoding: Encoding, now: Timestamp) -> Result<Received, OtlpError> {
    let written;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            written = json::to_protobuf(body, &REQUEST)?;
            &written
        }
    };
    let mut reader = Reader { received: Received::default(), now_us: now.as_millis() * 1_000 };
    for field in Message::new(body) {
        let field = field?;
        if field.number == 1 {
            reader.resource_logs(&field)?;
        }
    }
    Ok(reader.received)
}

struct Reader {
    received: Received,
    now_us: u64,
}

impl Reader {
    fn resource_logs(&mut self, field: &Field<'_>) -> Result<(), ProtobufError> {
        let mut resource = Resource::default();
        // Fields may come in any order.
        for field in field.message()? {
            let field = field?;
            if field.number == 1 {
                resource = Resource::read(&field)?;
            }
        }
        let service = if resource.service.is_empty() { UNKNOWN_SERVICE } else { resource.service };
        let source = Arc::new(Source {
            application: resource.namespace.to_owned(),
            service: service.to_owned(),
            instance: resource.instance,
            stream: Stream::Otlp,
        });
        for field in field.message()? {
            let field = field?;
            if field.number == 2 {
                self.scope_logs(&field, &source)?;
            }
        }
        Ok(())
    }

    fn scope_logs(&mut self, field: &Field<'_>, source: &Arc<Source>) -> Result<(), ProtobufError> {
        let mut scope = "";
        for field in field.message()? {
            let field = field?;
            if field.number == 1 {
                scope = scope_name(&field)?;
            }
        }
        for field in field.message()? {
            let field = field?;
            if field.number != 2 {
                continue;
            }
            if RECORDS_MAX <= self.received.records.len() {
                self.received.rejected.add(1, || {
                    format!("over RECORDS_MAX ({RECORDS_MAX}) log records in one request")
                });
                continue;
            }
            let record = self.record(&field, scope, source)?;
            self.received.records.push(record);
        }
        Ok(())
    }

    fn record(
        &self,
        field: &Field<'_>,
        scope: &str,
        source: &Arc<Source>,
    ) -> Result<Record, ProtobufError> {
        let mut record = Record {
            at_us: 0,
            source: Arc::clone(source),
            severity: None,
            text: String::new(),
            fields: Vec::new(),
            trace: None,
            span: None,
        };
        let (mut observed_us, mut severity_text) = (0, "");
        if !scope.is_empty() {
            record.fields.push(("otel.scope.name".to_owned(), scope.to_owned()));
        }
        for field in field.message()? {
            let field = field?;
            match field.number {
                1 => record.at_us = field.number()? / 1_000,
                2 => record.severity = Severity::from_otlp(field.number()?),
                3 => severity_text = field.text()?,
                5 => put_body(&mut record, &Value::read(&field)?)?,
                6 => {
                    let (key, value) = key_value(&field)?;
                    put_fields(&mut record, key, &value)?;
                }
                9 => {
                    let trace = id(field.bytes()?).map(u128::from_be_bytes);
                    record.trace = trace.filter(|it| *it != 0);
                }
                10 => {
                    let span = id(field.bytes()?).map(u64::from_be_bytes);
                    record.span = span.filter(|it| *it != 0);
                }
                11 => observed_us = field.number()? / 1_000,
                12 => put_field(&mut record, "event.name", &Value::Text(field.text()?))?,
                _ => {}
            }
        }
        record.severity = record.severity.or_else(|| Severity::parse(severity_text));
        let latest_us = self.now_us.saturating_add(AHEAD_US_MAX);
        let told = [record.at_us, observed_us].into_iter();
        record.at_us =
            told.into_iter().find(|it| (1..=latest_us).contains(it)).unwrap_or(self.now_us);
        Ok(record)
    }
}

fn scope_name<'a>(field: &Field<'a>) -> Result<&'a str, ProtobufError> {
    let mut name = "";
    for field in field.message()? {
        let field = field?;
        if field.number == 1 {
            name = field.text()?;
        }
    }
    Ok(name)
}

/// An id of the right length; one of another is none, as the specification has it.
fn id<const BYTES: usize>(bytes: &[u8]) -> Option<[u8; BYTES]> {
    bytes.try_into().ok()
}

fn put_body(record: &mut Record, body: &Value<'_>) -> Result<(), ProtobufError> {
    let Value::Map(_) = body else {
        record.text = body.text()?;
        return Ok(());
    };
    body.flatten(&mut String::new(), &mut |key, value| {
        match key {
            "message" | "msg" | "log" if record.text.is_empty() => record.text = value.text()?,
            _ => put_field(record, key, value)?,
        }
        Ok(())
    })
}

fn put_fields(record: &mut Record, key: &str, value: &Value<'_>) -> Result<(), ProtobufError> {
    value.flatten(&mut key.to_owned(), &mut |key, value| put_field(record, key, value))
}

fn put_field(record: &mut Record, key: &str, value: &Value<'_>) -> Result<(), ProtobufError> {
    if record.fields.len() < FIELDS_MAX {
        record.fields.push((key.to_owned(), value.text()?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_544_712_660_000);

    /// The specification's example, shortened, and then everything that it does not have.
    const EXAMPLE: &str = r#"{"resourceLogs": [{
        "scopeLogs": [{
            "logRecords": [
                {
                    "timeUnixNano": "1544712660300000000", "observedTimeUnixNano": "1544712660300000000",
                    "severityNumber": 10, "severityText": "Information",
                    "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
                    "body": {"stringValue": "Example log record"},
                    "attributes": [
                        {"key": "string.attribute", "value": {"stringValue": "some string"}},
                        {"key": "boolean.attribute", "value": {"boolValue": true}},
                        {"key": "int.attribute", "value": {"intValue": "10"}},
                        {"key": "double.attribute", "value": {"doubleValue": 637.704}},
                        {"key": "array.attribute", "value": {"arrayValue": {"values": [
                            {"stringValue": "many"}, {"stringValue": "values"}]}}},
                        {"key": "map.attribute", "value": {"kvlistValue": {"values": [
                            {"key": "some.map.key", "value": {"stringValue": "some value"}}]}}}
                    ]
                },
                {
                    "observedTimeUnixNano": 7000, "severityText": "ERROR", "traceId": "", "spanId": "00",
                    "eventName": "paid", "flags": 1,
                    "body": {"kvlistValue": {"values": [
                        {"key": "msg", "value": {"stringValue": "paid"}},
                        {"key": "card", "value": {"bytesValue": "AQI="}}]}}
                },
                {}
            ],
            "scope": {"name": "my.library", "version": "1.0.0"}
        }],
        "resource": {"attributes": [
            {"key": "service.namespace", "value": {"stringValue": "shop"}},
            {"key": "service.name", "value": {"stringValue": "my.service"}},
            {"key": "service.instance.id", "value": {"intValue": 3}},
            {"key": "host.name", "value": {"stringValue": "a"}}]}
    }, {"scopeLogs": [{"logRecords": [{"body": {"doubleValue": "NaN"}, "timeUnixNano": "9000000000000000000"}]}]}]}"#;

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_example_of_the_specification_and_more() {
        let received = read(EXAMPLE.as_bytes(), Encoding::Json, NOW).unwrap();
        let written = json::to_protobuf(EXAMPLE.as_bytes(), &REQUEST).unwrap();
        assert_eq!(read(&written, Encoding::Protobuf, NOW), Ok(received.clone()));
        assert_eq!(received.rejected, Rejected::default());
        let [first, second, third, fourth] = received.records.as_slice() else { panic!() };
        let source = Source {
            application: "shop".into(),
            service: "my.service".into(),
            instance: "3".into(),
            stream: Stream::Otlp,
        };
        let expected = Record {
            at_us: 1_544_712_660_300_000,
            source: Arc::new(source),
            severity: Some(Severity::Info),
            text: "Example log record".into(),
            fields: pairs(&[
                ("otel.scope.name", "my.library"),
                ("string.attribute", "some string"),
                ("boolean.attribute", "true"),
                ("int.attribute", "10"),
                ("double.attribute", "637.704"),
                ("array.attribute", r#"["many","values"]"#),
                ("map.attribute.some.map.key", "some value"),
            ]),
            trace: Some(0x5b8e_fff7_9803_8103_d269_b633_813f_c60c),
            span: Some(0xeee1_9b7e_c3c1_b174),
        };
        assert_eq!(*first, expected);
        let expected = Record {
            at_us: 7,
            severity: Some(Severity::Error),
            text: "paid".into(),
            fields: pairs(&[
                ("otel.scope.name", "my.library"),
                ("event.name", "paid"),
                ("card", "AQI="),
            ]),
            trace: None,
            span: None,
            ..expected
        };
        assert_eq!(*second, expected);
        assert_eq!((third.at_us, third.text.as_str()), (1_544_712_660_000_000, ""));
        assert_eq!(
            (fourth.text.as_str(), fourth.source.service.as_str()),
            ("NaN", "unknown_service")
        );
    }

    #[test]
    fn too_many_are_rejected_and_the_rest_is_kept() {
        let records = "{},".repeat(RECORDS_MAX + 7);
        let json =
            format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}{{}}]}}]}}]}}"#);
        let received = read(json.as_bytes(), Encoding::Json, NOW).unwrap();
        assert_eq!((received.records.len(), received.rejected.count), (RECORDS_MAX, 8));
        assert_eq!(
            received.rejected.reason,
            "over RECORDS_MAX (100000) log records in one request"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            drop(read(&bytes, Encoding::Protobuf, NOW));
            drop(read(&bytes, Encoding::Json, NOW));
        }

        /// Nearly a request: one whose bytes were changed here and there.
        #[test]
        fn changed_bytes_are_read_or_refused(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..5)) {
            let mut bytes = json::to_protobuf(EXAMPLE.as_bytes(), &REQUEST).unwrap();
            for (place, byte) in changes {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            drop(read(&bytes, Encoding::Protobuf, NOW));
        }

        #[test]
        fn values_nested_deep_are_read(depth in 1_usize..2_000) {
            let mut value = vec![10, 1, b'x'];
            for level in 0..depth {
                let mut outer = Vec::new();
                let mut list = Vec::new();
                crate::protobuf::put_bytes(&mut list, 1, &value);
                crate::protobuf::put_bytes(&mut outer, if level % 2 == 0 { 5 } else { 6 }, &list);
                value = outer;
            }
            let mut request = Vec::new();
            for number in [5, 2, 2, 1] {
                request.clear();
                crate::protobuf::put_bytes(&mut request, number, &value);
                value.clone_from(&request);
            }
            drop(read(&request, Encoding::Protobuf, NOW));
        }
    }
}
