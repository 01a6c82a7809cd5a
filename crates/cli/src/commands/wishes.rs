//! `pelago restart` and `pelago scale`.

use api::request::{self, Accepted};
use api::status::{ApplicationStateView, ApplicationView};

use crate::arguments::{Restart, Scale};
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::Output;
use crate::{Context, daemon, input, watch};

pub(crate) async fn restart(
    context: &Context,
    restart: &Restart,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let application = input::application(context, &client).await?;
    let targets: Vec<Target> = if restart.services.is_empty() {
        vec![Target::new(&["v1", "applications", &application, "restart"])]
    } else {
        let of = |it: &String| {
            Target::new(&["v1", "applications", &application, "services", it, "restart"])
        };
        restart.services.iter().map(of).collect()
    };
    let mut index = 0;
    for target in targets {
        let accepted: Accepted = client.post(target, &()).await?;
        index = accepted.index;
    }
    wait(&client, &application, index, output).await
}

pub(crate) async fn scale(
    context: &Context,
    scale: &Scale,
    output: &mut Output,
) -> Result<(), CommandError> {
    let wishes: Result<Vec<(&str, u32)>, CommandError> =
        scale.wishes.iter().map(|it| parse(it)).collect();
    let wishes = wishes?;
    let client = daemon::ensure(context).await?;
    let application = input::application(context, &client).await?;
    let mut index = 0;
    for (service, replicas) in wishes {
        let target =
            Target::new(&["v1", "applications", &application, "services", service, "scale"]);
        let accepted: Accepted = client.post(target, &request::Scale { replicas }).await?;
        index = accepted.index;
    }
    wait(&client, &application, index, output).await
}

fn parse(wish: &str) -> Result<(&str, u32), CommandError> {
    wish.split_once('=')
        .and_then(|(service, count)| Some((service, count.parse().ok()?)))
        .ok_or_else(|| {
            CommandError::wrong(format!(
                "`{wish}` does not say how many; write for example `cart=3`"
            ))
        })
}

async fn wait(
    client: &Client,
    application: &str,
    index: u64,
    output: &mut Output,
) -> Result<(), CommandError> {
    let settled = |view: &ApplicationView| match view.state {
        ApplicationStateView::Starting => None,
        ApplicationStateView::Running => Some(Ok(())),
        other => Some(Err(CommandError::wrong(format!(
            "{} is {other}; `pelago status` says why",
            view.name
        )))),
    };
    let (result, status) = watch::until(client, application, index, output, settled).await?;
    if output.is_json() {
        output.json(&status)?;
    }
    result
}
