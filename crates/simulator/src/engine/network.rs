//! What lies between instances: how long a message takes, and whether it arrives at all.

use model::Rng;
use model::scenario;
use std::time::Duration;

use super::measure::nanos;
use crate::system::System;

/// The first wait for a message's acknowledgement: Linux' `TCP_RTO_MIN`.
const RETRANSMIT_AFTER: Duration = Duration::from_millis(200);
/// Messages lost in a row, at most: the connection is as good as dead then, and callers have given up.
const RETRANSMISSIONS_MAX: u32 = 8;

/// An end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) zone: u16,
    /// The service's place; none is the gateway.
    pub(super) service: u32,
}

/// One side of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) zones: Vec<u16>,
    pub(super) services: Vec<u32>,
}

impl Side {
    fn has(&self, end: End) -> bool {
        self.zones.contains(&end.zone) || self.services.contains(&end.service)
    }
}

#[derive(Debug)]
pub(super) struct Network {
    zones: usize,
    /// From each zone to each, in nanoseconds.
    base: Vec<u64>,
    jitter: f64,
    /// Share of messages that are lost, and what is lost beside by faults.
    pub(super) loss: f64,
    /// What every message takes longer, by faults.
    pub(super) delay: u64,
    /// Who cannot reach whom: the fault, and both sides.
    pub(super) cuts: Vec<(u32, Side, Side)>,
    rng: Rng,
}

impl Network {
    pub(super) fn new(system: &System, rng: Rng) -> Self {
        let network = &system.scenario().network;
        let zones = network.zones.len();
        let mut base = Vec::with_capacity(zones * zones);
        for from in 0..zones {
            for to in 0..zones {
                base.push(nanos(distance(network, &system.regions, (from, to))));
            }
        }
        let (jitter, loss) = (network.jitter.as_fraction(), network.loss.as_fraction());
        Self { zones, base, jitter, loss, delay: 0, cuts: Vec::new(), rng }
    }

    /// How long a message takes, in nanoseconds; none arrives while a partition lies between.
    pub(super) fn message(&mut self, from: End, to: End) -> Option<u64> {
        if !self.cuts.is_empty() && self.is_cut(from, to) {
            return None;
        }
        let base = self.base[usize::from(from.zone) * self.zones + usize::from(to.zone)];
        let mut time = base + self.delay;
        if self.jitter != 0.0 && base != 0 {
            time += scaled(base, self.jitter * self.rng.exponential());
        }
        if self.loss != 0.0 {
            let mut wait = nanos(RETRANSMIT_AFTER);
            for _ in 0..RETRANSMISSIONS_MAX {
                if !self.rng.happens(self.loss) {
                    break;
                }
                time += wait;
                wait *= 2;
            }
        }
        Some(time)
    }

    fn is_cut(&self, from: End, to: End) -> bool {
        self.cuts.iter().any(|(_, a, b)| (a.has(from) && b.has(to)) || (b.has(from) && a.has(to)))
    }
}

fn distance(
    network: &scenario::Network,
    regions: &[usize],
    (from, to): (usize, usize),
) -> Duration {
    if from == to {
        return network.within_zone;
    }
    if regions.get(from) == regions.get(to) {
        return network.between_zones;
    }
    let name = |zone: usize| network.zones.get(zone).map_or("", |it| it.region.as_str());
    let (a, b) = (name(from), name(to));
    let is = |(x, y): &(String, String)| (x == a && y == b) || (x == b && y == a);
    let link = network.links.iter().find(|it| is(&it.between));
    link.map_or(network.between_regions, |it| it.latency)
}

/// So many times a time, in whole nanoseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "exact up to 104 days, and a cast saturates"
)]
pub(super) fn scaled(nanos: u64, factor: f64) -> u64 {
    // Cut off after half a nanosecond more, it is rounded.
    (nanos as f64 * factor + 0.5) as u64
}
