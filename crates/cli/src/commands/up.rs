//! `pelago up`.

use std::path::Path;
use std::process::ExitCode;

use api::logs::LogPage;
use api::request::{Accepted, Apply, Deploy};
use api::status::{ApplicationStateView, ApplicationView, ServiceStateView};
use model::units::parse_duration;

use super::stop::{self, Fate};
use super::{baked, develop, logs, rollout};
use crate::Context;
use crate::arguments::Up;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::input::{self, Described};
use crate::output::{Output, Tone, one_line};
use crate::{build, daemon, origin, watch};

/// Lines shown of what a failed service said last.
const LAST_LINES: usize = 20;

pub(crate) async fn run(
    context: &Context,
    up: &Up,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let timeout = parse_duration(&up.timeout)
        .map_err(|it| CommandError::wrong(format!("--timeout: {it}")))?;
    let described = input::read(context, up.file.file.as_deref(), output)?;
    say_what_is_not_done_yet(&described, output)?;
    build::run(context, &described, &[], output)?;
    let watched = up.watch.then(|| develop::Watched::of(&described)).transpose()?;
    let client = daemon::ensure(context).await?;
    let name = described.application.name.to_string();
    let deploy = Deploy { origin: origin::of(context, &described.folder), ..Deploy::default() };
    let folder = described.folder.display().to_string();
    let apply = Apply { definition: described.application, folder, deploy };
    let fate = check_what_runs(&client, &name, (&apply.folder, up.take_over), output).await?;
    let accepted: Accepted = client.post(Target::new(&["v1", "applications"]), &apply).await?;
    baked::say(&accepted, output)?;
    let settled = watch::until(&client, &name, accepted.index, output, settled);
    let interrupted = tokio::signal::ctrl_c();
    let (end, status) = tokio::select! {
        settled = tokio::time::timeout(timeout, settled) => match settled {
            Ok(settled) => settled?,
            Err(_) => return timed_out(&client, &name, up, output).await,
        },
        _ = interrupted => {
            output.notes("\ninterrupted")?;
            stop::leave(&client, (&name, fate), output).await?;
            return Ok(ExitCode::FAILURE);
        }
    };
    if output.is_json() && (up.detach || end == End::Failed) {
        output.json(&status)?;
    }
    let view = status.applications.first();
    if end == End::Running && rollout::say_what_becomes(&client, &name, &accepted, output).await? {
        return Ok(ExitCode::FAILURE);
    }
    if let (false, Some(watched), End::Running | End::Failed) = (up.detach, watched, end) {
        match view.filter(|_| end == End::Failed) {
            Some(view) => explain(&client, view, output).await?,
            None => output.note(&output.paint(Tone::Faint, "everything is ready"))?,
        }
        return develop::run(context, (up, watched), (&client, &name, fate), output).await;
    }
    match (end, up.detach) {
        (End::Running, false) => attend(&client, (&name, fate), output).await,
        (end, _) => conclude(&client, (end, view), output).await,
    }
}

/// Says how starting ended, where that is all there is to do.
pub(super) async fn conclude(
    client: &Client,
    (end, view): (End, Option<&ApplicationView>),
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    match (end, view) {
        (End::Running, _) => return Ok(ExitCode::SUCCESS),
        (End::Failed, Some(view)) => explain(client, view, output).await?,
        (End::Stopped, Some(view)) => {
            output.note(&format!("{} was stopped by somebody else", view.name))?;
        }
        (End::Failed | End::Stopped, None) => {}
    }
    Ok(ExitCode::FAILURE)
}

/// How starting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Running,
    Failed,
    Stopped,
}

pub(super) fn settled(view: &ApplicationView) -> Option<End> {
    match view.state {
        ApplicationStateView::Running => Some(End::Running),
        ApplicationStateView::Failing => Some(End::Failed),
        ApplicationStateView::Stopping | ApplicationStateView::Stopped => Some(End::Stopped),
        ApplicationStateView::Starting | ApplicationStateView::Degraded => None,
    }
}

/// Shows what instances say until somebody interrupts.
async fn attend(
    client: &Client,
    (name, fate): (&str, Fate),
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    if !output.is_json() {
        let hint = format!("everything is ready; showing logs. {}", fate.hint());
        output.line(&output.paint(Tone::Faint, &hint))?;
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = logs::follow(client, name, output) => result?,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    stop::leave(client, (name, fate), output).await
}

async fn timed_out(
    client: &Client,
    name: &str,
    up: &Up,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    output.note(&format!("{name} was not ready within {}", up.timeout))?;
    let target = Target::new(&["v1", "status"]).with("application", Some(name));
    let status: api::StatusView = client.get(target).await?;
    if let Some(view) = status.applications.first() {
        explain(client, view, output).await?;
    }
    Ok(ExitCode::FAILURE)
}

/// For each service that is not as it should be: why, and what it said last.
async fn explain(
    client: &Client,
    view: &ApplicationView,
    output: &mut Output,
) -> Result<(), CommandError> {
    for service in view.services.iter().filter(|it| !it.state.is_fine()) {
        let why = match service.detail.as_str() {
            "" => String::new(),
            detail => format!(": {}", one_line(detail)),
        };
        let line = format!("{} is {}{why}", service.name, service.state);
        output.note(&output.paint(Tone::Bad, &line))?;
        if service.state == ServiceStateView::Waiting {
            continue;
        }
        let target = Target::new(&["v1", "applications", &view.name, "logs"])
            .with("target", Some(&service.name))
            .with("tail", Some(LAST_LINES));
        let page: LogPage = client.get(target).await?;
        let from = page.lines.len().saturating_sub(LAST_LINES);
        for line in page.lines.iter().skip(from) {
            output.note(&format!("  {} | {}", line.instance, line.text))?;
        }
    }
    output.note(&format!(
        "what runs goes on, and what failed is tried again; `pelago -a {0} logs SERVICE` shows more, \
         `pelago -a {0} down` stops it",
        view.name
    ))
}

/// Says which parts of the file this version reads and checks, but does not act on.
fn say_what_is_not_done_yet(
    described: &Described,
    output: &mut Output,
) -> Result<(), CommandError> {
    let application = &described.application;
    let parts = [
        ("flags", !application.flags.is_empty()),
        ("resources", !application.resources.is_empty()),
    ];
    let idle: Vec<&str> = parts.iter().filter(|(_, used)| *used).map(|(name, _)| *name).collect();
    if idle.is_empty() {
        return Ok(());
    }
    output.note(&format!(
        "note: this version reads and checks {}, and does not act on them yet",
        idle.join(", ")
    ))
}

/// The folder from which an application of this name runs, if that is another and still there.
pub(super) async fn other_folder(
    client: &Client,
    name: &str,
    folder: &str,
) -> Result<Option<String>, CommandError> {
    let other = folder_it_runs_from(client, name).await?;
    Ok(other.filter(|it| it != folder && Path::new(it).exists()))
}

/// The folder of the application of this name, if one runs.
async fn folder_it_runs_from(client: &Client, name: &str) -> Result<Option<String>, CommandError> {
    let status: api::StatusView = client.get(Target::new(&["v1", "status"])).await?;
    let runs = |it: &ApplicationView| it.name == name && it.state != ApplicationStateView::Stopped;
    Ok(status.applications.into_iter().find(runs).map(|it| it.folder))
}

/// Refuses to make an application that runs from another folder what is described here, unless that is asked for: two
/// clones of one project are one application, unless one of them gets another name. A folder that is gone
/// claims nothing. Returns what becomes of the application when this command ends.
pub(super) async fn check_what_runs(
    client: &Client,
    name: &str,
    (folder, take_over): (&str, bool),
    output: &mut Output,
) -> Result<Fate, CommandError> {
    let Some(other) = folder_it_runs_from(client, name).await? else { return Ok(Fate::Stops) };
    if other == folder {
        return Ok(Fate::GoesOn);
    }
    if take_over || !Path::new(&other).exists() {
        let note = format!("note: {name} ran as described in {other}; it becomes what is here");
        output.note(&note)?;
        return Ok(Fate::GoesOn);
    }
    Err(CommandError::wrong(format!(
        "{name} runs as described in {other}; `--take-over` makes it what is described here. To run both, \
         change `name` in one of them"
    )))
}
