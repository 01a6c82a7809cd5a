//! What services said: read from lines or OTLP, kept, searched and followed.
//!
//! A [`Record`] is a line that was understood: its severity, its fields and the trace it belongs to are found
//! once, when it comes, and not at each search. A [`Source`] is shared by all records of one instance, so that
//! a record costs its text and little more. It refuses to judge what was said, and reads no clock.

mod batch;
mod block;
pub mod filter;
mod head;
pub mod line;
mod part;
mod query;
mod quota;
mod recent;
mod retention;
mod row;
mod rows;
mod search;
mod store;
mod token;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use filter::{Filter, FilterError};
pub use head::{Appended, HEAD_BYTES_MAX};
pub use line::{Line, parse_line};
pub use query::{Cursor, Hit, LIMIT_MAX, NoCursor, Order, Page, Query, SCAN_BYTES, Tail};
pub use quota::{Refusal, SERVICES_MAX, Tally};
pub use recent::SOURCES_MAX;
pub use store::{Limits, Recovery, ServiceStatus, Status, Store};

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, in microseconds since 1970: finer than services' clocks agree.
    pub at_us: u64,
    /// By whom.
    pub source: Arc<Source>,
    /// How grave it is, if that was said.
    pub severity: Option<Severity>,
    /// The message. Empty if a line of JSON has none: then its fields say everything.
    pub text: String,
    /// What else was said, nested keys joined by dots, in the order it came.
    pub fields: Vec<(String, String)>,
    /// The trace it belongs to. Zipkin's ids of 64 bits are in the low half.
    pub trace: Option<u128>,
    /// The span it was said in.
    pub span: Option<u64>,
}

/// Who says something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// The application.
    pub application: String,
    /// The service in it.
    pub service: String,
    /// The instance of the service; empty if it is not known.
    pub instance: String,
    /// By what way.
    pub stream: Stream,
}

/// The way by which a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// OTLP, by the service's own SDK.
    Otlp,
}

impl Stream {
    /// All of them, in the order of their numbers on disk.
    const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Otlp];

    /// Its name in answers and queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Otlp => "otlp",
        }
    }
}

/// How grave a record is: OpenTelemetry's six ranges of severity numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For whoever follows every step.
    Trace,
    /// For whoever looks for a defect.
    Debug,
    /// Something went as it should.
    Info,
    /// Something may need attention.
    Warn,
    /// Something failed.
    Error,
    /// Nothing works any more.
    Fatal,
}

impl Severity {
    /// All of them, the least grave first.
    pub const ALL: [Self; 6] =
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Its name in answers and queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// Reads the names that logging libraries use, in whatever case.
    pub fn parse(name: &str) -> Option<Self> {
        /// The longest name below.
        const NAME_BYTES_MAX: usize = 13;
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trc" | b"verbose" | b"finest" | b"finer" => Self::Trace,
            b"debug" | b"dbg" | b"fine" => Self::Debug,
            b"info" | b"inf" | b"information" | b"informational" | b"notice" | b"config" => {
                Self::Info
            }
            b"warn" | b"wrn" | b"warning" => Self::Warn,
            b"error" | b"err" | b"eror" | b"severe" => Self::Error,
            b"fatal" | b"ftl" | b"critical" | b"crit" | b"alert" | b"emerg" | b"emergency"
            | b"panic" | b"dpanic" => Self::Fatal,
            _ => return None,
        })
    }

    /// Reads a severity number of OTLP, 1 to 24.
    pub const fn from_otlp(number: u64) -> Option<Self> {
        match number {
            1..=4 => Some(Self::Trace),
            5..=8 => Some(Self::Debug),
            9..=12 => Some(Self::Info),
            13..=16 => Some(Self::Warn),
            17..=20 => Some(Self::Error),
            21..=24 => Some(Self::Fatal),
            _ => None,
        }
    }

    /// Reads a level as pino and bunyan (Node) write it: 10 to 60.
    const fn from_bunyan(number: u64) -> Option<Self> {
        match number {
            10..=19 => Some(Self::Trace),
            20..=29 => Some(Self::Debug),
            30..=39 => Some(Self::Info),
            40..=49 => Some(Self::Warn),
            50..=59 => Some(Self::Error),
            60..=69 => Some(Self::Fatal),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// It is no severity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no severity; use trace, debug, info, warn, error or fatal")]
pub struct UnknownSeverity {
    /// What was said instead.
    pub name: String,
}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(name: &str) -> Result<Self, UnknownSeverity> {
        Self::parse(name).ok_or_else(|| UnknownSeverity { name: name.to_owned() })
    }
}
