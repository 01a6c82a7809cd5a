//! The table in ARCHITECTURE.md, held against the code.
#![expect(clippy::expect_used, reason = "helpers of a test may stop it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Crates that must not reach, however far down, a crate that does I/O.
const PURE: &[&str] = &[
    "model",
    "world",
    "traffic",
    "behaviour",
    "manifest",
    "promql",
    "planner",
    "api",
    "simulator",
    "report",
    "library",
];
const IMPURE: &[&str] = &["tokio", "mio", "getrandom", "hyper", "reqwest", "fs-err"];

/// One row: the crate's rank and what it may import.
struct Row {
    rank: u8,
    imports: BTreeSet<String>,
}

#[test]
fn the_table_is_the_code() {
    let table = table();
    let metadata = metadata();
    let members: BTreeSet<String> =
        metadata.workspace_packages().iter().map(|p| p.name.to_string()).collect();
    assert_eq!(table.keys().cloned().collect::<BTreeSet<_>>(), members, "rows and crates");
    for package in metadata.workspace_packages() {
        let row = table.get(package.name.as_str()).expect("row");
        assert_eq!(imports(package, &members), row.imports, "imports of {}", package.name);
    }
}

#[test]
fn arrows_only_go_down() {
    let table = table();
    for (name, row) in &table {
        for import in &row.imports {
            let below = table.get(import).expect("row of an import").rank;
            assert!(below < row.rank, "{name} -> {import} does not go down");
        }
    }
}

#[test]
fn pure_crates_reach_no_io() {
    let metadata = metadata();
    for name in PURE {
        let reached = reached(&metadata, name);
        for impure in IMPURE {
            assert!(!reached.contains(*impure), "{name} reaches {impure}");
        }
    }
}

#[test]
fn links_are_alive() {
    let page = page();
    for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(link.starts_with("http") || Path::new("..").join(link).exists(), "dead: {link}");
    }
}

fn page() -> String {
    std::fs::read_to_string("../ARCHITECTURE.md").expect("ARCHITECTURE.md")
}

fn table() -> BTreeMap<String, Row> {
    let mut table = BTreeMap::new();
    for line in page().lines().filter(|line| line.contains("| [`")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, rank, name, imports, ..] = cells.as_slice() else { continue };
        let name = name.split('`').nth(1).expect("crate name").to_owned();
        let rank = rank.parse().expect("rank");
        let imports = imports.split(", ").filter(|it| *it != "-").map(str::to_owned).collect();
        table.insert(name, Row { rank, imports });
    }
    table
}

fn metadata() -> Metadata {
    MetadataCommand::new().exec().expect("cargo metadata")
}

fn imports(package: &Package, members: &BTreeSet<String>) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|it| it.kind != DependencyKind::Development && members.contains(&it.name))
        .map(|it| it.name.clone())
        .collect()
}

fn reached(metadata: &Metadata, root: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("resolve graph");
    let mut queue: Vec<_> =
        metadata.packages.iter().filter(|it| it.name == root).map(|it| &it.id).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = queue.pop() {
        let package = metadata.packages.iter().find(|it| it.id == *id).expect("package");
        if !seen.insert(package.name.to_string()) {
            continue;
        }
        let node = resolve.nodes.iter().find(|it| it.id == *id).expect("node");
        for dependency in &node.deps {
            // What runs while something is built (a parser's generator) is not in what was built.
            if dependency.dep_kinds.iter().any(|it| it.kind == DependencyKind::Normal) {
                queue.push(&dependency.pkg);
            }
        }
    }
    seen
}
