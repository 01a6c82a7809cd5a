//! Checks of a service: what is written over what is inherited.

use model::health::{Check, Health, LIVENESS_RETRIES_FACTOR, Probe};
use model::service::{SYNTHETIC_HEALTH_PATH, Source};

use super::Reader;
use super::reference::Scope;
use super::service::Written;
use crate::check::is_stray;
use crate::spec::{CheckMapSpec, CheckSpec};
use crate::yaml::At;

/// One check as written, and where.
type Layer<'a> = (&'a CheckMapSpec, At<'a>);

/// What the file says about one kind of check.
#[derive(Debug)]
enum Said<'a> {
    /// Nothing, beyond what is inherited.
    Nothing(Option<Layer<'a>>),
    /// That there is none.
    No,
    /// This, over what is inherited.
    Check(Option<Layer<'a>>, Layer<'a>),
}

fn said<'a>(
    inherited: (Option<&'a CheckSpec>, At<'a>),
    own: (Option<&'a CheckSpec>, At<'a>),
) -> Said<'a> {
    let base = match inherited.0 {
        Some(CheckSpec::Check(map)) => Some((map, inherited.1)),
        _ => None,
    };
    match (own.0, inherited.0) {
        (Some(CheckSpec::Word(_)), _) | (None, Some(CheckSpec::Word(_))) => Said::No,
        (Some(CheckSpec::Check(map)), _) => Said::Check(base, (map, own.1)),
        (None, _) => Said::Nothing(base),
    }
}

const fn has_probe(spec: &CheckMapSpec) -> bool {
    spec.path.is_some() || spec.tcp.is_some() || spec.command.is_some()
}

impl Reader<'_> {
    pub(super) fn health(
        &mut self,
        written: &Written<'_>,
        source: Option<&Source>,
        scope: &mut Scope,
    ) -> Health {
        let Written { spec, at, defaults, defaults_at, .. } = written;
        let synthetic = matches!(source, Some(Source::Behaviour(_)))
            .then(|| Check::new(Probe::Http(SYNTHETIC_HEALTH_PATH.to_owned())));
        let readiness = said(
            (defaults.healthcheck.as_ref(), defaults_at.key("healthcheck")),
            (spec.healthcheck.as_ref(), at.key("healthcheck")),
        );
        let readiness = self.check(&readiness, synthetic, scope);
        let derived = readiness.clone().map(|it| {
            let retries = it.retries.saturating_mul(LIVENESS_RETRIES_FACTOR);
            Check { retries, ..it }
        });
        let liveness = said(
            (defaults.liveness.as_ref(), defaults_at.key("liveness")),
            (spec.liveness.as_ref(), at.key("liveness")),
        );
        Health { readiness, liveness: self.check(&liveness, derived, scope) }
    }

    /// A check over `base`, which is what there is if the file says nothing.
    fn check(&mut self, said: &Said<'_>, base: Option<Check>, scope: &mut Scope) -> Option<Check> {
        let (inherited, own) = match said {
            Said::No => return None,
            Said::Nothing(inherited) => (inherited, None),
            Said::Check(inherited, own) => (inherited, Some(own)),
        };
        let layers: Vec<Layer<'_>> = inherited.iter().chain(own).copied().collect();
        let probing = layers.iter().rev().find(|(spec, _)| has_probe(spec));
        let probe = match probing {
            Some(layer) => Some(self.probe(layer, scope)?),
            None => base.as_ref().map(|it| it.probe.clone()),
        };
        let Some(probe) = probe else {
            // What is inherited without a probe is only timing, for those who have one.
            // A key that is not known was probably meant to be one.
            let timing = ["interval", "timeout", "start_period", "retries"];
            let wrong = own.filter(|(_, at)| at.keys().all(|it| timing.contains(&it)));
            if let Some((_, at)) = wrong {
                let message = "nothing is tried; write `path: /health`, `tcp: true` or `command`, or \
                               `none` to do without a check";
                self.findings.error(at.place, message);
            }
            return None;
        };
        let mut check = base.unwrap_or_else(|| Check::new(probe.clone()));
        check.probe = probe;
        for (spec, at) in layers {
            self.timing(&mut check, spec, at);
        }
        Some(check)
    }

    fn timing(&mut self, check: &mut Check, spec: &CheckMapSpec, at: At<'_>) {
        let CheckMapSpec { interval, timeout, start_period, retries, .. } = spec;
        let place = |key: &str| at.key(key).place;
        let interval = interval.and_then(|it| self.positive(it.0, "interval", place("interval")));
        let timeout = timeout.and_then(|it| self.positive(it.0, "timeout", place("timeout")));
        check.interval = interval.unwrap_or(check.interval);
        check.timeout = timeout.unwrap_or(check.timeout);
        check.start_period = start_period.map_or(check.start_period, |it| it.0);
        check.retries = retries.unwrap_or(check.retries);
    }

    fn probe(&mut self, (spec, at): &Layer<'_>, scope: &mut Scope) -> Option<Probe> {
        let written: Vec<_> =
            ["path", "tcp", "command"].into_iter().filter(|it| at.has(it)).collect();
        if let [first, second, ..] = written.as_slice() {
            let message = format!("a check tries one thing; remove `{first}` or `{second}`");
            self.findings.error(at.key(second).place, message);
            return None;
        }
        if let Some(path) = &spec.path {
            if !path.starts_with('/') {
                let message = match path.split_once("://") {
                    Some((_, rest)) => {
                        let path = rest.split_once('/').map(|(_, it)| it).unwrap_or_default();
                        format!("only the path is written, host and port are known: `/{path}`")
                    }
                    None => format!("a path begins with `/`; write `/{path}`"),
                };
                self.findings.error(at.key("path").place, message);
                return None;
            }
            if let Some(stray) = path.chars().find(|it| is_stray(*it)) {
                let message = format!(
                    "a path has no {stray:?}; write it as a request does, a space as `%20`"
                );
                self.findings.error(at.key("path").place, message);
                return None;
            }
            return Some(Probe::Http(path.clone()));
        }
        if let Some(command) = &spec.command {
            let words = self.command(command, at.key("command"), scope)?;
            return Some(Probe::Command(words));
        }
        if spec.tcp == Some(false) {
            let message = "`tcp: false` tries nothing; write `tcp: true`, or another probe";
            self.findings.error(at.key("tcp").place, message);
            return None;
        }
        spec.tcp.map(|_| Probe::Tcp)
    }
}
