//! Everything that must be done before an application can be applied, and can fail.

use std::collections::BTreeMap;
use std::path::Path;

use api::request::{Apply, BakedView};
use api::{ApiError, ErrorKind};
use model::release::Digest;
use model::service::Source;
use model::{Application, ServiceName};
use runtime::bake::{Baked, Bakery, Made};

/// Refuses what is not right, and what this version of the platform cannot run, each with where and what to do.
pub(crate) fn refuse_what_cannot_run(definition: &Application) -> Result<(), ApiError> {
    let mut problems = definition.problems();
    problems.extend(api::refusals(definition));
    problems.extend(crate::telemetry::rules::problems(&definition.rules));
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(ErrorKind::Invalid, problems.join("\n")))
}

/// Bakes the artifact of every service that has one. Takes as long as reading all files does.
pub(crate) fn bake(
    bakery: &Bakery,
    apply: &Apply,
) -> Result<BTreeMap<ServiceName, Baked>, ApiError> {
    let folder = Path::new(&apply.folder);
    if !folder.is_absolute() {
        return Err(ApiError::new(
            ErrorKind::Invalid,
            format!("the folder `{}` is not absolute", apply.folder),
        ));
    }
    let mut done: BTreeMap<(&str, Made), Baked> = BTreeMap::new();
    let mut all = BTreeMap::new();
    let only = &apply.deploy.only;
    let meant = apply.definition.services.iter();
    for (name, service) in meant.filter(|(name, _)| only.is_empty() || only.contains(name)) {
        let Source::Process { artifact: Some(artifact), build, .. } = &service.source else {
            continue;
        };
        let made = if build.is_empty() { Made::ByHand } else { Made::ByBuild };
        let baked = match done.get(&(artifact.as_str(), made)) {
            Some(baked) => baked.clone(),
            None => bakery.bake(&folder.join(artifact), made).map_err(|error| {
                ApiError::new(
                    ErrorKind::Invalid,
                    format!("service `{name}`: {}", model::chain(&error)),
                )
            })?,
        };
        done.insert((artifact, made), baked.clone());
        all.insert(name.clone(), baked);
    }
    Ok(all)
}

/// Only what is needed to tell artifacts apart.
pub(crate) fn digests(baked: &BTreeMap<ServiceName, Baked>) -> BTreeMap<ServiceName, Digest> {
    baked.iter().map(|(name, it)| (name.clone(), it.digest.clone())).collect()
}

/// What was baked of the services that have new releases, for whoever wants to see what they are.
pub(crate) fn shown(
    baked: &BTreeMap<ServiceName, Baked>,
    definition: &Application,
    releases: &[String],
) -> Vec<BakedView> {
    let is_new = |name: &ServiceName| {
        releases.iter().any(|it| it.split_once('@').is_some_and(|it| it.0 == name.as_str()))
    };
    let view = |(name, it): (&ServiceName, &Baked)| {
        let source = definition.services.get(name).map(|it| &it.source);
        let Some(Source::Process { artifact: Some(artifact), .. }) = source else { return None };
        Some(BakedView {
            service: name.to_string(),
            artifact: artifact.clone(),
            files: it.files,
            bytes: it.bytes,
            left_out: it.left_out.count,
            such_as: it.left_out.shown.iter().map(|(path, by)| format!("{path} ({by})")).collect(),
        })
    };
    baked.iter().filter(|(name, _)| is_new(name)).filter_map(view).collect()
}
