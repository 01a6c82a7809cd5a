//! Expressions that nobody would write: nested at random, the same each time, so that what is right by itself is also right
//! inside everything else.
//!
//! Left out is what Prometheus 2 and 3 answer differently, and sums that hide small numbers among great ones, whose
//! roundings differ.

use crate::data::Dice;

/// How many there are.
const COUNT: usize = 1_000;
/// How deep they are nested.
const DEPTH: u32 = 4;

pub(crate) fn all() -> Vec<String> {
    let mut writer = Writer { dice: Dice(11) };
    (0..COUNT).map(|_| writer.vector(DEPTH)).collect()
}

struct Writer {
    dice: Dice,
}

impl Writer {
    fn one<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.dice.below(words.len() as u64)).unwrap()]
    }

    fn selector(&mut self) -> String {
        let name = self.one(&[
            "requests_total",
            "errors_total",
            "memory_bytes",
            "gaps",
            "ends",
            "odd{kind!=\"huge\"}",
            "queue_length",
            "temperature_celsius",
            "build_info",
            "left",
            "right",
            "broken_total",
            "nothing",
        ]);
        let matchers = match name {
            "requests_total" => self.one(&[
                "",
                "{code=\"500\"}",
                "{job=~\"api|db\"}",
                "{instance!=\"1\",code!~\"4.*\"}",
            ]),
            "errors_total" | "memory_bytes" | "build_info" => {
                self.one(&["", "{job=\"web\"}", "{instance=~\"0|2\"}"])
            }
            _ => "",
        };
        let shift = self.one(&[
            "",
            "",
            "",
            " offset 1m",
            " offset -2m",
            " offset 6m",
            " @ end()",
            " @ start()",
        ]);
        format!("{name}{matchers}{shift}")
    }

    /// A counter, far from zero, over a range.
    fn counter(&mut self) -> String {
        let name = self.one(&[
            "errors_total",
            "broken_total",
            "requests_total{code=\"200\"}",
            "latency_seconds_bucket",
        ]);
        let range = self.one(&["2m", "5m", "13m"]);
        let shift = self.one(&["", "", " offset 2m", " @ end()"]);
        format!("{name}[{range}]{shift}")
    }

    fn range(&mut self, depth: u32) -> String {
        if depth == 0 || self.dice.below(3) == 0 {
            let name = self.one(&[
                "memory_bytes",
                "gaps",
                "ends",
                "odd{kind!=\"huge\"}",
                "queue_length",
                "temperature_celsius",
            ]);
            let range = self.one(&["1m", "4m", "11m"]);
            let shift = self.one(&["", "", " offset 1m", " offset -90s"]);
            return format!("{name}[{range}]{shift}");
        }
        let inner = self.vector(depth - 1);
        let range = self.one(&["3m500ms", "7m500ms"]);
        let step = self.one(&["30s", "1m", "47s"]);
        let shift = self.one(&["", "", " offset 1m"]);
        format!("({inner})[{range}:{step}]{shift}")
    }

    fn labels(&mut self) -> &'static str {
        self.one(&[
            "",
            "job",
            "instance",
            "job, instance",
            "code",
            "kind",
            "room",
            "shard",
            "group, job",
        ])
    }

    fn scalar(&mut self, depth: u32) -> String {
        match self.dice.below(if depth == 0 { 2 } else { 4 }) {
            0 => self.one(&["2", "0.5", "-3", "1e3"]).to_owned(),
            1 => self.one(&["time()", "pi()", "Inf"]).to_owned(),
            2 => format!("scalar({})", self.vector(depth - 1)),
            _ => {
                let operator = self.one(&["+", "-", "*", "/", "== bool", "> bool"]);
                format!("({} {operator} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
        }
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.selector();
        }
        let below = depth - 1;
        match self.dice.below(16) {
            11 => self.relabelled(below),
            12 => self.quantile(below),
            13 => self.greatest(below),
            14 => self.counted(),
            0 => self.selector(),
            1 => {
                let function = self.one(&["rate", "increase", "irate", "resets"]);
                format!("{function}({})", self.counter())
            }
            2 | 3 => {
                let function =
                    self.one(&["avg", "min", "max", "sum", "count", "last", "present", "absent"]);
                format!("{function}_over_time({})", self.range(below))
            }
            4 => {
                let function = self.one(&["delta", "idelta", "changes", "resets", "deriv"]);
                format!("{function}({})", self.range(below))
            }
            5 | 6 => {
                let operator = self.one(&["sum", "avg", "min", "max", "count", "group"]);
                let way = self.one(&["by", "without"]);
                format!("{operator} {way} ({}) ({})", self.labels(), self.vector(below))
            }
            7 => {
                let function = self.one(&[
                    "abs",
                    "ceil",
                    "floor",
                    "sgn",
                    "-",
                    "sqrt",
                    "absent",
                    "timestamp",
                    "sort",
                ]);
                format!("{function}({})", self.vector(below))
            }
            8 => {
                let operator =
                    self.one(&["+", "*", "/", ">", "<=", "!=", "== bool", "< bool", "%"]);
                if self.dice.below(2) == 0 {
                    return format!("({} {operator} {})", self.vector(below), self.scalar(below));
                }
                format!("({} {operator} {})", self.scalar(below), self.vector(below))
            }
            9 => {
                let operator =
                    self.one(&["+", "-", "*", "/", ">", "<=", "!=", "== bool", "< bool"]);
                let matching = self.matching();
                format!("({} {operator} {matching} {})", self.vector(below), self.vector(below))
            }
            10 => {
                let operator = self.one(&["and", "or", "unless"]);
                let way = self.one(&["", "on", "ignoring"]);
                let labels =
                    if way.is_empty() { String::new() } else { format!("({})", self.labels()) };
                format!("({} {operator} {way} {labels} {})", self.vector(below), self.vector(below))
            }
            _ => {
                let function = self.one(&["clamp_min", "clamp_max", "round"]);
                format!("{function}({}, {})", self.vector(below), self.scalar(below))
            }
        }
    }

    fn quantile(&mut self, depth: u32) -> String {
        let share = self.one(&["0.5", "0.99", "-1", "NaN"]);
        match self.dice.below(3) {
            0 => format!("quantile by ({}) ({share}, {})", self.labels(), self.vector(depth)),
            1 => format!("quantile_over_time({share}, {})", self.range(depth)),
            _ => {
                let labels = self.one(&["le", "le, job", "le, instance"]);
                let rates = format!("sum by ({labels}) (rate(latency_seconds_bucket[3m]))");
                format!("histogram_quantile({share}, {rates})")
            }
        }
    }

    /// In parentheses, as their order does not count then.
    fn greatest(&mut self, depth: u32) -> String {
        let name = self.one(&["memory_bytes", "temperature_celsius", "gaps", "ends"]);
        let operator = self.one(&["topk", "bottomk"]);
        let count = self.one(&["1", "2", "5", "scalar(queue_length{shard=\"1\"})"]);
        let left = format!("{operator} by ({}) ({count}, {name})", self.labels());
        let operator = self.one(&["and", "or", "unless", "+", ">"]);
        format!("({left} {operator} {})", self.vector(depth))
    }

    fn counted(&mut self) -> String {
        let label = self.one(&["value", "job"]);
        let of = self.one(&["queue_length", "left", "build_info", "right offset 1m"]);
        format!("count_values by ({}) (\"{label}\", {of})", self.labels())
    }

    fn relabelled(&mut self, depth: u32) -> String {
        let target = self.one(&["job", "new", "code"]);
        let inner = self.vector(depth);
        if self.dice.below(2) == 0 {
            let separator = self.one(&["-", ""]);
            return format!(
                "label_join({inner}, \"{target}\", \"{separator}\", \"job\", \"instance\")"
            );
        }
        let value = self.one(&["$1", "x", "${1}y", ""]);
        let source = self.one(&["job", "instance", "nothing"]);
        let pattern = self.one(&["(.*)", "(a|w).*", "[0-9]+", ""]);
        format!("label_replace({inner}, \"{target}\", \"{value}\", \"{source}\", \"{pattern}\")")
    }

    fn matching(&mut self) -> String {
        let way = self.one(&["", "on", "ignoring"]);
        if way.is_empty() {
            return String::new();
        }
        let group = self.one(&["", "group_left", "group_right", "group_left (version)"]);
        format!("{way} ({}) {group}", self.labels())
    }
}
