//! Routes from outside as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Duration, Rate, RequestKeySpec, ResilienceSpec, Scalar, Size};
use crate::meaning::defaults::{REDIRECT_STATUS, ROUTE_PATH};

/// A route from outside: exactly one of `service`, `redirect` and `maintenance` says what becomes of
/// matching requests. Of several routes that match, the most specific counts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "route")]
pub(crate) struct RouteSpec {
    /// The host name to match; `*.` at its beginning stands for one label or more. Without it every host
    /// matches.
    #[schemars(extend("examples" = ["shop.localhost", "*.shop.localhost"]))]
    pub(crate) host: Option<String>,
    /// The beginning of the path to match; it ends where a segment does.
    #[schemars(extend("default" = ROUTE_PATH, "examples" = ["/api"]))]
    pub(crate) path: Option<String>,
    /// Methods to match. Without them every method matches.
    #[schemars(extend("examples" = [["GET", "HEAD"]]))]
    pub(crate) methods: Option<Vec<String>>,
    /// Headers to match, all of them, by name; one without a value must only be there.
    #[schemars(extend("examples" = [{"x-beta": "1"}]))]
    pub(crate) headers: Option<BTreeMap<String, Option<Scalar>>>,
    /// The service matching requests go to.
    #[schemars(extend("examples" = ["web"]))]
    pub(crate) service: Option<String>,
    /// Where the client is sent instead.
    #[schemars(extend("examples" = [{"to": "https://{host}{path}"}]))]
    pub(crate) redirect: Option<RedirectSpec>,
    /// A page that is shown instead, with status 503.
    #[schemars(extend("examples" = ["<h1>Back at noon</h1>"]))]
    pub(crate) maintenance: Option<String>,
    /// Whether `path` is taken off before the request is passed on.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) strip_prefix: Option<bool>,
    /// What stands in place of `path` when the request is passed on.
    #[schemars(extend("examples" = ["/v2"]))]
    pub(crate) rewrite: Option<String>,
    /// The policy of passing requests on. What is left out is inherited from `defaults.resilience`.
    pub(crate) resilience: Option<ResilienceSpec>,
    /// Changes to the request's headers.
    pub(crate) request_headers: Option<HeaderEditsSpec>,
    /// Changes to the answer's headers.
    pub(crate) response_headers: Option<HeaderEditsSpec>,
    /// Other origins whose pages may use this route. Without it only its own may.
    pub(crate) cors: Option<CorsSpec>,
    /// Whether answers are compressed for clients that accept it.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) compress: Option<bool>,
    /// How many requests may come.
    pub(crate) rate_limit: Option<RateLimitSpec>,
    /// Size of a request's body, at most. Without it the gateway's own limit holds.
    #[schemars(extend("examples" = ["1MiB"]))]
    pub(crate) max_body: Option<Size>,
    /// What goes first when there is too much.
    #[schemars(extend("default" = "normal", "examples" = ["critical"]))]
    pub(crate) priority: Option<PrioritySpec>,
    /// HTML that is shown in place of the gateway's own error answers.
    #[schemars(extend("examples" = ["<h1>Something went wrong</h1>"]))]
    pub(crate) error_page: Option<String>,
}

/// Sending the client elsewhere.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "redirect")]
pub(crate) struct RedirectSpec {
    /// The new address; `{host}` and `{path}` (with the query) stand for those of the request.
    #[schemars(required, extend("examples" = ["https://{host}{path}"]))]
    pub(crate) to: Option<String>,
    /// The status: 301, 302, 303, 307 or 308.
    #[schemars(extend("default" = REDIRECT_STATUS, "examples" = [308]))]
    pub(crate) status: Option<u16>,
}

/// Changes to headers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "header-edits")]
pub(crate) struct HeaderEditsSpec {
    /// Headers put in place of any of the same name.
    #[schemars(extend("examples" = [{"x-frame-options": "DENY"}]))]
    pub(crate) set: Option<BTreeMap<String, Scalar>>,
    /// Headers put beside those of the same name.
    #[schemars(extend("examples" = [{"vary": "accept"}]))]
    pub(crate) add: Option<BTreeMap<String, Scalar>>,
    /// Headers taken out.
    #[schemars(extend("examples" = [["server"]]))]
    pub(crate) remove: Option<Vec<String>>,
}

/// Cross-origin resource sharing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "cors")]
pub(crate) struct CorsSpec {
    /// Origins whose pages may use the route; `*` is every one.
    #[schemars(required, extend("examples" = [["https://shop.example"], ["*"]]))]
    pub(crate) origins: Option<Vec<String>>,
    /// Methods they may use. Without them GET, HEAD and POST.
    #[schemars(extend("examples" = [["GET", "PUT"]]))]
    pub(crate) methods: Option<Vec<String>>,
    /// Request headers they may send.
    #[schemars(extend("examples" = [["content-type"]]))]
    pub(crate) headers: Option<Vec<String>>,
    /// Whether cookies may be sent.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(crate) credentials: Option<bool>,
    /// How long a browser may remember this.
    #[schemars(extend("examples" = ["1h"]))]
    pub(crate) max_age: Option<Duration>,
}

/// How many requests may come.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rate-limit")]
pub(crate) struct RateLimitSpec {
    /// Requests in the long run: by the second, the minute or the hour.
    #[schemars(required, extend("examples" = ["100/s", "30/m"]))]
    pub(crate) rate: Option<Rate>,
    /// Requests that may come at once. Without it as many as come in a second.
    #[schemars(range(min = 1), extend("examples" = [200]))]
    pub(crate) burst: Option<u32>,
    /// What clients are told apart by. Without it all share one limit.
    #[schemars(extend("examples" = ["client-address"]))]
    pub(crate) key: Option<RequestKeySpec>,
}

/// What goes first when there is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "priority")]
pub(crate) enum PrioritySpec {
    /// May be dropped at any time: prefetching, batch work.
    Sheddable,
    /// Can be missed.
    Low,
    /// Everything nobody said more about.
    Normal,
    /// What must go on when nothing else does.
    Critical,
}

/// What `;…` in a segment of a path is when the path is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "path_parameters")]
pub(crate) enum PathParametersSpec {
    /// A part of the segment like any other.
    #[default]
    Keep,
    /// Nothing. What is passed on is what came.
    Ignore,
}
