//! How each event changes the state.

mod release;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::instance::{Exit, InstanceId};
use model::release::Release;
use model::restart::RestartPolicy;
use model::{Application, ApplicationName, Index, PortName, ReleaseNumber, ServiceName, Timestamp};

use crate::World;
use crate::application::{ApplicationState, Desired};
use crate::event::{Event, Recorded};
use crate::group::{Group, Side};
use crate::rollout::GroupNumber;
use crate::service::{
    ENDED_KEPT, Ended, Instance, Phase, Purpose, RELEASES_KEPT, ServiceState, Slot, Traffic,
};

/// An event that does not fit the state it is folded into. The state is left as it was, but for its
/// index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// An event must come after those folded in before it. (It need not be the very next: numbers that
    /// were lost to damage are not used again.)
    #[error("event {found} cannot follow event {last}")]
    OutOfOrder {
        /// The index of the last event.
        last: Index,
        /// The index that came.
        found: Index,
    },
    /// It names an application, a service or an instance that is not there.
    #[error("event {index} ({kind}) is about something that is not there")]
    Unknown {
        /// Its index.
        index: Index,
        /// Its kind.
        kind: &'static str,
    },
}

impl World {
    /// Folds one event in.
    pub fn fold(&mut self, recorded: &Recorded) -> Result<(), FoldError> {
        if recorded.index <= self.index {
            return Err(FoldError::OutOfOrder { last: self.index, found: recorded.index });
        }
        self.index = recorded.index;
        self.at = recorded.at;
        self.apply(&recorded.event, recorded.at)
            .ok_or(FoldError::Unknown { index: recorded.index, kind: recorded.event.kind() })
    }

    fn apply(&mut self, event: &Event, at: Timestamp) -> Option<()> {
        match event {
            Event::ControlStarted { .. } | Event::JournalRepaired { .. } => Some(()),
            Event::ClockSet { by_ms } => {
                self.clock_set(*by_ms, at);
                Some(())
            }
            Event::ApplicationApplied { definition, folder } => {
                self.applied(definition, folder, at);
                Some(())
            }
            Event::AlertFired { application, .. } | Event::AlertResolved { application, .. } => {
                self.application_mut(application)?.alarmed(event, at);
                Some(())
            }
            Event::StopAsked { application } => {
                self.application_mut(application)?.desired = Desired::Stopping;
                Some(())
            }
            Event::ApplicationStopped { application } => {
                self.application_mut(application)?.desired = Desired::Stopped;
                Some(())
            }
            Event::ApplicationRemoved { application } => {
                let state = self.applications.get(application)?;
                if state.desired != Desired::Stopped {
                    return None;
                }
                self.applications.remove(application).map(drop)
            }
            Event::ReleaseMade { application, service, release } => {
                self.application_mut(application)?.release_made(service, release);
                Some(())
            }
            Event::PortAssigned { .. }
            | Event::SparePortAssigned { .. }
            | Event::NamedPortAssigned { .. } => self.port_assigned(event),
            Event::EdgeOpened { application, caller, callee, group, port } => {
                let edges = self.application_mut(application)?.edges_of(caller, *group);
                edges.insert(callee.clone(), *port);
                Some(())
            }
            Event::ServiceScaled { application, service, replicas } => {
                self.service_mut(application, service)?.replicas = *replicas;
                Some(())
            }
            Event::RestartAsked { application, service } => {
                self.service_mut(application, service)?.restart_asked();
                Some(())
            }
            Event::CrashLoopDeclared { application, service, .. } => {
                let service = self.service_mut(application, service)?;
                service.groups.get_mut(&service.main)?.crash_loop_since = Some(at);
                Some(())
            }
            Event::CrashLoopCleared { application, service } => {
                self.service_mut(application, service)?.forget_failures();
                Some(())
            }
            about_instance if about_instance.instance().is_some() => {
                self.apply_to_instance(about_instance, at)
            }
            about_releases => {
                let index = self.index;
                let (application, service) =
                    (about_releases.application()?, about_releases.service()?);
                self.service_mut(application, service)?.apply(about_releases, index, at)
            }
        }
    }

    /// A slot got a port.
    fn port_assigned(&mut self, event: &Event) -> Option<()> {
        let service = self.service_mut(event.application()?, event.service()?)?;
        match event {
            Event::PortAssigned { group, slot, port, .. } => {
                let slots = &mut service.groups.get_mut(group)?.slots;
                slots.entry(*slot).or_insert_with(|| Slot::new(*port)).port = *port;
            }
            Event::SparePortAssigned { group, slot, port, .. } => {
                let slots = &mut service.groups.get_mut(group)?.slots;
                slots.get_mut(slot)?.spare_port = Some(*port);
            }
            Event::NamedPortAssigned { group, slot, name, ports, .. } => {
                let slot = service.groups.get_mut(group)?.slots.get_mut(slot)?;
                slot.named_ports.insert(name.clone(), *ports);
            }
            _ => return None,
        }
        Some(())
    }

    fn apply_to_instance(&mut self, event: &Event, at: Timestamp) -> Option<()> {
        let (application, id) = (event.application()?, event.instance()?);
        let service = self.service_mut(application, &id.service)?;
        match event {
            Event::InstanceCreated { group, purpose, slot, release, port, .. } => {
                let instance = Instance {
                    group: *group,
                    purpose: *purpose,
                    slot: *slot,
                    release: *release,
                    port: *port,
                    ports: service.further_ports((*group, *slot), *port, *release),
                    phase: Phase::Created,
                    ready: false,
                    ready_at: None,
                    failing: None,
                    served: Duration::ZERO,
                    started_well: None,
                    liveness_failed: false,
                    created_at: at,
                    started_at: None,
                    process: None,
                };
                service.created(id, instance)
            }
            Event::InstanceExited { exit, .. } => service.exited(id, exit, at),
            _ => service.instances.get_mut(&id.number)?.changed(event, at),
        }?;
        service.note_health();
        Some(())
    }

    fn applied(&mut self, definition: &Arc<Application>, folder: &str, at: Timestamp) {
        let entry = self.applications.entry(definition.name.clone());
        let state = Arc::make_mut(entry.or_insert_with(|| {
            Arc::new(ApplicationState {
                definition: Arc::clone(definition),
                folder: folder.to_owned(),
                applied_at: at,
                desired: Desired::Stopped,
                services: BTreeMap::new(),
                edges: BTreeMap::new(),
                group_edges: BTreeMap::new(),
                alerts: Vec::new(),
            })
        }));
        if state.desired != Desired::Running {
            for service in state.services.values_mut() {
                Arc::make_mut(service).fresh();
            }
        }
        state.definition = Arc::clone(definition);
        folder.clone_into(&mut state.folder);
        state.applied_at = at;
        state.desired = Desired::Running;
        for (name, service) in &mut state.services {
            let service = Arc::make_mut(service);
            let wanted = definition.services.get(name);
            if service.removed && wanted.is_some() {
                service.fresh();
            }
            service.second_chance();
            service.removed = wanted.is_none();
            service.replicas = wanted.map_or(0, |it| it.replicas);
        }
    }

    fn application_mut(&mut self, name: &ApplicationName) -> Option<&mut ApplicationState> {
        self.applications.get_mut(name).map(Arc::make_mut)
    }

    fn service_mut(
        &mut self,
        application: &ApplicationName,
        service: &ServiceName,
    ) -> Option<&mut ServiceState> {
        self.application_mut(application)?.services.get_mut(service).map(Arc::make_mut)
    }
}

impl ApplicationState {
    /// The ports of the calls of a service, or of one of its groups.
    fn edges_of(
        &mut self,
        caller: &ServiceName,
        group: Option<GroupNumber>,
    ) -> &mut BTreeMap<ServiceName, u16> {
        match group {
            None => self.edges.entry(caller.clone()).or_default(),
            Some(group) => {
                let groups = self.group_edges.entry(caller.clone()).or_default();
                groups.entry(group).or_default()
            }
        }
    }

    fn release_made(&mut self, service: &ServiceName, release: &Arc<Release>) {
        let replicas = self.definition.services.get(service).map(|it| it.replicas);
        let entry = self.services.entry(service.clone()).or_insert_with(|| {
            let main = GroupNumber::default();
            Arc::new(ServiceState {
                releases: BTreeMap::new(),
                replicas: 0,
                removed: false,
                groups: BTreeMap::from([(main, Group::new(release.number))]),
                main,
                traffic: Traffic::default(),
                rollout: None,
                previous: Vec::new(),
                rejected: BTreeSet::new(),
                commands: BTreeMap::new(),
                instances: BTreeMap::new(),
                next_instance: 1,
                ended: Vec::new(),
            })
        });
        let state = Arc::make_mut(entry);
        let main = state.main;
        state.groups.entry(main).or_insert_with(|| Group::new(release.number)).release =
            release.number;
        state.releases.insert(release.number, Arc::clone(release));
        state.replicas = replicas.unwrap_or(state.replicas);
        state.forgive();
        state.forget_old_releases();
    }
}

impl ServiceState {
    /// Forgets how starts failed and jobs ended: they get a new chance.
    fn forgive(&mut self) {
        self.forget_failures();
        for slot in self.slots_mut() {
            slot.last_end = None;
        }
    }

    /// Forgets failures and keeps successes: whoever applies again wants another try of what failed, not
    /// of what is done.
    fn second_chance(&mut self) {
        self.forget_failures();
        for slot in self.slots_mut() {
            slot.last_end.take_if(|it| !it.is_success());
        }
        self.commands.retain(|_, exit| exit.is_success());
    }

    /// As if it had never run, but for its numbers.
    fn fresh(&mut self) {
        for group in self.groups.values_mut() {
            group.once_healthy = false;
            group.kept_until = None;
        }
        self.forgive();
    }

    /// Failed starts so far no longer count.
    fn forget_failures(&mut self) {
        for group in self.groups.values_mut() {
            group.crash_loop_since = None;
        }
        for slot in self.slots_mut() {
            slot.failures = 0;
        }
    }

    /// The further ports of an instance of `release` that listens on `port` in a slot.
    fn further_ports(
        &self,
        (group, slot): (GroupNumber, u32),
        port: u16,
        release: ReleaseNumber,
    ) -> BTreeMap<PortName, u16> {
        let slot = self.groups.get(&group).and_then(|it| it.slots.get(&slot));
        match (slot, self.releases.get(&release)) {
            (Some(slot), Some(release)) => slot.ports_beside(port, &release.service.ports),
            _ => BTreeMap::new(),
        }
    }

    fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.groups.values_mut().flat_map(|it| it.slots.values_mut())
    }

    fn restart_asked(&mut self) {
        let next = self.next_instance;
        for group in self.groups.values_mut() {
            group.restart_before = next;
        }
        self.forgive();
    }

    /// Remembers of every group that is whole that it has been.
    fn note_health(&mut self) {
        let is_healthy = |it: Side<'_>| {
            let wanted = it.wanted() as usize;
            0 < wanted && wanted <= it.ready()
        };
        let healthy: Vec<GroupNumber> =
            self.sides().filter(|it| is_healthy(*it)).map(|it| it.number).collect();
        for number in healthy {
            if let Some(group) = self.groups.get_mut(&number) {
                group.once_healthy = true;
            }
        }
    }

    fn forget_old_releases(&mut self) {
        while RELEASES_KEPT < self.releases.len() {
            let in_use = |number| {
                let has_a_group = |it: Side<'_>| it.group.release == number && it.is_in_use();
                self.sides().any(has_a_group)
                    || self.rollout.iter().any(|it| it.from == number || it.to == number)
                    || self.instances.values().any(|it| it.release == number)
            };
            let Some(oldest) = self.releases.keys().copied().find(|it| !in_use(*it)) else {
                return;
            };
            self.releases.remove(&oldest);
            self.commands.remove(&oldest);
            self.previous.retain(|it| *it != oldest);
            self.rejected.remove(&oldest);
        }
    }

    fn created(&mut self, id: &InstanceId, instance: Instance) -> Option<()> {
        if instance.purpose == Purpose::Serve {
            let slots = &mut self.groups.get_mut(&instance.group)?.slots;
            slots.get_mut(&instance.slot)?.last_end = None;
        }
        self.next_instance = self.next_instance.max(id.number + 1);
        self.instances.insert(id.number, instance);
        Some(())
    }

    fn exited(&mut self, id: &InstanceId, exit: &Exit, at: Timestamp) -> Option<()> {
        let instance = self.instances.remove(&id.number)?;
        let stop_reason = match instance.phase {
            Phase::Stopping { reason, .. } => Some(reason),
            Phase::Created | Phase::Running => None,
        };
        let ended = Ended {
            number: id.number,
            group: instance.group,
            purpose: instance.purpose,
            slot: instance.slot,
            release: instance.release,
            exit: exit.clone(),
            stop_reason,
            started_at: instance.started_at,
            served: instance.served(at),
            at,
        };
        match instance.purpose {
            Purpose::Serve => {
                self.vacated(&instance, &ended);
                self.note_failure(&ended);
            }
            // One that was told to stop has not shown anything.
            Purpose::ReleaseCommand if ended.stop_reason.is_none() => {
                self.commands.insert(ended.release, ended.exit.clone());
            }
            Purpose::ReleaseCommand => {}
        }
        if self.ended.len() == ENDED_KEPT {
            self.ended.remove(0);
        }
        self.ended.push(ended);
        Some(())
    }

    /// Remembers in a slot how its instance ended.
    fn vacated(&mut self, instance: &Instance, ended: &Ended) {
        let Some(side) = self.side(ended.group) else { return };
        let done = ended.is_success() && side.restart_policy() != RestartPolicy::Always;
        let outdated = side.is_outdated(ended.number, ended.release);
        // The end of one that another was to take over from says nothing about how that other starts.
        let is_last = side.in_slot(ended.slot).all(|(number, _)| number < ended.number);
        let slot = self.groups.get_mut(&ended.group).and_then(|it| it.slots.get_mut(&ended.slot));
        let is_new =
            |it: &&mut Slot| it.last_end.as_ref().is_none_or(|it| it.number < ended.number);
        if let Some(slot) = slot.filter(|_| is_last).filter(is_new) {
            let no_failure =
                done || outdated || !ended.is_unasked() || instance.is_stable(ended.at);
            // One that had been ready and is gone without a trace has lost its supervisor, or the machine: that is ours, and
            // says nothing about how it starts.
            let is_ours = ended.exit == Exit::Lost && instance.ready_at.is_some();
            slot.failures = match (no_failure, is_ours) {
                (true, _) => 0,
                (false, true) => slot.failures,
                (false, false) => slot.failures.saturating_add(1),
            };
            slot.last_end = Some(ended.clone());
        }
    }
}

impl Instance {
    fn changed(&mut self, event: &Event, at: Timestamp) -> Option<()> {
        match event {
            Event::InstanceStarted { process, .. } => {
                self.process = Some(*process);
                self.started_at = Some(at);
                if self.phase == Phase::Created {
                    self.phase = Phase::Running;
                }
            }
            Event::InstanceReady { .. } => {
                self.ready = true;
                self.ready_at = Some(at);
                self.failing = None;
            }
            Event::InstanceUnready { reason, .. } => {
                self.started_well = self.started_well.or_else(|| self.is_stable(at).then_some(at));
                self.served = self.served(at);
                self.ready = false;
                self.failing = Some(reason.clone());
            }
            Event::LivenessFailed { reason, .. } => {
                self.liveness_failed = true;
                self.failing = Some(reason.clone());
            }
            Event::InstanceStopping { reason, .. } => {
                self.started_well = self.started_well.or_else(|| self.is_stable(at).then_some(at));
                self.served = self.served(at);
                self.ready = false;
                self.phase = Phase::Stopping { reason: *reason, since: at };
            }
            _ => return None,
        }
        Some(())
    }
}
