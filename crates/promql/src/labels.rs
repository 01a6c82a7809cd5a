//! What tells one series from another.

use std::fmt;
use std::sync::Arc;

/// The label that holds a metric's name.
pub const NAME: &str = "__name__";

/// Names and values, sorted by name; no name twice and no value empty, as an empty value means that the
/// label is not there. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[Label]>);

/// One label: its name and its value.
pub type Label = (Arc<str>, Arc<str>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Labels {
    /// From labels in any order; of a name that comes twice the first counts, and empty values go.
    pub fn new(mut labels: Vec<Label>) -> Self {
        labels.retain(|(_, value)| !value.is_empty());
        if !labels.is_sorted_by(|a, b| a.0 < b.0) {
            labels.sort_by(|a, b| a.0.cmp(&b.0));
            labels.dedup_by(|later, earlier| later.0 == earlier.0);
        }
        Self(labels.into())
    }

    /// From text.
    pub fn of<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::new(labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a label; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|it| &*it.0 == name).map_or("", |it| &it.1)
    }

    /// The metric's name; empty if it has none.
    pub fn metric(&self) -> &str {
        self.get(NAME)
    }

    /// All but the metric's name.
    pub fn without_metric(&self) -> Self {
        self.filtered(|name| name != NAME)
    }

    /// These only.
    pub fn only(&self, names: &[String]) -> Self {
        self.filtered(|name| names.iter().any(|it| it == name))
    }

    /// All but these and the metric's name.
    pub fn without(&self, names: &[String]) -> Self {
        self.filtered(|name| name != NAME && names.iter().all(|it| it != name))
    }

    /// All but these.
    pub fn minus(&self, names: &[String]) -> Self {
        self.filtered(|name| names.iter().all(|it| it != name))
    }

    /// With one label more, or another value of it; an empty value takes it away.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|it| &*it.0 != name).cloned();
        Self::new(others.chain([(name.into(), value.into())]).collect())
    }

    fn filtered(&self, stays: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|it| stays(&it.0)).cloned().collect())
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Label> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// As a selector would be written: `up{job="cart"}`.
impl fmt::Display for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = self.metric();
        formatter.write_str(metric)?;
        let mut others = self.0.iter().filter(|it| &*it.0 != NAME).peekable();
        if others.peek().is_none() && !metric.is_empty() {
            return Ok(());
        }
        formatter.write_str("{")?;
        for (place, (name, value)) in others.enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(formatter, "{comma}{name}={value:?}")?;
        }
        formatter.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(labels: &[(&str, &str)], shown: &str) {
        assert_eq!(Labels::of(labels.iter().copied()).to_string(), shown);
    }

    #[test]
    fn labels_are_sorted_and_shown_as_selectors() {
        check(
            &[("job", "cart"), (NAME, "up"), ("instance", "1")],
            r#"up{instance="1", job="cart"}"#,
        );
        check(&[(NAME, "up")], "up");
        check(&[], "{}");
        check(&[("b", ""), ("a", "1"), ("a", "2")], r#"{a="1"}"#);
    }
}
