//! What each event does.

use model::instance::{Exit, StopReason};
use model::{Index, ReleaseNumber, Service, Timestamp};
use world::GroupNumber;
use world::service::{ENDED_KEPT, RELEASES_KEPT};
use world::{Desired, Event, FoldError, Phase, Recorded, World};

use crate::words::{
    SHOP, Stage, about, applied, cleared, edge_opened, job, looping, named_port, port, released,
    restart, scaled, service, spare_port, stop_asked, stopped,
};

#[test]
fn control_and_repair_change_nothing_but_the_index() {
    let mut stage = Stage::with(&[("web", service(1))]);
    let before = stage.world.applications.clone();
    stage.fold(Event::ControlStarted { version: "1".to_owned(), pid: 7 });
    stage.fold(Event::JournalRepaired { report: "all is well".to_owned() });
    assert_eq!(stage.world.applications, before);
    assert_eq!(stage.world.index, Index(5));
}

#[test]
fn an_index_is_not_used_twice_and_may_be_left_out() {
    let mut stage = Stage::with(&[("web", service(1))]);
    let event = stop_asked(SHOP);
    let recorded =
        |index| Recorded { index: Index(index), at: Timestamp::EPOCH, event: event.clone() };
    let before = stage.world.clone();
    let out_of_order = FoldError::OutOfOrder { last: Index(3), found: Index(3) };
    assert_eq!(stage.world.fold(&recorded(3)), Err(out_of_order));
    assert_eq!(stage.world, before);
    assert_eq!(stage.world.fold(&recorded(17)), Ok(()));
    assert_eq!(stage.world.index, Index(17));
}

#[test]
fn what_is_not_known_changes_nothing_but_the_index() {
    let nowhere = ["web.2", "other.1"];
    let mut events = vec![stop_asked("nothing"), stopped("nothing")];
    events.extend([scaled(SHOP, "other", 2), restart(SHOP, "other"), port(SHOP, "other", 0)]);
    events.extend([looping(SHOP, "other"), cleared("nothing", "web")]);
    events.extend([spare_port(SHOP, "web", 9), edge_opened("nothing", "web", "cart")]);
    events.push(released("nothing", "web", 1, service(1)));
    events.push(about("web.1").created(9, 1));
    for id in nowhere {
        let it = about(id);
        events.extend([it.started(), it.ready(), it.unready(), it.dead()]);
        events.extend([it.stopping(StopReason::ScaledDown), it.exited(Exit::Lost)]);
    }
    let stage = Stage::with(&[("web", service(1))]);
    for event in events {
        let mut world = stage.world.clone();
        let (index, at) = (world.index.next(), Timestamp::from_millis(5));
        let kind = event.kind();
        let result = world.fold(&Recorded { index, at, event });
        assert_eq!(result, Err(FoldError::Unknown { index, kind }));
        assert_eq!(world, World { index, at, ..stage.world.clone() }, "{kind}");
    }
}

/// Who takes over has further ports of its own; a number that a release fixes is everybody's.
#[test]
fn further_ports_go_with_the_first() {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.fold_all([spare_port(SHOP, "web", 0), named_port(SHOP, "web", "admin", 25_000)]);
    let with = |grpc| {
        let ports = [("admin", None), ("grpc", grpc)];
        let ports = ports.map(|(name, port)| (name.parse().unwrap(), port)).into();
        Service { ports, ..service(1) }
    };
    stage.fold(released(SHOP, "web", 2, with(Some(9_000))));
    let ports = |it: &Stage, number: u32| {
        let ports = it.service("web").instances[&number].ports.clone();
        ports.into_iter().map(|(name, port)| format!("{name} {port}")).collect::<Vec<_>>()
    };
    stage.fold(about("web.1").created(0, 1));
    assert_eq!(ports(&stage, 1), [""; 0], "its release knows of none");
    stage.fold(about("web.2").created(0, 2));
    assert_eq!(ports(&stage, 2), ["admin 25000", "grpc 9000"]);
    let Event::InstanceCreated { application, instance, group, purpose, slot, release, .. } =
        about("web.3").created(0, 2)
    else {
        panic!("another event");
    };
    let port = 21_000;
    stage.fold(Event::InstanceCreated {
        application,
        instance,
        group,
        purpose,
        slot,
        release,
        port,
    });
    assert_eq!(ports(&stage, 3), ["admin 25001", "grpc 9000"]);
}

/// While one takes over from another, both are there; how the later one starts is not told by how the
/// earlier one ends.
#[test]
fn two_in_a_slot() {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.fold(spare_port(SHOP, "web", 0));
    assert_eq!(stage.service("web").main_group().unwrap().slots[&0].spare_port, Some(21_000));
    stage.run("web.1", 0);
    stage.fold(released(SHOP, "web", 2, service(1)));
    let successor = |id: &'static str| [about(id).created(0, 2), about(id).started()];
    stage.fold_all(successor("web.2"));
    let numbers = |it: &Stage| {
        it.service("web").main_side().unwrap().in_slot(0).map(|it| it.0).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&stage), [1, 2]);
    assert_eq!((stage.service("web").ready(), stage.service("web").is_settled()), (1, false));

    stage.fold(about("web.2").exited(Exit::Code(1)));
    let failed = |it: &Stage| {
        let slot = &it.service("web").main_group().unwrap().slots[&0];
        (slot.failures, slot.last_end.as_ref().map(|it| it.number))
    };
    assert_eq!(failed(&stage), (1, Some(2)));
    stage.fold(about("web.1").exited(Exit::Code(1)));
    assert_eq!(failed(&stage), (1, Some(2)));

    stage.fold_all(successor("web.3"));
    assert_eq!(failed(&stage), (1, None));
    stage.fold(about("web.3").ready());
    assert!(stage.service("web").is_settled());

    stage.fold(restart(SHOP, "web"));
    stage.fold_all(successor("web.4"));
    stage.fold(about("web.4").ready());
    assert_eq!((stage.service("web").ready(), stage.service("web").is_settled()), (1, false));
    stage.fold_all([about("web.3").stopping(StopReason::RestartAsked)]);
    stage.fold(about("web.3").exited(Exit::Code(0)));
    assert_eq!(failed(&stage), (0, None));
    assert!(stage.service("web").is_settled());
}

#[test]
fn an_application_runs_stops_and_is_as_new_when_it_runs_again() {
    let mut stage = Stage::with(&[("web", service(1))]);
    assert_eq!(stage.shop().desired, Desired::Running);
    stage.run("web.1", 0);
    assert!(stage.service("web").main_group().unwrap().once_healthy);
    stage.fold_all([about("web.1").exited(Exit::Code(1)), looping(SHOP, "web"), stop_asked(SHOP)]);
    assert_eq!(stage.shop().desired, Desired::Stopping);
    stage.fold(stopped(SHOP));
    assert_eq!(stage.shop().desired, Desired::Stopped);
    stage.seconds = 9;
    stage.fold(applied(SHOP, &[("web", service(3))]));
    let web = stage.service("web");
    assert_eq!((stage.shop().desired, web.replicas), (Desired::Running, 3));
    assert_eq!(
        (web.main_group().unwrap().once_healthy, web.main_group().unwrap().crash_loop_since),
        (false, None)
    );
    assert_eq!(
        (
            web.main_group().unwrap().slots[&0].failures,
            web.main_group().unwrap().slots[&0].last_end.is_none()
        ),
        (0, true)
    );
    assert_eq!((web.next_instance, web.current()), (2, ReleaseNumber(1)));
    assert_eq!(stage.shop().applied_at, Timestamp::from_millis(9_000));
}

#[test]
fn a_service_taken_out_keeps_its_numbers_and_comes_back_as_new() {
    let mut stage = Stage::with(&[("web", service(1)), ("job", job(1))]);
    stage.run("job.1", 0);
    stage.fold(about("job.1").exited(Exit::Code(0)));
    assert!(stage.service("job").is_completed());
    stage.fold(applied(SHOP, &[("web", service(1))]));
    let gone = stage.service("job");
    assert!(gone.removed && gone.replicas == 0 && !gone.is_completed());
    stage.fold(applied(SHOP, &[("web", service(1)), ("job", job(1))]));
    let back = stage.service("job");
    assert!(!back.removed && back.replicas == 1 && !back.is_completed());
    assert_eq!(back.next_instance, 2);
}

#[test]
fn applying_the_same_again_does_not_run_jobs_again() {
    let mut stage = Stage::with(&[("job", job(1))]);
    stage.run("job.1", 0);
    stage.fold(about("job.1").exited(Exit::Code(0)));
    stage.fold(applied(SHOP, &[("job", job(1))]));
    assert!(stage.service("job").is_completed());
}

#[test]
fn a_release_is_the_current_one_and_old_ones_are_forgotten_unless_they_run() {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.run("web.1", 0);
    let kept = u32::try_from(RELEASES_KEPT).unwrap();
    for number in 2..=kept + 5 {
        stage.fold(released(SHOP, "web", number, service(1)));
    }
    let web = stage.service("web");
    assert_eq!(web.current(), ReleaseNumber(kept + 5));
    assert_eq!(web.releases.len(), RELEASES_KEPT);
    assert!(web.releases.contains_key(&ReleaseNumber(1)), "one still runs it");
    assert!(!web.releases.contains_key(&ReleaseNumber(2)));
}

#[test]
fn a_slot_keeps_its_port_until_it_gets_another() {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.run("web.1", 0);
    stage.fold(about("web.1").exited(Exit::Code(1)));
    stage.fold(Event::PortAssigned {
        group: GroupNumber::default(),
        application: SHOP.parse().unwrap(),
        service: "web".parse().unwrap(),
        slot: 0,
        port: 8_080,
    });
    let slot = &stage.service("web").main_group().unwrap().slots[&0];
    assert_eq!((slot.port, slot.failures), (8_080, 1));
}

#[test]
fn an_instance_lives() {
    let mut stage = Stage::with(&[("web", service(1))]);
    let it = about("web.1");
    stage.fold(it.created(0, 1));
    assert_eq!(stage.instance("web.1").phase, Phase::Created);
    stage.seconds = 1;
    stage.fold(it.started());
    let instance = stage.instance("web.1");
    assert_eq!((instance.phase, instance.process.map(|it| it.pid)), (Phase::Running, Some(1)));
    assert!(!stage.service("web").is_settled());
    stage.fold(it.ready());
    assert!(stage.service("web").is_settled() && stage.instance("web.1").is_serving());
    stage.fold(it.unready());
    assert_eq!(stage.instance("web.1").failing.as_deref(), Some("refused"));
    assert!(!stage.instance("web.1").is_serving());
    stage.fold(it.ready());
    assert_eq!(stage.instance("web.1").failing, None);
    stage.fold(it.dead());
    assert!(stage.instance("web.1").liveness_failed);
    stage.fold(it.stopping(StopReason::LivenessFailed));
    assert!(matches!(stage.instance("web.1").phase, Phase::Stopping { .. }));
    assert_eq!(stage.service("web").ready(), 0);
    stage.fold(it.exited(Exit::Signal(9)));
    let web = stage.service("web");
    assert_eq!(
        (web.instances.len(), web.ended.len(), web.main_group().unwrap().slots[&0].failures),
        (0, 1, 1)
    );
    assert_eq!(web.ended[0].started_at, Some(Timestamp::from_millis(1_000)));
}

#[test]
fn one_told_to_stop_before_it_started_stays_told() {
    let mut stage = Stage::with(&[("web", service(1))]);
    let it = about("web.1");
    stage.fold_all([it.created(0, 1), it.stopping(StopReason::ApplicationStopped), it.started()]);
    let instance = stage.instance("web.1");
    assert!(matches!(instance.phase, Phase::Stopping { .. }) && instance.process.is_some());
}

/// Runs an instance, lets `events` happen `seconds` after it became ready, and counts its failures.
#[track_caller]
fn check_failures(seconds: u64, events: Vec<Event>, expected: u32) {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.run("web.1", 0);
    stage.seconds = seconds;
    stage.fold_all(events);
    assert_eq!(stage.service("web").main_group().unwrap().slots[&0].failures, expected);
}

#[test]
fn which_ends_are_failed_starts() {
    let it = about("web.1");
    let exit = |code| it.exited(Exit::Code(code));
    check_failures(9, vec![exit(1)], 1);
    check_failures(9, vec![exit(0)], 1);
    check_failures(10, vec![exit(1)], 0);
    check_failures(9, vec![it.unready(), exit(1)], 1);
    check_failures(60, vec![it.unready(), it.ready(), exit(1)], 0);
    check_failures(60, vec![it.dead(), it.stopping(StopReason::LivenessFailed), exit(0)], 0);
    check_failures(9, vec![it.dead(), it.stopping(StopReason::LivenessFailed), exit(0)], 1);
    check_failures(9, vec![it.stopping(StopReason::NeverReady), exit(0)], 1);
    check_failures(9, vec![it.stopping(StopReason::RestartAsked), it.exited(Exit::Signal(9))], 0);
    check_failures(9, vec![restart(SHOP, "web"), exit(1)], 0);
    // Issue 12: a killed supervisor is no failed start.
    check_failures(9, vec![it.exited(Exit::Lost)], 0);
    check_failures(9, vec![released(SHOP, "web", 2, service(1)), exit(1)], 0);
}

#[test]
fn being_unready_soon_after_the_start_is_no_good_start_however_long_it_lasts() {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.run("web.1", 0);
    stage.seconds = 3;
    stage.fold(about("web.1").unready());
    stage.seconds = 3_600;
    stage.fold(about("web.1").exited(Exit::Code(1)));
    assert_eq!(stage.service("web").main_group().unwrap().slots[&0].failures, 1);
}

#[test]
fn a_crash_loop_that_is_over_is_not_counted_again() {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.run("web.1", 0);
    stage.fold_all([about("web.1").exited(Exit::Code(1)), looping(SHOP, "web")]);
    assert_eq!(stage.service("web").main_group().unwrap().crash_loop_since, Some(Timestamp::EPOCH));
    stage.run("web.2", 0);
    stage.fold(cleared(SHOP, "web"));
    let web = stage.service("web");
    assert_eq!(
        (web.main_group().unwrap().crash_loop_since, web.main_group().unwrap().slots[&0].failures),
        (None, 0)
    );
}

#[test]
fn a_restart_asked_for_makes_everything_old_and_forgives() {
    let mut stage = Stage::with(&[("web", service(2))]);
    stage.run("web.1", 0);
    stage.run("web.2", 1);
    stage.fold(about("web.2").exited(Exit::Code(1)));
    stage.fold(restart(SHOP, "web"));
    let web = stage.service("web");
    assert!(
        web.main_side().unwrap().is_outdated(1, web.current())
            && !web.main_side().unwrap().is_outdated(3, web.current())
    );
    assert_eq!((web.main_group().unwrap().slots[&1].failures, web.is_settled()), (0, false));
}

#[test]
fn only_the_last_ends_are_kept() {
    let mut stage = Stage::with(&[("web", service(1))]);
    for number in 1..=ENDED_KEPT + 3 {
        let id = format!("web.{number}");
        stage.fold_all([about(&id).created(0, 1), about(&id).exited(Exit::Code(1))]);
    }
    let ended: Vec<u32> = stage.service("web").ended.iter().map(|it| it.number).collect();
    assert_eq!(ended, (4..=u32::try_from(ENDED_KEPT).unwrap() + 3).collect::<Vec<_>>());
}

#[test]
fn a_job_is_completed_when_every_slot_is_and_none_is_missing() {
    let mut stage = Stage::with(&[("job", job(2))]);
    for (number, code) in [(1, 0), (2, 1)] {
        let id = format!("job.{number}");
        stage.run(&id, number - 1);
        stage.fold(about(&id).exited(Exit::Code(code)));
    }
    assert!(!stage.service("job").is_completed() && !stage.service("job").is_settled());
    stage.run("job.3", 1);
    stage.fold(about("job.3").exited(Exit::Code(0)));
    assert!(stage.service("job").is_completed() && stage.service("job").is_settled());
    stage.fold(scaled(SHOP, "job", 3));
    assert!(!stage.service("job").is_completed(), "its third slot has no port yet");
}

#[test]
fn none_wanted_is_not_healthy() {
    let mut stage = Stage::with(&[("web", service(1))]);
    stage.fold_all([about("web.1").created(0, 1), scaled(SHOP, "web", 0)]);
    stage.fold(about("web.1").exited(Exit::Lost));
    assert!(!stage.service("web").main_group().unwrap().once_healthy);
}
