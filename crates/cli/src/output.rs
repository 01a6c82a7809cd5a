//! Standard output and error: colour where a person reads, plain text where a program does.
//!
//! Whatever is written goes through [`visible`]: what others named or said can do nothing to a terminal. Our own colours
//! are marks until then, which text of others does not become.

use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use api::ApiError;
use serde::Serialize;

use crate::arguments::Format;
use crate::error::CommandError;
use crate::visible::Mark;
use crate::{Context, visible};

/// Where answers go.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    look: Look,
    size: Size,
    format: Format,
    place: Place,
}

/// What answers are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A terminal, with colours or without: it acts on what it is shown.
    Terminal,
    /// A file or a pipe.
    Elsewhere,
}

/// How what others said is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Writing {
    /// With escapes for what a terminal would act on.
    #[default]
    Visible,
    /// As it is; not to a terminal.
    AsItIs,
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

/// The tones without those of sources.
const TONES: [Tone; 5] = [Tone::Good, Tone::Busy, Tone::Bad, Tone::Faint, Tone::Strong];

impl Tone {
    /// The number by which the tone is known among all that look different.
    fn number(self) -> Option<usize> {
        match self {
            Self::Source(number) => Some(TONES.len() + number % SOURCES.len()),
            other => TONES.iter().position(|it| *it == other),
        }
    }

    fn of_number(number: usize) -> Self {
        let source = || Self::Source(number.saturating_sub(TONES.len()));
        TONES.get(number).copied().unwrap_or_else(source)
    }

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
        let is_terminal = io::stdout().is_terminal();
        let look = if wanted && is_terminal { Look::Terminal } else { Look::Plain };
        let place = if is_terminal { Place::Terminal } else { Place::Elsewhere };
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let or = |found: Option<u16>, default| {
            found.map(usize::from).filter(|it| 0 < *it).unwrap_or(default)
        };
        let size = Size {
            columns: or(size.map(|it| it.ws_col), SIZE_DEFAULT.columns),
            rows: or(size.map(|it| it.ws_row), SIZE_DEFAULT.rows),
        };
        let (out, err) = (Box::new(io::stdout()), Box::new(io::stderr()));
        Self { out, err, look, size, format: context.format, place }
    }

    pub(crate) const fn look(&self) -> Look {
        self.look
    }

    /// Whether programs read our answers.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// What answers are written to.
    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    /// `text` in the colour of `tone`, if colours are used: marks of it, for [`line`](Self::line) and the like.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if self.look == Look::Plain || text.is_empty() {
            return text.to_owned();
        }
        let text = visible::line(text);
        let Some(number) = tone.number() else { return text.into_owned() };
        let (from, to) = (Mark::Colour(number).character(), Mark::Plain.character());
        format!("{from}{text}{to}")
    }

    /// A line as a terminal is shown it: colours where marks were, and nothing else that acts.
    pub(crate) fn finished(&self, text: &str) -> String {
        self.coloured(&match self.look {
            Look::Plain => visible::line(text),
            Look::Terminal => visible::marked(text),
        })
    }

    fn finished_block(&self, text: &str) -> String {
        self.coloured(&match self.look {
            Look::Plain => visible::block(text),
            Look::Terminal => visible::marked_block(text),
        })
    }

    fn coloured(&self, text: &str) -> String {
        if self.look == Look::Plain {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut style = Style::new();
        for it in text.chars() {
            let Some(mark) = Mark::of(it) else {
                out.push(it);
                continue;
            };
            // Where a colour ends and another begins, nothing of the first is left.
            out.push_str(&style.render_reset().to_string());
            style = match mark {
                Mark::Plain => Style::new(),
                Mark::Colour(number) => Tone::of_number(number).style(),
            };
            out.push_str(&style.render().to_string());
        }
        out.push_str(&style.render_reset().to_string());
        out
    }

    /// The size of the terminal.
    pub(crate) const fn size(&self) -> Size {
        self.size
    }

    /// Writes a line of the answer.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CommandError> {
        let text = self.finished(text);
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    /// Writes a line of what others said.
    pub(crate) fn said(&mut self, text: &str, writing: Writing) -> Result<(), CommandError> {
        match (writing, self.place) {
            (Writing::AsItIs, Place::Elsewhere) => self.raw(&format!("{text}\n")),
            _ => self.line(text),
        }
    }

    /// Writes lines of the answer, each with its end.
    pub(crate) fn block(&mut self, text: &str) -> Result<(), CommandError> {
        let text = self.finished_block(text);
        self.raw(&text)
    }

    /// Writes the content of a file: as it is to where it becomes one, visible to a terminal.
    pub(crate) fn document(&mut self, text: &str) -> Result<(), CommandError> {
        match self.place {
            Place::Terminal => self.block(text),
            Place::Elsewhere => self.raw(text),
        }
    }

    /// Writes as it is: what we made ourselves, or what was asked for so.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), CommandError> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        Ok(())
    }

    /// Writes a whole JSON document, for people to read as well.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        writeln!(self.out, "{}", visible::json(&text))?;
        Ok(())
    }

    /// Writes a JSON document on one line, where more follow.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        writeln!(self.out, "{}", visible::json(&text))?;
        Ok(())
    }

    /// Writes a line beside the answer: what goes on, what to mind.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), CommandError> {
        let text = self.finished(text);
        writeln!(self.err, "{text}")?;
        Ok(())
    }

    /// The same, with several lines.
    pub(crate) fn notes(&mut self, text: &str) -> Result<(), CommandError> {
        let text = self.finished_block(text);
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
                writeln!(self.err, "{}", visible::json(&json))
            }
            Format::Text => {
                let painted = self.paint(Tone::Bad, "error:");
                let text = self.finished_block(&format!("{painted} {text}"));
                writeln!(self.err, "{text}")
            }
        });
    }
}

/// `text` on one line: what a check or a program said may have several, and a table has not.
pub(crate) fn one_line(text: &str) -> String {
    let ends =
        |it: char| it.is_whitespace() && (it.is_control() || it == '\u{2028}' || it == '\u{2029}');
    let words = text.split(ends).map(str::trim).filter(|it| !it.is_empty());
    visible::line(&words.collect::<Vec<_>>().join(" ")).into_owned()
}

/// What was written, for tests to look at.
#[cfg(test)]
pub(crate) mod captured {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Format, Look, Output, Place};

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
        let place = match look {
            Look::Terminal => Place::Terminal,
            Look::Plain => Place::Elsewhere,
        };
        (Output { out, err, look, size: super::SIZE_DEFAULT, format, place }, page)
    }
}
