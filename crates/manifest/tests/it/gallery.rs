//! Mistakes people make, and every word that is said about them.

use crate::{environment, text};

fn problems(name: &str) -> String {
    let read = manifest::read("bad.yaml", &text(&format!("bad/{name}.yaml")), &environment());
    read.expect_err("the file is bad").to_string()
}

#[test]
fn structure() {
    insta::assert_snapshot!(problems("structure"));
}

#[test]
fn meaning() {
    insta::assert_snapshot!(problems("meaning"));
}

#[test]
fn syntax() {
    insta::assert_snapshot!(problems("syntax"));
}
