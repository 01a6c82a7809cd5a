//! Calls the data plane has seen, as spans.
//!
//! A call over an edge is a client's span: the caller waited, and the callee's own spans are below it if the
//! callee reports any. It refuses to name an operation by a path with ids in it: a name for every order
//! would tell nothing about orders.

use crate::report::Caller;
use crate::traces::span::{self, Kind, Span};

/// The service that calls where somebody outside does: the edge.
pub const GATEWAY: &str = "gateway";
/// What stands for a part of a path that is an id.
const ID: &str = "{id}";

/// The span of a call; none if its ids are none.
pub fn span(call: &crate::Span) -> Option<Span> {
    let service = match call.edge.as_ref().map(|it| &it.caller) {
        Some(Caller::Service(name)) => name.to_string(),
        Some(Caller::Route(_)) | None => GATEWAY.to_owned(),
    };
    Some(Span {
        trace: span::read_trace_hex(&call.trace)?,
        id: span::read_span_hex(&call.id)?,
        parent: call.parent.as_deref().and_then(span::read_span_hex),
        kind: Kind::Client,
        service,
        operation: operation(call),
        remote: call.edge.as_ref().map_or_else(String::new, |it| it.callee.to_string()),
        start_us: call.start.as_millis().saturating_mul(1_000),
        duration_us: call.duration_us,
        tags: tags(call),
        events: Vec::new(),
        links: Vec::new(),
        is_error: call.error.is_some() || call.status.is_some_and(|it| 500 <= it),
        shared: false,
    })
}

fn tags(call: &crate::Span) -> Vec<(String, String)> {
    let (edge, limit) = (call.edge.as_ref(), call.limit.as_ref());
    let rpc = grpc_method(call);
    let release = edge.zip(call.release).map(|(edge, it)| format!("{}@{it}", edge.callee));
    let text = |it: &str| Some(it.to_owned()).filter(|it| !it.is_empty());
    let tags = [
        ("http.method", text(&call.method)),
        ("http.path", text(&call.path)),
        ("rpc.system", rpc.map(|_| "grpc".to_owned())),
        ("rpc.service", rpc.map(|it| it.0.to_owned())),
        ("rpc.method", rpc.map(|it| it.1.to_owned())),
        ("http.status_code", call.status.map(|it| it.to_string())),
        ("pelago.application", edge.map(|it| it.application.to_string())),
        ("pelago.release", release),
        ("pelago.instance", call.instance.as_ref().map(ToString::to_string)),
        ("pelago.attempts", Some(call.attempts.to_string())),
        ("pelago.fault", call.fault.clone()),
        ("pelago.limit", limit.map(|it| it.name.clone())),
        ("pelago.limit_value", limit.map(|it| it.value.clone())),
        ("pelago.limit_key", limit.and_then(|it| it.key.clone())),
        ("pelago.hop", limit.map(|it| it.hop.clone())),
        ("error", call.error.clone()),
    ];
    tags.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// What stands for the operation of a request that could not be read.
const UNREADABLE: &str = "unreadable";

/// `shop.Cart/Add` of gRPC; else as [`http_operation`] says.
fn operation(call: &crate::Span) -> String {
    match grpc_method(call) {
        Some((service, method)) => format!("{service}/{method}"),
        None if call.method.is_empty() => UNREADABLE.to_owned(),
        None => http_operation(&call.method, &call.path),
    }
}

/// The service, with its package, and the method of a call of gRPC.
fn grpc_method(call: &crate::Span) -> Option<(&str, &str)> {
    let path = call.path.strip_prefix('/').filter(|_| call.is_grpc)?;
    path.rsplit_once('/').filter(|(service, method)| !service.is_empty() && !method.is_empty())
}

/// `GET /orders/{id}`: the method, and the path with every part that is an id left open.
fn http_operation(method: &str, path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts = path.split('/').map(|it| if is_id(it) { ID } else { it });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
}

/// Numbers, UUIDs, hashes and tokens: what has digits and is long, or is nothing but digits.
fn is_id(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let hexadecimal = part.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-');
    digits != 0 && (digits == part.len() || (hexadecimal && 8 <= part.len()) || 20 <= part.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::EdgeName;
    use crate::span::Limit;
    use model::{ReleaseNumber, Timestamp};

    #[test]
    fn operations_have_no_ids() {
        let check = |path, expected: &str| {
            assert_eq!(http_operation("GET", path), format!("GET {expected}"));
        };
        check("/", "/");
        check("/api/orders/17?x=1", "/api/orders/{id}");
        check("/v2/items/3f2504e0-4f89-11d3-9a0c-0305e82c3301/parts", "/v2/items/{id}/parts");
        check("/files/deadbeef01", "/files/{id}");
        check("/decade/facade", "/decade/facade");
        check("/t/eyJhbGciOiJIUzI1NiJ9xx", "/t/{id}");
    }

    #[test]
    fn a_call_is_a_clients_span() {
        let call = crate::Span {
            trace: span::trace_hex(5),
            id: span::span_hex(7),
            parent: Some(span::span_hex(6)),
            edge: Some(EdgeName {
                application: "shop".parse().unwrap(),
                caller: Caller::Service("web".parse().unwrap()),
                callee: "cart".parse().unwrap(),
            }),
            start: Timestamp::from_millis(3),
            duration_us: 1500,
            method: "GET".to_owned(),
            path: "/carts/12".to_owned(),
            is_grpc: false,
            status: Some(503),
            release: Some(ReleaseNumber(1)),
            instance: None,
            attempts: 2,
            error: Some("no-instance".to_owned()),
            fault: Some("callee".to_owned()),
            limit: Some(Limit {
                name: "concurrency".to_owned(),
                value: "8".to_owned(),
                key: Some("max_concurrency".to_owned()),
                hop: "the call from web to cart".to_owned(),
            }),
        };
        let made = span(&call).unwrap();
        assert_eq!((made.trace, made.id, made.parent), (5, 7, Some(6)));
        assert_eq!((made.service.as_str(), made.remote.as_str()), ("web", "cart"));
        assert_eq!((made.operation.as_str(), made.start_us), ("GET /carts/{id}", 3000));
        assert!(made.is_error);
        let tags: Vec<_> = made.tags.iter().map(|it| format!("{}={}", it.0, it.1)).collect();
        assert_eq!(
            tags,
            [
                "http.method=GET",
                "http.path=/carts/12",
                "http.status_code=503",
                "pelago.application=shop",
                "pelago.release=cart@r1",
                "pelago.attempts=2",
                "pelago.fault=callee",
                "pelago.limit=concurrency",
                "pelago.limit_value=8",
                "pelago.limit_key=max_concurrency",
                "pelago.hop=the call from web to cart",
                "error=no-instance"
            ]
        );
        // Issue 13: calls of gRPC were all named after their HTTP, with what looks like an id in a name left open.
        let path = "/shop.v1.Cart20230101deadbeef/Add".to_owned();
        let rpc = crate::Span { path, is_grpc: true, ..call.clone() };
        let made = span(&rpc).unwrap();
        assert_eq!(made.operation, "shop.v1.Cart20230101deadbeef/Add");
        assert_eq!(made.tag("rpc.service"), Some("shop.v1.Cart20230101deadbeef"));
        assert_eq!((made.tag("rpc.method"), made.tag("rpc.system")), (Some("Add"), Some("grpc")));
        // Issue 13: what no route takes is found by its id, too.
        let unread = crate::Span { edge: None, method: String::new(), ..call.clone() };
        let made = span(&unread).unwrap();
        assert_eq!((made.service.as_str(), made.remote.as_str()), (GATEWAY, ""));
        assert_eq!(made.operation, UNREADABLE);
        assert_eq!(span(&crate::Span { id: "x".to_owned(), ..call }), None);
    }
}
