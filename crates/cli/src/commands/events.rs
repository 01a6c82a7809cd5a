//! `pelago events`.

use api::EventView;
use model::units::DurationText;

use crate::arguments::Events;
use crate::client::{POLL, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone, one_line};
use crate::{Context, daemon};

pub(crate) async fn run(
    context: &Context,
    asked: &Events,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let target = || {
        Target::new(&["v1", "events"])
            .with("application", context.application.as_deref())
            .with("service", asked.service.as_deref())
            .with("counts", Some(asked.counts))
    };
    let first = target()
        .with("limit", Some(asked.limit))
        .with("latest", asked.after.is_none().then_some(true))
        .with("after", asked.after);
    let mut events: Vec<EventView> = client.get(first).await?;
    if events.is_empty() && !asked.follow && !output.is_json() {
        return output.note("nothing of that kind has happened");
    }
    let mut after = asked.after.unwrap_or(0);
    let mut width = 0;
    loop {
        width = events.iter().map(|it| name_of(it).chars().count()).fold(width, usize::max);
        for event in &events {
            print(event, width, output)?;
            after = event.index;
        }
        if !asked.follow {
            return Ok(());
        }
        let next = target().with("after", Some(after)).with("wait", Some(DurationText(POLL)));
        events = client.get(next).await?;
    }
}

fn name_of(event: &EventView) -> &str {
    event.application.as_deref().unwrap_or("-")
}

fn print(event: &EventView, width: usize, output: &mut Output) -> Result<(), CommandError> {
    if output.is_json() {
        return output.json_line(event);
    }
    let tone = match event.kind.as_str() {
        "instance_ready" | "crash_loop_cleared" => Tone::Good,
        "instance_exited"
        | "instance_unready"
        | "liveness_failed"
        | "crash_loop_declared"
        | "journal_repaired" => Tone::Bad,
        "application_applied"
        | "clock_set"
        | "stop_asked"
        | "service_scaled"
        | "restart_asked"
        | "release_made" => Tone::Strong,
        _ => Tone::Plain,
    };
    let place = format!("{:>6}  {}  {:<width$}", event.index, event.at, name_of(event));
    let text = one_line(&event.text);
    let line = format!("{}  {}", output.paint(Tone::Faint, &place), output.paint(tone, &text));
    output.line(&line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    fn event(index: u64, application: Option<&str>, text: &str) -> EventView {
        EventView {
            index,
            at: "2026-11-22T06:00:00.000Z".to_owned(),
            kind: "instance_ready".to_owned(),
            application: application.map(str::to_owned),
            service: None,
            instance: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_line_each() {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        print(&event(7, None, "control started"), 15, &mut output).unwrap();
        print(&event(1_234_567, Some("online-boutique"), "web.1 is ready"), 15, &mut output)
            .unwrap();
        insta::assert_snapshot!(page.text(), @"
             7  2026-11-22T06:00:00.000Z  -                control started
        1234567  2026-11-22T06:00:00.000Z  online-boutique  web.1 is ready
        ");
    }

    #[test]
    fn one_document_a_line_for_programs() {
        let (mut output, page) = captured::output(Look::Plain, Format::Json);
        print(&event(7, Some("shop"), "web.1 is ready"), 4, &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @r#"{"index":7,"at":"2026-11-22T06:00:00.000Z","kind":"instance_ready","application":"shop","text":"web.1 is ready"}"#);
    }
}
