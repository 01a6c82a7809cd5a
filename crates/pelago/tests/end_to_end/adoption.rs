//! What a new control process makes of what the one before it left.

use std::fs;

use serde_json::{Value, json};

use crate::harness::processes::{self, Role};
use crate::harness::{Site, count, place, texts, until};

const PAIR: &str = "
name: pair
services:
  a: {artifact: ./a, command: /bin/sh main.sh}
  b: {behaviour: {work: 1ms}}
";

fn pair() -> Site {
    let site = Site::with(PAIR);
    site.write("a/main.sh", "sleep 1000 &\nexec sleep 1000\n");
    site.ok(&["up", "--detach"]);
    site
}

fn status_file(site: &Site, instance: &str) -> std::path::PathBuf {
    site.instance_folder("pair", instance).join("status.json")
}

fn edit(site: &Site, instance: &str, change: impl FnOnce(&mut Value)) {
    let path = status_file(site, instance);
    let mut status: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut status);
    fs::write(&path, status.to_string()).unwrap();
}

#[test]
fn what_runs_is_taken_over_and_watched() {
    let mut site = pair();
    let leaders = processes::leaders(&site.data());
    let before = site.index();
    site.kill_control();
    site.start();
    assert_eq!(site.application()["state"], "running");
    assert_eq!(processes::leaders(&site.data()), leaders);
    assert_eq!(texts(&site.events_after(before)).len(), 1, "only that control was started");
    let (pid, id) = site.instance("b");
    assert_eq!(id, "b.1");
    processes::kill(processes::identify(pid).unwrap());
    site.text(before, "b.1 ended: killed by SIGKILL");
    site.text(before, "b.2 is ready");
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn an_end_nobody_saw_is_read_from_the_folder() {
    let mut site = pair();
    let before = site.index();
    let (pid, _) = site.instance("a");
    site.kill_control();
    processes::kill(processes::identify(pid).unwrap());
    let exit = site.instance_folder("pair", "a.1").join("exit.json");
    until("the supervisor's last words", || exit.exists().then_some(()));
    site.start();
    site.text(before, "a.2 is ready");
    let events = site.events_after(before);
    place(&events, "a.1 ended: killed by SIGKILL");
    assert_eq!(count(&events, "b.1"), 0);
}

#[test]
fn everything_that_was_lost_comes_back() {
    let mut site = pair();
    let before = site.index();
    site.kill_control();
    let all: Vec<_> = processes::of(&site.data()).iter().map(|it| it.id).collect();
    // Supervisors first, so that none can write down what it saw.
    for it in processes::of(&site.data()) {
        if it.role == Role::Supervisor {
            processes::kill(it.id);
        }
    }
    site.start();
    site.text(before, "a.2 is ready");
    site.text(before, "b.2 is ready");
    let events = site.events_after(before);
    place(&events, "a.1 ended: gone without a trace");
    place(&events, "b.1 ended: gone without a trace");
    assert!(!all.iter().any(|it| processes::is_alive(*it)), "what was left is gone");
    site.ok(&["down"]);
    site.assert_nothing_left();
}

/// After a restart of the machine a process number means nothing, even if its start time fits.
#[test]
fn after_a_reboot_nobody_else_is_taken_for_an_instance() {
    let mut site = pair();
    let before = site.index();
    site.kill_control();
    processes::kill_all(&site.data());
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let id = processes::identify(other.id()).unwrap();
    let own = json!({"pid": id.pid, "started_ticks": id.started_ticks});
    for instance in ["a.1", "b.1"] {
        drop(fs::remove_file(site.instance_folder("pair", instance).join("exit.json")));
        edit(&site, instance, |status| {
            *status = json!({"supervisor": own, "process": own, "boot_id": "another boot"});
        });
    }
    site.start();
    site.text(before, "a.2 is ready");
    site.text(before, "b.2 is ready");
    place(&site.events_after(before), "a.1 ended: gone without a trace");
    assert!(processes::is_alive(id), "a process of somebody else was killed");
    other.kill().unwrap();
    other.wait().unwrap();
}

/// The numbers of supervisor and instance now belong to somebody else, in the same boot.
#[test]
fn a_number_that_is_used_again_is_nobody_we_know() {
    let mut site = pair();
    let before = site.index();
    site.kill_control();
    processes::kill_all(&site.data());
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let id = processes::identify(other.id()).unwrap();
    drop(fs::remove_file(site.instance_folder("pair", "a.1").join("exit.json")));
    edit(&site, "a.1", |status| {
        status["supervisor"]["pid"] = id.pid.into();
        status["process"]["pid"] = id.pid.into();
    });
    site.start();
    site.text(before, "a.2 is ready");
    place(&site.events_after(before), "a.1 ended: gone without a trace");
    assert!(processes::is_alive(id), "a process of somebody else was killed");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_stop_that_was_begun_is_ended() {
    let mut site = Site::with(
        "name: slow\nservices: {a: {artifact: ./a, command: /bin/sh main.sh, stop_grace_period: 1s, healthcheck: {command: 'test -f ${TMPDIR}/up'}}}",
    );
    site.write("a/main.sh", "trap '' TERM\ntouch $TMPDIR/up\nwhile :; do sleep 1; done\n");
    site.ok(&["up", "--detach"]);
    let before = site.index();
    assert_eq!(site.post("/v1/applications/slow/stop", "").status, 200);
    site.text(before, "a.1 told to stop");
    site.kill_control();
    site.start();
    site.text(before, "slow has stopped");
    place(&site.events_after(before), "a.1 ended: killed by SIGKILL");
    site.assert_nothing_left();
}

/// What is left of a status file that was not on the disk when the power went.
const DAMAGE: [Option<&str>; 5] = [Some(""), Some("{\"superv"), None, Some(PIPE), Some(FOLDER)];
/// Something else in its place.
const PIPE: &str = "a pipe that nobody writes to";
const FOLDER: &str = "a folder";

fn damage(path: &std::path::Path, left: Option<&str>) {
    match left {
        Some(PIPE) => {
            fs::remove_file(path).unwrap();
            let (here, kind) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
            rustix::fs::mknodat(here, path, kind, 0o600.into(), 0).unwrap();
        }
        Some(FOLDER) => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }
        Some(text) => fs::write(path, text).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn issue_12_an_instance_that_died_with_its_status_is_not_taken_for_ready() {
    for left in DAMAGE {
        let mut site = pair();
        let before = site.index();
        site.kill_control();
        processes::kill_all(&site.data());
        damage(&status_file(&site, "a.1"), left);
        site.start();
        site.text(before, "a.1 ended: gone without a trace");
        site.text(before, "a.2 is ready");
        if left.is_some() {
            let doctor = site.run(&["doctor"]);
            assert!(doctor.out.contains("a.1/status.json cannot be understood"), "{doctor:?}");
        }
    }
}

#[test]
fn issue_12_an_instance_that_lives_is_found_without_its_status() {
    for left in DAMAGE {
        let mut site = pair();
        let leaders = processes::leaders(&site.data());
        let before = site.index();
        site.kill_control();
        damage(&status_file(&site, "a.1"), left);
        site.start();
        let (pid, id) = site.instance("a");
        assert_eq!((id.as_str(), processes::leaders(&site.data())), ("a.1", leaders));
        let written = fs::read_to_string(status_file(&site, "a.1")).unwrap();
        assert!(written.contains(&format!("\"pid\":{pid}")), "{written}");
        processes::kill(processes::identify(pid).unwrap());
        site.text(before, "a.1 ended: killed by SIGKILL");
        site.text(before, "a.2 is ready");
        site.ok(&["down"]);
        site.assert_nothing_left();
    }
}

#[test]
fn issue_12_an_end_that_cannot_be_read_is_an_end() {
    let mut site = pair();
    let before = site.index();
    let (pid, _) = site.instance("a");
    site.kill_control();
    processes::kill(processes::identify(pid).unwrap());
    let path = site.instance_folder("pair", "a.1").join("exit.json");
    until("its end", || path.exists().then_some(()));
    fs::write(&path, "").unwrap();
    site.start();
    site.text(before, "a.1 ended: gone without a trace");
    site.text(before, "a.2 is ready");
}

#[test]
fn issue_12_an_end_that_somebody_made_up_ends_nothing() {
    let mut site = pair();
    let leaders = processes::leaders(&site.data());
    site.kill_control();
    fs::write(site.instance_folder("pair", "a.1").join("exit.json"), "{").unwrap();
    site.start();
    assert_eq!(site.application()["state"], "running");
    assert_eq!(processes::leaders(&site.data()), leaders);
}
