//! What the journal costs: durable events a second, and replaying a million of them.
//!
//! `cargo bench -p journal`. Prints figures and their ratios; compares group commit with one
//! transaction an event by the same SQLite on the same disk in the same run, since nothing else on
//! a shared machine is comparable.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use journal::{Check, EntryRef, Journal, NewEntry, Options, Retention};
use model::{Index, Timestamp};

/// Bytes in a body: an instance became ready, as JSON.
const BODY_BYTES: usize = 120;
/// How long each rate is measured.
const MEASURED: Duration = Duration::from_secs(3);
/// Entries in the replay.
const REPLAYED: u64 = 1_000_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let plain = plain_rate(&folder.path().join("plain.sqlite"));
    println!("one transaction an event, plain SQLite: {plain:>9.0} events/s");
    for appenders in [1, 64, 512] {
        let rate = grouped_rate(&folder.path().join(format!("grouped-{appenders}")), appenders);
        let ratio = rate / plain;
        println!(
            "journal, {appenders:>3} concurrent appenders:    {rate:>9.0} events/s, {ratio:.1}x"
        );
    }
    replay(&folder.path().join("replay"));
}

fn event(at: u64) -> NewEntry {
    let at = Timestamp::from_millis(at);
    NewEntry { at, sets_clock: false, kind: "instance.ready".into(), body: vec![b'x'; BODY_BYTES] }
}

fn open(folder: &Path, check: Check) -> Journal {
    let options = Options { check, retention: Retention::default(), max_file_bytes: None };
    Journal::open(folder, options, Timestamp::EPOCH).unwrap().journal
}

/// What is compared with: the obvious loop, with the same durability.
fn plain_rate(path: &Path) -> f64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE event(idx INTEGER PRIMARY KEY, at INTEGER, kind TEXT, body BLOB)",
        )
        .unwrap();
    let mut insert =
        connection.prepare("INSERT INTO event(at, kind, body) VALUES (?1, ?2, ?3)").unwrap();
    let body = [b'x'; BODY_BYTES];
    let (began, mut events) = (Instant::now(), 0_u32);
    while began.elapsed() < MEASURED {
        insert.execute((1_i64, "instance.ready", &body[..])).unwrap();
        events += 1;
    }
    f64::from(events) / began.elapsed().as_secs_f64()
}

/// Each appender waits for its event to be durable before it appends the next.
fn grouped_rate(folder: &Path, appenders: usize) -> f64 {
    let journal = open(folder, Check::Quick);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..appenders)
            .map(|_| {
                let journal = journal.clone();
                tokio::spawn(async move {
                    while began.elapsed() < MEASURED {
                        journal.append(vec![event(1)]).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    journal.bounds().last.0 as f64 / began.elapsed().as_secs_f64()
}

fn replay(folder: &Path) {
    let journal = open(folder, Check::Quick);
    let began = Instant::now();
    for thousand in 0..REPLAYED / 1_000 {
        journal.append_blocking((0..1_000).map(|at| event(thousand + at)).collect()).unwrap();
    }
    let rate = REPLAYED as f64 / began.elapsed().as_secs_f64();
    println!("appending by the thousand, one at a time: {rate:>7.0} events/s");
    drop(journal);

    for (name, check) in [("quick", Check::Quick), ("full", Check::Full)] {
        let began = Instant::now();
        let journal = open(folder, check);
        let opened = began.elapsed();
        let (mut events, mut bytes) = (0_u64, 0_u64);
        let count = |entry: EntryRef<'_>| {
            events += 1;
            bytes += entry.body.len() as u64;
            ControlFlow::Continue(())
        };
        journal.replay(Index::ZERO, None, count).unwrap();
        let whole = began.elapsed();
        assert_eq!((events, bytes), (REPLAYED, REPLAYED * BODY_BYTES as u64));
        println!(
            "replay of {REPLAYED} events, {name} check: {:.3} s, of which opening {:.3} s",
            whole.as_secs_f64(),
            opened.as_secs_f64()
        );
    }
    let bytes = std::fs::metadata(folder.join("journal.sqlite")).unwrap().len();
    println!("file: {:.1} bytes an event", bytes as f64 / REPLAYED as f64);

    cut(&folder.join("journal.sqlite"), bytes * 9 / 10);
    let began = Instant::now();
    let opened = Journal::open(folder, Options::default(), Timestamp::EPOCH).unwrap();
    let took = began.elapsed().as_secs_f64();
    let kept = opened.journal.read(Index::ZERO, 1).unwrap().len();
    println!(
        "repair after a cut at nine tenths: {took:.3} s ({kept} readable): {}",
        opened.damage.unwrap()
    );
}

fn cut(path: &Path, bytes: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}
