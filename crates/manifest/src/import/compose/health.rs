//! A Compose healthcheck: a command, which often is a GET in disguise.

use super::super::draft::{Draft, Fields};
use super::super::escaped;
use super::Compose;
use crate::check::is_stray;
use crate::yaml::{Entry, Value};

/// What Compose takes where a file says nothing.
const TIMES: [(&str, &str); 4] =
    [("interval", "30s"), ("timeout", "30s"), ("start_period", "0s"), ("retries", "3")];
/// The port of an address without one.
const HTTP_PORT: u16 = 80;

impl Compose<'_> {
    /// A check, of a service with this port.
    pub(super) fn healthcheck(&mut self, entry: &Entry, path: &str, port: Option<u16>) -> Draft {
        let Entry { node, place, .. } = entry;
        let place = *place;
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
            let is_list = matches!(test.value, Value::List(_));
            let (words, asked) = match kind {
                Some("CMD") => (rest.to_vec(), rest.to_vec()),
                Some("CMD-SHELL") => (shell(rest), plain_words(&rest.join(" "))),
                _ if is_list => {
                    let message =
                        "a `test` that is a list begins with `CMD`, `CMD-SHELL` or `NONE`";
                    self.import.findings.error(test.place, message);
                    return Draft::Map(Vec::new());
                }
                _ => (shell(&words), plain_words(&words.join(" "))),
            };
            if let Some(path) = get(&asked, port) {
                fields.add("path", Draft::text(path), test.place);
            } else {
                let words = words.iter().map(|it| Draft::text(escaped(it))).collect();
                fields.add("command", Draft::List(words), test.place);
            }
        }
        for (key, default) in TIMES {
            if test.is_some() && node.get(key).is_none() {
                fields.add(key, Draft::plain(default), place);
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

/// The words of a line of a shell, if one is all that it needs; none where it does more.
fn plain_words(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = line.strip_suffix("exit 1").map_or(line, |it| it.trim_end().trim_end_matches("||"));
    if line.contains(['|', '&', ';', '<', '>', '`', '(', '\n']) {
        return Vec::new();
    }
    model::template::split_words(line).unwrap_or_default()
}

/// The path, if all the command does is to ask for it at `port`, and to fail where the answer is an error.
fn get(words: &[String], port: Option<u16>) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let is_curl = match program.rsplit('/').next()? {
        "curl" => true,
        "wget" => false,
        _ => return None,
    };
    let mut url = None;
    let mut fails = !is_curl;
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(word) = arguments.next() {
        match word {
            "-o" | "-O" | "-qO" | "--output" | "--output-document" => {
                arguments.next().filter(|it| ["-", "/dev/null"].contains(it))?;
            }
            "--fail" | "-f" => fails = true,
            "--silent" | "--show-error" | "--spider" | "--quiet" | "--no-verbose" | "-nv"
            | "-O-" | "-qO-" | "--tries=1" => {}
            _ if word.starts_with("--") => return None,
            _ if word.starts_with('-') => {
                let letters = word.trim_start_matches('-');
                let known = if is_curl { "fsS" } else { "q" };
                if letters.is_empty() || !letters.chars().all(|it| known.contains(it)) {
                    return None;
                }
                fails |= is_curl && letters.contains('f');
            }
            _ if url.is_none() => url = Some(word),
            _ => return None,
        }
    }
    let rest = url?.strip_prefix("http://").or_else(|| url.filter(|it| !it.contains("://")))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, asked) = match host.split_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok()?),
        None => (host, HTTP_PORT),
    };
    let is_own = ["localhost", "127.0.0.1", "0.0.0.0"].contains(&host) && Some(asked) == port;
    let is_path = !path.contains(|it: char| it == '$' || is_stray(it));
    (fails && is_own && is_path).then(|| format!("/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 12: checks of other ports, with headers, methods, pipes or a second command became another check.
    #[test]
    fn only_a_plain_get_of_the_own_port_becomes_one() {
        for (line, path) in [
            ("curl -f http://localhost:8080/health", Some("/health")),
            ("curl --fail -sS -o /dev/null http://127.0.0.1:8080 || exit 1", Some("/")),
            ("wget -qO- 'http://localhost:8080/ready?a=b'", Some("/ready?a=b")),
            ("wget --spider -q http://0.0.0.0:8080/ready", Some("/ready")),
            ("curl -f http://other:8080/health", None),
            ("curl -f http://localhost:9404/metrics", None),
            ("curl -f http://localhost/health", None),
            ("curl http://localhost:8080/health", None),
            ("curl -f --head http://localhost:8080/health", None),
            ("curl -f -H 'A: b' http://localhost:8080/health", None),
            ("curl -f -X POST http://localhost:8080/health", None),
            ("curl -f http://localhost:8080/health | grep -q OK || exit 1", None),
            ("curl -f http://localhost:8080/a && curl -f http://localhost:8080/b", None),
            ("curl -f https://localhost:8080/health", None),
            ("curl -f http://localhost:8080/$X", None),
            ("pg_isready -U postgres", None),
        ] {
            assert_eq!(get(&plain_words(line), Some(8_080)).as_deref(), path, "{line}");
        }
        assert_eq!(get(&plain_words("curl -f localhost/a"), Some(80)).as_deref(), Some("/a"));
        assert_eq!(get(&plain_words("curl -f http://localhost:8080/a"), None), None);
    }
}
