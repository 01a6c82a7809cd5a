//! `pelago up --watch`: what has changed is built again, released and replaced at once, while logs go on.

use std::process::ExitCode;

use api::request::{Accepted, Apply, Deploy};
use model::rollout::Strategy;

use super::logs::Follower;
use super::stop;
use crate::arguments::Up;
use crate::changes::Changes;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::{Context, build, input, origin};

pub(crate) async fn run(
    context: &Context,
    up: &Up,
    (client, name): (&Client, &str),
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let described = input::read(context, up.file.file.as_deref(), output)?;
    let mut changes = Changes::of(&described)?;
    let hint = "everything is ready; watching for changes. Ctrl-C stops the application.";
    output.note(&output.paint(Tone::Faint, hint))?;
    let mut follower = Follower::new(client, name);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            result = follower.next(output) => result?,
            changed = changes.next() => {
                let Some(path) = changed else { break };
                let path = input::shown(context, &path);
                output.note(&output.paint(Tone::Faint, &format!("{path} has changed")))?;
                // A mistake in a file is a reason to change it again, not to end.
                if let Err(error) = replace(context, up, client, output).await {
                    output.error(&error);
                }
                changes.forget();
            }
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        }
    }
    stop::leave(client, name, output).await
}

/// Builds, and has releases made of what is different then.
async fn replace(
    context: &Context,
    up: &Up,
    client: &Client,
    output: &mut Output,
) -> Result<(), CommandError> {
    let described = input::read(context, up.file.file.as_deref(), output)?;
    build::run(context, &described, &[], output)?;
    let deploy = Deploy {
        strategy: Some(Strategy::Immediate),
        origin: origin::of(context, &described.folder),
        ..Deploy::default()
    };
    let folder = described.folder.display().to_string();
    let apply = Apply { definition: described.application, folder, deploy };
    let accepted: Accepted = client.post(Target::new(&["v1", "applications"]), &apply).await?;
    if accepted.releases.is_empty() {
        return output.note(&output.paint(Tone::Faint, "nothing that runs is different"));
    }
    let made = format!("replacing with {}", accepted.releases.join(", "));
    output.note(&output.paint(Tone::Good, &made))
}
