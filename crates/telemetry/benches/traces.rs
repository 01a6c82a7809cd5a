//! What the store of traces costs: spans a second and a core, bytes a span, and finding one trace of more than a
//! million.
//!
//! `cargo bench -p telemetry --bench traces`; `SPANS_MILLIONS=1` before it for a shorter one. Spans are those of
//! a shop: eight a trace and eight tags a span, of which one is never the same, one has some thousands of values and
//! the others a few. Every span is kept, so nothing is saved by leaving any out. Rates are by the time of this
//! process, which has one thread.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its size")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

use std::time::{Duration, Instant};

use model::{Rng, Timestamp};
use telemetry::otlp::{self, Encoding};
use telemetry::protobuf::{put_bytes, put_fixed64, put_number};
use telemetry::traces::sampling::Rates;
use telemetry::traces::{Kind, Options, Query, Span, Store, Term};
use telemetry::zipkin;

/// Spans of a trace.
const SPANS: u64 = 8;
/// Traces handed over together.
const BATCH: u64 = 50;
/// Times each question is asked.
const ASKED: usize = 200;
/// When the first trace begins.
const BEGIN_MS: u64 = 1_700_000_000_000;
const SERVICES: [&str; 10] =
    ["gateway", "web", "cart", "catalog", "orders", "payments", "stock", "users", "mail", "search"];
const OPERATIONS: [&str; 8] =
    ["GET /", "GET /items", "GET /items/{id}", "POST /orders", "query", "charge", "send", "find"];

fn main() {
    decode();
    let millions = std::env::var("SPANS_MILLIONS").ok().and_then(|it| it.parse().ok());
    let traces = millions.unwrap_or(10_u64) * 1_000_000 / SPANS;
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        rates: Rates { usual: u64::MAX, special: u64::MAX },
        disk_bytes_max: u64::MAX,
        ..Options::default()
    };
    let store =
        Store::open(folder.path(), options.clone(), Timestamp::from_millis(BEGIN_MS)).unwrap();
    let rate = fill(&store, traces);
    let stats = store.stats();
    let spans = traces * SPANS;
    assert_eq!(stats.segment_spans, spans);
    println!(
        "ingest:                       {rate:>9.0} spans/s of CPU, head {} MiB",
        stats.head_bytes >> 20
    );
    println!(
        "disk:                         {:>9.1} bytes a span",
        stats.segment_bytes as f64 / spans as f64
    );
    drop(store);
    let began = Instant::now();
    let store = Store::open(folder.path(), options, Timestamp::from_millis(BEGIN_MS)).unwrap();
    println!("open, {:>3} segments:           {:>9.2} ms", stats.segments, millis(began.elapsed()));
    let mut rng = Rng::new(7);
    ask("by id", || {
        let trace = rng.below(traces);
        assert_eq!(store.trace(trace_id(trace)).len() as u64, SPANS);
    });
    ask("by an id that is not there", || {
        assert_eq!(store.trace(u128::from(rng.next_u64())).len(), 0);
    });
    let base = Query { service: Some("payments".to_owned()), limit: 20, ..Query::default() };
    let search = |name, query: &Query, least| {
        ask(name, || assert!(least <= store.search(query).traces.len()));
    };
    search("service, newest", &base, 20);
    search("service and slow", &Query { duration_least_us: Some(400_000), ..base.clone() }, 20);
    search(
        "service and the slowest",
        &Query { duration_least_us: Some(1_999_999), ..base.clone() },
        0,
    );
    // Some fifty spans of ten million, looked for in every segment.
    search(
        "slow and rare",
        &Query { duration_least_us: Some(1_990_000), limit: 1_000, ..Query::default() },
        1,
    );
    search("service and failed", &Query { errors_only: true, ..base.clone() }, 20);
    let tag = |text: &str| Query { terms: Term::read_all(text), limit: 20, ..Query::default() };
    search("a tag of one span", &tag("request.id=req-5f00000000"), 0);
    search("a tag of many spans", &tag("user.id=user-77"), 1);
    let rare = Term::Text("REQ-5f000000".to_owned());
    let asked = Query { terms: vec![rare], limit: 20, ..Query::default() };
    let began = Instant::now();
    let found = store.search(&asked);
    println!(
        "a text of no span or one      {:>9.0} ms, found {}, complete: {}",
        millis(began.elapsed()),
        found.traces.len(),
        found.is_complete
    );
    ask("services", || assert_eq!(store.services().len(), SERVICES.len()));
    let resident = host::process::resident_bytes(std::process::id()).unwrap();
    println!("resident: {} MiB", resident >> 20);
    ask("dependencies", || assert!(!store.dependencies(0, u64::MAX).is_empty()));
}

/// Prints how many spans a second are read from what clients send, and are then taken by a store.
fn decode() {
    let mut rng = Rng::new(3);
    let now = Timestamp::from_millis(BEGIN_MS);
    let batches: Vec<Vec<Span>> = (0..200)
        .map(|batch| (0..BATCH).flat_map(|it| request(batch * BATCH + it, now, &mut rng)).collect())
        .collect();
    let json: Vec<_> = batches.iter().map(|it| zipkin::write_trace(it)).collect();
    let protobuf: Vec<_> = batches.iter().map(|it| otlp_request(it)).collect();
    received("Zipkin JSON", &json, |it| zipkin::read_json(it).unwrap());
    received("OTLP protobuf", &protobuf, |it| {
        otlp::traces::read(it, Encoding::Protobuf).unwrap().spans
    });
}

fn received(name: &str, bodies: &[Vec<u8>], read: impl Fn(&[u8]) -> Vec<Span>) {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { rates: Rates { usual: u64::MAX, special: u64::MAX }, ..Options::default() };
    let store = Store::open(folder.path(), options, Timestamp::from_millis(BEGIN_MS)).unwrap();
    let (mut reading, mut taking, mut spans) = (Duration::ZERO, Duration::ZERO, 0);
    for body in bodies {
        let began = cpu();
        let batch = read(body);
        reading += cpu().saturating_sub(began);
        spans += batch.len();
        store.append(batch, Timestamp::from_millis(BEGIN_MS)).unwrap();
        taking += cpu().saturating_sub(began);
    }
    let began = cpu();
    store.tick(Timestamp::from_millis(BEGIN_MS + 60_000)).unwrap();
    store.flush(Timestamp::from_millis(BEGIN_MS + 60_000)).unwrap();
    taking += cpu().saturating_sub(began);
    let [read, taken] = [reading, taking].map(|it| spans as f64 / it.as_secs_f64());
    println!("{name:<29} {read:>9.0} spans/s of CPU read, {taken:.0} read and stored");
}

/// The spans as one request of OTLP.
fn otlp_request(spans: &[Span]) -> Vec<u8> {
    let text = |key: &str, value: &str| {
        let (mut out, mut any) = (Vec::new(), Vec::new());
        put_bytes(&mut any, 1, value.as_bytes());
        put_bytes(&mut out, 1, key.as_bytes());
        put_bytes(&mut out, 2, &any);
        out
    };
    let mut scope = Vec::new();
    for span in spans {
        let mut out = Vec::new();
        put_bytes(&mut out, 1, &span.trace.to_be_bytes());
        put_bytes(&mut out, 2, &span.id.to_be_bytes());
        put_bytes(&mut out, 4, &span.parent.unwrap_or(0).to_be_bytes());
        put_bytes(&mut out, 5, span.operation.as_bytes());
        put_number(&mut out, 6, 2);
        put_fixed64(&mut out, 7, span.start_us * 1_000);
        put_fixed64(&mut out, 8, span.end_us() * 1_000);
        for (key, value) in &span.tags {
            put_bytes(&mut out, 9, &text(key, value));
        }
        put_bytes(&mut scope, 2, &out);
    }
    let (mut resource, mut spans, mut request) = (Vec::new(), Vec::new(), Vec::new());
    put_bytes(&mut resource, 1, &text("service.name", "cart"));
    put_bytes(&mut spans, 1, &resource);
    put_bytes(&mut spans, 2, &scope);
    put_bytes(&mut request, 1, &spans);
    request
}

/// Fills the store, and returns the spans it took in a second of its process' time.
fn fill(store: &Store, traces: u64) -> f64 {
    let mut rng = Rng::new(1);
    let mut spent = Duration::ZERO;
    let mut now = Timestamp::EPOCH;
    for batch in 0..traces / BATCH {
        // A hundred thousand spans a second of the world's time.
        now = Timestamp::from_millis(BEGIN_MS + batch * BATCH * SPANS / 100);
        let ids = batch * BATCH..(batch + 1) * BATCH;
        let spans = ids.flat_map(|it| request(it, now, &mut rng)).collect();
        let began = cpu();
        store.append(spans, now).unwrap();
        if batch.is_multiple_of(250) {
            store.tick(now).unwrap();
        }
        spent += cpu().saturating_sub(began);
    }
    let began = cpu();
    store.tick(now.after(Duration::from_mins(1))).unwrap();
    store.flush(now.after(Duration::from_mins(1))).unwrap();
    spent += cpu().saturating_sub(began);
    (traces * SPANS) as f64 / spent.as_secs_f64()
}

/// The time the processor has spent on this process.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn trace_id(number: u64) -> u128 {
    let mut rng = Rng::new(number);
    u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
}

fn request(number: u64, now: Timestamp, rng: &mut Rng) -> Vec<Span> {
    let trace = trace_id(number);
    let mut ids: Vec<u64> = Vec::new();
    let start_us = now.as_millis() * 1_000 + rng.below(1_000);
    let spans = (0..SPANS).map(|place| {
        let id = rng.next_u64().max(1);
        let parent = place
            .checked_sub(1)
            .and_then(|it| ids.get(usize::try_from(rng.below(it + 1)).unwrap()));
        let parent = parent.copied();
        ids.push(id);
        let service = usize::try_from(rng.below(10)).unwrap();
        // Most are fast; one in a thousand takes a hundred times as long.
        let slow = if rng.below(1_000) == 0 { 100 } else { 1 };
        Span {
            trace,
            id,
            parent,
            kind: if place.is_multiple_of(2) { Kind::Server } else { Kind::Client },
            service: SERVICES[service].to_owned(),
            operation: OPERATIONS[usize::try_from(rng.below(8)).unwrap()].to_owned(),
            remote: if place.is_multiple_of(2) { "" } else { SERVICES[(service + 1) % 10] }
                .to_owned(),
            start_us: start_us + place * 100 + rng.below(100),
            duration_us: (rng.below(20_000) + 10) * slow,
            tags: tags(rng),
            events: Vec::new(),
            links: Vec::new(),
            is_error: rng.below(500) == 0,
            shared: false,
        }
    });
    spans.collect()
}

fn tags(rng: &mut Rng) -> Vec<(String, String)> {
    let one_of = |rng: &mut Rng, values: &[&str]| {
        values[usize::try_from(rng.below(values.len() as u64)).unwrap()].to_owned()
    };
    let tags = [
        ("http.method", one_of(rng, &["GET", "POST", "PUT"])),
        ("http.status_code", one_of(rng, &["200", "200", "201", "404", "500"])),
        ("http.route", one_of(rng, &OPERATIONS)),
        ("zone", one_of(rng, &["a", "b", "c"])),
        ("instance", format!("i-{}", rng.below(40))),
        ("pelago.release", format!("r{}", rng.below(9))),
        ("user.id", format!("user-{}", rng.below(5_000))),
        ("request.id", format!("req-{:010x}", rng.next_u64() >> 24)),
    ];
    tags.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Prints the median and the worst of the times something takes.
fn ask(name: &str, mut ask: impl FnMut()) {
    let mut times: Vec<_> = (0..ASKED)
        .map(|_| {
            let began = Instant::now();
            ask();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let [middle, worst] = [ASKED / 2, ASKED - 1].map(|it| millis(times[it]));
    println!("{name:<29} {middle:>9.3} ms, at worst {worst:.3} ms");
}
