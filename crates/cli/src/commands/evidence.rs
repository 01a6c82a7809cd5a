//! What speaks against a release that was rejected: who met errors, which requests, and what its instances
//! said.

use std::collections::BTreeMap;

use api::logs::LogPage;
use api::rollout::RolloutView;
use api::spans::SpanView;
use api::status::{ServiceView, StatusView};

use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone, one_line};

/// Callers, endpoints and traces shown.
const SHOWN_MAX: usize = 5;
/// Lines shown of what its instances said last.
const LINES_MAX: usize = 12;
/// Failed calls looked at.
const SPANS_MAX: usize = 1_000;

/// Shows the evidence beside the answer.
pub(crate) async fn show(
    client: &Client,
    view: &RolloutView,
    output: &mut Output,
) -> Result<(), CommandError> {
    let name = format!("{}@{}", view.service, view.to);
    output.note(&output.paint(Tone::Bad, &format!("{name} was rejected: {}", view.reason)))?;
    let harm = match view.harmed {
        0 => "no caller got an error from it".to_owned(),
        1 => "one request got an error from it".to_owned(),
        count => format!("{count} requests got an error from it"),
    };
    output.note(&format!("{harm}; {} has all the traffic again", view.from))?;
    for it in view.worst.iter().take(SHOWN_MAX) {
        output.note(&format!("  from {}: {} of {} failed", it.caller, it.errors, it.requests))?;
    }
    let spans = failed(client, view).await?;
    for line in endpoints(&spans).into_iter().chain(traces(&spans)) {
        output.note(&format!("  {line}"))?;
    }
    for line in said(client, view).await? {
        output.note(&format!("  {}", output.paint(Tone::Faint, &line)))?;
    }
    Ok(())
}

/// Calls to the new release that failed, the latest first.
async fn failed(client: &Client, view: &RolloutView) -> Result<Vec<SpanView>, CommandError> {
    let target = Target::new(&["v1", "spans"])
        .with("application", Some(&view.application))
        .with("service", Some(&view.service))
        .with("errors", Some("true"))
        .with("limit", Some(SPANS_MAX));
    let mut spans: Vec<SpanView> = client.get(target).await?;
    let is_of_it = |it: &SpanView| {
        it.callee.as_ref() == Some(&view.service)
            && it.release.as_ref() == Some(&view.to)
            && view.started_at <= it.start
    };
    spans.retain(is_of_it);
    Ok(spans)
}

/// Where most of them failed.
fn endpoints(spans: &[SpanView]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for span in spans {
        *counts.entry(asked(span)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // The sort is stable: of equals the first in the alphabet.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let line = |(asked, count): (String, usize)| match count {
        1 => format!("{asked}: one failure seen"),
        count => format!("{asked}: {count} failures seen"),
    };
    counts.into_iter().take(SHOWN_MAX).map(line).collect()
}

/// What was asked for: `shop.Cart/Add` of gRPC, else the method and the path.
fn asked(span: &SpanView) -> String {
    match span.path.strip_prefix('/') {
        Some(method) if span.is_grpc => method.to_owned(),
        _ => format!("{} {}", span.method, span.path),
    }
}

fn traces(spans: &[SpanView]) -> Vec<String> {
    let line = |it: &SpanView| {
        let status = it.status.map_or("no answer".to_owned(), |it| format!("status {it}"));
        let why = it.error.as_deref().map(|it| format!(" ({it})")).unwrap_or_default();
        let instance = it.instance.as_deref().unwrap_or("no instance");
        format!("trace {}: {}: {status}{why} from {instance}", it.trace, asked(it))
    };
    spans.iter().take(SHOWN_MAX).map(line).collect()
}

/// What instances of the new release said last.
async fn said(client: &Client, view: &RolloutView) -> Result<Vec<String>, CommandError> {
    let target = Target::new(&["v1", "status"]).with("application", Some(&view.application));
    let status: StatusView = client.get(target).await?;
    let services = status.applications.iter().flat_map(|it| &it.services);
    let instances: Vec<String> = services
        .filter(|it| it.name == view.service)
        .flat_map(|it| instances(it, &view.to))
        .collect();
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let target = Target::new(&["v1", "applications", &view.application, "logs"])
        .with("target", Some(instances.join(",")))
        .with("tail", Some(LINES_MAX));
    let page: LogPage = client.get(target).await?;
    let from = page.lines.len().saturating_sub(LINES_MAX);
    let line = |it: &api::logs::LogLine| format!("{} | {}", it.instance, one_line(&it.text));
    Ok(page.lines.iter().skip(from).map(line).collect())
}

/// The instances of a release that there are, and were lately.
fn instances(service: &ServiceView, release: &str) -> Vec<String> {
    let living = service.instances.iter().filter(|it| it.release == release).map(|it| &it.id);
    let ended = service.ended.iter().filter(|it| it.release == release).map(|it| &it.id);
    ended.chain(living).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(path: &str, status: Option<u16>, error: Option<&str>) -> SpanView {
        SpanView {
            trace: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            id: "b7ad6b7169203331".to_owned(),
            parent: None,
            application: Some("shop".to_owned()),
            caller: "web".to_owned(),
            callee: Some("cart".to_owned()),
            start: "2026-11-22T06:00:00.000Z".to_owned(),
            duration_ms: 3.0,
            method: "GET".to_owned(),
            path: path.to_owned(),
            is_grpc: path.contains("Cart"),
            status,
            release: Some("r12".to_owned()),
            instance: Some("cart.7".to_owned()),
            attempts: 1,
            error: error.map(str::to_owned),
            fault: None,
            limit: None,
            limit_value: None,
            limit_key: None,
            hop: None,
        }
    }

    #[test]
    fn the_worst_endpoints_come_first() {
        let spans = [
            span("/a", Some(500), None),
            span("/b", Some(500), None),
            span("/b", None, Some("timeout")),
        ];
        assert_eq!(endpoints(&spans), ["GET /b: 2 failures seen", "GET /a: one failure seen"]);
        let call = [span("/shop.Cart/Add", Some(200), None)];
        assert_eq!(endpoints(&call), ["shop.Cart/Add: one failure seen"]);
        let trace = "trace 0af7651916cd43dd8448eb211c80319c: GET";
        assert_eq!(
            traces(&spans[1..]),
            [
                format!("{trace} /b: status 500 from cart.7"),
                format!("{trace} /b: no answer (timeout) from cart.7"),
            ]
        );
    }
}
