//! Series held in memory: for rehearsals of rules, and for tests.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::labels::Labels;
use crate::source::{Selection, Series, Source, SourceError};

/// Series in memory, by their labels.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    series: BTreeMap<Labels, (Vec<i64>, Vec<f64>)>,
}

impl Memory {
    /// Adds a sample. One that is not after the last of its series takes that one's place if it is from the
    /// same moment, and is refused if it is older.
    pub fn append(&mut self, labels: &Labels, time_ms: i64, value: f64) -> bool {
        if !self.series.contains_key(labels) {
            self.series.insert(labels.clone(), (Vec::new(), Vec::new()));
        }
        let Some((times, values)) = self.series.get_mut(labels) else { return false };
        match times.last() {
            Some(last_ms) if time_ms < *last_ms => return false,
            Some(last_ms) if time_ms == *last_ms => {
                values.pop();
            }
            _ => times.push(time_ms),
        }
        values.push(value);
        true
    }

    /// Every series with its samples.
    pub fn iter(&self) -> impl Iterator<Item = Series<'_>> {
        self.series.iter().map(|(labels, (times, values))| Series { labels, times, values })
    }
}

impl Source for Memory {
    fn select(
        &self,
        selection: &Selection<'_>,
        visit: &mut dyn FnMut(Series<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        for Series { labels, times, values } in self.iter() {
            if !selection.matchers.iter().all(|it| it.fits(labels.get(&it.name))) {
                continue;
            }
            let from = times.partition_point(|it| *it < selection.from_ms);
            let to = times.partition_point(|it| *it <= selection.to_ms);
            let times = times.get(from..to).unwrap_or_default();
            let values = values.get(from..to).unwrap_or_default();
            if !times.is_empty() && visit(Series { labels, times, values }).is_break() {
                break;
            }
        }
        Ok(())
    }
}
