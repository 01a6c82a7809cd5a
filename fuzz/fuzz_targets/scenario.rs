//! Whatever people write about an application, the reader answers: a scenario, or problems inside the text.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use manifest::Problems;
use model::Application;

static SHOP: LazyLock<Application> = LazyLock::new(|| {
    let text = include_str!("../../crates/manifest/tests/data/good/shop.yaml");
    manifest::read("shop.yaml", text, &BTreeMap::new()).expect("it is good").application
});

fuzz_target!(|text: &str| {
    let inside = |problems: &Problems| {
        for problem in problems.list() {
            let end = problem.place.offset + problem.place.length;
            assert!(text.get(problem.place.offset..end).is_some(), "{problem:?}");
        }
        drop(problems.render(80));
    };
    match manifest::scenario("a.yaml", text, &SHOP) {
        Ok(read) => inside(&read.warnings),
        Err(problems) => {
            assert!(!problems.is_empty());
            inside(&problems);
        }
    }
    if let Err(problems) = manifest::fault(text, &SHOP) {
        assert!(!problems.is_empty());
        inside(&problems);
    }
});
