//! The schema and the reference page on disk are those the types say, and what they show is true.

use std::path::Path;

use serde_json::Value;

use crate::environment;

/// The file below the workspace, and how it is made again: with `UPDATE_GENERATED=1` by this test, or by
/// `cargo run -p xtask -- generate`.
#[track_caller]
fn check(path: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let update = std::env::vars_os().any(|(name, _)| name == "UPDATE_GENERATED");
    if update {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == generated,
        "{} is not what the types say; run `cargo run -p xtask -- generate`",
        path.display()
    );
}

#[test]
fn schemas_are_up_to_date() {
    let pretty = |it: &Value| serde_json::to_string_pretty(it).unwrap() + "\n";
    check("schema/pelago.schema.json", &pretty(&manifest::schema()));
    check("schema/scenario.schema.json", &pretty(&manifest::scenario_schema()));
}

#[test]
fn references_are_up_to_date() {
    check("docs/manifest.md", &manifest::reference());
    check("docs/scenario.md", &manifest::scenario_reference());
}

/// Every example and every default in the schema is a value the file takes at that place.
#[test]
fn examples_are_taken() {
    let (schema, scenario) = (manifest::schema(), manifest::scenario_schema());
    let definitions = |it: &Value| it["$defs"].as_object().unwrap().clone();
    let shop = "name: a\nservices: {a: {behaviour: {}}}";
    let application = manifest::read("a", shop, &environment()).unwrap().application;
    let root = [("scenario".to_owned(), scenario.clone())];
    let mut tried = 0;
    for (definition, body) in
        definitions(&schema).into_iter().chain(definitions(&scenario)).chain(root)
    {
        let Some(properties) = body.get("properties").and_then(Value::as_object) else { continue };
        for (key, property) in properties {
            let examples = property.get("examples").and_then(Value::as_array);
            let default = property.get("default");
            for value in examples.into_iter().flatten().chain(default) {
                let problems = if let Some(text) = in_a_file(&definition, key, value) {
                    manifest::read("example.yaml", &text, &environment()).err()
                } else if let Some(text) = in_a_scenario(&definition, key, value) {
                    manifest::scenario("example.yaml", &text, &application).err()
                } else {
                    continue;
                };
                tried += 1;
                let problems = problems.map(|it| it.to_string()).unwrap_or_default();
                // What is wrong may only be what the example leaves to the rest of the file.
                let wrong = problems.lines().filter(|it| {
                    [
                        "unknown key",
                        " is meant",
                        "has no unit",
                        "is not a ",
                        "write a number",
                        "quotes",
                    ]
                    .iter()
                    .any(|mark| it.contains(mark))
                });
                assert_eq!(wrong.count(), 0, "{definition}.{key}: {value}\n{problems}");
            }
        }
    }
    assert!(210 < tried, "only {tried} examples were tried");
}

/// A file with `value` under `key` of a definition.
fn in_a_file(definition: &str, key: &str, value: &Value) -> Option<String> {
    let inner = format!("{{\"{key}\": {value}}}");
    let service = |inner: &str| format!("name: a\nservices: {{a: {inner}}}\n");
    let route =
        |inner: &str| format!("name: a\nroutes: [{{{inner}}}]\nservices: {{a: {{image: a}}}}\n");
    Some(match definition {
        "service" => service(&inner),
        "check" => service(&format!("{{image: a, healthcheck: {inner}}}")),
        "limits" => service(&format!("{{image: a, limits: {inner}}}")),
        "update" => service(&format!("{{image: a, update: {inner}}}")),
        "analysis" => service(&format!("{{image: a, update: {{analysis: {inner}}}}}")),
        "step" => service(&format!("{{image: a, update: {{strategy: canary, steps: [{inner}]}}}}")),
        "restart-mapping" => service(&format!("{{image: a, restart: {inner}}}")),
        "behaviour" => service(&format!("{{behaviour: {inner}}}")),
        "call-step-mapping" => service(&format!("{{behaviour: {{calls: [{inner}]}}}}")),
        "distribution" => service(&format!("{{behaviour: {{work: {inner}}}}}")),
        "replication" => service(&format!("{{behaviour: {{replication: {inner}}}}}")),
        "background-work" => service(&format!("{{behaviour: {{background: [{inner}]}}}}")),
        "cache" => service(&format!("{{behaviour: {{calls: [{{service: b, cache: {inner}}}]}}}}")),
        "resilience" => service(&format!("{{image: a, calls: {{b: {inner}}}}}")),
        "retry" => service(&format!("{{image: a, calls: {{b: {{retry: {inner}}}}}}}")),
        "circuit-breaker" => {
            service(&format!("{{image: a, calls: {{b: {{circuit_breaker: {inner}}}}}}}"))
        }
        "queue" => service(&format!("{{image: a, calls: {{b: {{queue: {inner}}}}}}}")),
        "hedge" => service(&format!("{{image: a, calls: {{b: {{hedge: {inner}}}}}}}")),
        "balance-mapping" => service(&format!("{{image: a, calls: {{b: {{balance: {inner}}}}}}}")),
        "request-key-mapping" => {
            service(&format!("{{image: a, calls: {{b: {{balance: {{key: {inner}}}}}}}}}"))
        }
        "redirect" => route(&format!("redirect: {inner}")),
        "header-edits" => route(&format!("service: a, request_headers: {inner}")),
        "cors" => route(&format!("service: a, cors: {inner}")),
        "rate-limit" => route(&format!("service: a, rate_limit: {inner}")),
        "defaults" => format!("name: a\ndefaults: {inner}\nservices: {{a: {{image: a}}}}\n"),
        "resource" => {
            format!("name: a\nresources: {{r: {inner}}}\nservices: {{a: {{image: a}}}}\n")
        }
        "route" => format!("name: a\nroutes: [{inner}]\nservices: {{a: {{image: a}}}}\n"),
        "flag" => format!("name: a\nflags: {{f: {inner}}}\nservices: {{a: {{image: a}}}}\n"),
        _ => return None,
    })
}

/// A scenario with `value` under `key` of a definition.
fn in_a_scenario(definition: &str, key: &str, value: &Value) -> Option<String> {
    let inner = format!("{{\"{key}\": {value}}}");
    Some(match definition {
        "scenario" => inner,
        "change" => format!("services: {{a: {inner}}}"),
        "network" => format!("network: {inner}"),
        "zone" => format!("network: {{zones: [{inner}]}}"),
        "link" => format!("network: {{links: [{inner}]}}"),
        "users" => format!("users: [{inner}]"),
        "load-curve" => format!("users: [{{load: {inner}}}]"),
        "entry" => format!("users: [{{requests: [{inner}]}}]"),
        "again" => format!("users: [{{again: {inner}}}]"),
        "fault" => format!("faults: [{inner}]"),
        "objective" => format!("objective: {inner}"),
        _ => return None,
    })
}
