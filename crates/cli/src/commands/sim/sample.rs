//! Answers as they might be, for tests of how they look.

use api::simulation::{
    Capacity, Comparison, Credibility, Difference, EdgeReport, Estimate, Incident, Latencies,
    LoadPoint, ObjectiveResult, Origin, PathShare, Report, ServiceReport, Storm, StormCell,
    Timeline, UsersReport, Verdict,
};

/// A figure with an interval of two percent.
pub(super) fn of(value: f64) -> Estimate {
    Estimate { value, half_width: Some(value * 0.02), refused: None }
}

fn latency(mean: f64) -> Latencies {
    let of = |factor: f64| of(mean * factor);
    Latencies {
        mean_ms: of(1.0),
        p50_ms: of(0.7),
        p90_ms: of(2.3),
        p99_ms: of(4.6),
        p999_ms: Estimate {
            value: 6.9 * mean,
            half_width: None,
            refused: Some("too few".to_owned()),
        },
    }
}

pub(super) fn origin() -> Origin {
    Origin {
        application: "shop".to_owned(),
        version: "0.1.0".to_owned(),
        seed: 1,
        replications: 10,
        duration_s: 300.0,
        warm_up_s: 12.5,
        warm_up_by: "mser-5".to_owned(),
        model: "0123456789abcdef".to_owned(),
        digest: "fedcba9876543210".to_owned(),
        events: 1_234_567,
        command: "pelago sim run shop.yaml --replications 10 --seed 1".to_owned(),
    }
}

fn credibility() -> Credibility {
    Credibility {
        violations: Vec::new(),
        little_max_error: 0.0012,
        assumptions: vec!["100 requests/s come from outside".to_owned()],
        refusals: ["a", "b", "c", "d", "e"].map(|it| format!("{it} is 95 % busy")).to_vec(),
    }
}

fn service(name: &str, busy: Option<f64>) -> ServiceReport {
    ServiceReport {
        name: name.to_owned(),
        instances: 3.0,
        arrivals: of(120.0),
        utilisation: busy.map(of),
        waiting: of(0.4),
        waiting_max: 9,
        errors: Estimate { value: 0.0, half_width: Some(0.0), refused: None },
        rejected: of(0.0),
        sojourn: latency(12.0),
        waited: latency(2.0),
    }
}

fn edge(caller: &str, callee: &str, attempts: f64) -> EdgeReport {
    EdgeReport {
        caller: caller.to_owned(),
        callee: callee.to_owned(),
        calls: of(120.0),
        errors: of((attempts - 1.0) / 10.0),
        attempts_per_call: of(attempts),
        calls_per_request: of(1.2),
        retries: of(0.0),
        hedges: of(0.0),
        refused: if 1.0 < attempts { vec![("overloaded".to_owned(), of(2.5))] } else { Vec::new() },
        latency: latency(12.0),
    }
}

pub(super) fn report() -> Report {
    let objective = |objective: &str, found: f64, asked: f64, state: &str| ObjectiveResult {
        objective: objective.to_owned(),
        found: Estimate { value: found, half_width: Some(0.0002), refused: None },
        asked,
        state: state.to_owned(),
    };
    let verdict = Verdict {
        meets: false,
        summary: "misses p99 within 500ms; cart is busiest, at 82 %".to_owned(),
        objectives: vec![
            objective("success 99.9%", 0.9994, 0.999, "met"),
            objective("p99 within 500ms", 612.0, 500.0, "missed"),
        ],
        bottleneck: Some("cart".to_owned()),
        utilisation: Some(of(0.82)),
        headroom: Some(1.219_512),
    };
    let users = UsersReport {
        name: "people".to_owned(),
        offered: of(100.0),
        goodput: of(99.94),
        success: Estimate { value: 0.9994, half_width: Some(0.0002), refused: None },
        latency: latency(40.0),
    };
    let share = |name: &str, share, waiting| PathShare {
        name: name.to_owned(),
        share,
        working: share - waiting,
        waiting,
    };
    let wave = |at: i32| 100.0 + 50.0 * f64::from(at % 7);
    let series: Vec<f64> = (0..120).map(wave).collect();
    let nothing = vec![0.0; 120];
    let timeline = Timeline {
        bucket_s: 2.5,
        offered: series.clone(),
        goodput: series.clone(),
        failed: nothing.clone(),
        attempts: series.clone(),
        p50_ms: vec![Some(20.0); 120],
        p99_ms: (0..120).map(|it| (it != 3).then(|| wave(it))).collect(),
        waiting: nothing.clone(),
        ejected: nothing.clone(),
        open: nothing.clone(),
        ready: nothing,
    };
    let began =
        Incident { at_s: 60.0, kind: "fault-began".to_owned(), what: "cart slow by 10".to_owned() };
    Report {
        origin: origin(),
        verdict,
        credibility: credibility(),
        users: vec![users],
        services: (0..8).map(|it| service(&format!("s{it}"), (it != 7).then_some(0.96))).collect(),
        edges: vec![edge("outside", "web", 1.0), edge("web", "cart", 1.4)],
        critical_path: vec![
            share("cart", 0.6, 0.25),
            share("web", 0.396, 0.0),
            share("network", 0.004, 0.0),
        ],
        timeline,
        incidents: vec![began],
    }
}

fn point(factor: f64, state: &str) -> LoadPoint {
    LoadPoint {
        factor,
        offered: of(100.0 * factor),
        goodput: of(100.0 * factor),
        success: of(1.0),
        latency: latency(10.0 * factor),
        bottleneck: Some(("cart".to_owned(), 0.3 * factor)),
        state: state.to_owned(),
    }
}

pub(super) fn capacity() -> Capacity {
    Capacity {
        origin: origin(),
        meets: Some(310.2),
        misses: Some(315.9),
        capacity: of(312.0),
        summary: "it bears 310 requests/s, 3.12 times the load; cart (97 % busy) gives way: p99 within 500ms is missed"
            .to_owned(),
        bottleneck: Some("cart (97 % busy)".to_owned()),
        limited_by: Some("p99 within 500ms".to_owned()),
        headroom: Some(3.12),
        points: vec![point(1.0, "met"), point(3.1, "met"), point(3.16, "undecided"), point(4.0, "missed")],
        credibility: Credibility { refusals: Vec::new(), ..credibility() },
    }
}

pub(super) fn comparison() -> Comparison {
    let figure = |what: &str, unit: &str, more_is_better| Difference {
        what: what.to_owned(),
        unit: unit.to_owned(),
        a: of(20.0),
        b: of(16.0),
        difference: Estimate { value: -4.0, half_width: Some(0.25), refused: None },
        differs: true,
        more_is_better,
    };
    let same = Difference {
        difference: Estimate { value: 0.1, half_width: Some(0.25), refused: None },
        differs: false,
        ..figure("attempts per call web -> cart", "", None)
    };
    let refused = Estimate { half_width: None, refused: Some("too few".to_owned()), ..of(-4.0) };
    let tail =
        Difference { difference: refused, differs: false, ..figure("p99.9", "ms", Some(false)) };
    let utilisation = Difference {
        a: of(0.6),
        b: of(0.3),
        difference: Estimate { value: -0.3, half_width: Some(0.01), refused: None },
        ..figure("utilisation cart", "", None)
    };
    let mut b = report();
    b.credibility.refusals = vec!["a is 95 % busy".to_owned()];
    Comparison {
        a: report(),
        b,
        differences: vec![
            figure("goodput", "/s", Some(true)),
            figure("mean", "ms", Some(false)),
            tail,
            same,
            utilisation,
        ],
        summary: "the second has goodput 20.0 % lower (worse), mean 20.0 % lower (better)"
            .to_owned(),
    }
}

pub(super) fn storm() -> Storm {
    let cell = |load, size_s, state: &str, recovered, recovery_s: Option<f64>| StormCell {
        load,
        size_s,
        state: state.to_owned(),
        recovered,
        replications: 10,
        recovery_s: recovery_s.map(of),
        goodput_after: f64::from(recovered) / 10.0,
    };
    Storm {
        origin: origin(),
        trigger: "load 3".to_owned(),
        loads: vec![1.0, 1.5, 2.0],
        sizes_s: vec![1.0, 90.0],
        cells: vec![
            cell(1.0, 1.0, "stable", 10, Some(0.0)),
            cell(1.0, 90.0, "stable", 10, Some(12.5)),
            cell(1.5, 1.0, "vulnerable", 7, Some(20.0)),
            cell(1.5, 90.0, "collapsed", 0, None),
            cell(2.0, 1.0, "overloaded", 0, None),
            cell(2.0, 90.0, "overloaded", 0, None),
        ],
        summary: "at the present load it recovers from all of them; at 1.5 times the load load 3 for 90 s keeps it down (0 of 10 came back)".to_owned(),
        credibility: Credibility { refusals: Vec::new(), ..credibility() },
    }
}
