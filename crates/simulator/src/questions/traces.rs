//! Requests with all they led to, with names, for the formats of other tools.

use std::time::Duration;

use api::simulation::{Trace, TraceSpan, Traces};

use super::report::ends;
use crate::outcome::{self, Span};
use crate::system::System;

/// The traces of a replication, as others are given them.
pub(super) fn traces(system: &System, seed: u64, kept: &[outcome::Trace]) -> Traces {
    let scenario = system.scenario();
    let users = |it: usize| scenario.users.get(it).map(|it| it.name.clone()).unwrap_or_default();
    let of = |it: &outcome::Trace| Trace {
        users: users(it.users),
        spans: it.spans.iter().map(span).collect(),
    };
    Traces {
        application: system.application().name.to_string(),
        seed,
        services: system.services().iter().map(ToString::to_string).collect(),
        zones: scenario.network.zones.iter().map(|it| it.name.clone()).collect(),
        edges: (0..system.edges().len()).map(|it| ends(system, it).unwrap_or_default()).collect(),
        traces: kept.iter().map(of).collect(),
    }
}

fn span(it: &Span) -> TraceSpan {
    let nanos = |it: Duration| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX);
    let sent = nanos(it.sent);
    // What never happened has the time of what came before it.
    let arrived = nanos(it.arrived).max(sent);
    let began = nanos(it.began).max(arrived);
    let answered = nanos(it.answered).max(began);
    TraceSpan {
        parent: it.parent,
        edge: it.edge,
        service: it.service,
        instance: it.instance,
        zone: it.zone,
        sent_ns: sent,
        arrived_ns: arrived,
        began_ns: began,
        answered_ns: answered,
        ended_ns: nanos(it.ended).max(sent),
        outcome: it.outcome.clone(),
    }
}
