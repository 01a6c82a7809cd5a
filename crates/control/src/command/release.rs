//! Which release gets the traffic: by hand, or by steering a rollout.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::request::{Rollback, SetTraffic, Steer, SteerAction};
use api::{ApiError, ErrorKind};
use model::rollout::{Strategy, Update};
use model::units::Share;
use model::{ApplicationName, ReleaseNumber, ServiceName};
use world::rollout::{Kind, Outcome, Rollout, RolloutPlan};
use world::{Event, GroupNumber, ServiceState, Traffic};

use super::{Here, Place, PortAssigner, running_service};

type Named<'a> = (&'a ApplicationName, &'a ServiceName);

/// Whether somebody has shared requests among releases.
pub(super) fn is_shared_by_hand(state: &ServiceState) -> bool {
    !state.traffic.shares.is_empty()
}

fn conflict(message: String) -> ApiError {
    ApiError::new(ErrorKind::Conflict, message)
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorKind::Invalid, message)
}

fn by(who: Option<&String>) -> String {
    who.map_or_else(|| "by hand".to_owned(), |it| format!("by {it}"))
}

pub(super) fn set_traffic(
    here: &Here<'_>,
    (application, name): Named<'_>,
    wish: &SetTraffic,
) -> Result<Vec<Event>, ApiError> {
    let (state, definition) = running_service(here.world, application, name)?;
    if let Some(rollout) = state.active_rollout() {
        return Err(conflict(format!(
            "{} is being rolled out; end that first, as in `pelago rollout abort {name}`",
            rollout.to
        )));
    }
    check_shares(name, state, wish)?;
    let mut releases: Vec<ReleaseNumber> = wish.shares.iter().map(|it| it.release).collect();
    releases.extend(wish.matches.iter().map(|it| it.release));
    releases.sort_unstable();
    releases.dedup();
    let others = releases.iter().any(|it| *it != state.current());
    if others && !definition.can_overlap() {
        return Err(invalid(format!(
            "{name} has a fixed port, data of its own or `strategy: recreate`, or is a job, so two \
             releases of it cannot run at once"
        )));
    }
    let place = |group| Place { application, name, service: definition, state: Some(state), group };
    let mut assigner = PortAssigner::new(here);
    let mut events = Vec::new();
    let cold = releases.into_iter().filter(|it| state.group_of(*it).is_none());
    for (release, group) in cold.zip(state.free_groups()) {
        events.extend(opened(&place(group), (release, state.replicas), &mut assigner)?);
    }
    events.push(Event::TrafficSet {
        application: application.clone(),
        service: name.clone(),
        traffic: Traffic {
            shares: wish.shares.clone(),
            matches: wish.matches.clone(),
            sticky: wish.sticky.clone(),
        },
    });
    Ok(events)
}

/// Shares are of releases that are known, each once, and together everything.
fn check_shares(
    name: &ServiceName,
    state: &ServiceState,
    wish: &SetTraffic,
) -> Result<(), ApiError> {
    let known = |release: ReleaseNumber| {
        if state.releases.contains_key(&release) { Ok(()) } else { Err(unknown(name, release)) }
    };
    let mut sum = 0;
    let mut seen = BTreeSet::new();
    for share in &wish.shares {
        known(share.release)?;
        if !seen.insert(share.release) {
            return Err(invalid(format!("{} is named twice", share.release)));
        }
        if share.weight == Share::ZERO {
            return Err(invalid(format!("{} gets nothing; leave it out", share.release)));
        }
        sum += u64::from(share.weight.millionths());
    }
    if sum != u64::from(Share::ALL.millionths()) {
        #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
        let percent = sum as f64 / 1e4;
        return Err(invalid(format!("the shares are {percent}% together, and must be 100%")));
    }
    wish.matches.iter().try_for_each(|it| known(it.release))
}

fn unknown(name: &ServiceName, release: ReleaseNumber) -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        format!("{name} has no release {release}; `pelago releases {name}` lists those there are"),
    )
}

/// A group with a release, and ports for so many instances of it.
pub(super) fn opened(
    place: &Place<'_>,
    (release, replicas): (ReleaseNumber, u32),
    assigner: &mut PortAssigner,
) -> Result<Vec<Event>, ApiError> {
    let mut events = vec![Event::GroupOpened {
        application: place.application.clone(),
        service: place.name.clone(),
        group: place.group,
        release,
    }];
    events.extend(assigner.assign(place, replicas)?);
    Ok(events)
}

pub(super) fn steer(
    here: &Here<'_>,
    (application, name): Named<'_>,
    wish: &Steer,
) -> Result<Vec<Event>, ApiError> {
    let (state, _) = running_service(here.world, application, name)?;
    let rollout = state
        .active_rollout()
        .ok_or_else(|| conflict(format!("no rollout of {name} is in progress")))?;
    let (application, service) = (application.clone(), name.clone());
    let who = wish.by.clone();
    Ok(match wish.action {
        SteerAction::Pause if rollout.paused_since.is_some() => Vec::new(),
        SteerAction::Pause => vec![Event::RolloutPaused { application, service, by: who }],
        SteerAction::Resume if rollout.paused_since.is_none() => Vec::new(),
        SteerAction::Resume => vec![Event::RolloutResumed { application, service, by: who }],
        SteerAction::Promote => {
            // Whoever promotes what is paused wants it to go on.
            let paused = rollout.paused_since.map(|_| Event::RolloutResumed {
                application: application.clone(),
                service: service.clone(),
                by: who.clone(),
            });
            let promoted = Event::RolloutPromoted { application, service, by: who };
            paused.into_iter().chain([promoted]).collect()
        }
        SteerAction::Abort => {
            let reason = format!("aborted {}", by(who.as_ref()));
            vec![aborted((&application, &service), reason)]
        }
    })
}

fn aborted((application, service): Named<'_>, reason: String) -> Event {
    Event::RolloutEnded {
        application: application.clone(),
        service: service.clone(),
        outcome: Outcome::Aborted { reason },
    }
}

pub(super) fn roll_back(
    here: &Here<'_>,
    named: Named<'_>,
    wish: &Rollback,
) -> Result<Vec<Event>, ApiError> {
    let (application, name) = named;
    let (state, definition) = running_service(here.world, application, name)?;
    let mut events = Vec::new();
    if let Some(rollout) = state.active_rollout() {
        events.push(aborted(named, format!("rolled back {}", by(wish.by.as_ref()))));
        if wish.to.is_none_or(|it| it == rollout.from) {
            return Ok(events);
        }
    }
    let to = target(name, state, wish)?;
    if to == state.stable() && !is_shared_by_hand(state) {
        return Ok(events);
    }
    if state.traffic != Traffic::default() {
        events.push(Event::TrafficSet {
            application: application.clone(),
            service: name.clone(),
            traffic: Traffic::default(),
        });
    }
    if to == state.stable() {
        return Ok(events);
    }
    let place = |group| Place { application, name, service: definition, state: Some(state), group };
    let update = state.releases.get(&to).map(|it| it.service.update.clone()).unwrap_or_default();
    let mut plan = RolloutPlan {
        kind: Kind::Rollback,
        from: state.stable(),
        to,
        group: state.main,
        update,
        by: wish.by.clone(),
        together: Vec::new(),
        is_by_key: state.traffic.sticky.is_some(),
    };
    if !definition.can_overlap() {
        plan.kind = Kind::Deploy;
        let strategy = definition.replaced_by(Strategy::Rolling);
        plan.update = Update { strategy, ..plan.update };
    } else if let Some(warm) = warm_group(state, to) {
        plan.group = warm;
    } else {
        plan.group = state.free_group();
        let wanted = (to, state.replicas);
        events.extend(opened(&place(plan.group), wanted, &mut PortAssigner::new(here))?);
    }
    events.push(Event::RolloutStarted {
        application: application.clone(),
        service: name.clone(),
        rollout: Arc::new(plan),
    });
    Ok(events)
}

/// The group that a release still runs in, other than because it is being rolled out.
fn warm_group(state: &ServiceState, release: ReleaseNumber) -> Option<GroupNumber> {
    let rolled_out = state.active_rollout().map(|it: &Rollout| it.group);
    let runs = |group: &GroupNumber| Some(*group) != rolled_out;
    state.group_of(release).filter(runs)
}

fn target(
    name: &ServiceName,
    state: &ServiceState,
    wish: &Rollback,
) -> Result<ReleaseNumber, ApiError> {
    let to = wish.to.or_else(|| state.previous.last().copied()).ok_or_else(|| {
        let current = state.current();
        conflict(format!("{name} has had no release before {current}, so there is no way back"))
    })?;
    if state.releases.contains_key(&to) { Ok(to) } else { Err(unknown(name, to)) }
}
