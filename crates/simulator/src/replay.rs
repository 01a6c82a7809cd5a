//! A log of production's decisions, decided again: the proof that what is simulated decides as what runs.
//!
//! A log (`pelago serve --decision-log`) says what each edge of the data plane was told, when, what it decided, and the state of
//! its random stream. Here another edge of the same code is told the same, at the times that are written there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use traffic::log::{Difference, Entry, Replay};

/// Differences that are kept: one is a defect already, and what follows it differs too.
const DIFFERENCES_MAX: usize = 20;

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Edges in the log.
    pub edges: usize,
    /// Lines, each an input and what was decided.
    pub decisions: u64,
    /// Lines that came out otherwise. Of an edge only the first counts: what follows it has another past.
    pub differences: Vec<Differs>,
}

/// One line that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// The line in the log, from 1.
    pub line: u64,
    /// The edge.
    pub edge: String,
    /// What is logged.
    pub logged: String,
    /// What was decided now.
    pub found: String,
}

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A line is no entry of a log.
    #[error(
        "line {line} is no decision; a log is written by `pelago serve --decision-log FOLDER`, one line a decision"
    )]
    NoEntry {
        /// Which, from 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// One line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    edge: std::borrow::Cow<'a, str>,
    #[serde(flatten)]
    entry: Entry,
}

/// Edges as a log makes them, decision by decision.
#[derive(Debug, Default)]
pub struct Replayer {
    edges: BTreeMap<String, Option<Replay>>,
    replayed: Replayed,
}

impl Replayer {
    /// Decides one line again. The last line of a log whose process was killed may be cut: an empty one is none.
    pub fn step(&mut self, text: &str) -> Result<(), ReplayError> {
        if text.is_empty() {
            return Ok(());
        }
        self.replayed.decisions += 1;
        let line = self.replayed.decisions;
        let Line { edge, entry } =
            serde_json::from_str(text).map_err(|source| ReplayError::NoEntry { line, source })?;
        let place = self.edges.entry(edge.into_owned());
        let name = place.key().clone();
        let Some(replay) = place.or_insert_with(|| Some(Replay::default())) else { return Ok(()) };
        if let Err(Difference { logged, found }) = replay.step(&entry) {
            self.edges.insert(name.clone(), None);
            if self.replayed.differences.len() < DIFFERENCES_MAX {
                self.replayed.differences.push(Differs { line, edge: name, logged, found });
            }
        }
        Ok(())
    }

    /// What came of it.
    pub fn done(mut self) -> Replayed {
        self.replayed.edges = self.edges.len();
        self.replayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines as a data plane writes them.
    fn log() -> Vec<String> {
        let policy = serde_json::to_string(&model::edge::Resilience::default()).unwrap();
        let made = format!(
            r#"{{"edge":"shop/web>cart","at":5,"input":{{"made":{{"policy":{policy},"rng":9}}}},"rng":9}}"#
        );
        let refused = r#"{"edge":"shop/web>cart","at":7,"input":{"begin":{"key":null,"release":null,"priority":"normal","idempotent":true,"deadline":null}},"decision":"refuse no-instance","rng":9}"#;
        vec![made, refused.to_owned()]
    }

    fn replay(lines: &[String]) -> Result<Replayed, ReplayError> {
        let mut replayer = Replayer::default();
        for line in lines {
            replayer.step(line)?;
        }
        Ok(replayer.done())
    }

    #[test]
    fn the_same_is_decided() {
        let replayed = replay(&log()).unwrap();
        assert_eq!((replayed.edges, replayed.decisions, replayed.differences.len()), (1, 2, 0));
    }

    #[test]
    fn what_differs_is_told_once_for_each_edge() {
        let mut lines = log();
        lines[1] = lines[1].replace("no-instance", "overloaded");
        lines.push(lines[1].clone());
        let replayed = replay(&lines).unwrap();
        assert_eq!(replayed.differences.len(), 1);
        let it = &replayed.differences[0];
        assert_eq!((it.line, it.edge.as_str()), (2, "shop/web>cart"));
        assert_eq!(it.found, "refuse no-instance (draws 0000000000000009)");
        assert_eq!(replay(&lines[1..]).unwrap().differences.len(), 1, "it has no beginning");
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_line() {
        let mut lines = log();
        lines.insert(1, "{}".to_owned());
        let error = replay(&lines).unwrap_err().to_string();
        assert!(error.starts_with("line 2 is no decision"), "{error}");
    }
}
