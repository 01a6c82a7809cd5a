//! What each of spigo's packages does, as a behaviour.
//!
//! spigo has no service times, so these are ours: round numbers of the order one sees in the wild for
//! that kind of thing, on an idle machine. They are written into the file for people to change.
//!
//! | package | work p50 / p99 | calls |
//! | --- | --- | --- |
//! | denominator | 100us / 500us | one of its dependencies; outside requests come in here |
//! | elb | 500us / 2ms | one of its dependencies |
//! | zuul | 2ms / 10ms | one of its dependencies |
//! | karyon | 10ms / 50ms | one of its dependencies |
//! | monolith | 20ms / 100ms | one of its dependencies |
//! | staash | 3ms / 15ms | cache, then volume, then cassandra or riak, then the rest |
//! | store | 2ms / 10ms | one of its dependencies |
//! | cache | 300us / 1ms | one of its dependencies |
//! | volume | 1ms / 5ms | one of its dependencies |
//! | priamCassandra | 2ms / 12ms | one of its dependencies |
//! | riak | 3ms / 15ms | one of its dependencies |
//! | eureka | 1ms / 4ms | one of its dependencies |
//! | edda | 5ms / 20ms | one of its dependencies |
//! | pirate | 1ms / 5ms | one of its dependencies |
//!
//! "One of" is uniform over all instances of all dependencies together, as in spigo; as calls that are
//! drawn independently this is an approximation, right on average. For `staash`, spigo's load is two
//! thirds gets and one third puts: a put goes to every tier, a get to the next tier only when the tier
//! before did not have it.

use model::units::Share;

/// Share of gets that a tier of `staash` does not have. spigo's own load asks for a random key half of
/// the time, but a cache that misses half of the time is switched off; one in five is common.
const MISS_PERCENT: f64 = 20.0;
/// Share of spigo's requests that are puts.
const PUT_PERCENT: f64 = 100.0 / 3.0;

/// A package of spigo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Package {
    pub(super) name: &'static str,
    /// Work time as `p50` and `p99`.
    pub(super) work: (&'static str, &'static str),
    /// Its place among the tiers behind a `staash`, the first tried first.
    tier: usize,
}

const fn package(name: &'static str, p50: &'static str, p99: &'static str, tier: usize) -> Package {
    Package { name, work: (p50, p99), tier }
}

/// The package through which requests come in.
pub(super) const ENTRY: &str = "denominator";
const TIERED: &str = "staash";

pub(super) const PACKAGES: [Package; 14] = [
    package(ENTRY, "100us", "500us", 3),
    package("elb", "500us", "2ms", 3),
    package("zuul", "2ms", "10ms", 3),
    package("karyon", "10ms", "50ms", 3),
    package("monolith", "20ms", "100ms", 3),
    package(TIERED, "3ms", "15ms", 3),
    package("store", "2ms", "10ms", 3),
    package("cache", "300us", "1ms", 0),
    package("volume", "1ms", "5ms", 1),
    package("priamCassandra", "2ms", "12ms", 2),
    package("riak", "3ms", "15ms", 2),
    package("eureka", "1ms", "4ms", 3),
    package("edda", "5ms", "20ms", 3),
    package("pirate", "1ms", "5ms", 3),
];

pub(super) fn find(name: &str) -> Option<&'static Package> {
    PACKAGES.iter().find(|it| it.name == name)
}

/// A dependency as its caller sees it.
#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) service: String,
    pub(super) package: &'static Package,
    pub(super) instances: u32,
}

/// The calls of one service, in order, each with its probability.
pub(super) fn calls(package: &Package, dependencies: &[Dependency]) -> Vec<(String, Share)> {
    if package.name != TIERED {
        return one_of(dependencies, 100.0);
    }
    let mut calls = Vec::new();
    let mut reached = 100.0;
    for tier in 0..4 {
        let of_tier: Vec<_> =
            dependencies.iter().filter(|it| it.package.tier == tier).cloned().collect();
        if of_tier.is_empty() {
            continue;
        }
        let gets = reached * (100.0 - PUT_PERCENT) / 100.0;
        calls.extend(one_of(&of_tier, PUT_PERCENT + gets));
        reached *= MISS_PERCENT / 100.0;
    }
    calls
}

/// One of them, by instances, in `percent` of all requests.
fn one_of(dependencies: &[Dependency], percent: f64) -> Vec<(String, Share)> {
    let all: u32 = dependencies.iter().map(|it| it.instances).sum();
    let share = |it: &Dependency| {
        let percent = percent * f64::from(it.instances) / f64::from(all.max(1));
        // Rounded to what a share can hold; more than everything only by a rounding error.
        format!("{:.4}%", percent.min(100.0)).parse().unwrap_or(Share::ALL)
    };
    dependencies.iter().map(|it| (it.service.clone(), share(it))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(service: &str, package: &str, instances: u32) -> Dependency {
        Dependency { service: service.to_owned(), package: find(package).unwrap(), instances }
    }

    #[track_caller]
    fn check(package: &str, dependencies: &[Dependency], expected: &[(&str, &str)]) {
        let calls = calls(find(package).unwrap(), dependencies);
        let calls: Vec<_> =
            calls.iter().map(|(it, share)| (it.as_str(), share.to_string())).collect();
        let calls: Vec<_> = calls.iter().map(|(it, share)| (*it, share.as_str())).collect();
        assert_eq!(calls, expected);
    }

    #[test]
    fn one_of_all_instances() {
        let some = [dependency("a", "karyon", 6), dependency("b", "karyon", 3)];
        check("zuul", &some, &[("a", "66.6667%"), ("b", "33.3333%")]);
        check("zuul", &some[..1], &[("a", "100%")]);
    }

    #[test]
    fn tiers_one_after_another() {
        let some = [
            dependency("cass", "priamCassandra", 6),
            dependency("cache", "cache", 3),
            dependency("disk", "store", 1),
        ];
        check("staash", &some, &[("cache", "100%"), ("cass", "46.6667%"), ("disk", "36%")]);
    }
}
