//! The decisions against what theory says, in virtual time, and against what must always hold.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]
#![expect(clippy::panic, reason = "helpers of a test may stop it")]
#![expect(clippy::print_stdout, reason = "figures are worth seeing beside their bounds")]
#![expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]

mod clock;
mod collapse;
mod hedging;
mod properties;
mod queues;
mod retries;
mod slow_instance;
