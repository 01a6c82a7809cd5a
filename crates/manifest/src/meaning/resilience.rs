//! The policy of a call: what is written laid over what is inherited, key by key.

use std::time::Duration;

use model::edge::{
    Balance, BalancePolicy, CircuitBreaker, Hedge, Queue, RequestKey, Resilience, Retry,
    RetryCondition,
};
use model::units::Share;

use super::Reader;
use super::defaults::{HEDGE_AFTER, HEDGE_BUDGET};
use crate::spec::{
    BalanceMapSpec, BalancePolicySpec, BalanceSpec, CircuitBreakerSpec, HedgeMapSpec, HedgeSpec,
    QueueSpec, RequestKeyMapSpec, RequestKeySpec, ResilienceSpec, RetryConditionSpec, RetrySpec,
};
use crate::yaml::At;

impl Reader<'_> {
    /// The policy of a call: `spec` over `base`.
    pub(super) fn resilience(
        &mut self,
        base: &Resilience,
        spec: &ResilienceSpec,
        at: At<'_>,
    ) -> Resilience {
        let timeout = spec.timeout.map(|it| it.0);
        let timeout = self.positive_or(timeout, base.timeout, at, "timeout");
        let retry = match &spec.retry {
            Some(retry) => self.retry(&base.retry, retry, at.key("retry"), timeout),
            None => base.retry.clone(),
        };
        let circuit_breaker = match &spec.circuit_breaker {
            Some(spec) => self.breaker(&base.circuit_breaker, spec, at.key("circuit_breaker")),
            None => base.circuit_breaker.clone(),
        };
        let queue = match &spec.queue {
            Some(queue) => self.queue(&base.queue, queue, at.key("queue")),
            None => base.queue.clone(),
        };
        let balance = match &spec.balance {
            Some(balance) => self.balance(&base.balance, balance, at.key("balance")),
            None => base.balance.clone(),
        };
        let hedge = match &spec.hedge {
            Some(hedge) => self.hedge(base.hedge.as_ref(), hedge, at.key("hedge")),
            None => base.hedge.clone(),
        };
        let idle_timeout = spec
            .idle_timeout
            .and_then(|it| self.positive(it.0, "idle_timeout", at.key("idle_timeout").place));
        Resilience {
            timeout,
            timeout_is_written: spec.timeout.is_some() || base.timeout_is_written,
            retry,
            circuit_breaker,
            max_concurrency: spec.max_concurrency.or(base.max_concurrency),
            adaptive_concurrency: spec.adaptive_concurrency.unwrap_or(base.adaptive_concurrency),
            queue,
            balance,
            hedge,
            drain: spec.drain.map_or(base.drain, |it| it.0),
            idle_timeout: idle_timeout.or(base.idle_timeout),
            max_body: spec.max_body.map(|it| it.0).or(base.max_body),
            min_upload_rate: spec.min_upload_rate.map(|it| it.0).or(base.min_upload_rate),
        }
    }

    /// What is written under `key`, if that is above 0, else what is inherited.
    fn positive_or(
        &mut self,
        written: Option<Duration>,
        inherited: Duration,
        at: At<'_>,
        key: &str,
    ) -> Duration {
        let written = written.and_then(|it| self.positive(it, key, at.key(key).place));
        written.unwrap_or(inherited)
    }

    fn retry(&mut self, base: &Retry, spec: &RetrySpec, at: At<'_>, timeout: Duration) -> Retry {
        let (backoff, max_backoff) = self.pauses(
            (spec.backoff.map(|it| it.0), base.backoff),
            (spec.max_backoff.map(|it| it.0), base.max_backoff),
            at,
        );
        let attempt_timeout = spec.attempt_timeout.and_then(|it| {
            let place = at.key("attempt_timeout").place;
            if timeout < it.0 {
                let message = format!(
                    "`attempt_timeout` is longer than `timeout`, which is {}; write a shorter time",
                    super::defaults::duration(timeout)
                );
                self.findings.error(place, message);
            }
            self.positive(it.0, "attempt_timeout", place)
        });
        let on = spec.on.as_ref().map(|it| self.conditions(it, at.key("on")));
        Retry {
            attempts: spec.attempts.unwrap_or(base.attempts),
            backoff,
            max_backoff,
            budget: spec.budget.map_or(base.budget, |it| it.0),
            on: on.unwrap_or_else(|| base.on.clone()),
            non_idempotent: spec.non_idempotent.unwrap_or(base.non_idempotent),
            attempt_timeout: attempt_timeout.or(base.attempt_timeout),
        }
    }

    fn conditions(&mut self, written: &[RetryConditionSpec], at: At<'_>) -> Vec<RetryCondition> {
        if written.is_empty() {
            let message = "`on` has no condition; write `attempts: 0` to never try again";
            self.findings.error(at.place, message);
        }
        let mut meant = Vec::new();
        for (index, spec) in written.iter().enumerate() {
            let condition = match spec {
                RetryConditionSpec::ConnectFailure => RetryCondition::ConnectFailure,
                RetryConditionSpec::Reset => RetryCondition::Reset,
                RetryConditionSpec::AttemptTimeout => RetryCondition::AttemptTimeout,
                RetryConditionSpec::GatewayError => RetryCondition::GatewayError,
                RetryConditionSpec::ServerError => RetryCondition::ServerError,
                RetryConditionSpec::TooManyRequests => RetryCondition::TooManyRequests,
            };
            if meant.contains(&condition) {
                let message = "this condition stands in `on` twice; remove one";
                self.findings.error(at.item(index).place, message);
            } else {
                meant.push(condition);
            }
        }
        meant
    }

    fn breaker(
        &mut self,
        base: &CircuitBreaker,
        spec: &CircuitBreakerSpec,
        at: At<'_>,
    ) -> CircuitBreaker {
        let open_for = spec.open_for.map(|it| it.0);
        let open_for = self.positive_or(open_for, base.open_for, at, "open_for");
        let mut share = |written: Option<Share>, key: &str| {
            if written == Some(Share::ZERO) {
                let message = format!("`{key}` is 0%, so it would always be open; write more");
                self.findings.error(at.key(key).place, message);
            }
            written
        };
        let error_rate = share(spec.error_rate.map(|it| it.0), "error_rate");
        let edge_error_rate = share(spec.edge_error_rate.map(|it| it.0), "edge_error_rate");
        CircuitBreaker {
            consecutive_errors: spec.consecutive_errors.unwrap_or(base.consecutive_errors),
            open_for,
            error_rate: error_rate.or(base.error_rate),
            slower_than_percent: spec.slower_than.map(percent).or(base.slower_than_percent),
            max_ejected: spec.max_ejected.map_or(base.max_ejected, |it| it.0),
            panic_below: spec.panic_below.map_or(base.panic_below, |it| it.0),
            edge_error_rate: edge_error_rate.or(base.edge_error_rate),
        }
    }

    fn queue(&mut self, base: &Queue, spec: &QueueSpec, at: At<'_>) -> Queue {
        let QueueSpec { length, wait } = spec;
        Queue {
            length: length.unwrap_or(base.length),
            wait: self.positive_or(wait.map(|it| it.0), base.wait, at, "wait"),
        }
    }

    fn balance(&mut self, base: &Balance, spec: &BalanceSpec, at: At<'_>) -> Balance {
        let of_policy;
        let BalanceMapSpec { policy, slow_start, key } = match spec {
            BalanceSpec::Policy(policy) => {
                of_policy = BalanceMapSpec { policy: Some(*policy), ..BalanceMapSpec::default() };
                &of_policy
            }
            BalanceSpec::Map(map) => map,
        };
        let policy = policy.map_or(base.policy, |it| match it {
            BalancePolicySpec::PeakEwma => BalancePolicy::PeakEwma,
            BalancePolicySpec::LeastLoaded => BalancePolicy::LeastLoaded,
            BalancePolicySpec::RoundRobin => BalancePolicy::RoundRobin,
            BalancePolicySpec::Hash => BalancePolicy::Hash,
        });
        let key = match key {
            Some(key) => self.request_key(key, at.key("key")),
            None => base.key.clone(),
        };
        if policy == BalancePolicy::Hash && key.is_none() && !at.has("key") {
            let message = "`hash` needs to know what tells requests apart; write \
                           `balance: {policy: hash, key: client-address}`";
            self.findings.error(at.place, message);
        }
        Balance { policy, slow_start: slow_start.map_or(base.slow_start, |it| it.0), key }
    }

    /// What tells requests apart, or nothing if that was not said well.
    pub(super) fn request_key(&mut self, spec: &RequestKeySpec, at: At<'_>) -> Option<RequestKey> {
        let RequestKeyMapSpec { header, cookie } = match spec {
            RequestKeySpec::Word(_) => return Some(RequestKey::ClientAddress),
            RequestKeySpec::Map(map) => map,
        };
        match (header, cookie) {
            (Some(header), None) => {
                self.header_name(header, at.key("header").place).map(RequestKey::Header)
            }
            (None, Some(cookie)) => {
                if super::header::is_token(cookie) {
                    return Some(RequestKey::Cookie(cookie.clone()));
                }
                let message = format!("`{cookie}` is not the name of a cookie");
                self.findings.error(at.key("cookie").place, message);
                None
            }
            _ => {
                let message = "a key is one of `client-address`, `{header: x-user}` and \
                               `{cookie: session}`";
                self.findings.error(at.place, message);
                None
            }
        }
    }

    fn hedge(&mut self, base: Option<&Hedge>, spec: &HedgeSpec, at: At<'_>) -> Option<Hedge> {
        let HedgeMapSpec { after, budget } = match spec {
            HedgeSpec::Word(_) => return None,
            HedgeSpec::Map(map) => map,
        };
        let after = after.map(|it| it.0).or_else(|| base.map(|it| it.after));
        let budget = budget.map(|it| it.0).or_else(|| base.map(|it| it.budget));
        let (after, budget) = (after.unwrap_or(HEDGE_AFTER), budget.unwrap_or(HEDGE_BUDGET));
        for (share, key) in [(after, "after"), (budget, "budget")] {
            if share == Share::ZERO {
                let message = format!(
                    "`{key}` is 0%; write more, or `hedge: none` to send no second requests"
                );
                self.findings.error(at.key(key).place, message);
            }
        }
        if after == Share::ALL {
            let message = "after 100% there is nothing left to be sooner than; write less";
            self.findings.error(at.key("after").place, message);
        }
        Some(Hedge { after, budget })
    }
}

/// A factor in hundredths. The schema bounds it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is from 1 to 1000, and a cast saturates"
)]
fn percent(factor: f64) -> u32 {
    (factor * 100.0).round() as u32
}
