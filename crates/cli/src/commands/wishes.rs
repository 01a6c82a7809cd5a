//! `pelago restart` and `pelago scale`.

use api::request::{self, Accepted};
use api::status::{ApplicationStateView, ApplicationView, ServiceStateView};

use crate::arguments::{Restart, Scale};
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::Output;
use crate::{Context, daemon, meant, watch};

pub(crate) async fn restart(
    context: &Context,
    restart: &Restart,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
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
    let services: Vec<&str> = restart.services.iter().map(String::as_str).collect();
    wait(&client, &application, index, &services, output).await
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
    let application = meant::application(context, &client, output).await?;
    let mut index = 0;
    let services: Vec<&str> = wishes.iter().map(|(service, _)| *service).collect();
    for (service, replicas) in wishes {
        let target =
            Target::new(&["v1", "applications", &application, "services", service, "scale"]);
        let accepted: Accepted = client.post(target, &request::Scale { replicas }).await?;
        index = accepted.index;
    }
    wait(&client, &application, index, &services, output).await
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

/// Waits until the services asked about are as wanted; other services' troubles are not theirs.
pub(crate) async fn wait(
    client: &Client,
    application: &str,
    index: u64,
    services: &[&str],
    output: &mut Output,
) -> Result<(), CommandError> {
    let done = |view: &ApplicationView| settled(view, services);
    let (result, status) = watch::until(client, application, index, output, done).await?;
    if output.is_json() {
        output.json(&status)?;
    }
    result
}

/// What has become of `services`, or of all if none is named, once that can be said.
fn settled(view: &ApplicationView, services: &[&str]) -> Option<Result<(), CommandError>> {
    let why = "`pelago status` says why";
    if matches!(view.state, ApplicationStateView::Stopping | ApplicationStateView::Stopped) {
        let message = format!("{} is {}; {why}", view.name, view.state);
        return Some(Err(CommandError::wrong(message)));
    }
    let meant = |name: &str| services.is_empty() || services.contains(&name);
    let mut left = 0;
    for service in view.services.iter().filter(|it| meant(&it.name)) {
        match service.state {
            ServiceStateView::Ready
            | ServiceStateView::Running
            | ServiceStateView::Completed
            | ServiceStateView::Stopped => {}
            ServiceStateView::CrashLooping | ServiceStateView::Failed => {
                let message = format!("{} is {}; {why}", service.name, service.state);
                return Some(Err(CommandError::wrong(message)));
            }
            ServiceStateView::Waiting
            | ServiceStateView::Starting
            | ServiceStateView::Unready
            | ServiceStateView::Degraded
            | ServiceStateView::Updating
            | ServiceStateView::Stopping => left += 1,
        }
    }
    (left == 0).then_some(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{application, service};

    #[test]
    fn only_the_services_asked_about_are_waited_for() {
        let view = application(vec![
            service("web", ServiceStateView::Ready),
            service("cart", ServiceStateView::Updating),
            service("mail", ServiceStateView::CrashLooping),
        ]);
        let text = |services: &[&str]| {
            settled(&view, services).map(|it| match it {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            })
        };
        let looping = "mail is crash-looping; `pelago status` says why".to_owned();
        assert_eq!(text(&["web"]), Some(String::new()));
        assert_eq!(text(&["web", "cart"]), None);
        assert_eq!(text(&["mail"]), Some(looping.clone()));
        assert_eq!(text(&[]), Some(looping));
    }
}
