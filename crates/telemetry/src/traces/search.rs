//! What is asked of traces, and what is said of one in a list.
//!
//! A trace is found if one of its spans is all that is asked: of the service, with the operation, as slow, with the
//! tags. A trace with a slow span and a failed one elsewhere is not one with a slow failed span. Services and operations are
//! compared without regard to case, since Zipkin's clients send them in lower case whatever they are. It refuses to go on
//! for ever: a search that had to read too much says that it did not read all.

use std::collections::BTreeMap;

use crate::traces::block::{event_hash, remote_hash};
use crate::traces::borrowed::Borrowed;
use crate::traces::filter::{hash_pair, hash_text};
use crate::traces::span::Span;
use crate::traces::tree;

/// Traces in one answer. Pages of this size are read by nobody, programs among them.
pub const LIMIT_MAX: usize = 10_000;

/// Something a span must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// A tag with this key and value.
    Tag(String, String),
    /// A tag with this key, or an event with this text.
    Word(String),
    /// This text somewhere in its names, its tags or its events, whatever the case.
    Text(String),
}

impl Term {
    /// Reads terms as Zipkin writes them: `error and http.method=GET`.
    pub fn read_all(text: &str) -> Vec<Self> {
        let terms = text.split(" and ").map(str::trim).filter(|it| !it.is_empty());
        let term = |text: &str| match text.split_once('=') {
            Some((key, value)) => Self::Tag(key.trim().to_owned(), value.trim().to_owned()),
            None => Self::Word(text.to_owned()),
        };
        terms.map(term).collect()
    }
}

/// What is asked. Nothing is asked by default but ten traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Spans of this service.
    pub service: Option<String>,
    /// Spans with this operation.
    pub operation: Option<String>,
    /// Spans whose other side is this service.
    pub remote: Option<String>,
    /// What a span must have, all of it.
    pub terms: Vec<Term>,
    /// Spans of at least this many microseconds.
    pub duration_least_us: Option<u64>,
    /// Spans of at most this many microseconds.
    pub duration_most_us: Option<u64>,
    /// Only spans that failed.
    pub errors_only: bool,
    /// Traces that began at this time or later, in microseconds since 1970.
    pub from_us: u64,
    /// Traces that began at this time or before.
    pub until_us: u64,
    /// Traces in the answer, at most: the newest.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            service: None,
            operation: None,
            remote: None,
            terms: Vec::new(),
            duration_least_us: None,
            duration_most_us: None,
            errors_only: false,
            from_us: 0,
            until_us: u64::MAX,
            limit: 10,
        }
    }
}

/// What is said of a trace in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The trace.
    pub trace: u128,
    /// When its first span began, in microseconds since 1970.
    pub start_us: u64,
    /// From its beginning to the end of its last span, in microseconds, after clocks were set right.
    pub duration_us: u64,
    /// The service its root is of.
    pub service: String,
    /// The operation of its root.
    pub operation: String,
    /// Its spans.
    pub spans: usize,
    /// Those that failed.
    pub errors: usize,
    /// Its spans by service.
    pub services: BTreeMap<String, usize>,
}

impl Summary {
    /// What is said of the trace these are the spans of; none if there are none.
    pub fn of(spans: &[Span]) -> Option<Self> {
        let nodes = tree::tree(spans);
        let root = nodes.first().and_then(|it| spans.get(it.span))?;
        let mut services = BTreeMap::new();
        for span in spans {
            *services.entry(span.service.clone()).or_default() += 1;
        }
        let starts_us = nodes.iter().map(|it| it.start_us).filter(|it| *it != 0);
        let end_us = nodes.iter().map(tree::Node::end_us).max().unwrap_or(0);
        Some(Self {
            trace: root.trace,
            start_us: start_us(spans),
            duration_us: end_us.saturating_sub(starts_us.min().unwrap_or(end_us)),
            service: root.service.clone(),
            operation: root.operation.clone(),
            spans: spans.len(),
            errors: spans.iter().filter(|it| it.is_error).count(),
            services,
        })
    }
}

/// When a trace began; spans of which nobody said when they began do not count.
pub(super) fn start_us(spans: &[Span]) -> u64 {
    spans.iter().map(|it| it.start_us).filter(|it| *it != 0).min().unwrap_or(0)
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The traces, newest first, each with its spans.
    pub traces: Vec<(Summary, Vec<Span>)>,
    /// Whether all was read that had to be. If not, there may be older traces, and the question should be
    /// narrower.
    pub is_complete: bool,
}

impl Query {
    /// Whether a span is all that is asked, the time apart.
    pub(super) fn matches(&self, span: &Borrowed<'_>) -> bool {
        self.wants_pair(span.service, span.operation)
            && self.remote.as_ref().is_none_or(|it| it.eq_ignore_ascii_case(span.remote))
            && self.wants_duration(span.duration_us)
            && (!self.errors_only || span.is_error)
            && self.terms.iter().all(|it| has(span, it))
    }

    /// Whether spans of a service and an operation are asked for.
    pub(super) fn wants_pair(&self, service: &str, operation: &str) -> bool {
        self.service.as_ref().is_none_or(|it| it.eq_ignore_ascii_case(service))
            && self.operation.as_ref().is_none_or(|it| it.eq_ignore_ascii_case(operation))
    }

    /// Whether spans of a duration are asked for.
    pub(super) fn wants_duration(&self, duration_us: u64) -> bool {
        self.duration_least_us.is_none_or(|it| it <= duration_us)
            && self.duration_most_us.is_none_or(|it| duration_us <= it)
    }

    /// Hashes of which a block's filter must have one of each pair, if a span in it is all that is asked.
    pub(super) fn hashes(&self) -> Vec<[u64; 2]> {
        let term = |it: &Term| match it {
            Term::Tag(key, value) => Some([hash_pair(hash_text(key), value); 2]),
            Term::Word(word) => Some([hash_text(word), event_hash(word)]),
            Term::Text(_) => None,
        };
        let remote = self.remote.iter().map(|it| [remote_hash(it); 2]);
        self.terms.iter().filter_map(term).chain(remote).collect()
    }

    /// Texts a span must contain somewhere, in lower case.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        self.terms.iter().filter_map(|it| match it {
            Term::Text(text) => Some(text.to_ascii_lowercase()),
            _ => None,
        })
    }

    /// Whether a trace began when it is asked for.
    pub(super) fn wants_start(&self, start_us: u64) -> bool {
        (self.from_us..=self.until_us).contains(&start_us)
    }
}

fn has(span: &Borrowed<'_>, term: &Term) -> bool {
    match term {
        Term::Tag(key, value) => span.tags.iter().any(|it| it.0 == key && it.1 == value),
        Term::Word(word) => {
            span.tags.iter().any(|it| it.0 == word) || span.events.iter().any(|it| it.1 == word)
        }
        Term::Text(text) => {
            let names = [span.service, span.operation, span.remote];
            let tags = span.tags.iter().flat_map(|it| [it.0, it.1]);
            let mut texts = names.into_iter().chain(tags).chain(span.events.iter().map(|it| it.1));
            texts.any(|it| contains(it, text))
        }
    }
}

/// Whether a text contains another, whatever the case of ASCII letters.
fn contains(text: &str, part: &str) -> bool {
    part.is_empty()
        || text.as_bytes().windows(part.len()).any(|it| it.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::span;

    fn ask(change: impl Fn(&mut Query)) -> bool {
        let borrowed = Borrowed {
            service: "Cart",
            operation: "GET /",
            remote: "db",
            duration_us: 500,
            tags: vec![("http.method", "GET"), ("user", "Ann Lee")],
            events: vec![(1, "cache miss")],
            ..Borrowed::default()
        };
        let mut query = Query::default();
        change(&mut query);
        query.matches(&borrowed)
    }

    #[test]
    fn one_span_is_all_that_is_asked() {
        let term = |text: &'static str| move |it: &mut Query| it.terms = Term::read_all(text);
        assert!(ask(|_| ()));
        assert!(ask(|it| it.service = Some("cart".to_owned())));
        assert!(!ask(|it| it.service = Some("cat".to_owned())));
        assert!(!ask(|it| it.operation = Some("GET".to_owned())));
        assert!(ask(|it| it.remote = Some("DB".to_owned())));
        assert!(ask(|it| (it.duration_least_us, it.duration_most_us) = (Some(500), Some(500))));
        assert!(!ask(|it| it.duration_least_us = Some(501)));
        assert!(!ask(|it| it.duration_most_us = Some(499)));
        assert!(!ask(|it| it.errors_only = true));
        assert!(ask(term("http.method=GET and user")));
        assert!(ask(term("cache miss")));
        assert!(!ask(term("http.method=PUT")));
        assert!(!ask(term("user and miss")));
        assert!(ask(|it| it.terms = vec![Term::Text("ann l".to_owned())]));
        assert!(!ask(|it| it.terms = vec![Term::Text("annl".to_owned())]));
    }

    #[test]
    fn a_summary_is_of_the_root() {
        let root = span(1, 1, "web", "/");
        let start_us = root.start_us;
        let child = Span {
            parent: Some(1),
            start_us: start_us + 10,
            is_error: true,
            duration_us: 2_000,
            ..span(1, 2, "cart", "get")
        };
        assert_eq!(
            Summary::of(&[child, root]),
            Some(Summary {
                trace: 1,
                start_us,
                duration_us: 2_010,
                service: "web".to_owned(),
                operation: "/".to_owned(),
                spans: 2,
                errors: 1,
                services: BTreeMap::from([("cart".to_owned(), 1), ("web".to_owned(), 1)]),
            })
        );
        assert_eq!(Summary::of(&[]), None);
    }
}
