//! Who calls whom, how often, with what success and how long it takes, read off traces.
//!
//! A server's span is a call from the service above it; a client's is one to the service it names, unless the other
//! side of the call, or the mesh between the two, has reported it too: every call is counted once, with the time
//! its caller waited if that is known. Spans within a service are looked through. That is Zipkin's linker
//! (`zipkin2.internal.DependencyLinker`), with errors and times.
//!
//! Links are counted for every trace, kept or not, by the minute it began in: what is not kept has still
//! happened. It refuses to grow without end: a minute has a limited number of links.

use std::collections::BTreeMap;

use crate::protobuf::{put_varint, varint};
use crate::traces::encoded::{put_text, take_text};
use crate::traces::lineage::{self, Part};
use crate::traces::span::{Kind, Span};

/// Links that are told apart until they are written to a segment. A system of a thousand services has some
/// thousands.
pub const LINKS_MAX: usize = 50_000;
/// Microseconds in which links are counted together.
pub(super) const MINUTE_US: u64 = 60_000_000;

/// What went over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls.
    pub count: u64,
    /// Calls that failed.
    pub errors: u64,
    /// The sum of the times they took, in microseconds.
    pub total_us: u64,
    /// The time the longest took.
    pub longest_us: u64,
}

impl Calls {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.total_us = self.total_us.saturating_add(other.total_us);
        self.longest_us = self.longest_us.max(other.longest_us);
    }
}

/// One service that calls another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// What went over it.
    pub calls: Calls,
}

/// The calls in a trace.
pub fn of_trace(spans: &[Span]) -> Vec<Dependency> {
    let mut links = Links::default();
    links.count(&spans.iter().map(lineage::of_span).collect::<Vec<_>>(), 0);
    let mut sums = Sums::default();
    sums.add(&links, 0, u64::MAX);
    sums.list()
}

/// Calls by caller and callee.
type Callers = BTreeMap<Box<str>, BTreeMap<Box<str>, Calls>>;

/// Calls by minute, caller and callee.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    minutes: BTreeMap<u64, Callers>,
    len: usize,
    /// Calls that found no place.
    pub(super) refused: u64,
}

impl Links {
    /// Counts the calls in a trace that began at a time.
    pub(super) fn count(&mut self, parts: &[Part<'_>], start_us: u64) {
        let parents = lineage::parents(parts);
        let is_told = told(parts, &parents);
        for (at, part) in parts.iter().enumerate() {
            let above = || remote_above(at, parts, &parents);
            let call = match part.kind {
                Kind::Producer => Some(to_remote(part)),
                Kind::Consumer if part.remote.is_empty() => {
                    above().and_then(|it| from_producer(it, part))
                }
                Kind::Consumer => Some(from_remote(part)),
                Kind::Server => answer(part, above()),
                _ if is_call(part) && is_told.get(at) == Some(&false) => Some(to_remote(part)),
                _ => None,
            };
            let unseen =
                (part.kind == Kind::Client).then(|| above().and_then(|it| unseen(it, part)));
            let minute = start_us / MINUTE_US;
            for call in call.into_iter().chain(unseen.flatten()) {
                if !call.caller.is_empty() && !call.callee.is_empty() {
                    self.add(minute, call.caller, call.callee, call.calls());
                }
            }
        }
    }

    fn add(&mut self, minute: u64, caller: &str, callee: &str, calls: Calls) {
        let known = self.minutes.get_mut(&minute).and_then(|it| it.get_mut(caller));
        if let Some(known) = known.and_then(|it| it.get_mut(callee)) {
            return known.add(calls);
        }
        if LINKS_MAX <= self.len {
            self.refused += calls.count;
            return;
        }
        self.len += 1;
        let callers = self.minutes.entry(minute).or_default();
        callers.entry(caller.into()).or_default().insert(callee.into(), calls);
    }

    fn iter(&self) -> impl Iterator<Item = (u64, &str, &str, Calls)> {
        self.minutes.iter().flat_map(|(minute, callers)| {
            callers.iter().flat_map(|(caller, callees)| {
                callees.iter().map(|(callee, calls)| (*minute, &**caller, &**callee, *calls))
            })
        })
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first minute since 1970 there are calls in, and the last.
    pub(super) fn minutes(&self) -> (u64, u64) {
        let ends = (self.minutes.first_key_value(), self.minutes.last_key_value());
        (ends.0.map_or(0, |it| *it.0), ends.1.map_or(0, |it| *it.0))
    }

    /// Adds others.
    pub(super) fn append(&mut self, others: &Self) {
        for (minute, caller, callee, calls) in others.iter() {
            self.add(minute, caller, callee, calls);
        }
        self.refused += others.refused;
    }

    /// Writes them down.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len as u64);
        for (minute, caller, callee, calls) in self.iter() {
            put_varint(out, minute);
            put_text(out, caller);
            put_text(out, callee);
            for number in [calls.count, calls.errors, calls.total_us, calls.longest_us] {
                put_varint(out, number);
            }
        }
    }

    /// Reads what was written; none if it is damaged.
    pub(super) fn take(bytes: &mut &[u8]) -> Option<Self> {
        let mut links = Self::default();
        for _ in 0..varint(bytes).ok()? {
            let minute = varint(bytes).ok()?;
            let (caller, callee) = (take_text(bytes)?, take_text(bytes)?);
            let mut number = || varint(bytes).ok();
            let calls = Calls {
                count: number()?,
                errors: number()?,
                total_us: number()?,
                longest_us: number()?,
            };
            links.add(minute, caller, callee, calls);
        }
        Some(links)
    }
}

/// Links of some time, added up.
#[derive(Debug, Default)]
pub(super) struct Sums {
    sums: BTreeMap<(String, String), Calls>,
}

impl Sums {
    /// Adds the links of the minutes that touch `from_us..=until_us`.
    pub(super) fn add(&mut self, links: &Links, from_us: u64, until_us: u64) {
        let minutes = from_us / MINUTE_US..=until_us / MINUTE_US;
        for (_, caller, callee, calls) in links.iter().filter(|it| minutes.contains(&it.0)) {
            self.sums.entry((caller.to_owned(), callee.to_owned())).or_default().add(calls);
        }
    }

    /// The sums, by caller and callee.
    pub(super) fn list(self) -> Vec<Dependency> {
        let link = |((caller, callee), calls)| Dependency { caller, callee, calls };
        self.sums.into_iter().map(link).collect()
    }
}

/// One call.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    caller: &'a str,
    callee: &'a str,
    duration_us: u64,
    failed: bool,
}

impl Call<'_> {
    fn calls(&self) -> Calls {
        let (errors, took_us) = (u64::from(self.failed), self.duration_us);
        Calls { count: 1, errors, total_us: took_us, longest_us: took_us }
    }
}

/// Which calls the other side has reported, or the mesh on the caller's side.
fn told(parts: &[Part<'_>], parents: &[Option<usize>]) -> Vec<bool> {
    let mut told = vec![false; parts.len()];
    for (part, parent) in parts.iter().zip(parents) {
        let above = parent.and_then(|it| Some((parts.get(it)?, told.get_mut(it)?)));
        if let Some((above, told)) = above {
            let same_call =
                part.kind == Kind::Server || (is_call(part) && part.service == above.service);
            *told |= is_call(above) && same_call;
        }
    }
    told
}

/// Whether a span waits for somebody; one that names both sides and no kind is taken for one that does.
const fn is_call(part: &Part<'_>) -> bool {
    match part.kind {
        Kind::Client => true,
        Kind::Unspecified => !part.service.is_empty() && !part.remote.is_empty(),
        _ => false,
    }
}

/// The nearest span above that is a side of a call; those within a service are looked through.
fn remote_above<'a, 'b>(
    at: usize,
    parts: &'b [Part<'a>],
    parents: &[Option<usize>],
) -> Option<&'b Part<'a>> {
    let above = |it: usize| parents.get(it).copied().flatten();
    let mut all = std::iter::successors(above(at), |it| above(*it)).filter_map(|it| parts.get(it));
    all.find(|it| !matches!(it.kind, Kind::Internal | Kind::Unspecified) || is_call(it))
}

const fn to_remote<'a>(part: &Part<'a>) -> Call<'a> {
    let (duration_us, failed) = (part.duration_us, part.is_error);
    Call { caller: part.service, callee: part.remote, duration_us, failed }
}

const fn from_remote<'a>(part: &Part<'a>) -> Call<'a> {
    let (duration_us, failed) = (part.duration_us, part.is_error);
    Call { caller: part.remote, callee: part.service, duration_us, failed }
}

/// A message that was taken without a word from where: from the queue its producer names, or from the producer.
fn from_producer<'a>(above: &Part<'a>, part: &Part<'a>) -> Option<Call<'a>> {
    let is_sent = above.kind == Kind::Producer;
    let caller = if is_sent && !above.remote.is_empty() { above.remote } else { above.service };
    let itself = !is_sent && caller == part.service;
    (!itself).then_some(Call { caller, ..from_remote(part) })
}

/// The call a server's span answers.
fn answer<'a>(part: &Part<'a>, above: Option<&Part<'a>>) -> Option<Call<'a>> {
    let call = from_remote(part);
    match above.filter(|it| !it.service.is_empty()) {
        Some(above) if is_call(above) => Some(Call {
            caller: above.service,
            duration_us: part.duration_us.max(above.duration_us),
            failed: part.is_error || above.is_error,
            ..call
        }),
        // A server within a server of the same service is one call.
        Some(above) if above.service == part.service => None,
        Some(above) => Some(Call { caller: above.service, ..call }),
        None => Some(call),
    }
}

/// The call between what is above and a client of another service, whose own server said nothing.
fn unseen<'a>(above: &Part<'a>, part: &Part<'a>) -> Option<Call<'a>> {
    let is_named = is_call(above) && !above.remote.is_empty();
    let is_other = above.service != part.service && !above.service.is_empty();
    let call = Call { caller: above.service, callee: part.service, duration_us: 0, failed: false };
    (is_other && !is_named).then_some(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::testing::{any_span, span};
    use proptest::prelude::*;

    fn called(id: u64, parent: u64, kind: Kind, sides: (&str, &str)) -> Span {
        Span {
            parent: (parent != 0).then_some(parent),
            kind,
            remote: sides.1.to_owned(),
            duration_us: id * 100,
            ..span(1, id, sides.0, "")
        }
    }

    /// Each link as `caller callee count errors total`.
    fn check(spans: &[Span], expected: &[&str]) {
        let links = of_trace(spans).into_iter().map(|it| {
            let Calls { count, errors, total_us, .. } = it.calls;
            format!("{} {} {count} {errors} {total_us}", it.caller, it.callee)
        });
        assert_eq!(links.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_call_is_counted_once() {
        // A library's client span, the mesh's, and the server's: one call, as long as the nearer caller waited.
        let through_the_mesh = [
            called(9, 0, Kind::Server, ("web", "")),
            called(8, 9, Kind::Client, ("web", "")),
            called(7, 8, Kind::Client, ("web", "cart")),
            called(6, 7, Kind::Server, ("cart", "")),
        ];
        check(&through_the_mesh, &["web cart 1 0 700"]);
        // Nobody has answered; the client failed; what is inside a service is looked through.
        let failed = Span { is_error: true, ..called(3, 2, Kind::Client, ("web", "db")) };
        check(
            &[
                called(1, 0, Kind::Server, ("web", "user")),
                called(2, 1, Kind::Internal, ("web", "")),
                failed,
                called(4, 2, Kind::Server, ("cart", "")),
            ],
            &["user web 1 0 100", "web cart 1 0 400", "web db 1 1 300"],
        );
        // Zipkin's shared span, messages, and a span that says no kind but both sides.
        let shared =
            Span { shared: true, id: 5, is_error: true, ..called(4, 0, Kind::Server, ("b", "")) };
        check(
            &[
                called(5, 0, Kind::Client, ("a", "b")),
                shared,
                called(6, 0, Kind::Producer, ("a", "queue")),
                called(7, 0, Kind::Unspecified, ("a", "c")),
                called(8, 6, Kind::Consumer, ("d", "queue")),
                called(9, 6, Kind::Consumer, ("e", "")),
            ],
            &[
                "a b 1 1 500",
                "a c 1 0 700",
                "a queue 1 0 600",
                "queue d 1 0 800",
                "queue e 1 0 900",
            ],
        );
        // A service that reports its calls and not that it was called; through the mesh, which does, once.
        check(
            &[
                called(1, 0, Kind::Server, ("web", "")),
                called(2, 1, Kind::Client, ("cart", "db")),
                called(3, 1, Kind::Client, ("web", "mail")),
                called(4, 3, Kind::Client, ("mail", "smtp")),
            ],
            &["cart db 1 0 200", "mail smtp 1 0 400", "web cart 1 0 0", "web mail 1 0 300"],
        );
        check(&[called(1, 0, Kind::Server, ("a", "")), called(2, 1, Kind::Server, ("a", ""))], &[]);
    }

    #[test]
    fn minutes_are_told_apart_and_written_down() {
        let mut links = Links::default();
        let spans = [called(1, 0, Kind::Client, ("a", "b"))];
        let parts: Vec<_> = spans.iter().map(lineage::of_span).collect();
        for start_us in [0, 59_999_999, 60_000_000, 180_000_000] {
            links.count(&parts, start_us);
        }
        let mut bytes = Vec::new();
        links.put(&mut bytes);
        let links = Links::take(&mut bytes.as_slice()).unwrap();
        let count = |from_us, until_us| {
            let mut sums = Sums::default();
            sums.add(&links, from_us, until_us);
            sums.list().iter().map(|it| it.calls.count).sum::<u64>()
        };
        assert_eq!(
            (count(0, u64::MAX), count(0, 59_000_000), count(61_000_000, 179_000_000)),
            (4, 2, 1)
        );
    }

    proptest! {
        #[test]
        fn there_are_two_calls_a_span_at_most(spans in prop::collection::vec(any_span(), 0..20)) {
            let calls = of_trace(&spans).iter().map(|it| it.calls.count).sum::<u64>();
            prop_assert!(calls <= 2 * spans.len() as u64);
        }
    }
}
