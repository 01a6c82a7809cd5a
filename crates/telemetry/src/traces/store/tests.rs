//! Stores that are filled and asked.

mod random;
mod restart;

use std::path::Path;

use super::*;
use crate::traces::sampling::Reason;
use crate::traces::search::{Query, Term};
use crate::traces::span::Kind;
use crate::traces::testing::span;

const BEGIN_S: u64 = 1_700_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis((BEGIN_S + seconds) * 1_000)
}

fn open(folder: &Path, options: &Options) -> Store {
    Store::open(folder, options.clone(), at(0)).unwrap()
}

/// A trace of a request to `web`, which calls `cart`, in the given second.
fn request(trace: u128, second: u64) -> Vec<Span> {
    let start_us = (BEGIN_S + second) * 1_000_000;
    let root = Span { start_us, duration_us: 2_000, ..span(trace, 1, "web", "GET /") };
    let call = Span {
        parent: Some(1),
        kind: Kind::Client,
        remote: "cart".to_owned(),
        start_us: start_us + 100,
        ..span(trace, 2, "web", "cart")
    };
    let answer = Span {
        parent: Some(2),
        start_us: start_us + 200,
        duration_us: 500 + u64::try_from(trace).unwrap(),
        tags: vec![
            ("item".to_owned(), format!("item {trace}")),
            (
                "http.method".to_owned(),
                if trace.is_multiple_of(2) { "GET" } else { "PUT" }.to_owned(),
            ),
        ],
        is_error: trace.is_multiple_of(10),
        ..span(trace, 3, "cart", "get")
    };
    vec![root, call, answer]
}

fn found(store: &Store, change: impl FnOnce(&mut Query)) -> Vec<u128> {
    let mut query = Query { limit: 5, ..Query::default() };
    change(&mut query);
    let found = store.search(&query);
    assert!(found.is_complete);
    found.traces.iter().map(|it| it.0.trace).collect()
}

/// Every question has the same answer whether traces are in the head, in one segment or in many.
#[test]
fn what_is_asked_is_found_wherever_it_is() {
    for flush_every in [1_000, 200, 30] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &Options::default());
        for trace in 1..=200 {
            let second = u64::try_from(trace).unwrap();
            store.append(request(trace, second), at(second)).unwrap();
            if trace.is_multiple_of(flush_every) {
                store.tick(at(second + 20)).unwrap();
                store.flush(at(second + 20)).unwrap();
            }
        }
        assert_eq!(found(&store, |_| ()), [200, 199, 198, 197, 196]);
        assert_eq!(found(&store, |it| it.errors_only = true), [200, 190, 180, 170, 160]);
        assert_eq!(found(&store, |it| it.duration_least_us = Some(2_001)), [0; 0]);
        let slow = |it: &mut Query| {
            it.service = Some("CART".to_owned());
            it.duration_least_us = Some(698);
        };
        assert_eq!(found(&store, slow), [200, 199, 198]);
        let fast = |it: &mut Query| {
            it.service = Some("cart".to_owned());
            it.duration_most_us = Some(502);
        };
        assert_eq!(found(&store, fast), [2, 1]);
        assert_eq!(found(&store, |it| it.terms = Term::read_all("item=item 77")), [77]);
        assert_eq!(found(&store, |it| it.terms = vec![Term::Text("EM 77".to_owned())]), [77]);
        assert_eq!(
            found(&store, |it| it.terms = Term::read_all("http.method=PUT and item")),
            [199, 197, 195, 193, 191]
        );
        let called = |it: &mut Query| {
            it.remote = Some("cart".to_owned());
            it.until_us = (BEGIN_S + 50) * 1_000_000;
        };
        assert_eq!(found(&store, called), [50, 49, 48, 47, 46]);
        assert_eq!(found(&store, |it| it.from_us = (BEGIN_S + 199) * 1_000_000), [200, 199]);
        assert_eq!(found(&store, |it| it.operation = Some("nothing".to_owned())), [0; 0]);

        lists(&store);
    }
}

/// What can be asked of two hundred requests without a search.
#[track_caller]
fn lists(store: &Store) {
    assert_eq!(store.trace(123), request(123, 123));
    assert_eq!(store.trace(123 + (5 << 64)), request(123, 123));
    assert_eq!(store.trace(999), []);
    assert_eq!(store.services(), ["cart", "web"]);
    assert_eq!(store.operations("Web"), ["GET /", "cart"]);
    assert_eq!(store.remote_services("web"), ["cart"]);
    assert_eq!(store.tag_keys(), ["http.method", "item"]);
    assert_eq!(store.tag_values("http.method"), ["GET", "PUT"]);
    let links = store.dependencies(0, u64::MAX);
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].caller.as_str(), links[0].callee.as_str()), ("web", "cart"));
    assert_eq!((links[0].calls.count, links[0].calls.errors), (200, 20));
}

#[test]
fn what_is_not_kept_is_counted_and_so_are_its_calls() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(
        folder.path(),
        &Options { rates: Rates { usual: 0, ..Rates::default() }, ..Options::default() },
    );
    for trace in 1..=20 {
        store.append(request(trace, 0), at(0)).unwrap();
    }
    assert_eq!(found(&store, |it| it.limit = 100).len(), 20);
    store.tick(at(10)).unwrap();
    assert_eq!(found(&store, |it| it.limit = 100), [20, 10]);
    let late = Span { parent: Some(3), ..span(7, 4, "cart", "late") };
    assert_eq!(store.append(vec![late.clone()], at(11)).unwrap().left_out, 1);
    store.flush(at(12)).unwrap();
    // A late span of a trace that is in a segment is kept, too.
    let late = Span { trace: 10, ..late };
    assert_eq!(store.append(vec![late], at(13)).unwrap().accepted, 1);
    store.tick(at(30)).unwrap();
    assert_eq!(store.trace(10).len(), 4);
    let decided = store.stats().decided;
    assert_eq!(decided.kept, BTreeMap::from([(Reason::Error, 6), (Reason::Late, 1)]));
    assert_eq!(
        decided.left_out_by_service,
        BTreeMap::from([("cart".to_owned(), 1), ("web".to_owned(), 54)])
    );
    assert_eq!(store.dependencies(0, u64::MAX)[0].calls.count, 20);
}

#[test]
fn a_flood_is_refused_and_counted_and_others_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { head_bytes_max: 1 << 20, flush_bytes: 1 << 30, ..Options::default() };
    let store = open(folder.path(), &options);
    store.append(request(1, 0), at(0)).unwrap();
    for trace in 2..=20_000 {
        store.append(vec![span(trace, 1, "flood", "x")], at(0)).unwrap();
    }
    let stats = store.stats();
    assert!(stats.head_bytes < 1_100_000, "{}", stats.head_bytes);
    assert_eq!(stats.appended.accepted + stats.appended.left_out + stats.appended.refused, 20_002);
    assert!(stats.decided.left_out + stats.appended.refused > 9_000, "{stats:?}");
    assert_eq!(store.trace(1).len(), 3);
    store.flush(at(1)).unwrap();
    assert_eq!(store.append(request(1, 0), at(1)).unwrap().accepted, 3);
    assert_eq!(store.trace(1).len(), 3);
    // One trace does not take the head either.
    let endless = |id| Span {
        tags: vec![("x".to_owned(), "y".repeat(10_000))],
        ..span(2 << 70, id, "a", "")
    };
    let one = store.append((1..=200).map(endless).collect(), at(1)).unwrap();
    assert!(one.refused > 50, "{one:?}");
    let invalid = store.append(vec![span(0, 1, "a", ""), span(1, 0, "a", "")], at(1)).unwrap();
    assert_eq!(invalid, Appended { invalid: 2, ..Appended::default() });
}

/// A log of what is not kept is written anew instead of making a small segment.
#[test]
fn a_log_does_not_grow_by_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        rates: Rates { usual: 0, ..Rates::default() },
        flush_bytes: 100_000,
        ..Options::default()
    };
    let store = open(folder.path(), &options);
    let mut most = 0;
    for second in 0..200 {
        let ids = (1..150).map(|it| it + u128::from(second) * 1_000);
        let spans = ids.map(|it| Span { remote: "x".repeat(100), ..span(it, 1, "web", "GET /") });
        store.append(spans.collect(), at(second)).unwrap();
        store.tick(at(second)).unwrap();
        most = most.max(store.stats().log_bytes);
    }
    assert!(most < 400_000, "{most}");
    assert_eq!(store.stats().segments, 0);
    // What is undecided is still in the log.
    let undecided = store.stats().head_traces;
    assert!(0 < undecided);
    drop(store);
    assert!(undecided <= open(folder.path(), &options).stats().head_traces);
}

/// A trace of which parts are in memory and in segments, under a long id and a short one, is one.
#[test]
fn parts_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Options::default());
    let long = (9 << 64) + 5;
    for (place, trace) in [long, long, 5, long].into_iter().enumerate() {
        let start_us = (BEGIN_S + place as u64) * 1_000_000;
        let part = Span { start_us, ..span(trace, place as u64 + 1, "web", "part") };
        store.append(vec![part], at(0)).unwrap();
        store.append(request(100 + place as u128, 0), at(0)).unwrap();
        if place < 3 {
            store.tick(at(100)).unwrap();
            store.flush(at(100)).unwrap();
        }
    }
    let found = store.search(&Query { operation: Some("part".to_owned()), ..Query::default() });
    assert_eq!(found.traces.len(), 1);
    assert_eq!(found.traces[0].1, store.trace(5));
    let ids: Vec<_> = store.trace(long).iter().map(|it| it.id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert_eq!(found.traces[0].0.start_us, BEGIN_S * 1_000_000);
}

/// Spans come in while segments are written, questions are asked and old segments go.
#[test]
fn everything_may_be_done_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { flush_bytes: 30_000, quiet: Duration::from_millis(1), ..Options::default() };
    let store = open(folder.path(), &options);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for trace in 1..=300 {
                    let second = u64::try_from(trace).unwrap();
                    store.append(request(trace + writer * 1_000, second), at(second)).unwrap();
                    if trace.is_multiple_of(10) {
                        store.tick(at(second)).unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..30 {
                let found = store.search(&Query { limit: 50, ..Query::default() });
                assert!(found.traces.iter().all(|it| (1..=3).contains(&it.1.len())));
                assert!(store.dependencies(0, u64::MAX).len() <= 1);
                store.flush(at(300)).unwrap();
            }
        });
    });
    for trace in (0..3_u128).flat_map(|writer| (1..=300).map(move |it| it + writer * 1_000)) {
        assert_eq!(store.trace(trace).len(), 3, "{trace}");
    }
    store.tick(at(400)).unwrap();
    assert_eq!(store.dependencies(0, u64::MAX)[0].calls.count, 900);
    assert!(store.stats().damage.is_empty() && 3 < store.stats().segments);
}

#[test]
fn the_oldest_segments_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { age_max: Duration::from_secs(1_000), ..Options::default() };
    let store = open(folder.path(), &options);
    for (trace, second) in [(1, 0), (2, 500), (3, 900)] {
        let mut spans = request(trace, second);
        spans[2].service = format!("s{trace}");
        store.append(spans, at(second)).unwrap();
        store.tick(at(second + 20)).unwrap();
        store.flush(at(second + 20)).unwrap();
    }
    assert_eq!(store.services(), ["s1", "s2", "s3", "web"]);
    // None is older for what the clock is ahead.
    store.tick_ahead(at(90_000), &|_age| Duration::from_secs(89_000)).unwrap();
    assert_eq!(store.stats().segments, 3);
    store.tick(at(1_200)).unwrap();
    assert_eq!((store.trace(1).len(), store.trace(2).len()), (0, 3));
    assert_eq!(store.services(), ["s2", "s3", "web"]);
    assert_eq!((store.stats().segments, store.stats().deleted_spans), (2, 3));
    drop(store);
    let least = Options { disk_bytes_max: 1, ..options };
    let store = open(folder.path(), &least);
    store.tick(at(1_200)).unwrap();
    assert_eq!((store.stats().segments, store.services()), (0, Vec::<String>::new()));
}

/// A segment that was written while the clock was a year ahead is as old as those written after it.
#[test]
fn issue_12_a_segment_of_a_wrong_future_goes_with_its_time() {
    const YEAR_S: u64 = 365 * 86_400;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Options::default());
    let write = |trace: u128, second: u64| {
        store.append(request(trace, second), at(second)).unwrap();
        store.tick(at(second + 10)).unwrap();
        store.flush(at(second + 10)).unwrap();
    };
    write(1, 0);
    write(2, YEAR_S);
    write(3, 100);
    assert_eq!(store.stats().segments, 2, "the first was old in the wrong future");
    store.tick(at(7 * 86_400)).unwrap();
    assert_eq!(store.stats().segments, 2);
    store.tick(at(7 * 86_400 + 200)).unwrap();
    assert_eq!(store.stats().segments, 0);
}

/// What cannot be written to a segment is still there, and is written when it can be.
#[test]
fn a_segment_that_cannot_be_written_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Options::default());
    store.append(request(1, 0), at(0)).unwrap();
    store.tick(at(10)).unwrap();
    // A folder where the file should be.
    fs::create_dir(folder.path().join("00000001.tmp")).unwrap();
    assert!(matches!(store.flush(at(10)), Err(StoreError::Write(_))));
    assert_eq!(store.trace(1), request(1, 0));
    fs::remove_dir(folder.path().join("00000001.tmp")).unwrap();
    store.flush(at(11)).unwrap();
    assert_eq!((store.trace(1), store.stats().segments), (request(1, 0), 1));
    assert_eq!(store.dependencies(0, u64::MAX)[0].calls.count, 1);
}
