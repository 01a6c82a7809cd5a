//! What instances say on their standard output and error, read on every second.
//!
//! Supervisors write the lines to files; here they are read from where the last reading ended. Those places are
//! kept in a file as well, so that another control process goes on there: a line is read twice at worst where
//! this one was killed within a second. Of an instance that says more than can be read, what its files have lost by then is
//! passed over, and counted as refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::files;
use model::{ApplicationName, InstanceId, Timestamp};
use runtime::Processes;
use runtime::log::{self, Cursor, Line};
use telemetry::logs::{Record, Source, Store, Stream, parse_line};
use world::{ServiceState, World};

/// Lines of one instance that are read in a second, at most.
const LINES_MAX: usize = 50_000;
/// Lines read at once.
const PAGE_LINES: usize = 5_000;
/// Bytes before the text of a line in a file: when, where, whether it is whole; and its end.
const LINE_HEAD_BYTES: usize = "2026-11-22T06:00:00.123Z stdout F \n".len();
/// Bytes of a line that was written in parts, at most.
const WHOLE_BYTES_MAX: usize = 256 << 10;

/// `shop/cart.7`, as a key of the file of places.
type Places = BTreeMap<String, Cursor>;

/// Knows how far every instance's output was read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    file: PathBuf,
    places: Places,
    is_changed: bool,
}

impl Reader {
    /// Goes on where the control process before this one was.
    pub(super) fn open(folder: &Path) -> Self {
        let file = folder.join("logs-read.json");
        let text = files::read_if_there(&file).ok().flatten().unwrap_or_default();
        // Without places everything is read once more.
        let places = serde_json::from_slice(&text).unwrap_or_default();
        Self { file, places, is_changed: false }
    }

    /// Reads on what every instance has said.
    pub(super) fn read(
        &mut self,
        processes: &Processes,
        world: &World,
        store: &Store,
        now: Timestamp,
    ) {
        let mut before = std::mem::take(&mut self.places);
        for (name, application) in &world.applications {
            for (service, state) in &application.services {
                for number in instances(state) {
                    let id = InstanceId { service: service.clone(), number };
                    let key = format!("{name}/{id}");
                    let place = before.remove(&key).unwrap_or_default();
                    let next =
                        read_instance(processes, (name, &id), place, &mut |said| match said {
                            Said::Records(records) => {
                                let _counted_there = store.append(records, now);
                            }
                            Said::Unread(source, count) => store.unread(source, count, now),
                        });
                    self.is_changed |= next != place;
                    self.places.insert(key, next);
                }
            }
        }
        // Instances that are forgotten are gone with their files.
        self.is_changed |= !before.is_empty();
    }

    /// Writes down how far everything was read.
    pub(super) fn remember(&mut self) {
        if !self.is_changed {
            return;
        }
        let text = serde_json::to_vec(&self.places).unwrap_or_default();
        match files::write_whole(&self.file, &text) {
            Ok(()) => self.is_changed = false,
            Err(error) => {
                tracing::warn!(%error, "it cannot be written down how far logs were read");
            }
        }
    }
}

/// Those that live, and the last that ended.
fn instances(state: &ServiceState) -> Vec<u32> {
    let ended = state.ended.iter().map(|it| it.number);
    state.instances.keys().copied().chain(ended).collect()
}

/// What came of reading on.
enum Said<'a> {
    Records(&'a [Record]),
    /// So many, about, were gone before they were read.
    Unread(&'a Source, u64),
}

fn read_instance(
    processes: &Processes,
    (application, id): (&ApplicationName, &InstanceId),
    from: Cursor,
    keep: &mut dyn FnMut(Said<'_>),
) -> Cursor {
    let folder = processes.folder(application, id);
    let source = |stream| {
        Arc::new(Source {
            application: application.to_string(),
            service: id.service.to_string(),
            instance: id.to_string(),
            stream,
        })
    };
    let sources = [source(Stream::Stdout), source(Stream::Stderr)];
    let [stdout, _] = &sources;
    let mut place = from;
    for _ in 0..LINES_MAX / PAGE_LINES {
        // A folder that cannot be read now is read the next second.
        let Ok(page) = log::read(folder.path(), place, PAGE_LINES) else { break };
        place = page.next;
        let is_all = page.lines.len() < PAGE_LINES;
        if page.missed_bytes != 0 {
            keep(Said::Unread(stdout, lines_in(page.missed_bytes, &page.lines)));
        }
        if !page.lines.is_empty() {
            keep(Said::Records(&records(page.lines, &sources)));
        }
        if is_all {
            break;
        }
    }
    place
}

/// How many lines so many bytes are, if they are as long as these.
fn lines_in(bytes: u64, like: &[Line]) -> u64 {
    let of_like: usize = like.iter().map(|it| it.text.len() + LINE_HEAD_BYTES).sum();
    let (of_like, count) = (of_like as u64, like.len() as u64);
    bytes.saturating_mul(count).checked_div(of_like).unwrap_or(0).max(1)
}

/// Puts parts of lines together, and finds what each line says of itself.
fn records(lines: Vec<Line>, [stdout, stderr]: &[Arc<Source>; 2]) -> Vec<Record> {
    let mut records = Vec::with_capacity(lines.len());
    let mut parts: [Option<Line>; 2] = [None, None];
    let mut finish = |line: Line| {
        let source = match line.stream {
            log::Stream::Stdout => stdout,
            log::Stream::Stderr => stderr,
        };
        let said = parse_line(&line.text);
        records.push(Record {
            at_us: line.at.as_millis().saturating_mul(1_000),
            source: Arc::clone(source),
            severity: said.severity,
            fields: said.fields,
            trace: said.trace,
            span: said.span,
            text: said.text.into_owned(),
        });
    };
    for mut line in lines {
        let [out, error] = &mut parts;
        let part = if line.stream == log::Stream::Stdout { out } else { error };
        if let Some(earlier) = part.take() {
            line = Line { text: earlier.text + &line.text, ..line };
        }
        if line.partial && line.text.len() < WHOLE_BYTES_MAX {
            *part = Some(line);
        } else {
            finish(line);
        }
    }
    parts.into_iter().flatten().for_each(finish);
    records
}

#[cfg(test)]
mod tests {
    use log::Stream::{Stderr as Error, Stdout as Out};

    use telemetry::logs::Severity;

    use super::*;

    fn line(text: &str, stream: log::Stream, partial: &str) -> Line {
        let at = Timestamp::from_millis(5);
        Line { at, stream, text: text.to_owned(), partial: partial == "partial" }
    }

    #[test]
    fn what_was_missed_is_counted_in_lines_like_those_that_were_not() {
        let like = [line("12345", Out, ""), line("1234567", Out, "")];
        assert_eq!(lines_in(410, &like), 10);
        assert_eq!(lines_in(10, &[]), 1);
    }

    #[test]
    fn parts_become_lines_and_lines_records() {
        let source = |stream| {
            let [application, service, instance] = ["shop", "cart", "cart.1"].map(str::to_owned);
            Arc::new(Source { application, service, instance, stream })
        };
        let sources = [source(Stream::Stdout), source(Stream::Stderr)];
        let lines = vec![
            line("one ", Out, "partial"),
            line("an ERROR", Error, ""),
            line("line", Out, ""),
            line(r#"{"level":"warn","msg":"low","left":3}"#, Out, ""),
            line("the end", Error, "partial"),
        ];
        let records = records(lines, &sources);
        let said: Vec<_> = records
            .iter()
            .map(|it| (it.text.as_str(), it.source.stream, it.severity.map(Severity::as_str)))
            .collect();
        let expected = [
            ("an ERROR", Stream::Stderr, Some("error")),
            ("one line", Stream::Stdout, None),
            ("low", Stream::Stdout, Some("warn")),
            ("the end", Stream::Stderr, None),
        ];
        assert_eq!(said, expected);
        assert_eq!(records[2].fields, [("left".to_owned(), "3".to_owned())]);
        assert_eq!(records[0].at_us, 5_000);
    }
}
