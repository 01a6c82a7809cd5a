//! The native API: one handler per route of `api::route::ROUTES`.

use api::change::{PlanView, Values};
use api::logs::{ExecView, Finding, LogPage, LogQuery};
use api::openapi::{self, Health};
use api::request::{Accepted, Apply, At, EventQuery, Scale};
use api::route::{Method, ROUTES};
use api::{ApiError, ErrorKind, EventView, Platform, StatusView};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use model::{ApplicationName, Index, InstanceId, ServiceName, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::answer::{Failure, invalid};
use crate::{Measured, Tenure};
use crate::{stream, wait};

/// Bytes of a request body, at most: a definition of a thousand services has less than one million.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Events answered if nobody says how many.
const EVENTS_DEFAULT: usize = 100;
/// Log lines answered if nobody says how many.
const LINES_DEFAULT: usize = 1_000;

mod measured;
mod releases;
mod traffic;

/// What handlers share.
#[derive(Clone)]
struct Shared<P> {
    platform: P,
    measured: Measured,
    tenure: Tenure,
    stop: watch::Receiver<bool>,
}

type Shape<P> = State<Shared<P>>;
type Asked<T> = Result<Query<T>, QueryRejection>;
type Named<T> = Result<Path<T>, PathRejection>;

/// Every route. One in the table that has no handler here is answered with 501, and a test finds it.
pub(crate) fn routes<P: Platform>(
    platform: P,
    measured: Measured,
    tenure: Tenure,
    stop: watch::Receiver<bool>,
) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        router = router.route(route.path, handler::<P>(route.name, route.method));
    }
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Shared { platform, measured, tenure, stop })
}

fn handler<P: Platform>(name: &str, method: Method) -> MethodRouter<Shared<P>> {
    match name {
        "health" => get(health::<P>),
        "openapi" => get(async || Json(openapi::document())),
        "status" => get(status::<P>),
        "events" => get(events::<P>),
        "event_stream" => get(event_stream::<P>),
        "apply" => post(apply::<P>),
        "plan" => post(plan::<P>),
        "stop" => post(stop::<P>),
        "start" => post(start::<P>),
        "remove" => post(remove::<P>),
        "restart_all" => post(restart_all::<P>),
        "restart" => post(restart::<P>),
        "scale" => post(scale::<P>),
        "releases" => get(releases::list::<P>),
        "diff" => get(releases::diff::<P>),
        "set_traffic" => post(releases::set_traffic::<P>),
        "rollouts" => get(releases::rollouts::<P>),
        "steer" => post(releases::steer::<P>),
        "roll_back" => post(releases::roll_back::<P>),
        "logs" => get(logs::<P>),
        "exec" => get(exec::<P>),
        "edges" => get(traffic::edges::<P>),
        "routes" => get(traffic::routes::<P>),
        "graph" => get(traffic::graph::<P>),
        "spans" => get(traffic::spans::<P>),
        "traces" => get(measured::traces::<P>),
        "trace" => get(measured::trace::<P>),
        "compare_traces" => get(measured::compare::<P>),
        "dependencies" => get(measured::dependencies::<P>),
        "records" => get(measured::records::<P>),
        "telemetry" => get(measured::telemetry::<P>),
        "doctor" => get(doctor::<P>),
        "shut_down" => post(shut_down::<P>),
        _ => match method {
            Method::Get => get(async || StatusCode::NOT_IMPLEMENTED),
            Method::Post => post(async || StatusCode::NOT_IMPLEMENTED),
        },
    }
}

async fn nowhere() -> Failure {
    Failure(ApiError::new(ErrorKind::NotFound, "there is nothing here; see /openapi.json"))
}

async fn wrong_method() -> Response {
    let message = "this path is asked in another way; see /openapi.json";
    let Failure(error) = invalid(message);
    (StatusCode::METHOD_NOT_ALLOWED, Json(error)).into_response()
}

async fn health<P: Platform>(State(shared): Shape<P>) -> Json<Health> {
    Json(alive(&shared))
}

fn alive<P>(shared: &Shared<P>) -> Health {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Health { status: "ok".to_owned(), version, stands_in: shared.tenure == Tenure::StandIn }
}

/// Reads the parameter `name`; what is wrong with it is said with its name.
fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| invalid(format!("{name}: {error}")))
}

fn parse_some<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, Failure> {
    text.map(|it| parse(name, it)).transpose()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusQuery {
    application: Option<String>,
    at: Option<String>,
    after: Option<u64>,
    wait: Option<String>,
}

async fn status<P: Platform>(
    State(shared): Shape<P>,
    headers: HeaderMap,
    query: Asked<StatusQuery>,
) -> Result<Response, Failure> {
    let Query(query) = query?;
    let application = parse_some::<ApplicationName>("application", query.application.as_deref())?;
    let wait = wait::parse(query.wait.as_deref())?;
    let platform = &shared.platform;
    let is_now = query.at.is_none();
    let world = match (parse_some::<At>("at", query.at.as_deref())?, query.after) {
        (Some(at), _) => platform.world_at(at).await?,
        (None, Some(after)) => {
            let changed = platform.changed(Index(after));
            let changed = wait::at_most(wait, &shared.stop, changed).await;
            changed.unwrap_or_else(|| platform.world())
        }
        (None, None) => platform.world(),
    };
    if let Some(name) = application.as_ref().filter(|it| world.application(it).is_none()) {
        return Err(ApiError::no_application(name.as_str()).into());
    }
    let mut view = StatusView::of(&world, application.as_ref());
    if is_now {
        view.recording_problems = platform.recording_problems();
        view.note_ends(&platform.unrecorded_ends());
        view.draining = platform.draining();
    }
    let etag = format!("\"{}\"", world.index);
    let known = headers.get(IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    // What cannot be recorded has no index of its own, nor have connections.
    let known = known.filter(|_| view.recording_problems.is_empty() && view.draining.is_empty());
    if known.is_some_and(|it| it.split(',').any(|it| it.trim() == etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    Ok(([(ETAG, etag)], Json(view)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    after: Option<u64>,
    wait: Option<String>,
    limit: Option<usize>,
    application: Option<String>,
    service: Option<String>,
    latest: Option<bool>,
    counts: Option<bool>,
}

impl EventsQuery {
    fn to_query(&self) -> Result<EventQuery, Failure> {
        Ok(EventQuery {
            after: Index(self.after.unwrap_or(0)),
            limit: self.limit.unwrap_or(EVENTS_DEFAULT),
            application: parse_some("application", self.application.as_deref())?,
            service: parse_some::<ServiceName>("service", self.service.as_deref())?,
            latest: self.latest.unwrap_or(false),
            counts: self.counts.unwrap_or(true),
        })
    }
}

async fn events<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<EventsQuery>,
) -> Result<Response, Failure> {
    let Query(asked) = query?;
    let query = asked.to_query()?;
    let wait = wait::parse(asked.wait.as_deref())?;
    let platform = &shared.platform;
    let found = wait::at_most(wait, &shared.stop, async {
        let mut seen = query.after;
        loop {
            let world = platform.changed(seen).await;
            let found = platform.events(query.clone()).await;
            if found.as_ref().is_ok_and(|it| !it.is_empty()) || found.is_err() {
                return found;
            }
            seen = world.index;
        }
    })
    .await;
    let found = match found {
        Some(found) => found?,
        None => platform.events(query).await?,
    };
    let last = found.last().map_or(platform.world().index, |it| it.index);
    let views: Vec<EventView> = found.iter().map(EventView::of).collect();
    Ok(([(ETAG, format!("\"{last}\""))], Json(views)).into_response())
}

async fn event_stream<P: Platform>(
    State(shared): Shape<P>,
    headers: HeaderMap,
    query: Asked<EventsQuery>,
) -> Result<Response, Failure> {
    let Query(asked) = query?;
    let mut query = asked.to_query()?;
    if asked.after.is_none() {
        query.after = shared.platform.world().index;
    }
    query.after = stream::last_seen(&headers).unwrap_or(query.after);
    Ok(stream::respond(shared.platform, query, shared.stop))
}

fn body<T: DeserializeOwned>(body: Result<Json<T>, JsonRejection>) -> Result<T, Failure> {
    let Json(value) = body?;
    Ok(value)
}

async fn apply<P: Platform>(
    State(shared): Shape<P>,
    request: Result<Json<Apply>, JsonRejection>,
) -> Result<Json<Accepted>, Failure> {
    Ok(Json(shared.platform.apply(body(request)?).await?))
}

/// Whether values are shown: `show_values=true`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanQuery {
    show_values: Option<bool>,
}

fn shown(show_values: Option<bool>) -> Values {
    if show_values == Some(true) { Values::Shown } else { Values::Masked }
}

async fn plan<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<PlanQuery>,
    request: Result<Json<Apply>, JsonRejection>,
) -> Result<Json<PlanView>, Failure> {
    let Query(query) = query?;
    let values = shown(query.show_values);
    Ok(Json(shared.platform.plan(body(request)?, values).await?))
}

async fn stop<P: Platform>(
    State(shared): Shape<P>,
    path: Named<String>,
) -> Result<Json<Accepted>, Failure> {
    let Path(application) = path?;
    Ok(Json(shared.platform.stop(parse("application", &application)?).await?))
}

async fn start<P: Platform>(
    State(shared): Shape<P>,
    path: Named<String>,
) -> Result<Json<Accepted>, Failure> {
    let Path(application) = path?;
    Ok(Json(shared.platform.start(parse("application", &application)?).await?))
}

async fn remove<P: Platform>(
    State(shared): Shape<P>,
    path: Named<String>,
) -> Result<Json<Accepted>, Failure> {
    let Path(application) = path?;
    Ok(Json(shared.platform.remove(parse("application", &application)?).await?))
}

async fn restart_all<P: Platform>(
    State(shared): Shape<P>,
    path: Named<String>,
) -> Result<Json<Accepted>, Failure> {
    let Path(application) = path?;
    Ok(Json(shared.platform.restart(parse("application", &application)?, None).await?))
}

async fn restart<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
) -> Result<Json<Accepted>, Failure> {
    let Path((application, service)) = path?;
    let service = Some(parse("service", &service)?);
    Ok(Json(shared.platform.restart(parse("application", &application)?, service).await?))
}

async fn scale<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
    request: Result<Json<Scale>, JsonRejection>,
) -> Result<Json<Accepted>, Failure> {
    let Path((application, service)) = path?;
    let Scale { replicas } = body(request)?;
    let (application, service) = (parse("application", &application)?, parse("service", &service)?);
    Ok(Json(shared.platform.scale(application, service, replicas).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogsQuery {
    target: Option<String>,
    since: Option<String>,
    tail: Option<usize>,
    cursor: Option<String>,
    limit: Option<usize>,
    wait: Option<String>,
}

/// How often a log that somebody waits for is looked at.
const LOG_POLL: std::time::Duration = std::time::Duration::from_millis(100);

async fn logs<P: Platform>(
    State(shared): Shape<P>,
    path: Named<String>,
    query: Asked<LogsQuery>,
) -> Result<Json<LogPage>, Failure> {
    let Path(application) = path?;
    let Query(asked) = query?;
    let since = match asked.since.as_deref() {
        Some(text) => Some(
            Timestamp::parse(text)
                .ok_or_else(|| invalid(format!("since: `{text}` is no time in RFC 3339")))?,
        ),
        None => None,
    };
    let targets = asked.target.as_deref().unwrap_or_default().split(',');
    let mut query = LogQuery {
        application: parse("application", &application)?,
        targets: targets.filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        since,
        tail: asked.tail,
        cursor: asked.cursor,
        limit: asked.limit.unwrap_or(LINES_DEFAULT),
    };
    let wait = wait::parse(asked.wait.as_deref())?;
    let mut page = shared.platform.logs(query.clone()).await?;
    // The last lines were meant of what is there now, not of what comes.
    query.tail = None;
    // A page without lines may only have passed over older ones; then there is more to read at once.
    while page.lines.is_empty() && query.cursor.as_ref() != Some(&page.next) {
        query.cursor = Some(std::mem::take(&mut page.next));
        page = shared.platform.logs(query.clone()).await?;
    }
    let more = wait::at_most(wait, &shared.stop, async {
        let mut ticks = tokio::time::interval(LOG_POLL);
        while page.lines.is_empty() {
            ticks.tick().await;
            query.cursor = Some(std::mem::take(&mut page.next));
            page = shared.platform.logs(query.clone()).await?;
        }
        Ok::<(), ApiError>(())
    });
    if let Some(result) = more.await {
        result?;
    }
    if page.next.is_empty() {
        page.next = query.cursor.unwrap_or_default();
    }
    Ok(Json(page))
}

async fn exec<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
) -> Result<Json<ExecView>, Failure> {
    let Path((application, instance)) = path?;
    let (application, instance) =
        (parse("application", &application)?, parse::<InstanceId>("instance", &instance)?);
    Ok(Json(shared.platform.exec(application, instance).await?))
}

async fn doctor<P: Platform>(State(shared): Shape<P>) -> Json<Vec<Finding>> {
    Json(shared.platform.doctor().await)
}

async fn shut_down<P: Platform>(State(shared): Shape<P>) -> Json<Health> {
    shared.platform.shut_down();
    Json(alive(&shared))
}
