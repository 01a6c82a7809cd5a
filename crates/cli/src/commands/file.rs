//! `pelago validate` and `pelago import`.

use std::fs;

use manifest::import::{Growth, LeftOut};
use manifest::{Beside, Kind, Problems, import};
use model::Application;
use model::service::Source;
use serde::Serialize;

use crate::Context;
use crate::arguments::{File, Import, KindName};
use crate::error::CommandError;
use crate::input::{self, Described};
use crate::output::{Output, Tone};

pub(crate) fn validate(
    context: &Context,
    file: &File,
    output: &mut Output,
) -> Result<(), CommandError> {
    let described = input::read(context, file.file.as_deref(), output)?;
    let mut refusals = described.application.problems();
    refusals.extend(api::refusals(&described.application));
    refusals.extend(missing(&described));
    if !refusals.is_empty() {
        // What `up` would refuse is no right file, though it can be read.
        return Err(CommandError::wrong(refusals.join("\n")));
    }
    if output.is_json() {
        return output.json(&described.application);
    }
    let application = &described.application;
    let count = application.services.len();
    let things = if count == 1 { "service" } else { "services" };
    let shown = input::shown(context, &described.file);
    let text = format!("{shown} is right: application {} with {count} {things}", application.name);
    output.line(&output.paint(Tone::Good, &text))
}

/// Artifacts that are not there, or are no files, and that no build makes.
fn missing(described: &Described) -> Vec<String> {
    let services = described.application.services.iter();
    let missing = services.filter_map(|(name, service)| {
        let Source::Process { artifact: Some(artifact), build, .. } = &service.source else {
            return None;
        };
        match described.folder.join(artifact).metadata() {
            Ok(found) if found.is_file() || found.is_dir() => None,
            Ok(_) => Some(format!(
                "service `{name}`: its artifact {artifact} is neither a file nor a folder; name one"
            )),
            Err(_) if build.is_empty() => Some(format!(
                "service `{name}`: its artifact {artifact} is not in {}; put it there, or say how it is \
                 made with `build`",
                described.folder.display()
            )),
            Err(_) => None,
        }
    });
    missing.collect()
}

pub(crate) fn import(
    context: &Context,
    asked: &Import,
    output: &mut Output,
) -> Result<(), CommandError> {
    let path = context.folder.join(&asked.file);
    let text = input::text_of(&path).map_err(|source| CommandError::File {
        path: path.clone(),
        verb: "read",
        source,
    })?;
    let name = input::shown(context, &path);
    let environment = &input::environment_for_import(context, &name);
    let files = input::Folder::around(context, &name);
    let beside = Beside { environment, files: &files };
    let imported = match asked.kind.map_or_else(|| manifest::detect(&name, &text), KindName::meant)
    {
        Kind::Compose => import::compose_beside(&name, &text, &beside),
        Kind::Procfile => import::procfile_beside(&name, &text, &beside),
        Kind::Spigo => {
            let growth = Growth { regions: asked.regions, scale_percent: asked.scale };
            import::spigo_grown(&name, &text, environment, growth)
        }
        Kind::Pelago => {
            let message = format!("{name} is a pelago.yaml already; `pelago validate` checks it");
            return Err(CommandError::wrong(message));
        }
    };
    let imported = match imported {
        Ok(imported) => imported,
        Err(problems) => {
            input::report(&problems, output)?;
            return Err(CommandError::wrong(format!("{name} cannot be imported")));
        }
    };
    if output.is_json() {
        output.json(&Answer {
            application: &imported.application,
            yaml: &imported.yaml,
            scenario: imported.scenario.as_deref(),
            warnings: &imported.warnings,
            left_out: &imported.left_out,
        })?;
    } else if let Some(target) = &asked.output {
        let target = context.folder.join(target);
        write_new(&target, &imported.yaml)?;
        output.note(&format!("wrote {}", input::shown(context, &target)))?;
    } else {
        output.document(&imported.yaml)?;
    }
    if let Some(target) = &asked.scenario {
        let Some(scenario) = &imported.scenario else {
            return Err(CommandError::wrong(format!("{name} comes with no scenario")));
        };
        let target = context.folder.join(target);
        write_new(&target, scenario)?;
        output.note(&format!("wrote {}", input::shown(context, &target)))?;
    }
    if !imported.warnings.is_empty() {
        output.notes(&imported.warnings.to_string())?;
    }
    for it in &imported.left_out {
        output.note(&format!("{name}:{}: {} is left out: {}", it.place.line, it.key, it.why))?;
    }
    Ok(())
}

/// What became of a file, for programs.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    application: &'a Application,
    yaml: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<&'a str>,
    warnings: &'a Problems,
    left_out: &'a [LeftOut],
}

/// Writes a file that must not be there yet: what somebody wrote is not overwritten.
fn write_new(path: &std::path::Path, text: &str) -> Result<(), CommandError> {
    use std::io::Write as _;
    let failed = |source| CommandError::File { path: path.to_owned(), verb: "written", source };
    let mut file = fs::File::options().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
