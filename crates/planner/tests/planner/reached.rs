//! Traffic goes where somebody is ready: the routing table of every world there is.

use model::rollout::Strategy;
use model::units::Share;
use model::{ReleaseNumber, ServiceName};
use world::routing::{Backend, Table, backend_key};
use world::{Event, ServiceState, World};

use crate::commands::{self, At, Together};
use crate::definition::{self, name};
use crate::fleet::{Faults, Fleet};

/// Looks at every service of a world: where its main group serves, requests find an instance, whatever share and
/// match they come by.
pub(crate) fn assert_reached(world: &World) {
    let table = Table::of(world);
    for (application, state) in &world.applications {
        for (name, service) in &state.services {
            if let Some(backend) = table.backends.get(&backend_key(application, name)) {
                assert_backend(name, service, backend);
            }
        }
    }
}

fn assert_backend(name: &ServiceName, service: &ServiceState, backend: &Backend) {
    let reaches = |release: ReleaseNumber| backend.endpoints.iter().any(|it| it.release == release);
    let shares = &backend.split;
    let all: u32 = shares.iter().map(|it| it.weight.millionths()).sum();
    assert!(shares.is_empty() || all == Share::ALL.millionths(), "{name}: {shares:?}");
    for it in &backend.matches {
        assert!(reaches(it.release), "{name}: {it:?} leads to nobody");
    }
    let mut of_main = service.instances.values().filter(|it| it.group == service.main);
    if of_main.any(world::Instance::is_serving) {
        // What is rolled out may have lost all it has; then its share goes to the others (`traffic`).
        let rolled_out = service.active_rollout().map(|it| it.to);
        let others = shares.iter().filter(|it| Some(it.release) != rolled_out);
        let by_hand = !service.traffic.shares.is_empty();
        let mut reached = others.map(|it| reaches(it.release)).peekable();
        let is_none = reached.peek().is_none();
        let is_whole = if by_hand { reached.any(|it| it) } else { reached.all(|it| it) };
        assert!(is_none || is_whole, "{name}: {shares:?} and {:?}", backend.endpoints);
        assert!(!backend.endpoints.is_empty(), "{name} serves, and nobody can reach it");
    }
}

const STRATEGIES: [Strategy; 4] =
    [Strategy::Canary, Strategy::Bluegreen, Strategy::Rolling, Strategy::Immediate];

/// What goes wrong after the second deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// An instance is killed.
    Killed,
    /// The control process is, and the next one knows only what was recorded.
    Control,
    /// Somebody ends the rollout.
    Aborted,
    /// Somebody goes back to the release before.
    RolledBack,
}

/// Two instances of version `version`, deployed by `strategy`.
fn deploy(fleet: &mut Fleet, version: u32, strategy: Strategy) {
    let mut file = definition::read(&format!("web replicas=2 check owner=v{version}"));
    let web = file.services.get_mut(&name::<ServiceName>("web")).unwrap();
    web.update.strategy = strategy;
    let at = At { now: fleet.now(), together: Together::No };
    fleet.ask(commands::deploy(&fleet.world, &file, &at));
}

fn trouble(fleet: &mut Fleet, trouble: Trouble) {
    let web = fleet.world.service(&name("shop"), &name("web")).unwrap();
    match trouble {
        Trouble::Control => fleet.control_is_killed(),
        Trouble::Aborted if web.active_rollout().is_some() => {
            fleet.ask(vec![commands::abort("web", "by hand")]);
        }
        Trouble::Nothing | Trouble::Aborted => {}
        Trouble::RolledBack => fleet.ask(commands::roll_back(&fleet.world, "web")),
        Trouble::Killed => {
            let mut serving = web.instances.iter().filter(|(_, it)| it.is_serving());
            let (number, _) = serving.next().unwrap();
            let instance = format!("web.{number}").parse().unwrap();
            let exit = model::instance::Exit::Signal(9);
            fleet.ask(vec![Event::InstanceExited { application: name("shop"), instance, exit }]);
        }
    }
}

/// Whether a request finds an instance: one at least, whatever release it is sent to.
fn is_reached(world: &World) -> bool {
    let table = Table::of(world);
    let backend = &table.backends["shop/web"];
    let reaches = |release: ReleaseNumber| backend.endpoints.iter().any(|it| it.release == release);
    backend.split.iter().any(|it| reaches(it.release))
        || backend.split.is_empty() && !backend.endpoints.is_empty()
}

/// A service of two that is released again while it is being released is reached at every moment: by all pairs of
/// strategies, half a second apart up to the end of the first, and whatever else happens.
#[test]
fn issue_12_releasing_twice_takes_nobody_away() {
    let troubles = [
        Trouble::Nothing,
        Trouble::Killed,
        Trouble::Control,
        Trouble::Aborted,
        Trouble::RolledBack,
    ];
    for (first, second) in STRATEGIES.iter().flat_map(|a| STRATEGIES.map(|b| (*a, b))) {
        for moment in 0..32 {
            for what in troubles {
                let mut fleet = Fleet::new(moment);
                fleet.faults = Faults::Off;
                deploy(&mut fleet, 1, first);
                fleet.advance(60_000);
                assert!(is_reached(&fleet.world));
                let begun = fleet.history.len();
                deploy(&mut fleet, 2, first);
                fleet.advance(moment * 500);
                deploy(&mut fleet, 3, second);
                fleet.advance(moment * 70 % 1_000);
                trouble(&mut fleet, what);
                fleet.come_to_rest();
                let mut world = World::default();
                for (place, recorded) in fleet.history.iter().enumerate() {
                    world.fold(recorded).unwrap();
                    let case = || format!("{first:?} {second:?} {moment} {what:?} {recorded:?}");
                    assert!(place < begun || is_reached(&world), "nobody is there: {}", case());
                }
            }
        }
    }
}
