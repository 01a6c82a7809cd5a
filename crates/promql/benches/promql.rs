//! What the usual questions of dashboards take: an hour of ten thousand series, every fifteen seconds.
//! `cargo bench -p promql --bench promql`
#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use criterion::{Criterion, criterion_group, criterion_main};
use promql::eval::{Context, range};
use promql::parse::parse;

#[path = "fleet.rs"]
mod fleet;

fn questions(criterion: &mut Criterion) {
    let memory = fleet::memory();
    let mut group = criterion.benchmark_group("10k series, 1 h, 15 s");
    group.sample_size(10);
    for question in fleet::QUESTIONS {
        let expr = parse(question).unwrap();
        group.bench_function(*question, |bencher| {
            bencher.iter(|| range(&expr, fleet::steps(), &Context::new(&memory)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, questions);
criterion_main!(benches);
