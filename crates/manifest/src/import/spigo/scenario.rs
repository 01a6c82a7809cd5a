//! What a spigo architecture is put through, as a scenario: its regions and zones, its load, and its chaos.
//!
//! spigo's DNS entries send a request every 10 ms each, and one instance of the victim is killed at half time. It says nothing
//! about distances; those here are half of common round trips between the regions of AWS, in round numbers.

use crate::import::draft::{Draft, Fields, write};
use crate::problem::Place;

/// The regions spigo knows, in the order in which it uses them.
pub(super) const REGIONS: [&str; 6] =
    ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-southeast-2"];

/// Milliseconds of one message from each region to those before it.
const DISTANCES: [&[u32]; 6] =
    [&[], &[35], &[35, 65], &[45, 70, 12], &[110, 80, 85, 80], &[100, 70, 130, 125, 45]];

/// The zones of each region.
const ZONES: [&str; 3] = ["a", "b", "c"];

/// The text of the scenario: so many regions, who is killed at half time, and where requests come in.
pub(super) fn text<'a>(
    file: &str,
    (regions, victim): (u32, Option<&str>),
    doors: impl Iterator<Item = &'a str>,
) -> String {
    let place = Place::START;
    let regions: Vec<&str> = REGIONS.into_iter().take(regions as usize).collect();
    let mut fields = Fields::default();
    fields.add("duration", Draft::text("10m"), place);
    let user = |door: &str| {
        let mut user = Fields::default();
        user.add("name", Draft::text(door), place);
        user.add("load", Draft::text("100/s"), place);
        user.add("to", Draft::text(door), place);
        user.done()
    };
    fields.add("users", Draft::List(doors.map(user).collect()), place);
    fields.add("network", network(&regions, place), place);
    let kill = victim.map(|it| Draft::text(format!("at 5m kill {it}")));
    fields.add("faults", Draft::List(kill.into_iter().collect()), place);
    let comment = format!("Made by Pelago from {file}, an architecture of spigo.");
    write(&fields.done(), &[comment]).0
}

/// Instance `n` is in zone `n` modulo their number, so that the regions take turns: each has as many.
fn network(regions: &[&str], place: Place) -> Draft {
    let zone = |(zone, region): (&str, &str)| {
        let mut fields = Fields::default();
        fields.add("name", Draft::text(format!("{region}{zone}")), place);
        fields.add("region", Draft::text(region), place);
        fields.done()
    };
    let zones = ZONES.into_iter().flat_map(|it| regions.iter().map(move |region| (it, *region)));
    let mut network = Fields::default();
    network.add("zones", Draft::List(zones.map(zone).collect()), place);
    network.add("within_zone", Draft::text("250us"), place);
    network.add("between_zones", Draft::text("1ms"), place);
    let mut links = Vec::new();
    for (to, distances) in regions.iter().zip(DISTANCES) {
        for (from, millis) in regions.iter().zip(distances) {
            let between = [from, to].map(|it| Draft::text(*it));
            let mut link = Fields::default();
            link.add("between", Draft::List(between.into()), place);
            link.add("latency", Draft::text(format!("{millis}ms")), place);
            links.push(link.done());
        }
    }
    network.add("links", Draft::List(links), place);
    network.done()
}
