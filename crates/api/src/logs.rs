//! Views of what instances said, of how to run a command beside one, and of the machine.

use std::collections::BTreeMap;

use model::{ApplicationName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lines asked for at once, at most.
pub const LOG_LINES_MAX: usize = 10_000;

/// Which lines are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// The application.
    pub application: ApplicationName,
    /// Services or instances (`cart`, `cart.7`); all if empty.
    pub targets: Vec<String>,
    /// Only lines written at this time or later.
    pub since: Option<Timestamp>,
    /// Only the last so many lines of each instance; meant for the first page.
    pub tail: Option<usize>,
    /// Where the page before ended: what it returned as `next`.
    pub cursor: Option<String>,
    /// At most so many lines.
    pub limit: usize,
}

/// Lines in the order they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// The cursor for the page after this one. There always is one; a page without lines means that nothing
    /// more was said yet.
    pub next: String,
}

/// A line an instance wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When, in RFC 3339.
    pub at: String,
    /// Which instance.
    pub instance: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The line, without its end.
    pub text: String,
}

/// What a command needs to run beside an instance, on the same machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecView {
    /// The instance.
    pub instance: String,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The folder it runs in.
    pub folder: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// Whether it is as it should be.
    pub verdict: FindingVerdict,
    /// What was found, and what to do about it if it is not right.
    pub detail: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingVerdict {
    /// As it should be.
    Good,
    /// It works, with less than there could be.
    Limited,
    /// It does not work.
    Bad,
}
