//! The architectures that are built in.

use std::process::ExitCode;

use library::Architecture;

use crate::arguments::simulation::Show;
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table;

/// The one of that name.
pub(super) fn find(name: &str) -> Option<&'static Architecture> {
    library::find(name)
}

/// Lists them.
pub(super) fn list(output: &mut Output) -> Result<ExitCode, CommandError> {
    if output.is_json() {
        let all: Vec<_> = library::all()
            .iter()
            .map(|it| {
                serde_json::json!({"name": it.name, "title": it.title, "description": it.description})
            })
            .collect();
        output.json(&all)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = library::all()
        .iter()
        .map(|it| vec![(it.name.to_owned(), Tone::Strong), table::plain(it.title)])
        .collect();
    table::write(output, &["NAME", "WHAT IT IS"], &rows)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the file of one, or its scenario.
pub(super) fn show(asked: &Show, output: &mut Output) -> Result<ExitCode, CommandError> {
    let Some(found) = find(&asked.name) else {
        let name = &asked.name;
        return Err(CommandError::wrong(format!(
            "no architecture called `{name}` is built in; `pelago sim list` lists those that are"
        )));
    };
    output.document(if asked.scenario { found.scenario } else { found.manifest })?;
    Ok(ExitCode::SUCCESS)
}
