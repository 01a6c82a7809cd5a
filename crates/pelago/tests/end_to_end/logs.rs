//! What instances say: in order, in part, as it comes, and never too much of it.

use std::fs;

use serde_json::Value;

use crate::harness::{Site, until};

/// Two services that say something together, and more when the file `go` is there.
const CHORUS: &str = "
name: choir
services:
  alto: {artifact: ./a, command: /bin/sh main.sh}
  bass: {artifact: ./a, command: /bin/sh main.sh}
";

fn chorus(lines: u32) -> Site {
    let site = Site::with(CHORUS);
    site.write(
        "a/main.sh",
        &format!(
            "
seq 1 {lines}
echo oops >&2
while ! test -f $HOME/go; do sleep 0.02; done
echo late
exec sleep 1000
"
        ),
    );
    site.ok(&["up", "--detach"]);
    site
}

fn go(site: &Site) {
    fs::write(site.app().parent().unwrap().join("go"), "").unwrap();
}

fn text(line: &Value) -> &str {
    line["text"].as_str().unwrap()
}

/// Waits until this many lines are there.
fn wait_for(site: &Site, count: usize) -> Vec<Value> {
    until("the lines", || {
        let lines = site.json(&["logs"]).lines();
        (count <= lines.len()).then_some(lines)
    })
}

#[test]
fn lines_are_merged_in_the_order_they_were_written() {
    let site = chorus(5);
    let lines = wait_for(&site, 12);
    assert_eq!(lines.len(), 12);
    let times: Vec<&str> = lines.iter().map(|it| it["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    for instance in ["alto.1", "bass.1"] {
        let of: Vec<&Value> = lines.iter().filter(|it| it["instance"] == instance).collect();
        let out = of.iter().filter(|it| it["stream"] == "stdout").map(|it| text(it));
        assert_eq!(out.collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
        let err = of.iter().filter(|it| it["stream"] == "stderr").map(|it| text(it));
        assert_eq!(err.collect::<Vec<_>>(), ["oops"]);
    }
    let one = site.json(&["logs", "bass"]).lines();
    assert!(one.iter().all(|it| it["instance"] == "bass.1"), "{one:?}");
    let plain = site.ok(&["logs", "alto.1", "--grep", "oops"]).out;
    assert_eq!(plain, "alto.1 | oops\n");
    assert!(site.run(&["logs", "tenor"]).err.contains("no service or instance `tenor`"));
}

/// More lines than one page has, so that an early page has nothing to show.
#[test]
fn since_passes_over_everything_before() {
    let site = chorus(1_500);
    wait_for(&site, 3_002);
    go(&site);
    let lines = wait_for(&site, 3_004);
    let late = lines.iter().find(|it| text(it) == "late").unwrap();
    let since = site.json(&["logs", "--since", late["at"].as_str().unwrap()]).lines();
    assert_eq!(since.iter().map(text).collect::<Vec<_>>(), ["late", "late"]);
}

#[test]
fn the_tail_is_the_end_of_each() {
    let site = chorus(100);
    wait_for(&site, 202);
    let tail = site.json(&["logs", "--tail", "3"]).lines();
    for instance in ["alto.1", "bass.1"] {
        let of = tail.iter().filter(|it| it["instance"] == instance);
        let mut texts: Vec<&str> = of.map(text).collect();
        texts.sort_unstable();
        // The two streams are read one after the other.
        assert_eq!(texts.len(), 3, "{tail:?}");
        assert!(texts.contains(&"100"), "{tail:?}");
    }
}

#[test]
fn who_follows_is_told_what_is_said_next() {
    let site = chorus(3);
    wait_for(&site, 8);
    let follow = site.begin(&["logs", "--follow", "--tail", "1"]);
    until("the tail", || (follow.out().lines().count() == 2).then_some(()));
    go(&site);
    until("the new lines", || (follow.out().matches("late").count() == 2).then_some(()));
    assert_eq!(follow.out().lines().count(), 4, "{}", follow.out());
}

#[test]
fn an_instance_that_has_ended_can_still_be_read() {
    let site = chorus(3);
    wait_for(&site, 8);
    site.ok(&["restart", "alto"]);
    let old = site.json(&["logs", "alto.1"]).lines();
    assert_eq!(old.len(), 4, "{old:?}");
    site.ok(&["down"]);
    let all = site.json(&["-a", "choir", "logs"]).lines();
    for instance in ["alto.1", "alto.2", "bass.1"] {
        assert!(all.iter().any(|it| it["instance"] == instance), "{instance}: {all:?}");
    }
}

#[test]
fn a_flood_fills_a_bounded_part_of_the_disk() {
    /// Three files of 8 MiB are kept.
    const KEPT_BYTES: u64 = 3 * (8 << 20);
    let site = Site::with(
        "name: flood\nservices: {a: {artifact: ./a, command: /bin/sh main.sh, restart: on-failure}}",
    );
    // More than is kept, and a line that is longer than a line may be.
    let script =
        "yes $(printf '%0200d' 7) | head -c 30000000\nhead -c 100000 /dev/zero\necho\necho end\n";
    site.write("a/main.sh", script);
    site.ok(&["up", "--detach"]);
    site.until("the end of the flood", |it| it["services"][0]["state"] == "completed");
    let entries = fs::read_dir(site.instance_folder("flood", "a.1")).unwrap().flatten();
    let logs = entries.filter(|it| it.file_name().to_str().unwrap().starts_with("log."));
    let bytes: Vec<u64> = logs.map(|it| it.metadata().unwrap().len()).collect();
    assert_eq!(bytes.len(), 3, "{bytes:?}");
    assert!(bytes.iter().sum::<u64>() <= KEPT_BYTES, "{bytes:?}");
    let last = site.json(&["logs", "--tail", "1"]).lines();
    assert_eq!(last.len(), 1);
    assert_eq!(text(&last[0]), "end");
}
