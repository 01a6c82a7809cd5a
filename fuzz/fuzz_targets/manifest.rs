//! Whatever people write, the reader answers: an application, or problems inside the text.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let pairs = [("HOME", "/home/ada"), ("TAG", "1.4"), ("EMPTY", "")];
    let environment: BTreeMap<_, _> =
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Err(problems) = manifest::read("a.yaml", text, &environment) {
        assert!(!problems.is_empty());
        for problem in problems.list() {
            let end = problem.place.offset + problem.place.length;
            assert!(text.get(problem.place.offset..end).is_some(), "{problem:?}");
        }
        drop(problems.render(80));
    }
    assert_eq!(manifest::detect("a", text), manifest::detect("a", text));
    for import in [manifest::import::compose, manifest::import::procfile, manifest::import::spigo] {
        match import("a", text, &environment) {
            Ok(imported) => {
                let again = manifest::read("a.yaml", &imported.yaml, &environment);
                assert_eq!(again.expect("it was read once").application, imported.application);
                if let Some(scenario) = &imported.scenario {
                    let read = manifest::scenario("a.yaml", scenario, &imported.application);
                    read.expect("its scenario is read");
                }
            }
            Err(problems) => assert!(!problems.is_empty()),
        }
    }
});
