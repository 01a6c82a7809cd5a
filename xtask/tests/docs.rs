//! The guide, held against the code: its commands parse, its manifests read, its links lead somewhere.
#![expect(clippy::expect_used, reason = "helpers of a test may stop it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use cli::arguments::Arguments;
use model::template::split_words;

struct Page {
    path: PathBuf,
    text: String,
}

/// The README, everything in `docs/`, and the READMEs of the examples.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths =
        vec![root.join("README.md"), root.join("CHANGELOG.md"), root.join("BENCHMARKS.md")];
    for folder in ["docs", "examples/shop", "examples/boutique"] {
        for entry in fs::read_dir(root.join(folder)).expect("folder") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|it| it == "md") {
                paths.push(path);
            }
        }
    }
    let read = |path: PathBuf| Page { text: fs::read_to_string(&path).expect("page"), path };
    paths.into_iter().map(read).collect()
}

/// The blocks of a page that are marked as `language`.
fn blocks<'a>(page: &'a Page, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    let rest = page.text.split(&opening).skip(1);
    rest.map(|it| it.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn commands_parse() {
    let mut count = 0;
    for page in pages() {
        for line in blocks(&page, "console").into_iter().flat_map(str::lines) {
            let Some(command) = line.strip_prefix("$ ") else { continue };
            let command = command.split(" # ").next().unwrap_or_default();
            for command in command.split("; ").filter(|it| it.trim_start().starts_with("pelago ")) {
                let words = split_words(command).expect("words");
                if let Err(error) = Arguments::try_parse_from(words) {
                    panic!("{}: {command}\n{error}", page.path.display());
                }
                count += 1;
            }
        }
    }
    assert!(20 < count, "only {count} commands were found");
}

#[test]
fn manifests_read() {
    let mut count = 0;
    for page in pages() {
        for block in blocks(&page, "yaml").into_iter().filter(|it| it.starts_with("name:")) {
            let name = page.path.display().to_string();
            if let Err(problems) = manifest::read(&name, block, &BTreeMap::new()) {
                panic!("{problems}");
            }
            count += 1;
        }
    }
    assert!(0 < count, "no manifest was found");
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let folder = page.path.parent().expect("folder");
        for link in page.text.split("](").skip(1).filter_map(|it| it.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let outside = path.starts_with("http") || path.is_empty();
            assert!(outside || folder.join(path).exists(), "{}: {link}", page.path.display());
        }
    }
}
