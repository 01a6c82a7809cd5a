//! One call over an edge, as a span of a trace; or a request that got no further than the gateway.

use model::{InstanceId, ReleaseNumber, Timestamp};
use serde::{Deserialize, Serialize};

use crate::report::EdgeName;

/// One request over an edge, with everything that was tried for it. Ids are as in W3C Trace Context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The trace, 32 hexadecimal digits.
    pub trace: String,
    /// The span, 16 hexadecimal digits.
    pub id: String,
    /// The span it was made in, if the caller said so.
    pub parent: Option<String>,
    /// The edge it crossed or was refused at; absent if the gateway found none for it.
    #[serde(default)]
    pub edge: Option<EdgeName>,
    /// When it began.
    pub start: Timestamp,
    /// Microseconds until the end of the answer.
    pub duration_us: u64,
    /// The method; empty if the request could not be read.
    pub method: String,
    /// The path, without the query; empty if the request could not be read.
    pub path: String,
    /// Whether it is a call of gRPC, whose path is `/package.Service/Method`.
    #[serde(default)]
    pub is_grpc: bool,
    /// The status the caller got; absent if the caller was gone.
    pub status: Option<u16>,
    /// The release that answered, or was tried last.
    pub release: Option<ReleaseNumber>,
    /// The instance that answered, or was tried last.
    pub instance: Option<InstanceId>,
    /// Attempts made, hedges among them.
    pub attempts: u8,
    /// Why it failed, in the words of the reason header, if it did.
    pub error: Option<String>,
    /// Whose fault it was, in the words of the fault header, if the data plane answered itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The limit that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// A limit that ended a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name, a word: `timeout`, `body-size`, ..
    pub name: String,
    /// What it allows.
    pub value: String,
    /// The key in the manifest that sets it, if there is one.
    pub key: Option<String>,
    /// Where it holds: a route, a call, or where requests come in.
    pub hop: String,
}
