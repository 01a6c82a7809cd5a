//! What lies between instances, as meant.

use std::collections::BTreeSet;

use model::scenario::{Link, Network, Zone};

use super::Reader;
use super::defaults::ZONES_MAX;
use crate::check::listed;
use crate::spec::{LinkSpec, NetworkSpec, ZoneSpec, ZonesSpec};
use crate::yaml::At;

/// The region of zones of which nobody said it.
const REGION: &str = "local";

impl Reader<'_> {
    pub(super) fn network(&mut self, spec: &NetworkSpec, at: At<'_>) -> Network {
        let otherwise = Network::default();
        let zones = match &spec.zones {
            Some(zones) => self.zones(zones, at.key("zones")),
            None => otherwise.zones,
        };
        let links = spec.links.as_deref().unwrap_or_default();
        Network {
            links: self.links(links, at.key("links"), &zones),
            zones,
            within_zone: spec.within_zone.map_or(otherwise.within_zone, |it| it.0),
            between_zones: spec.between_zones.map_or(otherwise.between_zones, |it| it.0),
            between_regions: spec.between_regions.map_or(otherwise.between_regions, |it| it.0),
            jitter: spec.jitter.map_or(otherwise.jitter, |it| it.0),
            loss: spec.loss.map_or(otherwise.loss, |it| it.0),
            hop: spec.hop.map_or(otherwise.hop, |it| it.0),
            workers: spec.workers.unwrap_or(otherwise.workers),
        }
    }

    fn zones(&mut self, spec: &ZonesSpec, at: At<'_>) -> Vec<Zone> {
        let list = match spec {
            ZonesSpec::Count(count) => {
                return (0..*count)
                    .map(|it| Zone { name: letter(it), region: REGION.into() })
                    .collect();
            }
            ZonesSpec::List(list) => list,
        };
        if list.is_empty() || (ZONES_MAX as usize) < list.len() {
            let message = format!("there are from 1 to {ZONES_MAX} zones; name so many");
            self.findings.error(at.place, message);
        }
        let mut zones: Vec<Zone> = Vec::new();
        for (index, ZoneSpec { name, region }) in list.iter().enumerate() {
            let Some(name) = name.clone() else { continue };
            if zones.iter().any(|it| it.name == name) {
                let message = format!("there is a zone `{name}` already; rename one");
                self.findings.error(at.item(index).key("name").place, message);
            }
            let region = region.clone().unwrap_or_else(|| REGION.to_owned());
            zones.push(Zone { name, region });
        }
        zones
    }

    fn links(&mut self, specs: &[LinkSpec], at: At<'_>, zones: &[Zone]) -> Vec<Link> {
        let regions: BTreeSet<&str> = zones.iter().map(|it| it.region.as_str()).collect();
        let mut links = Vec::new();
        for (index, LinkSpec { between, latency }) in specs.iter().enumerate() {
            let at = at.item(index);
            let (Some(between), Some(latency)) = (between, latency) else { continue };
            let [one, other] = between.as_slice() else {
                let message = "a link is between two regions; write both";
                self.findings.error(at.key("between").place, message);
                continue;
            };
            for (index, region) in [one, other].into_iter().enumerate() {
                if !regions.contains(region.as_str()) {
                    let message = format!(
                        "no zone is in the region `{region}`; there is {}",
                        listed(&regions)
                    );
                    self.findings.error(at.key("between").item(index).place, message);
                }
            }
            links.push(Link { between: (one.clone(), other.clone()), latency: latency.0 });
        }
        links
    }
}

/// `a` to `z`, then `a2`.
fn letter(number: u32) -> String {
    let letter = char::from(b'a' + u8::try_from(number % 26).unwrap_or_default());
    match number / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{}", round + 1),
    }
}
