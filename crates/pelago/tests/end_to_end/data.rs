//! Data that outlives releases, and services that are replaced only when they have ended.

use std::fs;

use crate::harness::{Site, place, until};

/// Writes down when it begins and ends, and whether somebody else was there.
const DATABASE: &str = "
say() { echo $1 $PELAGO_INSTANCE >> $DATA_DIR/log; }
trap 'sleep 0.2; rmdir $DATA_DIR/open; say ended; exit 0' INT
mkdir $DATA_DIR/open || say TWICE
say began
touch $TMPDIR/up
while :; do sleep 0.02; done
";

fn manifest(site: &Site, version: u32) {
    site.manifest(&format!(
        "name: shop\nservices:\n  db:\n    artifact: ./db\n    command: sh main.sh\n    data: orders\n    \
         stop_signal: SIGINT\n    environment: {{VERSION: '{version}'}}\n    healthcheck: {{command: \
         'test -f ${{TMPDIR}}/up'}}\n"
    ));
}

fn said(site: &Site) -> String {
    fs::read_to_string(site.data().join("data/shop/orders/log")).unwrap()
}

#[test]
fn issue_12_data_outlives_releases_and_belongs_to_one_instance() {
    let site = Site::serving();
    site.write("db/main.sh", DATABASE);
    manifest(&site, 1);
    site.ok(&["up", "--detach"]);
    manifest(&site, 2);
    let asked = site.ok(&["deploy", "--strategy", "canary", "--detach"]);
    let instead = "db is replaced by `recreate`, not `canary`";
    assert!(asked.err.contains(instead) || asked.out.contains(instead), "{asked:?}");
    site.text(0, "db.2 is ready");
    site.ok(&["restart", "db"]);
    site.text(0, "db.3 is ready");
    site.run(&["rollback", "db"]);
    site.text(0, "db.4 is ready");
    assert_eq!(site.service("db")["release"], "r1");
    site.ok(&["down"]);
    let numbers: Vec<String> =
        (1..=4).map(|it| format!("began db.{it}\nended db.{it}\n")).collect();
    assert_eq!(said(&site), numbers.concat());
    let events = site.events();
    assert!(place(&events, "db.1 ended: exit code 0") < place(&events, "db.2 should run"));
    // Of its own accord nothing removes it.
    site.ok(&["up", "--detach"]);
    until("the next", || said(&site).contains("began db.5").then_some(()));
    let refused = site.run(&["scale", "db=2"]);
    assert!(
        refused.code == Some(1) && refused.err.contains("one instance at a time"),
        "{refused:?}"
    );
    site.ok(&["down"]);
    let removed = site.ok(&["remove"]);
    assert!(
        removed.err.contains("its data stays in") || removed.out.contains("its data stays in"),
        "{removed:?}"
    );
    assert!(said(&site).contains("began db.5"));
    site.assert_nothing_left();
}
