//! Architectures as large as the largest, generated: hundreds of services, a hundred thousand instances.
//!
//! Nobody publishes such an architecture, but its statistics are: Huye, Shkuro and Sambasivan, "Lifting the veil on Meta's
//! microservice architecture" (ATC 2023), over 18 571 services. Who calls whom, and how often a service is there, is drawn
//! from distributions fitted to them. Calls go one way, so that a request ends; how often each is made follows from how
//! many a request may make.

use std::time::Duration;

use behaviour::Sampler;
use model::edge::Resilience;
use model::name::NameError;
use model::route::Priority;
use model::scenario::{
    DURATION_DEFAULT, Door, Entry, Load, LoadPart, Network, Scenario, Users, Zone,
};
use model::units::{Bytes, Share};
use model::workload::{Call, CallStep, WorkTime, Workload};
use model::{Application, Rng, Service, ServiceName};

mod graph;

use graph::Graph;

/// Services, at most: as many as the source counts.
pub const SERVICES_MAX: u32 = 18_571;

/// Services, at least: fewer have no quantiles.
pub const SERVICES_MIN: u32 = 10;

/// Requests an instance works on at once.
const CONCURRENCY: u32 = 8;

/// Calls made at once in one step.
const PARALLEL: usize = 8;

/// Mean and deviation of the logarithm of a service's instances: with 300 services, 57 000 to 174 000 of them
/// (p10 to p90).
const INSTANCES: (f64, f64) = (2.86, 2.47);

/// The median of work times over services, and how far the middle two thirds of services are from it, as a factor: between
/// a lookup and a page.
const WORK: (f64, f64) = (0.002, 2.0);

/// How many times as long as half of all requests the slowest in a hundred take at one service.
const WORK_P99: u32 = 6;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WebScale {
    /// Services, from [`SERVICES_MIN`] to [`SERVICES_MAX`].
    pub services: u32,
    /// Instances of all services together; as many as are drawn if absent.
    pub instances: Option<u32>,
    /// What all draws follow from.
    pub seed: u64,
    /// Calls that one request from outside leads to, on average.
    pub calls: f64,
    /// How many requests come.
    pub offered: Offered,
}

/// How many requests come from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offered {
    /// So many a second.
    Rate(f64),
    /// So many that the busiest service has this share of the work it can do.
    Busiest(f64),
}

impl Default for WebScale {
    /// 300 services, 100 000 instances, 100 calls a request, 1000 requests a second: what is simulated in seconds. The
    /// instances could take half a million.
    fn default() -> Self {
        let offered = Offered::Rate(1_000.0);
        Self { services: 300, instances: Some(100_000), seed: 1, calls: 100.0, offered }
    }
}

/// What was generated.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The application. Its services may have more instances than one machine holds.
    pub application: Application,
    /// Users of it, in three zones.
    pub scenario: Scenario,
}

impl WebScale {
    /// Generates an architecture. Numbers outside their limits are taken as the nearest within.
    pub fn generate(&self) -> Result<Generated, NameError> {
        let rng = Rng::new(self.seed);
        let services = in_memory(self.services.clamp(SERVICES_MIN, SERVICES_MAX));
        let graph = Graph::draw(services, &mut rng.child("calls"));
        let made = graph.calls_made(self.calls);
        let visits = graph.visits(made);
        let work = work_times(services, &mut rng.child("work"));
        let seconds = work.iter().map(|it| Sampler::new(it).mean().as_secs_f64());
        let demand: Vec<f64> = visits.iter().zip(seconds).map(|(a, b)| a * b).collect();
        let instances = self.instances(&demand, &mut rng.child("instances"));
        let names: Vec<ServiceName> = (1..=services).map(name).collect::<Result<_, _>>()?;
        let mut application = Application::empty("web-scale".parse()?);
        for (place, (work, replicas)) in work.into_iter().zip(&instances).enumerate() {
            let steps = steps(graph.callees(place), made, &names);
            let workload =
                Workload { work, steps, concurrency: Some(CONCURRENCY), ..Workload::default() };
            let mut service = Service::synthetic(workload, *replicas);
            let callees = graph.callees(place).iter().filter_map(|it| names.get(*it));
            service.calls = callees.map(|it| (it.clone(), Resilience::default())).collect();
            if let Some(name) = names.get(place) {
                application.services.insert(name.clone(), service);
            }
        }
        let rate = match self.offered {
            Offered::Rate(rate) => rate.max(0.0),
            Offered::Busiest(share) => share.clamp(0.0, 1.0) * most(&demand, &instances),
        };
        let doors = names.iter().take(graph.roots());
        Ok(Generated { application, scenario: scenario(doors, rate) })
    }

    /// How many instances each service has: those with the most to do have the most.
    fn instances(&self, demand: &[f64], rng: &mut Rng) -> Vec<u32> {
        let mut drawn: Vec<f64> = demand.iter().map(|_| instances(rng)).collect();
        drawn.sort_unstable_by(|a, b| b.total_cmp(a));
        let mut busiest: Vec<usize> = (0..demand.len()).collect();
        let of = |it: &usize| demand.get(*it).copied().unwrap_or_default();
        busiest.sort_by(|a, b| of(b).total_cmp(&of(a)));
        let factor = match self.instances {
            Some(wanted) => f64::from(wanted) / drawn.iter().sum::<f64>().max(1.0),
            None => 1.0,
        };
        let mut instances = vec![1; demand.len()];
        for (place, drawn) in busiest.into_iter().zip(drawn) {
            if let Some(instances) = instances.get_mut(place) {
                *instances = whole(drawn * factor).max(1);
            }
        }
        instances
    }
}

/// Instances of one service.
fn instances(rng: &mut Rng) -> f64 {
    let (mean, deviation) = INSTANCES;
    libm::round(libm::exp(mean + deviation * rng.normal())).max(1.0)
}

/// How long work takes at each service.
fn work_times(services: usize, rng: &mut Rng) -> Vec<WorkTime> {
    let (median, spread) = WORK;
    let draw = |_| {
        let micros = median * 1e6 * libm::exp(libm::log(spread) * rng.normal());
        let p50 = Duration::from_micros(u64::from(whole(micros).max(1)));
        WorkTime::Lognormal { p50, p99: p50 * WORK_P99 }
    };
    (0..services).map(draw).collect()
}

/// The calls of a service, so many at once, of which `made` are made on average.
fn steps(callees: &[usize], made: f64, names: &[ServiceName]) -> Vec<CallStep> {
    let share = graph::share(made, callees.len());
    let millionths = whole(share * 1e6).clamp(1, 1_000_000);
    let call = |place: &usize| {
        Some(Call {
            service: names.get(*place)?.clone(),
            probability: Share::from_millionths(millionths),
            times: 1,
            request: Bytes::default(),
            optional: false,
            cache: None,
            connections: None,
        })
    };
    let step = |it: &[usize]| CallStep { parallel: it.iter().filter_map(call).collect() };
    callees.chunks(PARALLEL).map(step).collect()
}

/// Requests a second at which the busiest service is never idle. A service's `demand` is the seconds it works for one.
fn most(demand: &[f64], instances: &[u32]) -> f64 {
    let able = |(demand, instances): (&f64, &u32)| {
        f64::from(*instances) * f64::from(CONCURRENCY) / demand.max(f64::MIN_POSITIVE)
    };
    demand.iter().zip(instances).map(able).fold(f64::INFINITY, f64::min)
}

fn scenario<'a>(doors: impl Iterator<Item = &'a ServiceName>, rate: f64) -> Scenario {
    let entry = |service: &ServiceName| Entry {
        service: service.clone(),
        weight: 1,
        request: Bytes::default(),
        priority: Priority::default(),
        resilience: Box::default(),
    };
    let users = Users {
        name: "users".to_owned(),
        load: Load::Open(vec![LoadPart { from: rate, to: rate, lasts: DURATION_DEFAULT }]),
        requests: doors.map(entry).collect(),
        door: Door::Gateway,
        again: None,
    };
    let zone = |name: &str| Zone { name: name.to_owned(), region: "local".to_owned() };
    let network = Network {
        zones: ["a", "b", "c"].map(zone).into(),
        within_zone: Duration::from_micros(250),
        ..Network::default()
    };
    Scenario { users: vec![users], network, ..Scenario::default() }
}

fn name(number: usize) -> Result<ServiceName, NameError> {
    format!("service-{number:05}").parse()
}

fn in_memory(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f64 saturates, which is what is meant"
)]
fn whole(number: f64) -> u32 {
    libm::round(number) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recipe's own figures: the sum of 300 draws.
    #[test]
    fn three_hundred_services_have_about_a_hundred_thousand_instances() {
        let mut rng = Rng::new(7);
        let mut sums: Vec<f64> =
            (0..2_000).map(|_| (0..300).map(|_| instances(&mut rng)).sum()).collect();
        sums.sort_unstable_by(f64::total_cmp);
        for (at, published) in [(200, 57_000.0), (1_000, 88_000.0), (1_800, 174_000.0)] {
            // The tail is heavy: two thousand sums know their p90 to a tenth.
            assert!((sums[at] / published - 1.0).abs() < 0.1, "{} {published}", sums[at]);
        }
    }

    /// A lognormal is lighter in the tail than what was published, 8, 64, 650, 2938 and 31566, and twice as heavy in the
    /// middle: that is the price of two parameters, and the sum is right.
    #[test]
    fn instances_are_the_fitted_ones() {
        let mut rng = Rng::new(9);
        let mut drawn: Vec<f64> = (0..100_000).map(|_| instances(&mut rng)).collect();
        drawn.sort_unstable_by(f64::total_cmp);
        let of = [(0.5, 17.5), (0.75, 92.4), (0.9, 413.7), (0.95, 1_015.0), (0.99, 5_463.0)];
        let published = [8.0, 64.0, 650.0, 2_938.0, 31_566.0];
        for ((share, fitted), published) in of.into_iter().zip(published) {
            let found = drawn[whole(share * 100_000.0) as usize];
            assert!((found / fitted - 1.0).abs() < 0.1, "{share}: {found} {fitted}");
            assert!((0.15..2.5).contains(&(found / published)), "{share}: {found} {published}");
        }
    }
}
