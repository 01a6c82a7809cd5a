//! The journal: the past it tells, and what happens when it is damaged or somebody else's.

use std::fs;

use serde_json::Value;

use crate::harness::{Site, place, processes, texts, until};

const APP: &str = "
name: past
services: {a: {artifact: ./a, command: /bin/sh main.sh, healthcheck: {command: 'true'}}}
";

fn site() -> Site {
    let site = Site::with(APP);
    site.write("a/main.sh", "exec sleep 1000\n");
    site.ok(&["up", "--detach"]);
    site
}

fn replicas(status: &Value) -> &Value {
    &status["applications"][0]["services"][0]["replicas"]
}

#[test]
fn the_past_can_be_looked_at() {
    let site = site();
    let then = site.index();
    let time = site.events().last().unwrap()["at"].as_str().unwrap().to_owned();
    site.ok(&["scale", "a=3"]);
    let now = site.json(&["status"]).json();
    assert_eq!(*replicas(&now), 3);
    let past = site.json(&["status", "--at", &format!("@{then}")]).json();
    assert_eq!((replicas(&past), &past["index"]), (&1.into(), &then.into()));
    assert_eq!(past["applications"][0]["state"], "running");
    let past = site.json(&["status", "--at", &time]).json();
    assert_eq!((replicas(&past), &past["index"]), (&1.into(), &then.into()));
    let begin = site.json(&["status", "--at", "@1"]).json();
    assert_eq!(begin["applications"].as_array().unwrap().len(), 0);
    let future = site.run(&["status", "--at", "@100000"]);
    assert_eq!(future.code, Some(1));
    assert!(future.err.contains("@100000 is in the future"), "{future:?}");
}

#[test]
fn events_are_told_from_any_place_on() {
    let site = site();
    let all = site.json(&["events"]).lines();
    assert_eq!(all, site.events());
    let after = site.json(&["events", "--after", "3", "-n", "2"]).lines();
    assert_eq!(after, all[3..5]);
    let newest = site.json(&["events", "-n", "2"]).lines();
    assert_eq!(newest, all[all.len() - 2..]);
    let of_service = site.json(&["events", "a"]).lines();
    assert!(of_service.len() < all.len());
    assert!(of_service.iter().all(|it| it["service"] == "a"), "{of_service:?}");
    let follow = site.begin(&["events", "--follow", "-n", "1"]);
    until("the newest event", || (follow.out().lines().count() == 1).then_some(()));
    site.ok(&["scale", "a=2"]);
    until("the next events", || follow.out().contains("a.2 is ready").then_some(()));
}

#[test]
fn a_data_folder_has_one_owner() {
    let site = site();
    let second = site.run(&["serve", "--listen", "none"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let owner = site.control_pid().to_string();
    for part in [owner.as_str(), "data folder", "choose another with --data"] {
        assert!(second.err.contains(part), "no `{part}` in {second:?}");
    }
    assert_eq!(site.application()["state"], "running", "the first one does not mind");
}

#[test]
fn a_journal_of_a_later_version_is_left_alone() {
    let mut site = site();
    site.end_control();
    let path = site.data().join("journal.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    // The two places of the format's version: `user_version` and `application_id`.
    (bytes[63], bytes[71]) = (9, 9);
    fs::write(&path, &bytes).unwrap();
    let serve = site.run(&["serve", "--listen", "none"]);
    assert_eq!(serve.code, Some(1), "{serve:?}");
    assert!(serve.err.contains("newer"), "{serve:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let asked = site.run(&["ps"]);
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(asked.err.contains("newer"), "a command says it too: {asked:?}");
    assert_eq!(processes::leaders(&site.data()).len(), 1, "what runs goes on");
}

/// The machine runs what the world says, and nothing else.
#[track_caller]
fn check_machine(site: &Site) {
    let data = site.data();
    until("the machine to run what the world says", || {
        let status = site.get("/v1/status").ok();
        let mut ids = Vec::new();
        for service in status["applications"][0]["services"].as_array().into_iter().flatten() {
            let instances = service["instances"].as_array().unwrap().iter();
            ids.extend(instances.map(|it| it["id"].as_str().unwrap().to_owned()));
        }
        ids.sort();
        let leaders = processes::leaders(&data);
        let single = leaders.values().all(|it| it.len() == 1);
        (single && leaders.into_keys().collect::<Vec<_>>() == ids).then_some(())
    });
}

/// What the rest of a journal says is what goes on; what it does not know is stopped.
#[track_caller]
fn check_damaged(site: &mut Site) {
    let high_water = site_last(site);
    site.start();
    let events = site.events();
    let repaired = &events[place(&events, "the journal was damaged")];
    assert!(high_water < repaired["index"].as_u64().unwrap(), "an index was used again");
    check_machine(site);
    site.ok(&["up", "--detach"]);
    check_machine(site);
    assert_eq!(site.application()["state"], "running", "{:#?}", texts(&site.events()));
    site.ok(&["-a", "past", "down"]);
    site.assert_nothing_left();
}

/// The last index anybody was told, as the test remembers it.
fn site_last(site: &Site) -> u64 {
    fs::read_to_string(site.app().join("last")).unwrap().parse().unwrap()
}

fn remember_last(site: &Site) {
    fs::write(site.app().join("last"), site.index().to_string()).unwrap();
}

#[test]
fn a_journal_that_was_cut_is_repaired_and_what_it_lost_is_stopped() {
    for quarters in 1..4 {
        let mut site = site();
        site.ok(&["scale", "a=5"]);
        remember_last(&site);
        site.end_control();
        let path = site.data().join("journal.sqlite");
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() * quarters / 4).unwrap();
        fs::remove_dir_all(site.data().join("snapshots")).unwrap();
        assert_eq!(processes::leaders(&site.data()).len(), 5);
        check_damaged(&mut site);
    }
}

#[test]
fn a_journal_without_its_log_is_repaired_and_what_it_lost_is_stopped() {
    let mut site = site();
    remember_last(&site);
    site.kill_control();
    for suffix in ["wal", "shm"] {
        fs::remove_file(site.data().join(format!("journal.sqlite-{suffix}"))).unwrap();
    }
    check_damaged(&mut site);
}

/// Control saves a snapshot when it ends, which bridges a hole before it.
#[test]
fn issue_12_what_a_damaged_journal_still_has_is_shown_with_its_hole() {
    let mut site = site();
    let before = site.events();
    let at = place(&before, "a@r1 made");
    let lost = before[at]["index"].as_u64().unwrap();
    site.end_control();
    let path = site.data().join("journal.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    let found = bytes.windows(12).position(|it| it == b"release_made").unwrap();
    bytes[found + 40] ^= 1;
    fs::write(&path, bytes).unwrap();
    site.start();
    // Nobody has repaired it yet, and afterwards it is no different: one event is lost, and no other.
    let mut known = before.clone();
    known.remove(at);
    let check = |site: &Site| {
        let events = site.events();
        let hole = &events[place(&events, "was lost")];
        assert_eq!(hole["index"], lost, "{:#?}", texts(&events));
        let rest = events.iter().filter(|it| *it != hole);
        let rest: Vec<Value> = rest.take(known.len()).cloned().collect();
        assert_eq!(rest, known, "{:#?}", texts(&events));
    };
    check(&site);
    site.end_control();
    site.start();
    check(&site);
    // The state before the hole, and the one behind it.
    let before = site.ok(&["--format", "json", "status", "--at", &format!("@{}", lost - 1)]);
    assert_eq!(before.json()["index"], lost - 1);
    assert_eq!(site.application()["state"], "running");
    let doctor = site.run(&["doctor"]);
    assert!(doctor.out.contains("the journal was repaired once"), "{doctor:?}");
    let listed = site.ok(&["events", "-n", "1000"]).out;
    assert!(listed.contains("was lost"), "{listed}");
    check_machine(&site);
}

/// One event that is lost stops nothing that runs, whichever it is, and no number is given twice.
#[test]
fn issue_12_a_lost_event_stops_nothing_that_runs() {
    for (kind, is_shown) in [("control_started", false), ("instance_ready", true)] {
        let mut site = site();
        site.ok(&["restart", "a"]);
        site.text(0, "a.2 is ready");
        let leaders = processes::leaders(&site.data());
        site.end_control();
        fs::remove_dir_all(site.data().join("snapshots")).unwrap();
        let path = site.data().join("journal.sqlite");
        let mut bytes = fs::read(&path).unwrap();
        let found = bytes.windows(kind.len()).position(|it| it == kind.as_bytes()).unwrap();
        bytes[found + kind.len() + 12] ^= 1;
        fs::write(&path, bytes).unwrap();
        for _ in 0..2 {
            site.start();
            // What is not known to be ready is asked again.
            site.until("it to run", |it| it["state"] == "running");
            assert_eq!(processes::leaders(&site.data()), leaders, "{kind}");
            site.kill_control();
        }
        site.start();
        let texts = texts(&site.events());
        // Before the first there is, what is lost cannot be told from what was let go as too old.
        let holes = texts.iter().filter(|it| it.contains("was lost")).count();
        assert_eq!(holes, usize::from(is_shown), "{texts:#?}");
        site.ok(&["scale", "a=2"]);
        site.text(0, "a.3 is ready");
        site.ok(&["down"]);
        site.assert_nothing_left();
    }
}
