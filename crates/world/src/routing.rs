//! Where requests go: the routing table, a pure function of the world.
//!
//! The data plane holds a table and nothing else of the world. It gets a whole one when it is
//! connected to, and then only what changed. Keys are texts made of names, which cannot contain the
//! characters between them.

mod derive;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::edge::{RequestKey, Resilience};
use model::rollout::THRESHOLDS;
use model::route::{HeaderMatch, Route};
use model::service::Protocol;
use model::units::Share;
use model::{ApplicationName, Index, InstanceId, ReleaseNumber, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rollout::GroupNumber;

/// Everything the data plane needs to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The index of the world it was made of.
    pub index: Index,
    /// Services that can be called, by [`backend_key`].
    pub backends: BTreeMap<String, Arc<Backend>>,
    /// Declared calls with an address, by [`edge_key`].
    pub edges: BTreeMap<String, Arc<Edge>>,
    /// Routes from outside, those of each application in the order written, by application.
    pub routes: BTreeMap<ApplicationName, Arc<[Route]>>,
}

/// A service, as those who call it see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Its application.
    pub application: ApplicationName,
    /// Its name.
    pub service: ServiceName,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its instances that can take requests, by number.
    pub endpoints: Vec<Endpoint>,
    /// How requests are shared among its releases; by their instances' number if empty.
    #[serde(default)]
    pub split: Vec<ReleaseShare>,
    /// What keeps a caller at one release of several.
    #[serde(default)]
    pub sticky: Option<RequestKey>,
    /// Requests that go to one release, whatever the shares; the first match counts.
    #[serde(default)]
    pub matches: Vec<ReleaseMatch>,
    /// Two releases that are compared.
    #[serde(default)]
    pub trial: Option<Trial>,
}

/// Two releases that are compared by what becomes of requests whose release was chosen by chance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Counts are of one epoch: with another, they begin anew, and requests from before are not counted.
    pub epoch: Index,
    /// The release that had the traffic.
    pub old: ReleaseNumber,
    /// The release that may get it.
    pub new: ReleaseNumber,
    /// First attempts that take longer are counted as slow, in microseconds, ascending.
    pub thresholds_us: Option<[u64; THRESHOLDS]>,
}

/// An instance that can take requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Which.
    pub instance: InstanceId,
    /// The release it runs.
    pub release: ReleaseNumber,
    /// Its port on loopback.
    pub port: u16,
    /// When it became ready.
    pub ready_at: Timestamp,
}

/// A release's share of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseShare {
    /// The release.
    pub release: ReleaseNumber,
    /// Its share.
    pub weight: Share,
}

/// Requests that go to one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseMatch {
    /// What they have.
    #[serde(flatten)]
    pub has: RequestMatch,
    /// Where they go.
    pub release: ReleaseNumber,
}

/// What a request has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestMatch {
    /// This header.
    Header(HeaderMatch),
    /// A cookie of this name, with this value if one is given. (It is written as headers are; the name of
    /// a cookie keeps its case.)
    Cookie(HeaderMatch),
}

/// A declared call and its address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The application.
    pub application: ApplicationName,
    /// Who calls.
    pub caller: ServiceName,
    /// Who is called.
    pub callee: ServiceName,
    /// The port on loopback where the caller finds the callee.
    pub port: u16,
    /// The policy.
    pub policy: Resilience,
    /// The release of the callee that is preferred while it has an instance: calls of a release under trial
    /// keep to the releases it is rolled out with.
    #[serde(default)]
    pub prefers: Option<ReleaseNumber>,
}

/// The key of a service: `shop/cart`.
pub fn backend_key(application: &ApplicationName, service: &ServiceName) -> String {
    format!("{application}/{service}")
}

/// The key of an edge: `shop/web>cart`.
pub fn edge_key(
    application: &ApplicationName,
    caller: &ServiceName,
    callee: &ServiceName,
) -> String {
    format!("{application}/{caller}>{callee}")
}

/// The key of an edge that is for one group of the caller: `shop/web#1>cart`.
pub fn group_edge_key(
    application: &ApplicationName,
    (caller, group): (&ServiceName, GroupNumber),
    callee: &ServiceName,
) -> String {
    format!("{application}/{caller}#{}>{callee}", group.0)
}

/// How a route is called where traffic is measured and shown: `shop.localhost/api`, `*/` for every host;
/// with methods before it and headers behind it where it wants some, `GET,HEAD */ x-beta=1`.
///
/// Whoever measures and whoever shows must agree on it; otherwise a route would seem to be without traffic.
pub fn route_key(route: &Route) -> String {
    let mut key = format!("{}{}", route.host.as_deref().unwrap_or("*"), route.path);
    if !route.methods.is_empty() {
        key = format!("{} {key}", route.methods.join(","));
    }
    for header in &route.headers {
        let value = header.value.as_deref().unwrap_or("*");
        key = format!("{key} {}={value}", header.name);
    }
    key
}

/// What the control process tells the data plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// The whole table: the first message on a connection.
    Table(Table),
    /// What changed since the table or patch before.
    Patch(Patch),
    /// Say when an instance, which is in no table any more, has no request in flight.
    Drain {
        /// The application.
        application: ApplicationName,
        /// The instance.
        instance: InstanceId,
    },
    /// What data planes that were replaced have in flight, by the name the edge has in signals; an edge that is not named has
    /// nothing in flight there. Only for those that say that they count it.
    Elsewhere(Arc<BTreeMap<String, u32>>),
}

/// The difference between two tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    /// The index of the later one.
    pub index: Index,
    /// Services that are new or different; without a value those that are gone.
    pub backends: BTreeMap<String, Option<Arc<Backend>>>,
    /// Edges that are new or different; without a value those that are gone.
    pub edges: BTreeMap<String, Option<Arc<Edge>>>,
    /// Applications whose routes are new or different; without a value those that are gone.
    pub routes: BTreeMap<ApplicationName, Option<Arc<[Route]>>>,
}

impl Patch {
    /// Whether nothing but the index is different.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty() && self.edges.is_empty() && self.routes.is_empty()
    }
}

impl Table {
    /// What must be changed in `self` to make it `later`.
    pub fn patch_to(&self, later: &Self) -> Patch {
        Patch {
            index: later.index,
            backends: difference(&self.backends, &later.backends),
            edges: difference(&self.edges, &later.edges),
            routes: difference(&self.routes, &later.routes),
        }
    }

    /// Makes the change.
    pub fn apply(&mut self, patch: Patch) {
        self.index = patch.index;
        change(&mut self.backends, patch.backends);
        change(&mut self.edges, patch.edges);
        change(&mut self.routes, patch.routes);
    }
}

fn difference<K: Ord + Clone, V: PartialEq + ?Sized>(
    before: &BTreeMap<K, Arc<V>>,
    after: &BTreeMap<K, Arc<V>>,
) -> BTreeMap<K, Option<Arc<V>>> {
    let same = |key: &K, value: &Arc<V>| {
        before.get(key).is_some_and(|it| Arc::ptr_eq(it, value) || it == value)
    };
    let changed = after.iter().filter(|(key, value)| !same(key, value));
    let changed = changed.map(|(key, value)| (key.clone(), Some(Arc::clone(value))));
    let gone = before.keys().filter(|it| !after.contains_key(it)).map(|it| (it.clone(), None));
    changed.chain(gone).collect()
}

fn change<K: Ord, V: ?Sized>(
    entries: &mut BTreeMap<K, Arc<V>>,
    changes: BTreeMap<K, Option<Arc<V>>>,
) {
    for (key, value) in changes {
        match value {
            Some(value) => entries.insert(key, value),
            None => entries.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_route_key(json: &str, key: &str) {
        let route: Route = serde_json::from_str(json).unwrap();
        assert_eq!(route_key(&route), key);
    }

    #[test]
    fn a_key_tells_routes_apart() {
        check_route_key(r#"{"path": "/", "service": "web"}"#, "*/");
        check_route_key(
            r#"{"host": "a.localhost", "path": "/x", "service": "web"}"#,
            "a.localhost/x",
        );
        check_route_key(
            r#"{"path": "/", "methods": ["GET", "HEAD"], "service": "web"}"#,
            "GET,HEAD */",
        );
        check_route_key(
            r#"{"path": "/", "service": "web",
                "headers": [{"name": "x-beta", "value": "1"}, {"name": "x-who"}]}"#,
            "*/ x-beta=1 x-who=*",
        );
    }
}
