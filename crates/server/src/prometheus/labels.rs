//! Series, labels, and what is said about metrics.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use axum::response::Response;
use telemetry::Stores;

use super::Shared;
use super::answer::{JSON, Refused, enclosed, labels, list, quote, success};
use super::asked::Asked;
use super::delivery::Wanted;

pub(super) async fn series(
    State(shared): State<Shared>,
    asked: Asked,
) -> Result<Response, Refused> {
    let selectors = asked.selectors()?;
    if selectors.is_empty() {
        return Err(Refused::bad_data("no match[] parameter provided"));
    }
    let (range, limit) = (asked.range()?, asked.limit()?);
    let find = move |stores: &Stores, wanted: &Wanted| {
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            found.extend(stores.metrics.series(matchers, range, &|| wanted.is())?);
        }
        Ok(found)
    };
    listed(&shared, find, limit, labels).await
}

pub(super) async fn names(State(shared): State<Shared>, asked: Asked) -> Result<Response, Refused> {
    let (selectors, range, limit) = (asked.selectors()?, asked.range()?, asked.limit()?);
    let find = move |stores: &Stores, wanted: &Wanted| {
        if selectors.is_empty() {
            return Ok(stores.metrics.label_names(range)?);
        }
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            let series = stores.metrics.series(matchers, range, &|| wanted.is())?;
            found.extend(series.iter().flat_map(promql::Labels::iter).map(|it| it.0.to_string()));
        }
        Ok(found)
    };
    listed(&shared, find, limit, |out, it| quote(out, it)).await
}

pub(super) async fn values(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    if name.is_empty() {
        return Err(Refused::bad_data("invalid label name: \"\""));
    }
    let (selectors, range, limit) = (asked.selectors()?, asked.range()?, asked.limit()?);
    let find = move |stores: &Stores, wanted: &Wanted| {
        if selectors.is_empty() {
            return Ok(stores.metrics.label_values(&name, range)?);
        }
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            let series = stores.metrics.series(matchers, range, &|| wanted.is())?;
            let values = series.iter().map(|it| it.get(&name)).filter(|it| !it.is_empty());
            found.extend(values.map(str::to_owned));
        }
        Ok(found)
    };
    listed(&shared, find, limit, |out, it| quote(out, it)).await
}

/// Answers with as many of what is found as the client wants.
async fn listed<T: Send + 'static>(
    shared: &Shared,
    find: impl FnOnce(&Stores, &Wanted) -> Result<BTreeSet<T>, Refused> + Send + 'static,
    limit: usize,
    write: impl Fn(&mut String, &T) + Send + 'static,
) -> Result<Response, Refused> {
    shared
        .deliver(JSON, find, move |found, pieces| {
            enclosed(pieces, |pieces| {
                list(pieces, found.iter().take(limit), |pieces, it| {
                    write(&mut pieces.text, it);
                    Ok(())
                })
            })
        })
        .await
}

pub(super) async fn metadata(
    State(shared): State<Shared>,
    asked: Asked,
) -> Result<Response, Refused> {
    let limit = asked.limit()?;
    let metric = asked.get("metric");
    let found: BTreeMap<_, _> = match metric {
        Some(metric) => {
            let found = shared.stores.metrics.metadata(metric);
            found.map(|it| (metric.to_owned(), it)).into_iter().collect()
        }
        None => shared.stores.metrics.all_metadata(),
    };
    let found = found.into_iter().take(limit).map(|(metric, it)| {
        let kind = if it.kind.is_empty() { "unknown" } else { &it.kind };
        (metric, serde_json::json!([{"type": kind, "help": it.help, "unit": it.unit}]))
    });
    let all: serde_json::Map<_, _> = found.collect();
    Ok(success(&serde_json::Value::from(all).to_string()))
}
