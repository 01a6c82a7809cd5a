//! The log of decisions: everything one worker's edges were told and decided, line by line, so that it can be decided again
//! elsewhere (`pelago sim replay`).
//!
//! It is for finding out, not for every day: a request is half a dozen lines, and they are written by the worker itself, to the
//! page cache. It begins with the process, since a decision follows from all before it, and it ends when it is large
//! enough, which it says.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::rc::Rc;

use telemetry::report::{Caller, EdgeName};
use traffic::log::{Entry, Sink};

/// Bytes of one worker's log, at most: some minutes of a busy one.
const BYTES_MAX: u64 = 1 << 30;

/// One worker's log. Copies are the same log.
#[derive(Clone, Debug)]
pub(crate) struct DecisionLog(Rc<RefCell<Writer>>);

#[derive(Debug)]
struct Writer {
    file: BufWriter<File>,
    left: u64,
}

/// One line: an edge, and what it was told and decided.
#[derive(serde::Serialize)]
struct Line<'a> {
    edge: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl DecisionLog {
    /// Begins the log of a worker in a folder, which is made if it is not there.
    pub(crate) fn create(folder: &Path, worker: usize) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let name = format!("decisions-{}-{worker}.jsonl", std::process::id());
        let file = BufWriter::with_capacity(1 << 16, File::create(folder.join(name))?);
        Ok(Self(Rc::new(RefCell::new(Writer { file, left: BYTES_MAX }))))
    }

    /// Where an edge's decisions go.
    pub(crate) fn sink(&self, name: &EdgeName) -> Sink {
        let (log, edge) = (self.clone(), words(name));
        Box::new(move |entry| log.0.borrow_mut().write(&Line { edge: &edge, entry }))
    }

    /// What is written so far is in the file.
    pub(crate) fn flush(&self) {
        if let Err(error) = self.0.borrow_mut().file.flush() {
            tracing::warn!(%error, "the log of decisions could not be written");
        }
    }
}

/// `shop/web>cart`, or `shop/*/>web` for a route.
fn words(name: &EdgeName) -> String {
    let caller = match &name.caller {
        Caller::Service(service) => service.as_str(),
        Caller::Route(route) => route,
    };
    format!("{}/{caller}>{}", name.application, name.callee)
}

impl Writer {
    fn write(&mut self, line: &Line<'_>) {
        if self.left == 0 {
            return;
        }
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let result = self.file.write_all(&text);
        self.left = if result.is_ok() { self.left.saturating_sub(length) } else { 0 };
        if self.left == 0 {
            tracing::warn!("the log of decisions ends here: it is full, or could not be written");
        }
    }
}
