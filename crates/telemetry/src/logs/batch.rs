//! Records as the log keeps them until they are in a segment.
//!
//! A batch is what was appended at once: the position of its first record, then the records, rows and all.
//! A source is described where it is first named, so that a record of a known one costs a number.

use std::sync::Arc;

use super::rows::{Entry, severity_code};
use super::{Record, Severity, Source, Stream, line, row};
use crate::protobuf::{put_varint, unzigzag, varint, zigzag};

const SEVERITY: u8 = 7;
const TRACE: u8 = 8;
const SPAN: u8 = 16;
const IN_TEXT: u8 = 32;

/// A batch that is being written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    sources: Vec<Arc<Source>>,
    last_at_us: u64,
    records: usize,
    row: Vec<u8>,
}

impl Batch {
    /// Begins another.
    pub(super) fn clear(&mut self, first: u64) {
        self.bytes.clear();
        self.sources.clear();
        self.last_at_us = 0;
        self.records = 0;
        put_varint(&mut self.bytes, first);
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing was written.
    pub(super) const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Writes a record; returns its row, and its entry but for its place and source.
    pub(super) fn put(&mut self, record: &Record, position: u64) -> (Entry, &[u8]) {
        self.records += 1;
        self.row.clear();
        row::put(&mut self.row, &record.text, &record.fields);
        let entry = entry_of(record, position, &self.row);
        self.put_source(&record.source);
        put_varint(
            &mut self.bytes,
            zigzag(record.at_us.wrapping_sub(self.last_at_us).cast_signed()),
        );
        self.last_at_us = record.at_us;
        let flag = |is_so: bool, flag: u8| if is_so { flag } else { 0 };
        self.bytes.push(
            severity_code(entry.severity)
                | flag(entry.trace != 0, TRACE)
                | flag(entry.span != 0, SPAN)
                | flag(entry.ids_in_text, IN_TEXT),
        );
        if entry.trace != 0 {
            self.bytes.extend_from_slice(&entry.trace.to_le_bytes());
        }
        if entry.span != 0 {
            self.bytes.extend_from_slice(&entry.span.to_le_bytes());
        }
        put_varint(&mut self.bytes, self.row.len() as u64);
        self.bytes.extend_from_slice(&self.row);
        (entry, &self.row)
    }

    /// The source's number in this batch, and what it is if it is new. The last ones are looked at first: few
    /// speak at a time.
    fn put_source(&mut self, source: &Arc<Source>) {
        let known = self.sources.iter().rposition(|it| Arc::ptr_eq(it, source) || it == source);
        let number = known.unwrap_or(self.sources.len());
        put_varint(&mut self.bytes, number as u64);
        if known.is_none() {
            put_source(&mut self.bytes, source);
            self.sources.push(Arc::clone(source));
        }
    }
}

fn entry_of(record: &Record, position: u64, row: &[u8]) -> Entry {
    let ids = (record.trace, record.span);
    let said = row::text(row).0;
    Entry {
        position,
        at_us: record.at_us,
        trace: record.trace.unwrap_or(0),
        span: record.span.unwrap_or(0),
        end: 0,
        source: 0,
        severity: record.severity,
        ids_in_text: record.trace.is_some()
            && std::str::from_utf8(said).is_ok_and(|it| line::ids_in(it) == ids),
    }
}

/// Writes a source.
pub(super) fn put_source(out: &mut Vec<u8>, source: &Source) {
    for part in [&source.application, &source.service, &source.instance] {
        put_varint(out, part.len() as u64);
        out.extend_from_slice(part.as_bytes());
    }
    out.push(source.stream as u8);
}

/// Reads what [`put_source`] wrote.
pub(super) fn take_source(bytes: &mut &[u8]) -> Option<Source> {
    let mut part = || {
        let text = take(bytes)?;
        std::str::from_utf8(text).ok().map(str::to_owned)
    };
    let (application, service, instance) = (part()?, part()?, part()?);
    let (stream, rest) = bytes.split_first()?;
    *bytes = rest;
    let stream = Stream::ALL.get(usize::from(*stream)).copied()?;
    Some(Source { application, service, instance, stream })
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(bytes).ok()?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Hands every record of a batch to `visit`. Nothing if it cannot be read to its end.
pub(super) fn read(
    mut bytes: &[u8],
    visit: &mut impl FnMut(&Arc<Source>, Entry, &[u8]),
) -> Option<()> {
    let mut position = varint(&mut bytes).ok()?;
    let mut sources: Vec<Arc<Source>> = Vec::new();
    let mut at_us = 0_u64;
    while !bytes.is_empty() {
        let number = usize::try_from(varint(&mut bytes).ok()?).ok()?;
        if number == sources.len() {
            sources.push(Arc::new(take_source(&mut bytes)?));
        }
        let source = sources.get(number)?;
        at_us = at_us.wrapping_add_signed(unzigzag(varint(&mut bytes).ok()?));
        let (code, rest) = bytes.split_first()?;
        bytes = rest;
        let mut entry = Entry {
            position,
            at_us,
            trace: 0,
            span: 0,
            end: 0,
            source: 0,
            severity: (code & SEVERITY)
                .checked_sub(1)
                .and_then(|it| Severity::ALL.get(usize::from(it)).copied()),
            ids_in_text: code & IN_TEXT != 0,
        };
        if code & TRACE != 0 {
            let (trace, rest) = bytes.split_first_chunk()?;
            entry.trace = u128::from_le_bytes(*trace);
            bytes = rest;
        }
        if code & SPAN != 0 {
            let (span, rest) = bytes.split_first_chunk()?;
            entry.span = u64::from_le_bytes(*span);
            bytes = rest;
        }
        visit(source, entry, take(&mut bytes)?);
        position += 1;
    }
    Some(())
}
