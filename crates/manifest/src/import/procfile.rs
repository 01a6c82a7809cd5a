//! Procfiles: `web: python3 app.py` on each line (Heroku, Foreman).

use std::collections::BTreeMap;

use model::template::split_words;

use super::draft::{Draft, Fields};
use super::{Import, Imported, escaped, name_like, project};
use crate::beside::{Beside, DOTENV};
use crate::problem::{Place, Problems};
use crate::yaml::TEXT_BYTES_MAX;

/// Makes an application of a Procfile: a service for each line, run in a copy of the folder.
pub fn procfile(
    name: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Imported, Problems> {
    procfile_beside(name, text, &Beside::alone(environment))
}

/// The same with what stands around it: the variables in `.env` are every process's, as Foreman has it.
pub fn procfile_beside(name: &str, text: &str, beside: &Beside<'_>) -> Result<Imported, Problems> {
    let environment = beside.environment;
    let mut import = Import::new(name, text, beside);
    // What is wrong with it is said when the result is read back.
    let dotenv = (!matches!(import.files.text(DOTENV), Ok(None))).then_some(DOTENV);
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
            services.add(process, service(command, dotenv, place), place);
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

/// The service that a line becomes.
fn service(command: &str, dotenv: Option<&str>, place: Place) -> Draft {
    let mut fields = Fields::default();
    fields.add("artifact", Draft::text("."), place);
    fields.add("command", words(command), place);
    if let Some(port) = own_port(command) {
        fields.add("port", Draft::plain(port), place);
        fields.add("healthcheck", tcp_check(place), place);
    }
    if let Some(dotenv) = dotenv {
        fields.add("env_file", Draft::text(dotenv), place);
    }
    fields.done()
}

/// What listens where its line says and not where it is told is asked there, and routed to.
fn tcp_check(place: Place) -> Draft {
    let mut check = Fields::default();
    check.add("tcp", Draft::plain(true), place);
    check.done()
}

/// The port that a line itself names: one that reads `PORT` names none.
fn own_port(command: &str) -> Option<u16> {
    let mut words = command.split_whitespace().map(|it| it.trim_matches(['"', '\'']));
    let (mut before, mut is_server) = ("", false);
    let own = words.find_map(|word| {
        let found = port_in(before, word);
        let behind_options = || is_server.then(|| port_behind(before, word)).flatten();
        let found = found.or_else(behind_options);
        is_server = is_server || PROGRAMS.contains(&word);
        before = word;
        found
    });
    // `PORT=5000 ./serve` says which, `--port $PORT` asks for it.
    let asks = command.contains("$PORT") || command.contains("${PORT");
    own.filter(|_| !asks)
}

/// Programs that take their port as a word of its own.
const PROGRAMS: [&str; 2] = ["http.server", "runserver"];

/// The port in a word that comes behind options of such a program: `http.server --bind 127.0.0.1 80`. What is behind an
/// option is that option's, unless it takes nothing.
fn port_behind(before: &str, word: &str) -> Option<u16> {
    const FLAGS: [&str; 5] = ["--noreload", "--nothreading", "--insecure", "--cgi", "-u"];
    let is_value = before.starts_with('-') && !before.contains('=') && !FLAGS.contains(&before);
    let port = word.rsplit_once(':').map_or(word, |(_, port)| port);
    port.parse().ok().filter(|it| *it != 0 && !is_value)
}

/// The port in a word behind another, as servers are told it: `--port 80`, `--port=80`, `-b 0.0.0.0:80`, `PORT=80`,
/// `http.server 80`, `runserver 80`.
fn port_in(before: &str, word: &str) -> Option<u16> {
    const OPTIONS: [&str; 8] =
        ["-p", "--port", "-b", "--bind", "-l", "--listen", "--http", "--address"];
    let value = match word.split_once('=') {
        Some((option, value)) if OPTIONS.contains(&option) || option == "PORT" => value,
        None if OPTIONS.contains(&before) || PROGRAMS.contains(&before) => word,
        _ => return None,
    };
    let port = value.rsplit_once(':').map_or(value, |(_, port)| port);
    port.parse().ok().filter(|it| *it != 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 12: a line with a port of its own was asked at another.
    #[test]
    fn a_line_may_name_its_port() {
        for (command, port) in [
            ("python3 -m http.server 13456", Some(13_456)),
            ("python3 -m http.server --bind 127.0.0.1 19777", Some(19_777)),
            ("python3 -m http.server --directory 80 19777", Some(19_777)),
            ("python manage.py runserver --noreload 0.0.0.0:8000", Some(8_000)),
            ("python manage.py runserver --verbosity 2", None),
            ("gunicorn app:app -b 0.0.0.0:8000 --workers 4", Some(8_000)),
            ("./serve --port=80 --workers=4", Some(80)),
            ("PORT=5000 node index.js", Some(5_000)),
            ("python manage.py runserver", None),
            ("rails s -p $PORT", None),
            ("./serve --port ${PORT:-8080}", None),
            ("node index.js", None),
            ("tar -p file", None),
        ] {
            assert_eq!(own_port(command), port, "{command}");
        }
    }
}
