//! Releases that take over, and what people ask of a fleet beside.
//!
//! What `control` makes of a wish is made here of a fault: the same events. What the data plane has counted is told once a
//! second, as in production; what follows is the planner's, and its judge's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::ServiceName;
use model::release::Release;
use model::rollout::{Step, Strategy};
use model::service::Source;
use model::units::Share;
use planner::judge;
use world::Event;
use world::rollout::{Counted, Kind as RolloutKind, RolloutPlan, Stage as RolloutStage};
use world::routing::backend_key;

use super::comparison::Comparison;
use super::managed::Due;
use crate::engine::Engine;
use crate::engine::pool::NONE;

/// How often rollouts hear what was counted, as in production.
const OBSERVE: Duration = Duration::from_secs(1);
/// Requests a baseline is read from, at least, as in `control::dataplane`.
const BASELINE_REQUESTS: u64 = 200;

impl Engine<'_> {
    /// Counts for rollouts as long as there are any.
    pub(super) fn watch_rollouts(&mut self) {
        let mut active = BTreeMap::new();
        let application = &self.system.application().name;
        for (place, name) in self.system.services().iter().enumerate() {
            let state = self.world().service(application, name);
            if let Some(rollout) = state.and_then(|it| it.active_rollout()) {
                active.insert(place, rollout.from);
            }
        }
        self.fleet.comparisons.of.retain(|place, _| active.contains_key(place));
        for (place, from) in &active {
            let backend = backend_key(application, &self.system.services()[*place]);
            let managed = self.fleet.managed.as_ref();
            let trial = managed.and_then(|it| it.backends.get(&backend)?.trial.clone());
            let new = || Comparison { trial, from: Some(*from), ..Comparison::default() };
            self.fleet.comparisons.of.entry(*place).or_insert_with(new);
        }
        if !active.is_empty()
            && let Some(managed) = &mut self.fleet.managed
            && !managed.is_observing
        {
            managed.is_observing = true;
            self.arrange(OBSERVE, Due::Observe);
        }
    }

    /// Rollouts hear what was counted.
    pub(super) fn observe(&mut self) {
        if let Some(managed) = &mut self.fleet.managed {
            managed.is_observing = false;
        }
        let application = self.system.application().name.clone();
        let mut events = Vec::new();
        for (place, comparison) in &self.fleet.comparisons.of {
            let service = self.system.services()[*place].clone();
            let state = self.world().service(&application, &service);
            let Some(rollout) = state.and_then(|it| it.active_rollout()) else { continue };
            if let RolloutStage::Taking { epoch, .. } = rollout.stage
                && comparison.trial.as_ref().is_some_and(|it| it.epoch == epoch)
            {
                let (old, new) = (comparison.old, comparison.new);
                let counted = Counted { epoch, source: 1, old, new };
                if counted != rollout.counted {
                    let (application, service) = (application.clone(), service.clone());
                    events.push(Event::RolloutObserved { application, service, counted });
                }
            }
            let needs_baseline = rollout.thresholds.is_none() && rollout.policy(0).is_some();
            let requests = comparison.baseline.count();
            if needs_baseline && BASELINE_REQUESTS <= requests {
                let at = |share| {
                    let time: Duration = comparison.baseline.quantile(share).unwrap_or_default();
                    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
                };
                let quantiles = [at(0.5), at(0.95), at(0.99)];
                let thresholds = judge::thresholds(&rollout.update.analysis, quantiles, requests);
                let application = application.clone();
                events.push(Event::RolloutBaselineFrozen { application, service, thresholds });
            }
        }
        for event in events {
            self.record(event);
        }
        self.settle();
    }

    /// A new release of a service is deployed, as somebody would who changes it and says `pelago deploy`.
    pub(in crate::engine) fn release(&mut self, name: &ServiceName, factor: f64, errors: f64) {
        let definition = self.system.application().clone();
        let application = definition.name.clone();
        let Some(state) = self.world().service(&application, name).cloned() else { return };
        let Some(mut service) = state.current_release().map(|it| it.service.clone()) else {
            return;
        };
        let to = state.next_release();
        service.owner = Some(to.to_string());
        if let Source::Behaviour(workload) = &mut service.source {
            workload.errors = Share::from_millionths(millionths(errors));
        }
        let mut update = service.update.clone();
        update.strategy = service.replaced_by(update.strategy);
        if update.strategy == Strategy::Canary && update.steps.is_empty() {
            update.steps = Step::usual();
        }
        let in_place = update.strategy.is_in_place();
        let group = if in_place { state.main } else { state.free_group() };
        if let (Some(place), Some(managed)) = (self.system.place(name), &mut self.fleet.managed) {
            let place = u32::try_from(place).unwrap_or(NONE);
            let (before, good) = managed.effect_of(place, state.current().0);
            managed.effects.insert((place, to.0), (before * factor, good * (1.0 - errors)));
        }
        let release = Arc::new(Release::plain(to, service, None, self.timestamp()));
        let (of, service) = (application.clone(), name.clone());
        self.record(Event::ReleaseBaked { application: of, service, release });
        if !in_place {
            let (application, service) = (application.clone(), name.clone());
            self.record(Event::GroupOpened { application, service, group, release: to });
            self.give_ports(&definition, (name, group), state.replicas);
        }
        let rollout = Arc::new(RolloutPlan {
            kind: RolloutKind::Deploy,
            from: state.stable(),
            to,
            group,
            update,
            by: None,
            together: Vec::new(),
            is_by_key: false,
        });
        self.record(Event::RolloutStarted { application, service: name.clone(), rollout });
        self.settle();
    }

    /// Somebody wants another number of instances.
    pub(in crate::engine) fn scale(&mut self, name: &ServiceName, replicas: u32) {
        let definition = self.system.application().clone();
        let state = self.world().service(&definition.name, name);
        let groups = state.map(|it| it.sides().map(|it| it.number).collect::<Vec<_>>());
        for group in groups.unwrap_or_default() {
            self.give_ports(&definition, (name, group), replicas);
        }
        let (application, service) = (definition.name, name.clone());
        self.record(Event::ServiceScaled { application, service, replicas });
        self.settle();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share from 0 to 1, and a cast saturates"
)]
fn millionths(share: f64) -> u32 {
    libm::round(share * 1e6) as u32
}
