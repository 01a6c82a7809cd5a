//! An application should run as described.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::change::needs_release;
use api::request::Deploy;
use api::{ApiError, ErrorKind};
use model::release::{Digest, Release};
use model::rollout::{Step, Strategy, Update};
use model::{Application, ApplicationName, ReleaseNumber, Service, ServiceName};
use world::rollout::{Kind, Outcome, RolloutPlan};
use world::routing::route_key;
use world::{ApplicationState, Desired, Event, GroupNumber, ServiceState, Side, World};

use super::release::{is_shared_by_hand, opened};
use super::{Here, Place, PortAssigner, running};

/// The wish, with the files of its services baked.
#[derive(Debug)]
pub(crate) struct Apply {
    pub(crate) definition: Arc<Application>,
    pub(crate) folder: String,
    pub(crate) artifacts: BTreeMap<ServiceName, Digest>,
    pub(crate) deploy: Deploy,
}

/// A service that is applied, and what there is of it.
struct Applied<'a> {
    name: &'a ServiceName,
    service: &'a Service,
    artifact: Option<&'a Digest>,
    state: Option<&'a ServiceState>,
}

impl Apply {
    pub(super) fn events(&self, here: &Here<'_>) -> Result<Vec<Event>, ApiError> {
        let application = &self.definition.name;
        let before = here.world.application(application);
        let definition = self.meant(here)?;
        let mut events = vec![Event::ApplicationApplied {
            definition: Arc::clone(&definition),
            folder: self.folder.clone(),
        }];
        refuse_claimed_routes(here.world, &definition)?;
        let mut assigner = PortAssigner::new(here);
        for (name, service) in &definition.services {
            let state = before.and_then(|it| it.services.get(name)).map(AsRef::as_ref);
            if self.is_meant(name) {
                let artifact = self.artifacts.get(name);
                let applied = Applied { name, service, artifact, state };
                self.release(here, &applied, &mut assigner, &mut events)?;
            }
            for group in groups(state) {
                let place = Place { application, name, service, state, group };
                events.extend(assigner.assign(&place, service.replicas)?);
            }
            let opened = |callee| before.and_then(|it| it.edge_port(name, callee));
            for callee in service.calls.keys().filter(|it| opened(it).is_none()) {
                events.push(Event::EdgeOpened {
                    application: application.clone(),
                    caller: name.clone(),
                    callee: callee.clone(),
                    group: None,
                    port: assigner.any()?,
                });
            }
        }
        go_together(&mut events);
        let own = group_edges(&definition, before, &events);
        for (caller, group, callee) in own {
            let (application, port) = (application.clone(), assigner.any()?);
            events.push(Event::EdgeOpened {
                application,
                caller,
                callee,
                group: Some(group),
                port,
            });
        }
        Ok(events)
    }

    fn is_meant(&self, service: &ServiceName) -> bool {
        self.deploy.only.is_empty() || self.deploy.only.contains(service)
    }

    /// What the application should be: all that is described, or what it is with some of it.
    fn meant(&self, here: &Here<'_>) -> Result<Arc<Application>, ApiError> {
        if self.deploy.only.is_empty() {
            return Ok(Arc::clone(&self.definition));
        }
        let state = running(here.world, &self.definition.name)?;
        let mut meant = Application::clone(&state.definition);
        for (name, service) in &mut meant.services {
            // How many somebody asked for since is not what is deployed.
            let asked = state.services.get(name).map(|it| it.replicas);
            service.replicas = asked.unwrap_or(service.replicas);
        }
        for name in &self.deploy.only {
            let service = self.definition.services.get(name).ok_or_else(|| {
                ApiError::no_service(self.definition.name.as_str(), name.as_str())
            })?;
            meant.services.insert(name.clone(), service.clone());
        }
        let problems = meant.problems();
        if problems.is_empty() {
            return Ok(Arc::new(meant));
        }
        let remedy = "deploy what it refers to as well, or apply the whole file with `pelago up`";
        Err(ApiError::new(ErrorKind::Invalid, format!("{}; {remedy}", problems.join("\n"))))
    }

    /// A release of a service, if it needs one, and how it takes over.
    fn release(
        &self,
        here: &Here<'_>,
        applied: &Applied<'_>,
        assigner: &mut PortAssigner,
        events: &mut Vec<Event>,
    ) -> Result<(), ApiError> {
        let Applied { name, service, artifact, state } = *applied;
        let application = self.definition.name.clone();
        let number = state.map_or(ReleaseNumber(1), ServiceState::next_release);
        let mut release = Release::plain(number, service.clone(), artifact.cloned(), here.now);
        release.config.clone_from(&self.definition.config);
        release.flags.clone_from(&self.definition.flags);
        release.origin = self.deploy.origin.clone();
        let release = Arc::new(release);
        let service_name = name.clone();
        let desired = here.world.application(&application).map(|it| it.desired);
        // Where nothing runs that could take over, or be compared with, the new release is started as the first was.
        let runs = |it: &&ServiceState| {
            let has_instances = it.main_side().is_some_and(|it| it.instances().next().is_some());
            let is_there = has_instances || it.active_rollout().is_some();
            desired == Some(Desired::Running) && !it.removed && is_there
        };
        let Some(state) = state.filter(runs) else {
            let is_new = state.is_none_or(|it| needs_release(it, service, artifact));
            if is_new || self.deploy.force {
                events.push(Event::ReleaseMade { application, service: service_name, release });
            }
            return Ok(());
        };
        let news = news(state, service, artifact);
        if news == News::None && !self.deploy.force {
            return Ok(());
        }
        if let Some(rollout) = state.active_rollout() {
            let outcome = match news {
                News::Back => Outcome::Aborted {
                    reason: format!("what is described is {} again", rollout.from),
                },
                // It has all the traffic, and would only be watched a little longer: it is what there is to go back to.
                _ if state.taken_over().is_some() => Outcome::Completed,
                _ => Outcome::Aborted { reason: format!("{number} takes its place") },
            };
            events.push(Event::RolloutEnded {
                application: application.clone(),
                service: name.clone(),
                outcome,
            });
        }
        if news == News::Back && !self.deploy.force {
            return Ok(());
        }
        if is_shared_by_hand(state) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "requests to {name} are shared among releases by hand; give one of them \
                     everything first, as in `pelago traffic set {name} {}`",
                    state.current()
                ),
            ));
        }
        events.push(Event::ReleaseBaked { application, service: service_name, release });
        self.roll_out(applied, (state, number), assigner, events)
    }

    fn roll_out(
        &self,
        applied: &Applied<'_>,
        (state, to): (&ServiceState, ReleaseNumber),
        assigner: &mut PortAssigner,
        events: &mut Vec<Event>,
    ) -> Result<(), ApiError> {
        let Applied { name, service, .. } = *applied;
        let application = &self.definition.name;
        let update = self.update(service);
        let in_place = update.strategy.is_in_place();
        let group = if in_place { state.main } else { state.free_group() };
        if !in_place {
            let place = Place { application, name, service, state: Some(state), group };
            events.extend(opened(&place, (to, service.replicas), assigner)?);
        }
        events.push(Event::RolloutStarted {
            application: application.clone(),
            service: name.clone(),
            rollout: Arc::new(RolloutPlan {
                kind: Kind::Deploy,
                from: state.taken_over().map_or_else(|| state.stable(), |it| it.to),
                to,
                group,
                update,
                by: self.deploy.origin.by.clone(),
                together: self.together(name),
                is_by_key: state.traffic.sticky.is_some() || has_keys(&self.definition, name),
            }),
        });
        Ok(())
    }

    /// How it takes over. Where two instances cannot be there at once, one after the other is the only way.
    fn update(&self, service: &Service) -> Update {
        let mut update = service.update.clone();
        let asked = self.deploy.strategy.unwrap_or(update.strategy);
        update.strategy = service.replaced_by(asked);
        if update.strategy == Strategy::Canary && update.steps.is_empty() {
            update.steps = Step::usual();
        }
        update
    }

    fn together(&self, service: &ServiceName) -> Vec<ServiceName> {
        if !self.deploy.together {
            return Vec::new();
        }
        let all: Vec<&ServiceName> = match self.deploy.only.as_slice() {
            [] => self.definition.services.keys().collect(),
            only => only.iter().collect(),
        };
        all.into_iter().filter(|it| *it != service).cloned().collect()
    }
}

/// Refuses a route that another application that runs has: which of the two gets a request would be chance. What both had
/// before is left as it is, so that neither is kept from being changed.
pub(crate) fn refuse_claimed_routes(
    world: &World,
    definition: &Application,
) -> Result<(), ApiError> {
    let before = world.application(&definition.name).filter(|it| it.desired == Desired::Running);
    let had = before.iter().flat_map(|it| &it.definition.routes).map(route_key);
    let had: BTreeSet<String> = had.collect();
    let others = world
        .applications
        .iter()
        .filter(|(name, it)| **name != definition.name && it.desired == Desired::Running);
    let claims: BTreeMap<String, &ApplicationName> = others
        .flat_map(|(name, it)| it.definition.routes.iter().map(move |of| (route_key(of), name)))
        .collect();
    for route in &definition.routes {
        let key = route_key(route);
        if let Some(other) = claims.get(&key).filter(|_| !had.contains(&key)) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "the route {key} of {} is {other}'s already; change its `host` or `path`, or \
                     stop {other}",
                    definition.name
                ),
            ));
        }
    }
    Ok(())
}

/// Of the services that should be rolled out as one, those that need no release do not count.
fn go_together(events: &mut [Event]) {
    let started: BTreeSet<ServiceName> = events
        .iter()
        .filter(|it| matches!(it, Event::RolloutStarted { .. }))
        .filter_map(|it| it.service().cloned())
        .collect();
    for event in events {
        if let Event::RolloutStarted { rollout, .. } = event {
            Arc::make_mut(rollout).together.retain(|it| started.contains(it));
        }
    }
}

/// Addresses that groups lack whose calls should keep to what they are rolled out with: the caller, its group,
/// and the callee.
fn group_edges(
    definition: &Application,
    before: Option<&ApplicationState>,
    events: &[Event],
) -> Vec<(ServiceName, GroupNumber, ServiceName)> {
    let mut lacking = Vec::new();
    for event in events {
        let Event::RolloutStarted { service: caller, rollout, .. } = event else { continue };
        let in_place = rollout.update.strategy.is_in_place();
        let calls = definition.services.get(caller).map(|it| &it.calls);
        for callee in rollout.together.iter().filter(|_| !in_place) {
            let is_called = calls.is_some_and(|it| it.contains_key(callee));
            let port = before.and_then(|it| it.group_edge_port((caller, rollout.group), callee));
            if is_called && port.is_none() {
                lacking.push((caller.clone(), rollout.group, callee.clone()));
            }
        }
    }
    lacking
}

/// The group that serves, and those beside it that grow with it.
fn groups(state: Option<&ServiceState>) -> Vec<GroupNumber> {
    let Some(state) = state else { return vec![GroupNumber::default()] };
    state.sides().filter(Side::is_in_use).map(|it| it.number).collect()
}

/// Whether a caller of `service`, or a route to it, has its requests told apart by a key.
fn has_keys(definition: &Application, service: &ServiceName) -> bool {
    let mut calls = definition.services.values().filter_map(|it| it.calls.get(service));
    let mut routes = definition.routes.iter().filter(|it| it.service() == Some(service));
    calls.any(|it| it.balance.key.is_some()) || routes.any(|it| it.resilience.balance.key.is_some())
}

/// What is new about a service as described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Nothing: it is what serves, or what is being rolled out.
    None,
    /// It is what serves, and something else is being rolled out.
    Back,
    /// It is neither.
    Release,
}

fn news(state: &ServiceState, service: &Service, artifact: Option<&Digest>) -> News {
    let is_current = !needs_release(state, service, artifact);
    let Some(rollout) = state.active_rollout() else {
        return if is_current { News::None } else { News::Release };
    };
    let rolled_out = state.releases.get(&rollout.to);
    match rolled_out {
        Some(it) if !api::change::differs(it, service, artifact) => News::None,
        _ if is_current => News::Back,
        _ => News::Release,
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use runtime::ports;
    use world::{Purpose, Recorded};

    use super::super::Command;
    use super::*;

    /// The shop in a version: web calls cart, and ads is the same in all.
    fn definition(strategy: &str, version: u32) -> Arc<Application> {
        let policy = serde_json::to_string(&model::edge::Resilience::default()).unwrap();
        let service = |owner: u32, calls: &str| {
            format!(
                r#"{{"source": {{"process": {{"command": ["true"]}}}}, "replicas": 1, "environment":
                    {{"VERSION": "{owner}"}}, "stop_grace_period": "1s", "restart": {{"policy":
                    "always", "backoff": "1s", "max_backoff": "1s", "crash_loop": 5}}, "calls":
                    {{{calls}}}, "update": {{"strategy": "{strategy}", "steps": [], "keep_old":
                    "0s", "auto_promote": true, "auto_revert": true, "analysis": {{"alpha": "1%",
                    "max_ratio": 1.25, "max_duration": "30m", "on_inconclusive": "hold"}}}}}}"#
            )
        };
        let calls = format!(r#""cart": {policy}, "ads": {policy}"#);
        let text = format!(
            r#"{{"name": "shop", "services": {{"ads": {}, "cart": {}, "web": {}}}}}"#,
            service(0, ""),
            service(version, ""),
            service(version, &calls)
        );
        Arc::new(serde_json::from_str(&text).unwrap())
    }

    /// With an instance of every service: nothing is rolled out over what does not run.
    fn running(strategy: &str) -> World {
        let mut world = World::default();
        apply(&mut world, definition(strategy, 1), Deploy::default());
        for service in ["ads", "cart", "web"] {
            let created = Event::InstanceCreated {
                application: "shop".parse().unwrap(),
                instance: format!("{service}.1").parse().unwrap(),
                group: GroupNumber(0),
                purpose: Purpose::Serve,
                slot: 0,
                release: ReleaseNumber(1),
                port: 20_000,
            };
            fold(&mut world, created);
        }
        world
    }

    /// Applies and folds; every event must fit.
    fn apply(world: &mut World, definition: Arc<Application>, deploy: Deploy) -> Vec<Event> {
        let (folder, artifacts) = ("/".to_owned(), BTreeMap::new());
        let command = Command::Apply(Apply { definition, folder, artifacts, deploy });
        let here = Here { world, now: Timestamp::EPOCH, first_port: ports::PORTS.start };
        let events = command.events(&here).unwrap();
        for event in &events {
            fold(world, event.clone());
        }
        events
    }

    fn fold(world: &mut World, event: Event) {
        let (index, at) = (world.index.next(), Timestamp::EPOCH);
        world.fold(&Recorded { index, at, event }).unwrap();
    }

    /// What is rolled out, from where to where, and with whom; and addresses of groups.
    fn words(events: &[Event]) -> Vec<String> {
        let word = |event: &Event| match event {
            Event::RolloutStarted { service, rollout, .. } => {
                let (from, to, together) = (rollout.from, rollout.to, &rollout.together);
                Some(format!("{service} {from} {to} {together:?}"))
            }
            Event::RolloutEnded { service, .. } => Some(format!("{service} ends")),
            Event::EdgeOpened { caller, callee, group: Some(group), .. } => {
                Some(format!("{caller}#{}>{callee}", group.0))
            }
            _ => None,
        };
        events.iter().filter_map(word).collect()
    }

    #[test]
    fn what_goes_together_is_what_is_new_and_calls_have_addresses_of_their_own() {
        let mut world = running("canary");
        let together = || Deploy { together: true, ..Deploy::default() };
        let events = apply(&mut world, definition("canary", 2), together());
        let cart = r#"cart r1 r2 [ServiceName("web")]"#;
        let web = r#"web r1 r2 [ServiceName("cart")]"#;
        assert_eq!(words(&events), [cart, web, "web#1>cart"]);
    }

    #[test]
    fn what_takes_the_place_of_a_rollout_begins_where_that_began() {
        let mut world = running("rolling");
        apply(&mut world, definition("rolling", 2), Deploy::default());
        let (application, service) = ("shop".parse().unwrap(), "web".parse().unwrap());
        fold(&mut world, Event::RolloutTrafficMoved { application, service, step: 0 });
        let events = apply(&mut world, definition("rolling", 3), Deploy::default());
        assert_eq!(words(&events), ["cart ends", "cart r1 r3 []", "web ends", "web r1 r3 []"]);
    }

    #[test]
    fn issue_12_what_has_taken_over_is_what_there_is_to_go_back_to() {
        let mut world = running("rolling");
        apply(&mut world, definition("rolling", 2), Deploy::default());
        for service in ["cart", "web"] {
            let (application, of) = ("shop".parse().unwrap(), service.parse().unwrap());
            fold(&mut world, Event::RolloutTrafficMoved { application, service: of, step: 0 });
        }
        // One has all its instances, the other none yet.
        let (application, instance) = ("shop".parse().unwrap(), "web.1".parse().unwrap());
        let exit = model::instance::Exit::Code(0);
        fold(&mut world, Event::InstanceExited { application, instance, exit });
        let id = || ("shop".parse().unwrap(), "web.2".parse().unwrap());
        let (application, instance) = id();
        fold(
            &mut world,
            Event::InstanceCreated {
                application,
                instance,
                group: GroupNumber(0),
                purpose: Purpose::Serve,
                slot: 0,
                release: ReleaseNumber(2),
                port: 20_001,
            },
        );
        let (application, instance) = id();
        let process = model::instance::ProcessId { pid: 1, started_ticks: 1 };
        fold(&mut world, Event::InstanceStarted { application, instance, process });
        let (application, instance) = id();
        fold(&mut world, Event::InstanceReady { application, instance });
        let events = apply(&mut world, definition("rolling", 3), Deploy::default());
        assert_eq!(words(&events), ["cart ends", "cart r1 r3 []", "web ends", "web r2 r3 []"]);
        assert_eq!(
            world.service(&"shop".parse().unwrap(), &"web".parse().unwrap()).unwrap().stable(),
            ReleaseNumber(2)
        );
    }
}
