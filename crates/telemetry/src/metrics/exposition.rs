//! The text in which programs expose their metrics: Prometheus' format and OpenMetrics.
//!
//! A text is read line by line without copying. Of a sample the series is first handed out as it is written
//! ([`Line::series`]); only who has not seen it before needs to take it apart ([`labels`]). A text with one wrong line is
//! refused whole, as Prometheus does, for half of a scrape misleads.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::borrow::Cow;

use promql::Labels;
use promql::labels::NAME;

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, version 0.0.4: times in milliseconds.
    Text,
    /// OpenMetrics: times in seconds, exemplars, an end.
    OpenMetrics,
}

impl Format {
    /// As an answer's `Content-Type` says; Prometheus' own where it says nothing.
    pub fn of(content_type: &str) -> Self {
        let is_open = content_type.trim_start().starts_with("application/openmetrics-text");
        if is_open { Self::OpenMetrics } else { Self::Text }
    }
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ExpositionError {
    /// The line, from one.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A sample as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line<'a> {
    /// Name and labels.
    pub series: &'a str,
    /// The value.
    pub value: f64,
    /// Its own time, if it has one, in milliseconds since 1970.
    pub at_ms: Option<i64>,
    /// What stands behind ` # `: labels, a value, perhaps a time in seconds.
    pub exemplar: Option<&'a str>,
}

/// One line with something to say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Item<'a> {
    /// A sample.
    Sample(Line<'a>),
    /// What is said about a metric: `TYPE`, `HELP` or `UNIT`, the metric, and the rest.
    About(&'a str, &'a str, &'a str),
}

/// Reads a text, and hands each line to `visit`.
pub fn read<'a>(
    text: &'a str,
    format: Format,
    visit: &mut dyn FnMut(Item<'a>) -> Result<(), &'static str>,
) -> Result<(), ExpositionError> {
    let mut ended = false;
    let mut count = 0;
    for (number, line) in (1..).zip(text.split('\n')) {
        let wrong = |reason| ExpositionError { line: number, reason };
        count = number;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start_matches([' ', '\t']);
        if line.is_empty() {
            continue;
        }
        if ended {
            return Err(wrong("there is something after the end"));
        }
        if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.trim_start();
            if comment == "EOF" && format == Format::OpenMetrics {
                ended = true;
            } else if let Some(about) = about(comment) {
                visit(about).map_err(wrong)?;
            }
            continue;
        }
        visit(Item::Sample(sample(line, format).map_err(wrong)?)).map_err(wrong)?;
    }
    if format == Format::OpenMetrics && !ended {
        return Err(ExpositionError { line: count, reason: "there is no `# EOF`" });
    }
    Ok(())
}

fn about(comment: &str) -> Option<Item<'_>> {
    let (word, rest) = comment.split_once([' ', '\t'])?;
    if !matches!(word, "TYPE" | "HELP" | "UNIT") {
        return None;
    }
    let rest = rest.trim_start();
    let (metric, rest) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some(Item::About(word, metric, rest.trim()))
}

fn sample(line: &str, format: Format) -> Result<Line<'_>, &'static str> {
    let end = series_end(line.as_bytes())?;
    let (series, rest) = line.split_at_checked(end).ok_or("it is cut within a letter")?;
    let (rest, exemplar) = match (format, rest.split_once(" # ")) {
        (Format::OpenMetrics, Some((rest, exemplar))) => (rest, Some(exemplar)),
        _ => (rest, None),
    };
    let mut fields = rest.split([' ', '\t']).filter(|it| !it.is_empty());
    let value =
        number(fields.next().ok_or("there is no value")?).ok_or("the value is no number")?;
    let at_ms = match (fields.next(), format) {
        (None, _) => None,
        (Some(text), Format::Text) => {
            Some(text.parse().map_err(|_error| "the time is no number of milliseconds")?)
        }
        (Some(text), Format::OpenMetrics) => {
            let seconds: f64 = text.parse().map_err(|_error| "the time is no number of seconds")?;
            Some(rounded_ms(seconds))
        }
    };
    if fields.next().is_some() {
        return Err("there is more than a value and a time");
    }
    Ok(Line { series: series.trim_end(), value, at_ms, exemplar })
}

/// Milliseconds, to the nearest.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
pub fn rounded_ms(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// Where name and labels end.
fn series_end(line: &[u8]) -> Result<usize, &'static str> {
    let stop = memchr::memchr3(b'{', b' ', b'\t', line).ok_or("there is no value")?;
    if line.get(stop) != Some(&b'{') {
        return Ok(stop);
    }
    let mut place = stop + 1;
    let mut quoted = false;
    loop {
        let rest = line.get(place..).unwrap_or_default();
        let next = if quoted {
            memchr::memchr2(b'"', b'\\', rest)
        } else {
            memchr::memchr2(b'"', b'}', rest)
        };
        place += next.ok_or("the labels do not end")?;
        match line.get(place) {
            Some(b'}') => return Ok(place + 1),
            Some(b'"') => quoted = !quoted,
            // What is escaped is passed over.
            _ => place += 1,
        }
        place += 1;
    }
}

/// A value: a decimal number, an infinity, or not a number.
fn number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    // Most are small counts; these need no general reading.
    if bytes.len() < 16 && bytes.iter().all(u8::is_ascii_digit) {
        let digits = bytes.iter().fold(0_u64, |sum, it| sum * 10 + u64::from(it - b'0'));
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        return (!bytes.is_empty()).then_some(digits as f64);
    }
    text.parse().ok()
}

/// Takes an exemplar apart, as it stands behind ` # `: its labels, its value, and its time if it has one.
pub fn exemplar(text: &str) -> Option<(Labels, f64, Option<i64>)> {
    // It is written as a sample without a name.
    let text = format!("exemplar{}", text.trim_start());
    let line = sample(&text, Format::OpenMetrics).ok()?;
    let mut found = Vec::new();
    labels(line.series, &mut found).ok()?;
    let others = found.iter().filter(|it| it.0 != NAME);
    let labels = Labels::of(others.map(|(name, value)| (&**name, &**value)));
    Some((labels, line.value, line.at_ms))
}

/// A label's name and value; they are copied where something in them was escaped.
pub type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Takes name and labels apart; the metric's name comes as a label as well.
pub fn labels<'a>(series: &'a str, out: &mut Vec<Label<'a>>) -> Result<(), &'static str> {
    let (name, rest) =
        series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
    let name = name.trim_end();
    if !name.is_empty() {
        is_name(name, ":").then_some(()).ok_or("the metric's name has letters that need quotes")?;
        out.push((Cow::Borrowed(NAME), Cow::Borrowed(name)));
    }
    let Some(rest) = rest else { return Ok(()) };
    let mut rest = rest.strip_suffix('}').ok_or("the labels do not end")?.trim_start();
    while !rest.is_empty() {
        rest = label(rest, out)?.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err("there is no comma between two labels"),
        };
    }
    if !out.iter().any(|it| it.0 == NAME) {
        return Err("there is no name");
    }
    Ok(())
}

fn label<'a>(rest: &'a str, out: &mut Vec<Label<'a>>) -> Result<&'a str, &'static str> {
    let (name, rest) = if rest.starts_with('"') {
        let (name, rest) = text(rest)?;
        if !rest.trim_start().starts_with('=') {
            // A metric's name that needs quotes stands among the labels, by itself.
            out.push((Cow::Borrowed(NAME), name));
            return Ok(rest);
        }
        (name, rest.trim_start())
    } else {
        let (name, _) = rest.split_once('=').ok_or("a label has no value")?;
        let after = rest.get(name.len()..).unwrap_or_default();
        let name = name.trim_end();
        is_name(name, "").then_some(()).ok_or("a label's name has letters that need quotes")?;
        (Cow::Borrowed(name), after)
    };
    let rest = rest.strip_prefix('=').ok_or("a label has no value")?;
    let (value, rest) = text(rest.trim_start())?;
    out.push((name, value));
    Ok(rest)
}

/// Whether it is a name that may stand without quotes.
fn is_name(name: &str, more: &str) -> bool {
    let is_letter = |it: char| it.is_ascii_alphabetic() || it == '_' || more.contains(it);
    let mut letters = name.chars();
    letters.next().is_some_and(is_letter) && letters.all(|it| is_letter(it) || it.is_ascii_digit())
}

/// Text in quotes at the front of `rest`, and what comes after it.
fn text(rest: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let inner = rest.strip_prefix('"').ok_or("a label's value is not in quotes")?;
    let mut unescaped: Option<String> = None;
    let mut from = 0;
    loop {
        let after = inner.get(from..).unwrap_or_default();
        let place = memchr::memchr2(b'"', b'\\', after.as_bytes()).ok_or("a text does not end")?;
        let (plain, after) = after.split_at(place);
        if after.starts_with('"') {
            let rest = inner.get(from + place + 1..).unwrap_or_default();
            let whole = match unescaped {
                Some(mut text) => {
                    text.push_str(plain);
                    Cow::Owned(text)
                }
                None => Cow::Borrowed(plain),
            };
            return Ok((whole, rest));
        }
        let text = unescaped.get_or_insert_default();
        text.push_str(plain);
        let escaped = after.chars().nth(1).ok_or("a text does not end")?;
        match escaped {
            'n' => text.push('\n'),
            '\\' | '"' => text.push(escaped),
            // Nothing else needs to be escaped; what was meant is what is written.
            other => text.extend(['\\', other]),
        }
        from += place + 1 + escaped.len_utf8();
    }
}

/// Appends a text such that [`labels`] gives it back.
pub fn write_escaped(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\n' => out.push_str("\\n"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use proptest::prelude::*;

    fn all(text: &str, format: Format) -> Result<Vec<Item<'_>>, ExpositionError> {
        let mut found = Vec::new();
        read(text, format, &mut |item| {
            found.push(item);
            Ok(())
        })?;
        Ok(found)
    }

    #[track_caller]
    fn check(line: &str, shown: &str, value: f64, at_ms: Option<i64>) {
        let items = all(line, Format::Text).unwrap();
        let [Item::Sample(sample)] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!((sample.value.to_bits(), sample.at_ms), (value.to_bits(), at_ms));
        let mut found = Vec::new();
        labels(sample.series, &mut found).unwrap();
        let found = found.iter().map(|(name, value)| (&**name, &**value));
        assert_eq!(Labels::of(found).to_string(), shown);
    }

    #[test]
    fn samples() {
        check("up 1", "up", 1.0, None);
        check("up{} 1 1395066363000", "up", 1.0, Some(1_395_066_363_000));
        check("\ta:b_c{x=\"y\",z=\"}\" , } -0.5e3", r#"a:b_c{x="y", z="}"}"#, -500.0, None);
        check(
            r#"e{p="C:\\D\n\"q\" é\x"} +Inf -1"#,
            "e{p=\"C:\\\\D\\n\\\"q\\\" é\\\\x\"}",
            f64::INFINITY,
            Some(-1),
        );
        check(r#"{"http.time", "a b"="c"} NaN"#, r#"http.time{a b="c"}"#, f64::NAN, None);
        check("m 123456789012345678", "m", 123_456_789_012_345_680.0, None);
    }

    #[track_caller]
    fn check_wrong(text: &str, format: Format, line: usize, reason: &str) {
        let error = read(text, format, &mut |item| match item {
            Item::Sample(line) => labels(line.series, &mut Vec::new()),
            Item::About(..) => Ok(()),
        });
        assert_eq!(error.unwrap_err().to_string(), format!("line {line}: {reason}"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        use Format::{OpenMetrics, Text};
        check_wrong("ok 1\nup", Text, 2, "there is no value");
        check_wrong("up one", Text, 1, "the value is no number");
        check_wrong("up{a=\"b} 1", Text, 1, "the labels do not end");
        check_wrong("up{a=b} 1", Text, 1, "a label's value is not in quotes");
        check_wrong("up{a=\"1\" b=\"2\"} 1", Text, 1, "there is no comma between two labels");
        check_wrong("up{1a=\"1\"} 1", Text, 1, "a label's name has letters that need quotes");
        check_wrong("1up 1", Text, 1, "the metric's name has letters that need quotes");
        check_wrong("{a=\"1\"} 1", Text, 1, "there is no name");
        check_wrong("up 1 2 3", Text, 1, "there is more than a value and a time");
        check_wrong("up 1 2.5", Text, 1, "the time is no number of milliseconds");
        check_wrong("up 1\n", OpenMetrics, 2, "there is no `# EOF`");
        check_wrong("# EOF\nup 1\n", OpenMetrics, 2, "there is something after the end");
    }

    #[test]
    fn open_metrics() {
        let text = "# TYPE a counter\n# UNIT a seconds\n# HELP a It is\\n so.\n\
                    a_total{x=\"1\"} 17 1520879607.789 # {trace_id=\"K\"} 0.5 1520879607.7\n# EOF\n";
        let items = all(text, Format::OpenMetrics).unwrap();
        let sample = Line {
            series: "a_total{x=\"1\"}",
            value: 17.0,
            at_ms: Some(1_520_879_607_789),
            exemplar: Some("{trace_id=\"K\"} 0.5 1520879607.7"),
        };
        let labels = Labels::of([("trace_id", "K")]);
        assert_eq!(
            sample.exemplar.and_then(exemplar),
            Some((labels, 0.5, Some(1_520_879_607_700)))
        );
        assert_eq!(exemplar("{trace_id} 1"), None);
        let expected = [
            Item::About("TYPE", "a", "counter"),
            Item::About("UNIT", "a", "seconds"),
            Item::About("HELP", "a", "It is\\n so."),
            Item::Sample(sample),
        ];
        assert_eq!(items, expected);
        assert_eq!(Format::of("application/openmetrics-text; version=1.0.0"), Format::OpenMetrics);
        assert_eq!(Format::of("text/plain"), Format::Text);
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(value in any::<String>(), number in any::<f64>()) {
            let mut text = "m{l=\"".to_owned();
            write_escaped(&mut text, &value);
            write!(text, "\"}} {number:?}").unwrap();
            let items = all(&text, Format::Text).unwrap();
            let [Item::Sample(line)] = items.as_slice() else { panic!("{items:?}") };
            let mut found = Vec::new();
            labels(line.series, &mut found).unwrap();
            prop_assert_eq!(&found[1].1, &value);
            prop_assert!(line.value.to_bits() == number.to_bits() || number.is_nan());
        }

        #[test]
        fn garbage_is_refused_or_read(text in "[a-z{}=\",\\\\# \n0-9.]{0,60}") {
            let visit = &mut |item: Item<'_>| match item {
                Item::Sample(line) => labels(line.series, &mut Vec::new()),
                Item::About(..) => Ok(()),
            };
            for format in [Format::Text, Format::OpenMetrics] {
                if let Err(error) = read(&text, format, visit) {
                    prop_assert!(error.line <= 61);
                }
            }
        }
    }
}
