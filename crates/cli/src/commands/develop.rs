//! `pelago up --watch`: what has changed is built again, released and replaced at once, while logs go on.
//!
//! Only what a changed file belongs to is built. An edit that does not run is rejected, which is said, and what ran
//! before it serves on: the next edit takes over from that.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use api::request::{Accepted, Apply, Deploy};
use api::rollout::RolloutView;
use model::rollout::Strategy;
use model::service::Source;
use model::{Service, ServiceName};
use tokio::task::JoinHandle;

use super::logs::Follower;
use super::rollout::{self, Followed};
use super::stop::{self, Fate};
use crate::arguments::Up;
use crate::changes::Changes;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::input::Described;
use crate::output::{Output, Tone};
use crate::{Context, build, input, origin};

/// Changed files that are named; of more than that, how many.
const NAMED_MAX: usize = 3;

type Verdicts = JoinHandle<Result<Vec<RolloutView>, CommandError>>;

/// What is watched, since before it was applied: an edit made while the application starts counts.
#[derive(Debug)]
pub(crate) struct Watched {
    described: Described,
    changes: Changes,
}

impl Watched {
    /// Watches what `described` is made of from now on.
    pub(crate) fn of(described: &Described) -> Result<Self, CommandError> {
        Ok(Self { described: described.clone(), changes: Changes::of(described)? })
    }
}

pub(crate) async fn run(
    context: &Context,
    (up, watched): (&Up, Watched),
    (client, name, fate): (&Client, &str, Fate),
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let Watched { described, mut changes } = watched;
    let hint = format!("watching for changes. {}", fate.hint());
    output.note(&output.paint(Tone::Faint, &hint))?;
    let mut follower = Follower::new(client, name);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut edit = Edit { context, up, client, name, described };
    let mut verdicts: Option<Verdicts> = None;
    loop {
        let changed = {
            // One wait for all lines that come meanwhile: begun anew with each, it would forget what has changed.
            let mut changed = pin!(changes.next());
            loop {
                tokio::select! {
                    result = follower.next(output) => result?,
                    changed = changed.as_mut() => break changed,
                    ended = ended(&mut verdicts) => match ended {
                        Ok(rejected) => say_rejected(&rejected, output)?,
                        Err(error) => output.error(&error),
                    },
                    _ = tokio::signal::ctrl_c() => break None,
                    _ = terminate.recv() => break None,
                }
            }
        };
        let Some(changed) = changed else { break };
        // A mistake in a file is a reason to change it again, not to end.
        match edit.take_in(&changed, &mut changes, output).await {
            Ok(None) => {}
            Ok(later) => verdicts = later,
            Err(error) => output.error(&error),
        }
    }
    stop::leave(client, (name, fate), output).await
}

/// What became of the releases of the last edit, once that is known.
async fn ended(verdicts: &mut Option<Verdicts>) -> Result<Vec<RolloutView>, CommandError> {
    let Some(waiting) = verdicts else { return std::future::pending().await };
    let joined = waiting.await;
    *verdicts = None;
    // Nobody aborts it; a defect in it must not end the watch.
    joined.unwrap_or_else(|error| Err(CommandError::wrong(error.to_string())))
}

fn say_rejected(rejected: &[RolloutView], output: &mut Output) -> Result<(), CommandError> {
    for it in rejected {
        let text = format!(
            "{}@{} was rejected: {}; {} serves on, change it again",
            it.service, it.to, it.reason, it.from
        );
        output.note(&output.paint(Tone::Bad, &text))?;
    }
    Ok(())
}

/// Files that change, and the application they make.
struct Edit<'a> {
    context: &'a Context,
    up: &'a Up,
    client: &'a Client,
    name: &'a str,
    /// As it was read last.
    described: Described,
}

impl Edit<'_> {
    /// Builds what changed files belong to, and has releases made of what is different then. Returns what will become of
    /// them.
    async fn take_in(
        &mut self,
        changed: &[PathBuf],
        changes: &mut Changes,
        output: &mut Output,
    ) -> Result<Option<Verdicts>, CommandError> {
        output.note(&output.paint(Tone::Faint, &self.say(changed)))?;
        let described = input::read(self.context, self.up.file.file.as_deref(), output)?;
        let affected = self.affected(&described, changed);
        if !affected.is_empty() {
            let built = build::run(self.context, &described, &affected, output);
            // What a build writes is no edit.
            changes.forget();
            built?;
        }
        let deploy = Deploy {
            strategy: Some(Strategy::Immediate),
            origin: origin::of(self.context, &described.folder),
            ..Deploy::default()
        };
        let folder = described.folder.display().to_string();
        let definition = described.application.clone();
        self.described = described;
        let apply = Apply { definition, folder, deploy };
        let target = Target::new(&["v1", "applications"]);
        let accepted: Accepted = self.client.post(target, &apply).await?;
        if accepted.releases.is_empty() {
            output.note(&output.paint(Tone::Faint, "nothing that runs is different"))?;
            return Ok(None);
        }
        let made = format!("replacing with {}", accepted.releases.join(", "));
        output.note(&output.paint(Tone::Good, &made))?;
        let followed = accepted.releases.iter().filter_map(|it| Followed::of(it)).collect();
        let (client, name) = (self.client.clone(), self.name.to_owned());
        Ok(Some(tokio::spawn(rollout::rejected(client, name, followed))))
    }

    fn say(&self, changed: &[PathBuf]) -> String {
        let shown = changed.iter().take(NAMED_MAX).map(|it| input::shown(self.context, it));
        let shown: Vec<String> = shown.collect();
        let more = match changed.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let verb = if changed.len() == 1 { "has" } else { "have" };
        format!("{}{more} {verb} changed", shown.join(", "))
    }

    /// Services to be built: those that changed files belong to, and those that are to run something else than before.
    fn affected(&self, described: &Described, changed: &[PathBuf]) -> Vec<ServiceName> {
        let mut affected = build::affected(described, changed);
        let before = |name: &ServiceName| self.described.application.services.get(name);
        for (name, service) in &described.application.services {
            let is_new = before(name).is_none_or(|it| it.source != service.source);
            if is_new && is_built(service) && !affected.contains(name) {
                affected.push(name.clone());
            }
        }
        affected
    }
}

fn is_built(service: &Service) -> bool {
    matches!(&service.source, Source::Process { build, .. } if !build.is_empty())
}
