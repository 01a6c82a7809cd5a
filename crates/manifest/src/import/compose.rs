//! Compose files (the Compose specification, which took in versions 2 and 3).
//!
//! A service with an `image` stays a container; one with `build` and `command` becomes a process in a
//! copy of its build context, since a Dockerfile is not interpreted. In Compose every service reaches
//! every other; here what a service depends on becomes what it calls, and the rest must be said.

use std::collections::{BTreeMap, BTreeSet};

use unknown::Answer;

use super::draft::{Draft, Field, Fields};
use super::{Import, Imported, compose_name, name_like, project};
use crate::beside::Beside;
use crate::check::did_you_mean;
use crate::interpolate::interpolate;
use crate::problem::{Findings, Place, Problems};
use crate::yaml::{Entry, Node, Value};

mod health;
mod load;
mod merge;
mod ports;
mod service;
mod unknown;

/// Makes an application of a Compose file. `environment` is what its `${..}` refer to.
pub fn compose(
    name: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Imported, Problems> {
    compose_beside(name, text, &Beside::alone(environment))
}

/// The same with what stands around it: `.env`, whose values are below those of the shell, and `env_file`s.
pub fn compose_beside(name: &str, text: &str, beside: &Beside<'_>) -> Result<Imported, Problems> {
    let mut findings = Findings::default();
    let variables = beside.variables(&mut findings);
    let beside = Beside { environment: &variables, ..*beside };
    let mut import = Import::new(name, text, &beside);
    import.findings = findings;
    let text = std::sync::Arc::clone(&import.text);
    let loaded = load::load(name, &text, import.files, &mut import.findings);
    let Some(root) = loaded else { return Err(import.problems()) };
    let Some(services) = root.get("services").filter(|it| !it.entries().is_empty()) else {
        import.findings.error(root.place, "a Compose file has `services`, and this one has none");
        return Err(import.problems());
    };
    let mut compose = Compose {
        names: names(services),
        written: services.entries().iter().map(|it| it.key.clone()).collect(),
        ports: BTreeSet::new(),
        completed: BTreeSet::new(),
        routes: Vec::new(),
        import,
    };
    compose.survey(services);
    if compose.names.is_empty() {
        let message = "no service can come along: what each runs is said in its Dockerfile only; \
                       add `command` to them";
        compose.import.findings.error(services.place, message);
        return Err(compose.import.problems());
    }
    let drafted = compose.services(services);
    let fields = compose.top(&root, drafted);
    let comments = [
        format!("Made by Pelago from {name}."),
        "In Compose every service reaches every other. Here a service reaches what it names under \
         `calls`,"
            .to_owned(),
        "which was taken from `depends_on`: add what is missing.".to_owned(),
    ];
    compose.import.finish(&fields.done(), &comments)
}

/// The file while it is read.
#[derive(Debug)]
struct Compose<'a> {
    import: Import<'a>,
    /// Names as ours allow them, by how they are written; without services that cannot come along.
    names: BTreeMap<String, String>,
    /// Names as they are written, of all services.
    written: BTreeSet<String>,
    /// Ports of processes, which share the machine's.
    ports: BTreeSet<u16>,
    /// Services others wait for to complete.
    completed: BTreeSet<String>,
    routes: Vec<Draft>,
}

fn names(services: &Node) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for entry in services.entries() {
        let name = name_like(&entry.key, "service");
        names.insert(entry.key.clone(), name);
    }
    names
}

impl Compose<'_> {
    /// What must be known of all services before the first is read.
    fn survey(&mut self, services: &Node) {
        for entry in services.entries() {
            if service::only_dockerfile(&entry.node) {
                self.names.remove(&entry.key);
            }
            let dependencies = entry.node.get("depends_on").into_iter().flat_map(Node::entries);
            for dependency in dependencies {
                let condition = dependency.node.get("condition").map(|it| it.raw.as_str());
                if condition == Some("service_completed_successfully") {
                    self.completed.insert(dependency.key.clone());
                }
            }
        }
    }

    fn services(&mut self, services: &Node) -> Draft {
        let mut fields = Fields::default();
        for entry in services.entries() {
            let written = &entry.key;
            let name = name_like(written, "service");
            if fields.has(&name) {
                let message =
                    format!("`{written}` becomes `{name}` here, which is taken; rename it");
                self.import.findings.error(entry.place, message);
                continue;
            }
            if name != *written {
                let why = format!("it is called `{name}` here, since names have no dots");
                self.import.leave_out(entry.place, format!("services.{written}"), why);
            }
            let (value, comment) = self.service(entry);
            let disabled = comment.is_some();
            fields.0.push(Field { key: name, value, origin: entry.place, comment, disabled });
        }
        fields.done()
    }

    fn top(&mut self, root: &Node, services: Draft) -> Fields {
        let mut fields = Fields::default();
        let project = project(self.import.name, self.import.environment).to_owned();
        let written = root.get("name").map(|node| self.text(node));
        let name = compose_name(written.as_deref(), &project);
        fields.add("name", Draft::text(name), root.place);
        fields.add("services", services, root.place);
        fields.add("routes", Draft::List(std::mem::take(&mut self.routes)), root.place);
        for entry in root.entries() {
            let path = entry.key.as_str();
            self.answer(entry, path, unknown::top(path), &unknown::TOP);
        }
        fields
    }

    /// What becomes of a key with this answer; one that is not known is a mistake, as in Compose.
    fn answer(&mut self, entry: &Entry, path: &str, answer: Answer, known: &[&str]) {
        match answer {
            Answer::Carried => {}
            Answer::LeftOut(why) => self.import.leave_out(entry.place, path, why),
            Answer::Unknown => {
                let key = &entry.key;
                let remedy = match did_you_mean(key, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "remove it, or begin it with `x-`".to_owned(),
                };
                let message = format!("Compose has no key `{key}` here; {remedy}");
                self.import.findings.error(entry.place, message);
            }
        }
    }

    /// A scalar with its references filled.
    fn text(&mut self, node: &Node) -> String {
        if !node.is_scalar() {
            let message = "a text is meant here, not a list or a mapping";
            self.import.findings.error(node.place, message);
            return String::new();
        }
        let environment = self.import.environment;
        match interpolate(&node.raw, &|name| environment.get(name).cloned()) {
            Ok(filled) => {
                for name in &filled.unset {
                    let message = format!(
                        "`{name}` is not set in your shell or in .env, so it was taken as empty, as Compose does"
                    );
                    self.import.findings.warn(node.place, message);
                }
                filled.text
            }
            Err(message) => {
                self.import.findings.error(node.place, message);
                String::new()
            }
        }
    }

    /// The items of a list, or the words of the one text there is.
    fn list(&mut self, node: &Node) -> Vec<(String, Place)> {
        match &node.value {
            Value::List(items) => items.iter().map(|it| (self.text(it), it.place)).collect(),
            Value::Null => Vec::new(),
            _ => vec![(self.text(node), node.place)],
        }
    }

    /// Names and values of a mapping, or of a list of `NAME=value`.
    fn pairs(&mut self, node: &Node) -> Vec<(String, Option<String>, Place)> {
        if let Value::Map(entries) = &node.value {
            let mut pairs = Vec::new();
            for entry in entries {
                let value = (!entry.node.is_null()).then(|| self.text(&entry.node));
                pairs.push((entry.key.clone(), value, entry.place));
            }
            return pairs;
        }
        let items = self.list(node).into_iter();
        let pair = |(item, place): (String, Place)| match item.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned()), place),
            None => (item, None, place),
        };
        items.map(pair).collect()
    }
}
