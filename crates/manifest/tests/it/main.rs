//! The crate from outside: files that read, files that do not, and what is said of them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of a test may stop it"
)]

mod beside;
mod compose;
mod gallery;
mod generated;
mod import;
mod meaning;
mod random;
mod scenario;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of files these tests read.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

/// A shell's environment.
fn environment() -> BTreeMap<String, String> {
    let pairs = [("HOME", "/home/ada"), ("TAG", "1.4"), ("STAGE", "test"), ("EMPTY", "")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
