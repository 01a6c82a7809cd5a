//! What must hold whatever happens: requests, answers, failures, changes of instances and of policy, in any
//! order and at any pace.

use std::collections::BTreeSet;
use std::time::Duration;

use model::edge::{Balance, BalancePolicy, Hedge, Queue, Resilience, Retry};
use model::route::Priority;
use model::units::Share;
use model::{Instant, ReleaseNumber, Rng};
use proptest::prelude::*;
use traffic::{
    Ask, Begin, Call, Edge, EndpointId, EndpointSpec, Next, Outcome, Pick, RETRIES_MIN,
    RETRIES_PER_SECOND_MIN, Refusal, Split, Ticket,
};

const OUTCOMES: [Outcome; 11] = [
    Outcome::Ok,
    Outcome::ClientError,
    Outcome::TooManyRequests,
    Outcome::ServerError,
    Outcome::GatewayError,
    Outcome::ConnectFailure,
    Outcome::Reset,
    Outcome::ResetUnsent,
    Outcome::AttemptTimeout,
    Outcome::Timeout,
    Outcome::Cancelled,
];

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Begin {
        priority: Priority,
        key: Option<u64>,
        idempotent: bool,
    },
    /// The attempt of this call (of those open) ends so.
    End(prop::sample::Index, Outcome),
    Hedge(prop::sample::Index),
    /// A waiting request goes away.
    Abandon(prop::sample::Index),
    Sweep,
    /// Instances whose bit is set are there.
    Endpoints(u8),
    Limit(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let priority = prop::sample::select(vec![
        Priority::Sheddable,
        Priority::Low,
        Priority::Normal,
        Priority::Critical,
    ]);
    let begin = (priority, any::<Option<u64>>(), any::<bool>());
    let outcome = prop::sample::select(OUTCOMES.to_vec());
    prop_oneof![
        3 => (0_u64..400).prop_map(Step::Pass),
        6 => begin.prop_map(|(priority, key, idempotent)| Step::Begin { priority, key, idempotent }),
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(index, it)| Step::End(index, it)),
        1 => any::<prop::sample::Index>().prop_map(Step::Hedge),
        1 => any::<prop::sample::Index>().prop_map(Step::Abandon),
        1 => Just(Step::Sweep),
        1 => any::<u8>().prop_map(Step::Endpoints),
        1 => (1_u32..6).prop_map(Step::Limit),
    ]
}

fn policy(balance: BalancePolicy, limit: u32) -> Resilience {
    Resilience {
        retry: Retry { backoff: Duration::from_millis(5), ..Retry::default() },
        max_concurrency: Some(limit),
        queue: Queue { length: 3, wait: Duration::from_millis(100) },
        balance: Balance { policy: balance, ..Balance::default() },
        hedge: Some(Hedge { after: Share::from_percent(50), budget: Share::from_percent(20) }),
        ..Resilience::default()
    }
}

/// A request with attempts under way.
struct Open {
    call: Call,
    picks: Vec<Pick>,
    retries: u8,
}

/// An edge, what goes on over it, and what is known from outside.
struct World {
    edge: Edge,
    balance: BalancePolicy,
    now: Instant,
    present: BTreeSet<EndpointId>,
    open: Vec<Open>,
    waiting: Vec<Ticket>,
    limit: u32,
    begun: u64,
    retried: u64,
}

impl World {
    fn new(balance: BalancePolicy) -> Self {
        let edge = Edge::new(&policy(balance, 3), Rng::new(1));
        let (present, open, waiting) = (BTreeSet::new(), Vec::new(), Vec::new());
        let now = Instant::ZERO;
        let mut world =
            Self { edge, balance, now, present, open, waiting, limit: 3, begun: 0, retried: 0 };
        world.endpoints(0b1111);
        world
    }

    fn endpoints(&mut self, bits: u8) {
        let spec = |id| EndpointSpec {
            id: EndpointId(id),
            release: ReleaseNumber(1 + id % 2),
            weight: 1 + id % 3,
            zone: u16::from(id < 4),
            ready_at: Instant::ZERO,
        };
        let specs: Vec<_> = (0..8).filter(|id| bits & (1 << id) != 0).map(spec).collect();
        let half = Share::from_percent(50);
        let shares = [(ReleaseNumber(1), half), (ReleaseNumber(2), half)];
        let split = if bits & 1 == 0 { Split::default() } else { Split { shares: shares.into() } };
        self.present = specs.iter().map(|it| it.id).collect();
        self.edge.set_endpoints(&specs, &split, self.now);
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Pass(millis) => self.now = self.now.after(Duration::from_millis(*millis)),
            Step::Begin { priority, key, idempotent } => {
                let ask = Ask {
                    key: *key,
                    priority: *priority,
                    idempotent: *idempotent,
                    ..Ask::default()
                };
                let begin = self.edge.begin(self.now, &ask);
                self.begun(begin);
            }
            Step::End(index, outcome) if !self.open.is_empty() => {
                let open = self.open.swap_remove(index.index(self.open.len()));
                self.end(open, *outcome);
            }
            Step::Hedge(index) if !self.open.is_empty() => {
                let place = index.index(self.open.len());
                let open = &mut self.open[place];
                let first = open.picks[0].endpoint;
                if let Some(pick) = self.edge.hedge(self.now, &mut open.call) {
                    assert_ne!(pick.endpoint, first);
                    assert!(self.present.contains(&pick.endpoint));
                    open.picks.push(pick);
                }
            }
            Step::Abandon(index) if !self.waiting.is_empty() => {
                let ticket = self.waiting.swap_remove(index.index(self.waiting.len()));
                self.edge.abandon(ticket);
            }
            Step::Sweep => {
                while let Some(ticket) = self.edge.expired(self.now) {
                    self.admit(ticket);
                }
            }
            Step::Endpoints(bits) => self.endpoints(*bits),
            Step::Limit(limit) => {
                self.limit = *limit;
                self.edge.set_policy(&policy(self.balance, *limit));
            }
            Step::End(..) | Step::Hedge(_) | Step::Abandon(_) => {}
        }
    }

    fn begun(&mut self, begin: Begin) {
        match begin {
            Begin::Go(call) => {
                // With a place given away, no more are in flight than the limit allows.
                assert!(self.edge.in_flight() <= self.limit);
                self.begun += 1;
                self.attempt(Open { call, picks: Vec::new(), retries: 0 });
            }
            Begin::Wait(ticket, until) => {
                assert!(self.now < until);
                self.waiting.push(ticket);
            }
            Begin::Refuse(_) => {}
        }
    }

    fn admit(&mut self, ticket: Ticket) {
        self.waiting.retain(|it| *it != ticket);
        let in_flight = self.edge.in_flight();
        let begin = self.edge.admitted(self.now, ticket);
        assert!(!matches!(begin, Begin::Wait(..)));
        if matches!(begin, Begin::Go(_)) {
            assert_eq!(self.edge.in_flight(), in_flight);
        }
        // A limit lowered meanwhile does not take back what was given.
        self.limit = self.limit.max(in_flight);
        self.begun(begin);
        self.limit = self.edge.limit().unwrap_or(u32::MAX);
    }

    fn attempt(&mut self, mut open: Open) {
        match self.edge.pick(self.now, &mut open.call) {
            Ok(pick) => {
                assert!(self.present.contains(&pick.endpoint), "{pick:?} is gone");
                assert!(self.now < open.call.deadline());
                assert!(open.call.attempt_deadline() <= open.call.deadline());
                open.picks.push(pick);
                self.open.push(open);
            }
            Err(refusal) => {
                assert!(self.present.is_empty() || refusal != Refusal::NoInstance);
                self.finish(open, Outcome::GatewayError);
            }
        }
    }

    fn end(&mut self, mut open: Open, outcome: Outcome) {
        let pick = open.picks.swap_remove(0);
        let next = self.edge.answered(self.now, &mut open.call, &pick, outcome);
        self.edge.released(pick);
        if let Next::Retry { after, .. } = next {
            self.retried += 1;
            open.retries += 1;
            assert!(open.picks.is_empty());
            assert!(open.retries <= Retry::default().attempts);
            assert!(after <= Retry::default().max_backoff);
            assert!(self.now.after(after) < open.call.deadline());
            self.attempt(open);
        } else if open.picks.is_empty() || outcome == Outcome::Ok {
            self.finish(open, outcome);
        } else {
            self.open.push(open);
        }
    }

    fn finish(&mut self, mut open: Open, outcome: Outcome) {
        for pick in open.picks {
            self.edge.answered(self.now, &mut open.call, &pick, Outcome::Cancelled);
            self.edge.released(pick);
        }
        if let Some(ticket) = self.edge.finish(self.now, open.call, outcome) {
            self.admit(ticket);
        }
    }

    fn check(&self) {
        assert_eq!(self.edge.in_flight() as usize, self.open.len());
        assert!(self.edge.waiting() <= 3);
        let picks: usize = self.open.iter().map(|it| it.picks.len()).sum();
        let in_flight: u32 = self.edge.endpoints().map(|it| it.in_flight).sum();
        assert_eq!(in_flight as usize, picks);
        let seconds = self.now.as_nanos() / 1_000_000_000;
        let minimum = u64::from(RETRIES_MIN) + seconds * u64::from(RETRIES_PER_SECOND_MIN);
        assert!(self.retried * 100 <= self.begun * 20 + minimum * 100);
    }

    /// Everything ends; nothing is left behind.
    fn end_all(&mut self) {
        self.now = self.now.after(Duration::from_secs(10));
        while !self.open.is_empty() || !self.waiting.is_empty() {
            self.apply(&Step::Sweep);
            if let Some(open) = self.open.pop() {
                self.end(open, Outcome::Ok);
            }
        }
        assert_eq!((self.edge.in_flight(), self.edge.waiting()), (0, 0));
        assert!(self.edge.endpoints().all(|it| it.in_flight == 0 && !it.leaving));
    }
}

proptest! {
    #[test]
    fn always(
        balance in prop::sample::select(vec![
            BalancePolicy::PeakEwma,
            BalancePolicy::LeastLoaded,
            BalancePolicy::RoundRobin,
            BalancePolicy::Hash,
        ]),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut world = World::new(balance);
        for step in &steps {
            world.apply(step);
            world.check();
        }
        world.end_all();
    }
}
