//! Stores that are filled with anything and asked for anything.

use proptest::prelude::*;

use super::*;
use crate::traces::testing::any_span;

fn any_term() -> impl Strategy<Value = Term> {
    prop_oneof![
        ("[a-d.]{1,2}", "[0-9]{0,1}").prop_map(|(key, value)| Term::Tag(key, value)),
        "[a-d]{1,2}".prop_map(Term::Word),
        "[a-z0-9]{1,2}".prop_map(Term::Text),
    ]
}

fn any_query() -> impl Strategy<Value = Query> {
    let some = prop::option::weighted::<proptest::string::RegexGeneratorStrategy<String>>;
    let text = |it: &str| proptest::string::string_regex(it).unwrap();
    let names =
        (some(0.4, text("[abcABC]")), some(0.3, text("[xyz]{0,2}")), some(0.3, text("[abc]")));
    let duration = prop::option::weighted(0.3, 0_u64..10_000);
    let second = || prop::option::weighted(0.3, 0_u64..5_000_000);
    let terms = prop::collection::vec(any_term(), 0..2);
    let others = (any::<bool>(), any::<bool>(), 1_usize..6);
    (names, (duration.clone(), duration), (second(), second()), terms, others).prop_map(
        |(names, durations, times, terms, others)| Query {
            service: names.0,
            operation: names.1,
            remote: names.2,
            terms,
            duration_least_us: durations.0,
            duration_most_us: durations.1,
            errors_only: others.0 && others.1,
            from_us: times.0.map_or(0, |it| BEGIN_S * 1_000_000 + it),
            until_us: times.1.map_or(u64::MAX, |it| BEGIN_S * 1_000_000 + it),
            limit: others.2,
        },
    )
}

/// What a search has to find among whole traces, by looking at every span.
fn sought(traces: &[Vec<Span>], query: &Query) -> Vec<u128> {
    let is_sought = |spans: &&Vec<Span>| {
        let mut bytes = Vec::new();
        for span in *spans {
            encoded::put(&mut bytes, span);
        }
        query.wants_start(crate::traces::search::start_us(spans))
            && encoded::all(&bytes).any(|it| query.matches(&it.borrowed()))
    };
    let mut found: Vec<_> = traces
        .iter()
        .filter(is_sought)
        .map(|it| (crate::traces::search::start_us(it), it[0].trace))
        .collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.into_iter().map(|it| it.1).take(query.limit).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Columns, filters and the order in which segments are read leave nothing out and add nothing.
    #[test]
    fn a_search_finds_what_looking_at_everything_finds(
        traces in prop::collection::vec((prop::collection::vec(any_span(), 1..5), 0_u8..3), 1..20),
        queries in prop::collection::vec(any_query(), 20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), &Options::default());
        let mut all = Vec::new();
        for (number, (mut spans, then)) in traces.into_iter().enumerate() {
            for span in &mut spans {
                span.trace = number as u128 + 1;
            }
            store.append(spans.clone(), at(0)).unwrap();
            all.push(spans);
            if then == 0 {
                store.tick(at(100)).unwrap();
                store.flush(at(100)).unwrap();
            }
        }
        for query in queries {
            let found = store.search(&query);
            let found: Vec<_> = found.traces.iter().map(|it| it.0.trace).collect();
            prop_assert_eq!(found, sought(&all, &query), "{:?}", query);
        }
    }

    /// Whatever comes, in whatever order and wherever it ends up, is there once.
    #[test]
    fn nothing_is_lost_or_doubled(batches in prop::collection::vec((prop::collection::vec(any_span(), 0..8), 0_u8..4), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path(), &Options::default());
        let mut all = Vec::new();
        for (step, (spans, then)) in batches.into_iter().enumerate() {
            let now = at(step as u64 * 3);
            all.extend(spans.clone());
            store.append(spans, now).unwrap();
            match then {
                0 => store.tick(now).unwrap(),
                1 => store.flush(now).unwrap(),
                2 => {
                    drop(store);
                    store = open(folder.path(), &Options::default());
                }
                _ => {}
            }
        }
        let traces: std::collections::BTreeSet<_> = all.iter().map(|it| it.trace).collect();
        for trace in traces {
            let mut expected: Vec<_> = all
                .iter()
                .filter(|it| {
                    let low = u128::from(u64::MAX);
                    let is_short = it.trace <= low || trace <= low;
                    it.trace == trace || (is_short && it.trace & low == trace & low)
                })
                .cloned()
                .collect();
            expected.sort_by(|one, other| (one.start_us, one).cmp(&(other.start_us, other)));
            expected.dedup();
            prop_assert_eq!(store.trace(trace), expected);
        }
        let found = store.search(&Query { limit: 1_000, ..Query::default() });
        prop_assert!(found.traces.iter().map(|it| it.1.len()).sum::<usize>() >= found.traces.len());
    }
}
