//! The breaker of a whole edge: when most requests fail whatever is tried, callers are told at once.
//!
//! Source: Netflix' Hystrix (`HystrixCircuitBreaker`): a share of errors over ten seconds opens it, after
//! a while one request finds out whether it may close.

use core::time::Duration;

use model::Instant;
use model::edge::{CircuitBreaker, ERROR_RATE_REQUESTS_MIN};

use crate::number::millionths;
use crate::outcome::Outcome;
use crate::request::Role;
use crate::window::Window;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open(Instant),
    Probing(Instant),
}

/// The breaker of an edge. Without a rate in the policy it never opens.
#[derive(Clone, Debug)]
pub(crate) struct Circuit {
    error_rate: Option<u64>,
    open_for: Duration,
    state: State,
    window: Window,
}

impl Circuit {
    pub(crate) fn new(policy: &CircuitBreaker) -> Self {
        Self {
            error_rate: policy.edge_error_rate.map(millionths),
            open_for: policy.open_for,
            state: State::Closed,
            window: Window::new(),
        }
    }

    /// Another policy from now on. Without a rate it closes.
    pub(crate) fn set_policy(&mut self, policy: &CircuitBreaker) {
        self.error_rate = policy.edge_error_rate.map(millionths);
        self.open_for = policy.open_for;
        if self.error_rate.is_none() {
            self.state = State::Closed;
        }
    }

    /// Until when requests are refused, if they are.
    pub(crate) fn refuses(&self, now: Instant) -> Option<Instant> {
        match self.state {
            // A probe has as long as the breaker was open; if nobody hears of it again, another goes.
            State::Open(until) | State::Probing(until) if now < until => Some(until),
            State::Closed | State::Open(_) | State::Probing(_) => None,
        }
    }

    /// A request goes; what it means here. Asked only when requests are not refused.
    pub(crate) fn admit(&mut self, now: Instant) -> Role {
        if self.state == State::Closed {
            return Role::Usual;
        }
        self.state = State::Probing(now.after(self.open_for));
        Role::Probe
    }

    /// A request came to this.
    pub(crate) fn on_outcome(&mut self, now: Instant, outcome: Outcome, role: Role) {
        let Some(rate) = self.error_rate else { return };
        if role == Role::Probe {
            self.on_probed(now, outcome);
            return;
        }
        let failed = outcome.is_failure();
        if self.state != State::Closed || !(failed || outcome.is_success()) {
            return;
        }
        self.window.record(now, u32::from(failed), Duration::ZERO);
        if failed {
            let sum = self.window.sum(now);
            if ERROR_RATE_REQUESTS_MIN <= sum.requests && sum.has_error_rate(rate) {
                self.open(now);
            }
        }
    }

    fn on_probed(&mut self, now: Instant, outcome: Outcome) {
        if self.state == State::Closed {
            return;
        }
        if outcome.is_success() {
            self.state = State::Closed;
        } else if outcome.is_failure() {
            self.open(now);
        } else {
            // It says nothing: the next request finds out.
            self.state = State::Open(now);
        }
    }

    fn open(&mut self, now: Instant) {
        self.state = State::Open(now.after(self.open_for));
        self.window.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::units::Share;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn circuit(percent: Option<u32>) -> Circuit {
        let edge_error_rate = percent.map(Share::from_percent);
        Circuit::new(&CircuitBreaker { edge_error_rate, ..CircuitBreaker::default() })
    }

    fn fail(circuit: &mut Circuit, count: u32) {
        for _ in 0..count {
            circuit.on_outcome(at(0), Outcome::Timeout, Role::Usual);
        }
    }

    #[test]
    fn it_opens_by_rate_and_one_request_finds_out() {
        let mut circuit = circuit(Some(50));
        fail(&mut circuit, 19);
        assert_eq!(circuit.refuses(at(0)), None);
        fail(&mut circuit, 1);
        assert_eq!(circuit.refuses(at(0)), Some(at(10)));
        assert_eq!(circuit.refuses(at(10)), None);
        assert_eq!(circuit.admit(at(10)), Role::Probe);
        // One at a time.
        assert_eq!(circuit.refuses(at(11)), Some(at(20)));
        circuit.on_outcome(at(12), Outcome::Reset, Role::Probe);
        assert_eq!(circuit.refuses(at(12)), Some(at(22)));
        assert_eq!(circuit.admit(at(22)), Role::Probe);
        circuit.on_outcome(at(22), Outcome::Cancelled, Role::Probe);
        assert_eq!(circuit.refuses(at(22)), None);
        assert_eq!(circuit.admit(at(22)), Role::Probe);
        circuit.on_outcome(at(23), Outcome::Ok, Role::Probe);
        assert_eq!(circuit.refuses(at(23)), None);
        assert_eq!(circuit.admit(at(23)), Role::Usual);
    }

    #[test]
    fn enough_good_ones_keep_it_closed() {
        let mut circuit = circuit(Some(50));
        for _ in 0..21 {
            circuit.on_outcome(at(0), Outcome::ClientError, Role::Usual);
        }
        fail(&mut circuit, 20);
        assert_eq!(circuit.refuses(at(0)), None);
        fail(&mut circuit, 1);
        assert_eq!(circuit.refuses(at(0)), Some(at(10)));
    }

    #[test]
    fn without_a_rate_it_never_opens() {
        let mut circuit = circuit(None);
        fail(&mut circuit, 1_000);
        assert_eq!(circuit.refuses(at(0)), None);
    }
}
