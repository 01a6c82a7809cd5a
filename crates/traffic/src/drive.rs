//! Drives an edge in tests: one clock, instances by number, requests that end as they are told to.

use alloc::vec::Vec;
use core::time::Duration;

use model::edge::Resilience;
use model::{Instant, ReleaseNumber, Rng};

use crate::{
    Ask, Begin, Call, Edge, EndpointId, EndpointSpec, Next, Outcome, Pick, PickReason, Refusal,
    Split,
};

/// An instance of release 1 in zone 0, ready for long.
pub(crate) fn instance(id: u32) -> EndpointSpec {
    let release = ReleaseNumber(1);
    EndpointSpec { id: EndpointId(id), release, weight: 1, zone: 0, ready_at: Instant::ZERO }
}

/// A moment long after the instances became ready.
pub(crate) fn at(millis: u64) -> Instant {
    Instant::from_nanos((1_000_000 + millis) * 1_000_000)
}

/// An edge and its clock.
pub(crate) struct Drive {
    pub(crate) edge: Edge,
    pub(crate) now: Instant,
}

impl Drive {
    /// Instances 0 to `count` of release 1.
    pub(crate) fn new(policy: &Resilience, count: u32) -> Self {
        Self::with(policy, &(0..count).map(instance).collect::<Vec<_>>())
    }

    pub(crate) fn with(policy: &Resilience, specs: &[EndpointSpec]) -> Self {
        let mut drive = Self { edge: Edge::new(policy, Rng::new(11)), now: at(0) };
        drive.set(specs);
        drive
    }

    pub(crate) fn set(&mut self, specs: &[EndpointSpec]) {
        self.edge.set_endpoints(specs, &Split::default(), self.now);
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
    }

    #[track_caller]
    pub(crate) fn begin(&mut self, ask: &Ask) -> Call {
        match self.edge.begin(self.now, ask) {
            Begin::Go(call) => call,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn refused(&mut self, ask: &Ask) -> Refusal {
        match self.edge.begin(self.now, ask) {
            Begin::Refuse(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn pick(&mut self, call: &mut Call) -> Pick {
        self.edge.pick(self.now, call).unwrap()
    }

    /// The attempt ends so.
    pub(crate) fn end(&mut self, call: &mut Call, pick: Pick, outcome: Outcome) -> Next {
        let next = self.edge.answered(self.now, call, &pick, outcome);
        self.edge.released(pick);
        next
    }

    /// A whole request of one attempt: where it went, and why there.
    #[track_caller]
    pub(crate) fn request(&mut self, ask: &Ask, outcome: Outcome) -> (u32, PickReason) {
        let mut call = self.begin(ask);
        let pick = self.pick(&mut call);
        let went = (pick.endpoint.0, pick.reason);
        self.end(&mut call, pick, outcome);
        assert_eq!(self.edge.finish(self.now, call, outcome), None);
        went
    }

    /// Requests until one goes to `id`, which ends so; the others end well.
    #[track_caller]
    pub(crate) fn hit(&mut self, id: u32, outcome: Outcome) {
        for _ in 0..10_000 {
            let mut call = self.begin(&Ask::default());
            let pick = self.pick(&mut call);
            let is_it = pick.endpoint == EndpointId(id);
            let outcome = if is_it { outcome } else { Outcome::Ok };
            self.end(&mut call, pick, outcome);
            self.edge.finish(self.now, call, outcome);
            if is_it {
                return;
            }
        }
        panic!("nothing went to {id}");
    }

    /// Instances that are left alone.
    pub(crate) fn ejected(&self) -> Vec<u32> {
        let ejected = self.edge.endpoints().filter(|it| it.ejected.is_some());
        ejected.map(|it| it.id.0).collect()
    }

    /// Where each of `count` requests goes, which end at once and well.
    pub(crate) fn spread(&mut self, ask: &Ask, count: u32) -> Vec<u32> {
        (0..count).map(|_| self.request(ask, Outcome::Ok).0).collect()
    }

    /// Share of requests that go where `is` says.
    pub(crate) fn share(&mut self, count: u32, is: impl Fn(u32) -> bool) -> f64 {
        let there = self.spread(&Ask::default(), count).into_iter().filter(|it| is(*it)).count();
        crate::number::float(there as u64) / f64::from(count)
    }
}
