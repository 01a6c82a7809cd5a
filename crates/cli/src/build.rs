//! What is built before it is baked: the `build` commands of a file.

use std::path::Path;
use std::process::Command;

use model::service::Source;
use model::{ServiceName, Template};

use crate::Context;
use crate::error::CommandError;
use crate::input::Described;
use crate::output::{Look, Output, Tone};

/// Runs the build command of every service that has one, in the folder of the file; of those in `only`, if any
/// is named.
pub(crate) fn run(
    context: &Context,
    described: &Described,
    only: &[ServiceName],
    output: &mut Output,
) -> Result<(), CommandError> {
    let mut done: Vec<&[Template]> = Vec::new();
    for (name, service) in &described.application.services {
        let Source::Process { build, .. } = &service.source else { continue };
        let is_meant = only.is_empty() || only.contains(name);
        if !is_meant || build.is_empty() || done.contains(&build.as_slice()) {
            continue;
        }
        done.push(build);
        let words: Result<Vec<String>, String> =
            build.iter().map(|it| it.fill(|path| context.environment.get(path).cloned())).collect();
        let words = words.map_err(|path| {
            CommandError::wrong(format!("service `{name}`: `${{{path}}}` in `build` has no value"))
        })?;
        if !output.is_json() {
            let shown = format!("building {name}: {}", words.join(" "));
            output.note(&output.paint(Tone::Faint, &shown))?;
        }
        run_build(name.as_str(), &words, &described.folder, output)?;
    }
    Ok(())
}

fn run_build(
    service: &str,
    words: &[String],
    folder: &Path,
    output: &mut Output,
) -> Result<(), CommandError> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    let failed = |why: String| CommandError::wrong(format!("building {service} failed: {why}"));
    // A person watches the build; a program only wants to know what it said if it failed.
    if output.look() == Look::Terminal {
        let status = command.status().map_err(|it| failed(format!("{program}: {it}")))?;
        return if status.success() { Ok(()) } else { Err(failed(status.to_string())) };
    }
    let built = command.output().map_err(|it| failed(format!("{program}: {it}")))?;
    if built.status.success() {
        return Ok(());
    }
    output.note(&String::from_utf8_lossy(&built.stdout))?;
    output.note(&String::from_utf8_lossy(&built.stderr))?;
    Err(failed(built.status.to_string()))
}
