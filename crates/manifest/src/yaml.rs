//! YAML as a tree in which everything knows its place.
//!
//! Built from the parser's events rather than through serde, because a mistake must be shown where
//! it was made, and because all of them must be found and not just the first. Refuses what would
//! make a small file large or deep (aliases of aliases, nesting), and more than one document.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use crate::problem::{Findings, Place};

mod scalar;
mod syntax;

pub(crate) use scalar::resolve;

/// Bytes a file may have: a hundred services take about thirty thousand.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Nodes a file may have with every alias written out: the file limit again, counted in short scalars.
pub const NODES_MAX: usize = 100_000;
/// Entries of one mapping or list, in which keys are searched one after another: an application
/// of a thousand services is past what one file is for.
pub const ENTRIES_MAX: usize = 2_000;
/// Documents of one file.
const DOCUMENTS_MAX: usize = 100;
/// Levels of nesting: what people write has about ten.
pub const DEPTH_MAX: usize = 64;

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// A scalar's text as written, without quotes.
    pub(crate) raw: String,
    pub(crate) value: Value,
    /// What becomes of it when files are merged.
    pub(crate) mark: Mark,
}

/// What a tag of Compose says of a value in a file that is laid over another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is merged with what it is laid over.
    #[default]
    None,
    /// `!reset`: it takes away what is there.
    Reset,
    /// `!override`: it replaces what is there.
    Override,
}

/// Whose YAML it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// Ours: one document, and no tags but those of YAML.
    Ours,
    /// Compose's: several documents, and tags that say how they are merged.
    Compose,
}

/// The kinds of YAML's core schema (YAML 1.2.2, chapter 10.3).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// The text is in [`Node::raw`].
    Text,
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw && self.value == other.value
    }
}

/// A key and what follows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    pub(crate) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|it| it.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|it| &it.node)
    }

    pub(crate) const fn is_scalar(&self) -> bool {
        !matches!(self.value, Value::List(_) | Value::Map(_))
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    fn count(&self) -> usize {
        let below: usize = match &self.value {
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|it| it.node.count()).sum(),
            _ => 0,
        };
        below + 1
    }
}

/// A position in a tree, and the closest place there is if nothing stands there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) node: Option<&'a Node>,
    pub(crate) place: Place,
}

impl<'a> At<'a> {
    pub(crate) const fn root(node: &'a Node) -> Self {
        Self { node: Some(node), place: node.place }
    }

    /// What follows `key`: its own place if it is a scalar, else the key's.
    pub(crate) fn key(self, key: &str) -> Self {
        match self.node.and_then(|it| it.entry(key)) {
            Some(Entry { place, node, .. }) => Self {
                node: Some(node),
                place: if node.is_scalar() && !node.is_null() { node.place } else { *place },
            },
            None => Self { node: None, ..self },
        }
    }

    /// The key itself, or an item of a list that is that text.
    pub(crate) fn named(self, name: &str) -> Place {
        let item = || self.items().find(|it| it.node.is_some_and(|it| it.raw == name));
        match self.node.and_then(|it| it.entry(name)) {
            Some(entry) => entry.place,
            None => item().map_or(self.place, |it| it.place),
        }
    }

    pub(crate) fn item(self, index: usize) -> Self {
        let item = self.node.and_then(|it| it.items().get(index));
        item.map_or(Self { node: None, ..self }, Self::root)
    }

    pub(crate) fn items(self) -> impl Iterator<Item = Self> {
        self.node.into_iter().flat_map(Node::items).map(Self::root)
    }

    pub(crate) fn keys(self) -> impl Iterator<Item = &'a str> {
        self.node.into_iter().flat_map(Node::entries).map(|it| it.key.as_str())
    }

    /// Whether something is written under `key`, be it right or wrong.
    pub(crate) fn has(self, key: &str) -> bool {
        self.node.is_some_and(|it| it.entry(key).is_some())
    }
}

/// Reads one document. What is wrong is added to `findings`; what could be read is returned, with
/// nothing in it if the text is no YAML at all.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    parse_as(Dialect::Ours, text, findings)?.pop()
}

/// Reads the documents of a Compose file.
pub(crate) fn parse_compose(text: &str, findings: &mut Findings) -> Option<Vec<Node>> {
    let mut strict = Findings::default();
    match parse_as(Dialect::Compose, text, &mut strict) {
        Some(roots) => {
            findings.errors.append(&mut strict.errors);
            Some(roots)
        }
        // What other readers of YAML take and ours does not is tried once more as if it were written otherwise.
        None => parse_as(Dialect::Compose, &syntax::lenient(text), findings),
    }
}

fn parse_as(dialect: Dialect, text: &str, findings: &mut Findings) -> Option<Vec<Node>> {
    if TEXT_BYTES_MAX < text.len() {
        findings.error(
            Place::START,
            format!("the file has {} bytes, more than {TEXT_BYTES_MAX}; split it", text.len()),
        );
        return None;
    }
    let stripped = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::new(stripped, findings);
    builder.dialect = dialect;
    builder.skipped = text.len() - stripped.len();
    let mut parser = Parser::new_from_str(stripped);
    while let Some(step) = builder.step(&mut parser) {
        if !step {
            return None;
        }
    }
    let mut roots = builder.roots;
    let nothing =
        || Node { place: Place::START, raw: String::new(), value: Value::Null, mark: Mark::None };
    roots.push(builder.root.unwrap_or_else(nothing));
    Some(roots)
}

/// A collection that is still open.
#[derive(Debug)]
struct Open {
    place: Place,
    anchor: usize,
    items: Vec<Node>,
    entries: Option<Vec<Entry>>,
    key: Option<(String, Place)>,
    mark: Mark,
}

#[derive(Debug)]
struct Builder<'a> {
    text: &'a str,
    /// Bytes before the text: a byte order mark.
    skipped: usize,
    /// Byte offsets of the characters, unless each has one byte.
    offsets: Option<Vec<usize>>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    documents: usize,
    dialect: Dialect,
    /// Documents before this one.
    roots: Vec<Node>,
    root: Option<Node>,
    findings: &'a mut Findings,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, findings: &'a mut Findings) -> Self {
        let offsets = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self {
            text,
            skipped: 0,
            offsets,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            documents: 0,
            dialect: Dialect::Ours,
            roots: Vec::new(),
            root: None,
            findings,
        }
    }

    fn offset(&self, marker: Marker) -> usize {
        match &self.offsets {
            None => marker.index().min(self.text.len()),
            Some(offsets) => offsets.get(marker.index()).copied().unwrap_or(self.text.len()),
        }
    }

    /// The place of a span, cut off at the end of its first line.
    fn place(&self, span: Span) -> Place {
        let offset = self.offset(span.start);
        let covered = self.text.get(offset..self.offset(span.end)).unwrap_or_default();
        let length = covered.lines().next().map_or(0, |it| it.trim_end().len());
        let offset = offset + self.skipped;
        Place { line: span.start.line(), column: span.start.col() + 1, offset, length }
    }

    /// Takes one event. Nothing at the end; false when it makes no sense to go on.
    fn step(&mut self, parser: &mut Parser<'_, StrInput<'_>>) -> Option<bool> {
        let (event, span) = match parser.next_event()? {
            Ok(it) => it,
            Err(error) => {
                let place = self.place(Span::empty(*error.marker()));
                self.findings.error(place, syntax::explain(error.info()));
                return Some(false);
            }
        };
        let place = self.place(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                self.roots.extend(self.root.take());
                if DOCUMENTS_MAX < self.documents {
                    self.findings.error(place, format!("more than {DOCUMENTS_MAX} documents"));
                    return Some(false);
                }
                if 1 < self.documents && self.dialect == Dialect::Ours {
                    self.findings.error(
                        place,
                        "a second document begins here; one file is one application: remove the \
                         `---` or put the rest into another file",
                    );
                    return Some(false);
                }
            }
            Event::Scalar(raw, style, anchor, tag) => {
                // No argument, variable, path or header can have one, so none is taken along.
                if raw.contains('\0') {
                    self.findings.error(place, "a NUL cannot stand in a text; remove it");
                }
                let tag = tag.as_deref().map(|it| self.tag(it, place)).unwrap_or_default();
                let value = match style {
                    ScalarStyle::Plain if tag != Tag::Text => resolve(&raw),
                    _ => Value::Text,
                };
                let mark = tag.mark();
                return Some(self.add(Node { place, raw: raw.into_owned(), value, mark }, anchor));
            }
            Event::SequenceStart(anchor, tag) => {
                let mark = self.mark(tag.as_deref(), place);
                return Some(self.begin(place, (anchor, mark), None));
            }
            Event::MappingStart(anchor, tag) => {
                let mark = self.mark(tag.as_deref(), place);
                return Some(self.begin(place, (anchor, mark), Some(Vec::new())));
            }
            Event::SequenceEnd | Event::MappingEnd => return Some(self.end()),
            Event::Alias(anchor) => return Some(self.alias(anchor, place)),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Some(true)
    }

    /// What the tag of a collection says of merging; others mean nothing, as before.
    fn mark(&mut self, tag: Option<&saphyr_parser::Tag>, place: Place) -> Mark {
        match (self.dialect, tag) {
            (Dialect::Compose, Some(tag)) => self.tag(tag, place).mark(),
            _ => Mark::None,
        }
    }

    fn tag(&mut self, tag: &saphyr_parser::Tag, place: Place) -> Tag {
        match tag.suffix.as_str() {
            "reset" if self.dialect == Dialect::Compose => Tag::Mark(Mark::Reset),
            "override" if self.dialect == Dialect::Compose => Tag::Mark(Mark::Override),
            "str" if tag.is_yaml_core_schema() => Tag::Text,
            _ if tag.is_yaml_core_schema() => Tag::Other,
            _ => {
                self.findings
                    .error(place, format!("the tag `{tag}` means nothing here; remove it"));
                Tag::Other
            }
        }
    }

    fn begin(
        &mut self,
        place: Place,
        (anchor, mark): (usize, Mark),
        entries: Option<Vec<Entry>>,
    ) -> bool {
        if DEPTH_MAX <= self.open.len() {
            self.findings.error(place, format!("more than {DEPTH_MAX} levels of nesting"));
            return false;
        }
        self.open.push(Open { place, anchor, items: Vec::new(), entries, key: None, mark });
        true
    }

    fn end(&mut self) -> bool {
        let Some(open) = self.open.pop() else { return true };
        let value = match open.entries {
            Some(entries) => Value::Map(self.merged(entries)),
            None => Value::List(open.items),
        };
        let node = Node { place: open.place, raw: String::new(), value, mark: open.mark };
        self.add(node, open.anchor)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> bool {
        let Some(node) = self.anchors.get(&anchor) else {
            self.findings.error(place, "this alias stands inside of what it refers to");
            return false;
        };
        self.nodes = self.nodes.saturating_add(node.count());
        if NODES_MAX < self.nodes {
            self.too_many(place);
            return false;
        }
        let node = node.clone();
        self.add(node, 0)
    }

    fn too_many(&mut self, place: Place) {
        self.findings
            .error(place, format!("more than {NODES_MAX} values with every alias written out"));
    }

    fn add(&mut self, node: Node, anchor: usize) -> bool {
        self.nodes = self.nodes.saturating_add(1);
        if NODES_MAX < self.nodes {
            self.too_many(node.place);
            return false;
        }
        if anchor != 0 {
            self.nodes = self.nodes.saturating_add(node.count());
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return true;
        };
        if ENTRIES_MAX < open.items.len().max(open.entries.as_ref().map_or(0, Vec::len)) {
            let message =
                format!("more than {ENTRIES_MAX} entries in one mapping or list; split it");
            self.findings.error(open.place, message);
            return false;
        }
        match (&mut open.entries, open.key.take()) {
            (None, _) => open.items.push(node),
            (Some(entries), Some((key, place))) => entries.push(Entry { key, place, node }),
            (Some(_), None) => {
                if !node.is_scalar() {
                    self.findings.error(
                        node.place,
                        "a list or a mapping cannot be a key; quote it if text is meant, as in \
                         \"${PORT}\"",
                    );
                }
                open.key = Some((node.raw, node.place));
            }
        }
        true
    }

    /// The entries without duplicates, and with what `<<` brings in.
    fn merged(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut seen = BTreeMap::new();
        let mut kept = Vec::new();
        let mut merges = Vec::new();
        for entry in entries {
            if entry.key == "<<" {
                merges.push(entry);
            } else if let Some(line) = seen.get(&entry.key) {
                let Entry { key, place, .. } = &entry;
                let message = format!("the key `{key}` stands at line {line} already; remove one");
                self.findings.error(*place, message);
            } else {
                seen.insert(entry.key.clone(), entry.place.line);
                kept.push(entry);
            }
        }
        for Entry { place, node, .. } in merges {
            let sources = if let Value::List(items) = node.value { items } else { vec![node] };
            for source in sources {
                let Value::Map(entries) = source.value else {
                    self.findings.error(place, "`<<` takes a mapping, as in `<<: *common`");
                    continue;
                };
                for entry in entries {
                    if seen.insert(entry.key.clone(), entry.place.line).is_none() {
                        kept.push(entry);
                    }
                }
            }
        }
        kept
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tag {
    #[default]
    Other,
    Text,
    Mark(Mark),
}

impl Tag {
    const fn mark(self) -> Mark {
        match self {
            Self::Mark(mark) => mark,
            Self::Other | Self::Text => Mark::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut findings = Findings::default();
        let node = parse(text, &mut findings);
        let line = |it: crate::problem::Problem| {
            format!("{}:{}: {}", it.place.line, it.place.column, it.message)
        };
        (node, findings.errors.into_iter().map(line).collect())
    }

    #[track_caller]
    fn check(text: &str, errors: &[&str]) {
        assert_eq!(read(text).1, errors);
    }

    #[test]
    fn places_count_bytes_and_characters() {
        let text = "grüße: [ä, ö]\nb: \"x\"\n";
        let node = read(text).0.unwrap();
        let at = At::root(&node);
        let item = at.key("grüße").item(1);
        assert_eq!(item.place, Place { line: 1, column: 12, offset: 14, length: 2 });
        assert_eq!(at.key("b").place, Place { line: 2, column: 4, offset: 21, length: 3 });
        assert_eq!(at.key("none").place, at.place);
        let marked = read("\u{feff}a: b").0.unwrap();
        let expected = Place { line: 1, column: 4, offset: 6, length: 1 };
        assert_eq!(At::root(&marked).key("a").place, expected);
    }

    #[test]
    fn anchors_and_merge_keys() {
        let text = "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4}]}\n";
        let (node, errors) = read(text);
        assert_eq!(errors, [""; 0]);
        let node = node.unwrap();
        let keys = |key: &str| -> Vec<_> {
            let entries = node.get(key).unwrap().entries();
            entries.iter().map(|it| format!("{}{}", it.key, it.node.raw)).collect()
        };
        assert_eq!(keys("y"), ["b3", "a1"]);
        assert_eq!(keys("z"), ["a1", "b2", "c4"]);
    }

    #[test]
    fn duplicates_and_second_documents() {
        check("a: 1\nb: 2\na: 3\n", &["3:1: the key `a` stands at line 1 already; remove one"]);
        check(
            "a: 1\n---\nb: 2\n",
            &["2:1: a second document begins here; one file is one application: remove the `---` \
               or put the rest into another file"],
        );
        check("a: &a [*a]\n", &["1:8: this alias stands inside of what it refers to"]);
        check("a: !secret b\n", &["1:4: the tag `!secret` means nothing here; remove it"]);
    }

    #[test]
    fn small_files_do_not_grow_large() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            let items = [before.as_str(); 10].join(", ");
            text = format!("{text}a{level}: &a{level} [{items}]\n");
        }
        let errors = read(&text).1;
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("more than 100000 values"), "{errors:?}");
        assert!(read(&"[".repeat(100)).1[0].contains("more than 64 levels"));
        assert!(read(&"- ".repeat(100)).1[0].contains("more than 64 levels"));
        assert!(read(&"- x\n".repeat(2_010)).1[0].contains("more than 2000 entries"));
        assert!(read(&"x".repeat(TEXT_BYTES_MAX + 1)).1[0].contains("split it"));
    }

    #[test]
    fn tabs_and_colons() {
        check(
            "a:\n\tb: 1\n",
            &["2:2: not YAML: a tab stands where only spaces may indent; replace it with spaces"],
        );
        check(
            "a: b: c\n",
            &["1:5: not YAML: a `:` cannot stand here; quote the text if it is part of it, else \
               look at the indentation, and for a `:` missing in the line before"],
        );
    }
}
