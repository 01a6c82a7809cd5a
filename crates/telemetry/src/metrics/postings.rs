//! From labels to the series that have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql::{Labels, Matcher, MatcherKind};

/// Where series with a label's value are found, in ascending order of their numbers.
pub(super) trait Postings {
    /// How many series there are; they are numbered from zero.
    fn series(&self) -> u32;

    /// Those with exactly this.
    fn exact(&self, name: &str, value: &str) -> Vec<u32>;

    /// Hands every value of a label to `wanted`, and puts together the series of those it wants.
    fn union(&self, name: &str, wanted: &mut dyn FnMut(&str) -> bool) -> Vec<u32>;
}

/// The series that fit all matchers, ascending.
pub(super) fn fitting(postings: &impl Postings, matchers: &[Matcher]) -> Vec<u32> {
    // What must have a label comes first: it is the shorter list.
    let (without, with): (Vec<_>, Vec<_>) = matchers.iter().partition(|it| it.fits(""));
    let mut lists: Vec<Vec<u32>> = with
        .into_iter()
        .map(|it| match &it.kind {
            MatcherKind::Equal => postings.exact(&it.name, &it.value),
            _ => postings.union(&it.name, &mut |value| it.fits(value)),
        })
        .collect();
    lists.sort_by_key(Vec::len);
    let mut lists = lists.into_iter();
    let mut found = lists.next().unwrap_or_else(|| (0..postings.series()).collect());
    for other in lists {
        found = both(&found, &other);
    }
    for matcher in without {
        if found.is_empty() {
            break;
        }
        let not = postings.union(&matcher.name, &mut |value| !matcher.fits(value));
        found = but(&found, &not);
    }
    found
}

fn both(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut others = other.iter().copied().peekable();
    let is_there = |it: &u32| {
        while others.next_if(|other| other < it).is_some() {}
        others.peek() == Some(it)
    };
    one.iter().copied().filter(is_there).collect()
}

fn but(one: &[u32], not: &[u32]) -> Vec<u32> {
    let mut not = not.iter().copied().peekable();
    let is_not_there = |it: &u32| {
        while not.next_if(|other| other < it).is_some() {}
        not.peek() != Some(it)
    };
    one.iter().copied().filter(is_not_there).collect()
}

/// Ascending and without repetition.
pub(super) fn sorted(mut series: Vec<u32>) -> Vec<u32> {
    if !series.is_sorted_by(|a, b| a < b) {
        series.sort_unstable();
        series.dedup();
    }
    series
}

/// Postings in memory, which grow.
#[derive(Debug, Default)]
pub(super) struct Growing {
    series: u32,
    names: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Vec<u32>>>,
}

impl Growing {
    /// Adds the next series. Its labels come back with the texts that are kept once for all.
    pub(super) fn add(&mut self, labels: &[(&str, &str)]) -> Labels {
        let number = self.series;
        self.series += 1;
        let mut kept = Vec::with_capacity(labels.len());
        for (name, value) in labels {
            let name = match self.names.get_key_value(*name) {
                Some((known, _)) => Arc::clone(known),
                None => Arc::from(*name),
            };
            let values = self.names.entry(Arc::clone(&name)).or_default();
            let value = match values.get_key_value(*value) {
                Some((known, _)) => Arc::clone(known),
                None => Arc::from(*value),
            };
            values.entry(Arc::clone(&value)).or_default().push(number);
            kept.push((name, value));
        }
        Labels::new(kept)
    }

    /// The names, and of each its values and how many series have it.
    pub(super) fn names(
        &self,
    ) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, usize)>)> {
        self.names.iter().map(|(name, values)| {
            (&**name, values.iter().map(|(value, series)| (&**value, series.len())))
        })
    }
}

impl Postings for Growing {
    fn series(&self) -> u32 {
        self.series
    }

    fn exact(&self, name: &str, value: &str) -> Vec<u32> {
        self.names.get(name).and_then(|it| it.get(value)).cloned().unwrap_or_default()
    }

    fn union(&self, name: &str, wanted: &mut dyn FnMut(&str) -> bool) -> Vec<u32> {
        let values = self.names.get(name).into_iter().flatten();
        let found = values.filter(|(value, _)| wanted(value)).flat_map(|(_, series)| series.iter());
        sorted(found.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn regex(kind: fn(Regex) -> MatcherKind, text: &str) -> Matcher {
        let regex = Regex::new(&format!("^(?s:{text})$")).unwrap();
        Matcher { name: "a".to_owned(), kind: kind(regex), value: text.to_owned() }
    }

    fn not(name: &str, value: &str) -> Matcher {
        Matcher { kind: MatcherKind::NotEqual, ..Matcher::equal(name, value) }
    }

    #[test]
    fn matchers_find_series() {
        let mut postings = Growing::default();
        postings.add(&[("a", "1"), ("b", "x")]);
        postings.add(&[("a", "2"), ("b", "x")]);
        postings.add(&[("a", "2")]);
        postings.add(&[("c", "1")]);
        let check = |matchers: &[Matcher], expected: &[u32]| {
            assert_eq!(fitting(&postings, matchers), expected);
            let series = [
                [("a", "1"), ("b", "x")],
                [("a", "2"), ("b", "x")],
                [("a", "2"), ("b", "")],
                [("c", "1"), ("b", "")],
            ];
            let fits = |it: &u32| {
                let labels = Labels::of(series[*it as usize]);
                matchers.iter().all(|matcher| matcher.fits(labels.get(&matcher.name)))
            };
            assert_eq!((0..4).filter(fits).collect::<Vec<_>>(), expected);
        };
        check(&[], &[0, 1, 2, 3]);
        check(&[Matcher::equal("a", "2")], &[1, 2]);
        check(&[Matcher::equal("a", "2"), Matcher::equal("b", "x")], &[1]);
        check(&[Matcher::equal("a", "2"), Matcher::equal("b", "")], &[2]);
        check(&[Matcher::equal("b", "")], &[2, 3]);
        check(&[not("a", "2")], &[0, 3]);
        check(&[not("a", "")], &[0, 1, 2]);
        check(&[regex(MatcherKind::Regex, "1|2"), not("b", "x")], &[2]);
        check(&[regex(MatcherKind::Regex, ".*")], &[0, 1, 2, 3]);
        check(&[regex(MatcherKind::Regex, ".+")], &[0, 1, 2]);
        check(&[regex(MatcherKind::NotRegex, ".+")], &[3]);
        check(&[Matcher::equal("nothing", "1")], &[]);
    }
}
