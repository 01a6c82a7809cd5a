//! Changes one value in a file's text, before it is read: what `--set services.cart.replicas=3` does.
//!
//! The text is changed and not what was read from it, so that a changed file is read as any other is, every mistake has
//! its line, and nobody has to say twice what may stand where. What an anchor shares changes for all that share it.

use crate::problem::Findings;
use crate::yaml::{self, Entry, Node, Value};

/// Why a value cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The text cannot be read.
    #[error("the file is no YAML; correct it first")]
    NotYaml,
    /// The value cannot be read.
    #[error("`{0}` is no YAML value; quote it, as in '\"{0}\"'")]
    Value(String),
    /// The path leads through something that has no parts.
    #[error("`{0}` has no parts; set it as a whole")]
    NoParts(String),
    /// The path leads to an item that is not there.
    #[error("`{path}` has no item `{item}`; its items are numbered from 0 on")]
    NoItem {
        /// The list.
        path: String,
        /// What was asked for.
        item: String,
    },
    /// What stands there has lines of its own.
    #[error("`{0}` is written over several lines; set its parts one by one")]
    SeveralLines(String),
    /// Nothing is named.
    #[error("nothing is named; write for example `services.cart.replicas=3`")]
    Nothing,
}

/// The text with `value` at a dotted path, which is added where it is not there yet. A key with dots in it is found as it is
/// written; an item of a list by its number.
pub fn set(text: &str, path: &str, value: &str) -> Result<String, SetError> {
    if path.split('.').any(str::is_empty) {
        return Err(SetError::Nothing);
    }
    let root = parse(text).ok_or(SetError::NotYaml)?;
    let wrong = || SetError::Value(value.to_owned());
    let wanted = parse(&format!("value: {value}\n")).ok_or_else(wrong)?;
    let wanted = wanted.get("value").ok_or_else(wrong)?;
    let edit = find(text, &root, path)?;
    let mut changed = text.to_owned();
    let replacement = edit.replacement(value);
    changed.replace_range(edit.from..edit.to, &replacement);
    // What is written in an unusual way (an alias, a merge key) may stand elsewhere than it seems.
    let is_set = parse(&changed).is_some_and(|it| at(&it, path).is_some_and(|it| same(it, wanted)));
    if is_set { Ok(changed) } else { Err(SetError::SeveralLines(path.to_owned())) }
}

/// Whether something stands at a dotted path.
pub fn has(text: &str, path: &str) -> bool {
    parse(text).is_some_and(|it| at(&it, path).is_some())
}

fn parse(text: &str) -> Option<Node> {
    let mut findings = Findings::default();
    let root = yaml::parse(text, &mut findings);
    root.filter(|_| findings.errors.is_empty())
}

/// Whether two trees say the same, wherever they stand.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Map(a), Value::Map(b)) => {
            let entries = || a.iter().zip(b);
            a.len() == b.len() && entries().all(|(a, b)| a.key == b.key && same(&a.node, &b.node))
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}

/// What stands at a path.
fn at<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    let (below, rest) = match &node.value {
        Value::Map(entries) => {
            let (entry, rest) = entry(entries, path)?;
            (&entry.node, rest)
        }
        Value::List(items) => {
            let (number, rest) = first(path);
            (items.get(number.parse::<usize>().ok()?)?, rest)
        }
        _ => return None,
    };
    rest.map_or(Some(below), |rest| at(below, rest))
}

/// The first part of a path and the rest.
fn first(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

/// The entry a path leads through, and the rest of the path: the one with the longest key, since keys may have dots.
fn entry<'a, 'p>(entries: &'a [Entry], path: &'p str) -> Option<(&'a Entry, Option<&'p str>)> {
    let through = |it: &'a Entry| {
        let rest = path.strip_prefix(it.key.as_str())?;
        if rest.is_empty() { Some((it, None)) } else { Some((it, Some(rest.strip_prefix('.')?))) }
    };
    entries.iter().filter_map(through).max_by_key(|it| it.0.key.len())
}

/// A part of a text to be replaced.
#[derive(Debug)]
struct Edit<'a> {
    from: usize,
    to: usize,
    before: String,
    /// Keys that are missing on the way to the value.
    missing: Option<&'a str>,
    after: String,
}

impl Edit<'_> {
    fn replacement(&self, value: &str) -> String {
        let keys: Vec<&str> = self.missing.into_iter().flat_map(|it| it.split('.')).collect();
        let opening = keys.join(": {");
        let colon = if keys.is_empty() { "" } else { ": " };
        let closing = "}".repeat(keys.len().saturating_sub(1));
        format!("{}{opening}{colon}{value}{closing}{}", self.before, self.after)
    }
}

/// Where a value belongs.
fn find<'p>(text: &str, root: &Node, path: &'p str) -> Result<Edit<'p>, SetError> {
    let (mut node, mut rest, mut key_end) = (root, path, 0);
    loop {
        let passed = path.get(..path.len() - rest.len()).unwrap_or_default().trim_end_matches('.');
        let next = match &node.value {
            Value::Map(entries) => {
                let Some((entry, next)) = entry(entries, rest) else {
                    return Ok(insertion(text, node, rest));
                };
                key_end = entry.place.offset + entry.place.length;
                node = &entry.node;
                next
            }
            Value::List(items) => {
                let (number, next) = first(rest);
                let item = number.parse::<usize>().ok().and_then(|it| items.get(it));
                let missing =
                    || SetError::NoItem { path: passed.to_owned(), item: number.to_owned() };
                node = item.ok_or_else(missing)?;
                next
            }
            Value::Null => return Ok(in_place_of_nothing(text, key_end, rest)),
            _ => return Err(SetError::NoParts(passed.to_owned())),
        };
        match next {
            Some(next) => rest = next,
            None if node.is_null() && node.raw.is_empty() => {
                let after_colon = after_colon(text, key_end);
                return Ok(replacing(after_colon, after_colon, " "));
            }
            None => {
                let end = end(text, node).ok_or_else(|| SetError::SeveralLines(path.to_owned()))?;
                return Ok(replacing(node.place.offset, end, ""));
            }
        }
    }
}

fn replacing(from: usize, to: usize, before: &str) -> Edit<'static> {
    Edit { from, to, before: before.to_owned(), missing: None, after: String::new() }
}

/// A mapping where a key has nothing yet, or where the whole text has nothing.
fn in_place_of_nothing<'p>(text: &str, key_end: usize, missing: &'p str) -> Edit<'p> {
    if key_end == 0 {
        let end = text.len();
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Edit {
            from: end,
            to: end,
            before: gap.to_owned(),
            missing: Some(missing),
            after: "\n".to_owned(),
        };
    }
    let at = after_colon(text, key_end);
    Edit {
        from: at,
        to: at,
        before: " {".to_owned(),
        missing: Some(missing),
        after: "}".to_owned(),
    }
}

/// The place behind the colon of a key.
fn after_colon(text: &str, key_end: usize) -> usize {
    let rest = text.get(key_end..).unwrap_or_default();
    key_end + rest.find(':').map_or(0, |it| it + 1)
}

/// A new entry, before the first of a mapping.
fn insertion<'p>(text: &str, node: &Node, missing: &'p str) -> Edit<'p> {
    let place = node.entries().first().map(|it| it.place);
    let is_flow = text.get(node.place.offset..).is_some_and(|it| it.starts_with('{'));
    let (from, after) = match place {
        Some(it) if is_flow => (it.offset, ", ".to_owned()),
        Some(it) => (it.offset, format!("\n{}", " ".repeat(it.column.saturating_sub(1)))),
        None => (node.place.offset + 1, String::new()),
    };
    Edit { from, to: from, before: String::new(), missing: Some(missing), after }
}

/// The end of what a node is written as; none if it has several lines.
fn end(text: &str, node: &Node) -> Option<usize> {
    let from = node.place.offset;
    let line = text.get(from..)?.lines().next()?;
    if node.is_scalar() {
        let written = line.get(..node.place.length)?;
        let is_quoted = written.starts_with(['"', '\'']) && 1 < written.len();
        let is_whole = written == node.raw || is_quoted && written.ends_with(['"', '\'']);
        return is_whole.then_some(from + node.place.length);
    }
    line.starts_with(['{', '[']).then(|| closing(line)).flatten().map(|it| from + it)
}

/// The end of the bracket that a line begins with.
fn closing(line: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (Some(open), it) if it == open => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, change: &str, expected: &str) {
        let (path, value) = change.split_once('=').unwrap();
        assert_eq!(set(text, path, value).as_deref(), Ok(expected));
        assert!(has(expected, path));
    }

    #[test]
    fn what_is_there_is_replaced() {
        check("a: 1 # why\nb: 2\n", "a=3", "a: 3 # why\nb: 2\n");
        check("a: {b: 1, c: \"x, y\"}\n", "a.c=z", "a: {b: 1, c: z}\n");
        check("a: {p50: 4ms, p99: '}'} # why\n", "a={mean: 1ms}", "a: {mean: 1ms} # why\n");
        check("a:\n  - b: 1\n  - b: 2\n", "a.1.b=3", "a:\n  - b: 1\n  - b: 3\n");
        check("grüße: ä\na: ö\n", "a=ü", "grüße: ä\na: ü\n");
    }

    #[test]
    fn what_is_not_there_is_added() {
        check("a:\n  b: 1\n", "a.c=2", "a:\n  c: 2\n  b: 1\n");
        check("a: {b: 1}\n", "a.c.d=2", "a: {c: {d: 2}, b: 1}\n");
        check("a: {}\n", "a.b=2", "a: {b: 2}\n");
        check("a:\nb: 1\n", "a.c=2", "a: {c: 2}\nb: 1\n");
        check("a:\nb: 1\n", "a=2", "a: 2\nb: 1\n");
        check("a:\n  - b: 1\n", "a.0.c=2", "a:\n  - c: 2\n    b: 1\n");
        check("", "a.b=1", "a: {b: 1}\n");
        check("# nothing", "a=1", "# nothing\na: 1\n");
    }

    #[test]
    fn keys_may_have_dots() {
        let text = "config:\n  checkout.max_items: 50\n  checkout: {max_items: 1}\n";
        let expected = "config:\n  checkout.max_items: 9\n  checkout: {max_items: 1}\n";
        check(text, "config.checkout.max_items=9", expected);
    }

    #[test]
    fn what_cannot_be_set_says_what_to_do() {
        let check = |text: &str, path: &str, value: &str, expected: &str| {
            assert_eq!(set(text, path, value).unwrap_err().to_string(), expected);
        };
        check("a: 1\n", "a.b", "2", "`a` has no parts; set it as a whole");
        check("a: [x]\n", "a.x", "2", "`a` has no item `x`; its items are numbered from 0 on");
        check(
            "a:\n  b: 1\n",
            "a",
            "2",
            "`a` is written over several lines; set its parts one by one",
        );
        check(
            "a: |\n  b\n",
            "a",
            "2",
            "`a` is written over several lines; set its parts one by one",
        );
        check("a: [\n", "a", "2", "the file is no YAML; correct it first");
        check("a: 1\n", "a", "{", "`{` is no YAML value; quote it, as in '\"{\"'");
        check("a: 1\n", "", "2", "nothing is named; write for example `services.cart.replicas=3`");
    }

    proptest! {
        #[test]
        fn nothing_else_changes(
            keys in prop::collection::btree_set("[a-c]{1,2}", 1..5),
            path in "[a-d]{1,2}(\\.[a-d]{1,2}){0,2}",
            value in 0_u32..100,
        ) {
            let lines: Vec<String> = keys.iter().map(|it| format!("{it}: {{x: 1, aa: 2}}\n")).collect();
            let text = lines.concat();
            if let Ok(changed) = set(&text, &path, &value.to_string()) {
                let (before, after) = (parse(&text).unwrap(), parse(&changed).unwrap());
                prop_assert_eq!(&at(&after, &path).unwrap().raw, &value.to_string());
                let (touched, _) = first(&path);
                for entry in before.entries().iter().filter(|it| it.key != touched) {
                    prop_assert!(after.get(&entry.key).is_some_and(|it| same(it, &entry.node)));
                }
            }
        }
    }
}
