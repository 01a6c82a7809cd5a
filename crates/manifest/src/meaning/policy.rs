//! What follows an exit, and pauses: what is written laid over what is inherited, key by key.

use std::time::Duration;

use model::restart::{Restart, RestartPolicy};

use super::Reader;
use crate::spec::{RestartMapSpec, RestartPolicySpec, RestartSpec};
use crate::yaml::At;

impl Reader<'_> {
    /// A first and a longest pause, each as written and as inherited. A longer first pause alone
    /// lengthens the inherited longest one.
    pub(super) fn pauses(
        &mut self,
        backoff: (Option<Duration>, Duration),
        max_backoff: (Option<Duration>, Duration),
        at: At<'_>,
    ) -> (Duration, Duration) {
        let first = backoff.0.unwrap_or(backoff.1);
        match max_backoff.0 {
            Some(longest) if longest < first => {
                let message = format!(
                    "`max_backoff` is shorter than `backoff`, which is {}; write a longer time",
                    super::defaults::duration(first)
                );
                self.findings.error(at.key("max_backoff").place, message);
                (first, longest)
            }
            Some(longest) => (first, longest),
            None => (first, max_backoff.1.max(first)),
        }
    }

    /// What follows an exit: `spec` over `base`.
    pub(super) fn restart(&mut self, base: &Restart, spec: &RestartSpec, at: At<'_>) -> Restart {
        let map = match spec {
            RestartSpec::Policy(policy) => {
                RestartMapSpec { policy: Some(*policy), ..RestartMapSpec::default() }
            }
            RestartSpec::Map(map) => *map,
        };
        let RestartMapSpec { policy, backoff, max_backoff, crash_loop } = map;
        let (backoff, max_backoff) = self.pauses(
            (backoff.map(|it| it.0), base.backoff),
            (max_backoff.map(|it| it.0), base.max_backoff),
            at,
        );
        let policy = policy.map(|it| match it {
            RestartPolicySpec::Always => RestartPolicy::Always,
            RestartPolicySpec::OnFailure => RestartPolicy::OnFailure,
            RestartPolicySpec::No => RestartPolicy::Never,
        });
        Restart {
            policy: policy.unwrap_or(base.policy),
            backoff,
            max_backoff,
            crash_loop: crash_loop.unwrap_or(base.crash_loop),
        }
    }
}
