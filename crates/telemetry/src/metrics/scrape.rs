//! One scrape after the other of one target.
//!
//! A target writes the same series in the same order each time. What stood at a place last time is compared
//! with what stands there now, byte by byte; only what differs is looked up, and only what was never seen is
//! taken apart. So most of a scrape is reading numbers.
//!
//! A scrape counts whole or not at all: when it cannot be read, or has more samples than one may have, every series
//! of the target ends (a staleness marker) and `up` is 0, as Prometheus does.

use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::io;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use model::Timestamp;
use promql::Labels;
use promql::labels::NAME;
use promql::source::STALE;

use super::append::Appender;
use super::exemplars::Exemplar;
use super::exposition::{self, Format, Item, Line};
use super::store::{Metadata, Store};

/// Samples in one scrape, at most.
pub const SAMPLES_MAX: usize = 50_000;
const SEED: u64 = 0x7363_7261_7065;

/// Something that is scraped.
#[derive(Debug)]
pub struct Target {
    /// What samples are counted under when they are refused.
    origin: String,
    /// Added to every series (`job`, `instance`, ..). A label of the target's own under such a name is called
    /// `exported_NAME`.
    labels: Vec<(String, String)>,
    generation: u64,
    scrape: u64,
    seen: Vec<Seen>,
    by_text: HashTable<u32>,
    /// The places in `seen` in the order of the last scrape.
    order: Vec<u32>,
    own: Vec<Option<u32>>,
}

/// A series of the target.
#[derive(Debug)]
struct Seen {
    text: Box<str>,
    /// Its number; absent if it was refused.
    series: Option<u32>,
    /// The last scrape that had it.
    scrape: u64,
    /// Whether its samples come with their own time; then nothing ends when it is missing.
    is_timed: bool,
}

/// What a scrape came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scraped {
    /// Samples it had.
    pub samples: usize,
    /// Series that were not in the scrape before.
    pub added: usize,
    /// Why it does not count, if it does not.
    pub error: Option<String>,
}

/// What is written about every scrape.
const OWN: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

impl Target {
    /// A target with these labels.
    pub fn new(origin: String, labels: Vec<(String, String)>) -> Self {
        Self {
            origin,
            labels,
            generation: 0,
            scrape: 0,
            seen: Vec::new(),
            by_text: HashTable::new(),
            order: Vec::new(),
            own: vec![None; OWN.len()],
        }
    }

    /// Takes in what a scrape at `at` brought: a text in a format after some seconds, or why there is none.
    pub fn take(
        &mut self,
        store: &Store,
        at: Timestamp,
        seconds: f64,
        answer: Result<(&str, Format), String>,
    ) -> io::Result<Scraped> {
        let at_ms = at.as_signed_millis();
        let lines = answer.and_then(|(text, format)| self.lines(store, text, format));
        let mut appender = self.begin(store, at);
        let mut scraped = Scraped::default();
        match lines {
            Ok(lines) => {
                scraped.samples = lines.len();
                for (place, line) in lines.iter().enumerate() {
                    scraped.added += self.sample(&mut appender, place, line, at_ms);
                    if let Some(exemplar) = self.exemplar(line, at_ms) {
                        store.exemplars.push(exemplar);
                    }
                }
                self.order.truncate(lines.len());
            }
            Err(error) => {
                self.order.clear();
                scraped.error = Some(error);
            }
        }
        self.end_missing(&mut appender, at_ms);
        self.write_own(&mut appender, at_ms, seconds, &scraped);
        appender.finish()?;
        Ok(scraped)
    }

    /// The target is gone: all its series end.
    pub fn end(&mut self, store: &Store, at: Timestamp) -> io::Result<()> {
        let at_ms = at.as_signed_millis();
        let mut appender = self.begin(store, at);
        self.end_missing(&mut appender, at_ms);
        for series in self.own.iter().flatten() {
            appender.sample(*series, at_ms, STALE);
        }
        appender.finish().map(drop)
    }

    /// Begins a scrape, if only to end. Series that got other numbers are met again.
    fn begin<'a>(&mut self, store: &'a Store, at: Timestamp) -> Appender<'a> {
        let appender = store.append(&self.origin, at);
        if appender.generation() != self.generation {
            self.forget(appender.generation());
        }
        self.scrape += 1;
        appender
    }

    fn forget(&mut self, generation: u64) {
        self.generation = generation;
        self.seen.clear();
        self.by_text.clear();
        self.order.clear();
        self.own.fill(None);
    }

    /// The place in `seen` of a series that stands at a place of the scrape.
    fn known(&self, place: usize, text: &str) -> Option<u32> {
        let is_it = |it: &u32| self.seen.get(*it as usize).is_some_and(|it| *it.text == *text);
        let expected = self.order.get(place).copied().filter(is_it);
        expected.or_else(|| self.by_text.find(hash(text), is_it).copied())
    }

    /// Reads a text whole, before anything of it counts.
    fn lines<'a>(
        &self,
        store: &Store,
        text: &'a str,
        format: Format,
    ) -> Result<Vec<Line<'a>>, String> {
        let mut found = Vec::new();
        let mut about: Vec<(&str, &str, &str)> = Vec::new();
        let mut parts = Vec::new();
        let read = exposition::read(text, format, &mut |item| {
            match item {
                Item::Sample(line) => {
                    if self.known(found.len(), line.series).is_none() {
                        parts.clear();
                        exposition::labels(line.series, &mut parts)?;
                    }
                    found.push(line);
                    if SAMPLES_MAX < found.len() {
                        return Err("it has more than 50000 samples; expose fewer series");
                    }
                }
                Item::About(word, metric, rest) => about.push((word, metric, rest)),
            }
            Ok(())
        });
        read.map_err(|error| error.to_string())?;
        for (word, metric, rest) in about {
            store.describe(metric, |metadata: &mut Metadata| {
                let place = match word {
                    "TYPE" => &mut metadata.kind,
                    "HELP" => &mut metadata.help,
                    _ => &mut metadata.unit,
                };
                if place != rest {
                    rest.clone_into(place);
                }
            });
        }
        Ok(found)
    }

    /// Adds a sample; returns how many series are new.
    fn sample(
        &mut self,
        appender: &mut Appender<'_>,
        place: usize,
        line: &Line<'_>,
        at_ms: i64,
    ) -> usize {
        let (number, added) = match self.known(place, line.series) {
            Some(number) => (number, 0),
            None => (self.meet(appender, line.series), 1),
        };
        match self.order.get_mut(place) {
            Some(order) => *order = number,
            None => self.order.push(number),
        }
        if let Some(seen) = self.seen.get_mut(number as usize) {
            seen.scrape = self.scrape;
            seen.is_timed = line.at_ms.is_some();
            if let Some(series) = seen.series {
                appender.sample(series, line.at_ms.unwrap_or(at_ms), line.value);
            }
        }
        added
    }

    /// The labels of a series, the target's among them.
    fn labels_of<'a>(&'a self, text: &'a str) -> Vec<exposition::Label<'a>> {
        let mut labels = Vec::new();
        if exposition::labels(text, &mut labels).is_err() {
            // It was read before, and was right then; without labels it is refused.
            labels.clear();
        }
        for (name, _) in &mut labels {
            if self.labels.iter().any(|it| it.0 == **name) {
                *name = Cow::Owned(format!("exported_{name}"));
            }
        }
        let own = self.labels.iter();
        labels.extend(own.map(|(name, value)| (name.as_str().into(), value.as_str().into())));
        labels
    }

    /// What stands behind a sample for others.
    fn exemplar(&self, line: &Line<'_>, at_ms: i64) -> Option<Exemplar> {
        let (labels, value, own_ms) = exposition::exemplar(line.exemplar?)?;
        let series = self.labels_of(line.series);
        Some(Exemplar {
            series: Labels::of(series.iter().map(|(name, value)| (&**name, &**value))),
            labels,
            value,
            at_ms: own_ms.or(line.at_ms).unwrap_or(at_ms),
        })
    }

    /// Takes a series apart that was never seen.
    fn meet(&mut self, appender: &mut Appender<'_>, text: &str) -> u32 {
        let labels = self.labels_of(text);
        let series =
            appender.series(&mut labels.iter().map(|(name, value)| (&**name, &**value)).collect());
        drop(labels);
        let number = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        self.seen.push(Seen { text: text.into(), series, scrape: 0, is_timed: false });
        let seen = &self.seen;
        self.by_text.insert_unique(hash(text), number, |it| {
            seen.get(*it as usize).map_or(0, |it| hash(&it.text))
        });
        number
    }

    /// Ends the series that were there in the scrape before and are not in this one. When most of what was ever
    /// seen is gone, all is forgotten, and what is still there is met again.
    fn end_missing(&mut self, appender: &mut Appender<'_>, at_ms: i64) {
        let before = self.scrape - 1;
        for seen in self.seen.iter().filter(|it| it.scrape == before && 0 < before && !it.is_timed)
        {
            if let Some(series) = seen.series {
                appender.sample(series, at_ms, STALE);
            }
        }
        if SAMPLES_MAX < self.seen.len() && 4 * self.order.len() < self.seen.len() {
            self.forget(self.generation);
        }
    }

    fn write_own(
        &mut self,
        appender: &mut Appender<'_>,
        at_ms: i64,
        seconds: f64,
        scraped: &Scraped,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "at most some ten thousand")]
        let count = |it: usize| it as f64;
        let up = if scraped.error.is_none() { 1.0 } else { 0.0 };
        let samples = count(scraped.samples);
        let values = [up, seconds, samples, samples, count(scraped.added)];
        for ((name, value), place) in OWN.iter().zip(values).zip(&mut self.own) {
            if place.is_none() {
                let own = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                *place = appender.series(&mut own.chain([(NAME, *name)]).collect());
            }
            if let Some(series) = *place {
                appender.sample(series, at_ms, value);
            }
        }
    }
}

fn hash(text: &str) -> u64 {
    FixedState::with_seed(SEED).hash_one(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use promql::{Matcher, Selection, Source as _};

    use super::*;
    use crate::metrics::{Limits, Opened};

    fn store(folder: &std::path::Path) -> Store {
        let Opened { store, .. } = Store::open(folder, Limits::default()).unwrap();
        store
    }

    fn target() -> Target {
        let labels = [("job", "cart"), ("instance", "cart.1")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Target::new("cart.1".to_owned(), labels.to_vec())
    }

    /// Every sample of a metric, in the order of times: labels, seconds, and the value or `stale`.
    fn samples(store: &Store, metric: &str) -> Vec<String> {
        let matchers = [Matcher::equal(NAME, metric)];
        let mut found = Vec::new();
        let selection = Selection { matchers: &matchers, from_ms: 0, to_ms: i64::MAX };
        store
            .select(&selection, &mut |series| {
                for (at, value) in series.times.iter().zip(series.values) {
                    let stale = promql::source::is_stale(*value);
                    let value = if stale { "stale".to_owned() } else { value.to_string() };
                    found.push(format!("{} {} {value}", at / 1_000, series.labels));
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        found.sort();
        found
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn series_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let mut target = target();
        let mut check = |second, text: &str, samples, added| {
            let scraped = target.take(&store, at(second), 0.1, Ok((text, Format::Text))).unwrap();
            assert_eq!(scraped, Scraped { samples, added, error: None }, "{second}");
        };
        check(1, "# HELP a Say it.\na{x=\"1\"} 1\nb 2\n", 2, 2);
        check(2, "b 3\na{x=\"1\"} 4\nc{job=\"mine\"} 5\n", 3, 1);
        check(3, "b 6\n", 1, 0);
        check(4, "b 7\na{x=\"1\"} 8", 2, 0);
        let cart = "instance=\"cart.1\", job=\"cart\"";
        let expected = |all: &[(u64, &str, &str)]| {
            all.iter()
                .map(|(at, series, value)| format!("{at} {series} {value}"))
                .collect::<Vec<_>>()
        };
        let a = format!("a{{{cart}, x=\"1\"}}");
        assert_eq!(
            samples(&store, "a"),
            expected(&[(1, &a, "1"), (2, &a, "4"), (3, &a, "stale"), (4, &a, "8")])
        );
        let c = format!("c{{exported_job=\"mine\", {cart}}}");
        assert_eq!(samples(&store, "c"), expected(&[(2, &c, "5"), (3, &c, "stale")]));
        assert_eq!(store.metadata("a").unwrap().help, "Say it.");
        let up = format!("up{{{cart}}}");
        let ups: Vec<_> = (1..5).map(|it| (it, up.as_str(), "1")).collect();
        assert_eq!(samples(&store, "up"), expected(&ups));
    }

    #[test]
    fn exemplars_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let text =
            "a_bucket{le=\"1\"} 3 # {trace_id=\"K\"} 0.5 1.25\na_bucket{le=\"+Inf\"} 4\n# EOF\n";
        target().take(&store, at(7), 0.1, Ok((text, Format::OpenMetrics))).unwrap();
        let found = store.exemplars.find(&[Matcher::equal("le", "1")], (0, 9_000));
        let [exemplar] = found.as_slice() else { panic!("{found:?}") };
        let series = r#"a_bucket{instance="cart.1", job="cart", le="1"}"#;
        assert_eq!(exemplar.series.to_string(), series);
        assert_eq!(
            (exemplar.labels.get("trace_id"), exemplar.value, exemplar.at_ms),
            ("K", 0.5, 1_250)
        );
    }

    #[test]
    fn a_scrape_that_cannot_be_read_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let mut target = target();
        target.take(&store, at(1), 0.1, Ok(("a 1\n", Format::Text))).unwrap();
        let scraped = target.take(&store, at(2), 0.1, Ok(("a 2\nb{ 1\n", Format::Text))).unwrap();
        assert_eq!(scraped.error.as_deref(), Some("line 2: the labels do not end"));
        let scraped =
            target.take(&store, at(3), 0.1, Err("connection refused".to_owned())).unwrap();
        assert_eq!(scraped.error.as_deref(), Some("connection refused"));
        target.take(&store, at(4), 0.1, Ok(("a 4\n", Format::Text))).unwrap();
        let many = "a 1\n".repeat(SAMPLES_MAX + 1);
        let scraped = target.take(&store, at(5), 0.1, Ok((&many, Format::Text))).unwrap();
        assert!(
            scraped.error.unwrap().ends_with("it has more than 50000 samples; expose fewer series")
        );
        let values = |metric| {
            let values = samples(&store, metric).into_iter();
            values.map(|it| it.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(values("a"), ["1", "stale", "4", "stale"]);
        assert_eq!(values("up"), ["1", "0", "0", "1", "0"]);
        assert_eq!(values("b"), Vec::<String>::new());
        target.end(&store, at(6)).unwrap();
        assert_eq!(values("up"), ["1", "0", "0", "1", "0", "stale"]);
    }
}
