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

/// One instance: what every request looks at, in one line of the cache, and the rest behind a pointer. With a hundred
/// thousand of them it is memory that requests wait for.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Instance {
    pub(super) service: u32,
    /// Its number in the service.
    pub(super) number: u32,
    pub(super) release: u32,
    pub(super) zone: u16,
    pub(super) phase: Phase,
    /// Requests that have a worker, or share processors.
    pub(super) busy: u32,
    /// Those that wait and have not left.
    pub(super) waiting: u32,
    /// Work takes so many times as long: by its release, by faults, and by the share of its processors it has.
    pub(super) slowness: f64,
    /// Share of requests that fail by themselves, beside its behaviour's.
    pub(super) errors: f64,
    pub(super) rare: Box<Rare>,
}

/// What few requests look at.
#[derive(Debug)]
pub(super) struct Rare {
    pub(super) ready_at: u64,
    /// Those that wait, first come first; some may have left.
    pub(super) queue: VecDeque<u32>,
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
        let rare = Rare {
            ready_at: 0,
            queue: VecDeque::new(),
            sharing: None,
            shared_at: u64::MAX,
            connections: Vec::new(),
        };
        Self {
            service,
            number,
            release: 1,
            zone,
            phase: Phase::Starting,
            busy: 0,
            waiting: 0,
            slowness: 1.0,
            errors: 0.0,
            rare: Box::new(rare),
        }
    }

    /// How many times as long work takes that begins now, beside what is worked on already.
    pub(super) fn slowdown(&self, behaviour: &Behaviour) -> f64 {
        self.slowness * behaviour.slowdown(self.busy)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 104 days")]
pub(super) const fn float(nanos: u64) -> f64 {
    nanos as f64
}
