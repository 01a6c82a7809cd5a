//! A source together with what was written at this very moment: rules of a group see what those before them recorded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::labels::Labels;
use crate::source::{Selection, Series, Source, SourceError};

pub(super) struct Overlay<'a> {
    pub(super) below: &'a dyn Source,
    pub(super) now_ms: i64,
    pub(super) written: BTreeMap<Labels, f64>,
}

impl Source for Overlay<'_> {
    fn select(
        &self,
        selection: &Selection<'_>,
        visit: &mut dyn FnMut(Series<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let in_time = selection.from_ms <= self.now_ms && self.now_ms <= selection.to_ms;
        let fits = |labels: &Labels| {
            in_time && selection.matchers.iter().all(|it| it.fits(labels.get(&it.name)))
        };
        let mut rest: BTreeMap<&Labels, f64> = self
            .written
            .iter()
            .filter(|(labels, _)| fits(labels))
            .map(|(it, at)| (it, *at))
            .collect();
        let mut ended = false;
        self.below.select(selection, &mut |series| {
            let flow = match rest.remove(series.labels) {
                None => visit(series),
                Some(value) => {
                    let before = series.times.partition_point(|it| *it < self.now_ms);
                    let mut times = series.times.get(..before).unwrap_or_default().to_vec();
                    let mut values = series.values.get(..before).unwrap_or_default().to_vec();
                    times.push(self.now_ms);
                    values.push(value);
                    visit(Series { labels: series.labels, times: &times, values: &values })
                }
            };
            ended = flow.is_break();
            flow
        })?;
        for (labels, value) in rest {
            if ended {
                break;
            }
            ended = visit(Series { labels, times: &[self.now_ms], values: &[value] }).is_break();
        }
        Ok(())
    }
}
