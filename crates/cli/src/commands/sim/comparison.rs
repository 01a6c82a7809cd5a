//! Two variants side by side: what differs, by how much, and whether that is better.

use api::simulation::{Comparison, Credibility, Difference, Estimate};

use super::figure::{Extent, belief, footer, heading, plain, rate, share, time};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::plot::number;
use crate::table::{self, Cell};

pub(super) fn show(
    found: &Comparison,
    extent: Extent,
    output: &mut Output,
) -> Result<(), CommandError> {
    heading(&found.a.origin, output)?;
    output.line(&output.paint(Tone::Strong, &found.summary))?;
    for (name, report) in [("first", &found.a), ("second", &found.b)] {
        output.line(&format!("  the {name} {}", report.verdict.summary))?;
    }
    belief(&both(found), output)?;
    output.line("")?;
    // What users notice is always shown; of the rest, what differs.
    let is_shown =
        |it: &&Difference| extent == Extent::All || it.differs || it.more_is_better.is_some();
    let rows: Vec<Vec<Cell>> = found.differences.iter().filter(is_shown).map(row).collect();
    table::write(output, &["WHAT", "FIRST", "SECOND", "DIFFERENCE", ""], &rows)?;
    let left = found.differences.len() - rows.len();
    if 0 < left {
        let text = format!("and {left} more that do not differ; `--all` shows them");
        output.line(&output.paint(Tone::Faint, &text))?;
    }
    footer(&found.a.origin, output)
}

/// Why one should believe either, or not: what holds for both is said once.
fn both(found: &Comparison) -> Credibility {
    let (a, b) = (&found.a.credibility, &found.b.credibility);
    let all = |of: fn(&Credibility) -> &Vec<String>| {
        let named = |name: &str, it: &String| format!("in the {name}, {it}");
        let shared = of(a).iter().filter(|it| of(b).contains(it)).cloned();
        let of_a = of(a).iter().filter(|it| !of(b).contains(it)).map(|it| named("first", it));
        let of_b = of(b).iter().filter(|it| !of(a).contains(it)).map(|it| named("second", it));
        shared.chain(of_a).chain(of_b).collect::<Vec<String>>()
    };
    Credibility {
        violations: all(|it| &it.violations),
        little_max_error: a.little_max_error.max(b.little_max_error),
        assumptions: all(|it| &it.assumptions),
        refusals: all(|it| &it.refusals),
    }
}

fn row(it: &Difference) -> Vec<Cell> {
    let figure = |estimate: &Estimate| match it.unit.as_str() {
        "ms" => time(estimate),
        "/s" => rate(estimate),
        _ if is_share(it) => share(estimate),
        _ => plain(estimate),
    };
    let is_more = 0.0 < it.difference.value;
    let is_same = it.difference.value == 0.0 && it.difference.half_width == Some(0.0);
    let (judged, tone) = match (it.differs, it.more_is_better) {
        (false, _) if is_same => ("the same", Tone::Faint),
        (false, _) => ("no difference that can be told from chance", Tone::Faint),
        (true, None) => (if is_more { "more" } else { "less" }, Tone::Plain),
        (true, Some(better)) if better == is_more => ("better", Tone::Good),
        (true, Some(_)) => ("worse", Tone::Bad),
    };
    let judged = match &it.difference.refused {
        Some(_) => "no interval",
        None => judged,
    };
    vec![
        (it.what.replace(" -> ", " → "), Tone::Strong),
        table::plain(&figure(&it.a)),
        table::plain(&figure(&it.b)),
        (difference(it), tone),
        (judged.to_owned(), tone),
    ]
}

fn is_share(it: &Difference) -> bool {
    it.what == "success" || it.what.starts_with("utilisation")
}

/// `-13.3ms ±0.2ms`.
fn difference(it: &Difference) -> String {
    let (scale, unit) = if is_share(it) { (100.0, "%") } else { (1.0, it.unit.as_str()) };
    let shown = |value: f64| {
        let value = value * scale;
        let size = 10_f64.powf(2.0 - value.abs().max(1e-9).log10().floor());
        number((value * size).round() / size)
    };
    let sign = if 0.0 < it.difference.value { "+" } else { "" };
    let half = it.difference.half_width.filter(|it| 0.0 < *it);
    let half = half.map(|it| format!(" ±{}{unit}", shown(it))).unwrap_or_default();
    format!("{sign}{}{unit}{half}", shown(it.difference.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::commands::sim::sample;
    use crate::output::{Look, captured};

    #[test]
    fn what_differs() {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        show(&sample::comparison(), Extent::Screen, &mut output).unwrap();
        insta::assert_snapshot!(page.text(), @"
        shop: 10 times 5m, the first 12s500ms of each not counted (mser-5)
        the second has goodput 20.0 % lower (worse), mean 20.0 % lower (better)
          the first misses p99 within 500ms; cart is busiest, at 82 %
          the second misses p99 within 500ms; cart is busiest, at 82 %
        ! no interval: a is 95 % busy
        ! no interval: in the first, b is 95 % busy
        ! no interval: in the first, c is 95 % busy
        ! no interval: 2 more such reasons
          nothing is lost, and Little's law holds within 0.12%
          assumed: 100 requests/s come from outside

        WHAT              FIRST         SECOND        DIFFERENCE
        goodput           20/s ±2.0%    16/s ±2.0%    -4/s ±0.25/s  worse
        mean              20.0ms ±2.0%  16.0ms ±2.0%  -4ms ±0.25ms  better
        p99.9             20.0ms ±2.0%  16.0ms ±2.0%  -4ms          no interval
        utilisation cart  60.0% ±1.2%   30.0% ±0.60%  -30% ±1%      less
        and 1 more that do not differ; `--all` shows them

        model 0123456789abcdef · outcome fedcba9876543210 · 1235k events
        again: pelago sim run shop.yaml --replications 10 --seed 1
        ");
    }
}
