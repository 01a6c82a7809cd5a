//! One service of a Compose file.

use model::stopping::StopSignal;
use model::units::Bytes;

use super::super::draft::{Draft, Fields};
use super::super::{escaped, name_like};
use super::{Compose, unknown};
use crate::check::did_you_mean;
use crate::problem::Place;
use crate::yaml::{Entry, Node, Value};

/// How a service runs, which decides whose ports it listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    Container,
    Process,
}

/// Whether what a service runs is only said in its Dockerfile.
pub(super) fn only_dockerfile(node: &Node) -> bool {
    let has = |key: &str| node.get(key).is_some_and(|it| !it.is_null());
    !has("image") && !has("command") && !has("entrypoint")
}

impl Compose<'_> {
    /// The service, and a comment if it cannot come along and is only shown.
    pub(super) fn service(&mut self, entry: &Entry) -> (Draft, Option<String>) {
        let Entry { key: name, place, node } = entry;
        let path = format!("services.{name}");
        let mut fields = Fields::default();
        if only_dockerfile(node) {
            let why = "what it runs is said in its Dockerfile only; add `command`";
            self.import.leave_out(*place, path, why);
            let context = self.context(node);
            fields.add("artifact", Draft::text(escaped(&context)), *place);
            fields.add("command", Draft::text("what its Dockerfile runs"), *place);
            let comment = format!("{name}: {why}, and remove the `#`.");
            return (fields.done(), Some(comment));
        }
        let runs = self.source(node, &path, &mut fields);
        if let Some(environment) = node.get("environment") {
            let draft = self.environment(environment, node, &path, &mut fields);
            fields.add("environment", draft, environment.place);
        }
        self.ports(name, node, runs, &mut fields);
        self.replicas(node, &path, &mut fields);
        self.dependencies(node, &path, &mut fields);
        self.lifecycle(name, node, &path, &mut fields);
        self.limits(node, &path, &mut fields);
        for entry in node.entries() {
            let path = format!("{path}.{}", entry.key);
            self.answer(entry, &path, unknown::service(&entry.key), &unknown::SERVICE);
        }
        (fields.done(), None)
    }

    fn context(&mut self, node: &Node) -> String {
        let Some(build) = node.get("build") else { return ".".to_owned() };
        let context = if build.is_scalar() { Some(build) } else { build.get("context") };
        let text = context.map(|it| self.text(it)).unwrap_or_default();
        if text.is_empty() { ".".to_owned() } else { text }
    }

    /// What runs.
    fn source(&mut self, node: &Node, path: &str, fields: &mut Fields) -> Runs {
        let entrypoint = node.get("entrypoint").filter(|it| !it.is_null());
        if let Some(image) = node.get("image") {
            let text = self.text(image);
            fields.add("image", Draft::text(escaped(&text)), image.place);
            if let Some(build) = node.get("build") {
                let why = "the image is taken as it is; build and push it beforehand";
                self.import.leave_out(build.place, format!("{path}.build"), why);
            }
            if let Some(entrypoint) = entrypoint {
                let why = "an image keeps its entrypoint; `command` gives it arguments";
                self.import.leave_out(entrypoint.place, format!("{path}.entrypoint"), why);
            }
            if let Some(command) = node.get("command").filter(|it| !it.is_null()) {
                let draft = self.command(command);
                fields.add("command", draft, command.place);
            }
            return Runs::Container;
        }
        let context = self.context(node);
        let build = node.get("build");
        fields.add("artifact", Draft::text(escaped(&context)), build.unwrap_or(node).place);
        if let Some(build) = build {
            let why =
                "its Dockerfile is not interpreted; the command runs in a copy of the context";
            self.import.leave_out(build.place, format!("{path}.build"), why);
        }
        let mut words = Vec::new();
        for part in [entrypoint, node.get("command")].into_iter().flatten() {
            match self.command(part) {
                Draft::List(items) => words.extend(items),
                Draft::Text(line) => match model::template::split_words(&line) {
                    Ok(split) => words.extend(split.into_iter().map(Draft::text)),
                    Err(error) => self.import.findings.error(part.place, error.to_string()),
                },
                _ => {}
            }
        }
        let place = node.get("command").or(entrypoint).unwrap_or(node).place;
        fields.add("command", Draft::List(words), place);
        Runs::Process
    }

    fn command(&mut self, node: &Node) -> Draft {
        if let Value::List(items) = &node.value {
            let word = |it: &Node| Draft::text(escaped(&self.text(it)));
            return Draft::List(items.iter().map(word).collect());
        }
        Draft::text(escaped(&self.text(node)))
    }

    fn environment(
        &mut self,
        node: &Node,
        service: &Node,
        path: &str,
        fields: &mut Fields,
    ) -> Draft {
        let callees = dependencies(service);
        let told: Vec<_> = callees
            .filter_map(|it| self.names.get(&it.0))
            .map(|it| model::name::url_variable(it))
            .collect();
        let mut environment = Fields::default();
        for (name, value, place) in self.pairs(node) {
            let key = format!("{path}.environment.{name}");
            if name == "PORT" {
                let number = value.as_deref().and_then(|it| it.parse::<u16>().ok());
                match number.filter(|it| *it != 0) {
                    Some(port) if !fields.has("port") && service.get("ports").is_none() => {
                        fields.add("port", Draft::plain(port), place);
                    }
                    _ => self.import.leave_out(place, key, "`PORT` is set by Pelago"),
                }
                continue;
            }
            if told.contains(&name) {
                let why = "Pelago tells where the callee is in the same variable";
                self.import.leave_out(place, key, why);
                continue;
            }
            if let Some(host) = value.as_deref().and_then(|it| self.host_in(&name, it)) {
                let message = format!(
                    "`{name}` names the host `{host}`, which is none here; take the address from \
                     `${{{}}}`",
                    model::name::url_variable(&name_like(&host, "service"))
                );
                self.import.findings.warn(place, message);
            }
            let value = match value {
                Some(value) => escaped(&value),
                None => format!("${{env.{name}:-}}"),
            };
            environment.add(&name, Draft::text(value), place);
        }
        environment.done()
    }

    /// A service whose name is used as a host name. A name alone is one only where a host is asked for: `postgres` is
    /// as well the name of a user.
    fn host_in(&self, variable: &str, value: &str) -> Option<String> {
        let asks = ["HOST", "ADDR", "SERVER", "URL", "URI", "ENDPOINT", "BROKER", "NODE"];
        let variable = variable.to_ascii_uppercase();
        if !value.contains(':') && !asks.iter().any(|it| variable.contains(it)) {
            return None;
        }
        let authority = value.split_once("://").map_or(value, |(_, rest)| rest);
        let host = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
        let host = host.split([':', '/', ',']).next().unwrap_or_default();
        self.names.contains_key(host).then(|| host.to_owned())
    }

    fn replicas(&mut self, node: &Node, path: &str, fields: &mut Fields) {
        if let Some(profiles) = node.get("profiles") {
            let why = "there are no profiles; it has 0 replicas until you scale it";
            self.import.leave_out(profiles.place, format!("{path}.profiles"), why);
            fields.add("replicas", Draft::plain(0), profiles.place);
        } else if let Some(replicas) = replicas(node) {
            let text = self.text(replicas);
            fields.add("replicas", Draft::plain(text), replicas.place);
        }
        for entry in node.get("deploy").into_iter().flat_map(Node::entries) {
            if let Some(why) = unknown::deploy(&entry.key) {
                self.import.leave_out(entry.place, format!("{path}.deploy.{}", entry.key), why);
            }
        }
    }

    fn dependencies(&mut self, node: &Node, path: &str, fields: &mut Fields) {
        let mut depends_on = Fields::default();
        let mut calls = Vec::new();
        let mut plain = true;
        for (written, condition, place) in dependencies(node) {
            let entry = node.get("depends_on").and_then(|it| it.get(&written));
            self.dependency_keys(&written, entry, path);
            let is_required = entry
                .and_then(|it| it.get("required"))
                .is_none_or(|it| it.value != Value::Boolean(false));
            if is_required && !self.written.contains(&written) {
                let known = self.written.iter().map(String::as_str);
                let remedy = match did_you_mean(&written, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "add it, or remove the dependency".to_owned(),
                };
                let message = format!("there is no service `{written}`; {remedy}");
                self.import.findings.error(place, message);
                continue;
            }
            let Some(name) = self.names.get(&written).cloned() else {
                let why = format!("`{written}` did not come along");
                self.import.leave_out(place, format!("{path}.depends_on.{written}"), why);
                continue;
            };
            let condition = condition.unwrap_or_else(|| "service_started".to_owned());
            plain &= condition == "service_started";
            if condition != "service_completed_successfully" {
                calls.push(Draft::text(name.as_str()));
            }
            let mut conditions = Fields::default();
            conditions.add("condition", Draft::text(condition), place);
            depends_on.add(&name, conditions.done(), place);
        }
        let place = node.get("depends_on").unwrap_or(node).place;
        let draft = if plain {
            Draft::List(depends_on.0.into_iter().map(|it| Draft::text(it.key)).collect())
        } else {
            depends_on.done()
        };
        fields.add("depends_on", draft, place);
        fields.add("calls", Draft::List(calls), place);
    }

    /// What else is said of a dependency.
    fn dependency_keys(&mut self, name: &str, entry: Option<&Node>, path: &str) {
        for it in entry.into_iter().flat_map(Node::entries) {
            let why = match it.key.as_str() {
                "condition" => continue,
                "required" => "a dependency that is there is always waited for",
                "restart" => "a service is not restarted with what it depends on",
                _ => "there is no counterpart",
            };
            self.import.leave_out(it.place, format!("{path}.depends_on.{name}.{}", it.key), why);
        }
    }

    fn lifecycle(&mut self, name: &str, node: &Node, path: &str, fields: &mut Fields) {
        if let Some(entry) = node.entry("healthcheck") {
            let key = format!("{path}.healthcheck");
            let draft = self.healthcheck(entry, &key, own_port(fields));
            fields.add("healthcheck", draft, entry.place);
        }
        if let Some(grace) = node.get("stop_grace_period") {
            let text = self.text(grace);
            fields.add("stop_grace_period", Draft::text(text), grace.place);
        }
        if let Some(signal) = node.get("stop_signal") {
            let text = self.text(signal);
            match text.parse::<StopSignal>() {
                Ok(meant) => {
                    fields.add("stop_signal", Draft::text(meant.to_string()), signal.place);
                }
                Err(error) => {
                    let why = error.to_string();
                    self.import.leave_out(signal.place, format!("{path}.stop_signal"), &why);
                }
            }
        }
        let completed = self.completed.contains(name);
        match node.get("restart") {
            Some(restart) => {
                let text = self.text(restart);
                let policy = match text.split(':').next().unwrap_or_default() {
                    "unless-stopped" => "always",
                    "" => "no",
                    policy => policy,
                };
                if text.contains(':') {
                    let why =
                        "an instance is restarted however often it fails, more and more slowly";
                    self.import.leave_out(restart.place, format!("{path}.restart"), why);
                }
                let policy = if completed && policy == "always" { "on-failure" } else { policy };
                if policy != "always" {
                    fields.add("restart", Draft::text(policy), restart.place);
                }
            }
            None if completed => {
                fields.add("restart", Draft::text("on-failure"), node.place);
            }
            None => {
                let message = format!(
                    "Compose leaves `{name}` alone when it has ended, here it is started again; write \
                     `restart: no` if it is a job"
                );
                self.import.findings.warn(node.place, message);
            }
        }
        if let Some(files) = node.get("env_file") {
            let draft = self.env_files(files, path);
            fields.add("env_file", draft, files.place);
        }
    }

    /// Files of variables, named as here.
    fn env_files(&mut self, node: &Node, path: &str) -> Draft {
        let Value::List(items) = &node.value else {
            return Draft::text(escaped(&self.text(node)));
        };
        let mut files = Vec::new();
        for item in items {
            let Some(file) = item.get("path") else {
                files.push(Draft::text(escaped(&self.text(item))));
                continue;
            };
            let mut fields = Fields::default();
            fields.add("path", Draft::text(escaped(&self.text(file))), item.place);
            if item.get("required").is_some_and(|it| it.value == Value::Boolean(false)) {
                fields.add("required", Draft::plain(false), item.place);
            }
            if let Some(format) = item.get("format") {
                let why = "files are read as Compose reads them where no format is said";
                self.import.leave_out(format.place, format!("{path}.env_file.format"), why);
            }
            files.push(fields.done());
        }
        Draft::List(files)
    }

    fn limits(&mut self, node: &Node, path: &str, fields: &mut Fields) {
        let resources = node.get("deploy").and_then(|it| it.get("resources"));
        for group in resources.into_iter().flat_map(Node::entries) {
            for it in group.node.entries() {
                if group.key == "limits" && ["cpus", "memory"].contains(&it.key.as_str()) {
                    continue;
                }
                let key = format!("{path}.deploy.resources.{}.{}", group.key, it.key);
                let why = match group.key.as_str() {
                    "limits" => "of limits there are `limits: {cpus, memory}`",
                    _ => "nothing is reserved; an instance takes what it needs up to its limits",
                };
                self.import.leave_out(it.place, key, why);
            }
        }
        let limits = resources.and_then(|it| it.get("limits"));
        let mut draft = Fields::default();
        if let Some(cpus) = limits.and_then(|it| it.get("cpus")).or_else(|| node.get("cpus")) {
            let text = self.text(cpus);
            draft.add("cpus", Draft::text(text), cpus.place);
        }
        if let Some(memory) =
            limits.and_then(|it| it.get("memory")).or_else(|| node.get("mem_limit"))
        {
            let text = self.text(memory);
            if let Some(size) = size(&text) {
                draft.add("memory", Draft::text(size.to_string()), memory.place);
            } else {
                let message = format!("`{text}` is not a size; write for example `512m`");
                self.import.findings.error(memory.place, message);
            }
        }
        fields.add("limits", draft.done(), node.place);
    }
}

pub(super) fn replicas(node: &Node) -> Option<&Node> {
    node.get("deploy").and_then(|it| it.get("replicas")).or_else(|| node.get("scale"))
}

/// The port that a service was found to have.
fn own_port(fields: &Fields) -> Option<u16> {
    let port = fields.0.iter().find(|it| it.key == "port")?;
    if let Draft::Plain(text) = &port.value { text.parse().ok() } else { None }
}

/// What a service depends on: name, condition, place.
fn dependencies(node: &Node) -> impl Iterator<Item = (String, Option<String>, Place)> {
    let node = node.get("depends_on");
    let items = node.into_iter().flat_map(Node::items).map(|it| (it.raw.clone(), None, it.place));
    let entries = node.into_iter().flat_map(Node::entries).map(|it| {
        let condition = it.node.get("condition").map(|it| it.raw.clone());
        (it.key.clone(), condition, it.place)
    });
    items.chain(entries)
}

/// A size as Compose writes it: `512m`, `1gb`, or bytes; all units are binary.
fn size(text: &str) -> Option<Bytes> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|it: char| !(it.is_ascii_digit() || it == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = match unit.trim() {
        "" | "b" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        _ => return None,
    };
    format!("{number}{unit}").parse().ok()
}
