//! What each of spigo's packages does, as a behaviour.
//!
//! spigo has no service times and no capacity, so these are ours: round numbers of the order one sees in the wild for
//! that kind of thing, on an idle machine. They are written into the file for people to change.
//!
//! | package | work p50 / p99 | at once | calls |
//! | --- | --- | --- | --- |
//! | denominator | 100us / 500us | all | one of its dependencies; outside requests come in here |
//! | elb | 500us / 2ms | all | one of its dependencies |
//! | zuul | 2ms / 10ms | 128 | one of its dependencies |
//! | karyon | 10ms / 50ms | 64 | one of its dependencies |
//! | monolith | 20ms / 100ms | 25 | one of its dependencies |
//! | staash | 3ms / 15ms | 64 | tiers: cache, then volume, then cassandra or riak, then the rest |
//! | store | 2ms / 10ms | 32 | one of its dependencies |
//! | cache | 300us / 1ms | 16 | one of its dependencies |
//! | volume | 1ms / 5ms | 16 | one of its dependencies |
//! | priamCassandra | 2ms / 12ms | 32 | one of its dependencies; keeps copies |
//! | riak | 3ms / 15ms | 32 | one of its dependencies; keeps copies |
//! | eureka | 1ms / 4ms | 32 | one of its dependencies; three in each region |
//! | edda | 5ms / 20ms | 8 | one of its dependencies |
//! | pirate | 1ms / 5ms | 8 | one of its dependencies |
//!
//! "One of" is uniform over all instances of all dependencies together, as in spigo; as calls that are
//! drawn independently this is an approximation, right on average. Of what a `staash` is asked, spigo's load is two
//! thirds gets and one third puts: a put goes to every tier, a get to the next tier only when the tier
//! before did not have it. So a tier is the cache of the next. A `store` that is called something like `evcache` is a cache, as it
//! is in spigo's own Netflix.
//!
//! Cassandra and Riak keep a copy in each zone, of each region if they know of the other regions by `eureka`. One copy
//! answers a read, and one that has it is enough for a write; the others get it as well.

use model::units::Share;

/// Share of gets that a tier of `staash` does not have. spigo's own load asks for a random key half of
/// the time, but a cache that misses half of the time is switched off; one in five is common.
const MISS_PERCENT: f64 = 20.0;
/// Share of spigo's requests that are puts.
const PUT_PERCENT: f64 = 100.0 / 3.0;
/// Zones of each of spigo's regions: A, B and C.
pub(super) const ZONES: u32 = 3;

/// A package of spigo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Package {
    pub(super) name: &'static str,
    /// Work time as `p50` and `p99`.
    pub(super) work: (&'static str, &'static str),
    /// Requests an instance works on at once; 0 is all of them.
    pub(super) concurrency: u32,
    /// Its place among the tiers behind a `staash`, the first tried first.
    tier: usize,
}

const fn package(name: &'static str, work: (&'static str, &'static str), at_once: u32) -> Package {
    Package { name, work, concurrency: at_once, tier: TIERS - 1 }
}

impl Package {
    const fn tier(self, tier: usize) -> Self {
        Self { tier, ..self }
    }

    /// Whether its instances keep copies for each other.
    pub(super) fn keeps_copies(&self) -> bool {
        self.tier == COPIES_TIER
    }

    /// Whether it asks one tier of its dependencies after another, and not one of all.
    pub(super) fn has_tiers(&self) -> bool {
        self.name == TIERED
    }

    /// Instances of one region of which the file gives no number.
    pub(super) fn uncounted(&self) -> u32 {
        if self.name == "eureka" { ZONES } else { 1 }
    }
}

/// The package through which requests come in.
pub(super) const ENTRY: &str = "denominator";
const TIERED: &str = "staash";
const TIERS: usize = 4;
/// The tier of Cassandra and Riak.
const COPIES_TIER: usize = 2;

pub(super) const PACKAGES: [Package; 14] = [
    package(ENTRY, ("100us", "500us"), 0),
    package("elb", ("500us", "2ms"), 0),
    package("zuul", ("2ms", "10ms"), 128),
    package("karyon", ("10ms", "50ms"), 64),
    package("monolith", ("20ms", "100ms"), 25),
    package(TIERED, ("3ms", "15ms"), 64),
    package("store", ("2ms", "10ms"), 32),
    package("cache", ("300us", "1ms"), 16).tier(0),
    package("volume", ("1ms", "5ms"), 16).tier(1),
    package("priamCassandra", ("2ms", "12ms"), 32).tier(COPIES_TIER),
    package("riak", ("3ms", "15ms"), 32).tier(COPIES_TIER),
    package("eureka", ("1ms", "4ms"), 32),
    package("edda", ("5ms", "20ms"), 8),
    package("pirate", ("1ms", "5ms"), 8),
];

/// The package of a service.
pub(super) fn find(package: &str, service: &str) -> Option<&'static Package> {
    let is_cache = package == "store" && service.to_lowercase().contains("cache");
    let name = if is_cache { "cache" } else { package };
    PACKAGES.iter().find(|it| it.name == name)
}

/// A dependency as its caller sees it.
#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) service: String,
    pub(super) package: &'static Package,
    pub(super) instances: u32,
}

/// A call of a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    pub(super) service: String,
    pub(super) share: Share,
    /// The tier before it, which is asked first, and how often it has the answer.
    pub(super) cache: Option<(String, Share)>,
    /// Whether something is put there.
    pub(super) puts: bool,
}

/// The calls of one service, in order.
pub(super) fn calls(package: &Package, dependencies: &[Dependency]) -> Vec<Made> {
    if !package.has_tiers() {
        let got = one_of(dependencies, 100.0).into_iter();
        return got
            .map(|(service, share)| Made { service, share, cache: None, puts: false })
            .collect();
    }
    let of_tier =
        |tier| dependencies.iter().filter(|it| it.package.tier == tier).cloned().collect();
    let tiers = (0..TIERS).map(of_tier).filter(|it: &Vec<_>| !it.is_empty());
    let tiers: Vec<Vec<Dependency>> = tiers.collect();
    let puts = tiers.iter().flat_map(|it| one_of(it, PUT_PERCENT));
    let puts = puts.map(|(service, share)| Made { service, share, cache: None, puts: true });
    gets(&tiers).into_iter().chain(puts).collect()
}

/// The first tier is the cache of the second; who gets to the tiers behind has missed both of them.
fn gets(tiers: &[Vec<Dependency>]) -> Vec<Made> {
    let mut reached = 100.0 - PUT_PERCENT;
    let (caches, behind): (&[Dependency], _) = match tiers {
        [caches, behind @ ..] if !behind.is_empty() => (caches, behind),
        all => (&[], all),
    };
    let mut made = Vec::new();
    for (number, tier) in behind.iter().enumerate() {
        for (place, (service, share)) in one_of(tier, reached).into_iter().enumerate() {
            let cache = caches.iter().cycle().nth(place % caches.len().max(1));
            let cache = cache
                .filter(|_| number == 0)
                .map(|it| (it.service.clone(), percent(100.0 - MISS_PERCENT)));
            made.push(Made { service, share, cache, puts: false });
        }
        if number == 0 && !caches.is_empty() {
            reached *= MISS_PERCENT / 100.0;
        }
        reached *= MISS_PERCENT / 100.0;
    }
    made
}

/// One of them, by instances, in `percent` of all requests.
fn one_of(dependencies: &[Dependency], of: f64) -> Vec<(String, Share)> {
    let all: u32 = dependencies.iter().map(|it| it.instances).sum();
    let share = |it: &Dependency| percent(of * f64::from(it.instances) / f64::from(all.max(1)));
    dependencies.iter().map(|it| (it.service.clone(), share(it))).collect()
}

/// Rounded to what a share can hold; more than everything only by a rounding error.
fn percent(percent: f64) -> Share {
    format!("{:.4}%", percent.min(100.0)).parse().unwrap_or(Share::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(service: &str, package: &str, instances: u32) -> Dependency {
        Dependency {
            service: service.to_owned(),
            package: find(package, service).unwrap(),
            instances,
        }
    }

    #[track_caller]
    fn check(package: &str, dependencies: &[Dependency], expected: &[&str]) {
        let told = |it: &Made| {
            let cache = it.cache.as_ref().map(|(it, hit)| format!(" behind {it} {hit}"));
            let puts = if it.puts { " put" } else { "" };
            format!("{} {}{}{puts}", it.service, it.share, cache.unwrap_or_default())
        };
        let calls: Vec<_> =
            calls(find(package, "").unwrap(), dependencies).iter().map(told).collect();
        assert_eq!(calls, expected);
    }

    #[test]
    fn one_of_all_instances() {
        let some = [dependency("a", "karyon", 6), dependency("b", "karyon", 3)];
        check("zuul", &some, &["a 66.6667%", "b 33.3333%"]);
        check("zuul", &some[..1], &["a 100%"]);
    }

    #[test]
    fn each_tier_is_the_cache_of_the_next() {
        let some = [
            dependency("cass", "priamCassandra", 6),
            dependency("evcache", "store", 3),
            dependency("disk", "store", 1),
        ];
        check(
            "staash",
            &some,
            &[
                "cass 66.6667% behind evcache 80%",
                "disk 2.6667%",
                "evcache 33.3333% put",
                "cass 33.3333% put",
                "disk 33.3333% put",
            ],
        );
        check("staash", &some[..1], &["cass 66.6667%", "cass 33.3333% put"]);
    }
}
