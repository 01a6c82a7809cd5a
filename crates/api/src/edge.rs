//! Views of declared calls: where the callee is found, by which policy, and what crossed.

use model::edge::{BalancePolicy, RequestKey, Resilience, RetryCondition};
use model::units::DurationText;
use model::{ApplicationName, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::routing::{Table, edge_key};
use world::{ApplicationState, Desired, World};

use crate::figures::TrafficView;
use crate::traffic::{Caller, Traffic};

/// Every declared call, of one application or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EdgesView {
    /// Whether a data plane reports; without one there are no figures.
    pub connected: bool,
    /// Seconds the figures are of.
    pub window_s: f64,
    /// The calls, by application, caller and callee.
    pub edges: Vec<EdgeView>,
}

/// A declared call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EdgeView {
    /// The application.
    pub application: String,
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// Where the caller finds the callee; absent until it has an address.
    pub address: Option<String>,
    /// The policy, in words.
    pub policy: String,
    /// What crossed; absent if nothing ever did.
    pub traffic: Option<TrafficView>,
}

impl EdgesView {
    /// The declared calls of applications that have not been stopped, of one only if one is named.
    pub fn of(world: &World, traffic: &Traffic, only: Option<&ApplicationName>) -> Self {
        let table = Table::of(world);
        let applications = running(world, only);
        Self {
            connected: traffic.connected,
            window_s: traffic.window.as_secs_f64(),
            edges: applications
                .flat_map(|(name, state)| {
                    declared(state)
                        .map(|call| view(name, &call, &table, traffic))
                        .collect::<Vec<_>>()
                })
                .collect(),
        }
    }
}

/// Applications that have not been stopped, by name.
pub(crate) fn running<'a>(
    world: &'a World,
    only: Option<&'a ApplicationName>,
) -> impl Iterator<Item = (&'a ApplicationName, &'a ApplicationState)> {
    let applications = world.applications.iter().map(|(name, state)| (name, state.as_ref()));
    applications.filter(move |(name, state)| {
        state.desired != Desired::Stopped && only.is_none_or(|it| it == *name)
    })
}

/// A call as the definition has it.
pub(crate) struct Call<'a> {
    pub(crate) caller: &'a ServiceName,
    pub(crate) callee: &'a ServiceName,
    pub(crate) policy: &'a Resilience,
}

/// The calls in an application's definition, by caller and callee.
pub(crate) fn declared(state: &ApplicationState) -> impl Iterator<Item = Call<'_>> {
    state.definition.services.iter().flat_map(|(caller, service)| {
        service.calls.iter().map(move |(callee, policy)| Call { caller, callee, policy })
    })
}

fn view(
    application: &ApplicationName,
    call: &Call<'_>,
    table: &Table,
    traffic: &Traffic,
) -> EdgeView {
    let edge = table.edges.get(&edge_key(application, call.caller, call.callee));
    let caller = Caller::Service(call.caller.clone());
    let crossed = traffic.edge(application, &caller, call.callee);
    EdgeView {
        application: application.to_string(),
        caller: call.caller.to_string(),
        callee: call.callee.to_string(),
        address: edge.map(|it| format!("127.0.0.1:{}", it.port)),
        policy: policy_in_words(edge.map_or(call.policy, |it| &it.policy)),
        traffic: crossed.map(|it| TrafficView::of(it, traffic.window)),
    }
}

/// A policy on one line: what is usual is left out, but for the timeout, retries and ejection.
pub fn policy_in_words(policy: &Resilience) -> String {
    let usual = Resilience::default();
    let mut words = vec![format!("timeout {}", DurationText(policy.timeout))];
    words.push(retries_in_words(policy));
    let breaker = &policy.circuit_breaker;
    words.push(format!(
        "ejects for {} after {} errors in a row",
        DurationText(breaker.open_for),
        breaker.consecutive_errors
    ));
    words.extend(breaker.error_rate.map(|it| format!("or {it} errors")));
    let times = |percent: u32| f64::from(percent) / 100.0;
    words.extend(breaker.slower_than_percent.map(|it| format!("or {}x as slow", times(it))));
    words.extend(breaker.edge_error_rate.map(|it| format!("opens at {it} errors")));
    words.extend(policy.max_concurrency.map(|it| format!("at most {it} in flight")));
    if policy.adaptive_concurrency {
        words.push("adaptive limit".to_owned());
    }
    if policy.queue != usual.queue {
        let (length, wait) = (policy.queue.length, DurationText(policy.queue.wait));
        words.push(format!("queue of {length} for {wait}"));
    }
    if policy.balance != usual.balance {
        words.push(balance_in_words(policy));
    }
    words.extend(
        policy
            .hedge
            .as_ref()
            .map(|it| format!("hedges after {} of latencies (budget {})", it.after, it.budget)),
    );
    if policy.drain != usual.drain {
        words.push(format!(
            "connections outlive their data plane by {}",
            DurationText(policy.drain)
        ));
    }
    words.extend(policy.idle_timeout.map(|it| format!("answers idle for {}", DurationText(it))));
    words.extend(policy.max_body.map(|it| format!("bodies up to {it}")));
    words.extend(policy.min_upload_rate.map(|it| format!("uploads of {it}/s at least")));
    words.join(", ")
}

fn retries_in_words(policy: &Resilience) -> String {
    let retry = &policy.retry;
    if retry.attempts == 0 {
        return "no retries".to_owned();
    }
    let plural = if retry.attempts == 1 { "retry" } else { "retries" };
    let mut details = vec![format!("budget {}", retry.budget)];
    if retry.on != RetryCondition::usual() {
        let on: Vec<&str> = retry.on.iter().map(|it| condition(*it)).collect();
        details.push(format!("on {}", on.join(" ")));
    }
    if retry.non_idempotent {
        details.push("of any method".to_owned());
    }
    details.extend(retry.attempt_timeout.map(|it| format!("each {}", DurationText(it))));
    format!("{} {plural} ({})", retry.attempts, details.join(", "))
}

const fn condition(condition: RetryCondition) -> &'static str {
    match condition {
        RetryCondition::ConnectFailure => "connect-failure",
        RetryCondition::Reset => "reset",
        RetryCondition::AttemptTimeout => "attempt-timeout",
        RetryCondition::GatewayError => "gateway-error",
        RetryCondition::ServerError => "server-error",
        RetryCondition::TooManyRequests => "too-many-requests",
    }
}

fn balance_in_words(policy: &Resilience) -> String {
    let balance = &policy.balance;
    let rule = match balance.policy {
        BalancePolicy::PeakEwma => "peak-ewma",
        BalancePolicy::LeastLoaded => "least-loaded",
        BalancePolicy::RoundRobin => "round-robin",
        BalancePolicy::Hash => "hash",
    };
    let key = balance.key.as_ref().map(|it| format!(" by {}", key_in_words(it)));
    let slow = (!balance.slow_start.is_zero())
        .then(|| format!(" (slow start {})", DurationText(balance.slow_start)));
    format!("{rule}{}{}", key.unwrap_or_default(), slow.unwrap_or_default())
}

/// What requests are told apart by.
pub(crate) fn key_in_words(key: &RequestKey) -> String {
    match key {
        RequestKey::Header(name) => format!("header {name}"),
        RequestKey::Cookie(name) => format!("cookie {name}"),
        RequestKey::ClientAddress => "client address".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::edge::{Hedge, Queue};
    use model::units::Share;

    use super::*;

    #[test]
    fn a_policy_is_one_line() {
        assert_eq!(
            policy_in_words(&Resilience::default()),
            "timeout 1s, 2 retries (budget 20%), ejects for 10s after 5 errors in a row"
        );
        let mut policy = Resilience::default();
        policy.retry.attempts = 0;
        policy.max_concurrency = Some(200);
        assert_eq!(
            policy_in_words(&policy),
            "timeout 1s, no retries, ejects for 10s after 5 errors in a row, at most 200 in flight"
        );
    }

    #[test]
    fn what_is_not_usual_is_said() {
        let mut policy = Resilience::default();
        policy.retry.attempts = 1;
        policy.retry.on = vec![RetryCondition::ConnectFailure, RetryCondition::TooManyRequests];
        policy.retry.non_idempotent = true;
        policy.retry.attempt_timeout = Some(Duration::from_millis(200));
        policy.circuit_breaker.error_rate = Some(Share::from_percent(50));
        policy.circuit_breaker.slower_than_percent = Some(250);
        policy.circuit_breaker.edge_error_rate = Some(Share::from_percent(80));
        policy.adaptive_concurrency = true;
        policy.queue = Queue { length: 0, wait: Duration::ZERO };
        policy.balance.policy = BalancePolicy::Hash;
        policy.balance.key = Some(RequestKey::Cookie("cart".to_owned()));
        policy.balance.slow_start = Duration::from_secs(30);
        policy.hedge =
            Some(Hedge { after: Share::from_percent(95), budget: Share::from_percent(5) });
        assert_eq!(
            policy_in_words(&policy),
            "timeout 1s, 1 retry (budget 20%, on connect-failure too-many-requests, of any method, \
             each 200ms), ejects for 10s after 5 errors in a row, or 50% errors, or 2.5x as slow, \
             opens at 80% errors, adaptive limit, queue of 0 for 0s, hash by cookie cart (slow \
             start 30s), hedges after 95% of latencies (budget 5%)"
        );
    }
}
