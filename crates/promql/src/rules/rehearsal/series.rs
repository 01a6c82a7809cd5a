//! Series as tests write them: `up{job="a"}`, and values in a short form such as `0+10x5 _ stale`.

use crate::labels::Labels;
use crate::parse::{number, parse_selector};
use crate::rules::RuleError;
use crate::rules::yaml::Node;
use crate::source::{MatcherKind, STALE};

/// Values one series may have: a year of minutes.
const VALUES_MAX: usize = 600_000;

/// The labels of a series; `{}` and nothing are none.
pub(super) fn labels(node: &Node) -> Result<Labels, RuleError> {
    let text = node.text()?;
    if matches!(text.trim(), "" | "{}") {
        return Ok(Labels::default());
    }
    let selector = parse_selector(text).map_err(|error| node.place.error(error.to_string()))?;
    if selector.matchers.iter().any(|it| !matches!(it.kind, MatcherKind::Equal)) {
        return Err(node.place.error("a series has labels with one value each"));
    }
    Ok(Labels::of(selector.matchers.iter().map(|it| (it.name.as_str(), it.value.as_str()))))
}

/// The values of a series; nothing where a scrape was missed.
pub(super) fn values(node: &Node) -> Result<Vec<Option<f64>>, RuleError> {
    let mut values = Vec::new();
    for item in node.text()?.split_whitespace() {
        let repeated = repeated(item)
            .ok_or_else(|| node.place.error(format!("{item:?} is no value of a series")))?;
        if VALUES_MAX < values.len().saturating_add(repeated.times) {
            return Err(node.place.error(format!("more than {VALUES_MAX} values")));
        }
        let mut value = repeated.first;
        for _ in 0..repeated.times {
            values.push(value);
            value = value.map(|it| it + repeated.step);
        }
    }
    Ok(values)
}

struct Repeated {
    first: Option<f64>,
    step: f64,
    times: usize,
}

/// `5`, `_`, `stale`, `_x3`, `5x3` (four fives), `5+2x3` and `5-2x3`.
fn repeated(item: &str) -> Option<Repeated> {
    let once = |first| Some(Repeated { first, step: 0.0, times: 1 });
    match item {
        "_" => return once(None),
        "stale" => return once(Some(STALE)),
        _ => {}
    }
    if let Some(times) = item.strip_prefix("_x") {
        return Some(Repeated { first: None, step: 0.0, times: times.parse().ok()? });
    }
    if let Some(value) = number(item).filter(|_| !item.starts_with("0x")) {
        return once(Some(value));
    }
    let (value, times) = item.rsplit_once('x')?;
    let times = times.parse::<usize>().ok()?.checked_add(1)?;
    if let Some(first) = number(value) {
        return Some(Repeated { first: Some(first), step: 0.0, times });
    }
    let signs = value.char_indices().skip(1).filter(|(_, it)| matches!(it, '+' | '-'));
    let parts = signs.filter_map(|(at, _)| {
        let (first, step) = value.split_at_checked(at)?;
        Some((number(first)?, number(step)?))
    });
    let (first, step) = parts.last()?;
    Some(Repeated { first: Some(first), step, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(item: &str, expected: Option<(Option<f64>, f64, usize)>) {
        let found = repeated(item).map(|it| (it.first, it.step, it.times));
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{item}");
    }

    #[test]
    fn values_are_repeated() {
        check("5", Some((Some(5.0), 0.0, 1)));
        check("-5.5", Some((Some(-5.5), 0.0, 1)));
        check("_", Some((None, 0.0, 1)));
        check("_x3", Some((None, 0.0, 3)));
        check("5x3", Some((Some(5.0), 0.0, 4)));
        check("-5+2x3", Some((Some(-5.0), 2.0, 4)));
        check("5-0.5x3", Some((Some(5.0), -0.5, 4)));
        check("1e+3+1e-1x2", Some((Some(1000.0), 0.1, 3)));
        check("NaNx1", Some((Some(f64::NAN), 0.0, 2)));
        check("0x3", Some((Some(0.0), 0.0, 4)));
        check("5y3", None);
    }
}
