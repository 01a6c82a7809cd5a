//! Views of sampled calls.

use model::{ApplicationName, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which spans are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanQuery {
    /// Only this application's.
    pub application: Option<ApplicationName>,
    /// Only those that this service called or was called in.
    pub service: Option<ServiceName>,
    /// Which of them.
    pub choice: SpanChoice,
    /// At most so many, the latest.
    pub limit: usize,
}

/// Which spans of those that fit otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanChoice {
    /// All.
    #[default]
    All,
    /// Those of calls that failed.
    Failed,
}

/// One call over an edge, with everything that was tried for it. Ids are as in W3C Trace Context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpanView {
    /// The trace, 32 hexadecimal digits.
    pub trace: String,
    /// The span, 16 hexadecimal digits.
    pub id: String,
    /// The span it was made in, if the caller said so.
    pub parent: Option<String>,
    /// The application; absent if no route took the request.
    pub application: Option<String>,
    /// Who called: a service, or somebody outside by the route with this key; `gateway` if no route took the request.
    pub caller: String,
    /// Who was called; absent if no route took the request.
    pub callee: Option<String>,
    /// When it began, in RFC 3339.
    pub start: String,
    /// Milliseconds until the end of the answer.
    pub duration_ms: f64,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// Whether it is a call of gRPC, whose path is `/package.Service/Method`.
    pub is_grpc: bool,
    /// The status the caller got; absent if the caller was gone.
    pub status: Option<u16>,
    /// The release that answered, or was tried last.
    pub release: Option<String>,
    /// The instance that answered, or was tried last.
    pub instance: Option<String>,
    /// Attempts made, hedges among them.
    pub attempts: u8,
    /// Why it failed, in the words of the reason header, if it did.
    pub error: Option<String>,
    /// Whose fault it was, in the words of the fault header, if the data plane answered itself.
    pub fault: Option<String>,
    /// The limit that ended it, a word, if one did.
    pub limit: Option<String>,
    /// What that allows.
    pub limit_value: Option<String>,
    /// The key in the manifest that sets it, if there is one.
    pub limit_key: Option<String>,
    /// Where it holds: a route, a call, or where requests come in.
    pub hop: Option<String>,
}
