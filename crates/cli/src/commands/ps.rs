//! `pelago ps` and `pelago status`.

use api::StatusView;
use api::request::At;
use api::status::{ApplicationStateView, ApplicationView, EndedView, InstanceView};

use crate::arguments::{Ps, Status};
use crate::client::Target;
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table::{Cell, plain};
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
    table::write(output, &HEADING, &rows)
}

const HEADING: [&str; 8] =
    ["APPLICATION", "INSTANCE", "STATE", "RELEASE", "PID", "AGE", "URL", "DETAIL"];

/// A row for each instance; for a service without any, one that says how it is.
fn rows_of(application: &ApplicationView, now: model::Timestamp) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for service in &application.services {
        rows.extend(service.ended.iter().map(|it| row_of_ended(it, now)));
        rows.extend(service.instances.iter().map(|it| row_of_instance(it, now)));
        if service.instances.is_empty() {
            rows.push([
                plain(&service.name),
                (service.state.to_string(), tree::tone_of_service(service.state)),
                plain(&service.release),
                plain("-"),
                plain("-"),
                plain("-"),
                plain(&service.detail),
            ]);
        }
    }
    let with_name = |row: [Cell; 7]| std::iter::once(plain(&application.name)).chain(row).collect();
    rows.into_iter().map(with_name).collect()
}

fn row_of_ended(ended: &EndedView, now: model::Timestamp) -> [Cell; 7] {
    let tone = if ended.unasked { Tone::Bad } else { Tone::Faint };
    [
        plain(&ended.id),
        ("ended".to_owned(), tone),
        plain(&ended.release),
        plain("-"),
        plain(&when::ago(&ended.at, now)),
        plain("-"),
        (ended.exit.clone(), tone),
    ]
}

fn row_of_instance(instance: &InstanceView, now: model::Timestamp) -> [Cell; 7] {
    let age = instance.started_at.as_deref().map(|it| when::ago(it, now));
    [
        plain(&instance.id),
        (instance.state.to_string(), tree::tone_of_instance(instance.state)),
        plain(&instance.release),
        plain(&instance.pid.map_or("-".to_owned(), |it| it.to_string())),
        plain(age.as_deref().unwrap_or("-")),
        plain(if instance.url.is_empty() { "-" } else { &instance.url }),
        (instance.detail.clone(), Tone::Faint),
    ]
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
    if view.index == 0 {
        return output.note("nothing had happened yet");
    }
    let heading = format!("@{}  {}", view.index, view.at);
    output.line(&output.paint(Tone::Faint, &heading))?;
    for problem in &view.recording_problems {
        output.line(&output.paint(Tone::Bad, problem))?;
    }
    for it in &view.draining {
        let plural = if it.client_connections == 1 { "" } else { "s" };
        let line = format!(
            "data plane {} was replaced and goes on for its {} connection{plural}",
            it.pid, it.client_connections
        );
        output.line(&output.paint(Tone::Faint, &line))?;
    }
    if view.applications.is_empty() {
        return output.note("there is no application");
    }
    for application in &view.applications {
        for line in tree::lines(application, output) {
            output.line(&line)?;
        }
        for alert in &application.alerts {
            let line = format!("  alert {} since {}: {}", alert.name, alert.since, alert.text);
            let line = output.paint(Tone::Bad, &line);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};
    use crate::tree::tests::{application, ended, instance, service};
    use api::status::{InstanceStateView, ServiceStateView};

    #[test]
    fn columns_stay_aligned_whatever_is_in_them() {
        let mut web = service("web", ServiceStateView::Degraded);
        web.ended =
            vec![ended("web.9", "exit code 1"), ended("web.10", "scaled down: killed by SIGTERM")];
        web.instances =
            (11..14).map(|it| instance(&format!("web.{it}"), InstanceStateView::Ready)).collect();
        web.instances[1].state = InstanceStateView::Unready;
        web.instances[1].detail = "GET /health:\n\tstatus 503".to_owned();
        web.instances[2].pid = None;
        web.instances[2].started_at = None;
        let mut waiting = service("order-history-archive", ServiceStateView::Waiting);
        waiting.detail = "waits for web to be ready".to_owned();
        let now = model::Timestamp::parse("2026-11-22T06:03:20Z").unwrap();
        let rows = rows_of(&application(vec![waiting, web]), now);
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        table::write(&mut output, &HEADING, &rows).unwrap();
        insta::assert_snapshot!(page.text(), @"
        APPLICATION  INSTANCE               STATE    RELEASE  PID   AGE    URL                     DETAIL
        shop         order-history-archive  waiting  r1       -     -      -                       waits for web to be ready
        shop         web.9                  ended    r1       -     20s    -                       exit code 1
        shop         web.10                 ended    r1       -     20s    -                       scaled down: killed by SIGTERM
        shop         web.11                 ready    r1       4711  3m20s  http://127.0.0.1:20000
        shop         web.12                 unready  r1       4711  3m20s  http://127.0.0.1:20000  GET /health: status 503
        shop         web.13                 ready    r1       -     -      http://127.0.0.1:20000
        ");
    }

    #[test]
    fn a_thousand_instances_stay_aligned_also_in_colour() {
        let mut web = service("web", ServiceStateView::Ready);
        web.instances = (1..=1_000)
            .map(|it| instance(&format!("web.{it}"), InstanceStateView::Ready))
            .collect();
        let rows = rows_of(&application(vec![web]), model::Timestamp::EPOCH);
        let (mut output, page) = captured::output(Look::Terminal, Format::Text);
        table::write(&mut output, &HEADING, &rows).unwrap();
        let plain: Vec<String> = page.text().lines().map(without_colours).collect();
        assert_eq!(plain.len(), 1_001);
        let column = plain[0].find("URL").unwrap();
        assert!(plain[1..].iter().all(|it| it.find("http") == Some(column)));
    }

    fn without_colours(line: &str) -> String {
        let mut parts = line.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, it| text + it.split_once('m').map_or("", |(_, rest)| rest))
    }
}
