//! `pelago metrics`: an expression's values, plotted.

use std::collections::BTreeMap;
use std::time::Duration;

use api::EventView;
use model::Timestamp;
use model::units::parse_duration;
use serde::Deserialize;
use serde_json::Value;

use crate::arguments::Metrics;
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table::Cell;
use crate::{Context, daemon, plot, table, when};

/// Columns of a plot of one series, and of the sparkline of one among many.
const COLUMNS: u64 = 60;
/// Rows of a plot of one series.
const HEIGHT: usize = 8;

/// Prometheus' envelope.
#[derive(Debug, Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queried {
    result_type: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Matrix {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Debug, Deserialize)]
struct About {
    #[serde(rename = "type")]
    kind: String,
    help: String,
}

/// Evenly spaced moments, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "all of them are milliseconds")]
pub(crate) struct Steps {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) step_ms: u64,
}

impl Steps {
    /// How many there are, less one.
    const fn intervals(self) -> u64 {
        (self.to_ms - self.from_ms) / self.step_ms
    }
}

/// A series with a value, or none, for every moment.
#[derive(Debug)]
pub(crate) struct Plotted {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) values: Vec<Option<f64>>,
}

pub(crate) async fn run(
    context: &Context,
    asked: &Metrics,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let Some(expression) = &asked.expression else { return list(&client, output).await };
    if asked.now {
        return now(&client, (expression, asked.limit), output).await;
    }
    let now = (context.now)();
    let moment = match &asked.around {
        Some(index) => Some(event(&client, index).await?),
        None => None,
    };
    let (from, to) = match &moment {
        Some(event) => (back(event.at, AROUND), event.at.after(AROUND).min(now)),
        None => (when::parse(&asked.since, now)?, now),
    };
    let whole_ms = u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX).max(1_000);
    let step_ms = match asked.step.as_deref() {
        Some(text) => {
            let step =
                parse_duration(text).map_err(|it| CommandError::wrong(format!("--step: {it}")))?;
            u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1)
        }
        None => (whole_ms / COLUMNS).max(1_000),
    };
    let steps = Steps { from_ms: to.as_millis() - whole_ms, to_ms: to.as_millis(), step_ms };
    let target = range_target(expression, steps);
    if output.is_json() {
        let answer: Answer<Value> = client.get(target).await?;
        return output.json(&answer.data);
    }
    let series = plotted(&client, target, steps).await?;
    let heading = match &moment {
        Some(event) => Heading::Around(event, steps),
        None => Heading::Since(&asked.since),
    };
    show(&series, &heading, asked.limit, output)
}

/// How far values reach before an event and after it.
const AROUND: Duration = Duration::from_mins(5);

/// An event of the journal.
#[derive(Debug)]
struct Moment {
    at: Timestamp,
    text: String,
}

/// What stands over a plot.
#[derive(Debug)]
enum Heading<'a> {
    Since(&'a str),
    Around(&'a Moment, Steps),
}

impl Heading<'_> {
    /// A mark over the column of the moment, behind so many characters.
    fn mark(&self, indent: usize) -> Option<String> {
        let Self::Around(event, steps) = self else { return None };
        let column = event.at.as_millis().saturating_sub(steps.from_ms) / steps.step_ms;
        let column = usize::try_from(column).unwrap_or(0);
        Some(format!("{}▼ {}", " ".repeat(indent + column), event.text))
    }
}

fn back(at: Timestamp, by: Duration) -> Timestamp {
    let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_sub(by_ms))
}

/// The event with an index, written `43` or `@43`.
async fn event(client: &Client, index: &str) -> Result<Moment, CommandError> {
    let number = index.trim_start_matches('@').parse::<u64>().ok().filter(|it| 0 < *it);
    let wrong =
        || CommandError::wrong(format!("`{index}` is no index; `pelago events` lists them"));
    let number = number.ok_or_else(wrong)?;
    let target =
        Target::new(&["v1", "events"]).with("after", Some(number - 1)).with("limit", Some(1));
    let events: Vec<EventView> = client.get(target).await?;
    let event = events.into_iter().find(|it| it.index == number);
    let missing =
        || CommandError::wrong(format!("there is no event {index}; `pelago events` lists them"));
    let event = event.ok_or_else(missing)?;
    let at = Timestamp::parse(&event.at).ok_or_else(missing)?;
    Ok(Moment { at, text: event.text })
}

fn range_target(expression: &str, steps: Steps) -> Target {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century")]
    let seconds = |ms: u64| ms as f64 / 1e3;
    Target::new(&["api", "v1", "query_range"])
        .with("query", Some(expression))
        .with("start", Some(seconds(steps.from_ms)))
        .with("end", Some(seconds(steps.to_ms)))
        .with("step", Some(seconds(steps.step_ms)))
}

/// The values of an expression at some moments.
pub(crate) async fn range(
    client: &Client,
    expression: &str,
    steps: Steps,
) -> Result<Vec<Plotted>, CommandError> {
    plotted(client, range_target(expression, steps), steps).await
}

async fn plotted(
    client: &Client,
    target: Target,
    steps: Steps,
) -> Result<Vec<Plotted>, CommandError> {
    let answer: Answer<Queried> = client.get(target).await?;
    let series: Vec<Matrix> = read(answer.data.result)?;
    Ok(series.into_iter().map(|it| plot_of(it, steps)).collect())
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, CommandError> {
    serde_json::from_value(value).map_err(|error| {
        CommandError::wrong(format!("the answer is not what was expected: {error}"))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among the moments that were asked for; the casts saturate"
)]
fn plot_of(series: Matrix, steps: Steps) -> Plotted {
    let count = usize::try_from(steps.intervals() + 1).unwrap_or(1);
    let mut values = vec![None; count];
    for (at, text) in series.values {
        let place = ((at * 1e3).round() as u64).saturating_sub(steps.from_ms) / steps.step_ms;
        if let Some(value) = values.get_mut(place as usize) {
            *value = text.parse().ok();
        }
    }
    Plotted { labels: series.metric, values }
}

fn show(
    series: &[Plotted],
    heading: &Heading<'_>,
    limit: usize,
    output: &mut Output,
) -> Result<(), CommandError> {
    if series.is_empty() {
        return output.note("no series fits, or none has a sample in this time; `pelago metrics` lists what there is");
    }
    if let [one] = series {
        output.line(&name(&one.labels))?;
        let lines = plot::columns(&one.values, HEIGHT);
        let indent = lines.first().and_then(|it| it.chars().position(|it| it == '┤'));
        if let Some(mark) = heading.mark(indent.map_or(0, |it| it + 1)) {
            output.line(&mark)?;
        }
        for line in lines {
            output.line(&line)?;
        }
        let [least, most, last] = figures(&one.values);
        let since = match heading {
            Heading::Since(since) => format!(", since {since}"),
            Heading::Around(..) => String::new(),
        };
        return output.line(&format!("least {least}, most {most}, last {last}{since}"));
    }
    let row = |it: &Plotted| -> Vec<Cell> {
        let [least, most, last] = figures(&it.values);
        let cells = [plot::sparkline(&it.values), least, most, last, name(&it.labels)];
        cells.map(|it| (it, Tone::Plain)).to_vec()
    };
    let rows: Vec<_> = series.iter().take(limit).map(row).collect();
    if let Some(mark) = heading.mark(0) {
        output.line(&mark)?;
    }
    let heading = match heading {
        Heading::Since(since) => format!("SINCE {}", since.to_uppercase()),
        Heading::Around(..) => "AROUND".to_owned(),
    };
    table::write(output, &[&heading, "LEAST", "MOST", "LAST", "SERIES"], &rows)?;
    more(series.len(), limit, output)
}

fn more(found: usize, limit: usize, output: &mut Output) -> Result<(), CommandError> {
    match found.saturating_sub(limit) {
        0 => Ok(()),
        hidden => output.note(&format!("and {hidden} more; show them with --limit {found}")),
    }
}

fn figures(values: &[Option<f64>]) -> [String; 3] {
    let (least, most) = plot::range(values).unwrap_or((f64::NAN, f64::NAN));
    let last = values.iter().rev().flatten().next().copied();
    [least, most, last.unwrap_or(f64::NAN)].map(plot::number)
}

/// As a selector would be written.
fn name(labels: &BTreeMap<String, String>) -> String {
    let metric = labels.get("__name__").map_or("", String::as_str);
    let others =
        labels.iter().filter(|it| *it.0 != "__name__" && (it.0 != "job" || it.1 != "pelago"));
    let others: Vec<String> = others.map(|(name, value)| format!("{name}={value:?}")).collect();
    match (metric, others.is_empty()) {
        (metric, true) if !metric.is_empty() => metric.to_owned(),
        (metric, _) => format!("{metric}{{{}}}", others.join(", ")),
    }
}

/// The values now.
async fn now(
    client: &Client,
    (expression, limit): (&str, usize),
    output: &mut Output,
) -> Result<(), CommandError> {
    let target = Target::new(&["api", "v1", "query"]).with("query", Some(expression));
    let answer: Answer<Queried> = client.get(target).await?;
    if output.is_json() {
        return output.json(&serde_json::json!({
            "resultType": answer.data.result_type, "result": answer.data.result,
        }));
    }
    if answer.data.result_type != "vector" {
        let (_at, text): (f64, Value) = match answer.data.result_type.as_str() {
            "scalar" | "string" => read(answer.data.result)?,
            _ => {
                return Err(CommandError::wrong(
                    "a range has no value now; leave out --now, or aggregate it",
                ));
            }
        };
        return output.line(text.as_str().unwrap_or_default());
    }
    let samples: Vec<Sample> = read(answer.data.result)?;
    let row = |it: &Sample| {
        let value = it.value.1.parse().map_or_else(|_error| it.value.1.clone(), plot::number);
        vec![(value, Tone::Plain), (name(&it.metric), Tone::Plain)]
    };
    let rows: Vec<_> = samples.iter().take(limit).map(row).collect();
    table::write(output, &["VALUE", "SERIES"], &rows)?;
    more(samples.len(), limit, output)
}

/// The metrics there are.
async fn list(client: &Client, output: &mut Output) -> Result<(), CommandError> {
    let names = Target::new(&["api", "v1", "label", "__name__", "values"]);
    let names: Answer<Vec<String>> = client.get(names).await?;
    let about = Target::new(&["api", "v1", "metadata"]);
    let about: Answer<BTreeMap<String, Vec<About>>> = client.get(about).await?;
    if output.is_json() {
        return output.json(&names.data);
    }
    let row = |it: &String| {
        let known = about.data.get(it).and_then(|it| it.first());
        let (kind, help) = known.map_or(("-", ""), |it| (it.kind.as_str(), it.help.as_str()));
        vec![
            (it.clone(), Tone::Plain),
            (kind.to_owned(), Tone::Faint),
            (help.to_owned(), Tone::Plain),
        ]
    };
    let rows: Vec<_> = names.data.iter().map(row).collect();
    table::write(output, &["METRIC", "KIND", "MEANING"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    fn series(callee: &str, values: &[f64]) -> Plotted {
        let labels = [("callee", callee), ("job", "pelago")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Plotted { labels: labels.into(), values: values.iter().copied().map(Some).collect() }
    }

    fn shown(series: &[Plotted], limit: usize) -> String {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        show(series, &Heading::Since("15m"), limit, &mut output).unwrap();
        page.text()
    }

    #[test]
    fn one_series_is_plotted_large() {
        insta::assert_snapshot!(shown(&[series("cart", &[1.0, 2.0, 4.0, 8.0, 3.0])], 9), @r#"
        {callee="cart"}
        8 ┤   █
          ┤   █
          ┤   █
          ┤   █
          ┤  ██
          ┤  ███
          ┤ ████
        0 ┤█████
        least 1, most 8, last 3, since 15m
        "#);
    }

    #[test]
    fn many_series_are_lines() {
        let all =
            [series("cart", &[1.0, 2.0, 4.0]), series("ads", &[0.0, 0.0, 0.5]), series("x", &[])];
        insta::assert_snapshot!(shown(&all, 2), @r#"
        SINCE 15M  LEAST  MOST  LAST  SERIES
        ▂▄█        1      4     4     {callee="cart"}
        ▁▁█        0      0.5   0.5   {callee="ads"}
        and 1 more; show them with --limit 3
        "#);
    }

    #[test]
    fn an_event_is_marked() {
        let event = Moment { at: Timestamp::from_millis(3_500), text: "cart@r2 made".to_owned() };
        let steps = Steps { from_ms: 1_000, to_ms: 5_000, step_ms: 1_000 };
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        let all = [series("cart", &[1.0, 2.0, 4.0, 8.0]), series("ads", &[0.0, 0.0, 0.5, 1.0])];
        show(&all, &Heading::Around(&event, steps), 9, &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @r#"
          ▼ cart@r2 made
        AROUND  LEAST  MOST  LAST  SERIES
        ▁▂▄█    1      8     8     {callee="cart"}
        ▁▁▄█    0      1     1     {callee="ads"}
        "#);
    }

    #[test]
    fn values_find_their_moments() {
        let metric = BTreeMap::new();
        let values = vec![(1.0, "1".to_owned()), (3.0, "NaN".to_owned()), (4.0, "2".to_owned())];
        let steps = Steps { from_ms: 1_000, to_ms: 4_500, step_ms: 1_000 };
        let plotted = plot_of(Matrix { metric, values }, steps);
        assert_eq!(plotted.values.len(), 4);
        assert_eq!(
            (plotted.values[0], plotted.values[1], plotted.values[3]),
            (Some(1.0), None, Some(2.0))
        );
        assert!(plotted.values[2].is_some_and(f64::is_nan));
    }
}
