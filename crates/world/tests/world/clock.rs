//! The machine's clock is set: what is waited for moves along, and nothing is later than now.

use std::time::Duration;

use model::instance::{Exit, StopReason};
use model::{Index, Timestamp};
use world::{Event, Phase, Recorded, World};

use crate::words::{SHOP, Stage, about, looping, service};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Folds an event that happens so many seconds after `NOW`.
fn fold(world: &mut World, seconds: u64, event: Event) {
    at(world, NOW.after(Duration::from_secs(seconds)), event);
}

fn at(world: &mut World, at: Timestamp, event: Event) {
    world.fold(&Recorded { index: world.index.next(), at, event }).unwrap();
}

/// The year that was wrong is not felt by what was begun in it, nor by what was begun before.
#[test]
fn a_year_ahead_and_back_is_as_if_it_had_not_been() {
    let begun = || {
        let mut world = Stage::with(&[("web", service(4))]).world;
        for (slot, id) in ["web.1", "web.2", "web.3"].into_iter().enumerate() {
            fold(&mut world, 0, about(id).created(u32::try_from(slot).unwrap(), 1));
            fold(&mut world, 1, about(id).started());
        }
        fold(&mut world, 2, about("web.1").ready());
        world
    };
    let later = |world: &mut World, ahead_ms: i64| {
        let then = |seconds| NOW.after(Duration::from_secs(seconds)).moved(ahead_ms);
        at(world, then(20), about("web.2").ready());
        at(world, then(21), about("web.1").stopping(StopReason::Superseded));
        at(world, then(22), about("web.3").exited(Exit::Code(1)));
        at(world, then(23), looping(SHOP, "web"));
    };
    let mut right = begun();
    later(&mut right, 0);

    let mut set = begun();
    at(
        &mut set,
        NOW.after(Duration::from_secs(10)).moved(YEAR_MS),
        Event::ClockSet { by_ms: YEAR_MS },
    );
    later(&mut set, YEAR_MS);
    fold(&mut set, 30, Event::ClockSet { by_ms: -YEAR_MS });
    assert_eq!(set.at, NOW.after(Duration::from_secs(30)));
    let steps: Vec<i64> = set.clock_steps.iter().map(|it| it.by_ms).collect();
    assert_eq!(steps, [YEAR_MS, -YEAR_MS]);
    assert_eq!(set.set_back(), [set.index]);
    assert_eq!(set.applications, right.applications);
}

#[test]
fn a_clock_set_forward_moves_only_what_is_waited_for() {
    let mut stage = Stage::with(&[("web", service(2))]);
    let world = &mut stage.world;
    for (slot, id) in ["web.1", "web.2"].into_iter().enumerate() {
        fold(world, 0, about(id).created(u32::try_from(slot).unwrap(), 1));
        fold(world, 1, about(id).started());
    }
    fold(world, 2, about("web.1").ready());
    fold(world, 60, about("web.2").ready());
    let then = NOW.after(Duration::from_secs(65)).moved(HOUR_MS);
    at(world, then, Event::ClockSet { by_ms: HOUR_MS });
    let ready_at = |id: &str| stage.instance(id).ready_at.unwrap();
    assert_eq!(ready_at("web.1"), NOW.after(Duration::from_secs(2)), "it has started well");
    assert_eq!(ready_at("web.2"), NOW.after(Duration::from_mins(1)).moved(HOUR_MS));
    assert!(!stage.instance("web.2").is_stable(then));
    assert!(stage.instance("web.2").is_stable(then.after(Duration::from_secs(5))));
    assert_eq!(stage.instance("web.1").phase, Phase::Running);
}

/// One that was well before, and is ready again since a moment, is waited for as if it were new: what it has been through
/// does not make the clock's step time that passed.
#[test]
fn issue_12_what_is_ready_again_is_waited_for() {
    let mut stage = Stage::with(&[("web", service(1))]);
    let world = &mut stage.world;
    for (second, event) in [
        (0, about("web.1").created(0, 1)),
        (1, about("web.1").started()),
        (2, about("web.1").ready()),
        (60, about("web.1").unready()),
        (62, about("web.1").ready()),
    ] {
        fold(world, second, event);
    }
    let then = NOW.after(Duration::from_secs(65)).moved(HOUR_MS);
    at(world, then, Event::ClockSet { by_ms: HOUR_MS });
    let web = stage.instance("web.1");
    assert_eq!(web.ready_at, Some(NOW.after(Duration::from_secs(62)).moved(HOUR_MS)));
    assert_eq!(web.started_at, Some(NOW.after(Duration::from_secs(1))));
}

/// What is kept by age is not let go because the clock is a year ahead, and for no longer than it would have been.
#[test]
fn events_do_not_age_by_what_the_clock_was_set() {
    let mut world = World::default();
    let window = Duration::from_hours(30 * 24);
    assert_eq!(world.aged_at(NOW, window), NOW);
    let ahead = NOW.moved(YEAR_MS);
    at(&mut world, ahead, Event::ClockSet { by_ms: YEAR_MS });
    assert_eq!(world.aged_at(ahead, window), NOW);
    assert_eq!(world.aged_at(ahead.after(window), window), ahead.after(window));
    at(&mut world, NOW, Event::ClockSet { by_ms: -YEAR_MS });
    assert_eq!(world.aged_at(NOW, window), NOW);
    at(&mut world, NOW.moved(-HOUR_MS), Event::ClockSet { by_ms: -HOUR_MS });
    assert_eq!(world.aged_at(NOW, window), NOW);
    assert_eq!(world.set_back(), [Index(2), Index(3)]);
}

#[test]
fn a_snapshot_from_before_steps_were_recorded_is_read() {
    let text = r#"{"index": 7, "at": 5, "applications": {}}"#;
    let read: World = serde_json::from_str(text).unwrap();
    assert_eq!(read, World { index: Index(7), at: Timestamp::from_millis(5), ..World::default() });
    assert_eq!(serde_json::to_string(&read).unwrap(), text.replace(": ", ":").replace(", ", ","));
}
