//! `pelago down` and `pelago shutdown`.

use std::process::ExitCode;

use api::request::Accepted;
use api::status::{ApplicationStateView, ApplicationView};

use crate::Context;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::Output;
use crate::{daemon, meant, watch};

pub(crate) async fn down(context: &Context, output: &mut Output) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let name = meant::application(context, &client, output).await?;
    stop(&client, &name, output).await
}

/// Asks an application to stop, and waits until it has.
pub(crate) async fn stop(
    client: &Client,
    name: &str,
    output: &mut Output,
) -> Result<(), CommandError> {
    let target = Target::new(&["v1", "applications", name, "stop"]);
    let accepted: Accepted = client.post(target, &()).await?;
    let (stopped, status) = watch::until(client, name, accepted.index, output, stopped).await?;
    stopped?;
    if output.is_json() { output.json(&status) } else { Ok(()) }
}

/// Forgets an application that was stopped.
pub(crate) async fn remove(context: &Context, output: &mut Output) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let name = meant::application(context, &client, output).await?;
    let target = Target::new(&["v1", "applications", &name, "remove"]);
    let accepted: Accepted = client.post(target, &()).await?;
    if output.is_json() {
        return output.json(&accepted);
    }
    output.note(&format!("{name} is removed; what was measured of it is kept for its time"))?;
    let data = context.data.join("data").join(&name);
    if data.is_dir() {
        output.note(&format!(
            "its data stays in {}, for a service that names it again; remove the folder if nobody needs it",
            data.display()
        ))?;
    }
    Ok(())
}

/// Whether an application has stopped, or somebody wants it to run again.
fn stopped(view: &ApplicationView) -> Option<Result<(), CommandError>> {
    match view.state {
        ApplicationStateView::Stopped => Some(Ok(())),
        ApplicationStateView::Stopping => None,
        ApplicationStateView::Starting
        | ApplicationStateView::Running
        | ApplicationStateView::Degraded
        | ApplicationStateView::Failing => {
            let message = format!(
                "{} was started again by somebody else; `pelago events` says when",
                view.name
            );
            Some(Err(CommandError::wrong(message)))
        }
    }
}

pub(crate) async fn shutdown(context: &Context, output: &mut Output) -> Result<(), CommandError> {
    let Some(client) = daemon::find(context).await? else {
        return output.note("no control process runs");
    };
    client.shut_down().await?;
    let gone = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
        while client.is_there().await {
            ticks.tick().await;
        }
    };
    // It answers, so it is not frozen; what it has measured is forced to a disk that may be busy.
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, gone).await.map_err(|_| {
        let socket = client.socket().display().to_string();
        CommandError::wrong(format!("the control process at {socket} does not end"))
    })?;
    output.note("the control process has ended; instances go on")
}

/// What becomes of an application when the command that shows it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The command started it, and stops it.
    Stops,
    /// It ran before, and goes on.
    GoesOn,
}

impl Fate {
    /// What Ctrl-C does, in words.
    pub(crate) const fn hint(self) -> &'static str {
        match self {
            Self::Stops => "Ctrl-C stops the application.",
            Self::GoesOn => "the application ran before, and goes on after Ctrl-C.",
        }
    }
}

/// Leaves the application before the command ends.
pub(crate) async fn leave(
    client: &Client,
    (name, fate): (&str, Fate),
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    if fate == Fate::GoesOn {
        output.notes(&format!("\n{name} ran before, and goes on; `pelago down` stops it"))?;
        return Ok(ExitCode::SUCCESS);
    }
    output.notes("\nstopping; Ctrl-C again to leave it to the control process")?;
    tokio::select! {
        result = stop(client, name, output) => result?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}
