//! A mapping on one line: its keys and values as words in a row, `at 60s for 30s slow cart by 10`.
//!
//! Made into the same tree as YAML, so that the same schema, the same meaning and the same words of complaint apply.

use crate::problem::{Findings, Place};
use crate::yaml::{Entry, Mark, Node, Value, resolve};

/// Words a line may have: thrice the keys a fault has.
const WORDS_MAX: usize = 100;

/// The tree of `text`, each word at the place that `place` says for its offset and length; nothing if it is no row of keys
/// and values. Values with commas are lists.
pub(crate) fn node(
    text: &str,
    place: impl Fn(usize, usize) -> Place,
    findings: &mut Findings,
) -> Option<Node> {
    let whole = place(0, text.len());
    let words: Vec<(&str, Place)> = words(text)
        .take(WORDS_MAX)
        .map(|(offset, word)| (word, place(offset, word.len())))
        .collect();
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = words.into_iter().peekable();
    while let Some((word, place)) = rest.next() {
        let mut key = word.to_owned();
        // `lose zone b` reads better than the key it stands for.
        if word == "lose"
            && let Some((what, _)) = rest.next_if(|(it, _)| matches!(*it, "zone" | "region"))
        {
            key = format!("lose_{what}");
        }
        let Some((value, at)) = rest.next() else {
            findings.error(place, format!("nothing stands behind `{key}`; write what it is"));
            return None;
        };
        if entries.iter().any(|it| it.key == key) {
            findings.error(place, format!("`{key}` stands there twice; remove one"));
            return None;
        }
        entries.push(Entry { key, place, node: scalar(value, at) });
    }
    if entries.is_empty() {
        let message = "a fault says when and what; write for example `at 60s kill cart`";
        findings.error(whole, message);
        return None;
    }
    Some(Node { place: whole, raw: text.to_owned(), value: Value::Map(entries), mark: Mark::None })
}

/// The words of a line, each with its offset.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    text.split_whitespace().filter_map(move |word| {
        let offset = rest + text.get(rest..)?.find(word)?;
        rest = offset + word.len();
        Some((offset, word))
    })
}

fn scalar(raw: &str, place: Place) -> Node {
    let value = if raw.contains(',') {
        let items = raw.split(',').filter(|it| !it.is_empty());
        Value::List(items.map(|it| scalar(it, place)).collect())
    } else {
        resolve(raw)
    };
    Node { place, raw: raw.to_owned(), value, mark: Mark::None }
}
