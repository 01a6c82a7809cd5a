//! The graph as JSON, as spigo writes it (version 0.4), so that its own drawings show it.

use serde::Serialize;

use super::architecture::Architecture;

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are spigo's")]
struct Node<'a> {
    node: &'a str,
    package: &'static str,
    timestamp: &'a str,
    metadata: String,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are spigo's")]
struct Edge<'a> {
    edge: String,
    source: &'a str,
    target: &'a str,
    timestamp: &'a str,
}

#[derive(Serialize)]
struct Head<'a> {
    arch: &'a str,
    version: &'static str,
    args: &'a str,
    date: &'a str,
}

/// Nodes, then edges with the names `e1`, `e2` and so on.
pub fn graph(architecture: &Architecture<'_>) -> String {
    let timestamp = architecture.at.to_string();
    let args = architecture.report.map_or("", |it| it.origin.command.as_str());
    let arch = architecture.application.name.as_str();
    let head = json(&Head { arch, version: "spigo-0.4", args, date: &timestamp });
    let mut lines = Vec::new();
    for it in architecture.nodes() {
        let metadata = format!("IP/{}", it.address);
        lines.push(json(&Node {
            node: &it.name,
            package: it.package,
            timestamp: &timestamp,
            metadata,
        }));
    }
    for (place, (source, target)) in architecture.edges().iter().enumerate() {
        let edge = format!("e{}", place + 1);
        lines.push(json(&Edge { edge, source, target, timestamp: &timestamp }));
    }
    let head = head.strip_suffix('}').unwrap_or(&head);
    format!("{head},\"graph\":[\n{}\n]}}\n", lines.join(",\n"))
}

/// What is written here cannot fail: keys are texts, and memory takes everything.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
