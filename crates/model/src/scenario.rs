//! What an application is put through: who uses it, over which network, and what goes wrong when.
//!
//! A scenario says nothing about what the application is; the same application meets many of them. It is data:
//! the simulator plays it in virtual time, and its schedule of faults is meant for the real application too.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::edge::Resilience;
use crate::name::ServiceName;
use crate::route::Priority;
use crate::units::{Bytes, Share, duration, optional_duration};
use crate::workload::WorkTime;

/// Everything an application is put through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// How long it is watched, the warm-up included.
    #[serde(with = "duration")]
    pub duration: Duration,
    /// Time at the beginning that is not counted; found from the run (MSER-5) if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub warm_up: Option<Duration>,
    /// Who uses it.
    pub users: Vec<Users>,
    /// What lies between instances.
    pub network: Network,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What is asked of it.
    #[serde(default)]
    pub objective: Objective,
    /// What instances do with requests whose caller has left.
    #[serde(default)]
    pub abandoned: Abandoned,
    /// Whether callers pass on how long they wait.
    #[serde(default)]
    pub deadlines: Deadlines,
}

/// Time a run takes if nobody says otherwise: a thousand times a usual second of work.
pub const DURATION_DEFAULT: Duration = Duration::from_mins(5);

impl Default for Scenario {
    /// Nobody uses it, and nothing goes wrong.
    fn default() -> Self {
        Self {
            duration: DURATION_DEFAULT,
            warm_up: None,
            users: Vec::new(),
            network: Network::default(),
            faults: Vec::new(),
            objective: Objective::default(),
            abandoned: Abandoned::default(),
            deadlines: Deadlines::default(),
        }
    }
}

/// People, or programs, who send requests from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// What they are called in reports.
    pub name: String,
    /// When they send.
    pub load: Load,
    /// What they send, at least one.
    pub requests: Vec<Entry>,
    /// The way in.
    #[serde(default)]
    pub door: Door,
    /// What they do when a request fails; they give up if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
}

/// When requests are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Whatever becomes of earlier ones, at a rate that may change, as from many people who do not know of each
    /// other (a Poisson process). Where the parts end, the last rate goes on.
    Open(Vec<LoadPart>),
    /// So many users, each of whom waits for an answer, thinks, and sends again.
    Closed {
        /// How many.
        users: u32,
        /// How long each thinks.
        think: WorkTime,
    },
}

/// A time in which the rate changes evenly from one to another, or not at all. Requests per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadPart {
    /// Rate at its beginning.
    pub from: f64,
    /// Rate at its end.
    pub to: f64,
    /// How long it is.
    #[serde(with = "duration")]
    pub lasts: Duration,
}

/// One kind of request from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The service it goes to.
    pub service: ServiceName,
    /// How often, beside the others.
    pub weight: u32,
    /// Bytes of its body; 0 is a GET.
    #[serde(default)]
    pub request: Bytes,
    /// What goes first when there is too much.
    #[serde(default)]
    pub priority: Priority,
    /// The policy of the edge from outside.
    #[serde(default)]
    pub resilience: Box<Resilience>,
}

/// The way in from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// Through the gateway, with its balancing and its policy.
    #[default]
    Gateway,
    /// To an instance drawn at random, without policy, network or time limit: textbook queues.
    Direct,
}

/// What users do when a request fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Again {
    /// How often they try again at most; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// How long they wait before.
    pub pause: WorkTime,
}

/// What lies between instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Where instances are: instance `n` of a service is in zone `n` modulo their number. At least one.
    pub zones: Vec<Zone>,
    /// Time of one message between instances of one zone.
    #[serde(with = "duration")]
    pub within_zone: Duration,
    /// Between zones of one region.
    #[serde(with = "duration")]
    pub between_zones: Duration,
    /// Between regions, where no link says otherwise.
    #[serde(with = "duration")]
    pub between_regions: Duration,
    /// Between two regions.
    #[serde(default)]
    pub links: Vec<Link>,
    /// The part of a message's time that is random (exponential, on top), as a share of it.
    #[serde(default)]
    pub jitter: Share,
    /// Messages lost: each costs a retransmission, the first after 200 ms, the next after twice that.
    #[serde(default)]
    pub loss: Share,
    /// Time the data plane takes for one request and its answer, beside the network.
    #[serde(default, with = "duration")]
    pub hop: Duration,
    /// Cores of the data plane in each zone: each decides by itself.
    pub workers: u32,
}

impl Default for Network {
    /// One machine: no distance, one core.
    fn default() -> Self {
        Self {
            zones: [Zone { name: "local".into(), region: "local".into() }].into(),
            within_zone: Duration::ZERO,
            between_zones: Duration::from_millis(1),
            between_regions: Duration::from_millis(80),
            links: Vec::new(),
            jitter: Share::ZERO,
            loss: Share::ZERO,
            hop: Duration::ZERO,
            workers: 1,
        }
    }
}

/// A place instances are in that may be lost as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name, unique.
    pub name: String,
    /// The region it is in.
    pub region: String,
}

/// The distance of two regions, both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The two.
    pub between: (String, String),
    /// Time of one message.
    #[serde(with = "duration")]
    pub latency: Duration,
}

/// What is asked of the requests from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Share of them that must be answered well.
    pub success: Share,
    /// Quantiles of their latency, each with the most it may be.
    #[serde(default)]
    pub latency: Vec<LatencyObjective>,
}

impl Default for Objective {
    /// 99.9 % answered well, 99 % of them within a second.
    fn default() -> Self {
        let latency =
            LatencyObjective { quantile: Share::from_percent(99), within: Duration::from_secs(1) };
        Self { success: Share::from_millionths(999_000), latency: [latency].into() }
    }
}

/// One quantile of latency and the most it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyObjective {
    /// The quantile.
    pub quantile: Share,
    /// The most it may be.
    #[serde(with = "duration")]
    pub within: Duration,
}

/// What instances do with requests whose caller has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Abandoned {
    /// They stop at once, and so do those they called.
    #[default]
    Cancelled,
    /// They finish what they have begun, and do not begin what waits.
    Skipped,
    /// They work on it as on any other.
    WorkedOn,
}

/// Whether callers pass on how long they wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deadlines {
    /// Each edge knows its own time limit only.
    #[default]
    Local,
    /// A call ends no later than the request it is made for.
    Propagated,
}

/// Something that goes wrong, or is done to the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins.
    pub when: When,
    /// How long it lasts; what cannot be undone (a kill, a release) has no duration.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub lasts: Option<Duration>,
    /// What it is.
    pub what: FaultKind,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Once, so long after the beginning.
    At(#[serde(with = "duration")] Duration),
    /// Again and again, at random, so often on average (a Poisson process).
    Every(#[serde(with = "duration")] Duration),
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Instances die.
    Kill(Victims),
    /// A zone is gone: its instances die, and new ones start only when it is back.
    ZoneLost(String),
    /// All zones of a region are gone.
    RegionLost(String),
    /// Work takes so many times as long.
    Slow {
        /// Whose.
        victims: Victims,
        /// How many times as long, above 0.
        factor: f64,
    },
    /// Requests fail by themselves.
    Flaky {
        /// Whose.
        victims: Victims,
        /// How many.
        errors: Share,
    },
    /// Instances get this share of their processors.
    Cpu {
        /// Which.
        victims: Victims,
        /// The share that is left, above 0.
        share: Share,
    },
    /// No message passes between two sides.
    Partition {
        /// Zones or services on one side.
        from: Vec<String>,
        /// Zones or services on the other.
        to: Vec<String>,
    },
    /// More messages are lost.
    Loss(Share),
    /// Messages take longer.
    Delay(#[serde(with = "duration")] Duration),
    /// A cache forgets everything and fills again: its misses halve in each such time.
    CacheFlushed {
        /// Which service is flushed.
        service: ServiceName,
        /// Time in which misses above the usual halve.
        #[serde(with = "duration")]
        half_life: Duration,
    },
    /// A new release is deployed, as its service's update policy says.
    Released {
        /// Of which service.
        service: ServiceName,
        /// How many times as long its work takes, above 0.
        factor: f64,
        /// How many requests fail by themselves, beside those that did before.
        errors: Share,
    },
    /// Somebody changes the policy of a declared call.
    Configured {
        /// Who calls.
        caller: ServiceName,
        /// Who is called.
        callee: ServiceName,
        /// The policy.
        resilience: Box<Resilience>,
    },
    /// Somebody wants another number of instances.
    Scaled {
        /// Of which service.
        service: ServiceName,
        /// How many.
        replicas: u32,
    },
    /// Users send so many times as much.
    Load(f64),
    /// So many requests come at one moment: clocks that agree.
    Surge(u32),
}

/// Which instances of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Victims {
    /// The service; any, drawn at random each time, if absent.
    pub service: Option<ServiceName>,
    /// How many of its instances, drawn at random; all if absent.
    pub instances: Option<u32>,
}
