//! `pelago sim replay`: what production decided, decided again.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::ExitCode;

use simulator::replay::Replayer;

use crate::Context;
use crate::arguments::simulation::Decisions;
use crate::error::CommandError;
use crate::output::Output;

/// Replays logs, one after the other, and says what differs. Logs of several workers know nothing of each other.
pub(super) fn replay(
    context: &Context,
    asked: &Decisions,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let mut differ = false;
    for log in &asked.logs {
        let path = context.folder.join(log);
        let unread = |source| CommandError::File { path: path.clone(), verb: "read", source };
        let mut replayer = Replayer::default();
        let mut lines = BufReader::new(File::open(&path).map_err(unread)?);
        let mut line = String::new();
        while lines.read_line(&mut line).map_err(unread)? != 0 {
            // A process that was killed may have left half a line at the end.
            let Some(whole) = line.strip_suffix('\n') else { break };
            let read = replayer.step(whole);
            read.map_err(|error| {
                CommandError::wrong(format!("{}: {}", log.display(), model::chain(&error)))
            })?;
            line.clear();
        }
        let replayed = replayer.done();
        differ |= !replayed.differences.is_empty();
        if output.is_json() {
            output.json(&replayed)?;
            continue;
        }
        let (decisions, edges) = (replayed.decisions, replayed.edges);
        let verdict = match replayed.differences.len() {
            0 => "all decided the same again".to_owned(),
            count => format!("{count} edges decided otherwise"),
        };
        output.line(&format!(
            "{}: {decisions} decisions of {edges} edges: {verdict}",
            log.display()
        ))?;
        for it in &replayed.differences {
            output.line(&format!("  line {}, {}", it.line, it.edge))?;
            output.line(&format!("    logged: {}", it.logged))?;
            output.line(&format!("    now:    {}", it.found))?;
        }
    }
    Ok(if differ { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
