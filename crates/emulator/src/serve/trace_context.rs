//! The headers by which the calls of one request are known to belong together.
//!
//! A service that does nothing but pass them on is traced by the mesh around it: the W3C, B3 and
//! Envoy headers go from the request to every call it makes, unchanged. A request that came without
//! gets an id here, so that its calls have one in common.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use model::Rng;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
/// The header of the request's id; answers repeat it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// W3C Trace Context and Baggage, B3 in both forms, and the request id of Envoy.
const PASSED_ON: [HeaderName; 10] = [
    TRACEPARENT,
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    B3,
    B3_TRACE,
    HeaderName::from_static("x-b3-spanid"),
    HeaderName::from_static("x-b3-parentspanid"),
    HeaderName::from_static("x-b3-sampled"),
    HeaderName::from_static("x-b3-flags"),
    REQUEST_ID,
];

/// What every call made for a request with these `headers` carries.
pub(crate) fn trace_context(headers: &HeaderMap, rng: &mut Rng) -> HeaderMap {
    let mut context = HeaderMap::new();
    for name in PASSED_ON {
        if let Some(value) = headers.get(&name) {
            context.insert(name, value.clone());
        }
    }
    let traced = [TRACEPARENT, B3, B3_TRACE].iter().any(|it| context.contains_key(it));
    if !traced {
        // Ids of zero mean none (W3C Trace Context, section 3.2.2).
        let (high, low, span) = (rng.next_u64(), rng.next_u64() | 1, rng.next_u64() | 1);
        insert(&mut context, TRACEPARENT, &format!("00-{high:016x}{low:016x}-{span:016x}-01"));
    }
    if !context.contains_key(REQUEST_ID) {
        let (high, low) = (rng.next_u64(), rng.next_u64());
        insert(&mut context, REQUEST_ID, &format!("{high:016x}{low:016x}"));
    }
    context
}

fn insert(context: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        context.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_passed_on_and_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static("00-aa-bb-01"));
        headers.insert("x-request-id", HeaderValue::from_static("7"));
        headers.insert("cookie", HeaderValue::from_static("secret"));
        let context = trace_context(&headers, &mut Rng::new(1));
        assert_eq!(context.len(), 2);
        assert_eq!(context["traceparent"], "00-aa-bb-01");
        assert_eq!(context["x-request-id"], "7");
    }

    #[test]
    fn what_did_not_come_is_made_up() {
        let context = trace_context(&HeaderMap::new(), &mut Rng::new(1));
        assert_eq!(context["traceparent"].len(), 55);
        assert_eq!(context["x-request-id"].len(), 32);
        let mut headers = HeaderMap::new();
        headers.insert("b3", HeaderValue::from_static("0"));
        assert!(!trace_context(&headers, &mut Rng::new(1)).contains_key("traceparent"));
    }
}
