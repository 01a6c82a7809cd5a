//! A Compose file with all that belongs to it: its documents, the override beside it, what it includes and what its
//! services extend, merged as Compose merges them (Compose specification, chapters 13 and 14).

use std::collections::BTreeSet;

use super::merge::{merged, settled};
use crate::beside::Files;
use crate::problem::{Findings, Place};
use crate::yaml::{Entry, Node, Value, parse_compose};

/// Files that one may lead to; applications have a handful.
const FILES_MAX: usize = 50;
/// Services that extend one another in a row.
const EXTENDS_MAX: usize = 20;

/// Reads a file and what belongs to it; nothing if it is no YAML.
pub(super) fn load(
    name: &str,
    text: &str,
    files: &dyn Files,
    findings: &mut Findings,
) -> Option<Node> {
    let mut loader = Loader { files, findings, opened: 0 };
    let documents = parse_compose(text, loader.findings)?;
    let mut root = loader.resolved(documents, "")?;
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if let Some(stem) = ["compose.", "docker-compose."].iter().find_map(|it| {
        let rest = file.strip_prefix(it)?;
        ["yaml", "yml"].contains(&rest).then_some(*it)
    }) {
        for ending in ["yaml", "yml"] {
            let name = format!("{stem}override.{ending}");
            if let Some(over) = loader.documents(&name, Place::START, Missing::IsRight) {
                let over = loader.resolved(over, "")?;
                root = merged(root, over, &[]);
            }
        }
    }
    Some(settled(root))
}

/// Whether a file that is not there is a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    IsRight,
    IsWrong,
}

struct Loader<'a> {
    files: &'a dyn Files,
    findings: &'a mut Findings,
    opened: usize,
}

impl Loader<'_> {
    /// The documents of another file; everything in them stands at `place`, where the file is named.
    fn documents(&mut self, name: &str, place: Place, missing: Missing) -> Option<Vec<Node>> {
        let text = match self.files.text(name) {
            Ok(Some(text)) => text,
            Ok(None) => {
                if missing == Missing::IsWrong {
                    self.findings.error(place, format!("the file `{name}` is not there; add it"));
                }
                return None;
            }
            Err(message) => {
                self.findings.error(place, format!("`{name}` cannot be read: {message}"));
                return None;
            }
        };
        self.opened += 1;
        if FILES_MAX < self.opened {
            let message = format!("more than {FILES_MAX} files belong together here");
            self.findings.error(place, message);
            return None;
        }
        let mut own = Findings::default();
        let documents = parse_compose(&text, &mut own);
        for it in own.errors {
            self.findings.error(place, format!("{name}:{}: {}", it.place.line, it.message));
        }
        Some(documents?.into_iter().map(|it| placed(it, place)).collect())
    }

    /// Documents as one, with what they include and extend. `folder` is where the file is, seen from the first one.
    fn resolved(&mut self, documents: Vec<Node>, folder: &str) -> Option<Node> {
        let mut root = one(documents, folder)?;
        let includes = taken(&mut root, "include");
        for item in includes.iter().flat_map(|it| it.items().iter()) {
            root = self.include(root, item, folder);
        }
        self.extend(&mut root, folder);
        Some(root)
    }

    fn include(&mut self, root: Node, item: &Node, folder: &str) -> Node {
        let paths = item.get("path").unwrap_or(item);
        let paths: Vec<&Node> = match &paths.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![paths],
        };
        let mut documents = Vec::new();
        let mut beside = String::new();
        for path in paths {
            let name = joined(folder, &path.raw);
            if beside.is_empty() {
                beside = name.rsplit_once('/').map(|it| it.0.to_owned()).unwrap_or_default();
            }
            documents
                .extend(self.documents(&name, item.place, Missing::IsWrong).unwrap_or_default());
        }
        for key in ["env_file", "project_directory"] {
            if let Some(node) = item.get(key) {
                let message = format!("`{key}` of an `include` is not followed here");
                self.findings.warn(node.place, message);
            }
        }
        match self.resolved(documents, &beside) {
            // What stands in the file that includes wins.
            Some(included) => merged(included, root, &[]),
            None => root,
        }
    }

    fn extend(&mut self, root: &mut Node, folder: &str) {
        let Some(services) = root.get("services").cloned() else { return };
        let mut done = services.clone();
        if let Value::Map(entries) = &mut done.value {
            for entry in entries {
                let mut seen = BTreeSet::new();
                entry.node = self.extended(&entry.node, &services, folder, &mut seen);
            }
        }
        set(root, "services", done);
    }

    /// A service with what it extends below it.
    fn extended(
        &mut self,
        service: &Node,
        services: &Node,
        folder: &str,
        seen: &mut BTreeSet<String>,
    ) -> Node {
        let mut own = service.clone();
        let Some(extends) = taken(&mut own, "extends") else { return own };
        let name = extends.get("service").unwrap_or(&extends).raw.clone();
        let file = extends.get("file").map(|it| joined(folder, &it.raw));
        let key = format!("{}:{name}", file.as_deref().unwrap_or_default());
        if EXTENDS_MAX < seen.len() || !seen.insert(key) {
            let message = format!("`{name}` is extended in a circle; remove one `extends`");
            self.findings.error(extends.place, message);
            return own;
        }
        let base = match &file {
            None => services
                .get(&name)
                .cloned()
                .map(|base| self.extended(&base, services, folder, seen)),
            Some(file) => self.documents(file, extends.place, Missing::IsWrong).and_then(|it| {
                let beside = file.rsplit_once('/').map(|it| it.0).unwrap_or_default();
                let services = one(it, beside)?.get("services")?.clone();
                let base = services.get(&name)?.clone();
                Some(self.extended(&base, &services, beside, seen))
            }),
        };
        let Some(base) = base else {
            let message = format!("there is no service `{name}` to extend");
            self.findings.error(extends.place, message);
            return own;
        };
        merged(base, own, &["services", ""])
    }
}

/// Documents as one, with its paths as they are seen from the first file; `folder` is where these are.
fn one(documents: Vec<Node>, folder: &str) -> Option<Node> {
    let mut root = documents.into_iter().reduce(|base, over| merged(base, over, &[]))?;
    if !folder.is_empty() {
        anchor(&mut root, folder);
    }
    Some(root)
}

/// The value of a key, which is taken out.
fn taken(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|it| it.key == key)?;
    Some(entries.remove(at).node)
}

fn set(node: &mut Node, key: &str, value: Node) {
    let Value::Map(entries) = &mut node.value else { return };
    if let Some(entry) = entries.iter_mut().find(|it| it.key == key) {
        entry.node = value;
    }
}

/// Everything as if it stood at one place.
fn placed(node: Node, place: Place) -> Node {
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(|it| placed(it, place)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|it| Entry { place, node: placed(it.node, place), ..it })
                .collect(),
        ),
        scalar => scalar,
    };
    Node { place, value, ..node }
}

/// Paths of a file in another folder, as they are seen from here.
fn anchor(root: &mut Node, folder: &str) {
    let Value::Map(top) = &mut root.value else { return };
    let Some(services) = top.iter_mut().find(|it| it.key == "services") else { return };
    let Value::Map(services) = &mut services.node.value else { return };
    for service in services {
        let Value::Map(keys) = &mut service.node.value else { continue };
        for Entry { key, node, .. } in keys {
            match key.as_str() {
                "build" if node.is_scalar() => node.raw = joined(folder, &node.raw),
                "build" => anchor_key(node, "context", folder),
                "env_file" => anchor_files(node, folder),
                _ => {}
            }
        }
    }
}

fn anchor_key(node: &mut Node, key: &str, folder: &str) {
    let Value::Map(entries) = &mut node.value else { return };
    for entry in entries.iter_mut().filter(|it| it.key == key) {
        entry.node.raw = joined(folder, &entry.node.raw);
    }
}

fn anchor_files(node: &mut Node, folder: &str) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                anchor_files(item, folder);
            }
        }
        Value::Map(_) => anchor_key(node, "path", folder),
        _ => node.raw = joined(folder, &node.raw),
    }
}

fn joined(folder: &str, path: &str) -> String {
    if folder.is_empty() || path.starts_with('/') || path.contains("://") {
        return path.to_owned();
    }
    format!("{folder}/{}", path.strip_prefix("./").unwrap_or(path))
}
