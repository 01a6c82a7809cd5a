//! Which application a command is about.
//!
//! The one that was named; else the one of the file here, by its name alone, whether it runs or not; and only where there
//! is no file, the only one that runs, which is then said. It refuses to turn to an application that nobody meant.

use api::StatusView;
use api::status::ApplicationStateView;

use crate::Context;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::input;
use crate::output::Output;

/// The application that is meant, which must be there.
pub(crate) async fn application(
    context: &Context,
    client: &Client,
    output: &mut Output,
) -> Result<String, CommandError> {
    if let Some(name) = &context.application {
        return Ok(name.clone());
    }
    let status: StatusView = client.get(Target::new(&["v1", "status"])).await?;
    let is_there = |name: &str| status.applications.iter().any(|it| it.name == name);
    if let Some(Named { name, file }) = named_here(context)? {
        if is_there(&name) {
            return Ok(name);
        }
        return Err(CommandError::wrong(format!(
            "{name}, which {file} here describes, was not started; `pelago up` starts it, `-a` chooses \
             another, and `pelago ps --all` lists what there is"
        )));
    }
    let running = status.applications.iter();
    let running = running.filter(|it| it.state != ApplicationStateView::Stopped);
    let names: Vec<&str> = running.map(|it| it.name.as_str()).collect();
    match names.as_slice() {
        [one] => {
            output.note(&format!("there is no file here; {one} is meant, which alone runs"))?;
            Ok((*one).to_owned())
        }
        [] => Err(CommandError::wrong("nothing runs; start an application with `pelago up`")),
        several => Err(CommandError::wrong(format!(
            "which application? choose one with `-a`: {}",
            several.join(", ")
        ))),
    }
}

/// The application whose name was said, or is in the file here; nothing where there is neither.
pub(crate) fn named(context: &Context) -> Result<Option<String>, CommandError> {
    match &context.application {
        Some(name) => Ok(Some(name.clone())),
        None => Ok(named_here(context)?.map(|it| it.name)),
    }
}

/// A name, and the file that says it.
struct Named {
    name: String,
    file: String,
}

/// The name of the application described in this folder, if there is a file.
fn named_here(context: &Context) -> Result<Option<Named>, CommandError> {
    let Ok(path) = input::find(context, None) else { return Ok(None) };
    let file = input::shown(context, &path);
    let text = input::text_of(&path).map_err(|source| CommandError::File {
        path,
        verb: "read",
        source,
    })?;
    let environment = input::environment_for_import(context, &file);
    match manifest::name_of(&file, &text, &environment) {
        Some(name) => Ok(Some(Named { name, file })),
        // A name that is made of variables needs all of the file.
        None => match input::name_of_all(context, &file, &text) {
            Some(name) => Ok(Some(Named { name, file })),
            None => Err(CommandError::wrong(format!(
                "{file} here does not say what its application is called; choose one with `-a`"
            ))),
        },
    }
}
