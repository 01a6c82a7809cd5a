//! What the outside sees: routes to services, and the values and flags that steer them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::edge::{RequestKey, Resilience};
use crate::name::ServiceName;
use crate::units::{Bytes, Share, optional_duration};

/// Requests for `host` below `path` go where [`Route::target`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Host name to match, in lower case; `*.` at its beginning stands for one label or more; every
    /// host if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path prefix to match, beginning with `/`; it ends where a segment does.
    pub path: String,
    /// Methods to match; every method if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Headers to match, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// Where matching requests go.
    #[serde(flatten)]
    pub target: RouteTarget,
    /// Whether the prefix is taken off before the request is passed on.
    #[serde(default)]
    pub strip_prefix: bool,
    /// What stands in place of the prefix when the request is passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// The policy of the edge from outside to the service.
    #[serde(default)]
    pub resilience: Resilience,
    /// Changes to the request's headers.
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub request_headers: HeaderEdits,
    /// Changes to the answer's headers.
    #[serde(default, skip_serializing_if = "HeaderEdits::is_empty")]
    pub response_headers: HeaderEdits,
    /// Other origins whose pages may use this route; only its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Whether answers are compressed for clients that accept it.
    #[serde(default)]
    pub compress: bool,
    /// How many requests may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Bytes of a request's body, at most; the gateway's own limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<Bytes>,
    /// What goes first when there is too much.
    #[serde(default)]
    pub priority: Priority,
    /// HTML that is shown in place of the gateway's own error answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_page: Option<String>,
    /// What parameters of a path are when it is matched. Alike for all routes of an application: a request that one route is
    /// kept from by a parameter must not reach the same service through another.
    #[serde(default, skip_serializing_if = "PathParameters::is_usual")]
    pub path_parameters: PathParameters,
}

/// What `;…` in a segment of a path is when the path is matched (RFC 3986, section 3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathParameters {
    /// A part of the segment like any other.
    #[default]
    Keep,
    /// Nothing, as servers of servlets have it.
    Ignore,
}

impl PathParameters {
    /// Whether nobody need say so.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
    const fn is_usual(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// Where matching requests go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTarget {
    /// To this service.
    Service(ServiceName),
    /// Nowhere: the client is sent elsewhere.
    Redirect(Redirect),
    /// Nowhere: this page, with status 503.
    Maintenance(String),
}

impl Route {
    /// The service requests go to, if they go to one.
    pub const fn service(&self) -> Option<&ServiceName> {
        match &self.target {
            RouteTarget::Service(service) => Some(service),
            RouteTarget::Redirect(_) | RouteTarget::Maintenance(_) => None,
        }
    }
}

/// Sending the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The new location; `{host}`, `{path}` (with the query) stand for those of the request.
    pub to: String,
    /// The status: 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// A header a request must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// Its name, in lower case.
    pub name: String,
    /// Its exact value; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Changes to headers. Names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderEdits {
    /// Headers put in place of any of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// Headers put beside those of the same name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<(String, String)>,
    /// Headers taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl HeaderEdits {
    /// Whether nothing is changed.
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// Cross-origin resource sharing (Fetch standard, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Origins that may; `*` is every one.
    pub origins: Vec<String>,
    /// Methods they may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Request headers they may send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Whether cookies may be sent.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember this.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub max_age: Option<Duration>,
}

/// How many requests may come (a token bucket).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Requests a second in the long run, in thousandths.
    pub per_second_thousandths: u64,
    /// Requests that may come at once.
    pub burst: u32,
    /// What clients are told apart by; all share one bucket if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<RequestKey>,
}

/// What goes first when there is too much. The least comes first, in order to be shed first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// May be dropped at any time: prefetching, batch work.
    Sheddable,
    /// Can be missed.
    Low,
    /// Everything nobody said more about.
    #[default]
    Normal,
    /// What must go on when nothing else does.
    Critical,
}

/// A configuration value: one of the scalar types of YAML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Integer(value) => write!(formatter, "{value}"),
            Self::Float(value) => write!(formatter, "{value}"),
            Self::Text(value) => formatter.write_str(value),
        }
    }
}

/// A feature flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// What it is for whoever is not in `percent`.
    pub default: bool,
    /// Share of recipients for whom it is the opposite of `default`.
    #[serde(default)]
    pub percent: Share,
    /// The attribute by which recipients are told apart, so that one keeps its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
