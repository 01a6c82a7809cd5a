//! Standard output and error: colour where a person reads, plain text where a program does.

use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use api::ApiError;
use serde::Serialize;

use crate::Context;
use crate::arguments::Format;
use crate::error::CommandError;

/// Where answers go.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    look: Look,
    size: Size,
    format: Format,
}

/// How much a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// The size of a terminal that does not say how large it is: that of a VT100.
const SIZE_DEFAULT: Size = Size { columns: 80, rows: 24 };

/// How text may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A program, or a file: no colours, nothing redrawn.
    Plain,
    /// A terminal: colours, and lines may be redrawn.
    Terminal,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Output").field("look", &self.look).finish_non_exhaustive()
    }
}

/// What a piece of text means; its colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Busy,
    Bad,
    Faint,
    Strong,
    /// One of a row of colours, to tell sources apart.
    Source(usize),
}

const SOURCES: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::BrightBlue,
];

impl Tone {
    fn style(self) -> Style {
        let coloured = |it: AnsiColor| Style::new().fg_color(Some(it.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Good => coloured(AnsiColor::Green),
            Self::Busy => coloured(AnsiColor::Yellow),
            Self::Bad => coloured(AnsiColor::Red),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Source(number) => {
                coloured(SOURCES.get(number % SOURCES.len()).copied().unwrap_or(AnsiColor::Cyan))
            }
        }
    }
}

impl Output {
    /// The output of this process.
    pub(crate) fn of_process(context: &Context) -> Self {
        let wanted = !context.environment.contains_key("NO_COLOR")
            && context.environment.get("TERM").is_none_or(|it| it != "dumb");
        let look = if wanted && io::stdout().is_terminal() { Look::Terminal } else { Look::Plain };
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let or = |found: Option<u16>, default| {
            found.map(usize::from).filter(|it| 0 < *it).unwrap_or(default)
        };
        let size = Size {
            columns: or(size.map(|it| it.ws_col), SIZE_DEFAULT.columns),
            rows: or(size.map(|it| it.ws_row), SIZE_DEFAULT.rows),
        };
        let (out, err) = (Box::new(io::stdout()), Box::new(io::stderr()));
        Self { out, err, look, size, format: context.format }
    }

    pub(crate) const fn look(&self) -> Look {
        self.look
    }

    /// Whether programs read our answers.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// `text` in the colour of `tone`, if colours are used.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let style = tone.style();
        if self.look == Look::Plain || text.is_empty() || tone == Tone::Plain {
            return text.to_owned();
        }
        format!("{}{text}{}", style.render(), style.render_reset())
    }

    /// The size of the terminal.
    pub(crate) const fn size(&self) -> Size {
        self.size
    }

    /// Writes a line of the answer.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CommandError> {
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    /// Writes as it is.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), CommandError> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    /// Writes a whole JSON document, for people to read as well.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.line(&text)
    }

    /// Writes a JSON document on one line, where more follow.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        self.line(&text)
    }

    /// Writes a line beside the answer: what goes on, what to mind.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), CommandError> {
        writeln!(self.err, "{text}")?;
        Ok(())
    }

    /// Writes why the command failed: to programs always in the form of the API's own errors.
    pub(crate) fn error(&mut self, error: &CommandError) {
        let text = model::chain(error);
        // Where even this cannot be written, the exit code says it.
        drop(match self.format {
            Format::Json => {
                let error = ApiError::new(error.kind(), text);
                let json = serde_json::to_string(&error).unwrap_or_default();
                writeln!(self.err, "{json}")
            }
            Format::Text => writeln!(self.err, "{} {text}", self.paint(Tone::Bad, "error:")),
        });
    }
}

/// `text` on one line: what a check or a program said may have several, and a table has not.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|it: char| it.is_control()).map(str::trim).filter(|it| !it.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// What was written, for tests to look at.
#[cfg(test)]
pub(crate) mod captured {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Format, Look, Output};

    /// A place to write to that can be looked at.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// An output, and the page that both its answers and its notes are on.
    pub(crate) fn output(look: Look, format: Format) -> (Output, Page) {
        let page = Page::default();
        let (out, err) = (Box::new(page.clone()), Box::new(page.clone()));
        (Output { out, err, look, size: super::SIZE_DEFAULT, format }, page)
    }
}
