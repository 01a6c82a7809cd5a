//! Releases, and how two of them differ.

use std::collections::BTreeMap;

use model::release::Release;
use model::service::Source;
use model::units::Share;
use model::{ApplicationName, ReleaseNumber, ServiceName, Template};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{ApplicationState, ServiceState, World};

use crate::change::{Values, differences};
use crate::error::{ApiError, ErrorKind};

/// A release of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseEntry {
    /// The application.
    pub application: String,
    /// The service.
    pub service: String,
    /// Its number: `r12`.
    pub release: String,
    /// What has become of it.
    pub state: ReleaseStateView,
    /// Its share of traffic, from 0 to 1.
    pub share: f64,
    /// Its instances that can take requests.
    pub ready: usize,
    /// When it was made, in RFC 3339.
    pub made_at: String,
    /// Until when it is kept running without traffic, in RFC 3339, if it is.
    pub kept_until: Option<String>,
    /// What runs: a command, or what stands for one.
    pub runs: String,
    /// The files it runs in, by their content hash.
    pub artifact: Option<String>,
    /// What is new about it.
    pub note: Option<String>,
    /// Who made it.
    pub by: Option<String>,
    /// The commit its source was at.
    pub commit: Option<String>,
}

/// What has become of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseStateView {
    /// It serves.
    Serving,
    /// It is being rolled out.
    RollingOut,
    /// It runs and gets no traffic: going back to it takes no time.
    Warm,
    /// A rollout of it was rejected, and it has not been tried again.
    Rejected,
    /// It does not run.
    Retired,
}

/// How two releases of a service differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffView {
    /// The first: `cart@r11`.
    pub from: String,
    /// The second.
    pub to: String,
    /// What is different, one line each: a key, its value in the first, and in the second.
    pub differences: Vec<String>,
}

/// The releases of an application that are remembered, the newest of each service first.
pub fn entries(
    world: &World,
    application: &ApplicationName,
    only: Option<&ServiceName>,
) -> Result<Vec<ReleaseEntry>, ApiError> {
    let state = state(world, application)?;
    if let Some(name) = only {
        service(state, application, name)?;
    }
    let services = state.services.iter().filter(|(name, _)| only.is_none_or(|it| it == *name));
    let mut entries = Vec::new();
    for (name, service) in services {
        let newest_first = service.releases.values().rev();
        entries.extend(newest_first.map(|it| entry(application, name, service, it)));
    }
    Ok(entries)
}

fn state<'a>(
    world: &'a World,
    application: &ApplicationName,
) -> Result<&'a ApplicationState, ApiError> {
    let missing = || ApiError::no_application(application.as_str());
    world.application(application).ok_or_else(missing)
}

fn service<'a>(
    state: &'a ApplicationState,
    application: &ApplicationName,
    name: &ServiceName,
) -> Result<&'a ServiceState, ApiError> {
    let missing = || ApiError::no_service(application.as_str(), name.as_str());
    state.services.get(name).map(AsRef::as_ref).ok_or_else(missing)
}

fn entry(
    application: &ApplicationName,
    name: &ServiceName,
    service: &ServiceState,
    release: &Release,
) -> ReleaseEntry {
    let number = release.number;
    let serving = service.instances.values().filter(|it| it.release == number && it.is_serving());
    let share = share(service, number);
    let group = service.group_of(number).and_then(|it| service.groups.get(&it));
    ReleaseEntry {
        application: application.to_string(),
        service: name.to_string(),
        release: number.to_string(),
        state: release_state(service, number, share),
        share: share.as_fraction(),
        ready: serving.count(),
        made_at: release.made_at.to_string(),
        kept_until: group.and_then(|it| it.kept_until).map(|it| it.to_string()),
        runs: runs(&release.service.source),
        artifact: release.artifact.as_ref().map(|it| it.as_str().to_owned()),
        note: release.origin.note.clone(),
        by: release.origin.by.clone(),
        commit: release.origin.commit.clone(),
    }
}

/// A release's share of traffic.
fn share(service: &ServiceState, release: ReleaseNumber) -> Share {
    if let Some(rollout) = service.active_rollout() {
        return match release {
            it if it == rollout.to => rollout.weight(),
            it if it == rollout.from => rollout.weight().complement(),
            _ => Share::ZERO,
        };
    }
    let shares = &service.traffic.shares;
    let own = shares.iter().find(|it| it.release == release).map(|it| it.weight);
    let is_current = shares.is_empty() && release == service.current();
    own.unwrap_or(if is_current { Share::ALL } else { Share::ZERO })
}

fn release_state(service: &ServiceState, release: ReleaseNumber, share: Share) -> ReleaseStateView {
    let last = service.rollout.as_deref().filter(|it| it.to == release);
    let is_replaced = service.active_rollout().is_some_and(|it| it.from == release);
    match () {
        () if last.is_some_and(world::Rollout::is_active) => ReleaseStateView::RollingOut,
        // While instances are replaced in their places, both serve.
        () if share != Share::ZERO || is_replaced => ReleaseStateView::Serving,
        () if service.group_of(release).is_some() => ReleaseStateView::Warm,
        () if service.rejected.contains(&release) => ReleaseStateView::Rejected,
        () => ReleaseStateView::Retired,
    }
}

/// What runs, in words.
fn runs(source: &Source) -> String {
    let words =
        |words: &[Template]| words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match source {
        Source::Process { command, .. } => words(command),
        Source::Image { reference, .. } => reference.clone(),
        Source::Behaviour(_) => "a synthetic service".to_owned(),
    }
}

/// How two releases of a service differ.
pub fn diff(
    world: &World,
    application: &ApplicationName,
    name: &ServiceName,
    (from, to): (ReleaseNumber, ReleaseNumber),
    shown: Values,
) -> Result<DiffView, ApiError> {
    let service = service(state(world, application)?, application, name)?;
    let find = |number: ReleaseNumber| {
        let message = || {
            let known: Vec<String> = service.releases.keys().map(ToString::to_string).collect();
            format!("{name} has no release {number} any more; there are {}", known.join(", "))
        };
        let found = service.releases.get(&number);
        found.ok_or_else(|| ApiError::new(ErrorKind::NotFound, message()))
    };
    let (before, after) = (find(from)?, find(to)?);
    let mut lines = Vec::new();
    if before.artifact != after.artifact {
        let short = |it: &Release| {
            let digest = it.artifact.as_ref().and_then(|it| it.as_str().get(..12));
            digest.unwrap_or("(none)").to_owned()
        };
        lines.push(format!("artifact: {} -> {}", short(before), short(after)));
    }
    lines.extend(differences(&before.service, &after.service, shown));
    lines.extend(values("config", &before.config, &after.config));
    lines.extend(values("flags", &before.flags, &after.flags));
    let name = |number: ReleaseNumber| format!("{name}@{number}");
    Ok(DiffView { from: name(from), to: name(to), differences: lines })
}

/// Entries in which two maps differ, with both values.
/// The values that differ, a line each.
pub(crate) fn values<V: Serialize + PartialEq>(
    what: &str,
    before: &BTreeMap<String, V>,
    after: &BTreeMap<String, V>,
) -> Vec<String> {
    let text = |value: Option<&V>| {
        let json = value.and_then(|it| serde_json::to_string(it).ok());
        json.unwrap_or_else(|| "(none)".to_owned())
    };
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = keys.into_iter().filter(|it| before.get(*it) != after.get(*it));
    let line = |key: &String| {
        format!("{what}.{key}: {} -> {}", text(before.get(key)), text(after.get(key)))
    };
    differ.map(line).collect()
}
