//! Zipkin's formats: spans in as JSON of version 2 and 1 and as protobuf, spans, lists and links out as JSON.
//!
//! Read as Zipkin reads them, so that what its clients send arrives: names in lower case, ids of 16 or 32 digits, a
//! parent that is the span itself is none, an `error` tag makes a failure. Addresses of endpoints are not kept: the mesh
//! knows better who ran where. A list with one span that cannot be read is refused whole, as Zipkin refuses it.
//!
//! Source: <https://zipkin.io/zipkin-api/>, and `zipkin.proto` of the same repository.

mod json;
mod loose;
mod protobuf;
mod query;
mod v1;
mod write;

pub use json::read_json;
pub use protobuf::read_protobuf;
pub use query::{QueryError, read_query};
pub use v1::read_v1_json;
pub use write::{write_dependencies, write_names, write_trace, write_traces};

use crate::protobuf::ProtobufError;
use crate::traces::Span;

/// Why spans were not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not a list of spans as JSON.
    #[error("the spans cannot be read as Zipkin's JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is not a list of spans as protobuf.
    #[error("the spans cannot be read as Zipkin's protobuf: {0}")]
    Protobuf(#[from] ProtobufError),
    /// A span has no id, or no trace's.
    #[error("span {place} has no valid {field}; ids are 16 or 32 hexadecimal digits")]
    Id {
        /// The span's place in the list, from 0.
        place: usize,
        /// Which id.
        field: &'static str,
    },
}

/// Brings a span that was read into Zipkin's order.
fn tidy(span: &mut Span) {
    for name in [&mut span.service, &mut span.operation, &mut span.remote] {
        // Most are in lower case already, and few have more than ASCII.
        if name.chars().any(char::is_uppercase) {
            *name = name.to_lowercase();
        }
    }
    if span.parent == Some(span.id) {
        span.parent = None;
    }
    span.is_error |= span.tag("error").is_some_and(|it| it != "false");
}
