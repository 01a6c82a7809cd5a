//! Files people already have, as applications: Compose files, Procfiles, spigo architectures.
//!
//! Each importer writes a pelago.yaml that a person could have written and reads it back through
//! [`crate::read`], so that what it makes and what the file says cannot differ, and no check is made
//! twice. What is wrong with the result is shown where it came from. What has no counterpart is
//! listed with a reason, never dropped in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::application::Application;
use serde::Serialize;

use crate::beside::{Beside, Files};
use crate::problem::{Findings, Place, Problem, Problems};
use crate::yaml::{self, Entry, Node, Value};

mod compose;
mod draft;
mod procfile;
mod spigo;

pub use compose::{compose, compose_beside};
pub use procfile::{procfile, procfile_beside};
pub use spigo::{Growth, spigo, spigo_grown};

pub(crate) use draft::scalar;

use draft::Draft;

/// What became of a file.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The application.
    pub application: Application,
    /// The same as a pelago.yaml to keep.
    pub yaml: String,
    /// What the file says beside about users, network and faults, as a scenario.yaml.
    pub scenario: Option<String>,
    /// What is probably not as meant, in places of the file that was imported.
    pub warnings: Problems,
    /// What did not come along, in the order of the file.
    pub left_out: Vec<LeftOut>,
}

/// Something that did not come along.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    /// Where it stood.
    #[serde(flatten)]
    pub place: Place,
    /// Its key, `services.web.volumes`.
    pub key: String,
    /// Why, and what to do about it.
    pub why: String,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A pelago.yaml.
    Pelago,
    /// A Compose file.
    Compose,
    /// A Procfile.
    Procfile,
    /// A spigo architecture.
    Spigo,
}

/// What kind of file this is, by its name, or else by what only that kind has.
pub fn detect(file_name: &str, text: &str) -> Kind {
    let file = file_name.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    if file.contains("pelago") {
        return Kind::Pelago;
    }
    if file.starts_with("procfile") || file.ends_with(".procfile") {
        return Kind::Procfile;
    }
    if file.starts_with("compose.") || file.starts_with("docker-compose") {
        return Kind::Compose;
    }
    if file.ends_with("_arch.json") {
        return Kind::Spigo;
    }
    match yaml::parse(&untabbed(text), &mut Findings::default()) {
        Some(root) => by_content(&root),
        None => Kind::Pelago,
    }
}

fn by_content(root: &Node) -> Kind {
    let Some(services) = root.get("services") else { return Kind::Pelago };
    if let Value::List(items) = &services.value {
        let spigo =
            root.get("arch").is_some() || items.iter().any(|it| it.get("package").is_some());
        return if spigo { Kind::Spigo } else { Kind::Pelago };
    }
    let ours = ["artifact", "behaviour", "calls", "limits", "port", "release_command", "replicas"];
    let top = ["version", "networks", "volumes", "secrets", "configs"];
    // A list of ports is Compose's, a mapping is ours.
    let lists_ports =
        |it: &Node| it.get("ports").is_some_and(|it| matches!(it.value, Value::List(_)));
    let inner = ["volumes", "networks", "env_file", "container_name", "links", "expose"];
    let has = |node: &Node, keys: &[&str]| keys.iter().any(|it| node.get(it).is_some());
    // One of Compose's keys in a file of ours is a mistake in it, and is explained there.
    if services.entries().iter().any(|it| has(&it.node, &ours)) {
        return Kind::Pelago;
    }
    // An image says nothing of whose file it is; one of ours has a name.
    let is_image = |it: &Entry| root.get("name").is_none() && it.node.get("image").is_some();
    let is_compose = |it: &Entry| has(&it.node, &inner) || lists_ports(&it.node) || is_image(it);
    if has(root, &top) || services.entries().iter().any(is_compose) {
        return Kind::Compose;
    }
    Kind::Pelago
}

/// What an application is called whose file does not say: as in Compose, what `COMPOSE_PROJECT_NAME` says, else
/// the folder that the file was named with.
pub(crate) fn project<'a>(name: &'a str, environment: &'a BTreeMap<String, String>) -> &'a str {
    let said = environment.get("COMPOSE_PROJECT_NAME").filter(|it| !it.is_empty());
    let folder = || name.rsplit(['/', '\\']).nth(1).unwrap_or_default();
    said.map_or_else(folder, String::as_str)
}

/// What a Compose file's application is called: as it says, else as its project, which Compose writes small.
pub(crate) fn compose_name(written: Option<&str>, project: &str) -> String {
    let name = written.map_or_else(|| project.to_lowercase(), str::to_owned);
    name_like(&name, "app")
}

/// JSON may be indented with tabs, YAML may not; the places stay the same.
pub(crate) fn untabbed(text: &str) -> String {
    text.replace('\t', " ")
}

/// A file that is being imported.
#[derive(Debug)]
struct Import<'a> {
    name: &'a str,
    text: Arc<str>,
    environment: &'a BTreeMap<String, String>,
    files: &'a dyn Files,
    findings: Findings,
    left_out: Vec<LeftOut>,
    /// Names of services that were refused, which need not be missed as well.
    refused: BTreeSet<String>,
}

impl<'a> Import<'a> {
    fn new(name: &'a str, text: &str, beside: &Beside<'a>) -> Self {
        Self {
            name,
            text: Arc::from(text),
            environment: beside.environment,
            files: beside.files,
            findings: Findings::default(),
            left_out: Vec::new(),
            refused: BTreeSet::new(),
        }
    }

    fn leave_out(&mut self, place: Place, key: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(LeftOut { place, key: key.into(), why: why.into() });
    }

    /// Reads back what was drafted.
    fn finish(mut self, draft: &Draft, comments: &[String]) -> Result<Imported, Problems> {
        let (yaml, origins) = draft::write(draft, comments);
        let moved = |problem: &Problem| {
            let line = problem.place.line.checked_sub(1).and_then(|it| origins.get(it));
            Problem { place: line.copied().unwrap_or_default(), ..problem.clone() }
        };
        let beside = Beside { environment: self.environment, files: self.files };
        match crate::read_beside(self.name, &yaml, &beside) {
            Ok(_) if !self.findings.errors.is_empty() => Err(self.problems()),
            Ok(read) => {
                let warnings = read.warnings.list().iter().map(moved);
                let warnings = warnings.chain(self.findings.warnings).collect();
                self.left_out.sort();
                self.left_out.dedup();
                Ok(Imported {
                    application: read.application,
                    yaml,
                    scenario: None,
                    warnings: Problems::new(self.name, &self.text, warnings, 0),
                    left_out: self.left_out,
                })
            }
            Err(problems) => {
                // What was refused already left a hole, which need not be reported as well.
                let known: BTreeSet<_> =
                    self.findings.errors.iter().map(|it| it.place.line).collect();
                let found = problems.list().iter().map(moved);
                let new = found.filter(|it| !known.contains(&it.place.line));
                self.findings.errors.extend(new.collect::<Vec<_>>());
                Err(self.problems())
            }
        }
    }

    fn problems(self) -> Problems {
        let Findings { errors, warnings, dropped } = self.findings;
        let all = errors.into_iter().chain(warnings).collect();
        Problems::new(self.name, &self.text, all, dropped)
    }
}

/// A name as close to `written` as our alphabet allows, or `otherwise`.
pub(crate) fn name_like(written: &str, otherwise: &str) -> String {
    let letters = |it: char| if it.is_ascii_alphanumeric() || it == '_' { it } else { '-' };
    let name: String = written.chars().map(letters).take(model::name::NAME_BYTES_MAX).collect();
    let name = name.trim_matches(['-', '_']);
    if name.is_empty() { otherwise.to_owned() } else { name.to_owned() }
}

/// A text that reads as itself where `${..}` has a meaning.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}
