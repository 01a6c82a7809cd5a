//! How each event changes the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::instance::{Exit, InstanceId};
use model::release::Release;
use model::restart::RestartPolicy;
use model::{Application, ApplicationName, Index, ServiceName, Timestamp};

use crate::World;
use crate::application::{ApplicationState, Desired};
use crate::event::{Event, Recorded};
use crate::service::{ENDED_KEPT, Ended, Instance, Phase, RELEASES_KEPT, ServiceState, Slot};

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
            Event::ApplicationApplied { definition, folder } => {
                self.applied(definition, folder, at);
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
            Event::ReleaseMade { application, service, release } => {
                self.application_mut(application)?.release_made(service, release);
                Some(())
            }
            Event::PortAssigned { application, service, slot, port } => {
                let slots = &mut self.service_mut(application, service)?.slots;
                slots.entry(*slot).or_insert_with(|| Slot::new(*port)).port = *port;
                Some(())
            }
            Event::SparePortAssigned { application, service, slot, port } => {
                let slots = &mut self.service_mut(application, service)?.slots;
                slots.get_mut(slot)?.spare_port = Some(*port);
                Some(())
            }
            Event::EdgeOpened { application, caller, callee, port } => {
                let edges = &mut self.application_mut(application)?.edges;
                edges.entry(caller.clone()).or_default().insert(callee.clone(), *port);
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
                self.service_mut(application, service)?.crash_loop_since = Some(at);
                Some(())
            }
            Event::CrashLoopCleared { application, service } => {
                self.service_mut(application, service)?.forget_failures();
                Some(())
            }
            about_instance => self.apply_to_instance(about_instance, at),
        }
    }

    fn apply_to_instance(&mut self, event: &Event, at: Timestamp) -> Option<()> {
        let (application, id) = (event.application()?, event.instance()?);
        let service = self.service_mut(application, &id.service)?;
        match event {
            Event::InstanceCreated { slot, release, port, .. } => {
                let instance = Instance {
                    slot: *slot,
                    release: *release,
                    port: *port,
                    phase: Phase::Created,
                    ready: false,
                    ready_at: None,
                    failing: None,
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
        let wanted = service.replicas as usize;
        service.once_healthy |= 0 < wanted && wanted <= service.ready();
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
    fn release_made(&mut self, service: &ServiceName, release: &Arc<Release>) {
        let replicas = self.definition.services.get(service).map(|it| it.replicas);
        let entry = self.services.entry(service.clone()).or_insert_with(|| {
            Arc::new(ServiceState {
                current: release.number,
                releases: BTreeMap::new(),
                replicas: 0,
                removed: false,
                slots: BTreeMap::new(),
                instances: BTreeMap::new(),
                next_instance: 1,
                restart_before: 1,
                once_healthy: false,
                crash_loop_since: None,
                ended: Vec::new(),
            })
        });
        let state = Arc::make_mut(entry);
        state.current = release.number;
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
        for slot in self.slots.values_mut() {
            slot.last_end = None;
        }
    }

    /// Forgets failures and keeps successes: whoever applies again wants another try of what failed, not
    /// of what is done.
    fn second_chance(&mut self) {
        self.forget_failures();
        for slot in self.slots.values_mut() {
            slot.last_end.take_if(|it| !it.is_success());
        }
    }

    /// As if it had never run, but for its numbers.
    fn fresh(&mut self) {
        self.once_healthy = false;
        self.forgive();
    }

    /// Failed starts so far no longer count.
    fn forget_failures(&mut self) {
        self.crash_loop_since = None;
        for slot in self.slots.values_mut() {
            slot.failures = 0;
        }
    }

    fn restart_asked(&mut self) {
        self.restart_before = self.next_instance;
        self.forgive();
    }

    fn forget_old_releases(&mut self) {
        while RELEASES_KEPT < self.releases.len() {
            let in_use = |number| {
                number == self.current || self.instances.values().any(|it| it.release == number)
            };
            let Some(oldest) = self.releases.keys().copied().find(|it| !in_use(*it)) else {
                return;
            };
            self.releases.remove(&oldest);
        }
    }

    fn created(&mut self, id: &InstanceId, instance: Instance) -> Option<()> {
        self.slots.get_mut(&instance.slot)?.last_end = None;
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
            slot: instance.slot,
            release: instance.release,
            exit: exit.clone(),
            stop_reason,
            started_at: instance.started_at,
            at,
        };
        let done = ended.is_success() && self.restart_policy() != RestartPolicy::Always;
        let outdated = self.is_outdated(ended.number, ended.release);
        // The end of one that another was to take over from says nothing about how that other starts.
        let is_last = self.in_slot(instance.slot).all(|(number, _)| number < id.number);
        let slot = self
            .slots
            .get_mut(&instance.slot)
            .filter(|it| is_last && it.last_end.as_ref().is_none_or(|it| it.number < ended.number));
        if let Some(slot) = slot {
            let no_failure = done || outdated || !ended.is_unasked() || instance.is_stable(at);
            slot.failures = if no_failure { 0 } else { slot.failures.saturating_add(1) };
            slot.last_end = Some(ended.clone());
        }
        if self.ended.len() == ENDED_KEPT {
            self.ended.remove(0);
        }
        self.ended.push(ended);
        Some(())
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
                self.ready = false;
                self.failing = Some(reason.clone());
            }
            Event::LivenessFailed { reason, .. } => {
                self.liveness_failed = true;
                self.failing = Some(reason.clone());
            }
            Event::InstanceStopping { reason, .. } => {
                self.started_well = self.started_well.or_else(|| self.is_stable(at).then_some(at));
                self.ready = false;
                self.phase = Phase::Stopping { reason: *reason, since: at };
            }
            _ => return None,
        }
        Some(())
    }
}
