//! `pelago ps` and `pelago status`.

use api::StatusView;
use api::request::At;
use api::status::{ApplicationStateView, ApplicationView};

use crate::arguments::{Ps, Status};
use crate::client::Target;
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table::Cell;
use crate::{Context, daemon, table, tree, when};

pub(crate) async fn ps(
    context: &Context,
    ps: &Ps,
    output: &mut Output,
) -> Result<(), CommandError> {
    let mut status = get(context, None).await?;
    if !ps.all {
        status.applications.retain(|it| it.state != ApplicationStateView::Stopped);
        for service in status.applications.iter_mut().flat_map(|it| &mut it.services) {
            service.ended.clear();
        }
    }
    if output.is_json() {
        return output.json(&status);
    }
    let now = (context.now)();
    let mut rows = Vec::new();
    for application in &status.applications {
        rows.extend(rows_of(application, now));
    }
    if rows.is_empty() {
        return output.note("nothing runs; start an application with `pelago up`");
    }
    let heading = ["APPLICATION", "INSTANCE", "STATE", "RELEASE", "PID", "AGE", "URL"];
    table::write(output, &heading, &rows)
}

fn rows_of(application: &ApplicationView, now: model::Timestamp) -> Vec<Vec<Cell>> {
    let plain = |text: &str| (text.to_owned(), Tone::Plain);
    let mut rows = Vec::new();
    for service in &application.services {
        for ended in &service.ended {
            let tone = if ended.unasked { Tone::Bad } else { Tone::Faint };
            rows.push(vec![
                plain(&application.name),
                plain(&ended.id),
                ("ended".to_owned(), tone),
                plain(&ended.release),
                plain("-"),
                plain(&when::ago(&ended.at, now)),
                (ended.exit.clone(), tone),
            ]);
        }
        for instance in &service.instances {
            let pid = instance.pid.map_or("-".to_owned(), |it| it.to_string());
            let age = instance.started_at.as_deref().map_or(String::new(), |it| when::ago(it, now));
            rows.push(vec![
                plain(&application.name),
                plain(&instance.id),
                (instance.state.to_string(), tree::tone_of_instance(instance.state)),
                plain(&instance.release),
                plain(&pid),
                plain(&age),
                plain(&instance.url),
            ]);
        }
        if service.instances.is_empty() && service.ended.is_empty() {
            rows.push(vec![
                plain(&application.name),
                plain(&service.name),
                (service.state.to_string(), tree::tone_of_service(service.state)),
                plain(&service.release),
                plain("-"),
                plain("-"),
                plain(&service.detail),
            ]);
        }
    }
    rows
}

pub(crate) async fn status(
    context: &Context,
    status: &Status,
    output: &mut Output,
) -> Result<(), CommandError> {
    let at = match status.at.as_deref() {
        Some(text) if text.starts_with('@') => {
            Some(text.parse::<At>().map_err(|it| CommandError::wrong(it.to_string()))?)
        }
        Some(text) => Some(At::Time(when::parse(text, (context.now)())?)),
        None => None,
    };
    let view = get(context, at).await?;
    if output.is_json() {
        return output.json(&view);
    }
    let heading = format!("@{}  {}", view.index, view.at);
    output.line(&output.paint(Tone::Faint, &heading))?;
    if view.applications.is_empty() {
        return output.note("there is no application");
    }
    for application in &view.applications {
        for line in tree::lines(application, output) {
            output.line(&line)?;
        }
    }
    Ok(())
}

async fn get(context: &Context, at: Option<At>) -> Result<StatusView, CommandError> {
    let client = daemon::ensure(context).await?;
    let target = Target::new(&["v1", "status"])
        .with("application", context.application.as_deref())
        .with("at", at);
    client.get(target).await
}
