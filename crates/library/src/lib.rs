//! Architectures everybody knows, as applications and scenarios: to run, to simulate, to begin from; and a
//! generator of large ones that nobody has published.
//!
//! They are files a person could have written, since that is what people begin from; they are read like any other,
//! and a test reads them all. Their times are of the size such services show on an idle machine, and say so: a
//! library that claimed to know the real ones would be believed.

use std::collections::BTreeMap;

use manifest::{Problems, ScenarioRead};

pub mod web_scale;

pub use web_scale::{Generated, Offered, WebScale};

/// A well-known architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// What it is asked for by.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it shows.
    pub description: &'static str,
    /// Its pelago.yaml.
    pub manifest: &'static str,
    /// A scenario for it.
    pub scenario: &'static str,
}

impl Architecture {
    /// The application and the scenario, read.
    pub fn read(&self) -> Result<ScenarioRead, Problems> {
        let application = manifest::read(self.name, self.manifest, &BTreeMap::new())?.application;
        manifest::scenario(self.name, self.scenario, &application)
    }
}

macro_rules! architecture {
    ($name:literal, $title:literal, $description:literal) => {
        Architecture {
            name: $name,
            title: $title,
            description: $description,
            manifest: include_str!(concat!("../architectures/", $name, "/pelago.yaml")),
            scenario: include_str!(concat!("../architectures/", $name, "/scenario.yaml")),
        }
    };
}

/// All of them, in the order to look at them.
static ALL: [Architecture; 19] = [
    architecture!(
        "lamp",
        "LAMP",
        "a load balancer, PHP, memcached and MySQL, and what a flushed cache does to them"
    ),
    architecture!(
        "migration-0",
        "Migration 0: LAMP without a cache",
        "LAMP without a cache, where the way to Netflix OSS begins"
    ),
    architecture!("migration-1", "Migration 1: memcached", "memcached beside MySQL"),
    architecture!("migration-2", "Migration 2: Zuul", "a proxy that routes and retries (Zuul)"),
    architecture!(
        "migration-3",
        "Migration 3: Staash and EVCache",
        "a data access layer (Staash) with EVCache"
    ),
    architecture!("migration-4", "Migration 4: Node beside PHP", "new code in Node beside PHP"),
    architecture!("migration-5", "Migration 5: Cassandra beside MySQL", "Cassandra beside MySQL"),
    architecture!("migration-6", "Migration 6: without MySQL", "without MySQL"),
    architecture!(
        "migration-7",
        "Migration 7: two regions",
        "a second region with data of its own"
    ),
    architecture!(
        "migration-8",
        "Migration 8: two regions, one truth",
        "data shared between two regions"
    ),
    architecture!(
        "migration-9",
        "Migration 9: three regions",
        "three regions, any of which may be lost"
    ),
    architecture!(
        "netflix",
        "Netflix OSS",
        "pages and interface of a streaming service, under the chaos monkey"
    ),
    architecture!(
        "cassandra",
        "Cassandra ring",
        "twelve nodes, three copies, a quorum, and a lost zone"
    ),
    architecture!(
        "online-boutique",
        "Online Boutique",
        "Google Cloud's demonstration shop, by people who think between pages"
    ),
    architecture!("sock-shop", "Sock Shop", "Weaveworks' demonstration shop, in a sale"),
    architecture!(
        "deathstarbench-social",
        "DeathStarBench: social network",
        "timelines and posts, and a cache that forgets"
    ),
    architecture!(
        "deathstarbench-hotel",
        "DeathStarBench: hotel reservation",
        "search, recommend, reserve, and slow prices"
    ),
    architecture!(
        "deathstarbench-media",
        "DeathStarBench: media",
        "reviews composed of parts, and a premiere"
    ),
    architecture!(
        "train-ticket",
        "TrainTicket",
        "42 modules and 26 databases, whose deepest chain becomes slow"
    ),
];

/// All architectures, in the order to look at them.
pub fn all() -> &'static [Architecture] {
    &ALL
}

/// The architecture of this name.
pub fn find(name: &str) -> Option<&'static Architecture> {
    ALL.iter().find(|it| it.name == name)
}
