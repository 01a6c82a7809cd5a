//! A deterministic set of series with everything that goes wrong in real ones: counters that begin anew, values that
//! are no numbers or infinite, scrapes that are missing, late, or the last.

use promql::Labels;
use promql::memory::Memory;
use promql::source::STALE;

/// When the first sample is; not a multiple of anything.
pub(crate) const START_MS: i64 = 1_700_000_003_217;
/// Between two scrapes.
const INTERVAL_MS: i64 = 15_000;
/// Two hours of scrapes.
pub(crate) const SCRAPES: i64 = 480;

/// Numbers that look random and are the same each time (`SplitMix64`).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// Between 0 and 1.
    fn share(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }
}

pub(crate) fn memory() -> Memory {
    let mut set = Set { memory: Memory::default(), dice: Dice(7) };
    set.counters();
    set.gauges();
    set.histograms();
    set.oddities();
    set.memory
}

struct Set {
    memory: Memory,
    dice: Dice,
}

impl Set {
    /// One series, a value each scrape; `None` is a scrape that failed. All times are odd, so that questions at
    /// even ones find no sample at the edge of a window: Prometheus 2 and 3 differ in whether it counts.
    fn series(
        &mut self,
        labels: &[(&str, &str)],
        mut value: impl FnMut(i64, &mut Dice) -> Option<f64>,
    ) {
        let labels = Labels::of(labels.iter().copied());
        let offset_ms = i64::try_from(self.dice.below(4_500) * 2).unwrap();
        for scrape in 0..SCRAPES {
            let late_ms = i64::try_from(self.dice.below(20) * 2).unwrap();
            let time_ms = START_MS + offset_ms + scrape * INTERVAL_MS + late_ms;
            if let Some(value) = value(scrape, &mut self.dice) {
                assert!(self.memory.append(&labels, time_ms, value));
            }
        }
    }

    fn counters(&mut self) {
        for (place, job) in ["api", "web", "db"].into_iter().enumerate() {
            for instance in ["0", "1", "2"] {
                for code in ["200", "404", "500"] {
                    let mut count = 5_000.0 + 977.0 * place as f64;
                    let labels = [
                        ("__name__", "requests_total"),
                        ("job", job),
                        ("instance", instance),
                        ("code", code),
                    ];
                    self.series(&labels, |_, dice| {
                        count += dice.below(40) as f64;
                        if dice.below(97) == 0 {
                            count = 3_000.0 + dice.below(900) as f64;
                        }
                        (dice.below(29) != 0).then_some(count)
                    });
                }
                let mut count = 100.0;
                let labels = [("__name__", "errors_total"), ("job", job), ("instance", instance)];
                self.series(&labels, |_, dice| {
                    count = if dice.below(97) == 0 { dice.share() } else { count + dice.share() };
                    Some(count)
                });
            }
        }
    }

    fn gauges(&mut self) {
        for job in ["api", "web", "db"] {
            for instance in ["0", "1", "2"] {
                let labels = [("__name__", "memory_bytes"), ("job", job), ("instance", instance)];
                let mut bytes = 1e8;
                self.series(&labels, |_, dice| {
                    bytes += (dice.share() - 0.5) * 1e6;
                    Some(bytes)
                });
                let version = if instance == "2" { "1.9.0" } else { "2.0.1" };
                let labels = [
                    ("__name__", "build_info"),
                    ("job", job),
                    ("instance", instance),
                    ("version", version),
                ];
                self.series(&labels, |_, _| Some(1.0));
            }
        }
        for (room, floor) in [("north", "1"), ("south", "1"), ("attic", "2"), ("cellar", "")] {
            let labels = [("__name__", "temperature_celsius"), ("room", room), ("floor", floor)];
            self.series(&labels, |scrape, dice| {
                Some((scrape as f64 / 40.0).sin() * 20.0 + dice.share() - 5.0)
            });
        }
        for shard in ["0", "1", "2", "3", "4", "10", "11"] {
            let labels = [("__name__", "queue_length"), ("shard", shard)];
            self.series(&labels, |_, dice| Some(dice.below(5) as f64));
        }
    }

    fn histograms(&mut self) {
        for job in ["api", "web"] {
            for instance in ["0", "1"] {
                let bounds = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];
                let increments: Vec<Vec<f64>> = (0..SCRAPES)
                    .map(|_| {
                        let mut total = 0.0;
                        let each = |_| {
                            total += self.dice.below(12) as f64;
                            total
                        };
                        bounds.iter().map(each).collect()
                    })
                    .collect();
                for (place, bound) in bounds.into_iter().enumerate() {
                    let labels = [
                        ("__name__", "latency_seconds_bucket"),
                        ("job", job),
                        ("instance", instance),
                        ("le", bound),
                    ];
                    let mut count = 20_000.0 + 200.0 * place as f64;
                    self.series(&labels, |scrape, _| {
                        count += increments[usize::try_from(scrape).unwrap()][place];
                        Some(count)
                    });
                }
            }
        }
    }

    /// Counters with gaps, so far from zero that one can tell nothing from when they would have been there:
    /// Prometheus 2 and 3 differ in what they make of that after a gap.
    fn broken_counters(&mut self) {
        for (kind, period, missing) in [("short", 18, 6), ("long", 120, 40), ("flapping", 4, 1)] {
            let mut count = 1e6;
            self.series(&[("__name__", "broken_total"), ("kind", kind)], |scrape, dice| {
                count += dice.below(40) as f64;
                match scrape % period {
                    place if place == missing => Some(STALE),
                    place if place < missing => None,
                    _ => Some(count),
                }
            });
        }
    }

    fn oddities(&mut self) {
        self.series(&[("__name__", "odd"), ("kind", "nan")], |scrape, dice| {
            Some(if scrape % 7 == 3 { f64::NAN } else { dice.share() })
        });
        self.series(&[("__name__", "odd"), ("kind", "infinite")], |scrape, dice| {
            Some(match scrape % 41 {
                5 => f64::INFINITY,
                17 => f64::NEG_INFINITY,
                _ => dice.share(),
            })
        });
        self.series(&[("__name__", "odd"), ("kind", "huge")], |_, dice| Some(dice.share() * 1e150));
        self.series(&[("__name__", "odd"), ("kind", "negative")], |_, dice| Some(-dice.share()));
        self.series(&[("__name__", "odd"), ("kind", "constant")], |_, _| Some(3.0));
        self.series(&[("__name__", "gaps"), ("kind", "short")], |scrape, dice| {
            (scrape / 6 % 3 != 1).then_some(1_000.0 + dice.share() * 10.0)
        });
        self.series(&[("__name__", "gaps"), ("kind", "long")], |scrape, dice| {
            (scrape / 40 % 3 != 1).then_some(1_000.0 + dice.share() * 10.0)
        });
        self.series(&[("__name__", "ends"), ("kind", "stale")], |scrape, dice| {
            match scrape % 100 {
                0..60 => Some(1_000.0 + dice.share() * 10.0),
                60 => Some(STALE),
                _ => None,
            }
        });
        self.series(&[("__name__", "ends"), ("kind", "flapping")], |scrape, dice| {
            Some(if scrape % 4 == 3 { STALE } else { 1_000.0 + dice.share() * 10.0 })
        });
        self.series(&[("__name__", "ends"), ("kind", "late")], |scrape, dice| {
            (200 < scrape).then(|| 1_000.0 + dice.share() * 10.0)
        });
        self.broken_counters();
        for name in ["left", "right"] {
            for group in ["x", "y"] {
                self.series(&[("__name__", name), ("group", group)], |_, dice| {
                    Some(dice.below(4) as f64)
                });
            }
        }
        self.series(&[("__name__", "moments_seconds")], |scrape, _| {
            Some(951_700_000.0 + 86_400.0 * 3.0 * scrape as f64)
        });
    }
}
