//! What is wrong with a file, and where: all of it at once, so that a file is mended in one go.
//!
//! A problem is a place and a sentence that names the thing and the remedy. It is shown in three
//! ways: as plain lines (`pelago.yaml:12:3: ..`) for logs and editors, with the lines of the file
//! around it through miette for people, and as data for programs.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

/// Problems that are kept of one file; whoever has more begins with the first. Two screens full.
pub const PROBLEMS_MAX: usize = 100;

/// A stretch of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes before it.
    pub offset: usize,
    /// Bytes it has.
    pub length: usize,
}

impl Place {
    /// The beginning of a file, for what is wrong with all of it.
    pub const START: Self = Self { line: 1, column: 1, offset: 0, length: 0 };
}

/// Whether a problem keeps a file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but is probably not what was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// How bad.
    pub severity: Severity,
    /// What, and what to do about it: lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = (self.place.offset, self.place.length);
        Some(Box::new(std::iter::once(LabeledSpan::underline(span))))
    }
}

/// All that is wrong with one file, in the order of the file.
#[derive(Clone, Debug)]
pub struct Problems {
    source: NamedSource<Arc<str>>,
    list: Vec<Problem>,
    left_off: usize,
}

impl Problems {
    pub(crate) fn new(file: &str, text: &Arc<str>, found: Vec<Problem>, dropped: usize) -> Self {
        let mut list = found;
        list.sort();
        // What is inherited is read once for each heir, and may list what else that heir has.
        list.dedup_by(|b, a| a.place == b.place && gist(&a.message) == gist(&b.message));
        let left_off = list.len().saturating_sub(PROBLEMS_MAX) + dropped;
        list.truncate(PROBLEMS_MAX);
        Self { source: NamedSource::new(file, Arc::clone(text)), list, left_off }
    }

    /// The name of the file.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The problems, by place.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// How many more there were than [`PROBLEMS_MAX`].
    pub const fn left_off(&self) -> usize {
        self.left_off
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            let Problem { place: Place { line, column, .. }, severity, message } = problem;
            let newline = if at == 0 { "" } else { "\n" };
            let severity = if *severity == Severity::Warning { "warning: " } else { "" };
            write!(formatter, "{newline}{}:{line}:{column}: {severity}{message}", self.file())?;
        }
        if 0 < self.left_off {
            write!(formatter, "\n{}: {} more; mend these first", self.file(), self.left_off)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Serialize for Problems {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Problems", 3)?;
        fields.serialize_field("file", self.file())?;
        fields.serialize_field("problems", &self.list)?;
        fields.serialize_field("left_off", &self.left_off)?;
        fields.end()
    }
}

/// The thing, without the remedy.
fn gist(message: &str) -> &str {
    message.split_once("; ").map_or(message, |(gist, _)| gist)
}

/// For miette: a title, and every problem below it with the lines of the file around it.
#[derive(Debug)]
struct Title<'a>(&'a Problems);

impl fmt::Display for Title<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.list.len() + self.0.left_off;
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(formatter, "{count} {noun} in {}", self.0.file())
    }
}

impl std::error::Error for Title<'_> {}

impl Diagnostic for Title<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Diagnostic::severity(self.0)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.0.source)
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn Diagnostic> + 'b>> {
        Diagnostic::related(self.0)
    }
}

impl Diagnostic for Problems {
    fn severity(&self) -> Option<miette::Severity> {
        let warnings = self.list.iter().all(|it| it.severity == Severity::Warning);
        Some(if warnings { miette::Severity::Warning } else { miette::Severity::Error })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn Diagnostic> + 'b>> {
        Some(Box::new(self.list.iter().map(|it| it as &dyn Diagnostic)))
    }
}

impl Problems {
    /// The problems with the lines of the file around each, without colour, `width` characters wide.
    /// The plain lines of `Display` would say everything twice as a title, so this has its own.
    pub fn render(&self, width: usize) -> String {
        let theme = miette::GraphicalTheme::unicode_nocolor();
        self.render_with(&miette::GraphicalReportHandler::new_themed(theme).with_width(width))
    }

    /// The problems as `handler` draws them, for colour and other themes.
    pub fn render_with(&self, handler: &miette::GraphicalReportHandler) -> String {
        let mut text = String::new();
        match handler.render_report(&mut text, &Title(self)) {
            Ok(()) => text,
            Err(fmt::Error) => self.to_string(),
        }
    }
}

/// Problems while they are being found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// How many more there were than [`FOUND_MAX`].
    pub(crate) dropped: usize,
}

/// Problems that are kept until they are sorted: enough that the first of the file are among them,
/// even though structure is checked before meaning.
const FOUND_MAX: usize = 100 * PROBLEMS_MAX;

impl Findings {
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        if FOUND_MAX <= self.errors.len() {
            self.dropped += 1;
            return;
        }
        self.errors.push(Problem { place, severity: Severity::Error, message: message.into() });
    }

    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.warnings.push(Problem { place, severity: Severity::Warning, message: message.into() });
    }

    /// The value, or nothing and its error as a problem at `place`.
    pub(crate) fn take<T, E: fmt::Display>(
        &mut self,
        place: Place,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|it| self.error(place, it.to_string())).ok()
    }
}
