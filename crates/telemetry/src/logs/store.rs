//! The store: takes records in, keeps them, finds them, forgets the oldest.
//!
//! [`Store::append`] and [`Store::search`] may be called from any thread. What takes long, writing segments and
//! forgetting, is done by [`Store::tend`], which whoever has the store calls about ten times a second; nothing
//! waits for it but a search for the moment in which lists are exchanged. A record outlives this process when
//! its append returns, and the machine when the `tend` after it does.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Timestamp;

use super::head::{Appended, Head};
use super::part::{EXTENSION, Part, Service};
use super::query::{Cursor, Order, Page, Query, Tail};
use super::quota::{Refusal, Tally};
use super::recent::Recent;
use super::search::Search;
use super::{Record, Source, retention};
use crate::age::{Ahead, in_step, with_ahead};
use crate::segment::{self, Damage};
use crate::wal::Wal;

/// Services that lose blocks in one go: a store whose limit was lowered gets there in some seconds.
const FORGOTTEN_AT_ONCE: usize = 16;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on disk, the log among them.
    pub bytes: u64,
    /// How long.
    pub age: Duration,
    /// Bytes a second that one service may say for long.
    pub service_bytes_per_second: u64,
    /// Bytes that it may say at once.
    pub service_burst_bytes: u64,
}

impl Default for Limits {
    /// A gigabyte or a week, which is some ten gigabytes of text; 4 MiB a second is thirty thousand lines, and
    /// a burst is what a service says when everything fails at once.
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            age: Duration::from_hours(7 * 24),
            service_bytes_per_second: 4 << 20,
            service_burst_bytes: 64 << 20,
        }
    }
}

/// All records.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    limits: Limits,
    head: Mutex<Head>,
    /// Held by the one that tends.
    tending: Mutex<()>,
    /// The position of the next record, to be looked at without waiting.
    position: AtomicU64,
}

/// What was found when a store was opened.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Records that were in the log only.
    pub restored: u64,
    /// Bytes of a torn end of the log that were cut off.
    pub torn_bytes: u64,
    /// What was damaged, and where it is now.
    pub damage: Vec<Damage>,
}

/// How full the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Records in segments and in memory.
    pub records: u64,
    /// The moment of the oldest record in a segment, in microseconds since 1970.
    pub oldest_us: Option<u64>,
    /// Each service, sorted.
    pub services: Vec<ServiceStatus>,
    /// Records that were refused of services that were one too many.
    pub refused_strangers: u64,
}

impl Status {
    /// Bytes on disk, the log among them.
    pub const fn disk_bytes(&self) -> u64 {
        self.segment_bytes + self.log_bytes
    }
}

/// What a service holds and said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Its application.
    pub application: String,
    /// Its name.
    pub service: String,
    /// Its bytes in segments.
    pub segment_bytes: u64,
    /// What it said since the store was opened, and what was refused of it.
    pub tally: Tally,
}

impl Store {
    /// Opens the store in `folder`, which is made if it is not there. Of segments only the footers are read.
    pub fn open(folder: &Path, limits: Limits, now: Timestamp) -> io::Result<(Self, Recovery)> {
        fs::create_dir_all(folder)?;
        let mut recovery = Recovery::default();
        let mut files = Vec::new();
        for number in segment::numbered(folder, EXTENSION)? {
            let path = segment::path(folder, number, EXTENSION);
            match Part::open(&path, number) {
                Ok(part) => files.push(Arc::new(part)),
                Err(error) if is_damage(&error) => {
                    recovery.damage.push(segment::set_aside(&path, error.to_string())?);
                }
                Err(error) => return Err(error),
            }
        }
        let kept = files.iter().map(|it| it.next).max().unwrap_or(0);
        let mut recent = Recent::new(kept)?;
        let (wal, log) = Wal::open(&folder.join("log"), &mut |_, batch| {
            // What is in a segment and was not cut off in time is passed over. A batch that fits its checksum and
            // cannot be read is another version's.
            let _: Option<()> = recent.restore(batch, kept, now);
        })?;
        recovery.restored = recent.next() - kept;
        recovery.torn_bytes = log.torn_bytes;
        recovery.damage.extend(log.damage);
        let position = AtomicU64::new(recent.next());
        let head = Head::new(wal, recent, files, &limits);
        let store = Self {
            folder: folder.to_owned(),
            limits,
            head: Mutex::new(head),
            tending: Mutex::new(()),
            position,
        };
        Ok((store, recovery))
    }

    fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in records, each service's as far as it may say more.
    pub fn append(&self, records: &[Record], now: Timestamp) -> Appended {
        let mut head = self.head();
        let appended = head.append(records, now);
        self.position.store(head.recent.next(), Ordering::Release);
        appended
    }

    /// Counts records of a source that were gone before they could be read.
    pub fn unread(&self, source: &Source, count: u64, now: Timestamp) {
        let service = Service::of(source);
        let mut head = self.head();
        if head.accounts.open(&service, now) {
            head.accounts.refuse(&service, count, Refusal::Unread);
        }
    }

    /// The position of the next record: whoever follows asks [`Store::after`] when it has changed.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// The records that fit, in the order asked for.
    pub fn search(&self, query: &Query) -> Page {
        let mut search = Search::new(query);
        let parts = {
            let head = self.head();
            for rows in head.recent.open() {
                search.rows(rows, head.recent.sources());
            }
            let mut parts = head.files.clone();
            parts.extend(head.flushing.clone());
            parts.push(Arc::new(head.recent.sealed_part(Timestamp::EPOCH)));
            parts
        };
        search.parts(&parts)
    }

    /// The records from a position on that fit, in the order they came, and where to go on. A position from
    /// the future, as after the store was deleted, means now.
    pub fn after(&self, position: u64, query: &Query) -> Tail {
        let end = self.position();
        let Some(last) = position.min(end).checked_sub(1) else {
            return self.tail(None, end, query);
        };
        self.tail(Some(Cursor(last, 0)), end, query)
    }

    fn tail(&self, cursor: Option<Cursor>, end: u64, query: &Query) -> Tail {
        let page = self.search(&Query { order: Order::Arrival, cursor, ..query.clone() });
        // A record may have come after `end` was read; it is the one to go on behind then.
        let last = page.hits.last().map_or(end, |it| end.max(it.position + 1));
        Tail { position: page.cursor.map_or(last, |it| it.0 + 1), hits: page.hits }
    }

    /// Synchronises the log, makes a segment if it is time, and forgets what is too much or too old.
    pub fn tend(&self, now: Timestamp) -> io::Result<()> {
        self.tend_ahead(now, &in_step)
    }

    /// As [`Self::tend`], by a clock that may be wrong: nothing is older for what it is ahead.
    pub fn tend_ahead(&self, now: Timestamp, ahead: Ahead<'_>) -> io::Result<()> {
        let _tending = self.tending.lock().unwrap_or_else(PoisonError::into_inner);
        let synchronised = self.sync();
        self.make_segment(now)?;
        self.forget(now, with_ahead(self.limits.age, ahead))?;
        synchronised
    }

    /// Forces to the disk what came before.
    pub fn sync(&self) -> io::Result<()> {
        let flushed = self.head().flush();
        match flushed? {
            Some(file) => file.sync_data(),
            None => Ok(()),
        }
    }

    /// Makes a segment of everything in memory if it is time, or goes on with one that could not be written.
    fn make_segment(&self, now: Timestamp) -> io::Result<()> {
        let (part, log, number) = {
            let mut head = self.head();
            let log = match head.flushing {
                None if head.is_due(now) => Some(head.begin_segment(now)?),
                _ => None,
            };
            let Some(part) = head.flushing.clone() else { return Ok(()) };
            let number = head.files.last().and_then(|it| it.number()).map_or(1, |it| it + 1);
            (part, log, number)
        };
        let written = Arc::new(part.write(&self.folder, number, &|_| true)?);
        let mut head = self.head();
        head.flushing = None;
        head.files.push(written);
        match log {
            Some(log) => head.cut(log),
            // It was begun when the log was another; what the log has too much is known by its position.
            None => Ok(()),
        }
    }

    fn forget(&self, now: Timestamp, age: Duration) -> io::Result<()> {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let (files, log_bytes) = {
                let head = self.head();
                (head.files.clone(), head.log_bytes())
            };
            let last = files.last().and_then(|it| it.number());
            let is_done = |it: &Arc<Part>| it.number() == last && it.metas.is_empty();
            // None was sealed later than those after it; one that says so was sealed while the clock was wrong.
            let old = files.iter().rposition(|it| age < now.since(it.sealed_at));
            let is_old = |(place, it): (usize, &Arc<Part>)| {
                (old.is_some_and(|old| place <= old) || it.metas.is_empty()) && !is_done(it)
            };
            let bytes: u64 = files.iter().map(|it| it.bytes()).sum();
            if let Some(old) = files.iter().enumerate().position(is_old) {
                self.replace(&files, old, None)?;
            } else if self.limits.bytes < bytes + log_bytes
                && let Some(forgotten) = retention::next(&files)
            {
                self.replace(&files, forgotten.file, Some(&forgotten.service))?;
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes a service's blocks out of a segment, or all; one that is empty then is deleted.
    fn replace(
        &self,
        files: &[Arc<Part>],
        file: usize,
        service: Option<&Service>,
    ) -> io::Result<()> {
        let Some(part) = files.get(file) else { return Ok(()) };
        let (Some(number), Some(path)) = (part.number(), part.path()) else { return Ok(()) };
        let goes = part.services.iter().position(|it| Some(it) == service);
        let keep = |block: usize| {
            let held = part.metas.get(block).map(|it| it.service as usize);
            service.is_some() && held != goes
        };
        let is_empty = !(0..part.metas.len()).any(keep);
        // The last segment says which position comes next, so that none is given twice.
        let is_last = file + 1 == files.len();
        let left = if is_empty && !is_last {
            fs::remove_file(path)?;
            None
        } else {
            Some(Arc::new(part.write(&self.folder, number, &keep)?))
        };
        let mut head = self.head();
        let Some(place) = head.files.iter().position(|it| it.number() == Some(number)) else {
            return Ok(());
        };
        head.files.splice(place..=place, left);
        Ok(())
    }

    /// How full it is, and who said how much.
    pub fn status(&self) -> Status {
        let head = self.head();
        let (tallies, refused_strangers) = head.accounts.tallies();
        let mut services: BTreeMap<&Service, ServiceStatus> = BTreeMap::new();
        for (service, tally) in tallies {
            services.entry(service).or_default().tally = tally.clone();
        }
        for (service, bytes) in retention::bytes_by_service(&head.files) {
            services.entry(service).or_default().segment_bytes = bytes;
        }
        let sealed = head.recent.sealed_part(Timestamp::EPOCH);
        let parts = || head.files.iter().chain(&head.flushing).map(AsRef::as_ref).chain([&sealed]);
        let sealed_records: u64 =
            parts().flat_map(|it| &it.metas).map(|it| u64::from(it.records)).sum();
        let open_records: usize = head.recent.open().map(|it| it.entries.len()).sum();
        Status {
            segment_bytes: head.files.iter().map(|it| it.bytes()).sum(),
            log_bytes: head.log_bytes(),
            memory_bytes: head.bytes(),
            segments: head.files.len() as u64,
            records: sealed_records + open_records as u64,
            oldest_us: parts().flat_map(|it| &it.metas).map(|it| it.bounds.times.0).min(),
            refused_strangers,
            services: services
                .into_iter()
                .map(|(service, status)| ServiceStatus {
                    application: service.application.clone(),
                    service: service.service.clone(),
                    ..status
                })
                .collect(),
        }
    }
}

/// Whether a segment is damaged, and not just out of reach for now.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Filter, Hit, Severity, Stream};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn source(service: &str) -> Arc<Source> {
        Arc::new(Source {
            application: "shop".into(),
            service: service.into(),
            instance: format!("{service}.1"),
            stream: Stream::Stdout,
        })
    }

    fn record(service: &str, at_us: u64, text: &str) -> Record {
        Record {
            at_us,
            source: source(service),
            severity: None,
            text: text.into(),
            fields: Vec::new(),
            trace: None,
            span: None,
        }
    }

    fn open(folder: &Path) -> (Store, Recovery) {
        Store::open(folder, Limits::default(), NOW).unwrap()
    }

    fn segment_now(store: &Store) {
        store.tend(NOW.after(Duration::from_hours(2))).unwrap();
        assert_eq!(store.status().log_bytes, 0, "everything is in a segment");
    }

    fn texts(hits: &[Hit]) -> Vec<&str> {
        hits.iter().map(|it| it.record.text.as_str()).collect()
    }

    fn all(store: &Store) -> Vec<String> {
        let page = store.search(&Query { order: Order::Arrival, limit: 5_000, ..Query::default() });
        page.hits.into_iter().map(|it| it.record.text).collect()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<Record>),
        Segment,
        Reopen,
    }

    fn some_record() -> impl Strategy<Value = Record> {
        let severity = prop::option::of(prop::sample::select(Severity::ALL.to_vec()));
        let service = prop::sample::select(vec!["cart", "web", "pay"]);
        let field = prop::collection::vec((Just("k".to_owned()), "[ab]{1,2}"), 0..2);
        (service, 0_u64..30, severity, "[ab]{1,2}( [ab]{1,2}){0,2}", field, 0_u128..4).prop_map(
            |(service, at_us, severity, text, fields, trace)| Record {
                severity,
                fields,
                trace: Some(trace).filter(|it| *it != 0),
                ..record(service, at_us, &text)
            },
        )
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => prop::collection::vec(some_record(), 1..9).prop_map(Step::Append),
            1 => Just(Step::Segment),
            1 => Just(Step::Reopen),
        ]
    }

    fn some_query() -> impl Strategy<Value = Query> {
        let services = prop::sample::subsequence(vec!["cart".to_owned(), "web".to_owned()], 0..2);
        let severity = prop::option::of(prop::sample::select(Severity::ALL.to_vec()));
        let order = prop::sample::select(vec![Order::Newest, Order::Oldest, Order::Arrival]);
        let trace = prop::option::of(1_u128..4);
        let most = 0_u64..30;
        (services, severity, order, trace, (0_u64..10, most, 1_usize..7, 0_u64..2)).prop_map(
            |(services, severity, order, trace, (from_us, to_us, limit, scan_bytes))| Query {
                services,
                severity,
                order,
                trace,
                from_us,
                to_us,
                limit,
                // With 0, no more than one block is read at a time.
                scan_bytes: if scan_bytes == 0 { 0 } else { super::super::SCAN_BYTES },
                ..Query::default()
            },
        )
    }

    const FILTERS: [&str; 7] = ["", "a", "ab -b", "\"a b\"", "k=a", "k!=a", "/^a+$/"];

    /// What each of them means.
    fn means(filter: &str, record: &Record) -> bool {
        let words = || record.text.split(' ').chain(record.fields.iter().map(|it| it.1.as_str()));
        let has = |word: &str| words().any(|it| it == word);
        let is_a = record.fields.iter().any(|it| it.1 == "a");
        match filter {
            "" => true,
            "a" => has("a"),
            "ab -b" => has("ab") && !has("b"),
            "\"a b\"" => record.text.contains("a b"),
            "k=a" => is_a,
            "k!=a" => !is_a,
            _ => {
                let is_all_a = |it: &str| it.bytes().all(|it| it == b'a');
                is_all_a(&record.text) || record.fields.iter().any(|it| is_all_a(&it.1))
            }
        }
    }

    /// What the query means, by looking at every record.
    fn expected(records: &[(u64, Record)], query: &Query, filter: &str) -> Vec<u64> {
        let mut found: Vec<_> = records
            .iter()
            .filter(|(_, record)| {
                (query.services.is_empty() || query.services.contains(&record.source.service))
                    && query.severity.is_none_or(|it| record.severity.is_some_and(|is| it <= is))
                    && query.trace.is_none_or(|it| record.trace == Some(it))
                    && (query.from_us..query.to_us).contains(&record.at_us)
                    && means(filter, record)
            })
            .collect();
        match query.order {
            Order::Newest => found.sort_by_key(|it| std::cmp::Reverse((it.1.at_us, it.0))),
            Order::Oldest => found.sort_by_key(|it| (it.1.at_us, it.0)),
            Order::Arrival => found.sort_by_key(|it| it.0),
        }
        found.into_iter().map(|it| it.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever is in memory, in segments and in the log, page by page, a search finds what looking at every
        /// record does.
        #[test]
        fn searches_are_exact(
            steps in prop::collection::vec(step(), 1..12),
            query in some_query(),
            filter in prop::sample::select(FILTERS.to_vec()),
        ) {
            let query = Query { filter: Filter::parse(filter).unwrap(), ..query };
            let folder = tempfile::tempdir().unwrap();
            let mut store = open(folder.path()).0;
            let mut records = Vec::new();
            for step in steps {
                match step {
                    Step::Append(some) => {
                        prop_assert_eq!(store.append(&some, NOW).accepted, some.len());
                        records.extend((store.position() - some.len() as u64..).zip(some));
                    }
                    Step::Segment => segment_now(&store),
                    Step::Reopen => {
                        drop(store);
                        store = open(folder.path()).0;
                    }
                }
            }
            let mut found = Vec::new();
            let mut page = store.search(&query);
            loop {
                for hit in &page.hits {
                    prop_assert_eq!(&hit.record, &records[usize::try_from(hit.position).unwrap()].1);
                }
                found.extend(page.hits.iter().map(|it| it.position));
                let Some(cursor) = page.cursor else { break };
                page = store.search(&Query { cursor: Some(cursor), ..query.clone() });
            }
            prop_assert_eq!(found, expected(&records, &query, filter));
        }
    }

    #[test]
    fn followed_from_a_position() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path());
        let query = Query { limit: 2, ..Query::default() };
        assert_eq!(store.after(0, &query), Tail::default());
        store.append(&[record("web", 9, "a"), record("cart", 3, "b"), record("web", 1, "c")], NOW);
        let tail = store.after(0, &query);
        assert_eq!((texts(&tail.hits), tail.position), (vec!["a", "b"], 2));
        segment_now(&store);
        let tail = store.after(tail.position, &query);
        assert_eq!((texts(&tail.hits), tail.position), (vec!["c"], 3));
        assert_eq!(store.after(3, &query), Tail { hits: Vec::new(), position: 3 });
        assert_eq!(store.after(99, &query), Tail { hits: Vec::new(), position: 3 });
        let of_cart = Query { services: vec!["cart".into()], ..Query::default() };
        let tail = store.after(0, &of_cart);
        assert_eq!((texts(&tail.hits), tail.position), (vec!["b"], 3));
    }

    /// Wherever the log ends, what was appended before is there, and more can be appended.
    #[test]
    fn killed_at_every_byte() {
        let written = tempfile::tempdir().unwrap();
        let (store, _) = open(written.path());
        let mut ends = Vec::new();
        for number in 0..4 {
            store.append(&[record("web", number, &format!("said {number}"))], NOW);
            store.tend(NOW).unwrap();
            ends.push(store.status().log_bytes);
        }
        let log = fs::read(written.path().join("log/00000001.wal")).unwrap();
        assert_eq!(log.len() as u64, ends[3]);
        for cut in 0..=log.len() {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("log")).unwrap();
            fs::write(folder.path().join("log/00000001.wal"), &log[..cut]).unwrap();
            let (store, recovery) = open(folder.path());
            let whole = ends.iter().filter(|it| **it <= cut as u64).count();
            assert_eq!((recovery.restored, recovery.damage.len()), (whole as u64, 0), "{cut}");
            store.append(&[record("web", 9, "later")], NOW);
            let said = (0..whole).map(|it| format!("said {it}"));
            assert_eq!(all(&store), said.chain(["later".to_owned()]).collect::<Vec<_>>(), "{cut}");
        }
    }

    /// A segment that was written when the log was not cut off yet is not doubled by the log.
    #[test]
    fn killed_between_segment_and_log() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path());
        store.append(&[record("web", 1, "a"), record("web", 2, "b")], NOW);
        store.tend(NOW).unwrap();
        let log = fs::read(folder.path().join("log/00000001.wal")).unwrap();
        segment_now(&store);
        drop(store);
        fs::write(folder.path().join("log/00000001.wal"), log).unwrap();
        let (store, recovery) = open(folder.path());
        assert_eq!((recovery.restored, store.position()), (0, 2));
        assert_eq!(all(&store), ["a", "b"]);
    }

    /// Whatever byte of a segment changes, what is found is right or is missing visibly.
    #[test]
    fn damage_is_named() {
        let written = tempfile::tempdir().unwrap();
        let (store, _) = open(written.path());
        store.append(&[record("web", 1, "alpha"), record("cart", 2, "beta")], NOW);
        segment_now(&store);
        let file = written.path().join("00000001.logs");
        let bytes = fs::read(&file).unwrap();
        drop(store);
        let (mut aside, mut blocks) = (0, 0);
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 16;
            fs::write(&file, &damaged).unwrap();
            let (store, recovery) = open(written.path());
            let page = store.search(&Query::default());
            let texts = texts(&page.hits);
            if let Some(damage) = recovery.damage.first() {
                aside += 1;
                assert!(texts.is_empty());
                assert_eq!(fs::read(&damage.file).unwrap(), damaged);
                fs::remove_file(&damage.file).unwrap();
            } else if texts.len() == 2 {
                assert_eq!((texts, page.damaged_blocks), (vec!["beta", "alpha"], 0), "{place}");
            } else {
                blocks += 1;
                assert_eq!((texts.len(), page.damaged_blocks), (1, 1), "{place}");
            }
        }
        // The rest are the filters, which have no checksum: 32 bytes for each of two blocks.
        assert_eq!(aside + blocks + 64, bytes.len());
        for cut in 0..bytes.len() {
            fs::write(&file, &bytes[..cut]).unwrap();
            let (_, recovery) = open(written.path());
            assert_eq!(recovery.damage.len(), 1, "cut at {cut}");
            fs::remove_file(&recovery.damage[0].file).unwrap();
        }
    }

    /// Text that does not compress, so that bytes are bytes.
    fn noise(rng: &mut model::Rng, bytes: usize) -> String {
        let digit = |number: u64| char::from_digit((number % 36) as u32, 36).unwrap();
        (0..bytes).map(|_| digit(rng.next_u64())).collect()
    }

    #[test]
    fn the_noisiest_forgets_first_and_the_rest_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { bytes: 2 << 20, ..Limits::default() };
        let (store, _) = Store::open(folder.path(), limits, NOW).unwrap();
        let mut rng = model::Rng::new(1);
        let mut now = NOW;
        for round in 0..10 {
            let mut records: Vec<Record> =
                (0..500).map(|it| record("noisy", it, &noise(&mut rng, 1_000))).collect();
            records.push(record("quiet", round, &format!("round {round}")));
            store.append(&records, now);
            now = now.after(Duration::from_hours(2));
            store.tend(now).unwrap();
        }
        let status = store.status();
        assert!(status.segment_bytes <= 2 << 20, "{status:?}");
        assert!((1 << 20) < status.segment_bytes, "{status:?}");
        let of_quiet = Query {
            services: vec!["quiet".into()],
            order: Order::Arrival,
            limit: 5_000,
            ..Query::default()
        };
        assert_eq!(store.search(&of_quiet).hits.len(), 10);
        let of_noisy = Query { services: vec!["noisy".into()], ..of_quiet };
        let kept = store.search(&of_noisy).hits;
        assert_eq!(kept.last().unwrap().position + 2, store.position(), "its latest is there");
        assert_eq!(kept.len() % 500, 0);
        drop(store);
        let (store, recovery) = Store::open(folder.path(), limits, now).unwrap();
        assert_eq!((recovery.damage.len(), store.search(&of_noisy).hits), (0, kept));
    }

    #[test]
    fn the_old_is_forgotten_and_no_position_is_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path());
        for hours in [0, 100] {
            store.append(&[record("web", hours, "x")], NOW.after(Duration::from_hours(hours)));
            store.tend(NOW.after(Duration::from_hours(hours + 2))).unwrap();
        }
        assert_eq!(store.status().segments, 2);
        // None is older for what the clock is ahead.
        let year = Duration::from_hours(365 * 24);
        store.tend_ahead(NOW.after(year), &|_age| year).unwrap();
        assert_eq!(store.status().segments, 2);
        store.tend(NOW.after(Duration::from_hours(8 * 24))).unwrap();
        assert_eq!((store.status().segments, all(&store).len()), (1, 1));
        store.tend(NOW.after(Duration::from_hours(100 * 24))).unwrap();
        assert_eq!(all(&store).len(), 0);
        drop(store);
        assert_eq!(open(folder.path()).0.position(), 2);
    }

    /// A clock that was a year ahead and is right again: lines are taken, segments are made, and what was sealed in the
    /// wrong year is as old as what was sealed after it.
    #[test]
    fn issue_12_a_clock_set_back_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            service_bytes_per_second: 1_000,
            service_burst_bytes: 1_000,
            ..Limits::default()
        };
        let (store, _) = Store::open(folder.path(), limits, NOW).unwrap();
        let year = Duration::from_hours(365 * 24);
        let line = "x".repeat(800);
        let accepted = |now: Timestamp| store.append(&[record("web", 1, &line)], now).accepted;
        assert_eq!(accepted(NOW.after(year)), 1);
        store.tend(NOW.after(year + Duration::from_hours(2))).unwrap();
        assert_eq!(
            (store.status().segments, accepted(NOW.after(year + Duration::from_hours(3)))),
            (1, 1)
        );
        let _spent = accepted(NOW);
        assert_eq!(accepted(NOW.after(Duration::from_secs(2))), 1, "its account fills again");
        store.tend(NOW.after(Duration::from_secs(3))).unwrap();
        assert_eq!(store.status().segments, 2, "what began in the wrong year waits no longer");
        store.tend(NOW.after(Duration::from_hours(7 * 24 + 1))).unwrap();
        assert_eq!(all(&store), [""; 0]);
    }

    #[test]
    fn a_flood_is_refused_and_shown_and_the_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            service_bytes_per_second: 10_000,
            service_burst_bytes: 50_000,
            ..Limits::default()
        };
        let (store, _) = Store::open(folder.path(), limits, NOW).unwrap();
        let line = "x".repeat(100);
        let flood: Vec<Record> = (0..10_000).map(|it| record("noisy", it, &line)).collect();
        let appended = store.append(&flood, NOW);
        assert_eq!(appended.accepted, 50_000 / 134);
        assert_eq!(appended.refused, BTreeMap::from([(Refusal::Rate, 9_627)]));
        assert_eq!(store.append(&[record("quiet", 1, &line)], NOW).accepted, 1);
        store.unread(&flood[0].source, 7, NOW);
        let names: Vec<_> = store
            .status()
            .services
            .into_iter()
            .map(|it| (it.service, it.tally.accepted, it.tally.refused))
            .collect();
        let refused = BTreeMap::from([(Refusal::Rate, 9_627), (Refusal::Unread, 7)]);
        assert_eq!(
            names,
            [("noisy".to_owned(), 373, refused), ("quiet".to_owned(), 1, BTreeMap::new()),]
        );
        // A flood of names is refused too.
        let names: Vec<Record> = (0..5_000).map(|it| record(&format!("s{it}"), it, "x")).collect();
        let appended = store.append(&names, NOW);
        assert_eq!(appended.refused, BTreeMap::from([(Refusal::Sources, 3_002)]));
        assert_eq!(store.status().refused_strangers, 3_002);
        assert_eq!(store.append(&[record("quiet", 1, &line)], NOW).accepted, 1);
    }

    /// A disk that is full costs what comes, not what is there; when there is room again, all goes on.
    #[test]
    fn a_segment_that_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = open(folder.path());
        store.append(&[record("web", 1, "a")], NOW);
        // A folder in the way of the temporary file.
        let in_the_way = folder.path().join("00000001.tmp");
        fs::create_dir(&in_the_way).unwrap();
        let later = NOW.after(Duration::from_hours(2));
        assert!(store.tend(later).is_err());
        store.append(&[record("web", 2, "b")], later);
        assert_eq!(all(&store), ["a", "b"]);
        fs::remove_dir(&in_the_way).unwrap();
        store.tend(later).unwrap();
        assert_eq!(
            (store.status().segments, all(&store)),
            (1, vec!["a".to_owned(), "b".to_owned()])
        );
        drop(store);
        assert_eq!(all(&open(folder.path()).0), ["a", "b"]);
    }
}
