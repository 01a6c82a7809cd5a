//! Expressions of every shape: each aggregation, operator, function and modifier, over series of every kind.

/// Every combination of the words in `<<a|b>>` of a pattern.
fn each(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once("<<") else { return vec![pattern.to_owned()] };
    let (words, after) = rest.split_once(">>").unwrap();
    let tails = each(after);
    let combine =
        |word: &str| tails.iter().map(|it| format!("{before}{word}{it}")).collect::<Vec<_>>();
    words.split('|').flat_map(combine).collect()
}

const OVER_TIME: &str = "<<avg|min|max|sum|count|stddev|stdvar|last|present>>_over_time";
const OF_NUMBER: &str = "<<abs|ceil|floor|exp|sqrt|ln|log2|log10|sin|cos|tan|asin|acos|atan|sinh|cosh|tanh|asinh|acosh|atanh|deg|rad|sgn>>";

/// What both sides have to answer alike.
pub(crate) fn alike() -> Vec<String> {
    let mut all: Vec<String> = patterns().iter().flat_map(|it| each(it)).collect();
    all.extend(each(&format!(
        "{OVER_TIME}(<<memory_bytes|odd|gaps|ends|requests_total>>[<<3m|17m>>])"
    )));
    all.retain(|it| !it.contains("atan2") || it == "7 atan2 2");
    all.extend(each(&format!("{OF_NUMBER}(<<odd|temperature_celsius / 20|-queue_length>>)")));
    all
}

fn patterns() -> Vec<&'static str> {
    let mut all = Vec::new();
    all.extend(SELECTORS);
    all.extend(RANGES);
    all.extend(AGGREGATIONS);
    all.extend(OPERATORS);
    all.extend(MATCHING);
    all.extend(FUNCTIONS);
    all.extend(MOMENTS);
    all
}

const SELECTORS: &[&str] = &[
    "<<requests_total|gaps|ends|odd|latency_seconds_bucket|nothing>>",
    "requests_total{job=\"api\"}",
    "requests_total{job!=\"api\",code=~\"4..|5..\"}",
    "requests_total{code!~\"2.*\",instance=\"1\"}",
    "requests_total{job=~\"a\"}",
    "requests_total{nothing=\"\"}",
    "temperature_celsius{floor=\"\"}",
    "temperature_celsius{floor!=\"\"}",
    "{__name__=~\"left|right\",group=\"x\"}",
    "{job=\"db\",instance=\"2\"}",
    "<<1|-1.5e3|0x1f|Inf|NaN|3 + 4 * 2 ^ 3 ^ 0.5 % 5|-2 ^ 2|1 - 2 - 3|2 ^ -1|(1 + 2) * -3>>",
    "<<1 < bool 2|2 == bool 2|NaN == bool NaN|1 >= bool 2|7 atan2 2|-7 % 3|1 / 0|0 / 0>>",
    "<<requests_total|gaps|ends>> offset <<1m|7m13s|-3m|1h>>",
    "-<<requests_total|odd|memory_bytes>>",
    "+temperature_celsius",
    "(odd)",
    "<<time|pi>>()",
    "vector(<<1000000|999999|1234567|0.0001|0.00001234|1e20|1e21|1e-7|123456789.5|-1e6>>)",
    "\"a text\"",
];

const RANGES: &[&str] = &[
    "<<rate|increase>>(<<requests_total|errors_total|broken_total|latency_seconds_bucket>>[<<1m|5m|21m>>])",
    "<<irate|delta|idelta|deriv|changes|resets>>(<<requests_total|broken_total|gaps|ends|odd|memory_bytes>>[<<1m|5m|21m>>])",
    "quantile_over_time(<<-1|0|0.3|0.5|0.99|1|2|NaN|scalar(queue_length{shard=\"1\"}) / 5>>, <<memory_bytes|odd|gaps>>[9m])",
    "predict_linear(<<memory_bytes|gaps|odd|ends>>[13m], <<-600|0|3600>>)",
    "holt_winters(<<memory_bytes|gaps|temperature_celsius>>[11m], <<0.1|0.9>>, <<0.3|0.7>>)",
    "absent_over_time(<<gaps{kind=\"long\"}|ends{kind=\"late\"}|nothing{a=\"b\",c=~\"d\"}|requests_total>>[4m])",
    "<<rate|increase>>(requests_total[5m] offset <<3m|-2m>>)",
    "rate(requests_total{job=\"api\"}[5m:<<15s|1m|37s>>])",
    "max_over_time(rate(requests_total[2m])[<<11m|31m>>:<<1m|>>] offset <<2m|-1m>>)",
    "<<avg|max|sum|count|last|stddev>>_over_time((memory_bytes - memory_bytes offset 1m)[13m:47s])",
    "count_over_time((requests_total > 5100)[20m:<<30s|1m>>])",
    "sum_over_time(vector(<<1|time()>>)[7m:1m])",
    "max_over_time((time() - min_over_time(moments_seconds[3m59s:1m]))[10m:2m])",
    "deriv(rate(requests_total[3m])[15m:1m])",
    "quantile_over_time(0.9, rate(requests_total[3m])[15m:1m])",
    "sum(rate(latency_seconds_bucket[5m])) by (le)",
];

const AGGREGATIONS: &[&str] = &[
    "<<sum|avg|min|max|count|group|stddev|stdvar>>(<<requests_total|memory_bytes|odd|gaps|ends|nothing>>)",
    "<<sum|avg|min|max|count|group|stddev|stdvar>> <<by|without>> (<<job|instance, code|nothing|>>) (requests_total)",
    "quantile <<by (job)|without (instance)|>> (<<0|0.25|0.5|1|-1|3|NaN>>, memory_bytes)",
    "quantile(0.7, <<odd|gaps|ends>>)",
    "<<topk|bottomk>> <<by (job)|without (instance, code)|>> (<<0|1|3|100>>, rate(requests_total[5m]))",
    "<<topk|bottomk>>(2, <<memory_bytes|temperature_celsius|ends>>)",
    "topk(scalar(queue_length{shard=\"2\"}), memory_bytes)",
    "count_values <<by (shard)|without (shard)|>> (\"length\", queue_length)",
    "count_values(\"job\", build_info)",
    "sum(<<topk|bottomk>>(3, memory_bytes))",
    "sum by (job) (rate(requests_total{code=\"500\"}[5m])) / sum by (job) (rate(requests_total[5m]))",
    "sum without (code) (rate(requests_total[5m])) * 100",
    "avg by (job) (sum by (job, instance) (requests_total))",
    "sum by (__name__) ({__name__=~\"left|right\"})",
    "count by (job, job) (memory_bytes)",
];

const OPERATORS: &[&str] = &[
    "<<requests_total|odd|temperature_celsius>> <<+|-|*|/|%|^|atan2>> <<2|-0.5|0|NaN>>",
    "<<2|-0.5|0|NaN>> <<+|-|*|/|%|^|atan2>> <<temperature_celsius|odd>>",
    "<<queue_length|odd|temperature_celsius>> <<==|!=|<|<=|>|>=>> <<2|-0.5|NaN|scalar(queue_length{shard=\"0\"})>>",
    "<<queue_length|odd>> <<==|!=|<|<=|>|>=>> bool <<2|NaN|time()>>",
    "2 <<==|!=|<|<=|>|>=>> <<|bool>> queue_length",
    "memory_bytes <<+|-|*|/|%|^|atan2>> memory_bytes",
    "memory_bytes <<==|!=|<|<=|>|>=>> <<|bool>> memory_bytes offset 1m",
    "-requests_total ^ 0.5",
    "time() - timestamp(<<requests_total|gaps|ends|memory_bytes offset 2m>>)",
    "1 - memory_bytes / 2 + errors_total * 3",
];

const MATCHING: &[&str] = &[
    "memory_bytes <<+|-|*|/>> on (job, instance) errors_total",
    "memory_bytes <<+|>|== bool>> <<on (job, instance)|ignoring ()|>> errors_total",
    "requests_total <<+|/|>|< bool>> on (job, instance) group_left <<|(version)>> build_info",
    "build_info * on (job, instance) group_right <<|(version)>> requests_total",
    "requests_total / ignoring (code) group_left errors_total",
    "errors_total <= ignoring (code) group_right requests_total",
    "memory_bytes * on (job, instance) group_left (version, code) build_info",
    "requests_total{code=\"500\"} / on (job, instance) sum by (job, instance) (requests_total)",
    "left <<+|-|==|!=|<|>= bool>> right",
    "left <<==|!=|<>> on (group) right",
    "left <<and|or|unless>> right",
    "{__name__=~\"left|right\"} <<and|or|unless>> on (group) right{group=\"x\"}",
    "(left > 1) <<and|or|unless>> (right < 2)",
    "memory_bytes <<and|or|unless>> <<on (job)|ignoring (instance, version)|on ()>> build_info{version=\"1.9.0\"}",
    "requests_total <<and|or|unless>> ignoring (code) errors_total{job=\"api\"}",
    "<<gaps|ends>> <<and|or|unless>> on () vector(1)",
    "ends or on () vector(0)",
    "gaps{kind=\"long\"} or ignoring (kind) ends{kind=\"stale\"} or on () vector(-1)",
    "odd + on (kind) odd",
    "gaps * on () group_left ends{kind=\"stale\"}",
];

const FUNCTIONS: &[&str] = &[
    "<<clamp_min|clamp_max>>(<<odd|temperature_celsius>>, <<-1|0.5|NaN|scalar(queue_length{shard=\"0\"})>>)",
    "clamp(<<odd|temperature_celsius>>, <<-2|1>>, <<0.5|3>>)",
    "round(<<odd|temperature_celsius|gaps>><<|, 0.1|, 5>>)",
    "<<sort|sort_desc>>(<<odd|memory_bytes|temperature_celsius>>)",
    "absent(<<nothing|nothing{a=\"b\",c=\"d\"}|nothing{a=\"b\",a=\"c\"}|gaps{kind=\"long\"}|ends{kind=\"late\"}|requests_total|sum(nothing)>>)",
    "scalar(<<requests_total|gaps{kind=\"long\"}|nothing|vector(3)>>)",
    "vector(<<1|time()|scalar(gaps{kind=\"short\"})>>)",
    "timestamp(<<odd|gaps|ends|ends offset 1m|odd + 1|vector(1)>>)",
    "<<minute|hour|day_of_week|day_of_month|day_of_year|days_in_month|month|year>>(<<|moments_seconds|-moments_seconds|vector(1e10)>>)",
    "histogram_quantile(<<-0.1|0|0.5|0.95|1|1.1|NaN|scalar(queue_length{shard=\"0\"}) / 5>>, <<latency_seconds_bucket|rate(latency_seconds_bucket[5m])>>)",
    "histogram_quantile(0.9, sum by (<<le|le, job>>) (rate(latency_seconds_bucket[7m])))",
    "histogram_quantile(0.5, <<latency_seconds_bucket{le!=\"+Inf\"}|latency_seconds_bucket{le!~\"0.*\"}|memory_bytes|latency_seconds_bucket{le=\"+Inf\"}>>)",
    "label_replace(requests_total, \"<<service|job|code>>\", \"<<$1|x-$2|$1$1|>>\", \"<<job|nothing>>\", \"<<(.)(.*)|a.*|.*>>\")",
    "label_replace(left, \"__name__\", \"renamed\", \"group\", \"x\")",
    "label_join(requests_total, \"<<all|job>>\", \"<<-|>>\", \"job\"<<, \"instance\"|, \"nothing\", \"code\">>)",
    // A label with digits, letters and signs of all kinds, and expressions that do and do not fit it.
    "label_replace(label_replace(vector(1), \"a\", \"<<12|x_1|\u{663}|\u{e9}|{y}|a-b|&|~|a b|ab|][>>\", \"\", \"\"), \"b\", \"$1\", \"a\", \"<<(\\\\d+)|(\\\\w+)|(\\\\W)|([^\\\\d])|(.\\\\b.+)|({.})|(x{0,1}.*)|([[]+)|([]a&&b-]+)|([[:alpha:]]+)|(\\\\Qa-\\\\E.)|((?i)AB)|(\\\\pL+)|(a\\\\sb)|([+--b]+)|([]-_[]+)>>\")",
    "changes(queue_length[10m]) + resets(queue_length[10m])",
];

const MOMENTS: &[&str] = &[
    "<<requests_total|gaps|ends>> @ <<1700003000|1700005000.5|start()|end()>>",
    "requests_total @ 1700003000 offset <<5m|-5m>>",
    "rate(requests_total[5m] @ <<1700003000|start()|end()>>)",
    "sum(rate(requests_total[5m] @ end())) by (job) + sum(rate(requests_total[5m])) by (job)",
    "max_over_time(memory_bytes[9m:1m] @ <<start()|1700004011>> offset 1m)",
    "max_over_time((memory_bytes @ end())[9m:1m])",
    "topk(2, memory_bytes @ end()) + 0 * memory_bytes",
    "timestamp(memory_bytes @ 1700004000)",
    "sum_over_time(timestamp(memory_bytes @ 1700004000)[5m:1m])",
    "memory_bytes - memory_bytes @ start()",
    "vector(time()) @ 1",
];

/// What Prometheus 2 and 3 answer differently, and why. We answer as 3 does.
pub(crate) const CHANGED: &[(&str, &str)] = &[
    ("`atan2` drops the metric's name, as other arithmetic does", "odd atan2 2"),
    ("windows do not have the sample at their left edge", "count_over_time(vector(1)[10m:10ms])"),
    (
        "after a gap a counter is extrapolated by half an interval before its zero is looked at",
        "rate(gaps[1m])",
    ),
    (
        "`predict_linear` at a fixed moment looks at that moment from each step of a range",
        "predict_linear(memory_bytes[9m] @ 1700004000, 60)",
    ),
    (
        "a parameter may change from step to step also where what is aggregated is fixed",
        "quantile(scalar(queue_length{shard=\"0\"}) / 5, memory_bytes @ 1700004000)",
    ),
    ("the spread of what is not finite is no number", "stddev by (kind) (odd)"),
    ("sums that overflow are infinite, and not NaN", "stddev_over_time((odd * 1e100)[5m:15s])"),
    ("durations may be numbers of seconds", "odd offset 60"),
    ("numbers may be durations", "odd + 1m"),
    ("metric names may be quoted", "{\"odd\"}"),
    ("label names may be quoted", "sum by (\"kind\") (odd)"),
    (
        "a dot fits a line's end",
        "label_replace(label_replace(odd, \"a\", \"x\\ny\", \"\", \"\"), \"b\", \"$1\", \"a\", \"(x.y)\")",
    ),
];

/// Expressions that do not fit into a line.
pub(crate) const LONG: &[&str] = &[
    "histogram_quantile(0.99, sum by (le, job, instance) (rate(latency_seconds_bucket{job=\"api\", instance=\"0\"}[5m])))",
    "sum by (job) (rate(requests_total{code=~\"5..\", job!=\"web\"}[5m])) / on (job) group_left (a, b) sum by (job) (rate(requests_total[5m])) > bool 0.1",
    "topk(5, -(max_over_time(requests_total{job=~\"api|web|db\", instance!=\"0\"}[5m] @ end() offset 5m) + avg(requests_total)))",
    "label_replace(sum without (instance, code) (rate(requests_total[5m])), \"service\", \"$1-$2\", \"job\", \"(.)(.*)\") unless absent(nothing)",
    "requests_total{job=\"a very long name of a job\", instance=\"and a very long name of an instance\", code=\"and a code\"}",
    "max_over_time((sum by (job, instance, code) (rate(requests_total{job=~\"api|web|db\", instance!=\"0\"}[5m] offset 1m)))[1h:])",
];

/// Texts that cannot be read; both sides have to say so in the same words, at the same place.
pub(crate) const UNREADABLE: &[&str] = &[
    "",
    "#comment",
    "sum(",
    "sum)",
    "foo bar",
    "1 +",
    "1 + + ",
    "foo[5m",
    "foo[5m]]",
    "foo{",
    "foo{a",
    "foo{a=",
    "foo{a=b}",
    "foo{a=\"b\"",
    "foo{a=\"b\" c=\"d\"}",
    "foo{a~\"b\"}",
    "foo{,}",
    "foo{=\"a\"}",
    "foo{a!\"b\"}",
    "\"abc",
    "'abc\n'",
    "`abc",
    "foo ! bar",
    "foo = bar",
    "foo =~ bar",
    "foo $ bar",
    "rate(foo)",
    "rate(foo[5m], 1)",
    "nosuch(foo)",
    "abs()",
    "abs(1)",
    "round(foo, 1, 2)",
    "label_join(foo, \"a\")",
    "histogram_quantile(foo, 1)",
    "foo[5m] + 1",
    "-foo[5m]",
    "-\"a\"",
    "\"a\" + 1",
    "1 == 2",
    "1 and foo",
    "foo or 1",
    "foo + bool bar",
    "foo and on (a) group_left bar",
    "1 + on (a) foo",
    "foo * on (a) group_left (a) bar",
    "foo * on bar",
    "foo * on (1) bar",
    "foo * on (a b) bar",
    "sum()",
    "sum(foo, bar)",
    "topk(foo)",
    "topk(\"a\", foo)",
    "quantile(foo, bar)",
    "count_values(1, foo)",
    "sum(1)",
    "sum by (a)",
    "sum by foo",
    "sum by (a) by (b) (foo)",
    "{}",
    "{a=\"\"}",
    "{a=~\".*\"}",
    "{a!=\"b\"}",
    "foo{__name__=\"bar\"}",
    "foo offset",
    "foo offset bar",
    "foo offset 5m offset 5m",
    "1 offset 5m",
    "foo + bar offset 5m offset",
    "sum(foo) offset 5m",
    "foo @",
    "foo @ bar",
    "foo @ 1 @ 2",
    "sum(foo) @ 1",
    "foo @ start(",
    "foo offset 5m[5m]",
    "foo @ 1[5m]",
    "sum(foo)[5m]",
    "foo[0s]",
    "foo[5m:0s]",
    "foo[5m:5m",
    "foo[5m:5m:5m]",
    "foo[5m][5m]",
    "foo[5m][5m:1m]",
    "foo[1m1h]",
    "1[5m:1m]",
    "5x",
    "foo,",
    "sum(foo,)",
    "on",
    "bool",
    "foo\n+\n  bar )",
    "group_left",
    "@ 1",
];
