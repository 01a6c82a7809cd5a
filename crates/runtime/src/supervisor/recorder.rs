//! What an instance says, kept as far as the disk allows.
//!
//! A disk that is full, read-only or broken costs lines, never the instance: they are dropped and counted
//! until there is room again, and then the log says how many are missing. Lines stop before the disk
//! is full, so that the last of its room is for facts. While lines are lost the recorder has a lock that
//! others can see ([`InstanceFolder::loses_lines`]), which needs nothing to be written.

use std::io;
use std::time::Duration;

use model::{Instant, Timestamp};

use crate::folder::{InstanceFolder, LossSign};
use crate::launch::LogLimits;
use crate::log::{Stream, Writer};

/// Time between two tries to write what could not be written, and between two looks at the room that is left.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Now, by the clock that never goes back and by the calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) timestamp: Timestamp,
}

/// Keeps lines, or counts them.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    folder: &'a InstanceFolder,
    limits: LogLimits,
    writer: Option<Writer>,
    lost: Option<Lost>,
    /// When it is looked next how much room there is.
    look_at: Instant,
}

/// Lines that are missing.
#[derive(Debug)]
struct Lost {
    lines: u64,
    since: Timestamp,
    retry_at: Instant,
    reason: String,
    /// Held as long as lines are lost; nothing where it could not be.
    sign: Option<LossSign>,
}

impl<'a> Recorder<'a> {
    pub(super) fn open(folder: &'a InstanceFolder, limits: LogLimits, now: Now) -> Self {
        let mut recorder =
            Self { folder, limits, writer: None, lost: None, look_at: Instant::ZERO };
        recorder.go_on(now);
        recorder
    }

    /// Keeps a line, or a part of one.
    pub(super) fn keep(&mut self, now: Now, stream: Stream, text: &[u8], whole: Whole) {
        if !self.go_on(now) {
            self.count(1);
            return;
        }
        let Some(writer) = &mut self.writer else { return };
        let written = match whole {
            Whole::Line => writer.line(now.timestamp, stream, text),
            Whole::Part => writer.part(now.timestamp, stream, text),
        };
        if let Err(error) = written {
            self.fail(now, &error);
        }
    }

    /// Hands what was kept to the operating system.
    pub(super) fn flush(&mut self, now: Now) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.flush()
        {
            self.fail(now, &error);
        }
    }

    /// Tries again what could not be done, if it is time.
    pub(super) fn retry(&mut self, now: Now) {
        if self.lost.is_some() && self.go_on(now) {
            self.flush(now);
        }
    }

    /// When it is to be tried again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lost.as_ref().map(|it| it.retry_at)
    }

    /// Whether lines can be kept now, as far as that is known.
    fn go_on(&mut self, now: Now) -> bool {
        if self.lost.as_ref().is_some_and(|it| now.instant < it.retry_at) {
            return false;
        }
        let opened = self.room(now.instant).and_then(|()| match self.writer.take() {
            Some(writer) => Ok(writer),
            None => Writer::open(self.folder.path(), self.limits),
        });
        match opened {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => {
                self.fail(now, &error);
                return false;
            }
        }
        if let Some(lost) = self.lost.take() {
            return self.tell(now, lost);
        }
        true
    }

    /// An error where only what must be written should be.
    fn room(&mut self, now: Instant) -> io::Result<()> {
        if now < self.look_at {
            return Ok(());
        }
        match host::reserve::is_low(self.folder.path()) {
            Ok(Some(space)) => {
                let free = space.free_bytes >> 10;
                Err(io::Error::other(format!("the disk has only {free} KiB left")))
            }
            Ok(None) => {
                self.look_at = now.after(RETRY_AFTER);
                Ok(())
            }
            // A disk that does not say how full it is says so when it is written to.
            Err(_) => Ok(()),
        }
    }

    /// Writes down how many lines are missing.
    fn tell(&mut self, now: Now, lost: Lost) -> bool {
        let Some(writer) = &mut self.writer else { return false };
        if lost.lines == 0 {
            return true;
        }
        let Lost { lines, since, reason, .. } = &lost;
        let text = format!("pelago: {lines} lines since {since} could not be kept: {reason}");
        let told = writer
            .line(now.timestamp, Stream::Stderr, text.as_bytes())
            .and_then(|()| writer.flush());
        if let Err(error) = told {
            self.writer = None;
            let (retry_at, reason) = (now.instant.after(RETRY_AFTER), error.to_string());
            self.lost = Some(Lost { retry_at, reason, ..lost });
            return false;
        }
        true
    }

    /// Counts what could not be written, and says that it is so.
    fn fail(&mut self, now: Now, error: &io::Error) {
        let waiting = self.writer.take().map_or(0, |it| it.waiting_lines());
        let before = self.lost.take();
        let (lines, since) = before.as_ref().map_or((0, now.timestamp), |it| (it.lines, it.since));
        let sign = before.and_then(|it| it.sign).or_else(|| self.folder.lose_lines());
        self.lost = Some(Lost {
            lines: lines + waiting,
            since,
            retry_at: now.instant.after(RETRY_AFTER),
            reason: error.to_string(),
            sign,
        });
    }

    fn count(&mut self, lines: u64) {
        if let Some(lost) = &mut self.lost {
            lost.lines += lines;
        }
    }
}

/// Whether a line is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    Line,
    Part,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::log::{Cursor, read};

    fn now(millis: u64) -> Now {
        let instant = Instant::from_nanos(millis * 1_000_000);
        Now { instant, timestamp: Timestamp::from_millis(millis) }
    }

    fn texts(folder: &InstanceFolder) -> Vec<String> {
        let page = read(folder.path(), Cursor::default(), 100).unwrap();
        page.lines.into_iter().map(|it| it.text).collect()
    }

    /// An instance folder whose log is on a disk that is full.
    fn full() -> (tempfile::TempDir, InstanceFolder) {
        let folder = tempfile::tempdir().unwrap();
        symlink("/dev/full", folder.path().join("log.1")).unwrap();
        fs::write(folder.path().join("loss"), "").unwrap();
        let instance = InstanceFolder::new(folder.path().to_owned());
        (folder, instance)
    }

    #[test]
    fn issue_12_lines_that_a_full_disk_refuses_are_counted_and_the_log_goes_on() {
        let (_kept, folder) = full();
        let mut recorder = Recorder::open(&folder, LogLimits::default(), now(0));
        let keep = |recorder: &mut Recorder<'_>, at: u64, text: &str| {
            recorder.keep(now(at), Stream::Stdout, text.as_bytes(), Whole::Line);
            recorder.flush(now(at));
        };
        assert!(!folder.loses_lines().unwrap());
        recorder.keep(now(5), Stream::Stdout, b"one", Whole::Line);
        keep(&mut recorder, 5, "two");
        assert!(folder.loses_lines().unwrap(), "others can see it");
        keep(&mut recorder, 6, "three");
        assert_eq!(recorder.next_deadline(), Some(now(1_005).instant));
        // Still full when it is tried again.
        recorder.retry(now(1_005));
        keep(&mut recorder, 1_006, "four");
        assert!(folder.loses_lines().unwrap());

        fs::remove_file(folder.path().join("log.1")).unwrap();
        recorder.retry(now(2_005));
        assert!(!folder.loses_lines().unwrap());
        assert_eq!(recorder.next_deadline(), None);
        keep(&mut recorder, 2_006, "five");
        let texts = texts(&folder);
        assert_eq!(texts.len(), 2, "{texts:?}");
        let told = "pelago: 4 lines since 1970-01-01T00:00:00.005Z could not be kept: No space";
        assert!(texts[0].starts_with(told), "{texts:?}");
        assert_eq!(texts[1], "five");
    }

    #[test]
    fn issue_12_a_log_that_cannot_be_opened_is_no_reason_not_to_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("log.1")).unwrap();
        let instance = InstanceFolder::new(folder.path().to_owned());
        let mut recorder = Recorder::open(&instance, LogLimits::default(), now(0));
        recorder.keep(now(1), Stream::Stderr, b"lost", Whole::Line);
        fs::remove_dir(folder.path().join("log.1")).unwrap();
        recorder.keep(now(1_001), Stream::Stderr, b"kept", Whole::Line);
        recorder.flush(now(1_001));
        let texts = texts(&instance);
        assert!(texts[0].starts_with("pelago: 1 lines since"), "{texts:?}");
        assert_eq!(texts[1..], ["kept"]);
    }
}
