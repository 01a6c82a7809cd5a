//! Views of what services said, found again: lines of their output, and what their SDKs sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Records that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordsView {
    /// The records, in the order asked for.
    pub records: Vec<RecordView>,
    /// What to ask for as `cursor` to go on; absent if there is nothing more.
    pub next: Option<String>,
    /// What to ask for as `after` to be told what is said from now on.
    pub position: u64,
    /// Parts of the store that were damaged: what is in them was not found.
    pub damaged_blocks: u64,
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordView {
    /// When, in RFC 3339.
    pub at: String,
    /// The application.
    pub application: String,
    /// The service.
    pub service: String,
    /// The instance; empty if it is not known.
    pub instance: String,
    /// `stdout`, `stderr`, or `otlp`.
    pub stream: String,
    /// `trace`, `debug`, `info`, `warn`, `error` or `fatal`, if it was said.
    pub severity: Option<String>,
    /// The message.
    pub text: String,
    /// What else was said.
    pub fields: Vec<(String, String)>,
    /// The trace it belongs to.
    pub trace: Option<String>,
    /// The span it was said in.
    pub span: Option<String>,
}
