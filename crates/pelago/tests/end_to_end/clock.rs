//! The machine's clock is set while applications run.

use model::Timestamp;
use serde_json::Value;

use crate::harness::{Site, count, until};
use crate::telemetry::{order, shop, value};

const YEAR_S: i64 = 365 * 86_400;

fn at(event: &Value) -> Timestamp {
    Timestamp::parse(event["at"].as_str().unwrap()).unwrap()
}

fn replicas(status: &Value) -> &Value {
    &status["applications"][0]["services"][0]["replicas"]
}

/// Seconds between the last sample of the service's metric and the platform's time, if there is one.
fn age(site: &Site) -> Option<f64> {
    value(site, "time() - timestamp(orders_total)")?.parse().ok()
}

/// A clock that is a year ahead for a while leaves nothing of that year behind: what happens later has the right time, the
/// past can be asked for, and metrics, rules and alerts go on at once.
#[test]
fn issue_12_a_year_ahead_and_back_is_over_when_it_is_over() {
    let mut site = shop("rules: {files: [rules.yml]}");
    site.settable_clock();
    site.start();
    site.ok(&["up", "--detach"]);
    until("samples", || age(&site));
    let first = value(&site, "timestamp(orders_total)").unwrap();
    let begin = site.events().last().unwrap().clone();

    site.set_clock(YEAR_S);
    site.ok(&["scale", "cart=2"]);
    let future = site.text(0, "cart.2 is ready");
    let ahead = at(&future).since(at(&begin)).as_secs();
    assert!(YEAR_S.cast_unsigned() - 60 < ahead, "{future} after {begin}");
    assert_eq!(count(&site.events(), "was set forward by 8760h"), 1);
    until("a sample of the future", || age(&site).filter(|it| *it < 60.0));

    site.set_clock(0);
    site.ok(&["scale", "cart=3"]);
    let right = site.text(0, "cart.3 is ready");
    let later = at(&right).since(at(&begin)).as_secs();
    assert!(at(&begin) <= at(&right) && later < 3_600, "{right} after {begin}");
    let set_back = site.text(0, "was set back by 8760h");
    assert!(at(&begin) <= at(&set_back) && at(&set_back) <= at(&right), "{set_back}");

    // What was recorded in the wrong year keeps its place, and is at no time.
    let past = |asked: &str| site.json(&["status", "--at", asked]).json();
    assert_eq!(*replicas(&past(&format!("@{}", future["index"]))), 2);
    assert_eq!(*replicas(&past(begin["at"].as_str().unwrap())), 1);
    assert_eq!(*replicas(&past(right["at"].as_str().unwrap())), 3);
    let since_back = site.json(&["events", "--after", &set_back["index"].to_string()]).lines();
    assert!(since_back.iter().all(|it| at(it) <= at(&right).after(crate::harness::DEADLINE)));

    // Counters are scraped and rules evaluated by the time as it is now.
    until("a fresh sample", || age(&site).filter(|it| (-1.0..60.0).contains(it)));
    // What was measured before is there, though it was put into a file while it was a year old.
    let seconds = |text: String| text.parse::<f64>().unwrap();
    until("the samples of before", || {
        let earliest = value(&site, "min_over_time(timestamp(orders_total)[10m:1s])")?;
        (seconds(earliest) <= seconds(first.clone())).then_some(())
    });
    order(&site);
    let fired = site.text(0, "alert Ordered fires");
    assert!(at(&fired).since(at(&begin)).as_secs() < 3_600, "{fired}");
}

/// A control process that is started after its clock was set right does not go on from the future it has recorded.
#[test]
fn issue_12_a_start_after_the_clock_was_set_right_is_of_now() {
    let mut site = shop("");
    site.settable_clock();
    site.set_clock(YEAR_S);
    site.start();
    site.ok(&["up", "--detach"]);
    let future = site.events().last().unwrap().clone();
    site.kill_control();
    site.set_clock(0);
    site.start();
    let set_back = site.text(0, "was set back by 87");
    site.ok(&["scale", "cart=2"]);
    let right = site.text(0, "cart.2 is ready");
    assert!(at(&set_back) <= at(&right) && at(&right) < at(&future), "{right} after {future}");
    assert!(YEAR_S.cast_unsigned() - 3_600 < at(&future).since(at(&right)).as_secs());
    until("a fresh sample", || age(&site).filter(|it| (-1.0..60.0).contains(it)));
}
