//! What attempts and requests come to, and the reasons of decisions, as words.

use core::time::Duration;

use model::Instant;
use model::route::Priority;
use serde::{Deserialize, Serialize};

/// What an attempt, or a whole request, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Answered with a status below 400, or gRPC's OK.
    Ok,
    /// Answered with a status from 400 to 499 other than 429.
    ClientError,
    /// Answered with 429, or gRPC's `RESOURCE_EXHAUSTED`.
    TooManyRequests,
    /// Answered with a status from 500 on that is no [`Outcome::GatewayError`].
    ServerError,
    /// Answered with 502, 503 or 504, or gRPC's UNAVAILABLE.
    GatewayError,
    /// No connection could be made.
    ConnectFailure,
    /// The connection was lost after something was sent and before an answer.
    Reset,
    /// The connection was lost before anything was sent: nobody has seen the request.
    ResetUnsent,
    /// No answer within the time of one attempt.
    AttemptTimeout,
    /// No answer within the time of the whole request.
    Timeout,
    /// The caller went away, or another attempt was quicker. Says nothing about the instance.
    Cancelled,
}

impl Outcome {
    /// Whether the instance is to blame: what ejects it and opens the edge.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::ServerError
            | Self::GatewayError
            | Self::ConnectFailure
            | Self::Reset
            | Self::AttemptTimeout
            | Self::Timeout => true,
            Self::Ok
            | Self::ClientError
            | Self::TooManyRequests
            | Self::ResetUnsent
            | Self::Cancelled => false,
        }
    }

    /// Whether the instance answered and is not to blame: what closes a breaker again.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Ok | Self::ClientError | Self::TooManyRequests)
    }

    /// Whether the instance, or the machine it is on, said anything at all.
    pub const fn is_answer(self) -> bool {
        !matches!(self, Self::AttemptTimeout | Self::Timeout | Self::Cancelled)
    }

    /// Whether nobody has seen the request, so that sending it again cannot do anything twice.
    pub const fn is_unsent(self) -> bool {
        matches!(self, Self::ConnectFailure | Self::ResetUnsent)
    }
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its outcome is the request's.
    Done,
    /// Try again.
    Retry {
        /// Time to wait before the next pick.
        after: Duration,
        /// What the attempt came to.
        reason: RetryReason,
    },
    /// Its outcome is the request's, though trying again might have helped.
    GiveUp(GiveUpReason),
}

/// What an attempt came to that is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetryReason {
    /// No connection could be made.
    ConnectFailure,
    /// The connection was lost before an answer.
    Reset,
    /// No answer within the time of one attempt.
    AttemptTimeout,
    /// 502, 503, 504 or UNAVAILABLE.
    GatewayError,
    /// Another status from 500 on.
    ServerError,
    /// 429 or `RESOURCE_EXHAUSTED`.
    TooManyRequests,
}

/// Why a retry that would have been wanted is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GiveUpReason {
    /// As many were made as may.
    AttemptsSpent,
    /// Too large a share of the edge's requests are retries already.
    BudgetSpent,
    /// It could not begin before the deadline.
    DeadlineTooNear,
    /// The request was sent and may not be repeated.
    NotIdempotent,
    /// Another attempt (a hedge, or what it hedges) is still under way.
    AttemptUnderWay,
}

/// Why a request is not sent at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// There is no instance, or none of the release that is asked for.
    NoInstance,
    /// The edge's breaker is open.
    CircuitOpen {
        /// When it lets a request through to see.
        until: Instant,
    },
    /// As many are in flight and wait as may.
    Overloaded,
    /// It waited as long as it may.
    QueueTimeout,
    /// Others are more important.
    Shed(Priority),
    /// Its deadline had passed before it could be sent.
    DeadlinePassed,
}

/// Why an instance is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TripReason {
    /// Too many errors in a row.
    ConsecutiveErrors,
    /// Too large a share of errors.
    ErrorRate,
    /// Much slower than its peers.
    Slow,
    /// The request that probed it failed.
    ProbeFailed,
}

/// Short words, for headers, labels and logs.
macro_rules! words {
    ($type:ident, $($pattern:pat => $word:literal,)+) => {
        impl $type {
            /// One word in kebab case.
            pub const fn word(self) -> &'static str {
                match self { $($pattern => $word,)+ }
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                formatter.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

words!(Outcome,
    Self::Ok => "ok",
    Self::ClientError => "client-error",
    Self::TooManyRequests => "too-many-requests",
    Self::ServerError => "server-error",
    Self::GatewayError => "gateway-error",
    Self::ConnectFailure => "connect-failure",
    Self::Reset => "reset",
    Self::ResetUnsent => "reset-unsent",
    Self::AttemptTimeout => "attempt-timeout",
    Self::Timeout => "timeout",
    Self::Cancelled => "cancelled",
);

words!(RetryReason,
    Self::ConnectFailure => "connect-failure",
    Self::Reset => "reset",
    Self::AttemptTimeout => "attempt-timeout",
    Self::GatewayError => "gateway-error",
    Self::ServerError => "server-error",
    Self::TooManyRequests => "too-many-requests",
);

words!(GiveUpReason,
    Self::AttemptsSpent => "attempts-spent",
    Self::BudgetSpent => "budget-spent",
    Self::DeadlineTooNear => "deadline-too-near",
    Self::NotIdempotent => "not-idempotent",
    Self::AttemptUnderWay => "attempt-under-way",
);

words!(Refusal,
    Self::NoInstance => "no-instance",
    Self::CircuitOpen { .. } => "circuit-open",
    Self::Overloaded => "overloaded",
    Self::QueueTimeout => "queue-timeout",
    Self::Shed(_) => "shed",
    Self::DeadlinePassed => "deadline-passed",
);

words!(TripReason,
    Self::ConsecutiveErrors => "consecutive-errors",
    Self::ErrorRate => "error-rate",
    Self::Slow => "slow",
    Self::ProbeFailed => "probe-failed",
);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn reasons_are_short_words() {
        assert_eq!(Refusal::CircuitOpen { until: Instant::ZERO }.to_string(), "circuit-open");
        assert_eq!(GiveUpReason::BudgetSpent.to_string(), "budget-spent");
        assert_eq!(TripReason::ErrorRate.to_string(), "error-rate");
        assert_eq!(Outcome::ResetUnsent.to_string(), "reset-unsent");
        assert_eq!(RetryReason::TooManyRequests.to_string(), "too-many-requests");
    }

    #[test]
    fn a_cancelled_attempt_says_nothing() {
        assert!(!Outcome::Cancelled.is_failure() && !Outcome::Cancelled.is_success());
    }
}
