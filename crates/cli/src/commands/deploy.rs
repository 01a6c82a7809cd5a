//! `pelago deploy`: makes releases of services, and moves traffic to them.

use std::path::Path;
use std::process::ExitCode;

use api::request::{self, Accepted, Apply};
use api::status::StatusView;
use model::ServiceName;
use model::release::Origin;
use model::service::Source;

use super::rollout::{self, Followed};
use super::{baked, stop, up, wishes};
use crate::arguments::{Deploy, StrategyName};
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::input::{self, Described};
use crate::output::{Output, Tone};
use crate::{Context, build, daemon, origin};

pub(crate) async fn run(
    context: &Context,
    asked: &Deploy,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let mut described = input::read(context, asked.file.as_deref(), output)?;
    let only = services(asked, &described)?;
    replace_source(context, asked, &only, &mut described)?;
    if asked.artifact.is_none() {
        build::run(context, &described, &only, output)?;
    }
    let client = daemon::ensure(context).await?;
    let name = described.application.name.to_string();
    runs(&client, &name).await?;
    let folder = described.folder.display().to_string();
    let _it_runs: stop::Fate =
        up::check_what_runs(&client, &name, (&folder, asked.take_over), output).await?;
    // Where nobody says which services, all: what has not changed gets no release.
    let all = || described.application.services.keys().cloned().collect();
    let only = if only.is_empty() { all() } else { only };
    let origin = Origin { note: asked.message.clone(), ..origin::of(context, &described.folder) };
    let deploy = request::Deploy {
        only,
        force: asked.force,
        strategy: asked.strategy.map(StrategyName::meant),
        together: asked.together,
        origin,
    };
    let apply = Apply { definition: described.application, folder, deploy };
    let accepted: Accepted = client.post(Target::new(&["v1", "applications"]), &apply).await?;
    attend(&client, &name, asked, (&accepted, output)).await
}

/// Shows what becomes of the releases that were made.
async fn attend(
    client: &Client,
    application: &str,
    asked: &Deploy,
    (accepted, output): (&Accepted, &mut Output),
) -> Result<ExitCode, CommandError> {
    if accepted.releases.is_empty() {
        return nothing(application, output);
    }
    if !output.is_json() {
        let made = format!("released {}", accepted.releases.join(", "));
        output.note(&output.paint(Tone::Faint, &made))?;
    }
    baked::say(accepted, output)?;
    let followed: Vec<Followed> =
        accepted.releases.iter().filter_map(|it| Followed::of(it)).collect();
    // A service that did not run before is started with its release; there is nothing to move.
    let followed = rollout::present(client, application, &followed, asked.strategy, output).await?;
    if asked.detach {
        if output.is_json() {
            output.json(accepted)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if followed.is_empty() {
        let services: Vec<&str> =
            accepted.releases.iter().filter_map(|it| Some(it.split_once('@')?.0)).collect();
        wishes::wait(client, application, accepted.index, &services, output).await?;
        return Ok(ExitCode::SUCCESS);
    }
    rollout::follow(client, application, &followed, output).await
}

fn nothing(application: &str, output: &mut Output) -> Result<ExitCode, CommandError> {
    output.note(&format!(
        "{application}: nothing has changed, so there is no new release; `--force` makes one"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The services that are meant, which must be in the file.
fn services(asked: &Deploy, described: &Described) -> Result<Vec<ServiceName>, CommandError> {
    let known = &described.application.services;
    let find = |name: &String| {
        let found = known.keys().find(|it| it.as_str() == name);
        found.cloned().ok_or_else(|| {
            let names: Vec<&str> = known.keys().map(ServiceName::as_str).collect();
            CommandError::wrong(format!(
                "{} has no service `{name}`; it has {}",
                described.file.display(),
                names.join(", ")
            ))
        })
    };
    asked.services.iter().map(find).collect()
}

/// Puts the artifact or image that was named in place of what the file says.
fn replace_source(
    context: &Context,
    asked: &Deploy,
    only: &[ServiceName],
    described: &mut Described,
) -> Result<(), CommandError> {
    if asked.artifact.is_none() && asked.image.is_none() {
        return Ok(());
    }
    let [name] = only else {
        let message = "name the one service that the artifact or image is for";
        return Err(CommandError::wrong(message));
    };
    let Some(service) = described.application.services.get_mut(name) else { return Ok(()) };
    if let Some(reference) = &asked.image {
        let command = match &service.source {
            Source::Image { command, .. } => command.clone(),
            Source::Process { .. } | Source::Behaviour(_) => Vec::new(),
        };
        service.source = Source::Image { reference: reference.clone(), command };
    }
    if let Some(path) = &asked.artifact {
        let Source::Process { artifact, .. } = &mut service.source else {
            return Err(CommandError::wrong(format!(
                "service `{name}` runs no command, so an artifact does not say what to run; write \
                 its `command` in {}",
                described.file.display()
            )));
        };
        *artifact = Some(absolute(context, path)?);
    }
    Ok(())
}

/// An artifact is named from where the command is typed, not from the folder of the file.
fn absolute(context: &Context, path: &Path) -> Result<String, CommandError> {
    let path = context.folder.join(path);
    let found = path.canonicalize();
    let found = found.map_err(|source| CommandError::File { path, verb: "found", source })?;
    Ok(found.display().to_string())
}

/// Whether the application has been started: there must be something that releases take over from.
async fn runs(client: &Client, name: &str) -> Result<(), CommandError> {
    let status: StatusView = client.get(Target::new(&["v1", "status"])).await?;
    if status.applications.iter().any(|it| it.name == name) {
        return Ok(());
    }
    Err(CommandError::wrong(format!("{name} does not run yet; start it with `pelago up`")))
}
