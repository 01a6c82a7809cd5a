//! Faults as meant: whether the words belong together, and whether what they name is there.

use std::time::Duration;

use model::application::Application;
use model::scenario::{Fault, FaultKind, Network, Victims, When};
use model::units::Share;

use super::Reader;
use crate::check::{check_part, did_you_mean, listed};
use crate::line;
use crate::schema::SCENARIO;
use crate::spec::{FaultItemSpec, FaultSpec, InstancesSpec, SideSpec};
use crate::yaml::At;

/// What faults meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meeting<'a> {
    pub(super) application: &'a Application,
    /// Not known where a fault stands for itself.
    pub(super) network: Option<&'a Network>,
    pub(super) duration: Duration,
}

/// What goes wrong: the key, those that must stand beside it, and those that may.
const KINDS: [(&str, &[&str], &[&str]); 15] = [
    ("kill", &[], &["instances"]),
    ("slow", &["by"], &["instances"]),
    ("flaky", &["errors"], &["instances"]),
    ("cpu", &["share"], &["instances"]),
    ("lose_zone", &[], &[]),
    ("lose_region", &[], &[]),
    ("partition", &["from"], &[]),
    ("loss", &[], &[]),
    ("delay", &[], &[]),
    ("flush", &[], &["half_life"]),
    ("release", &[], &["slower", "errors"]),
    ("configure", &["resilience"], &[]),
    ("scale", &["replicas"], &[]),
    ("load", &[], &[]),
    ("surge", &[], &[]),
];

/// What cannot be undone, so that it does not last.
const FOR_GOOD: [&str; 3] = ["kill", "release", "surge"];

/// Time in which the misses of a flushed cache halve, if nobody says: what a minute's traffic fills.
const HALF_LIFE: Duration = Duration::from_secs(30);

impl Reader<'_> {
    pub(super) fn faults(
        &mut self,
        specs: &[FaultItemSpec],
        at: At<'_>,
        meeting: &Meeting<'_>,
    ) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let at = at.item(index);
            faults.extend(match spec {
                FaultItemSpec::Map(spec) => self.fault(spec, at, meeting),
                FaultItemSpec::Line(text) => self.line(text, at, meeting),
            });
        }
        faults
    }

    /// A fault on one line. All of it is at the place of the line: how it was quoted is not known.
    fn line(&mut self, text: &str, at: At<'_>, meeting: &Meeting<'_>) -> Option<Fault> {
        let node = line::node(text, |_, _| at.place, self.findings)?;
        let value = check_part(&node, ("fault", &SCENARIO), "the fault", self.findings);
        let spec = crate::filled(value, node.place, self.findings)?;
        self.fault(&spec, At::root(&node), meeting)
    }

    pub(super) fn fault(
        &mut self,
        spec: &FaultSpec,
        at: At<'_>,
        meeting: &Meeting<'_>,
    ) -> Option<Fault> {
        let when = self.when(spec, at, meeting);
        let kind = self.kind_of_fault(at)?;
        if let Some(lasts) = spec.lasts {
            self.positive(lasts.0, "for", at.key("for").place);
            if FOR_GOOD.contains(&kind) {
                let message = format!("a `{kind}` is not undone after a time; remove `for`");
                self.findings.error(at.named("for"), message);
            }
        }
        let what = match kind {
            "kill" | "slow" | "flaky" | "cpu" => self.hit(kind, spec, at),
            "lose_zone" | "lose_region" | "partition" | "loss" | "delay" => {
                self.on_the_network(kind, spec, at, meeting)
            }
            _ => self.done_to(kind, spec, at, meeting),
        };
        Some(Fault { when: when?, lasts: spec.lasts.map(|it| it.0), what: what? })
    }

    fn when(&mut self, spec: &FaultSpec, at: At<'_>, meeting: &Meeting<'_>) -> Option<When> {
        match (at.has("at"), at.has("every")) {
            (true, false) => {
                let time = spec.at?.0;
                if meeting.duration <= time {
                    let message = format!(
                        "this begins when all is over, after {}; write an earlier time, or a longer \
                         `duration`",
                        super::defaults::duration(meeting.duration)
                    );
                    self.findings.warn(at.key("at").place, message);
                }
                Some(When::At(time))
            }
            (false, true) => {
                let every = spec.every?.0;
                self.positive(every, "every", at.key("every").place).map(When::Every)
            }
            (true, true) => {
                let message = "a fault begins once, `at`, or again and again, `every`; remove one";
                self.findings.error(at.named("every"), message);
                None
            }
            (false, false) => {
                let message =
                    "when does it begin? write `at: 60s`, or `every: 10m` for again and again";
                self.findings.error(at.place, message);
                None
            }
        }
    }

    /// The one thing that goes wrong; what stands beside it has been checked then.
    fn kind_of_fault(&mut self, at: At<'_>) -> Option<&'static str> {
        let written: Vec<_> = KINDS.into_iter().filter(|(kind, ..)| at.has(kind)).collect();
        let [(kind, needs, takes)] = written.as_slice() else {
            let kinds: Vec<_> = match written.as_slice() {
                [] => KINDS.iter().map(|(kind, ..)| *kind).collect(),
                several => several.iter().map(|(kind, ..)| *kind).collect(),
            };
            let kind_is_meant = |it| did_you_mean(it, kinds.iter().copied()).is_some();
            if written.is_empty() && at.keys().any(kind_is_meant) {
                // What was meant was said with the structure.
                return None;
            }
            let message = if written.is_empty() {
                format!("what goes wrong? write one of {}", listed(&kinds))
            } else {
                format!("one fault is one thing; make several of {}", listed(&kinds))
            };
            self.findings.error(at.place, message);
            return None;
        };
        if let Some(missing) = needs.iter().find(|it| !at.has(it)) {
            let message = format!("`{kind}` needs to know more; add `{missing}`");
            self.findings.error(at.named(kind), message);
        }
        let companions = KINDS.iter().flat_map(|(_, needs, takes)| needs.iter().chain(*takes));
        let stray =
            companions.copied().find(|it| at.has(it) && !needs.contains(it) && !takes.contains(it));
        if let Some(stray) = stray {
            let message = format!("`{stray}` means nothing beside `{kind}`; remove it");
            self.findings.error(at.named(stray), message);
        }
        Some(kind)
    }

    /// What happens to instances of a service.
    fn hit(&mut self, kind: &str, spec: &FaultSpec, at: At<'_>) -> Option<FaultKind> {
        let written = match kind {
            "kill" => &spec.kill,
            "slow" => &spec.slow,
            "flaky" => &spec.flaky,
            _ => &spec.cpu,
        };
        let service = match written.as_deref()? {
            "any" => None,
            name => Some(self.known_service(name, at.key(kind).place)?),
        };
        let instances = match spec.instances {
            Some(InstancesSpec::Count(count)) => Some(count),
            Some(InstancesSpec::Word(_)) => None,
            // A process dies by itself; what makes a service slow or flaky is in all of them.
            None => (kind == "kill").then_some(1),
        };
        let victims = Victims { service, instances };
        Some(match kind {
            "kill" => FaultKind::Kill(victims),
            "slow" => FaultKind::Slow { victims, factor: spec.by? },
            "flaky" => FaultKind::Flaky { victims, errors: spec.errors?.0 },
            _ => {
                let share = spec.share?.0;
                if share == Share::ZERO {
                    let message = "with 0% nothing is ever done; write more, or `kill` them";
                    self.findings.error(at.key("share").place, message);
                }
                FaultKind::Cpu { victims, share }
            }
        })
    }

    fn on_the_network(
        &mut self,
        kind: &str,
        spec: &FaultSpec,
        at: At<'_>,
        meeting: &Meeting<'_>,
    ) -> Option<FaultKind> {
        Some(match kind {
            "lose_zone" => {
                let zone = spec.lose_zone.clone()?;
                let names = meeting.network.map(|it| it.zones.iter().map(|it| it.name.as_str()));
                self.place_known("zone", &zone, names, at.key(kind));
                FaultKind::ZoneLost(zone)
            }
            "lose_region" => {
                let region = spec.lose_region.clone()?;
                let names = meeting.network.map(|it| it.zones.iter().map(|it| it.region.as_str()));
                self.place_known("region", &region, names, at.key(kind));
                FaultKind::RegionLost(region)
            }
            "partition" => FaultKind::Partition {
                from: self.side(spec.partition.as_ref()?, at.key("partition"), meeting),
                to: self.side(spec.from.as_ref()?, at.key("from"), meeting),
            },
            "loss" => FaultKind::Loss(spec.loss?.0),
            _ => FaultKind::Delay(spec.delay?.0),
        })
    }

    /// Reports a zone or region that is not there, if it is known which are.
    fn place_known<'b>(
        &mut self,
        what: &str,
        name: &str,
        known: Option<impl Iterator<Item = &'b str>>,
        at: At<'_>,
    ) {
        let Some(known) = known else { return };
        let known: std::collections::BTreeSet<&str> = known.collect();
        if !known.contains(name) {
            let message = self.unknown(what, name, &known);
            self.findings.error(at.place, message);
        }
    }

    /// The zones and services of one side.
    fn side(&mut self, spec: &SideSpec, at: At<'_>, meeting: &Meeting<'_>) -> Vec<String> {
        let (names, single) = match spec {
            SideSpec::Name(name) => (std::slice::from_ref(name), true),
            SideSpec::Names(names) => (names.as_slice(), false),
        };
        if names.is_empty() {
            self.findings.error(at.place, "a side has somebody on it; name a zone or a service");
        }
        for (index, name) in names.iter().enumerate() {
            let at = if single { at } else { at.item(index) };
            let zones = meeting.network.map(|it| it.zones.iter().map(|it| it.name.as_str()));
            let known = zones.map(|it| it.chain(self.services.iter().copied()).collect::<Vec<_>>());
            self.place_known("zone or service", name, known.map(Vec::into_iter), at);
        }
        names.to_vec()
    }

    /// What somebody does to the application.
    fn done_to(
        &mut self,
        kind: &str,
        spec: &FaultSpec,
        at: At<'_>,
        meeting: &Meeting<'_>,
    ) -> Option<FaultKind> {
        let place = at.key(kind).place;
        Some(match kind {
            "flush" => {
                let service = self.known_service(spec.flush.as_deref()?, place)?;
                let half_life = spec.half_life.map_or(HALF_LIFE, |it| it.0);
                let half_life = self.positive(half_life, "half_life", at.key("half_life").place)?;
                FaultKind::CacheFlushed { service, half_life }
            }
            "release" => FaultKind::Released {
                service: self.known_service(spec.release.as_deref()?, place)?,
                factor: spec.slower.unwrap_or(1.0),
                errors: spec.errors.map_or(Share::ZERO, |it| it.0),
            },
            "configure" => return self.configured(spec, at, meeting),
            "scale" => FaultKind::Scaled {
                service: self.known_service(spec.scale.as_deref()?, place)?,
                replicas: spec.replicas?,
            },
            "load" => FaultKind::Load(spec.load?),
            _ => FaultKind::Surge(spec.surge?),
        })
    }

    fn configured(
        &mut self,
        spec: &FaultSpec,
        at: At<'_>,
        meeting: &Meeting<'_>,
    ) -> Option<FaultKind> {
        let place = at.key("configure").place;
        let Some((caller, callee)) = spec.configure.as_deref()?.split_once('>') else {
            self.findings.error(place, "a call has two ends; write `configure: web>cart`");
            return None;
        };
        let caller = self.known_service(caller.trim_end_matches('-').trim(), place)?;
        let callee = self.known_service(callee.trim(), place)?;
        let service = meeting.application.services.get(&caller)?;
        let Some(policy) = service.calls.get(&callee) else {
            let message = format!("`{caller}` does not call `{callee}`; name a call that is made");
            self.findings.error(place, message);
            return None;
        };
        let resilience = self.resilience(policy, spec.resilience.as_ref()?, at.key("resilience"));
        Some(FaultKind::Configured { caller, callee, resilience: Box::new(resilience) })
    }
}
