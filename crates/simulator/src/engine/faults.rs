//! What goes wrong: it begins, lasts, and ends, or is done once and for all.
//!
//! What lasts is a list, and what it does to an instance or the network is worked out from the whole list whenever that
//! changes, so that faults may overlap and end in any order.

use std::collections::BTreeMap;

use model::Rng;
use model::edge::Resilience;
use model::scenario::{FaultKind, Victims, When};

use super::Engine;
use super::events::Kind;
use super::instance::{Phase, float};
use super::measure::nanos;
use super::network::Side;
use super::pool::NONE;
use crate::outcome::IncidentKind;
use crate::system::System;

/// Faults under way.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) rng: Rng,
    /// What is arranged, by the place its event carries.
    arranged: Vec<Arranged>,
    active: Vec<Active>,
    number: u32,
    /// Users send so many times as much.
    pub(super) load: f64,
    lost_zones: Vec<u32>,
    policies: BTreeMap<u32, Resilience>,
    loss: f64,
}

/// Something that will happen to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arranged {
    Begins { fault: usize },
    Ends { number: u32 },
}

/// A fault that lasts.
#[derive(Debug)]
struct Active {
    number: u32,
    fault: usize,
    /// The service it is about, and which of its instances; all if none are named.
    service: Option<usize>,
    victims: Option<Vec<u32>>,
    began: u64,
}

impl Faults {
    pub(super) fn new(system: &System, rng: Rng) -> Self {
        Self {
            rng,
            arranged: Vec::new(),
            active: Vec::new(),
            number: 0,
            load: 1.0,
            lost_zones: Vec::new(),
            policies: BTreeMap::new(),
            loss: system.scenario().network.loss.as_fraction(),
        }
    }

    /// The policy somebody changed an edge's to.
    pub(super) fn policy(&self, edge: u32) -> Option<&Resilience> {
        self.policies.get(&edge)
    }

    pub(super) fn is_lost(&self, zone: u32) -> bool {
        self.lost_zones.contains(&zone)
    }

    fn arrange(&mut self, what: Arranged) -> u32 {
        self.arranged.push(what);
        u32::try_from(self.arranged.len() - 1).unwrap_or(NONE)
    }
}

impl Active {
    fn is_of(&self, service: usize, instance: u32) -> bool {
        self.service == Some(service)
            && self.victims.as_ref().is_none_or(|it| it.contains(&instance))
    }
}

impl Engine<'_> {
    /// Arranges for everything that goes wrong.
    pub(super) fn begin_faults(&mut self) {
        let system = self.system;
        for (place, fault) in system.scenario().faults.iter().enumerate() {
            let at = match fault.when {
                When::At(at) => nanos(at),
                When::Every(every) => self.next_random(nanos(every)),
            };
            self.arrange_fault(at, Arranged::Begins { fault: place });
        }
    }

    fn next_random(&mut self, every: u64) -> u64 {
        let pause = self.faults.rng.exponential() * float(every);
        self.now.saturating_add(super::network::scaled(1, pause))
    }

    fn arrange_fault(&mut self, at: u64, what: Arranged) {
        let of = self.faults.arrange(what);
        self.events.push(at, Kind::Fault, of);
    }

    /// A fault begins or ends.
    pub(super) fn fault(&mut self, of: u32) {
        match self.faults.arranged[of as usize] {
            Arranged::Begins { fault } => self.fault_begins(fault),
            Arranged::Ends { number } => self.fault_ends(number),
        }
    }

    fn fault_begins(&mut self, place: usize) {
        let system = self.system;
        let fault = &system.scenario().faults[place];
        if let When::Every(every) = fault.when {
            let at = self.next_random(nanos(every));
            self.arrange_fault(at, Arranged::Begins { fault: place });
        }
        let victims = match &fault.what {
            FaultKind::Kill(victims)
            | FaultKind::Slow { victims, .. }
            | FaultKind::Flaky { victims, .. }
            | FaultKind::Cpu { victims, .. } => self.choose(victims),
            FaultKind::CacheFlushed { service, .. } => system.place(service).map(|it| (it, None)),
            _ => None,
        };
        let words = self.fault_words(&fault.what, victims.as_ref());
        self.measure.incident(self.now, IncidentKind::FaultBegan, words);
        match &fault.what {
            FaultKind::Kill(_) => {
                let (service, victims) = victims.unwrap_or((0, Some(Vec::new())));
                let all = || self.services[service].ready.clone();
                let victims = victims.unwrap_or_else(all);
                for id in victims {
                    self.kill(id);
                }
            }
            FaultKind::Released { service, factor, errors } => {
                self.release(service, *factor, errors.as_fraction());
            }
            FaultKind::Scaled { service, replicas } => self.scale(service, *replicas),
            FaultKind::Surge(count) => {
                for at in 0..*count {
                    let users = at as usize % self.users.len();
                    self.request(users, 0);
                }
            }
            _ => {
                self.faults.number += 1;
                let number = self.faults.number;
                let (service, victims) = victims.map_or((None, None), |it| (Some(it.0), it.1));
                let began = self.now;
                self.faults.active.push(Active { number, fault: place, service, victims, began });
                if let Some(lasts) = fault.lasts {
                    let at = self.now.saturating_add(nanos(lasts));
                    self.arrange_fault(at, Arranged::Ends { number });
                }
                self.fault_changes(&fault.what, service);
            }
        }
    }

    fn fault_ends(&mut self, number: u32) {
        let Some(place) = self.faults.active.iter().position(|it| it.number == number) else {
            return;
        };
        let active = self.faults.active.remove(place);
        let what = &self.system.scenario().faults[active.fault].what;
        let victims = active.service.map(|it| (it, active.victims.clone()));
        let words = self.fault_words(what, victims.as_ref());
        self.measure.incident(self.now, IncidentKind::FaultEnded, words);
        self.fault_changes(what, active.service);
    }

    /// A fault of this kind began or ended: everything it may have an effect on is worked out again.
    fn fault_changes(&mut self, what: &FaultKind, service: Option<usize>) {
        match what {
            FaultKind::Slow { .. } | FaultKind::Flaky { .. } | FaultKind::Cpu { .. } => {
                let ids = service.map(|it| self.services[it].instances.clone());
                ids.unwrap_or_default().into_iter().for_each(|it| self.afflict(it));
            }
            FaultKind::ZoneLost(_) | FaultKind::RegionLost(_) => self.zones_changed(),
            FaultKind::Partition { .. } | FaultKind::Loss(_) | FaultKind::Delay(_) => {
                self.network_changed();
            }
            FaultKind::CacheFlushed { .. } => self.warm_caches(),
            FaultKind::Configured { .. } => self.policies_changed(),
            FaultKind::Load(_) => {
                let before = self.faults.load;
                let factors = self.active_kinds().filter_map(|it| match it {
                    FaultKind::Load(factor) => Some(*factor),
                    _ => None,
                });
                self.faults.load = factors.product();
                self.load_changed(before);
            }
            FaultKind::Kill(_)
            | FaultKind::Released { .. }
            | FaultKind::Scaled { .. }
            | FaultKind::Surge(_) => {}
        }
    }

    fn active_kinds(&self) -> impl Iterator<Item = &FaultKind> {
        self.faults.active.iter().map(|it| &self.system.scenario().faults[it.fault].what)
    }

    /// Works out what all faults do to an instance.
    pub(super) fn afflict(&mut self, id: u32) {
        let service = self.instances[id as usize].service as usize;
        let (mut factor, mut good) = self.fleet.release_of(&self.instances[id as usize]);
        let mut cpu = 1.0;
        for active in self.faults.active.iter().filter(|it| it.is_of(service, id)) {
            match &self.system.scenario().faults[active.fault].what {
                FaultKind::Slow { factor: times, .. } => factor *= times,
                FaultKind::Flaky { errors, .. } => good *= 1.0 - errors.as_fraction(),
                FaultKind::Cpu { share, .. } => cpu *= share.as_fraction().max(1e-3),
                _ => {}
            }
        }
        let instance = &mut self.instances[id as usize];
        (instance.slowness, instance.errors) = (factor / cpu, 1.0 - good);
        self.share_again(id);
    }

    fn zones_changed(&mut self) {
        let zones = &self.system.scenario().network.zones;
        let mut lost = Vec::new();
        for kind in self.active_kinds() {
            for (place, zone) in (0..).zip(zones) {
                let is = match kind {
                    FaultKind::ZoneLost(name) => zone.name == *name,
                    FaultKind::RegionLost(name) => zone.region == *name,
                    _ => false,
                };
                if is && !lost.contains(&place) {
                    lost.push(place);
                }
            }
        }
        self.faults.lost_zones = lost;
        let dies = |it: &super::Instance| {
            it.phase != Phase::Gone && self.faults.is_lost(u32::from(it.zone))
        };
        let ids = (0..).zip(&self.instances).filter(|it| dies(it.1)).map(|it| it.0);
        let ids: Vec<u32> = ids.collect();
        for id in ids {
            self.kill(id);
        }
        self.zones_are_back();
    }

    fn network_changed(&mut self) {
        let system = self.system;
        let zones = &system.scenario().network.zones;
        let side = |names: &[String]| Side {
            zones: (0..)
                .zip(zones)
                .filter(|it| names.contains(&it.1.name) || names.contains(&it.1.region))
                .map(|it| it.0)
                .collect(),
            services: (0..)
                .zip(system.services())
                .filter(|it| names.iter().any(|name| it.1.as_str() == name))
                .map(|it| it.0)
                .collect(),
        };
        let (mut cuts, mut kept, mut delay) = (Vec::new(), 1.0 - self.faults.loss, 0);
        for active in &self.faults.active {
            match &system.scenario().faults[active.fault].what {
                FaultKind::Partition { from, to } => {
                    cuts.push((active.number, side(from), side(to)));
                }
                FaultKind::Loss(share) => kept *= 1.0 - share.as_fraction(),
                FaultKind::Delay(time) => delay += nanos(*time),
                _ => {}
            }
        }
        (self.network.cuts, self.network.loss, self.network.delay) = (cuts, 1.0 - kept, delay);
    }

    fn policies_changed(&mut self) {
        let mut policies = BTreeMap::new();
        for kind in self.active_kinds() {
            let FaultKind::Configured { caller, callee, resilience } = kind else { continue };
            let ends = self.system.place(caller).zip(self.system.place(callee));
            if let Some(edge) = ends.and_then(|(from, to)| self.system.edge(from, to)) {
                policies.insert(u32::try_from(edge).unwrap_or(NONE), (**resilience).clone());
            }
        }
        self.faults.policies = policies;
        for cell in self.cells.iter_mut().flatten() {
            let own = &self.system.links[cell.edge as usize].policy;
            cell.decide.set_policy(self.faults.policies.get(&cell.edge).unwrap_or(own));
        }
    }

    /// Caches that were flushed fill again.
    pub(super) fn warm_caches(&mut self) {
        let mut warmth = BTreeMap::new();
        let mut past = Vec::new();
        for active in &self.faults.active {
            let what = &self.system.scenario().faults[active.fault].what;
            let FaultKind::CacheFlushed { half_life, .. } = what else { continue };
            let half_lives = float(self.now - active.began) / float(nanos(*half_life).max(1));
            let warm = 1.0 - libm::exp2(-half_lives);
            // After twenty halvings one miss in a million is left of it.
            if 20.0 < half_lives {
                past.push(active.number);
            }
            if let Some(service) = active.service {
                let of = warmth.entry(service).or_insert(1.0_f64);
                *of = of.min(warm);
            }
        }
        self.faults.active.retain(|it| !past.contains(&it.number));
        if warmth.is_empty() {
            return;
        }
        for (part, service) in self.system.parts.iter().zip(&mut self.services) {
            for (callee, edge) in part.edges.iter().enumerate() {
                let cache = self.system.edges()[*edge as usize].callee;
                if let Some(warm) = warmth.get(&cache) {
                    service.behaviour.set_warmth(callee, *warm);
                }
            }
        }
    }

    /// The service a fault is about, and which of its instances that take requests; all if it is not said.
    fn choose(&mut self, victims: &Victims) -> Option<(usize, Option<Vec<u32>>)> {
        let service = if let Some(name) = &victims.service {
            self.system.place(name)?
        } else {
            let alive = self.services.iter().enumerate();
            let alive = alive.filter(|it| !it.1.ready.is_empty()).map(|it| it.0);
            let alive: Vec<usize> = alive.collect();
            let drawn = self.faults.rng.below(alive.len() as u64);
            *alive.get(usize::try_from(drawn).ok()?)?
        };
        let Some(count) = victims.instances else { return Some((service, None)) };
        let mut ready = self.services[service].ready.clone();
        ready.sort_unstable();
        let mut chosen = Vec::new();
        while chosen.len() < count as usize && !ready.is_empty() {
            let drawn = self.faults.rng.below(ready.len() as u64);
            chosen.push(ready.swap_remove(usize::try_from(drawn).unwrap_or(0)));
        }
        Some((service, Some(chosen)))
    }

    fn fault_words(&self, what: &FaultKind, victims: Option<&(usize, Option<Vec<u32>>)>) -> String {
        let whom = match victims {
            None => String::new(),
            Some((service, None)) => self.system.services()[*service].to_string(),
            Some((service, Some(ids))) => {
                let name = &self.system.services()[*service];
                let name = |id: &u32| format!("{name}.{}", self.instances[*id as usize].number);
                let names: Vec<String> = ids.iter().map(name).collect();
                names.join(", ")
            }
        };
        match what {
            FaultKind::Kill(_) => format!("{whom} killed"),
            FaultKind::ZoneLost(zone) => format!("zone {zone} lost"),
            FaultKind::RegionLost(region) => format!("region {region} lost"),
            FaultKind::Slow { factor, .. } => format!("{whom} slow by {factor}"),
            FaultKind::Flaky { errors, .. } => format!("{whom} fails {errors} of requests"),
            FaultKind::Cpu { share, .. } => format!("{whom} has {share} of its processors"),
            FaultKind::Partition { from, to } => {
                format!("{} cut off from {}", from.join(", "), to.join(", "))
            }
            FaultKind::Loss(share) => format!("{share} of messages lost"),
            FaultKind::Delay(time) => {
                format!("messages take {} longer", model::units::DurationText(*time))
            }
            FaultKind::CacheFlushed { service, .. } => format!("{service} flushed"),
            FaultKind::Released { service, factor, errors } => {
                format!("new release of {service}: work x{factor}, {errors} more errors")
            }
            FaultKind::Configured { caller, callee, .. } => {
                format!("policy of {caller} -> {callee} changed")
            }
            FaultKind::Scaled { service, replicas } => {
                format!("{service} scaled to {replicas}")
            }
            FaultKind::Load(factor) => format!("load x{factor}"),
            FaultKind::Surge(count) => format!("{count} requests at once"),
        }
    }
}
