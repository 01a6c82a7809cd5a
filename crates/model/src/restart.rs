//! What follows an exit.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::duration;

/// When an instance that ended is replaced, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Which exits are followed by a new start.
    pub policy: RestartPolicy,
    /// Pause after the first failure; each further one in a row is twice as long.
    #[serde(with = "duration")]
    pub backoff: Duration,
    /// The longest pause.
    #[serde(with = "duration")]
    pub max_backoff: Duration,
    /// Failures in a row after which the service is called crash-looping, at least 1.
    pub crash_loop: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Always,
            backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(30),
            crash_loop: 5,
        }
    }
}

impl Restart {
    /// The pause after `failures` in a row: `backoff` doubled each time, capped.
    pub fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.backoff.saturating_mul(1 << doublings).min(self.max_backoff)
    }
}

/// Which exits are followed by a new start. The words are Compose's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Every exit: a service.
    Always,
    /// An exit with a code other than 0, by a signal, or after failing its liveness check: a job.
    OnFailure,
    /// None: a job that is tried once.
    #[serde(rename = "no")]
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let restart = Restart::default();
        let pauses = [0, 1, 2, 3, 8, 9, 1000].map(|it| restart.pause(it).as_millis());
        assert_eq!(pauses, [200, 200, 400, 800, 25_600, 30_000, 30_000]);
    }
}
