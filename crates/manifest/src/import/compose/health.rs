//! A Compose healthcheck: a command, which often is a GET in disguise.

use super::super::draft::{Draft, Fields};
use super::super::escaped;
use super::Compose;
use crate::problem::Place;
use crate::yaml::{Node, Value};

impl Compose<'_> {
    pub(super) fn healthcheck(&mut self, node: &Node, place: Place, path: &str) -> Draft {
        let disabled = node.get("disable").is_some_and(|it| it.value == Value::Boolean(true));
        let test = node.get("test");
        let words: Vec<_> = match test {
            Some(test) => self.list(test).into_iter().map(|(word, _)| word).collect(),
            None => Vec::new(),
        };
        let kind = words.first().map(String::as_str);
        if disabled || kind == Some("NONE") {
            return Draft::text("none");
        }
        let mut fields = Fields::default();
        if let Some(test) = test {
            let rest = words.get(1..).unwrap_or_default();
            let (words, line) = match kind {
                Some("CMD") => (rest.to_vec(), rest.join(" ")),
                Some("CMD-SHELL") => (shell(rest), rest.join(" ")),
                _ => (shell(&words), words.join(" ")),
            };
            if let Some(path) = get(&line) {
                fields.add("path", Draft::text(path), test.place);
            } else {
                let words = words.iter().map(|it| Draft::text(escaped(it))).collect();
                fields.add("command", Draft::List(words), test.place);
            }
        }
        for entry in node.entries() {
            let key = entry.key.as_str();
            match key {
                "interval" | "timeout" | "start_period" => {
                    let text = self.text(&entry.node);
                    fields.add(key, Draft::text(text), entry.place);
                }
                "retries" => {
                    let text = self.text(&entry.node);
                    fields.add(key, Draft::plain(text), entry.place);
                }
                "test" | "disable" => {}
                _ => {
                    let why = "tries are `interval` apart from the start";
                    self.import.leave_out(entry.place, format!("{path}.{key}"), why);
                }
            }
        }
        if test.is_none() && !fields.0.is_empty() {
            let why =
                "the test of the image is not known here; add `path`, `tcp: true` or `command`";
            self.import.leave_out(place, path, why);
            return Draft::Map(Vec::new());
        }
        fields.done()
    }
}

fn shell(words: &[String]) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), words.join(" ")]
}

/// The path, if all the command does is a GET to the container itself.
fn get(line: &str) -> Option<String> {
    let program = line.split_whitespace().next()?;
    if !["curl", "wget"].contains(&program.rsplit('/').next()?) || line.contains('$') {
        return None;
    }
    let url = line.split_whitespace().map(|it| it.trim_matches(['"', '\''])).find_map(|word| {
        let rest = word.strip_prefix("http://").unwrap_or(word);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.split(':').next().unwrap_or_default();
        ["localhost", "127.0.0.1", "0.0.0.0"].contains(&host).then(|| format!("/{path}"))
    });
    url.filter(|it| !it.contains([';', '|', '&', '<', '>']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gets_are_recognised() {
        for (line, path) in [
            ("curl -f http://localhost:8080/health", Some("/health")),
            ("curl --fail http://127.0.0.1 || exit 1", Some("/")),
            ("wget -qO- 'http://localhost/ready'", Some("/ready")),
            ("curl -f http://other/health", None),
            ("pg_isready -U postgres", None),
            ("curl http://localhost/$X", None),
        ] {
            assert_eq!(get(line).as_deref(), path, "{line}");
        }
    }
}
