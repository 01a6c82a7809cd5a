//! Stores that are killed, cut off and damaged.

use super::*;

/// A process that is killed leaves its files as they are; here they are copied before it ends.
fn killed(store_folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(store_folder, copy.path());
    copy
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn what_was_taken_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Options::default());
    for trace in 1..=10 {
        store.append(request(trace, 0), at(0)).unwrap();
    }
    store.tick(at(10)).unwrap();
    // One that is undecided when a segment is written.
    store.append(request(11, 10), at(10)).unwrap();
    store.flush(at(10)).unwrap();
    store.append(request(12, 11), at(11)).unwrap();
    store.tick(at(11)).unwrap();
    store.append(request(13, 11), at(11)).unwrap();
    let copy = killed(folder.path());
    let again = open(copy.path(), &Options::default());
    for trace in 1..=13 {
        assert_eq!(again.trace(trace), store.trace(trace), "{trace}");
        assert_eq!(again.trace(trace).len(), 3);
    }
    assert_eq!(again.services(), ["cart", "web"]);
    assert_eq!(again.stats().segment_spans, 30);
    // What was decided before is decided again, once.
    again.tick(at(30)).unwrap();
    again.flush(at(30)).unwrap();
    assert_eq!(again.stats().segment_spans, 39);
    assert_eq!(again.dependencies(0, u64::MAX)[0].calls.count, 13);
}

/// Killed after a segment was written, before the log was cut: nothing is there twice.
#[test]
fn a_segment_and_the_log_before_it_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Options::default());
    for trace in 1..=10 {
        store.append(request(trace, 0), at(0)).unwrap();
    }
    store.tick(at(10)).unwrap();
    let before = killed(folder.path());
    store.flush(at(10)).unwrap();
    let after = killed(folder.path());
    copy_all(&before.path().join("log"), &after.path().join("log"));
    let again = open(after.path(), &Options::default());
    assert_eq!((again.stats().head_traces, again.stats().segment_traces), (0, 10));
    // If the log is deleted and begins anew, what is in it counts.
    drop(again);
    fs::remove_dir_all(after.path().join("log")).unwrap();
    let anew = open(after.path(), &Options::default());
    anew.append(request(11, 10), at(10)).unwrap();
    drop(anew);
    assert_eq!(open(after.path(), &Options::default()).trace(11).len(), 3);
}

/// Wherever the log ends, all that was whole before is there.
#[test]
fn a_log_cut_anywhere_loses_only_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Options::default());
    let mut ends = Vec::new();
    let log = folder.path().join("log").join("00000001.wal");
    for trace in 1..=4 {
        store.append(request(trace, 0), at(0)).unwrap();
        store.sync().unwrap();
        ends.push(fs::metadata(&log).unwrap().len());
    }
    let whole = fs::read(&log).unwrap();
    for end in 0..=whole.len() {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir_all(copy.path().join("log")).unwrap();
        fs::write(copy.path().join("log").join("00000001.wal"), &whole[..end]).unwrap();
        let again = open(copy.path(), &Options::default());
        let expected = ends.iter().filter(|it| **it <= end as u64).count();
        let there = (1..=4).filter(|it| again.trace(*it).len() == 3).count();
        assert_eq!(there, expected, "cut at {end}");
    }
}

/// A segment that is damaged, wherever, is named, and the others are read.
#[test]
fn a_damaged_segment_is_named_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &Options::default());
    for trace in 1..=4 {
        store.append(request(trace, 0), at(0)).unwrap();
        if trace.is_multiple_of(2) {
            store.tick(at(10)).unwrap();
            store.flush(at(10)).unwrap();
        }
    }
    let whole = fs::read(folder.path().join("00000001.traces")).unwrap();
    for place in (8..whole.len()).filter(|it| it % 3 == 0 || *it + 60 > whole.len()) {
        let copy = killed(folder.path());
        let path = copy.path().join("00000001.traces");
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        fs::write(&path, damaged).unwrap();
        let again = open(copy.path(), &Options::default());
        for trace in 1..=2 {
            let spans = again.trace(trace);
            assert!(spans.is_empty() || spans == request(trace, 0), "{place}");
        }
        drop(again.search(&Query {
            duration_least_us: Some(1),
            errors_only: true,
            service: Some("cart".to_owned()),
            ..Query::default()
        }));
        drop(again.search(&Query { terms: Term::read_all("http.method=GET"), ..Query::default() }));
        drop(again.dependencies(0, u64::MAX));
        assert_eq!(again.trace(3), request(3, 0), "{place}");
        let is_aside = copy.path().join("00000001.traces.damaged").exists();
        assert_eq!(is_aside, again.stats().segments == 1);
    }
    for end in 0..whole.len() {
        let copy = killed(folder.path());
        fs::write(copy.path().join("00000001.traces"), &whole[..end]).unwrap();
        let again = open(copy.path(), &Options::default());
        assert_eq!((again.stats().damage.len(), again.trace(3).len()), (1, 3));
    }
}

const KILLED: &str = "traces::store::tests::restart::takes_spans_until_it_is_killed";

fn small() -> Options {
    Options { flush_bytes: 200_000, quiet: Duration::from_secs(2), ..Options::default() }
}

/// What tells the test program that it is the one to be killed.
const IS_KILLED: &str = "PELAGO_TEST_IS_KILLED";

/// No test by itself: the one below runs this program again, for this alone, and kills it.
#[test]
fn takes_spans_until_it_is_killed() {
    if std::env::var_os(IS_KILLED).is_none() {
        return;
    }
    let store = open(Path::new("."), &small());
    for second in 0.. {
        let traces = (1..=20).map(|it| u128::from(second) * 20 + it);
        store.append(traces.flat_map(|it| request(it, second)).collect(), at(second)).unwrap();
        store.tick(at(second)).unwrap();
        println!("\nticked {second}");
    }
}

/// A process is killed while it takes spans, cuts its log and writes segments; all that came before its last tick is
/// there, once, and so are the calls.
#[test]
fn a_process_that_is_killed_has_kept_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    for ticks in [3, 40, 41, 77, 150] {
        let folder = folder.path().join(ticks.to_string());
        fs::create_dir(&folder).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", KILLED, "--nocapture"])
            .env(IS_KILLED, "yes")
            .current_dir(&folder)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = io::BufRead::lines(io::BufReader::new(child.stdout.take().unwrap()));
        let mut said =
            lines.map_while(Result::ok).filter_map(|it| it.strip_prefix("ticked ")?.parse().ok());
        let last: u64 = said.nth(ticks).unwrap();
        child.kill().unwrap();
        let last = said.last().unwrap_or(last);
        child.wait().unwrap();
        let store = open(&folder, &small());
        assert!(store.stats().damage.is_empty());
        for trace in 1..=u128::from(last + 1) * 20 {
            let second = u64::try_from((trace - 1) / 20).unwrap();
            assert_eq!(store.trace(trace), request(trace, second), "{trace} of {last}");
        }
        store.tick(at(last + 100)).unwrap();
        let least = (last + 1) * 20;
        let calls = store.dependencies(0, u64::MAX)[0].calls.count;
        assert!((least..=least + 20).contains(&calls), "{calls} of {least}");
    }
}
