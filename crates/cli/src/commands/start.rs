//! `pelago start`.

use std::process::ExitCode;

use api::request::Accepted;

use super::up;
use crate::client::Target;
use crate::error::CommandError;
use crate::output::Output;
use crate::{Context, daemon, meant, watch};

/// Starts an application that was stopped, and waits until it is ready.
pub(crate) async fn run(context: &Context, output: &mut Output) -> Result<ExitCode, CommandError> {
    let client = daemon::ensure(context).await?;
    let name = meant::application(context, &client, output).await?;
    let target = Target::new(&["v1", "applications", &name, "start"]);
    let accepted: Accepted = client.post(target, &()).await?;
    let (end, status) = watch::until(&client, &name, accepted.index, output, up::settled).await?;
    if output.is_json() {
        output.json(&status)?;
    }
    up::conclude(&client, (end, status.applications.first()), output).await
}
