//! A log of decisions: what an edge was told, when, what it decided, and what its luck was.
//!
//! A [`Logged`] edge is an edge that may write down everything it is asked; [`Replay`] asks another edge the same and
//! compares, input by input, decision by decision, draw by draw. What production decided can be decided again anywhere: to find
//! a defect, and to hold the simulator to its word that its decisions are production's.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use model::edge::Resilience;
use model::{Instant, Rng};
use serde::{Deserialize, Serialize};

use crate::edge::Edge;
use crate::endpoint::EndpointSpec;
use crate::outcome::{Next, Outcome, Refusal};
use crate::release::Split;
use crate::request::{Ask, Begin, Call, Pick, Ticket};

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the edge was told.
    pub at: Instant,
    /// What it was told.
    pub input: Input,
    /// What it decided, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decision: String,
    /// The state of its random stream after that: its draws follow from it.
    pub rng: u64,
}

/// What an edge is told. Calls and picks have numbers, since they are values that only it makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// It was made, with this policy and this state of its random stream.
    Made {
        /// The policy.
        policy: Box<Resilience>,
        /// The state.
        rng: u64,
    },
    /// Another policy.
    Policy(Box<Resilience>),
    /// Other instances.
    Endpoints {
        /// They.
        specs: Vec<EndpointSpec>,
        /// How requests are shared among their releases.
        split: Split,
    },
    /// Requests in flight elsewhere.
    Elsewhere(u32),
    /// A request arrived.
    Begin(Ask),
    /// A request that waits asks.
    Admitted(Ticket),
    /// A request that waits went away.
    Abandon(Ticket),
    /// Whoever waits and is due.
    Expired,
    /// The last of a call's request has come.
    Came(u64),
    /// A call wants an instance.
    Pick(u64),
    /// A call wants a second one.
    Hedge(u64),
    /// A call's attempt came to something.
    Answered {
        /// The call.
        call: u64,
        /// The attempt.
        pick: u64,
        /// What it came to.
        outcome: Outcome,
    },
    /// An attempt is over.
    Released(u64),
    /// A call is over.
    Finish {
        /// The call.
        call: u64,
        /// What it came to.
        outcome: Outcome,
    },
}

/// Whoever keeps a log.
pub type Sink = Box<dyn FnMut(&Entry)>;

/// An edge whose decisions may be logged. Without a log it is nothing but the edge.
pub struct Logged {
    edge: Edge,
    sink: Option<Sink>,
}

impl core::fmt::Debug for Logged {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Logged").field("edge", &self.edge).finish_non_exhaustive()
    }
}

impl core::ops::Deref for Logged {
    type Target = Edge;

    /// What can be asked of an edge without changing it.
    fn deref(&self) -> &Edge {
        &self.edge
    }
}

impl Logged {
    /// An edge without instances, made at `now`.
    pub fn new(policy: &Resilience, rng: Rng, now: Instant, sink: Option<Sink>) -> Self {
        let state = rng.state();
        let mut logged = Self { edge: Edge::new(policy, rng), sink };
        logged.note(now, || {
            (Input::Made { policy: Box::new(policy.clone()), rng: state }, String::new())
        });
        logged
    }

    fn note(&mut self, at: Instant, entry: impl FnOnce() -> (Input, String)) {
        if let Some(sink) = &mut self.sink {
            let (input, decision) = entry();
            sink(&Entry { at, input, decision, rng: self.edge.rng_state() });
        }
    }

    /// See [`Edge::set_policy`].
    pub fn set_policy(&mut self, policy: &Resilience, now: Instant) {
        self.edge.set_policy(policy);
        self.note(now, || (Input::Policy(Box::new(policy.clone())), String::new()));
    }

    /// See [`Edge::set_endpoints`].
    pub fn set_endpoints(&mut self, specs: &[EndpointSpec], split: &Split, now: Instant) {
        self.edge.set_endpoints(specs, split, now);
        self.note(now, || {
            (Input::Endpoints { specs: specs.to_vec(), split: split.clone() }, String::new())
        });
    }

    /// See [`Edge::set_elsewhere`].
    pub fn set_elsewhere(&mut self, in_flight: u32, now: Instant) {
        self.edge.set_elsewhere(in_flight);
        self.note(now, || (Input::Elsewhere(in_flight), String::new()));
    }

    /// See [`Edge::begin`].
    pub fn begin(&mut self, now: Instant, ask: &Ask) -> Begin {
        let begin = self.edge.begin(now, ask);
        self.note(now, || (Input::Begin(*ask), of_begin(&begin)));
        begin
    }

    /// See [`Edge::admitted`].
    pub fn admitted(&mut self, now: Instant, ticket: Ticket) -> Begin {
        let begin = self.edge.admitted(now, ticket);
        self.note(now, || (Input::Admitted(ticket), of_begin(&begin)));
        begin
    }

    /// See [`Edge::abandon`].
    pub fn abandon(&mut self, now: Instant, ticket: Ticket) {
        self.edge.abandon(ticket);
        self.note(now, || (Input::Abandon(ticket), String::new()));
    }

    /// See [`Edge::expired`].
    pub fn expired(&mut self, now: Instant) -> Option<Ticket> {
        let ticket = self.edge.expired(now);
        self.note(now, || (Input::Expired, of_ticket(ticket)));
        ticket
    }

    /// See [`Edge::came`].
    pub fn came(&mut self, now: Instant, call: &mut Call) {
        self.edge.came(now, call);
        self.note(now, || (Input::Came(call.number), String::new()));
    }

    /// See [`Edge::pick`].
    pub fn pick(&mut self, now: Instant, call: &mut Call) -> Result<Pick, Refusal> {
        let pick = self.edge.pick(now, call);
        if self.sink.is_some() {
            let decision = of_pick(&self.edge, call, &pick);
            self.note(now, || (Input::Pick(call.number), decision));
        }
        pick
    }

    /// See [`Edge::hedge`].
    pub fn hedge(&mut self, now: Instant, call: &mut Call) -> Option<Pick> {
        let pick = self.edge.hedge(now, call);
        self.note(now, || (Input::Hedge(call.number), of_hedge(pick.as_ref())));
        pick
    }

    /// See [`Edge::answered`].
    pub fn answered(
        &mut self,
        now: Instant,
        call: &mut Call,
        pick: &Pick,
        outcome: Outcome,
    ) -> Next {
        let next = self.edge.answered(now, call, pick, outcome);
        self.note(now, || {
            (Input::Answered { call: call.number, pick: pick.number, outcome }, of_next(next))
        });
        next
    }

    /// See [`Edge::released`].
    pub fn released(&mut self, now: Instant, pick: Pick) {
        let number = pick.number;
        self.edge.released(pick);
        self.note(now, || (Input::Released(number), String::new()));
    }

    /// See [`Edge::finish`].
    pub fn finish(&mut self, now: Instant, call: Call, outcome: Outcome) -> Option<Ticket> {
        let number = call.number;
        let ticket = self.edge.finish(now, call, outcome);
        self.note(now, || (Input::Finish { call: number, outcome }, of_ticket(ticket)));
        ticket
    }
}

fn of_begin(begin: &Begin) -> String {
    match begin {
        Begin::Go(call) => format!("go {} until {}", call.number, call.deadline.as_nanos()),
        Begin::Wait(ticket, until) => format!("wait {} until {}", ticket.0, until.as_nanos()),
        Begin::Refuse(refusal) => of_refusal(*refusal),
    }
}

fn of_refusal(refusal: Refusal) -> String {
    match refusal {
        Refusal::CircuitOpen { until } => format!("refuse {refusal} until {}", until.as_nanos()),
        Refusal::Shed(priority) => format!("refuse {refusal} {priority:?}"),
        _ => format!("refuse {refusal}"),
    }
}

fn of_pick(edge: &Edge, call: &Call, pick: &Result<Pick, Refusal>) -> String {
    match pick {
        Ok(pick) => {
            let until = call.attempt_deadline.as_nanos();
            let hedge = edge
                .hedge_at(call)
                .map_or_else(String::new, |it| format!(", hedge at {}", it.as_nanos()));
            format!("{} until {until}{hedge}", of_instance(pick))
        }
        Err(refusal) => of_refusal(*refusal),
    }
}

fn of_instance(pick: &Pick) -> String {
    format!("{} to {} of {}: {}", pick.number, pick.endpoint.0, pick.release, pick.reason)
}

fn of_hedge(pick: Option<&Pick>) -> String {
    pick.map_or_else(|| "none".to_string(), of_instance)
}

fn of_ticket(ticket: Option<Ticket>) -> String {
    ticket.map_or_else(|| "none".to_string(), |it| format!("call {}", it.0))
}

fn of_next(next: Next) -> String {
    match next {
        Next::Done => "done".to_string(),
        Next::Retry { after, reason } => format!("retry after {} ns: {reason}", after.as_nanos()),
        Next::GiveUp(reason) => format!("give up: {reason}"),
    }
}

/// What another edge decided when it was told the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What is logged.
    pub logged: String,
    /// What was decided now.
    pub found: String,
}

/// An edge that is told what a log says.
#[derive(Debug, Default)]
pub struct Replay {
    edge: Option<Edge>,
    calls: BTreeMap<u64, Call>,
    picks: BTreeMap<u64, Pick>,
}

impl Replay {
    /// Tells the edge what one line says. It decides the same, or the difference is returned. A line that cannot follow those
    /// before it (the log was cut at its beginning) is a difference too.
    pub fn step(&mut self, entry: &Entry) -> Result<(), Difference> {
        let found = self.decide(entry);
        let rng = self.edge.as_ref().map_or(0, Edge::rng_state);
        if found.as_deref() == Some(entry.decision.as_str()) && rng == entry.rng {
            return Ok(());
        }
        let logged = format!("{} (draws {:016x})", entry.decision, entry.rng);
        let found =
            found.unwrap_or_else(|| "nothing: it does not follow what was logged".to_string());
        Err(Difference { logged, found: format!("{found} (draws {rng:016x})") })
    }

    fn decide(&mut self, Entry { at, input, .. }: &Entry) -> Option<String> {
        if let Input::Made { policy, rng } = input {
            *self = Self { edge: Some(Edge::new(policy, Rng::new(*rng))), ..Self::default() };
            return Some(String::new());
        }
        let now = *at;
        let Self { edge, calls, picks } = self;
        let edge = edge.as_mut()?;
        let mut keep = |begin: Begin| {
            let decision = of_begin(&begin);
            if let Begin::Go(call) = begin {
                calls.insert(call.number, call);
            }
            decision
        };
        Some(match input {
            Input::Made { .. } => String::new(),
            Input::Policy(policy) => {
                edge.set_policy(policy);
                String::new()
            }
            Input::Endpoints { specs, split } => {
                edge.set_endpoints(specs, split, now);
                String::new()
            }
            Input::Elsewhere(in_flight) => {
                edge.set_elsewhere(*in_flight);
                String::new()
            }
            Input::Begin(ask) => keep(edge.begin(now, ask)),
            Input::Admitted(ticket) => keep(edge.admitted(now, *ticket)),
            Input::Abandon(ticket) => {
                edge.abandon(*ticket);
                String::new()
            }
            Input::Expired => of_ticket(edge.expired(now)),
            Input::Came(call) => {
                edge.came(now, calls.get_mut(call)?);
                String::new()
            }
            Input::Pick(call) => {
                let call = calls.get_mut(call)?;
                let pick = edge.pick(now, call);
                let decision = of_pick(edge, call, &pick);
                picks.extend(pick.ok().map(|it| (it.number, it)));
                decision
            }
            Input::Hedge(call) => {
                let pick = edge.hedge(now, calls.get_mut(call)?);
                let decision = of_hedge(pick.as_ref());
                picks.extend(pick.map(|it| (it.number, it)));
                decision
            }
            Input::Answered { call, pick, outcome } => {
                of_next(edge.answered(now, calls.get_mut(call)?, picks.get(pick)?, *outcome))
            }
            Input::Released(pick) => {
                edge.released(picks.remove(pick)?);
                String::new()
            }
            Input::Finish { call, outcome } => {
                of_ticket(edge.finish(now, calls.remove(call)?, *outcome))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::{at, instance};
    use alloc::rc::Rc;
    use alloc::vec;
    use core::cell::RefCell;
    use core::time::Duration;
    use model::edge::{Hedge, Queue};
    use model::units::Share;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    fn policy() -> Resilience {
        Resilience {
            max_concurrency: Some(3),
            queue: Queue { length: 2, wait: Duration::from_millis(20) },
            hedge: Some(Hedge { after: Share::from_percent(50), budget: Share::from_percent(50) }),
            ..Resilience::default()
        }
    }

    /// Drives a logged edge at random, and returns what was logged.
    fn logged(steps: &[(u8, u8, u64)]) -> Vec<Entry> {
        let log = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&log);
        let sink: Sink = Box::new(move |entry: &Entry| sink.borrow_mut().push(entry.clone()));
        let mut now = at(0);
        let mut edge = Logged::new(&policy(), Rng::new(3), now, Some(sink));
        edge.set_endpoints(&[0, 1, 2].map(instance), &Split::default(), now);
        let (mut calls, mut waiting): (Vec<(Call, Vec<Pick>)>, Vec<Ticket>) = (vec![], vec![]);
        for (what, which, pause) in steps {
            now = now.after(Duration::from_micros(*pause));
            let place = usize::from(*which).checked_rem(calls.len());
            match (what % 7, place) {
                (6, _) => edge.set_elsewhere(u32::from(which % 5), now),
                (0 | 1, _) => match edge.begin(now, &Ask { idempotent: true, ..Ask::default() }) {
                    Begin::Go(call) => calls.push((call, vec![])),
                    Begin::Wait(ticket, _) => waiting.push(ticket),
                    Begin::Refuse(_) => {}
                },
                (2, Some(place)) => {
                    let (call, picks) = &mut calls[place];
                    if *which < 20 {
                        edge.came(now, call);
                    }
                    if picks.is_empty() {
                        picks.extend(edge.pick(now, call));
                    } else if picks.len() == 1 {
                        picks.extend(edge.hedge(now, call));
                    }
                }
                (3 | 4, Some(place)) => {
                    let (mut call, mut picks) = calls.swap_remove(place);
                    let outcome = if *which < 100 { Outcome::Reset } else { Outcome::Ok };
                    let mut next = Next::Done;
                    while let Some(pick) = picks.pop() {
                        next = edge.answered(now, &mut call, &pick, outcome);
                        edge.released(now, pick);
                    }
                    if matches!(next, Next::Retry { .. }) {
                        calls.push((call, vec![]));
                    } else {
                        waiting.extend(edge.finish(now, call, outcome));
                    }
                }
                _ => {
                    waiting.extend(edge.expired(now));
                    if let Some(ticket) = waiting.pop() {
                        if *which < 50 {
                            edge.abandon(now, ticket);
                        } else if let Begin::Go(call) = edge.admitted(now, ticket) {
                            calls.push((call, vec![]));
                        }
                    }
                }
            }
        }
        drop(edge);
        log.take()
    }

    proptest! {
        #[test]
        fn what_was_decided_is_decided_again(
            steps in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u64..30_000), 1..300),
        ) {
            let mut replay = Replay::default();
            for entry in logged(&steps) {
                // A log is text in between.
                let text = serde_json::to_string(&entry).unwrap();
                let entry: Entry = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(replay.step(&entry), Ok(()), "{}", text);
            }
        }
    }

    #[test]
    fn a_decision_that_differs_is_shown() {
        let steps: Vec<_> = (0_u8..200).map(|it| (it, it.wrapping_mul(37), 5_000)).collect();
        let mut entries = logged(&steps);
        let place = entries.iter().position(|it| matches!(it.input, Input::Pick(_))).unwrap();
        entries[place].decision = "1 to 9 of r1: turn until 0".to_string();
        let mut replay = Replay::default();
        let differs = entries.iter().position(|it| replay.step(it).is_err());
        assert_eq!(differs, Some(place));
        // A log whose beginning is missing cannot be replayed.
        assert!(Replay::default().step(&entries[place]).is_err());
    }
}
