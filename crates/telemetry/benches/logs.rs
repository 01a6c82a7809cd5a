//! What logs cost: reading lines, taking records in, bytes of a record, and finding.
//!
//! `cargo bench -p telemetry --bench logs`. Prints figures on the lines of a made-up shop: a gateway with
//! access lines, services with JSON and with logfmt, one line in three with a trace. One thread does
//! everything, and what taking in costs is its time on a processor, so a rate is a rate of one core.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Rng, Timestamp};
use telemetry::logs::{Filter, Limits, Order, Query, Record, Source, Store, Stream, parse_line};

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
/// Records that are taken in: about a gigabyte of rows.
const RECORDS: usize = 12_000_000;
/// Records of one append, as a second's worth of one busy service or an OTLP request.
const BATCH: usize = 500;

fn main() {
    lines();
    let folder = tempfile::tempdir().unwrap();
    store(folder.path());
    search(folder.path());
}

fn lines() {
    let mut rng = Rng::new(1);
    for (name, kind) in [("plain", Kind::Access), ("logfmt", Kind::Logfmt), ("JSON", Kind::Json)] {
        let lines: Vec<String> = (0..200_000).map(|_| line(kind, &mut rng)).collect();
        let bytes: usize = lines.iter().map(String::len).sum();
        let took = best(3, || {
            for line in &lines {
                black_box(parse_line(line));
            }
        });
        println!(
            "lines, {name:>6}: {:>6.0} MB/s, {:>9.0} lines/s, {} bytes a line",
            bytes as f64 / took / 1e6,
            lines.len() as f64 / took,
            bytes / lines.len()
        );
    }
}

fn store(folder: &Path) {
    let mut rng = Rng::new(2);
    let limits = Limits {
        bytes: 100 << 30,
        service_bytes_per_second: 1 << 40,
        service_burst_bytes: 1 << 40,
        ..Limits::default()
    };
    let (store, _) = Store::open(folder, limits, NOW).unwrap();
    let (mut took, mut rows, mut now) = (0.0, 0, NOW);
    for batch in 0..RECORDS / BATCH {
        now = now.after(Duration::from_millis(10));
        let records = records(batch, now, &mut rng);
        rows += records.iter().map(bytes_of).sum::<usize>();
        let begun = processor_seconds();
        assert_eq!(store.append(&records, now).accepted, records.len());
        if batch % 10 == 0 {
            store.tend(now).unwrap();
        }
        took += processor_seconds() - begun;
    }
    let begun = processor_seconds();
    store.tend(now.after(Duration::from_hours(2))).unwrap();
    took += processor_seconds() - begun;
    let status = store.status();
    println!(
        "store: {:>9.0} records/s, {:.0} MB/s of rows ({} MB), synchronised; {:.1} bytes a record, {:.1} times smaller",
        RECORDS as f64 / took,
        rows as f64 / 1e6 / took,
        rows / 1_000_000,
        status.segment_bytes as f64 / RECORDS as f64,
        rows as f64 / status.segment_bytes as f64
    );
    let begun = Instant::now();
    drop(store);
    let (store, _) = Store::open(folder, limits, now).unwrap();
    println!(
        "store: opened in {:.1} ms, {} segments",
        begun.elapsed().as_secs_f64() * 1e3,
        store.status().segments
    );
    // A word that is there once.
    let mut rare = records(0, now, &mut rng);
    "the zebra4711 crossed".clone_into(&mut rare.last_mut().unwrap().text);
    store.append(&rare, now);
    store.tend(now.after(Duration::from_hours(2))).unwrap();
}

fn search(folder: &Path) {
    let (store, _) = Store::open(folder, Limits::default(), NOW).unwrap();
    let query = |filter: &str| Query { filter: Filter::parse(filter).unwrap(), ..Query::default() };
    for (name, query) in [
        ("newest 100", Query::default()),
        (
            "newest 100 errors",
            Query { severity: Some("error".parse().unwrap()), ..Query::default() },
        ),
        ("newest 100 of a service", Query { services: vec!["cart".into()], ..Query::default() }),
        ("oldest 100", Query { order: Order::Oldest, ..Query::default() }),
        ("a frequent word", query("checkout")),
        ("a rare word", query("zebra4711")),
        ("a word that is not there", query("zebra4712")),
        ("a field's value that is not there", query("order=x999999999")),
        ("a trace that is not there", Query { trace: Some(4_711), ..Query::default() }),
        ("part of a word, brute force", query("\"bra471\"")),
        ("an expression, brute force", query("/z[a-f]bra47[0-9]+/")),
    ] {
        let mut page = None;
        let took = best(3, || page = Some(store.search(&query)));
        let page = page.unwrap();
        println!(
            "search: {name:<34} {:>9.2} ms, {:>3} hits, {:>5.0} MB read, {:>5.0} MB/s",
            took * 1e3,
            page.hits.len(),
            page.scanned_bytes as f64 / 1e6,
            page.scanned_bytes as f64 / 1e6 / took
        );
    }
}

/// Seconds that this thread had a processor: other programs of a shared machine take none of them.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn best(times: usize, mut run: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..times {
        let begun = Instant::now();
        run();
        best = best.min(begun.elapsed().as_secs_f64());
    }
    best
}

fn bytes_of(record: &Record) -> usize {
    let fields = record.fields.iter().map(|(key, value)| key.len() + value.len() + 2);
    record.text.len() + 2 + fields.sum::<usize>()
}

#[derive(Clone, Copy)]
enum Kind {
    Access,
    Logfmt,
    Json,
}

const SERVICES: [(&str, Kind); 8] = [
    ("web", Kind::Access),
    ("cart", Kind::Json),
    ("catalog", Kind::Json),
    ("orders", Kind::Logfmt),
    ("payments", Kind::Json),
    ("users", Kind::Logfmt),
    ("search", Kind::Access),
    ("mail", Kind::Logfmt),
];

/// What one instance says in some milliseconds.
fn records(batch: usize, now: Timestamp, rng: &mut Rng) -> Vec<Record> {
    let (service, kind) = SERVICES[batch % SERVICES.len()];
    let source = Arc::new(Source {
        application: "shop".into(),
        service: service.into(),
        instance: format!("{service}.{}", batch / SERVICES.len() % 3),
        stream: Stream::Stdout,
    });
    (0..BATCH)
        .map(|number| {
            let line = line(kind, rng);
            let parsed = parse_line(&line);
            Record {
                at_us: now.as_millis() * 1_000 + number as u64 / 50 * 1_000,
                source: Arc::clone(&source),
                severity: parsed.severity,
                text: parsed.text.into_owned(),
                fields: parsed.fields,
                trace: parsed.trace,
                span: parsed.span,
            }
        })
        .collect()
}

fn line(kind: Kind, rng: &mut Rng) -> String {
    const PATHS: [&str; 6] =
        ["/", "/api/cart", "/api/orders", "/api/catalog/items", "/static/app.js", "/api/checkout"];
    const WORDS: [&str; 6] = [
        "item added to cart",
        "checkout completed",
        "stock looked up",
        "payment authorised",
        "user signed in",
        "cache missed, asking the database",
    ];
    let path = PATHS[usize::try_from(rng.below(6)).unwrap()];
    let words = WORDS[usize::try_from(rng.below(6)).unwrap()];
    let level = ["info", "info", "info", "info", "debug", "info", "info", "info", "warn", "error"]
        [usize::try_from(rng.below(10)).unwrap()];
    let (took, user, order) = (rng.below(400), rng.below(5_000), rng.below(100_000));
    let trace = if rng.below(3) == 0 {
        Some(format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()))
    } else {
        None
    };
    match (kind, trace) {
        (Kind::Access, _) => format!(
            "10.0.{}.{} - - \"GET {path}?user={user} HTTP/1.1\" 200 {order} {took}ms \"Mozilla/5.0 (X11; Linux x86_64)\"",
            rng.below(4),
            rng.below(250)
        ),
        (Kind::Logfmt, None) => {
            format!(
                "level={level} msg=\"{words}\" user={user} order={order} took={took}ms path={path}"
            )
        }
        (Kind::Logfmt, Some(trace)) => {
            format!(
                "level={level} msg=\"{words}\" user={user} order={order} took={took}ms trace_id={trace}"
            )
        }
        (Kind::Json, None) => format!(
            "{{\"level\":\"{level}\",\"msg\":\"{words}\",\"user\":{user},\"order\":{order},\"took_ms\":{took},\"http\":{{\"path\":\"{path}\"}}}}"
        ),
        (Kind::Json, Some(trace)) => format!(
            "{{\"level\":\"{level}\",\"msg\":\"{words}\",\"user\":{user},\"order\":{order},\"took_ms\":{took},\"trace_id\":\"{trace}\"}}"
        ),
    }
}
