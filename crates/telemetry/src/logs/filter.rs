//! What people search for, and whether a record is it.
//!
//! `checkout failed` asks for both words, `"card declined"` for that text wherever it stands, `-debug` for
//! records without it, `status=503` and `status!=200` for a field's value, `/took [0-9]{4}ms/` for a regular
//! expression. Case does not matter to words and phrases. `service`, `instance`, `application`, `stream`,
//! `level`, `severity`, `trace_id` and `span_id` are fields too, whatever the record's own are. The id of a
//! trace alone asks for its records. It refuses what it cannot read, and says where.

mod parse;

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::rows::{Entry, Rows};
use super::token::{self, Need};
use super::{Severity, Source, row};

pub use parse::{CLAUSES_MAX, FILTER_BYTES_MAX, FilterError};

/// Conditions that all must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    clauses: Vec<Clause>,
    /// What every record that fits has.
    needs: Vec<Need>,
}

#[derive(Clone, Debug)]
struct Clause {
    sign: Sign,
    term: Term,
}

/// Whether a record must be so, or must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    With,
    Without,
}

#[derive(Clone, Debug)]
enum Term {
    /// Text in whatever case.
    Literal { finder: Regex, edges: Edges, bytes: usize },
    /// What looks like the id of a trace: that, or text.
    Id { trace: u128, finder: Regex, edges: Edges },
    /// A regular expression, on the text and on each value.
    Regex(Regex),
    /// A field with exactly this value, as it stands in a row.
    Field(Box<Finder<'static>>),
    /// What a record has beside text and fields, or a field of that name.
    Attribute { name: Attribute, value: String, field: Box<Finder<'static>> },
}

/// Which ends of a literal must be ends of words.
#[derive(Clone, Copy, Debug)]
struct Edges {
    start: Edge,
    end: Edge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Word,
    Anywhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Application,
    Service,
    Instance,
    Stream,
    Severity,
    Trace,
    Span,
}

impl Attribute {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "application" => Self::Application,
            "service" => Self::Service,
            "instance" => Self::Instance,
            "stream" => Self::Stream,
            "level" | "severity" => Self::Severity,
            "trace_id" | "trace" => Self::Trace,
            "span_id" | "span" => Self::Span,
            _ => return None,
        })
    }

    fn is(self, value: &str, entry: &Entry, source: &Source) -> bool {
        match self {
            Self::Application => source.application == value,
            Self::Service => source.service == value,
            Self::Instance => source.instance == value,
            Self::Stream => source.stream.as_str() == value,
            Self::Severity => entry.severity.is_some_and(|it| Some(it) == Severity::parse(value)),
            Self::Trace => {
                u128::from_str_radix(value, 16).is_ok_and(|it| same_trace(it, entry.trace))
            }
            Self::Span => entry.span != 0 && u64::from_str_radix(value, 16) == Ok(entry.span),
        }
    }
}

/// Whether two ids name one trace. A short one is the low half of a long one (Zipkin).
pub(super) fn same_trace(asked: u128, held: u128) -> bool {
    let short = u128::from(u64::MAX);
    held != 0 && (asked == held || (asked <= short && asked == held & short))
}

impl Filter {
    /// Reads what people write.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }

    /// Whether every record fits.
    pub const fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// Words that are in every record that fits.
    pub(super) fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// Whether the record with this entry and row fits.
    fn fits(&self, row: &[u8], entry: &Entry, source: &Source) -> bool {
        self.clauses
            .iter()
            .all(|clause| clause.term.is_in(row, entry, source) == (clause.sign == Sign::With))
    }

    /// The numbers of the entries of `rows` among `candidates`, ascending, that fit.
    pub(super) fn matches<'a>(
        &self,
        rows: &Rows,
        candidates: &[usize],
        source: &impl Fn(u32) -> Option<&'a Source>,
    ) -> Vec<usize> {
        let fits = |number: &usize| {
            let entry = rows.entries.get(*number)?;
            self.fits(rows.row(*number), entry, source(entry.source)?).then_some(*number)
        };
        match self.rarest() {
            Some(term) => term.rows_in(rows, candidates).iter().filter_map(fits).collect(),
            None => candidates.iter().filter_map(fits).collect(),
        }
    }

    /// The term that few rows have, as far as its length says, and that can be looked for in all of them at
    /// once.
    fn rarest(&self) -> Option<&Term> {
        let with = self.clauses.iter().filter(|it| it.sign == Sign::With).map(|it| &it.term);
        with.filter(|it| 0 < it.literal_bytes()).max_by_key(|it| it.literal_bytes())
    }
}

impl Term {
    fn literal_bytes(&self) -> usize {
        match self {
            Self::Literal { bytes, .. } => *bytes,
            Self::Field(finder) => finder.needle().len(),
            Self::Id { .. } | Self::Regex(_) | Self::Attribute { .. } => 0,
        }
    }

    fn is_in(&self, row: &[u8], entry: &Entry, source: &Source) -> bool {
        match self {
            Self::Literal { finder, edges, .. } => is_literal_in(row, finder, *edges),
            Self::Id { trace, finder, edges } => {
                same_trace(*trace, entry.trace) || is_literal_in(row, finder, *edges)
            }
            Self::Regex(regex) => {
                regex.is_match(row::text(row).0)
                    || row::fields(row).any(|(_, value)| regex.is_match(value))
            }
            Self::Field(finder) => finder.find(row).is_some(),
            Self::Attribute { name, value, field } => {
                name.is(value, entry, source) || field.find(row).is_some()
            }
        }
    }

    /// The candidates in whose rows the term's bytes are found: one search over all of them.
    fn rows_in(&self, rows: &Rows, candidates: &[usize]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut candidates = candidates.iter().copied().peekable();
        let mut start = 0;
        while let Some(hit) = self.find_from(&rows.bytes, start) {
            let number = rows.entry_at(hit);
            while candidates.next_if(|it| *it < number).is_some() {}
            found.extend(candidates.next_if(|it| *it == number));
            // The next hit that matters is in the next candidate's row.
            let Some(next) = candidates.peek() else { break };
            let end_of = |it: usize| rows.entries.get(it).map_or(0, |it| it.end as usize);
            start = end_of(number).max(next.checked_sub(1).map_or(0, end_of));
        }
        found
    }

    /// Where the term's bytes begin at or after `start`.
    fn find_from(&self, bytes: &[u8], start: usize) -> Option<usize> {
        match self {
            Self::Literal { finder, .. } => Some(finder.find_at(bytes, start)?.start()),
            // What is found begins with the end of the field before.
            Self::Field(finder) => Some(start + finder.find(bytes.get(start..)?)?),
            Self::Id { .. } | Self::Regex(_) | Self::Attribute { .. } => None,
        }
    }
}

fn is_literal_in(row: &[u8], finder: &Regex, edges: Edges) -> bool {
    let mut start = 0;
    while let Some(hit) = finder.find_at(row, start) {
        let before = hit.start().checked_sub(1).and_then(|it| row.get(it));
        let is_edge = |edge, byte: Option<&u8>| {
            edge == Edge::Anywhere || byte.is_none_or(|it| !token::is_in_word(*it))
        };
        if is_edge(edges.start, before) && is_edge(edges.end, row.get(hit.end())) {
            return true;
        }
        start = hit.start() + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::batch::Batch;
    use crate::logs::{Record, Stream};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn source() -> Source {
        Source {
            application: "shop".into(),
            service: "cart".into(),
            instance: "cart.1".into(),
            stream: Stream::Stderr,
        }
    }

    fn record(text: &str, fields: &[(&str, &str)]) -> Record {
        Record {
            at_us: 1,
            source: Arc::new(source()),
            severity: Some(Severity::Error),
            text: text.into(),
            fields: fields.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            trace: Some(0xab << 64 | 0xcd),
            span: Some(0xef),
        }
    }

    /// Which of the records fit, by their numbers; and that a block is not ruled out that has one.
    fn found(filter: &str, records: &[Record]) -> Vec<usize> {
        let filter = Filter::parse(filter).unwrap();
        let mut rows = Rows::default();
        let mut batch = Batch::default();
        for (position, record) in (0..).zip(records) {
            let (entry, row) = batch.put(record, position);
            rows.push(entry, 0, row);
        }
        let source = source();
        let all: Vec<usize> = (0..records.len()).collect();
        let found = filter.matches(&rows, &all, &|_| Some(&source));
        let bloom = rows.bloom(&mut token::WordSet::default());
        let may_have = |word| {
            let start = token::part_of(word, bloom.len());
            let part = bloom.get(start..start + token::PART_BYTES).ok_or(())?;
            Ok(token::may_contain(part, word))
        };
        let may_be_there =
            filter.needs().iter().all(|it| it.may_be_met(may_have) == Ok::<_, ()>(true));
        assert!(may_be_there || found.is_empty());
        found
    }

    #[test]
    fn what_people_write() {
        let records = [
            record("Checkout failed: card declined", &[("status", "503"), ("user.id", "u 7")]),
            record("checkout of 2 items done", &[("status", "200")]),
            record("GET /api/cart-items took 1200ms", &[]),
        ];
        let check = |filter: &str, expected: &[usize]| {
            assert_eq!(found(filter, &records), expected, "{filter}");
        };
        check("", &[0, 1, 2]);
        check("checkout", &[0, 1]);
        check("CHECKOUT failed", &[0]);
        check("check", &[]);
        check("\"check\"", &[0, 1]);
        check("\"failed: card\"", &[0]);
        check("\"AILED: car\"", &[0]);
        check("checkout -done", &[0]);
        check("-checkout", &[2]);
        check("-\"card declined\" checkout", &[1]);
        check("status=503", &[0]);
        check("status=50", &[]);
        check("status!=503", &[1, 2]);
        check("-status=503", &[1, 2]);
        check("user.id=\"u 7\"", &[0]);
        check("u", &[0]);
        check("/took [0-9]{4}ms/", &[2]);
        check("/^Checkout/", &[0]);
        check("/^20.$/", &[1]);
        check("-/items/", &[0]);
        check("/api/cart-items", &[2]);
        check("cart-items", &[2]);
        check("cart-item", &[]);
        check("api/cart", &[2]);
        check("service=cart level=error stream=stderr instance=cart.1", &[0, 1, 2]);
        check("severity=WARN", &[]);
        check("service!=cart", &[]);
        check("trace_id=cd span_id=ef", &[0, 1, 2]);
        check("trace=000000000000000000000000000000ab", &[]);
        check("00000000000000ab00000000000000cd", &[0, 1, 2]);
        check("00000000000000CD took", &[2]);
        check("-00000000000000cd", &[]);
        check("00000000000000ab", &[]);
        check("=", &[]);
        check("2 items", &[1]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let check = |filter: &str, expected: &str| {
            assert_eq!(Filter::parse(filter).unwrap_err().to_string(), expected);
        };
        check("a \"b", "the quote at byte 2 has no end; add one, or write \\\" for the character");
        check("x=\"b", "the quote at byte 2 has no end; add one, or write \\\" for the character");
        check(
            "/(/",
            "/(/ is no regular expression: unclosed group; quote it to look for it as text",
        );
        check(&"a ".repeat(33), "over CLAUSES_MAX (32) conditions; leave some out");
        check(&"a".repeat(5_000), "5000 bytes, over FILTER_BYTES_MAX (4096); shorten it");
        check("\"\" a", "an empty quote at byte 0 finds everything; leave it out");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-a-c/\"=! \\\\]{0,20}") {
            drop(Filter::parse(&text));
        }

        /// A phrase is found in every record that has it, whatever is around it.
        #[test]
        fn phrases_are_found(before in "[a-c. ]{0,6}", phrase in "[a-c.]{1,6}", after in "[a-c. ]{0,6}", others in prop::collection::vec("[a-c. ]{0,9}", 0..5)) {
            let mut texts = others;
            texts.push(format!("{before}{phrase}{after}"));
            let records: Vec<_> = texts.iter().map(|it| record(it, &[])).collect();
            let expected: Vec<usize> =
                (0..texts.len()).filter(|it| texts[*it].contains(&phrase)).collect();
            prop_assert_eq!(found(&format!("\"{phrase}\""), &records), expected);
        }
    }
}
