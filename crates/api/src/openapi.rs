//! The description of the API, from the routes and the types themselves.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::change::PlanView;
use crate::edge::EdgesView;
use crate::error::ApiError;
use crate::event_view::EventView;
use crate::gateway::RoutesView;
use crate::graph::GraphView;
use crate::logs::{ExecView, Finding, LogPage};
use crate::records::RecordsView;
use crate::release::{DiffView, ReleaseEntry};
use crate::request::{Accepted, Apply, Rollback, Scale, SetTraffic, Steer};
use crate::rollout::RolloutView;
use crate::route::{Method, ROUTES, Route};
use crate::spans::SpanView;
use crate::status::StatusView;
use crate::telemetry::TelemetryView;
use crate::trace::{DependencyView, TraceComparisonView, TraceView, TracesView};

/// The answer of a control process that is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
    /// The version of the control process.
    pub version: String,
    /// Whether a command started it, so that it makes way for a `pelago serve` that is started on purpose.
    #[serde(default)]
    pub stands_in: bool,
}

/// The OpenAPI 3.1 document.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut types = settings.into_generator();
    register(&mut types);
    let mut paths = Map::new();
    for route in ROUTES {
        let method = match route.method {
            Method::Get => "get",
            Method::Post => "post",
        };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(method.to_owned(), operation(route));
        }
    }
    let schemas: Map<String, Value> = types.take_definitions(true).into_iter().collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pelago",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The native API: on a Unix socket without a token, and on loopback with \
                            `Authorization: Bearer` and the token in the data folder.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    })
}

fn register(types: &mut SchemaGenerator) {
    types.subschema_for::<Accepted>();
    types.subschema_for::<ApiError>();
    types.subschema_for::<Apply>();
    types.subschema_for::<DependencyView>();
    types.subschema_for::<DiffView>();
    types.subschema_for::<EdgesView>();
    types.subschema_for::<EventView>();
    types.subschema_for::<ExecView>();
    types.subschema_for::<Finding>();
    types.subschema_for::<GraphView>();
    types.subschema_for::<Health>();
    types.subschema_for::<LogPage>();
    types.subschema_for::<PlanView>();
    types.subschema_for::<RecordsView>();
    types.subschema_for::<TelemetryView>();
    types.subschema_for::<TraceComparisonView>();
    types.subschema_for::<TraceView>();
    types.subschema_for::<TracesView>();
    types.subschema_for::<ReleaseEntry>();
    types.subschema_for::<Rollback>();
    types.subschema_for::<RolloutView>();
    types.subschema_for::<RoutesView>();
    types.subschema_for::<Scale>();
    types.subschema_for::<SetTraffic>();
    types.subschema_for::<SpanView>();
    types.subschema_for::<StatusView>();
    types.subschema_for::<Steer>();
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('{').skip(1).filter_map(|it| it.split('}').next());
    let mut parameters: Vec<Value> = in_path
        .map(|it| json!({"name": it, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(route.query.iter().map(|(name, meaning)| {
        json!({"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}})
    }));
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": content(route.response)},
            "default": {"description": "It could not be done.", "content": content("ApiError")},
        },
    });
    if let (Some(request), Value::Object(map)) = (route.request, &mut operation) {
        map.insert(
            "requestBody".to_owned(),
            json!({"required": true, "content": content(request)}),
        );
    }
    operation
}

fn content(name: &str) -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    match (name, name.strip_suffix("[]")) {
        ("OpenApi", _) => json!({"application/json": {"schema": {"type": "object"}}}),
        ("EventStream", _) => json!({"text/event-stream": {"schema": {"type": "string"}}}),
        ("GraphView", _) => {
            let text = json!({"schema": {"type": "string"}});
            json!({
                "application/json": {"schema": reference("GraphView")},
                "text/plain": text,
                "text/vnd.graphviz": text,
                "text/vnd.mermaid": text,
            })
        }
        (_, Some(item)) => {
            json!({"application/json": {"schema": {"type": "array", "items": reference(item)}}})
        }
        (name, None) => json!({"application/json": {"schema": reference(name)}}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_defined() {
        let document = document();
        let defined = document.pointer("/components/schemas").and_then(Value::as_object).unwrap();
        let text = document.to_string();
        let references: Vec<&str> = text
            .split("#/components/schemas/")
            .skip(1)
            .filter_map(|it| it.split('"').next())
            .collect();
        assert!(references.len() > ROUTES.len());
        for reference in references {
            assert!(defined.contains_key(reference), "{reference}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = ROUTES.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), ROUTES.len());
    }
}
