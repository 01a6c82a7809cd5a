//! What holds for every history.

use model::instance::{Exit, StopReason};
use model::{Index, Service, Timestamp};
use proptest::prelude::*;
use world::routing::Table;
use world::{Event, Purpose, Recorded, World};

use crate::words::{
    About, applied, baked, calling, cleared, edge_opened, job, looping, port, released, restart,
    rolled, rollout, scaled, service, shared, spare_port, stop_asked, stopped,
};

const APPLICATIONS: [&str; 2] = ["shop", "blog"];
const SERVICES: [&str; 2] = ["web", "job"];

fn event() -> impl Strategy<Value = Event> {
    let place = (0..APPLICATIONS.len(), 0..SERVICES.len());
    (place, 0..31_u8, 1..6_u32, 0..3_u32).prop_map(
        |((application, service_at), kind, number, slot)| {
            let (application, name) = (APPLICATIONS[application], SERVICES[service_at]);
            let id = format!("{name}.{number}");
            let it = About(application, &id);
            let web = Service { replicas: number, ..calling(&["job"]) };
            let definition = || [("web", web.clone()), ("job", job(slot))];
            match kind {
                0 => applied(application, &definition()[..=service_at]),
                1 => stop_asked(application),
                2 => stopped(application),
                3 => released(application, name, number, definition()[service_at].1.clone()),
                4 | 5 => port(application, name, slot),
                6 => scaled(application, name, slot),
                7 => restart(application, name),
                8 => looping(application, name),
                9 => cleared(application, name),
                10 => it.created(slot, number),
                11 => it.started(),
                12 => it.ready(),
                13 => it.unready(),
                14 => it.dead(),
                15 => spare_port(application, name, slot),
                16 => edge_opened(application, name, SERVICES[1 - service_at]),
                17 => it.stopping(StopReason::Superseded),
                18 => it.created_in(slot, number, Purpose::Serve),
                19 => it.created_in(slot, number, Purpose::ReleaseCommand),
                20..=22 => {
                    let [baked, opened, port] = baked(application, name, number, slot);
                    [baked, opened, port].into_iter().nth(usize::from(kind) - 20).unwrap()
                }
                23 | 24 => {
                    let strategy = ["canary", "bluegreen", "rolling"][slot as usize];
                    let group = if strategy == "rolling" { 0 } else { slot };
                    let kind = if number == 1 { "rollback" } else { "deploy" };
                    let rest = format!(
                        r#""strategy": "{strategy}"}}, "kind": "{kind}", "group": {group}}}"#
                    );
                    rollout(application, name, (number.saturating_sub(1).max(1), number), &rest)
                }
                25 => shared(application, name, &[(number, 10 * slot), (1, 100 - 10 * slot)]),
                26 => rolled(application, name, ["moved", "moved all", "begun"][slot as usize]),
                27 => rolled(application, name, ["frozen", "passed", "promoted"][slot as usize]),
                28 => rolled(application, name, ["completed", "rejected", "told"][slot as usize]),
                29 => it.exited(Exit::Code(i32::from(number == 1))),
                _ => Event::ClockSet { by_ms: i64::from(slot) * 5_000 - 5_000 },
            }
        },
    )
}

/// Two applications with everything, so that what follows has something to be about.
fn beginning() -> Vec<Event> {
    let mut events = Vec::new();
    for application in APPLICATIONS {
        events.push(applied(application, &[("web", service(2)), ("job", job(1))]));
        for name in SERVICES {
            let is_job = name == "job";
            let service = if is_job { job(1) } else { service(2) };
            events.push(released(application, name, 1, service));
            events.extend([port(application, name, 0), port(application, name, 1)]);
        }
    }
    events
}

fn history() -> impl Strategy<Value = Vec<Recorded>> {
    let more = prop::collection::vec((event(), 0..8_000_u64, 1..3_u64), 0..120);
    more.prop_map(|more| {
        let first = beginning().into_iter().map(|it| (it, 1, 1));
        let (mut index, mut millis) = (0, 0);
        let record = |(event, pause, gap)| {
            index += gap;
            millis += pause;
            Recorded { index: Index(index), at: Timestamp::from_millis(millis), event }
        };
        first.chain(more).map(record).collect()
    })
}

/// Folds what fits; what does not must leave everything but the index as it was.
fn fold(world: &mut World, recorded: &Recorded) {
    let before = world.clone();
    if world.fold(recorded).is_err() {
        assert_eq!(*world, World { index: recorded.index, at: recorded.at, ..before });
    }
    assert_eq!(world.index, recorded.index);
}

fn fold_all(world: &mut World, history: &[Recorded]) {
    for recorded in history {
        fold(world, recorded);
    }
}

proptest! {
    #[test]
    fn a_snapshot_and_the_rest_make_the_same_world(history in history(), cut in any::<prop::sample::Index>()) {
        let mut whole = World::default();
        fold_all(&mut whole, &history);

        let (first, rest) = history.split_at(cut.index(history.len() + 1));
        let mut early = World::default();
        fold_all(&mut early, first);
        let snapshot = serde_json::to_vec(&early).unwrap();
        let mut late: World = serde_json::from_slice(&snapshot).unwrap();
        prop_assert_eq!(&late, &early);
        for recorded in rest {
            let event = Event::decode(&recorded.event.encode().unwrap()).unwrap();
            prop_assert_eq!(&event, &recorded.event);
            fold(&mut late, &Recorded { event, ..recorded.clone() });
        }
        prop_assert_eq!(&late, &whole);

        // Whoever holds an early world sees what it saw.
        let mut shared = early.clone();
        fold_all(&mut shared, rest);
        prop_assert_eq!(&shared, &whole);
        prop_assert_eq!(serde_json::to_vec(&early).unwrap(), snapshot);
    }

    #[test]
    fn a_table_patched_is_the_table_of_the_later_world(history in history(), cut in any::<prop::sample::Index>()) {
        let (first, rest) = history.split_at(cut.index(history.len() + 1));
        let mut world = World::default();
        fold_all(&mut world, first);
        let early = Table::of(&world);
        let mut stepwise = early.clone();
        for recorded in rest {
            fold(&mut world, recorded);
            let later = Table::of(&world);
            stepwise.apply(stepwise.patch_to(&later));
            prop_assert_eq!(&stepwise, &later);
        }
        let late = Table::of(&world);
        let mut at_once = early.clone();
        at_once.apply(early.patch_to(&late));
        prop_assert_eq!(&at_once, &late);
        prop_assert!(late.patch_to(&late).is_empty());
        let text = serde_json::to_vec(&early.patch_to(&late)).unwrap();
        prop_assert_eq!(serde_json::from_slice::<world::routing::Patch>(&text).unwrap(), early.patch_to(&late));
    }

    #[test]
    fn what_an_event_is_not_about_is_shared(history in history()) {
        let mut world = World::default();
        for recorded in &history {
            let before = world.clone();
            fold(&mut world, recorded);
            for (name, state) in &before.applications {
                let is_about_all = matches!(recorded.event, Event::ClockSet { .. });
                if !is_about_all && recorded.event.application() != Some(name) {
                    prop_assert!(std::sync::Arc::ptr_eq(state, &world.applications[name]));
                }
            }
        }
    }
}
