//! The whole store: what goes in comes out, whatever happens in between.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use model::Timestamp;
use promql::{Matcher, Selection, Series, Source as _};

use super::*;

const MINUTE: i64 = 60_000;
/// A round number of hours.
const START: i64 = 1_700_006_400_000;

fn limits() -> Limits {
    Limits { age: Duration::from_hours(1_000), ..Limits::default() }
}

fn open(folder: &Path) -> Store {
    let opened = Store::open(folder, limits()).unwrap();
    assert_eq!(opened.damage, []);
    opened.store
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms.cast_unsigned())
}

/// A sample a minute of each of `series`; the value is the number of the minute and the series.
fn fill(store: &Store, series: i64, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        let now = START + minute * MINUTE;
        let mut appender = store.append("test", at(now));
        for number in 0..series {
            appender.point(&point(number, now, value(number, minute)));
        }
        let appended = appender.finish().unwrap();
        assert_eq!(appended, Appended { accepted: series.cast_unsigned(), ..Appended::default() });
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn value(number: i64, minute: i64) -> f64 {
    (number * 1_000_000 + minute) as f64
}

fn point(number: i64, at_ms: i64, value: f64) -> Point {
    let labels = [("__name__", "x".to_owned()), ("n", number.to_string())];
    let labels = labels.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Point { labels, at_ms, value }
}

/// Every series has a sample for each of the minutes, and nothing else.
#[track_caller]
fn check(store: &Store, series: i64, minutes: std::ops::Range<i64>) {
    let found = all(store, &[Matcher::equal("__name__", "x")]);
    assert_eq!(found.len(), usize::try_from(series).unwrap());
    for (labels, samples) in found {
        let number: i64 = labels.get("n").parse().unwrap();
        let expected: Vec<_> =
            minutes.clone().map(|it| (START + it * MINUTE, value(number, it))).collect();
        assert_eq!(samples, expected, "{labels}");
    }
}

type Found = Vec<(promql::Labels, Vec<(i64, f64)>)>;

fn all(store: &Store, matchers: &[Matcher]) -> Found {
    let mut found = Vec::new();
    let selection = Selection { matchers, from_ms: 0, to_ms: i64::MAX };
    store
        .select(&selection, &mut |series| {
            let samples = series.times.iter().copied().zip(series.values.iter().copied());
            found.push((series.labels.clone(), samples.collect()));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn blocks(folder: &Path) -> Vec<u64> {
    crate::segment::numbered(folder, "block").unwrap()
}

#[test]
fn samples_are_found_in_memory_and_in_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 20, 0..59);
    store.keep(at(START + 59 * MINUTE)).unwrap();
    assert_eq!(blocks(folder.path()), [0; 0]);
    check(&store, 20, 0..59);
    fill(&store, 20, 59..70);
    store.keep(at(START + 70 * MINUTE)).unwrap();
    assert_eq!(blocks(folder.path()), [1]);
    check(&store, 20, 0..70);
    fill(&store, 20, 70..90);
    check(&store, 20, 0..90);
    let statistics = store.statistics();
    assert_eq!(
        (statistics.head_samples, statistics.block_samples, statistics.series),
        (400, 1_400, 20)
    );
    assert_eq!(statistics.range_ms, Some((START, START + 89 * MINUTE)));
    drop(store);
    check(&open(folder.path()), 20, 0..90);
}

/// What the log was told is there after the process was killed, wherever it was.
#[test]
fn a_killed_process_loses_nothing_that_was_logged() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..12 {
        let store = open(folder.path());
        check(&store, if round == 0 { 0 } else { 5 }, 0..round * 10);
        fill(&store, 5, round * 10..round * 10 + 10);
        store.sync().unwrap();
        if round % 3 == 2 {
            store.keep(at(START + (round * 10 + 10) * MINUTE)).unwrap();
        }
    }
    let store = open(folder.path());
    // A process that was killed after it had written a block and before it cut the log.
    let log = folder.path().join("log");
    let copies: Vec<_> = fs::read_dir(&log).unwrap().map(|it| it.unwrap().path()).collect();
    let copies: Vec<_> = copies.into_iter().map(|it| (fs::read(&it).unwrap(), it)).collect();
    store.flush().unwrap();
    drop(store);
    for (bytes, path) in copies {
        fs::write(path, bytes).unwrap();
    }
    let store = open(folder.path());
    check(&store, 5, 0..120);
    store.flush().unwrap();
    check(&store, 5, 0..120);
}

#[test]
fn small_blocks_become_large_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for hour in 0..70 {
        fill(&store, 3, hour * 60..hour * 60 + 60);
        store.keep(at(START + (hour + 1) * 60 * MINUTE + 1)).unwrap();
    }
    // Eight times eight hours, and the six since then.
    assert_eq!(blocks(folder.path()).len(), 7);
    check(&store, 3, 0..4_200);
    drop(store);
    check(&open(folder.path()), 3, 0..4_200);
}

#[test]
fn the_oldest_blocks_go() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { age: Duration::from_hours(3), ..limits() };
    let store = Store::open(folder.path(), limits).unwrap().store;
    for hour in 0..6 {
        fill(&store, 3, hour * 60..hour * 60 + 60);
        store.keep(at(START + (hour + 1) * 60 * MINUTE + 1)).unwrap();
    }
    check(&store, 3, 180..360);
    drop(store);
    let store = Store::open(folder.path(), Limits { bytes: 500, ..limits }).unwrap().store;
    store.keep(at(START + 6 * 60 * MINUTE + 1)).unwrap();
    let statistics = store.statistics();
    assert!(statistics.blocks < 3 && statistics.disk_bytes() <= 500, "{statistics:?}");
}

#[test]
fn damaged_blocks_are_set_aside_and_the_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for hour in 0..2 {
        fill(&store, 3, hour * 60..hour * 60 + 60);
        store.flush().unwrap();
    }
    drop(store);
    let first = crate::segment::path(folder.path(), 1, "block");
    let mut bytes = fs::read(&first).unwrap();
    bytes[0] ^= 1;
    fs::write(&first, bytes).unwrap();
    let opened = Store::open(folder.path(), limits()).unwrap();
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(opened.damage[0].reason, "it is no block of metrics");
    assert!(opened.damage[0].file.ends_with("00000001.block.damaged"));
    check(&opened.store, 3, 60..120);
}

#[test]
fn what_is_above_a_limit_is_refused_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { series: 30, series_of_origin: 12, ..limits() };
    let store = Store::open(folder.path(), limits).unwrap().store;
    let check = |origin: &str, point: &Point, refusal: Option<Refusal>| {
        let mut appender = store.append(origin, at(START));
        appender.point(point);
        assert_eq!(appender.finish().unwrap().refusal, refusal, "{point:?}");
    };
    for number in 0..12 {
        check("bomb", &point(number, START, 1.0), None);
    }
    check("bomb", &point(12, START, 1.0), Some(Refusal::SeriesOfOrigin));
    check("bomb", &point(11, START + 1, 1.0), None);
    // 18 are left. A second one that floods has half of them; the rest is for those that have few.
    for number in 12..21 {
        check("other", &point(number, START, 1.0), None);
    }
    check("other", &point(21, START, 1.0), Some(Refusal::SeriesOfOrigin));
    for number in 21..30 {
        check(&format!("small {number}"), &point(number, START, 1.0), None);
    }
    check("last", &point(30, START, 1.0), Some(Refusal::Series));
    check("other", &point(21, START, 1.0), None);
    check("other", &point(21, START, 2.0), Some(Refusal::Duplicate));
    check("other", &point(21, START - 11 * MINUTE, 2.0), Some(Refusal::TooOld));
    check("other", &point(21, START + 11 * MINUTE, 2.0), Some(Refusal::TooNew));
    let mut long = point(31, START, 1.0);
    long.labels[1].1 = "x".repeat(5_000);
    check("other", &long, Some(Refusal::Labels));
    let refused = store.statistics().refused;
    assert_eq!(refused.len(), 7);
    assert!(refused.contains(&("bomb".to_owned(), Refusal::SeriesOfOrigin, 1)));
}

#[test]
fn labels_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 3, 0..60);
    store.flush().unwrap();
    fill(&store, 4, 60..61);
    let range = (START, START + 1);
    assert_eq!(
        store.label_names(range).unwrap().into_iter().collect::<Vec<_>>(),
        ["__name__", "n"]
    );
    assert_eq!(
        store.label_values("n", range).unwrap().into_iter().collect::<Vec<_>>(),
        ["0", "1", "2", "3"]
    );
    let matchers = [Matcher::equal("n", "1")];
    let series: Vec<_> = store.series(&matchers, range, &|| true).unwrap().into_iter().collect();
    assert_eq!(series.iter().map(ToString::to_string).collect::<Vec<_>>(), [r#"x{n="1"}"#]);
    let unwanted = store.series(&matchers, range, &|| false);
    assert_eq!(unwanted.unwrap_err(), promql::SourceError::Canceled);
    let statistics = store.label_statistics(1);
    assert_eq!(statistics.series_by_metric, [("x".to_owned(), 4)]);
    assert_eq!(statistics.values_by_label, [("n".to_owned(), 4)]);
}

/// A clock that was a year ahead and is right again: series take samples at once, what was said in the wrong year is
/// passed over by who asks for what is now, and what is kept by age goes when it is old.
#[test]
fn issue_12_a_clock_set_back_does_not_stop_series() {
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 2, 0..30);
    let append = |at_ms: i64, value: f64| {
        let mut appender = store.append("test", at(at_ms));
        appender.point(&point(0, at_ms, value));
        appender.finish().unwrap().refusal
    };
    assert_eq!(append(START + YEAR, 7.0), None);
    assert_eq!(append(START + YEAR + MINUTE, 7.0), None);
    let right = START + 31 * MINUTE;
    assert_eq!(append(right, value(0, 31)), Some(Refusal::TooOld));
    store.keep(at(right)).unwrap();
    for minute in 31..40 {
        assert_eq!(append(START + minute * MINUTE, value(0, minute)), None, "{minute}");
    }
    let selection = |to_ms: i64| {
        let matchers = [Matcher::equal("n", "0")];
        let mut times = Vec::new();
        let selection = Selection { matchers: &matchers, from_ms: START, to_ms };
        store
            .select(&selection, &mut |series| {
                times.extend(series.times.iter().map(|it| (it - START) / MINUTE));
                ControlFlow::Continue(())
            })
            .unwrap();
        times
    };
    assert_eq!(selection(START + 60 * MINUTE), (0..30).chain(31..40).collect::<Vec<_>>());
    // What is on disk is as old as its beginning, though its end is a year ahead.
    let age = 1_000 * 60 * MINUTE;
    store.keep(at(START + age - MINUTE)).unwrap();
    assert_eq!(store.statistics().blocks, 2);
    store.keep(at(START + age + 50 * MINUTE)).unwrap();
    assert_eq!(store.statistics().blocks, 0);
}

/// Blocks are no older for what the clock is ahead.
#[test]
fn issue_12_a_clock_that_is_ahead_lets_nothing_go() {
    const YEAR: i64 = 365 * 24 * 60 * MINUTE;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 2, 0..30);
    store.flush().unwrap();
    let ahead = |_age: Duration| Duration::from_millis(YEAR.cast_unsigned());
    store.keep_ahead(at(START + YEAR + 30 * MINUTE), &ahead).unwrap();
    assert_eq!(store.statistics().blocks, 1);
    store.keep(at(START + YEAR + 30 * MINUTE)).unwrap();
    assert_eq!(store.statistics().blocks, 0);
}

/// Issue 12: all that fitted was in memory before the first of it was looked at.
#[test]
fn issue_12_series_of_several_files_come_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    fill(&store, 3, 0..60);
    store.flush().unwrap();
    fill(&store, 4, 60..61);
    store.flush().unwrap();
    fill(&store, 5, 61..62);
    let selection = Selection { matchers: &[], from_ms: START, to_ms: START + 100 * MINUTE };
    let mut found = Vec::new();
    let mut visit = |series: Series<'_>| {
        found.push((series.labels.to_string(), series.times.len()));
        if found.len() < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    store.select(&selection, &mut visit).unwrap();
    let names: Vec<_> = found.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(names, [r#"x{n="0"}"#, r#"x{n="1"}"#, r#"x{n="2"}"#, r#"x{n="3"}"#]);
    let counts: Vec<_> = found.iter().map(|it| it.1).collect();
    assert_eq!(counts, [62, 62, 62, 2]);
}
