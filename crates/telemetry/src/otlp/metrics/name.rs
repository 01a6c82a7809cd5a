//! Names of metrics and labels, as Prometheus 3 makes them of OTLP's by default
//! (`UnderscoreEscapingWithSuffixes`), so that dashboards made for it find what they look for.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/> and the
//! behaviour of Prometheus' translator, version 3.

/// What the end of a name depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows: `_total`.
    Counter,
    /// A value: `_ratio` if it has no unit.
    Gauge,
    /// Everything else.
    Other,
}

/// The name of a metric with its unit; nothing if no character of it may be in one.
pub(super) fn metric(name: &str, unit: &str, kind: Kind) -> Option<String> {
    let mut words: Vec<&str> =
        name.split(|it| !is_in_metric(it)).filter(|it| !it.is_empty()).collect();
    let (main, per) = units(unit);
    let is_new = |word: &str| !word.is_empty() && !words.contains(&word);
    let per = Some(per.trim_end_matches('_')).filter(|it| is_new(it));
    let main = Some(main.as_str()).filter(|it| is_new(it));
    let main = main.map(|it| if per.is_some() { it.strip_suffix('_').unwrap_or(it) } else { it });
    words.extend(main.filter(|it| !it.is_empty()));
    words.extend(per);
    let mut put_last = |word| {
        words.retain(|it| *it != word);
        words.push(word);
    };
    match kind {
        Kind::Counter => put_last("total"),
        Kind::Gauge if unit == "1" => put_last("ratio"),
        Kind::Gauge | Kind::Other => {}
    }
    let mut full = words.join("_");
    if full.starts_with(|it: char| it.is_ascii_digit()) {
        full.insert(0, '_');
    }
    full.contains(|it| it != '_').then_some(full)
}

const fn is_in_metric(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == ':'
}

/// A unit's words: of what stands before the slash, and of what stands behind it.
fn units(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    // What is in braces is an annotation, and no unit.
    let plain = |it: &str| {
        let it = it.trim().to_owned();
        if it.contains(['{', '}']) { String::new() } else { it }
    };
    let (main, per) = (plain(main), plain(per));
    let per = if per.is_empty() { per } else { format!("per_{}", per_unit(&per)) };
    (clean(main_unit(&main)), clean(&per))
}

/// Everything else becomes an underscore, and several become one.
fn clean(unit: &str) -> String {
    let mut out = String::new();
    for character in unit.chars() {
        if is_in_metric(character) {
            out.push(character);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out.strip_prefix('_').map(str::to_owned).unwrap_or(out)
}

/// Units in words, from the Unified Code for Units of Measure. `tibibytes` is how Prometheus spells it.
fn main_unit(unit: &str) -> &str {
    match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        other => other,
    }
}

fn per_unit(unit: &str) -> &str {
    match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => other,
    }
}

/// The name of a label; nothing if no character of it may be in one.
pub(super) fn label(name: &str) -> Option<String> {
    let is_in_label = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let escaped: String = name.chars().map(|it| if is_in_label(it) { it } else { '_' }).collect();
    let full = if escaped.starts_with(|it: char| it.is_ascii_digit()) {
        format!("key_{escaped}")
    } else if escaped.starts_with('_') && !escaped.starts_with("__") {
        format!("key{escaped}")
    } else {
        escaped
    };
    full.contains(|it| it != '_').then_some(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metrics() {
        let check = |name: &str, unit: &str, kind, expected: &str| {
            assert_eq!(metric(name, unit, kind).as_deref(), Some(expected), "{name} {unit}");
        };
        check(
            "http.server.request.duration",
            "s",
            Kind::Other,
            "http_server_request_duration_seconds",
        );
        check(
            "http.server.active_requests",
            "{request}",
            Kind::Other,
            "http_server_active_requests",
        );
        check("system.io", "foo/bar", Kind::Other, "system_io_foo_per_bar");
        check("system.network.io", "By", Kind::Counter, "system_network_io_bytes_total");
        check("requests.total", "1", Kind::Counter, "requests_total");
        check("total.requests", "", Kind::Counter, "requests_total");
        check("memory.usage", "By/s", Kind::Gauge, "memory_usage_bytes_per_second");
        check("cpu.utilization", "1", Kind::Gauge, "cpu_utilization_ratio");
        check("cpu.utilization", "%", Kind::Gauge, "cpu_utilization_percent");
        check("cpu.utilization", "1", Kind::Other, "cpu_utilization");
        check("duration_seconds", "s", Kind::Other, "duration_seconds");
        check("_a__b-c$d", "", Kind::Other, "a_b_c_d");
        check("0a:b", "", Kind::Other, "_0a:b");
        check("speed", "{packet}/s", Kind::Gauge, "speed_per_second");
        check("speed", "km/{trip}", Kind::Gauge, "speed_km");
        check("speed", " m / s ", Kind::Gauge, "speed_meters_per_second");
        check("speed", "m_/m", Kind::Gauge, "speed_m_per_minute");
        check("a", "/", Kind::Other, "a");
        check("a", "b\u{fc}_c", Kind::Other, "a_b_c");
        assert_eq!(metric("\u{fc}", "", Kind::Gauge), None);
        assert_eq!(metric("", "", Kind::Other), None);
    }

    #[test]
    fn labels() {
        let check = |name: &str, expected| assert_eq!(label(name).as_deref(), expected, "{name}");
        check("http.method", Some("http_method"));
        check("0a", Some("key_0a"));
        check("_a", Some("key_a"));
        check("__a", Some("__a"));
        check(".a", Some("key_a"));
        check("a..b", Some("a__b"));
        check("\u{fc}", Some("key_"));
        check("__", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn any_name_is_one_of_prometheus(name in "\\PC{0,12}", unit in "\\PC{0,6}") {
            for kind in [Kind::Counter, Kind::Gauge, Kind::Other] {
                if let Some(full) = metric(&name, &unit, kind) {
                    prop_assert!(full.chars().all(|it| is_in_metric(it) || it == '_'));
                    prop_assert!(!full.starts_with(|it: char| it.is_ascii_digit()));
                }
            }
            if let Some(full) = label(&name) {
                prop_assert!(full.chars().all(|it| it.is_ascii_alphanumeric() || it == '_'));
                prop_assert!(!full.starts_with(|it: char| it.is_ascii_digit()));
            }
        }
    }
}
