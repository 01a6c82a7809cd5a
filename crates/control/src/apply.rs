//! Everything that must be done before an application can be applied, and can fail.

use std::collections::BTreeMap;
use std::path::Path;

use api::request::Apply;
use api::{ApiError, ErrorKind};
use model::release::Digest;
use model::service::Source;
use model::{Application, ServiceName};
use runtime::bake::Bakery;

/// Refuses what is not right, and what this version of the platform cannot run, each with where and what to do.
pub(crate) fn refuse_what_cannot_run(definition: &Application) -> Result<(), ApiError> {
    let mut problems = definition.problems();
    for (name, service) in &definition.services {
        if let Source::Image { reference, .. } = &service.source {
            problems.push(format!(
                "service `{name}` is the image {reference}, and this version runs processes only; \
                 give it an `artifact` and a `command`, or describe its `behaviour`"
            ));
        }
        for resource in service.uses.keys() {
            problems.push(format!(
                "service `{name}` depends on resource `{resource}`, and this version cannot run \
                 resources; run it yourself and pass its address by `environment`"
            ));
        }
    }
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
) -> Result<BTreeMap<ServiceName, Digest>, ApiError> {
    let folder = Path::new(&apply.folder);
    if !folder.is_absolute() {
        return Err(ApiError::new(
            ErrorKind::Invalid,
            format!("the folder `{}` is not absolute", apply.folder),
        ));
    }
    let mut baked_paths: BTreeMap<&str, Digest> = BTreeMap::new();
    let mut digests = BTreeMap::new();
    let only = &apply.deploy.only;
    let meant = apply.definition.services.iter();
    for (name, service) in meant.filter(|(name, _)| only.is_empty() || only.contains(name)) {
        let Source::Process { artifact: Some(artifact), .. } = &service.source else { continue };
        let digest = match baked_paths.get(artifact.as_str()) {
            Some(digest) => digest.clone(),
            None => bakery.bake(&folder.join(artifact)).map_err(|error| {
                ApiError::new(
                    ErrorKind::Invalid,
                    format!("service `{name}`: {}", model::chain(&error)),
                )
            })?,
        };
        baked_paths.insert(artifact, digest.clone());
        digests.insert(name.clone(), digest);
    }
    Ok(digests)
}
