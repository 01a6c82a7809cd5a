//! What the decisions about one request cost: begin, pick, answered, released and finish together.
//!
//! `cargo bench -p traffic`. At 40 000 requests a second and core a request has 25 µs; 300 ns are one
//! percent of that.
#![expect(clippy::panic, reason = "a benchmark may stop at the first surprise")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use model::edge::{Balance, BalancePolicy, CircuitBreaker, Hedge, Resilience};
use model::units::Share;
use model::{Instant, ReleaseNumber, Rng};
use traffic::{Ask, Begin, Edge, EndpointId, EndpointSpec, Outcome, Split};

/// Time between requests: 40 000 a second.
const GAP: Duration = Duration::from_micros(25);

fn edge(policy: &Resilience, instances: u32) -> Edge {
    let mut edge = Edge::new(policy, Rng::new(1));
    let spec = |id| EndpointSpec {
        id: EndpointId(id),
        release: ReleaseNumber(1 + id % 2),
        weight: 1,
        zone: 0,
        ready_at: Instant::ZERO,
    };
    let specs: Vec<_> = (0..instances).map(spec).collect();
    edge.set_endpoints(&specs, &Split::default(), Instant::ZERO);
    edge
}

/// One request that is answered at once.
fn request(edge: &mut Edge, now: Instant, ask: &Ask) {
    let Begin::Go(mut call) = edge.begin(now, ask) else { panic!("refused") };
    let Ok(pick) = edge.pick(now, &mut call) else { panic!("no instance") };
    black_box(edge.answered(now, &mut call, &pick, Outcome::Ok));
    edge.released(pick);
    black_box(edge.finish(now, call, Outcome::Ok));
}

fn measure(criterion: &mut Criterion, name: &str, mut edge: Edge) {
    let mut now = Instant::ZERO;
    let mut key = Rng::new(2);
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            now = now.after(GAP);
            let ask = Ask { key: Some(key.next_u64()), idempotent: true, ..Ask::default() };
            request(&mut edge, now, black_box(&ask));
        });
    });
}

fn decide(criterion: &mut Criterion) {
    for policy in [
        BalancePolicy::PeakEwma,
        BalancePolicy::LeastLoaded,
        BalancePolicy::RoundRobin,
        BalancePolicy::Hash,
    ] {
        let balance = Balance { policy, ..Balance::default() };
        let policy = Resilience { balance: balance.clone(), ..Resilience::default() };
        for instances in [10, 100] {
            let name = format!("{:?}/{instances}", balance.policy);
            measure(criterion, &name, edge(&policy, instances));
        }
    }
    let everything = Resilience {
        circuit_breaker: CircuitBreaker {
            error_rate: Some(Share::from_percent(50)),
            slower_than_percent: Some(300),
            edge_error_rate: Some(Share::from_percent(50)),
            ..CircuitBreaker::default()
        },
        max_concurrency: Some(200),
        adaptive_concurrency: true,
        hedge: Some(Hedge { after: Share::from_percent(95), budget: Share::from_percent(5) }),
        ..Resilience::default()
    };
    measure(criterion, "everything on/10", edge(&everything, 10));
}

criterion_group!(benches, decide);
criterion_main!(benches);
