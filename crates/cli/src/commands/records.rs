//! `pelago logs --search`: what services said, found again.

use api::records::{RecordView, RecordsView};

use crate::arguments::Logs;
use crate::client::{POLL, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone, Writing};
use crate::{Context, daemon, meant, when};
use model::units::DurationText;

/// Records shown if nobody says how many.
const LIMIT_DEFAULT: usize = 100;

/// Whether records are asked for, rather than lines of instances.
pub(crate) const fn is_search(asked: &Logs) -> bool {
    asked.search.is_some() || asked.severity.is_some() || asked.trace.is_some()
}

pub(crate) async fn run(
    context: &Context,
    asked: &Logs,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    // Without a file here, all applications are searched.
    let application = meant::named(context)?;
    let since = asked.since.as_deref().map(|it| when::parse(it, (context.now)())).transpose()?;
    let (instances, services): (Vec<&String>, Vec<&String>) =
        asked.services.iter().partition(|it| it.contains('.'));
    if 1 < instances.len() || (!instances.is_empty() && !services.is_empty()) {
        return Err(CommandError::wrong("search one instance, or services: not both"));
    }
    let services: Vec<&str> = services.into_iter().map(String::as_str).collect();
    let target = Target::new(&["v1", "records"])
        .with("application", application)
        .with("service", Some(services.join(",")).filter(|it| !it.is_empty()))
        .with("instance", instances.first())
        .with("severity", asked.severity.as_deref())
        .with("query", asked.search.as_deref())
        .with("trace", asked.trace.as_deref())
        .with("since", since);
    let limit = asked.tail.unwrap_or(LIMIT_DEFAULT);
    let mut view: RecordsView = client.get(target.clone().with("limit", Some(limit))).await?;
    // The newest were asked for; people read from old to new.
    view.records.reverse();
    let writing = if asked.raw { Writing::AsItIs } else { Writing::Visible };
    for record in &view.records {
        print(record, writing, output)?;
    }
    if view.records.is_empty() && !asked.follow {
        output.note("nothing that was said fits")?;
    }
    if view.next.is_some() && !asked.follow && !output.is_json() {
        output.note("there is more; ask for it with --tail, or for less with --since")?;
    }
    if !asked.follow {
        return Ok(());
    }
    loop {
        let next = target.clone().with("after", Some(view.position));
        view = client.get(next.with("wait", Some(DurationText(POLL)))).await?;
        for record in &view.records {
            print(record, writing, output)?;
        }
    }
}

/// Prints a record.
pub(super) fn print(
    record: &RecordView,
    writing: Writing,
    output: &mut Output,
) -> Result<(), CommandError> {
    if output.is_json() {
        return output.json_line(record);
    }
    lines(record, output).iter().try_for_each(|it| output.said(it, writing))
}

/// A record; where its text has several lines, those after the first stand below it.
fn lines(record: &RecordView, output: &Output) -> Vec<String> {
    let tone = match record.severity.as_deref() {
        Some("error" | "fatal") => Tone::Bad,
        Some("warn") => Tone::Busy,
        Some("debug" | "trace") => Tone::Faint,
        _ => Tone::Plain,
    };
    let who = if record.instance.is_empty() { &record.service } else { &record.instance };
    let head = format!("{} {who} |", record.at);
    let below = format!("{:>width$}", "|", width = head.chars().count());
    let severity = record.severity.as_ref().map(|it| format!("{it} ")).unwrap_or_default();
    let text = format!("{severity}{}", record.text.trim_end());
    let mut lines: Vec<String> = Vec::new();
    for said in text.split('\n') {
        let head = if lines.is_empty() { &head } else { &below };
        let said = output.paint(tone, said.strip_suffix('\r').unwrap_or(said));
        lines.push(format!("{} {said}", output.paint(Tone::Faint, head)));
    }
    let fields = record.fields.iter().map(|(name, value)| format!(" {name}={value}"));
    let trace = record.trace.iter().map(|it| format!(" trace={it}"));
    if let Some(last) = lines.last_mut() {
        let about = fields.chain(trace).map(|it| output.paint(Tone::Faint, &it));
        last.extend(about);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    #[test]
    fn a_record_on_one_line() {
        let record = RecordView {
            at: "2026-11-24T06:00:00.000Z".to_owned(),
            application: "shop".to_owned(),
            service: "cart".to_owned(),
            instance: "cart.7".to_owned(),
            stream: "stdout".to_owned(),
            severity: Some("warn".to_owned()),
            text: "stock is low".to_owned(),
            fields: vec![("left".to_owned(), "3".to_owned())],
            trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            span: None,
        };
        let (output, _page) = captured::output(Look::Plain, Format::Text);
        insta::assert_snapshot!(lines(&record, &output).join("\n"), @"2026-11-24T06:00:00.000Z cart.7 | warn stock is low left=3 trace=4bf92f3577b34da6a3ce929d0e0e4736");
        let bare = RecordView {
            severity: None,
            fields: Vec::new(),
            trace: None,
            instance: String::new(),
            ..record
        };
        insta::assert_snapshot!(lines(&bare, &output).join("\n"), @"2026-11-24T06:00:00.000Z cart | stock is low");
    }
    #[test]
    fn issue_12_several_lines_are_those_of_one_record() {
        let record = RecordView {
            at: "2026-11-24T06:00:00.000Z".to_owned(),
            application: "shop".to_owned(),
            service: "cart".to_owned(),
            instance: String::new(),
            stream: "otlp".to_owned(),
            severity: Some("error".to_owned()),
            text: "no\r\n2026-11-24T06:00:00.000Z bank | paid\u{1b}[2J\n".to_owned(),
            fields: vec![("k\u{7}".to_owned(), "a\nb".to_owned())],
            trace: None,
            span: None,
        };
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        print(&record, Writing::Visible, &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @r"
        2026-11-24T06:00:00.000Z cart | error no
                                      | 2026-11-24T06:00:00.000Z bank | paid\u{1b}[2J k\u{7}=a\nb
        ");
    }
}
