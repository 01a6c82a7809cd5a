//! One call over an edge, as a span of a trace.

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
    /// The edge it crossed.
    pub edge: EdgeName,
    /// When it began.
    pub start: Timestamp,
    /// Microseconds until the end of the answer.
    pub duration_us: u64,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
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
}
