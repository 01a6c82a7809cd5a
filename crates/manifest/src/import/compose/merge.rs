//! One Compose file laid over another (Compose specification, chapter 13): mappings key by key, lists one after the
//! other, commands and scalars replaced, and what `!reset` and `!override` say.

use crate::yaml::{Entry, Mark, Node, Value};

/// Lists of `NAME=value` that may be mappings as well.
const BY_NAME: [&str; 6] =
    ["environment", "labels", "args", "extra_hosts", "sysctls", "annotations"];
/// Lists of names that may be mappings as well.
const OF_NAMES: [&str; 2] = ["depends_on", "networks"];
/// What is replaced as a whole.
const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];

/// `over` laid over `base`; `path` is the keys that lead there.
pub(super) fn merged(base: Node, over: Node, path: &[&str]) -> Node {
    let key = path.last().copied().unwrap_or_default();
    if over.mark == Mark::Override || WHOLE.contains(&key) {
        return Node { mark: Mark::None, ..over };
    }
    if over.is_null() && over.mark == Mark::None {
        return base;
    }
    let (base, over) = (alike(base, key), alike(over, key));
    match (base.value, over.value) {
        (Value::Map(base_entries), Value::Map(over_entries)) => {
            let mut entries = base_entries;
            for entry in over_entries {
                lay(&mut entries, entry, path);
            }
            Node { value: Value::Map(entries), ..over }
        }
        (Value::List(mut items), Value::List(more)) => {
            let new: Vec<Node> = more.into_iter().filter(|it| !items.contains(it)).collect();
            items.extend(new);
            Node { value: Value::List(items), ..over }
        }
        (_, value) => Node { value, ..over },
    }
}

fn lay(entries: &mut Vec<Entry>, over: Entry, path: &[&str]) {
    let found = entries.iter().position(|it| it.key == over.key);
    let Some(at) = found else {
        entries.push(over);
        return;
    };
    if over.node.mark == Mark::Reset {
        entries.remove(at);
        return;
    }
    let below: Vec<&str> = path.iter().copied().chain([over.key.as_str()]).collect();
    let Some(entry) = entries.get_mut(at) else { return };
    let nothing =
        Node { place: over.place, raw: String::new(), value: Value::Null, mark: Mark::None };
    let base = std::mem::replace(&mut entry.node, nothing);
    entry.node = merged(base, over.node.clone(), &below);
    entry.place = over.place;
}

/// A list that may be a mapping, as one.
fn alike(node: Node, key: &str) -> Node {
    let Value::List(items) = &node.value else { return node };
    let entry = |item: &Node| {
        let pair = item.raw.split_once('=').filter(|_| BY_NAME.contains(&key));
        let (name, raw, value) = match pair {
            Some((name, text)) => (name, text, Value::Text),
            None => (item.raw.as_str(), "", Value::Null),
        };
        let node = Node { place: item.place, raw: raw.to_owned(), value, mark: Mark::None };
        Entry { key: name.to_owned(), place: item.place, node }
    };
    if !(BY_NAME.contains(&key) || OF_NAMES.contains(&key)) || !items.iter().all(Node::is_scalar) {
        return node;
    }
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let entry = entry(item);
        // The later of two counts.
        entries.retain(|it| it.key != entry.key);
        entries.push(entry);
    }
    Node { value: Value::Map(entries), ..node }
}

/// A tree in which nothing waits to be merged any more.
pub(super) fn settled(node: Node) -> Node {
    let value = match node.value {
        Value::List(items) => {
            let kept = items.into_iter().filter(|it| it.mark != Mark::Reset);
            Value::List(kept.map(settled).collect())
        }
        Value::Map(entries) => {
            let kept = entries.into_iter().filter(|it| it.node.mark != Mark::Reset);
            Value::Map(kept.map(|it| Entry { node: settled(it.node), ..it }).collect())
        }
        scalar => scalar,
    };
    Node { value, mark: Mark::None, ..node }
}
