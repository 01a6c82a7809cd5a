//! Answers to draw: a shop in trouble, and shapes of answers that are hard to draw.

use api::simulation::{
    Capacity, Comparison, Credibility, Difference, EdgeReport, Estimate, Incident, Latencies,
    LoadPoint, ObjectiveResult, Origin, PathShare, Report, ServiceReport, Storm, StormCell, Sweep,
    Timeline, UsersReport, Verdict,
};

pub(crate) fn found(value: f64) -> Estimate {
    Estimate { value, half_width: Some(value.abs() * 0.04), refused: None }
}

fn refused(value: f64) -> Estimate {
    let refused = Some("the run is too short: 36 900 requests are needed".to_owned());
    Estimate { value, half_width: None, refused }
}

fn latencies(mean: f64) -> Latencies {
    Latencies {
        mean_ms: found(mean),
        p50_ms: found(mean * 0.7),
        p90_ms: found(mean * 2.2),
        p99_ms: found(mean * 5.5),
        p999_ms: refused(mean * 11.0),
    }
}

pub(crate) fn origin() -> Origin {
    Origin {
        application: "shop".to_owned(),
        version: "0.1.0".to_owned(),
        seed: 42,
        replications: 10,
        duration_s: 300.0,
        warm_up_s: 20.0,
        warm_up_by: "mser-5".to_owned(),
        model: "9c4f0c2be81a77d1".to_owned(),
        digest: "51ab90cc0273f4e8".to_owned(),
        events: 48_213_377,
        command:
            "pelago sim run pelago.yaml --scenario black-friday.yaml --seed 42 --replications 10"
                .to_owned(),
    }
}

pub(crate) fn credibility() -> Credibility {
    Credibility {
        violations: Vec::new(),
        little_max_error: 0.000_31,
        assumptions: vec![
            "work times of `payments` are as its behaviour in the file says; nobody has measured them".to_owned(),
            "the gateway takes no time".to_owned(),
        ],
        refusals: vec!["p99.9: the run is too short for an interval".to_owned()],
    }
}

const SERVICES: [(&str, f64, f64, f64); 9] = [
    ("web", 3.0, 120.0, 0.41),
    ("catalog", 3.0, 240.0, 0.62),
    ("cart", 2.0, 88.0, 0.35),
    ("orders", 2.0, 24.0, 0.74),
    ("payments", 2.0, 26.4, 0.93),
    ("recommendation", 2.0, 96.0, 0.55),
    ("shopdb", 1.0, 180.0, 0.81),
    ("cache", 1.0, 410.0, 0.12),
    ("mail", 1.0, 12.0, 0.05),
];

const EDGES: [(&str, &str, f64, f64, f64); 13] = [
    ("outside", "web", 120.0, 1.0, 0.0),
    ("web", "catalog", 240.0, 1.0, 0.0),
    ("web", "cart", 64.0, 1.0, 0.0004),
    ("web", "recommendation", 96.0, 1.01, 0.002),
    ("web", "orders", 24.0, 1.0, 0.012),
    ("recommendation", "catalog", 96.0, 1.0, 0.0),
    ("orders", "payments", 22.0, 1.2, 0.061),
    ("orders", "cart", 24.0, 1.0, 0.0),
    ("orders", "mail", 12.0, 1.0, 0.0),
    ("catalog", "shopdb", 140.0, 1.0, 0.0),
    ("catalog", "cache", 330.0, 1.0, 0.0),
    ("cart", "cache", 80.0, 1.0, 0.0),
    ("orders", "shopdb", 40.0, 1.04, 0.003),
];

fn service(&(name, instances, rate, busy): &(&str, f64, f64, f64)) -> ServiceReport {
    ServiceReport {
        name: name.to_owned(),
        instances,
        arrivals: found(rate),
        utilisation: (name != "mail").then(|| found(busy)),
        waiting: found(busy * busy / (1.0 - busy)),
        waiting_max: 31,
        errors: found(if name == "payments" { 0.061 } else { 0.0 }),
        rejected: found(0.0),
        sojourn: latencies(4.0 / (1.0 - busy)),
        waited: latencies(4.0 * busy / (1.0 - busy)),
    }
}

fn edge(&(caller, callee, rate, attempts, errors): &(&str, &str, f64, f64, f64)) -> EdgeReport {
    EdgeReport {
        caller: caller.to_owned(),
        callee: callee.to_owned(),
        calls: found(rate),
        errors: found(errors),
        attempts_per_call: found(attempts),
        calls_per_request: found(rate / 120.0),
        retries: found(rate * (attempts - 1.0)),
        hedges: found(0.0),
        refused: if callee == "payments" {
            vec![("circuit-open".to_owned(), found(0.4))]
        } else {
            Vec::new()
        },
        latency: latencies(12.0),
    }
}

/// Goodput falls while payments is slow, and comes back.
fn timeline() -> Timeline {
    let mut timeline = Timeline { bucket_s: 1.0, ..Timeline::default() };
    for at in 0..300 {
        let noise = f64::from((at * 7919 + 13) % 23) - 11.0;
        let is_hit = (120..170).contains(&at);
        let offered = 120.0 + noise;
        let lost = if is_hit { 38.0 + noise } else { 0.2 };
        timeline.offered.push(offered);
        timeline.goodput.push(offered - lost);
        timeline.failed.push(lost);
        timeline.attempts.push(offered * if is_hit { 8.4 } else { 6.9 });
        timeline.p50_ms.push((at != 131).then_some(if is_hit { 61.0 } else { 17.0 + noise / 8.0 }));
        timeline.p99_ms.push((at != 131).then_some(if is_hit {
            1_950.0
        } else {
            140.0 + noise * 3.0
        }));
        timeline.waiting.push(if is_hit { 160.0 + noise * 4.0 } else { 4.0 + noise / 6.0 });
        timeline.ejected.push(if is_hit { 1.0 } else { 0.0 });
        timeline.open.push(if (130..160).contains(&at) { 1.0 } else { 0.0 });
        timeline.ready.push(if at == 240 { 16.0 } else { 17.0 });
    }
    timeline
}

pub(crate) fn report() -> Report {
    let objective = |objective: &str, value, asked, state: &str| ObjectiveResult {
        objective: objective.to_owned(),
        found: Estimate { value, half_width: Some(asked * 0.002), refused: None },
        asked,
        state: state.to_owned(),
    };
    let incident = |at_s, kind: &str, what: &str| Incident {
        at_s,
        kind: kind.to_owned(),
        what: what.to_owned(),
    };
    let users = |name: &str, rate, success| UsersReport {
        name: name.to_owned(),
        offered: found(rate),
        goodput: found(rate * success),
        success: found(success),
        latency: latencies(29.0),
    };
    let share = |name: &str, share: f64, working: f64| PathShare {
        name: name.to_owned(),
        share,
        working,
        waiting: share - working,
    };
    Report {
        origin: origin(),
        verdict: Verdict {
            meets: false,
            summary: "misses success 99.9%; payments is busiest, at 93 %".to_owned(),
            objectives: vec![
                objective("success 99.9%", 0.9482, 0.999, "missed"),
                objective("p99 within 500ms", 412.0, 500.0, "met"),
                objective("p99.9 within 2s", 1_996.0, 2_000.0, "undecided"),
            ],
            bottleneck: Some("payments".to_owned()),
            utilisation: Some(found(0.93)),
            headroom: Some(1.075),
        },
        credibility: credibility(),
        users: vec![users("shoppers", 100.0, 0.941), users("mobile-app", 20.0, 0.984)],
        services: SERVICES.iter().map(service).collect(),
        edges: EDGES.iter().map(edge).collect(),
        critical_path: vec![
            share("payments", 0.44, 0.12),
            share("shopdb", 0.2, 0.09),
            share("catalog", 0.14, 0.1),
            share("web", 0.1, 0.09),
            share("network", 0.07, 0.0),
            share("orders", 0.05, 0.05),
        ],
        timeline: timeline(),
        incidents: vec![
            incident(120.0, "fault-began", "payments ×4 slower"),
            incident(131.0, "fleet", "orders → payments: breaker opened"),
            incident(150.0, "fault-began", "zone b lost"),
            incident(160.0, "fault-ended", "zone b lost"),
            incident(170.0, "fault-ended", "payments ×4 slower"),
            incident(240.0, "fault-began", "killed cart.2"),
        ],
    }
}

pub(crate) fn point(factor: f64) -> LoadPoint {
    let offered = 40.0 * factor;
    let busy = offered / 120.0;
    let slow = 1.0 / (1.0 - busy.min(0.985));
    LoadPoint {
        factor,
        offered: Estimate { value: offered, half_width: Some(0.2), refused: None },
        goodput: found(offered.min(104.0)),
        success: found((104.0 / offered).min(1.0)),
        latency: latencies(9.0 * slow),
        bottleneck: Some(("payments".to_owned(), busy.min(1.0))),
        state: if factor < 2.4 {
            "met"
        } else if factor < 2.6 {
            "undecided"
        } else {
            "missed"
        }
        .to_owned(),
    }
}

pub(crate) fn capacity() -> Capacity {
    let factors = [0.25, 0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0, 4.0];
    Capacity {
        origin: origin(),
        meets: Some(90.0),
        misses: Some(100.0),
        capacity: Estimate { value: 94.2, half_width: Some(2.6), refused: None },
        summary: "94 requests/s meet every objective; payments gives way first".to_owned(),
        bottleneck: Some("payments".to_owned()),
        limited_by: Some("p99 within 500ms".to_owned()),
        headroom: Some(2.36),
        points: factors.into_iter().map(point).collect(),
        credibility: credibility(),
    }
}

pub(crate) fn sweep() -> Sweep {
    let values = [("1", 3.4), ("2", 2.2), ("3", 1.4), ("4", 1.0), ("6", 0.6), ("8", 0.5)];
    Sweep {
        origin: origin(),
        parameter: "services.payments.replicas".to_owned(),
        points: values
            .into_iter()
            .map(|(value, factor)| (value.to_owned(), point(factor)))
            .collect(),
        summary: "4 replicas meet every objective".to_owned(),
        credibility: credibility(),
    }
}

pub(crate) fn storm() -> Storm {
    let loads = vec![0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0];
    let sizes_s = vec![1.0, 2.0, 5.0, 10.0, 20.0, 60.0];
    let mut cells = Vec::new();
    for load in &loads {
        for size_s in &sizes_s {
            let strain: f64 = load * load * (1.0 + size_s / 12.0);
            let (state, recovered) = match strain {
                _ if 1.9 < *load => ("overloaded", 0),
                it if it < 2.0 => ("stable", 10),
                it if it < 4.5 => ("vulnerable", 6),
                _ => ("collapsed", 0),
            };
            cells.push(StormCell {
                load: *load,
                size_s: *size_s,
                state: state.to_owned(),
                recovered,
                replications: 10,
                recovery_s: (0 < recovered).then(|| found(size_s / (1.6 - load.min(1.5)))),
                goodput_after: if recovered == 10 { 1.0 } else { f64::from(recovered) / 10.0 },
            });
        }
    }
    Storm {
        origin: origin(),
        trigger: "slow payments x10".to_owned(),
        loads,
        sizes_s,
        cells,
        summary: "at the load now, a trigger of 10 s may not be survived".to_owned(),
        credibility: credibility(),
    }
}

pub(crate) fn comparison() -> Comparison {
    let difference = |what: &str, unit: &str, a: f64, b: f64, more_is_better| {
        let half = (a.abs() * 0.03).max(1e-3);
        Difference {
            what: what.to_owned(),
            unit: unit.to_owned(),
            a: found(a),
            b: found(b),
            difference: Estimate { value: b - a, half_width: Some(half), refused: None },
            differs: half < (b - a).abs(),
            more_is_better,
        }
    };
    let a = report();
    let mut b = report();
    b.timeline.goodput.iter_mut().for_each(|it| *it = it.max(112.0));
    b.timeline.p99_ms.iter_mut().for_each(|it| *it = it.map(|it| it.min(420.0)));
    Comparison {
        a,
        b,
        differences: vec![
            difference("goodput", "/s", 113.0, 118.6, Some(true)),
            difference("success", "share", 0.948, 0.991, Some(true)),
            difference("mean latency", "ms", 29.0, 28.6, Some(false)),
            difference("p99", "ms", 412.0, 268.0, Some(false)),
            difference("p99.9", "ms", 1_996.0, 4_460.0, Some(false)),
            difference("attempts per call orders -> payments", "", 1.2, 1.04, Some(false)),
            difference("instances left alone", "", 0.0, 0.4, None),
            difference("calls web -> catalog", "/s", 240.0, 262.0, None),
        ],
        summary: "B answers 4.3 % more requests well; its p99 is 144 ms shorter".to_owned(),
    }
}

/// An answer with nothing in it, one value, zeros, huge values or none in every place.
pub(crate) fn with(value: f64, count: usize) -> Report {
    let mut report = report();
    let flat = Latencies {
        mean_ms: found(value),
        p50_ms: found(value),
        p90_ms: found(value),
        p99_ms: found(value),
        p999_ms: found(value),
    };
    let list = vec![value; count];
    report.timeline = Timeline {
        bucket_s: if value.is_finite() { value.clamp(0.0, 1e9) } else { 1.0 },
        offered: list.clone(),
        goodput: list.clone(),
        failed: list.clone(),
        attempts: list.clone(),
        p50_ms: vec![None; count],
        p99_ms: list.iter().copied().map(Some).collect(),
        waiting: list.clone(),
        ejected: list.clone(),
        open: list.clone(),
        ready: list,
    };
    report.users.truncate(count);
    report.services.truncate(count * 3);
    report.edges.truncate(count * 5);
    report.critical_path.truncate(count);
    report.incidents.truncate(count);
    report.verdict.objectives.truncate(count);
    report.verdict.utilisation = Some(found(value));
    report.verdict.headroom = Some(value);
    for users in &mut report.users {
        (users.offered, users.success, users.latency) = (found(value), found(value), flat.clone());
    }
    for service in &mut report.services {
        (service.utilisation, service.arrivals) = (Some(found(value)), found(value));
        service.sojourn = flat.clone();
    }
    for edge in &mut report.edges {
        (edge.calls, edge.errors, edge.attempts_per_call) =
            (found(value), found(value), found(value));
    }
    for share in &mut report.critical_path {
        (share.share, share.working, share.waiting) = (value, value, value);
    }
    for objective in &mut report.verdict.objectives {
        (objective.found, objective.asked) = (found(value), value);
    }
    report
}
