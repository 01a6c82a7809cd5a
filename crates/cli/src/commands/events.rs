//! `pelago events`.

use api::EventView;
use model::units::DurationText;

use crate::arguments::Events;
use crate::client::{POLL, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone};
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
    };
    let first = target()
        .with("limit", Some(asked.limit))
        .with("latest", asked.after.is_none().then_some(true))
        .with("after", asked.after);
    let mut events: Vec<EventView> = client.get(first).await?;
    let mut after = asked.after.unwrap_or(0);
    loop {
        for event in &events {
            print(event, output)?;
            after = event.index;
        }
        if !asked.follow {
            return Ok(());
        }
        let next = target().with("after", Some(after)).with("wait", Some(DurationText(POLL)));
        events = client.get(next).await?;
    }
}

fn print(event: &EventView, output: &mut Output) -> Result<(), CommandError> {
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
        | "stop_asked"
        | "service_scaled"
        | "restart_asked"
        | "release_made" => Tone::Strong,
        _ => Tone::Plain,
    };
    let place = format!(
        "{:>6}  {}  {:<12}",
        event.index,
        event.at,
        event.application.as_deref().unwrap_or("-")
    );
    let line =
        format!("{}  {}", output.paint(Tone::Faint, &place), output.paint(tone, &event.text));
    output.line(&line)
}
