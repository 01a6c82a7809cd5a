//! What an instance may use, and a machine that limits nothing.

use std::fs;

use serde_json::Value;

use crate::harness::processes::{self, Role};
use crate::harness::{Site, place, until};

/// What `pelago doctor` says about control groups: whether they are used, and in which words.
fn control_groups(site: &Site) -> (bool, String) {
    let findings = site.json(&["doctor"]).json();
    let found = findings.as_array().unwrap().iter().find(|it| it["subject"] == "control groups");
    let found: &Value = found.unwrap();
    (found["verdict"] == "good", found["detail"].as_str().unwrap().to_owned())
}

#[track_caller]
fn check_too_much_memory(command: &str) {
    let site = Site::with(&format!(
        "
name: big
services:
  a:
    artifact: ./a
    command: {command}
    limits: {{memory: 32MiB}}
    restart: 'no'
    healthcheck: {{command: 'false'}}
"
    ));
    site.write("a/main.sh", "tail /dev/zero\nexit $?\n");
    let (limited, words) = control_groups(&site);
    if !limited {
        assert!(words.contains("without CPU and memory limits"), "{words}");
        return;
    }
    let up = site.run(&["up", "--detach"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains("a is failed: killed for using more memory than its limit"), "{up:?}");
    place(&site.events(), "a.1 ended: killed for using more memory than its limit");
    site.assert_nothing_left();
}

#[test]
fn an_instance_that_uses_too_much_memory_is_killed_for_it() {
    check_too_much_memory("tail /dev/zero");
}

#[test]
fn a_shell_whose_program_used_too_much_memory_says_so() {
    check_too_much_memory("/bin/sh main.sh");
}

#[test]
fn processors_are_limited() {
    let site = Site::with(
        "name: half\nservices: {a: {command: sleep 1000, limits: {cpus: 0.5, memory: 64MiB}}}",
    );
    let (limited, words) = control_groups(&site);
    if !limited {
        assert!(words.contains("without CPU and memory limits"), "{words}");
        return;
    }
    site.ok(&["up", "--detach"]);
    let groups = processes::cgroups(&site.data());
    let read = |name: &str| groups.iter().find_map(|it| fs::read_to_string(it.join(name)).ok());
    let quota = read("cpu.cfs_quota_us").or_else(|| read("cpu.max")).unwrap();
    assert_eq!(quota.split_ascii_whitespace().next(), Some("50000"));
    let memory = read("memory.limit_in_bytes").or_else(|| read("memory.max")).unwrap();
    assert_eq!(memory.trim(), (64 << 20).to_string());
    let (pid, _) = site.instance("a");
    for group in &groups {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
        assert_eq!(members.trim(), pid.to_string());
    }
}

/// Without the right to make control groups everything works but the limits, and nothing is left behind
/// either.
#[test]
fn an_ordinary_user_needs_no_control_groups() {
    let mut site = Site::unprivileged();
    site.start();
    site.manifest(
        "
name: plain
services:
  a: {artifact: ./a, command: /bin/sh main.sh, limits: {memory: 64MiB}, stop_grace_period: 500ms}
",
    );
    site.write("a/main.sh", "sleep 1000 &\nsetsid sleep 1000 &\nexec sleep 1000\n");
    let (limited, words) = control_groups(&site);
    if !limited {
        assert!(words.contains("without CPU and memory limits"), "{words}");
        assert_eq!(processes::cgroups(&site.data()).len(), 0);
    }
    site.ok(&["up", "--detach"]);
    let before = site.index();
    let all = processes::of(&site.data());
    assert_eq!(all.len(), 4);
    processes::kill(all.iter().find(|it| it.role == Role::Supervisor).unwrap().id);
    site.text(before, "a.2 is ready");
    place(&site.events_after(before), "a.1 ended: gone without a trace");
    until("what the first instance started to end", || {
        let alive = all.iter().any(|it| processes::is_alive(it.id));
        (!alive).then_some(())
    });
    site.ok(&["down"]);
    site.assert_nothing_left();
}
