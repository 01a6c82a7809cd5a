//! Who calls whom: a graph without circles whose degrees are those of Meta's services.
//!
//! Services stand in a row: first those nobody calls, then those that are called and call, then those that call nobody.
//! Each draws how many it calls, and chooses them among those behind it by weights that are drawn as how often a service is
//! called. What it calls is exact, how often it is called right in proportion: the source's two distributions do not have
//! the same mean, so that no graph has both.

use std::collections::BTreeSet;

use model::Rng;

/// A share of services and what no more than that share exceeds.
type Quantiles = [(f64, f64); 7];

/// Services a service calls; 15 % call nobody. Source: as the module above, figure 9; the last is ours.
pub(super) const FAN_OUT: Quantiles =
    [(0.15, 1.0), (0.5, 4.0), (0.75, 11.0), (0.9, 23.0), (0.95, 45.0), (0.99, 257.0), (1.0, 400.0)];
/// Services that call a service; 39 % nobody calls.
pub(super) const FAN_IN: Quantiles =
    [(0.39, 1.0), (0.5, 1.0), (0.75, 5.0), (0.9, 19.0), (0.95, 38.0), (0.99, 206.0), (1.0, 400.0)];

/// Who calls whom.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// The places of those each calls, all of them behind it.
    callees: Vec<Vec<usize>>,
    roots: usize,
}

impl Graph {
    pub(super) fn draw(services: usize, rng: &mut Rng) -> Self {
        let roots = part(services, FAN_IN[0].0);
        let leaves = part(services, FAN_OUT[0].0);
        let weights = degrees(services - roots, &FAN_IN, rng);
        // How much all services up to a place weigh; those nobody calls weigh nothing.
        let mut total = 0.0;
        let mut until = vec![0.0; roots];
        for weight in weights {
            total += weight;
            until.push(total);
        }
        let mut graph = Self { callees: vec![Vec::new(); services], roots };
        let counts = degrees(services - leaves, &FAN_OUT, rng);
        for (place, count) in counts.into_iter().enumerate() {
            let first = (place + 1).max(roots);
            let callees = choose(&until, first, count, rng);
            if let Some(of) = graph.callees.get_mut(place) {
                *of = callees;
            }
        }
        graph.leave_nobody_out(rng);
        graph
    }

    /// Who is called by nobody by chance, though it should be, gets a caller.
    fn leave_nobody_out(&mut self, rng: &mut Rng) {
        let called: BTreeSet<usize> = self.callees.iter().flatten().copied().collect();
        let leaves = part(self.callees.len(), FAN_OUT[0].0);
        let callers = self.callees.len() - leaves;
        for place in self.roots..self.callees.len() {
            if !called.contains(&place) {
                let caller = below(place.min(callers), rng);
                if let Some(of) = self.callees.get_mut(caller) {
                    of.push(place);
                }
            }
        }
    }

    /// Services nobody calls: the first ones.
    pub(super) const fn roots(&self) -> usize {
        self.roots
    }

    /// The places of those a service calls.
    pub(super) fn callees(&self, place: usize) -> &[usize] {
        self.callees.get(place).map_or(&[], Vec::as_slice)
    }

    /// How often each is asked for one request from outside, if a service that calls makes `made` calls on average.
    pub(super) fn visits(&self, made: f64) -> Vec<f64> {
        let mut visits = vec![0.0; self.callees.len()];
        let door = 1.0 / count(self.roots);
        visits.iter_mut().take(self.roots).for_each(|it| *it = door);
        for (place, callees) in self.callees.iter().enumerate() {
            let own = visits.get(place).copied().unwrap_or_default();
            let share = own * share(made, callees.len());
            for callee in callees {
                if let Some(visits) = visits.get_mut(*callee) {
                    *visits += share;
                }
            }
        }
        visits
    }

    /// Calls a service makes for one request on average, so that a request from outside leads to `calls`; as many as there
    /// are if they are not enough.
    pub(super) fn calls_made(&self, calls: f64) -> f64 {
        // As many halvings as an f64 has bits.
        const BISECTIONS: u32 = 53;
        let (mut low, mut high) = (0.0, count(self.callees.len()));
        for _ in 0..BISECTIONS {
            let middle = f64::midpoint(low, high);
            if self.visits(middle).iter().sum::<f64>() - 1.0 < calls {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The probability of each of so many calls of which `made` are made on average.
pub(super) fn share(made: f64, callees: usize) -> f64 {
    (made / count(callees.max(1))).min(1.0)
}

/// `count` different places from `first` on, by their weights; fewer if there are no more.
fn choose(until: &[f64], first: usize, count: f64, rng: &mut Rng) -> Vec<usize> {
    let total = until.last().copied().unwrap_or_default();
    let before = first.checked_sub(1).and_then(|it| until.get(it)).copied().unwrap_or_default();
    let behind = until.len().saturating_sub(first);
    let count = whole(count).min(behind);
    let mut chosen = BTreeSet::new();
    // Near the end there are few to choose from, and the heaviest come up again and again.
    for _ in 0..count * 20 {
        if chosen.len() == count {
            break;
        }
        let at = before + (total - before) * rng.unit();
        let place = until.partition_point(|it| *it <= at);
        chosen.insert(place.clamp(first, until.len() - 1));
    }
    let mut chosen: Vec<usize> = chosen.into_iter().collect();
    shuffle(&mut chosen, rng);
    chosen
}

/// As many degrees as there are services that have any, one from each equal part of the distribution, in random order.
fn degrees(services: usize, quantiles: &Quantiles, rng: &mut Rng) -> Vec<f64> {
    let none = quantiles[0].0;
    let draw = |place: usize| {
        let part = (count(place) + rng.unit()) / count(services);
        libm::round(at(quantiles, none + (1.0 - none) * part))
    };
    let mut degrees: Vec<f64> = (0..services).map(draw).collect();
    shuffle(&mut degrees, rng);
    degrees
}

/// The quantile of a share, between its neighbours as logarithms.
fn at(quantiles: &Quantiles, share: f64) -> f64 {
    let above = quantiles.iter().position(|(it, _)| share <= *it).unwrap_or(quantiles.len() - 1);
    let pair =
        above.checked_sub(1).and_then(|it| Some((quantiles.get(it)?, quantiles.get(above)?)));
    let Some(((low, least), (high, most))) = pair else { return quantiles[0].1 };
    let part = (share - low) / (high - low);
    libm::exp(libm::log(*least) * (1.0 - part) + libm::log(*most) * part)
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, rng));
    }
}

fn below(bound: usize, rng: &mut Rng) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap_or_default()
}

fn part(services: usize, share: f64) -> usize {
    whole(count(services) * share).max(1)
}

#[expect(clippy::cast_precision_loss, reason = "there are never 2^53 services")]
const fn count(services: usize) -> f64 {
    services as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f64 saturates, which is what is meant"
)]
fn whole(number: f64) -> usize {
    libm::round(number) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares quantiles with the published ones; `tolerance` is a factor either way.
    #[track_caller]
    fn check(mut degrees: Vec<usize>, published: &Quantiles, tolerance: f64) {
        degrees.sort_unstable();
        let none = degrees.iter().filter(|it| **it == 0).count();
        let share = count(none) / count(degrees.len());
        assert!((share - published[0].0).abs() < 0.01, "{share} have none");
        for (share, expected) in &published[1..6] {
            let found = count(degrees[whole(count(degrees.len()) * share)]);
            let ratio = found / expected;
            assert!((1.0 / tolerance..=tolerance).contains(&ratio), "{share}: {found} {expected}");
        }
    }

    fn fan_in(graph: &Graph) -> Vec<usize> {
        let mut fan_in = vec![0; graph.callees.len()];
        graph.callees.iter().flatten().for_each(|it| fan_in[*it] += 1);
        fan_in
    }

    fn fan_out(graph: &Graph) -> Vec<usize> {
        graph.callees.iter().map(Vec::len).collect()
    }

    #[test]
    fn degrees_are_the_published_ones() {
        let graph = Graph::draw(6_000, &mut Rng::new(1));
        check(fan_out(&graph), &FAN_OUT, 1.1);
        check(fan_in(&graph), &FAN_IN, 2.0);
    }

    /// Of 300, nobody can call 257 or be called by 206, so that only the lower quantiles hold.
    #[test]
    fn a_small_graph_is_as_like_as_it_can_be() {
        let mut median = Vec::new();
        for seed in 0..20 {
            let graph = Graph::draw(300, &mut Rng::new(seed));
            let mut degrees = fan_out(&graph);
            degrees.sort_unstable();
            median.push(degrees[150]);
            assert!(graph.callees.iter().enumerate().all(|(at, of)| of.iter().all(|it| at < *it)));
            assert_eq!(graph.roots, 117);
            assert!(fan_in(&graph)[117..].iter().all(|it| 0 < *it));
        }
        assert!(median.iter().all(|it| (3..=5).contains(it)), "{median:?}");
    }

    #[test]
    fn a_request_leads_to_as_many_calls_as_it_should() {
        let graph = Graph::draw(300, &mut Rng::new(2));
        for calls in [1.0, 20.0, 120.0] {
            let visits = graph.visits(graph.calls_made(calls));
            assert!((visits.iter().sum::<f64>() - 1.0 - calls).abs() < 1e-6);
        }
    }
}
