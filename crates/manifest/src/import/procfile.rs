//! Procfiles: `web: python3 app.py` on each line (Heroku, Foreman).

use std::collections::BTreeMap;

use model::template::split_words;

use super::draft::{Draft, Fields};
use super::{Import, Imported, escaped, name_like, project};
use crate::problem::{Place, Problems};
use crate::yaml::TEXT_BYTES_MAX;

/// Makes an application of a Procfile: a service for each line, run in a copy of the folder.
pub fn procfile(
    name: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Imported, Problems> {
    let mut import = Import::new(name, text, environment);
    if TEXT_BYTES_MAX < text.len() {
        import
            .findings
            .error(Place::START, format!("a Procfile of more than {TEXT_BYTES_MAX} bytes"));
        return Err(import.problems());
    }
    let mut services = Fields::default();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut release = None;
    let text = std::sync::Arc::clone(&import.text);
    let mut offset = 0;
    for (index, raw) in text.split('\n').enumerate() {
        let line = raw.trim_start_matches('\u{feff}').trim();
        let place = Place { line: index + 1, column: 1, offset, length: raw.trim_end().len() };
        offset += raw.len() + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((process, command)) = line.split_once(':') else {
            let message = format!("`{line}` is not a process; write `name: command`");
            import.findings.error(place, message);
            continue;
        };
        let (process, command) = (process.trim(), command.trim());
        if let Some(before) = lines.insert(process.to_owned(), place.line) {
            let message = format!("the process `{process}` stands at line {before} already");
            import.findings.error(place, message);
        } else if process == "release" {
            release = Some((words(command), place));
        } else {
            let mut fields = Fields::default();
            fields.add("artifact", Draft::text("."), place);
            fields.add("command", words(command), place);
            services.add(process, fields.done(), place);
        }
    }
    if let Some((command, place)) = release {
        match services.0.first_mut() {
            Some(first) if !command_is_empty(&command) => {
                if let Draft::Map(fields) = &mut first.value {
                    let mut added = Fields(std::mem::take(fields));
                    added.add("release_command", command, place);
                    *fields = added.0;
                }
            }
            _ => import.leave_out(place, "release", "there is no service it could belong to"),
        }
    }
    if services.0.is_empty() && import.findings.errors.is_empty() {
        import
            .findings
            .error(Place::START, "a Procfile names at least one process, `web: command`");
    }
    let mut fields = Fields::default();
    let project = project(name, environment);
    fields.add("name", Draft::text(name_like(project, "app")), Place::START);
    let web = services.has("web");
    fields.add("services", services.done(), Place::START);
    if web {
        let mut route = Fields::default();
        route.add("host", Draft::text("web.localhost"), Place::START);
        route.add("service", Draft::text("web"), Place::START);
        fields.add("routes", Draft::List(vec![route.done()]), Place::START);
    }
    import.finish(&fields.done(), &[format!("Made by Pelago from {name}.")])
}

fn command_is_empty(command: &Draft) -> bool {
    matches!(command, Draft::Text(text) if text.is_empty())
}

/// The words of a command, or a shell for what only a shell understands.
fn words(command: &str) -> Draft {
    // An instance is told its port under the same name, so that alone needs no shell.
    let command_braced = command.replace("${PORT}", "$PORT");
    let longer = |it: &str| it.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '_');
    let rest = command_braced.replace("$PORT", "");
    let first = command.split_whitespace().next().unwrap_or_default();
    let shell = rest.contains(|it| "$|&;<>*?`()~{}#!".contains(it))
        || command_braced.split("$PORT").skip(1).any(longer)
        || first.contains('=')
        || ["cd", "exec", "source", ".", "if", "for", "while"].contains(&first)
        || split_words(command).is_err();
    if shell {
        return Draft::List(vec![
            Draft::text("sh"),
            Draft::text("-c"),
            Draft::text(escaped(command)),
        ]);
    }
    Draft::text(command_braced.replace("$PORT", "${PORT}"))
}
