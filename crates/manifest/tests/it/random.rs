//! No text whatever stops the reader: it is an application, or it has problems, each inside the text.

use manifest::{PROBLEMS_MAX, Problems};
use proptest::prelude::*;

use crate::{environment, text};

#[track_caller]
fn check(text: &str) {
    let environment = environment();
    match manifest::read("a.yaml", text, &environment) {
        Ok(read) => inside(&read.warnings, text),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason: {text}");
            inside(&problems, text);
        }
    }
    let shop = manifest::read("shop.yaml", &self::text("good/shop.yaml"), &environment);
    let shop = shop.unwrap().application;
    match manifest::scenario("a.yaml", text, &shop) {
        Ok(read) => inside(&read.warnings, text),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason: {text}");
            inside(&problems, text);
        }
    }
    if let Err(problems) = manifest::fault(text, &shop) {
        assert!(!problems.is_empty(), "refused without a reason: {text}");
        inside(&problems, text);
    }
    let kind = manifest::detect("a", text);
    drop(format!("{kind:?}"));
    for import in [manifest::import::compose, manifest::import::procfile, manifest::import::spigo] {
        match import("a", text, &environment) {
            Ok(imported) => {
                let scenario = imported.scenario.iter();
                let read = scenario.map(|it| manifest::scenario("s", it, &imported.application));
                read.for_each(|it| drop(it.expect("its scenario is read")));
            }
            Err(problems) => {
                assert!(!problems.is_empty(), "refused without a reason: {text}");
                inside(&problems, text);
            }
        }
    }
}

#[track_caller]
fn inside(problems: &Problems, text: &str) {
    assert!(problems.list().len() <= PROBLEMS_MAX);
    for problem in problems.list() {
        let end = problem.place.offset + problem.place.length;
        assert!(text.get(problem.place.offset..end).is_some(), "{problem:?} in {text:?}");
        assert!(!problem.message.ends_with('.'), "{problem}");
        assert!(!problem.message.contains("defect of Pelago"), "{problem} in {text}");
    }
    drop(problems.render(80));
    drop(serde_json::to_string(problems).unwrap());
}

/// A good file with a few stretches replaced by others of it, or by something odd.
fn mutated() -> impl Strategy<Value = String> {
    let files = [
        "good/shop.yaml",
        "good/all.yaml",
        "bad/meaning.yaml",
        "scenario/all.yaml",
        "scenario/bad.yaml",
        "compose.yaml",
        "Procfile",
        "spigo/cassandra_arch.json",
    ];
    let edit = (
        any::<prop::sample::Index>(),
        0_usize..12,
        prop_oneof![
            any::<prop::sample::Index>().prop_map(Err),
            "[\\[\\]{}:,&*!|>'\"%@`#\\-? \n\t0-9a-z$]{0,6}".prop_map(Ok),
            prop::sample::select(vec![
                "null",
                "~",
                "[]",
                "{}",
                "true",
                "-1",
                "1e99",
                ".nan",
                "${",
                "${A}",
                "<<: *a",
                "&a",
                "*a",
                "\u{feff}",
                "é",
                "---\n",
                "0s",
                "%",
                "101%",
                "none",
                "''",
                "|\n",
                "? ",
                "- ",
                "99999999999999999999h",
                "x-a: 1\n",
            ])
            .prop_map(|it| Ok(it.to_owned())),
        ],
    );
    (prop::sample::select(files.to_vec()), prop::collection::vec(edit, 1..6)).prop_map(
        |(file, edits)| {
            let original: Vec<char> = text(file).chars().collect();
            let mut characters = original.clone();
            for (at, removed, inserted) in edits {
                if characters.is_empty() {
                    break;
                }
                let start = at.index(characters.len());
                let end = (start + removed).min(characters.len());
                let inserted: Vec<char> = match inserted {
                    Ok(text) => text.chars().collect(),
                    Err(from) => {
                        let from = from.index(original.len());
                        original.iter().skip(from).take(12).copied().collect()
                    }
                };
                characters.splice(start..end, inserted);
            }
            characters.into_iter().collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        check(&text);
    }

    #[test]
    fn text_of_signs(text in "[a-c:\\[\\]{},&*!|>'\"#\\-? \n<$]{0,60}") {
        check(&text);
    }

    #[test]
    fn faults_of_words(words in prop::collection::vec(prop::sample::select(vec![
        "at", "every", "for", "kill", "any", "cart", "web>cart", "slow", "by", "10", "1m", "5%", "lose", "zone",
        "release", "partition", "from", "a,b", "é", "load", "surge", "flush", "instances", "all",
    ]), 0..9)) {
        check(&words.join(" "));
    }

    #[test]
    fn mutated_files(text in mutated()) {
        check(&text);
    }
}
