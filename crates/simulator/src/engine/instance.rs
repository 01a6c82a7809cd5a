//! One instance: who is worked on, who waits, and how its processors are shared.

use std::collections::VecDeque;

use behaviour::Behaviour;
use behaviour::sharing::Sharing;

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Started, and does not answer yet.
    Starting,
    /// It answers, and nobody has seen it yet.
    Listening,
    /// It takes requests.
    Ready,
    /// It takes no new ones from callers who know.
    Leaving,
    /// It is dead.
    Gone,
}

/// One instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) service: u32,
    /// Its number in the service.
    pub(super) number: u32,
    pub(super) zone: u16,
    pub(super) release: u32,
    pub(super) phase: Phase,
    pub(super) ready_at: u64,
    /// Requests that have a worker, or share processors.
    pub(super) busy: u32,
    /// Those that wait, first come first; some may have left.
    pub(super) queue: VecDeque<u32>,
    /// Those that wait and have not left.
    pub(super) waiting: u32,
    /// Work takes so many times as long.
    pub(super) factor: f64,
    /// Its share of its processors.
    pub(super) cpu: f64,
    /// Share of requests that fail by themselves, beside its behaviour's.
    pub(super) errors: f64,
    /// Those who share its processors, if they do: jobs.
    pub(super) sharing: Option<Box<Sharing<u32>>>,
    /// When the first of them is done; an event of another time is not meant any more.
    pub(super) shared_at: u64,
    /// By callee: those in use, and calls that wait for one.
    pub(super) connections: Vec<Connections>,
}

/// Connections of an instance to one callee.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) in_use: u32,
    pub(super) waiting: VecDeque<u32>,
}

impl Instance {
    pub(super) fn new(service: u32, number: u32, zone: u16) -> Self {
        Self {
            service,
            number,
            zone,
            release: 1,
            phase: Phase::Starting,
            ready_at: 0,
            busy: 0,
            queue: VecDeque::new(),
            waiting: 0,
            factor: 1.0,
            cpu: 1.0,
            errors: 0.0,
            sharing: None,
            shared_at: u64::MAX,
            connections: Vec::new(),
        }
    }

    /// How many times as long work takes that begins now, beside what is worked on already.
    pub(super) fn slowdown(&self, behaviour: &Behaviour) -> f64 {
        self.factor / self.cpu * behaviour.slowdown(self.busy)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
pub(super) const fn float(nanos: u64) -> f64 {
    nanos as f64
}
