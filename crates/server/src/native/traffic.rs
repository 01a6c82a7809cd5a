//! What crosses the edges: the handlers that answer with figures.

use api::edge::EdgesView;
use api::gateway::RoutesView;
use api::graph::GraphView;
use api::spans::{SpanChoice, SpanQuery, SpanView};
use api::{ApiError, Platform};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use model::{ApplicationName, ServiceName};
use serde::Deserialize;

use super::{Asked, Shape, parse_some};
use crate::answer::{Failure, invalid};

/// Spans answered if nobody says how many.
const SPANS_DEFAULT: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneQuery {
    application: Option<String>,
}

/// The application that is asked for, which must be there.
pub(super) fn only<P: Platform>(
    platform: &P,
    name: Option<&str>,
) -> Result<Option<ApplicationName>, Failure> {
    let application = parse_some::<ApplicationName>("application", name)?;
    match &application {
        Some(name) if platform.world().application(name).is_none() => {
            Err(ApiError::no_application(name.as_str()).into())
        }
        _ => Ok(application),
    }
}

pub(super) async fn edges<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<OneQuery>,
) -> Result<Json<EdgesView>, Failure> {
    let Query(query) = query?;
    let world = shared.platform.world();
    let only = only(&shared.platform, query.application.as_deref())?;
    Ok(Json(EdgesView::of(&world, &shared.platform.traffic(), only.as_ref())))
}

pub(super) async fn routes<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<OneQuery>,
) -> Result<Json<RoutesView>, Failure> {
    let Query(query) = query?;
    let world = shared.platform.world();
    let only = only(&shared.platform, query.application.as_deref())?;
    Ok(Json(RoutesView::of(&world, &shared.platform.traffic(), only.as_ref())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphQuery {
    application: Option<String>,
    format: Option<String>,
}

pub(super) async fn graph<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<GraphQuery>,
) -> Result<Response, Failure> {
    let Query(query) = query?;
    let world = shared.platform.world();
    let only = only(&shared.platform, query.application.as_deref())?;
    let graph = GraphView::of(&world, &shared.platform.traffic(), only.as_ref());
    let (kind, text) = match query.format.as_deref() {
        None | Some("json") => return Ok(Json(graph).into_response()),
        Some("text") => ("text/plain; charset=utf-8", graph.text()),
        Some("dot") => ("text/vnd.graphviz; charset=utf-8", graph.dot()),
        Some("mermaid") => ("text/vnd.mermaid; charset=utf-8", graph.mermaid()),
        Some(other) => {
            return Err(invalid(format!(
                "format: `{other}` is not known; write json, text, dot or mermaid"
            )));
        }
    };
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpansQuery {
    application: Option<String>,
    service: Option<String>,
    errors: Option<bool>,
    limit: Option<usize>,
}

pub(super) async fn spans<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<SpansQuery>,
) -> Result<Json<Vec<SpanView>>, Failure> {
    let Query(query) = query?;
    let only = only(&shared.platform, query.application.as_deref())?;
    let query = SpanQuery {
        application: only,
        service: parse_some::<ServiceName>("service", query.service.as_deref())?,
        choice: if query.errors == Some(true) { SpanChoice::Failed } else { SpanChoice::All },
        limit: query.limit.unwrap_or(SPANS_DEFAULT),
    };
    Ok(Json(shared.platform.spans(&query)))
}
