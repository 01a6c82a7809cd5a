//! `pelago rollout` and `pelago rollback`, and following a rollout to its end.

use std::process::ExitCode;
use std::time::Duration;

use api::request::{self, Accepted, SteerAction};
use api::rollout::{RolloutStateView, RolloutView};

use super::evidence;
use super::releases::share;
use crate::arguments::{Rollback, Rollout, RolloutAction, StrategyName};
use crate::canvas::Canvas;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::{Look, Output, Tone};
use crate::table::Cell;
use crate::{Context, daemon, meant, origin, rollout_tree, table};

/// How often a rollout is looked at: figures are new once a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks in a row that may meet no control process, which is perhaps being replaced, before that is said.
const LOST_LOOKS_MAX: u32 = 20;

pub(crate) async fn run(
    context: &Context,
    asked: &Rollout,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
    let (service, action) = match &asked.action {
        None => return list(&client, &application, output).await,
        Some(RolloutAction::Watch { service }) => (service, None),
        Some(RolloutAction::Pause { service }) => (service, Some(SteerAction::Pause)),
        Some(RolloutAction::Resume { service }) => (service, Some(SteerAction::Resume)),
        Some(RolloutAction::Promote { service }) => (service, Some(SteerAction::Promote)),
        Some(RolloutAction::Abort { service }) => (service, Some(SteerAction::Abort)),
    };
    let Some(action) = action else {
        return follow(&client, &application, &[Followed::last(service)], output).await;
    };
    let path = ["v1", "applications", &application, "services", service, "rollout"];
    let steer = request::Steer { action, by: origin::who(context) };
    let _accepted: Accepted = client.post(Target::new(&path), &steer).await?;
    let view = find(&client, &application, &Followed::last(service)).await?;
    if output.is_json() {
        output.json(&view)?;
    } else {
        output.line(&rollout_tree::news(&view))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn roll_back(
    context: &Context,
    asked: &Rollback,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
    let path = ["v1", "applications", &application, "services", &asked.service, "rollback"];
    let wish = request::Rollback { to: asked.to, by: origin::who(context) };
    let _accepted: Accepted = client.post(Target::new(&path), &wish).await?;
    let view = find(&client, &application, &Followed::last(&asked.service)).await?;
    if asked.detach || view.state.is_over() {
        if output.is_json() {
            output.json(&view)?;
        } else {
            output.line(&rollout_tree::news(&view))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    follow(&client, &application, &[Followed::last(&asked.service)], output).await
}

async fn list(
    client: &Client,
    application: &str,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let rollouts = all(client, application).await?;
    if output.is_json() {
        output.json(&rollouts)?;
    } else if rollouts.is_empty() {
        output.note("nothing was rolled out yet; `pelago deploy` makes a release and does")?;
    } else {
        table::write(output, &HEADING, &rollouts.iter().map(row).collect::<Vec<_>>())?;
    }
    Ok(ExitCode::SUCCESS)
}

const HEADING: [&str; 6] = ["SERVICE", "FROM", "TO", "SHARE", "STATE", "WHY"];

fn row(view: &RolloutView) -> Vec<Cell> {
    let plain = |text: &str| (text.to_owned(), Tone::Plain);
    vec![
        plain(&view.service),
        plain(&view.from),
        plain(&view.to),
        plain(&share(view.new.share)),
        (view.state.to_string(), rollout_tree::tone(view.state)),
        (view.reason.clone(), Tone::Faint),
    ]
}

/// Every rollout that is known. A control process that has just ended may be followed by another, which goes on
/// where it was.
async fn all(client: &Client, application: &str) -> Result<Vec<RolloutView>, CommandError> {
    let target = || Target::new(&["v1", "rollouts"]).with("application", Some(application));
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    for _ in 0..LOST_LOOKS_MAX {
        ticks.tick().await;
        match client.get(target()).await {
            Err(CommandError::Unreachable { .. }) => {}
            answered => return answered,
        }
    }
    client.get(target()).await
}

/// A rollout that is followed: the last of a service, to one release if that is said.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    service: String,
    to: Option<String>,
}

impl Followed {
    fn last(service: &str) -> Self {
        Self { service: service.to_owned(), to: None }
    }

    /// Of a release by its name, `cart@r12`.
    pub(crate) fn of(release: &str) -> Option<Self> {
        let (service, to) = release.split_once('@')?;
        Some(Self { service: service.to_owned(), to: Some(to.to_owned()) })
    }

    fn is(&self, view: &RolloutView) -> bool {
        view.service == self.service && self.to.as_ref().is_none_or(|it| *it == view.to)
    }
}

async fn find(
    client: &Client,
    application: &str,
    followed: &Followed,
) -> Result<RolloutView, CommandError> {
    let views = all(client, application).await?;
    views
        .into_iter()
        .find(|it| followed.is(it))
        .ok_or_else(|| CommandError::wrong(format!("no rollout of {} is known", followed.service)))
}

/// The rollouts among those followed that there are. Of each that goes another way than was asked for, it is said why.
pub(crate) async fn present(
    client: &Client,
    application: &str,
    followed: &[Followed],
    asked: Option<StrategyName>,
    output: &mut Output,
) -> Result<Vec<Followed>, CommandError> {
    let mut present = Vec::new();
    for view in all(client, application).await? {
        let Some(one) = followed.iter().find(|one| one.is(&view)) else { continue };
        if let Some(asked) = asked.map(StrategyName::name)
            && asked != view.strategy
        {
            let RolloutView { service, strategy, .. } = &view;
            output.note(&format!(
                "{service} is replaced by `{strategy}`, not `{asked}`: two instances of it cannot be there at once"
            ))?;
        }
        present.push(one.clone());
    }
    Ok(present)
}

/// Says what has become so far of the releases that were made; where some were rejected, why, and that it is so.
pub(crate) async fn say_what_becomes(
    client: &Client,
    application: &str,
    accepted: &Accepted,
    output: &mut Output,
) -> Result<bool, CommandError> {
    if accepted.releases.is_empty() {
        return Ok(false);
    }
    let followed: Vec<Followed> =
        accepted.releases.iter().filter_map(|it| Followed::of(it)).collect();
    let mut is_rejected = false;
    for view in all(client, application).await? {
        if !followed.iter().any(|it| it.is(&view)) {
            continue;
        }
        match view.state {
            RolloutStateView::Rejected => {
                is_rejected = true;
                evidence::show(client, &view, output).await?;
            }
            RolloutStateView::Running if 1 < view.steps.len() => output.note(&format!(
                "{}; `pelago rollout watch {}` follows it",
                rollout_tree::news(&view),
                view.service
            ))?,
            _ => {}
        }
    }
    Ok(is_rejected)
}

/// Waits until the releases that were made have all the traffic, or have lost it: those that were rejected.
pub(crate) async fn rejected(
    client: Client,
    application: String,
    followed: Vec<Followed>,
) -> Result<Vec<RolloutView>, CommandError> {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let views = all(&client, &application).await?;
        let mut views: Vec<RolloutView> =
            views.into_iter().filter(|view| followed.iter().any(|it| it.is(view))).collect();
        // One that is known no more gave way to a later one, which somebody else waits for.
        if views.iter().all(|it| it.state.is_over()) {
            views.retain(|it| it.state == RolloutStateView::Rejected);
            return Ok(views);
        }
    }
}

/// Shows rollouts until all have ended. Ends well if all of them were completed.
pub(crate) async fn follow(
    client: &Client,
    application: &str,
    followed: &[Followed],
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let mut progress = Progress::default();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let views = all(client, application).await?;
        let views: Vec<RolloutView> =
            views.into_iter().filter(|view| followed.iter().any(|it| it.is(view))).collect();
        if views.len() < followed.len() {
            return Err(CommandError::wrong(
                "another release has superseded the one that was followed; `pelago releases` shows which, \
                 and `pelago events` who made it",
            ));
        }
        progress.show(&views, output)?;
        if views.iter().all(|it| it.state.is_over()) {
            return conclude(client, &views, output).await;
        }
    }
}

/// Says how rollouts ended, and shows what speaks against those that were rejected.
async fn conclude(
    client: &Client,
    views: &[RolloutView],
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    if output.is_json() {
        output.json_line(&views)?;
    }
    let rejected = views.iter().filter(|it| it.state == RolloutStateView::Rejected);
    for view in rejected {
        evidence::show(client, view, output).await?;
    }
    let well = views.iter().all(|it| it.state == RolloutStateView::Completed);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows rollouts: redrawn in a terminal, as news elsewhere.
#[derive(Debug, Default)]
struct Progress {
    canvas: Canvas,
    told: Vec<String>,
}

impl Progress {
    fn show(&mut self, views: &[RolloutView], output: &mut Output) -> Result<(), CommandError> {
        if output.look() == Look::Terminal && !output.is_json() {
            let mut lines: Vec<String> =
                views.iter().flat_map(|it| rollout_tree::lines(it, output)).collect();
            lines.truncate(output.size().rows.saturating_sub(1).max(1));
            return self.canvas.draw(&lines, output);
        }
        let mut now = Vec::new();
        for view in views {
            let news = rollout_tree::news(view);
            if !self.told.contains(&news) {
                if output.is_json() {
                    output.json_line(view)?;
                } else {
                    output.line(&news)?;
                }
            }
            now.push(news);
        }
        self.told = now;
        Ok(())
    }
}
