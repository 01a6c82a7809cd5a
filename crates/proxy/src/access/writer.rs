//! The thread that writes the access log.
//!
//! It appends whole lines, as many at once as there are, so that two data planes, one of which takes over
//! from the other, can write to the same file. It looks once a second whether the file is still where it
//! was, and begins a new one if somebody has moved it away, as logrotate does; where nobody does, it moves a
//! file that has become large away itself.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use host::Clock;
use telemetry::AccessLog;

use super::Logger;

/// Lines that wait to be written: at a hundred thousand a second, a disk that halts for 40 ms loses none.
const LINES_MAX: usize = 4_096;
/// Bytes that are written at once.
const BATCH_BYTES: usize = 64 << 10;
/// Bytes of the file after which a new one is begun; the one before is kept beside it.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts the thread. It ends when the last logger is gone, and all lines are written.
pub(crate) fn start(log: &AccessLog, clock: Clock) -> io::Result<(Logger, thread::JoinHandle<()>)> {
    let (lines, received) = sync_channel(LINES_MAX);
    let dropped = Arc::<AtomicU64>::default();
    let logger = Logger { lines, dropped: Arc::clone(&dropped), sample: log.sample };
    let mut writer = Writer::new(log.file.clone(), LOG_BYTES_MAX, dropped);
    let thread = thread::Builder::new().name("access-log".to_owned());
    let thread = thread.spawn(move || writer.run(&received, clock))?;
    Ok((logger, thread))
}

struct Writer {
    path: PathBuf,
    bytes_max: u64,
    file: Option<File>,
    /// Lines that were not written, by whosever fault, since that was last said.
    dropped: Arc<AtomicU64>,
    /// Why the file could not be used lately.
    failure: Option<io::Error>,
}

impl Writer {
    fn new(path: PathBuf, bytes_max: u64, dropped: Arc<AtomicU64>) -> Self {
        let mut writer = Self { path, bytes_max, file: None, dropped, failure: None };
        writer.open();
        writer
    }

    fn run(&mut self, lines: &Receiver<Vec<u8>>, clock: Clock) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        let mut next_look = clock.now().after(LOOK_EVERY);
        loop {
            match lines.recv_timeout(LOOK_EVERY) {
                Ok(line) => {
                    let rest = std::iter::from_fn(|| lines.try_recv().ok());
                    self.take(&mut batch, std::iter::once(line).chain(rest));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = clock.now();
            if next_look <= now {
                next_look = now.after(LOOK_EVERY);
                self.look();
            }
        }
        self.say();
    }

    /// Writes lines together, until no more are there or it is time for something else.
    fn take(&mut self, batch: &mut Vec<u8>, lines: impl Iterator<Item = Vec<u8>>) {
        batch.clear();
        let mut count = 0;
        for line in lines {
            batch.extend_from_slice(&line);
            count += 1;
            if BATCH_BYTES <= batch.len() {
                break;
            }
        }
        self.write(batch, count);
    }

    fn write(&mut self, batch: &[u8], count: u64) {
        let written = match &mut self.file {
            Some(file) => file.write_all(batch),
            // Why not is known already.
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if let Err(error) = written {
            self.dropped.fetch_add(count, Ordering::Relaxed);
            self.failure.get_or_insert(error);
        }
    }

    /// Looks after the file, and says what went wrong since the last time.
    fn look(&mut self) {
        match (self.file.as_ref().map(File::metadata), fs::metadata(&self.path)) {
            (Some(Ok(open)), Ok(found)) if is_same(&open, &found) => {
                if found.is_file() && self.bytes_max < found.len() {
                    self.begin_anew();
                }
            }
            _ => self.open(),
        }
        self.say();
    }

    /// Moves the file away, over the one that was moved away before.
    fn begin_anew(&mut self) {
        match fs::rename(&self.path, before(&self.path)) {
            Ok(()) => self.open(),
            Err(error) => self.failure = Some(error),
        }
    }

    fn open(&mut self) {
        // Addresses of clients are nobody's business but the operators'.
        let opened = File::options().create(true).append(true).mode(0o640).open(&self.path);
        match opened {
            Ok(file) => self.file = Some(file),
            // What is open goes on being written to: better there than nowhere.
            Err(error) => self.failure = Some(error),
        }
    }

    fn say(&mut self) {
        let lines = self.dropped.swap(0, Ordering::Relaxed);
        let path = self.path.display();
        if let Some(error) = self.failure.take() {
            tracing::warn!(%path, %error, dropped = lines, "the access log cannot be written; it is tried again");
        } else if 0 < lines {
            tracing::warn!(%path, dropped = lines, "the access log is written too slowly; lines were dropped");
        }
    }
}

/// Where the file that was moved away is.
fn before(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".1");
    path.into()
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::units::Share;

    fn writer(path: &Path, bytes_max: u64) -> Writer {
        Writer::new(path.to_owned(), bytes_max, Arc::default())
    }

    #[track_caller]
    fn check(path: &Path, expected: &str) {
        assert_eq!(fs::read_to_string(path).unwrap(), expected, "{path:?}");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("access.log"), folder.path().join("moved"));
        fs::write(&path, "before\n").unwrap();
        let mut writer = writer(&path, u64::MAX);
        writer.write(b"1\n", 1);
        fs::rename(&path, &moved).unwrap();
        writer.write(b"2\n", 1);
        writer.look();
        writer.write(b"3\n", 1);
        writer.look();
        writer.write(b"4\n", 1);
        check(&moved, "before\n1\n2\n");
        check(&path, "3\n4\n");
    }

    #[test]
    fn a_large_file_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut writer = writer(&path, 2);
        for line in [b"1\n", b"2\n", b"3\n", b"4\n"] {
            writer.write(line, 1);
            writer.look();
        }
        check(&path, "");
        check(&before(&path), "3\n4\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/access.log");
        let mut writer = writer(&path, u64::MAX);
        writer.write(b"1\n2\n", 2);
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 2);
        assert!(writer.failure.is_some());
        fs::create_dir(folder.path().join("later")).unwrap();
        writer.look();
        writer.write(b"3\n", 1);
        writer.look();
        check(&path, "3\n");
        assert!(writer.failure.is_none());
    }

    #[test]
    fn a_worker_does_not_wait() {
        let (lines, received) = sync_channel(1);
        let logger = Logger { lines, dropped: Arc::default(), sample: Share::ALL };
        logger.log(b"1\n".to_vec());
        logger.log(b"2\n".to_vec());
        assert_eq!(logger.dropped.load(Ordering::Relaxed), 1);
        assert_eq!(received.try_recv().as_deref(), Ok(&b"1\n"[..]));
    }

    #[test]
    fn all_is_written_before_the_thread_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let log = AccessLog { file: file.clone(), sample: Share::ALL };
        let (logger, thread) = start(&log, Clock::start()).unwrap();
        let lines: Vec<String> = (0..1_000).map(|it| format!("{it}\n")).collect();
        for line in &lines {
            logger.log(line.clone().into_bytes());
        }
        drop(logger);
        thread.join().unwrap();
        check(&file, &lines.concat());
    }
}
