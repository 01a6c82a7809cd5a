//! Where the time of a request goes: the chain of work and waiting that its end had to wait for.
//!
//! A trace is walked back from its end. At each span the child that ended last is what was waited for; what lies between
//! children is the span's own time. So every moment of a request belongs to one service, or to the network.

use std::time::Duration;

use api::simulation::PathShare;

use crate::outcome::{Span, Trace};
use crate::system::System;

/// Calls within calls that are followed: deeper ones count as the work of the last that is.
const DEPTH_MAX: usize = 64;

/// Time on critical paths, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// Working and waiting of each service.
    services: Vec<(Duration, Duration)>,
    network: Duration,
}

/// When a span passed each of its points, in order.
#[derive(Clone, Copy, Debug)]
struct Course {
    sent: Duration,
    arrived: Duration,
    began: Duration,
    answered: Duration,
    ended: Duration,
    /// When the caller gave up, if it did: what was still going on was waited for until then.
    cut: Option<Duration>,
}

/// What a span comes to when its caller did not wait for the answer.
const GIVEN_UP: [&str; 3] = ["attempt-timeout", "timeout", "cancelled"];

impl Course {
    /// What had not happened when the caller gave up lasted until then: work that had begun, as what has made calls has, else
    /// waiting for its turn. If what the caller did this for was given up itself, that was at `cut`.
    fn of(span: &Span, children: &[usize], cut: Option<Duration>) -> Self {
        let is_given_up = GIVEN_UP.contains(&span.outcome.as_str());
        // What was going on when its request ended has no end of its own, or a later one.
        let is_open = is_given_up && span.ended == span.answered;
        let cut = cut.filter(|it| is_open || *it < span.ended);
        let ended = cut.unwrap_or(span.ended).max(span.sent);
        let is_given_up = is_given_up || cut.is_some();
        let arrived = span.arrived.clamp(span.sent, ended);
        let mut began = span.began.clamp(arrived, ended);
        let mut answered = span.answered.clamp(began, ended);
        if is_given_up && answered == began {
            if began == arrived && children.is_empty() {
                began = ended;
            }
            answered = ended;
        }
        let cut = is_given_up.then_some(answered);
        Self { sent: span.sent, arrived, began, answered, ended, cut }
    }
}

impl Path {
    /// The critical paths of some traces.
    pub(super) fn of(traces: &[Trace], services: usize) -> Self {
        let mut path = Self {
            services: vec![(Duration::ZERO, Duration::ZERO); services],
            network: Duration::ZERO,
        };
        for trace in traces {
            path.add_trace(trace);
        }
        path
    }

    /// And those of another replication.
    pub(super) fn add(&mut self, other: &Self) {
        if self.services.len() < other.services.len() {
            self.services.resize(other.services.len(), (Duration::ZERO, Duration::ZERO));
        }
        for (here, there) in self.services.iter_mut().zip(&other.services) {
            here.0 += there.0;
            here.1 += there.1;
        }
        self.network += other.network;
    }

    /// The shares, the largest first, without those that have none.
    pub(super) fn shares(&self, system: &System) -> Vec<PathShare> {
        let total: Duration = self.services.iter().map(|it| it.0 + it.1).sum();
        let total = (total + self.network).as_secs_f64();
        if total <= 0.0 {
            return Vec::new();
        }
        let share = |name: &str, working: Duration, waiting: Duration| PathShare {
            name: name.to_owned(),
            share: (working + waiting).as_secs_f64() / total,
            working: working.as_secs_f64() / total,
            waiting: waiting.as_secs_f64() / total,
        };
        let services = system.services().iter().zip(&self.services);
        let mut shares: Vec<PathShare> = services
            .map(|(name, (working, waiting))| share(name.as_str(), *working, *waiting))
            .collect();
        let network = self.network.as_secs_f64() / total;
        shares.push(PathShare {
            name: "network".to_owned(),
            share: network,
            working: 0.0,
            waiting: 0.0,
        });
        shares.retain(|it| 0.0 < it.share);
        shares.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.name.cmp(&b.name)));
        shares
    }

    fn add_trace(&mut self, trace: &Trace) {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); trace.spans.len()];
        let mut roots = Vec::new();
        for (number, span) in trace.spans.iter().enumerate() {
            match span.parent.filter(|it| *it < number).and_then(|it| children.get_mut(it)) {
                Some(of_parent) => of_parent.push(number),
                None => roots.push(number),
            }
        }
        let walk = Walk { spans: &trace.spans, children: &children };
        let courses = || roots.iter().filter_map(|it| walk.course(*it, None));
        let from = courses().map(|it| it.sent).min();
        let until = courses().map(|it| it.ended).max();
        if let Some((from, until)) = from.zip(until) {
            // What lies between attempts of the request itself is time the way in took.
            let between = self.walk_back((walk, None), &roots, (from, until), 0);
            self.network += between;
        }
    }

    /// Walks back over the children from the end of a time to its beginning, and returns what belongs to none of them.
    fn walk_back(
        &mut self,
        (walk, cut): (Walk<'_>, Option<Duration>),
        children: &[usize],
        (from, until): (Duration, Duration),
        depth: usize,
    ) -> Duration {
        let mut ended_last: Vec<(Course, usize)> = Vec::new();
        if depth < DEPTH_MAX {
            let courses = children.iter().filter_map(|it| Some((walk.course(*it, cut)?, *it)));
            ended_last.extend(courses);
        }
        ended_last.sort_by_key(|(course, number)| (std::cmp::Reverse(course.ended), *number));
        let (mut at, mut own) = (until, Duration::ZERO);
        for (course, number) in ended_last {
            // One that runs on past this point was not waited for; nor was one that ended before all began.
            if at < course.ended || course.sent < from {
                continue;
            }
            own += at.saturating_sub(course.ended);
            self.add_span(walk, number, course, depth + 1);
            at = course.sent;
        }
        own + at.saturating_sub(from)
    }

    fn add_span(&mut self, walk: Walk<'_>, number: usize, course: Course, depth: usize) {
        self.network += course.arrived.saturating_sub(course.sent);
        self.network += course.ended.saturating_sub(course.answered);
        let children = walk.children(number);
        let time = (course.began, course.answered);
        let working = self.walk_back((walk, course.cut), children, time, depth);
        let service = walk.spans.get(number).and_then(|it| self.services.get_mut(it.service));
        if let Some(service) = service {
            service.0 += working;
            service.1 += course.began.saturating_sub(course.arrived);
        }
    }
}

/// The spans of a trace, and the children of each.
#[derive(Clone, Copy)]
struct Walk<'a> {
    spans: &'a [Span],
    children: &'a [Vec<usize>],
}

impl<'a> Walk<'a> {
    fn children(&self, number: usize) -> &'a [usize] {
        self.children.get(number).map(Vec::as_slice).unwrap_or_default()
    }

    fn course(&self, number: usize, cut: Option<Duration>) -> Option<Course> {
        self.spans.get(number).map(|it| Course::of(it, self.children(number), cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A span of a service: its parent, and its five points in milliseconds.
    fn span(parent: Option<usize>, service: usize, points: [u64; 5]) -> Span {
        let [sent, arrived, began, answered, ended] = points.map(Duration::from_millis);
        let outcome = "success".to_owned();
        let (edge, instance, zone) = (0, 0, 0);
        Span {
            parent,
            edge,
            service,
            instance,
            zone,
            sent,
            arrived,
            began,
            answered,
            ended,
            outcome,
        }
    }

    /// Working and waiting of each service, and the network, in milliseconds.
    #[track_caller]
    fn check(spans: Vec<Span>, services: &[(u64, u64)], network: u64) {
        let path = Path::of(&[Trace { users: 0, spans }], services.len());
        let of = |it: Duration| u64::try_from(it.as_millis()).unwrap();
        let found: Vec<_> = path.services.iter().map(|it| (of(it.0), of(it.1))).collect();
        assert_eq!((found.as_slice(), of(path.network)), (services, network));
    }

    #[test]
    fn a_span_alone() {
        check(vec![span(None, 0, [0, 1, 11, 31, 32])], &[(20, 10)], 2);
    }

    #[test]
    fn of_calls_at_once_the_one_that_ended_last_counts() {
        let root = span(None, 0, [0, 0, 0, 100, 100]);
        let quick = span(Some(0), 1, [10, 10, 10, 40, 40]);
        let slow = span(Some(0), 2, [10, 11, 21, 79, 80]);
        check(vec![root, quick, slow], &[(30, 0), (0, 0), (58, 10)], 2);
    }

    #[test]
    fn calls_after_each_other_all_count() {
        let root = span(None, 0, [0, 0, 0, 100, 100]);
        let first = span(Some(0), 1, [10, 10, 10, 40, 40]);
        let second = span(Some(0), 1, [50, 50, 50, 90, 90]);
        check(vec![root, first, second], &[(30, 0), (70, 0)], 0);
    }

    #[test]
    fn what_was_given_up_was_waited_for_until_then() {
        let given_up = |points| {
            let outcome = "attempt-timeout".to_owned();
            Span { outcome, ..span(Some(0), 1, points) }
        };
        let root = span(None, 0, [0, 0, 0, 100, 100]);
        // One waits at the instance until its time is over, one is worked on.
        let (waiting, working) = (given_up([0, 5, 5, 5, 60]), given_up([60, 65, 70, 70, 90]));
        check(vec![root, waiting, working], &[(10, 0), (20, 60)], 10);
        // What was given up had begun if it has made calls.
        let root = Span { parent: None, service: 0, ..given_up([0, 0, 0, 0, 100]) };
        let call = span(Some(0), 1, [10, 10, 10, 40, 40]);
        check(vec![root.clone(), call], &[(70, 0), (30, 0)], 0);
        // A call that was still waiting then has no end of its own, or a later one.
        let waiting = |points, outcome: &str| {
            let outcome = outcome.to_owned();
            Span { outcome, ..span(Some(0), 1, points) }
        };
        let open = waiting([10, 15, 15, 15, 15], "cancelled");
        check(vec![root.clone(), open], &[(10, 0), (0, 85)], 5);
        let late = waiting([10, 15, 80, 300, 301], "ok");
        check(vec![root, late], &[(10, 0), (20, 65)], 5);
    }

    #[test]
    fn nothing_has_no_path() {
        check(Vec::new(), &[], 0);
    }

    proptest! {
        #[test]
        fn every_moment_belongs_to_somebody(
            spans in prop::collection::vec((0_usize..4, 0_usize..3, prop::array::uniform5(0_u64..100)), 1..12),
        ) {
            let of = |(number, (parent, service, points)): (usize, (usize, usize, [u64; 5]))| {
                let parent = (number != 0).then(|| parent.min(number - 1));
                span(parent, service, points)
            };
            let spans: Vec<Span> = spans.into_iter().enumerate().map(of).collect();
            let whole = Course::of(&spans[0], &[], None).ended.saturating_sub(spans[0].sent);
            let path = Path::of(&[Trace { users: 0, spans }], 3);
            let all: Duration = path.services.iter().map(|it| it.0 + it.1).sum();
            prop_assert_eq!(all + path.network, whole);
        }
    }
}
