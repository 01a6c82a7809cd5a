//! What is said when something asked for cannot be done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An answer other than the one hoped for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What kind of trouble it is.
    pub kind: ErrorKind,
    /// What is wrong and what can be done about it.
    pub message: String,
}

/// Kinds of trouble, each with an HTTP status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// What was asked is not right: 400.
    Invalid,
    /// The caller did not show who it is: 401.
    Unauthorized,
    /// There is no such thing: 404.
    NotFound,
    /// It cannot be done as things stand: 409.
    Conflict,
    /// It is too large: 413.
    TooLarge,
    /// It was lost to retention: 410.
    Gone,
    /// The platform itself is in trouble: 500.
    Internal,
    /// The platform cannot do it just now: 503.
    Unavailable,
}

impl ErrorKind {
    /// The HTTP status that says so.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

impl ApiError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// There is no such application.
    pub fn no_application(name: &str) -> Self {
        Self::new(
            ErrorKind::NotFound,
            format!("there is no application `{name}`; `pelago ps --all` lists what there is"),
        )
    }

    /// There is no such service or instance.
    pub fn no_service(application: &str, name: &str) -> Self {
        Self::new(
            ErrorKind::NotFound,
            format!("application `{application}` has no service or instance `{name}`"),
        )
    }
}
