//! `pelago logs`.

use std::collections::BTreeMap;

use api::logs::{LogLine, LogPage};
use model::units::DurationText;

use super::records;
use crate::arguments::Logs;
use crate::client::{Client, POLL, Target};
use crate::error::CommandError;
use crate::output::{Output, Place, Tone, Writing};
use crate::{Context, daemon, meant, when};

/// Lines asked for at once.
const LINES: usize = 1_000;
/// Lines of each instance shown before following, if nobody says how many.
const TAIL_DEFAULT: usize = 50;

pub(crate) async fn run(
    context: &Context,
    asked: Logs,
    output: &mut Output,
) -> Result<(), CommandError> {
    if asked.raw && output.place() == Place::Terminal {
        return Err(CommandError::wrong(
            "a terminal would act on lines that are written as they are; write them to a file or a \
             pipe, or leave out --raw",
        ));
    }
    if records::is_search(&asked) {
        return records::run(context, &asked, output).await;
    }
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
    let since = match asked.since.as_deref() {
        Some(text) => Some(when::parse(text, (context.now)())?.to_string()),
        None => None,
    };
    let tail = asked.tail.or((asked.follow && since.is_none()).then_some(TAIL_DEFAULT));
    let mut reader = Reader {
        client: &client,
        application,
        targets: asked.services.join(","),
        since,
        cursor: None,
    };
    let mut printer = Printer {
        grep: asked.grep,
        writing: if asked.raw { Writing::AsItIs } else { Writing::Visible },
        timestamps: if asked.timestamps { Timestamps::Shown } else { Timestamps::Hidden },
        ..Printer::default()
    };
    let mut page = reader.next(tail, None).await?;
    loop {
        printer.print(&page, output)?;
        // Without following, what is written while this is read is not waited for.
        if !asked.follow && (tail.is_some() || page.lines.len() < LINES) {
            return Ok(());
        }
        let wait = asked.follow.then_some(DurationText(POLL));
        page = reader.next(None, wait).await?;
    }
}

/// Shows everything an application says from now on, for as long as it is waited for.
pub(crate) async fn follow(
    client: &Client,
    application: &str,
    output: &mut Output,
) -> Result<(), CommandError> {
    let mut follower = Follower::new(client, application);
    loop {
        follower.next(output).await?;
    }
}

/// Whoever follows what an application says, page by page.
pub(crate) struct Follower<'a> {
    reader: Reader<'a>,
    printer: Printer,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(client: &'a Client, application: &str) -> Self {
        let reader = Reader {
            client,
            application: application.to_owned(),
            targets: String::new(),
            since: None,
            cursor: None,
        };
        Self { reader, printer: Printer::default() }
    }

    /// Shows what was said before first, and then what is said next. It may be given up while it waits.
    pub(crate) async fn next(&mut self, output: &mut Output) -> Result<(), CommandError> {
        let page = match self.reader.cursor {
            None => self.reader.next(Some(TAIL_DEFAULT), None).await?,
            Some(_) => self.reader.next(None, Some(DurationText(POLL))).await?,
        };
        self.printer.print(&page, output)
    }
}

struct Reader<'a> {
    client: &'a Client,
    application: String,
    targets: String,
    since: Option<String>,
    cursor: Option<String>,
}

impl Reader<'_> {
    async fn next(
        &mut self,
        tail: Option<usize>,
        wait: Option<DurationText>,
    ) -> Result<LogPage, CommandError> {
        let targets = Some(&self.targets).filter(|it| !it.is_empty());
        let target = Target::new(&["v1", "applications", &self.application, "logs"])
            .with("target", targets)
            .with("since", self.since.as_deref())
            .with("tail", tail)
            .with("cursor", self.cursor.as_deref())
            .with("limit", Some(LINES))
            .with("wait", wait);
        let page: LogPage = self.client.get(target).await?;
        self.cursor = Some(page.next.clone());
        Ok(page)
    }
}

/// Whether each line begins with the time it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Timestamps {
    #[default]
    Hidden,
    Shown,
}

/// Prints lines, each behind its instance in a colour of its own.
#[derive(Debug, Default)]
struct Printer {
    grep: Option<String>,
    writing: Writing,
    timestamps: Timestamps,
    colours: BTreeMap<String, usize>,
    width: usize,
}

impl Printer {
    fn print(&mut self, page: &LogPage, output: &mut Output) -> Result<(), CommandError> {
        let grep = self.grep.clone();
        let is_wanted = |it: &&LogLine| grep.as_ref().is_none_or(|grep| it.text.contains(grep));
        let widths = page.lines.iter().filter(is_wanted).map(|it| it.instance.chars().count());
        self.width = widths.fold(self.width, usize::max);
        for line in page.lines.iter().filter(is_wanted) {
            if output.is_json() {
                output.json_line(line)?;
            } else {
                let text = self.format(line, output);
                output.said(&text, self.writing)?;
            }
        }
        Ok(())
    }

    fn format(&mut self, line: &LogLine, output: &Output) -> String {
        let service = line.instance.rsplit_once('.').map_or("", |(service, _)| service);
        let next = self.colours.len();
        let colour = *self.colours.entry(service.to_owned()).or_insert(next);
        let prefix = format!("{:<width$} |", line.instance, width = self.width);
        let prefix = output.paint(Tone::Source(colour), &prefix);
        let at = match self.timestamps {
            Timestamps::Shown => output.paint(Tone::Faint, &line.at) + " ",
            Timestamps::Hidden => String::new(),
        };
        let text = match line.stream.as_str() {
            "stderr" => output.paint(Tone::Busy, &line.text),
            _ => line.text.clone(),
        };
        format!("{at}{prefix} {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    fn line(instance: &str, stream: &str, text: &str) -> LogLine {
        LogLine {
            at: "2026-11-22T06:00:00.000Z".to_owned(),
            instance: instance.to_owned(),
            stream: stream.to_owned(),
            text: text.to_owned(),
        }
    }

    fn printed(mut printer: Printer, look: Look, format: Format) -> String {
        let lines = vec![
            line("web.1", "stdout", "listening"),
            line("order-history.12", "stderr", "no database"),
            line("web.1", "stdout", "GET /"),
        ];
        let (mut output, page) = captured::output(look, format);
        printer.print(&LogPage { lines, next: String::new() }, &mut output).unwrap();
        page.text()
    }

    #[test]
    fn lines_behind_their_instances() {
        let text = printed(Printer::default(), Look::Plain, Format::Text);
        insta::assert_snapshot!(text, @"
        web.1            | listening
        order-history.12 | no database
        web.1            | GET /
        ");
        let grep = Some("GET".to_owned());
        let found = Printer { grep, timestamps: Timestamps::Shown, ..Printer::default() };
        insta::assert_snapshot!(printed(found, Look::Plain, Format::Text), @"2026-11-22T06:00:00.000Z web.1 | GET /");
    }

    #[test]
    fn each_service_has_its_colour() {
        let text = printed(Printer::default(), Look::Terminal, Format::Text);
        insta::assert_snapshot!(text.replace('\u{1b}', "ESC"), @"
        ESC[36mweb.1            |ESC[0m listening
        ESC[35morder-history.12 |ESC[0m ESC[33mno databaseESC[0m
        ESC[36mweb.1            |ESC[0m GET /
        ");
    }

    #[test]
    fn issue_12_what_is_said_does_nothing_to_a_terminal() {
        let lines = || vec![line("web.1", "stderr", "a\u{1b}]0;t\u{7}\r over\u{202e}")];
        let printed = |look, format, writing| {
            let (mut output, page) = captured::output(look, format);
            let mut printer = Printer { writing, ..Printer::default() };
            printer.print(&LogPage { lines: lines(), next: String::new() }, &mut output).unwrap();
            page.text().replace('\u{1b}', "ESC")
        };
        let visible = Writing::Visible;
        insta::assert_snapshot!(printed(Look::Terminal, Format::Text, visible), @r"ESC[36mweb.1 |ESC[0m ESC[33ma\u{1b}]0;t\u{7}\r over\u{202e}ESC[0m");
        insta::assert_snapshot!(printed(Look::Plain, Format::Text, visible), @r"web.1 | a\u{1b}]0;t\u{7}\r over\u{202e}");
        insta::assert_snapshot!(printed(Look::Plain, Format::Json, visible), @r#"{"at":"2026-11-22T06:00:00.000Z","instance":"web.1","stream":"stderr","text":"a\u001b]0;t\u0007\r over\u202e"}"#);
        let raw = printed(Look::Plain, Format::Text, Writing::AsItIs);
        assert_eq!(raw, "web.1 | aESC]0;t\u{7}\r over\u{202e}\n");
    }

    #[test]
    fn one_document_a_line_for_programs() {
        let text = printed(Printer::default(), Look::Terminal, Format::Json);
        insta::assert_snapshot!(text, @r#"
        {"at":"2026-11-22T06:00:00.000Z","instance":"web.1","stream":"stdout","text":"listening"}
        {"at":"2026-11-22T06:00:00.000Z","instance":"order-history.12","stream":"stderr","text":"no database"}
        {"at":"2026-11-22T06:00:00.000Z","instance":"web.1","stream":"stdout","text":"GET /"}
        "#);
    }
}
