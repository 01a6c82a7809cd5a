//! Releases and rollouts: the handlers that show them, and those that change what becomes of them.

use api::Platform;
use api::release::{self, DiffView, ReleaseEntry};
use api::request::{Accepted, Rollback, SetTraffic, Steer};
use api::rollout::RolloutView;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use model::{ApplicationName, ReleaseNumber, ServiceName};
use serde::Deserialize;

use super::traffic::only;
use super::{Asked, Named, Shape, body, parse, parse_some, shown};
use crate::answer::{Failure, invalid};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceQuery {
    service: Option<String>,
}

pub(super) async fn list<P: Platform>(
    State(shared): Shape<P>,
    path: Named<String>,
    query: Asked<ServiceQuery>,
) -> Result<Json<Vec<ReleaseEntry>>, Failure> {
    let (Path(application), Query(query)) = (path?, query?);
    let application: ApplicationName = parse("application", &application)?;
    let service = parse_some::<ServiceName>("service", query.service.as_deref())?;
    let world = shared.platform.world();
    Ok(Json(release::entries(&world, &application, service.as_ref())?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffQuery {
    from: Option<String>,
    to: Option<String>,
    show_values: Option<bool>,
}

pub(super) async fn diff<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
    query: Asked<DiffQuery>,
) -> Result<Json<DiffView>, Failure> {
    let ((application, service), Query(query)) = (names(path)?, query?);
    let number = |name: &str, text: Option<&str>| {
        let missing = || invalid(format!("{name} is missing; write a release, such as `r11`"));
        parse::<ReleaseNumber>(name, text.ok_or_else(missing)?)
    };
    let between = (number("from", query.from.as_deref())?, number("to", query.to.as_deref())?);
    let (world, values) = (shared.platform.world(), shown(query.show_values));
    Ok(Json(release::diff(&world, &application, &service, between, values)?))
}

pub(super) async fn set_traffic<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
    request: Result<Json<SetTraffic>, JsonRejection>,
) -> Result<Json<Accepted>, Failure> {
    let ((application, service), traffic) = (names(path)?, body(request)?);
    Ok(Json(shared.platform.set_traffic(application, service, traffic).await?))
}

pub(super) async fn steer<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
    request: Result<Json<Steer>, JsonRejection>,
) -> Result<Json<Accepted>, Failure> {
    let ((application, service), steer) = (names(path)?, body(request)?);
    Ok(Json(shared.platform.steer(application, service, steer).await?))
}

pub(super) async fn roll_back<P: Platform>(
    State(shared): Shape<P>,
    path: Named<(String, String)>,
    request: Result<Json<Rollback>, JsonRejection>,
) -> Result<Json<Accepted>, Failure> {
    let ((application, service), rollback) = (names(path)?, body(request)?);
    Ok(Json(shared.platform.roll_back(application, service, rollback).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RolloutsQuery {
    application: Option<String>,
    service: Option<String>,
}

pub(super) async fn rollouts<P: Platform>(
    State(shared): Shape<P>,
    query: Asked<RolloutsQuery>,
) -> Result<Json<Vec<RolloutView>>, Failure> {
    let Query(query) = query?;
    let application = only(&shared.platform, query.application.as_deref())?;
    let mut rollouts = shared.platform.rollouts();
    rollouts.retain(|it| {
        application.as_ref().is_none_or(|name| name.as_str() == it.application)
            && query.service.as_ref().is_none_or(|name| *name == it.service)
    });
    Ok(Json(rollouts))
}

fn names(path: Named<(String, String)>) -> Result<(ApplicationName, ServiceName), Failure> {
    let Path((application, service)) = path.map_err(Failure::from)?;
    Ok((parse("application", &application)?, parse("service", &service)?))
}
