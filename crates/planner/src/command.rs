//! The release command: run once for a release, before any of its instances is started.

use model::instance::Exit;
use model::{InstanceId, ReleaseNumber};
use world::{Event, Instance, Purpose, ServiceState, Side};

use crate::place::Place;

/// How far the command of a release has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// The release has none.
    None,
    /// It should be run.
    Due,
    /// It runs.
    Running,
    /// It did what it was meant to do.
    Succeeded,
    /// It did not. It is not run again before somebody asks for it.
    Failed,
}

pub(crate) fn of(service: &ServiceState, number: ReleaseNumber) -> Command {
    let release = service.releases.get(&number);
    if release.is_none_or(|it| it.service.release_command.is_empty()) {
        return Command::None;
    }
    let is_it = |it: &Instance| it.purpose == Purpose::ReleaseCommand && it.release == number;
    match service.commands.get(&number) {
        Some(exit) if exit.is_success() => Command::Succeeded,
        Some(_) => Command::Failed,
        None if service.instances.values().any(is_it) => Command::Running,
        None => Command::Due,
    }
}

/// How the command of a release failed, if it did.
pub(crate) fn failure(service: &ServiceState, number: ReleaseNumber) -> Option<&Exit> {
    service.commands.get(&number).filter(|it| !it.is_success())
}

/// Runs the command of a release beside a group. It takes no requests; it is told a port all the same, so that
/// its environment is whole.
pub(crate) fn run(
    place: &Place<'_>,
    side: &Side<'_>,
    (number, release): (u32, ReleaseNumber),
) -> Option<Event> {
    let (slot, first) = side.group.slots.first_key_value()?;
    let service = place.name.clone();
    Some(Event::InstanceCreated {
        application: place.application.clone(),
        instance: InstanceId { service, number },
        group: side.number,
        purpose: Purpose::ReleaseCommand,
        slot: *slot,
        release,
        port: first.port,
    })
}
