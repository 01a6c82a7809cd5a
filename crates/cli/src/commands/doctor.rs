//! `pelago doctor`.

use std::process::ExitCode;

use api::logs::{Finding, FindingVerdict};

use crate::client::Target;
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::{Context, daemon};

pub(crate) async fn run(context: &Context, output: &mut Output) -> Result<ExitCode, CommandError> {
    let findings = match daemon::ensure(context).await {
        Ok(client) => client.get(Target::new(&["v1", "doctor"])).await?,
        Err(error) => vec![Finding {
            subject: "control".to_owned(),
            verdict: FindingVerdict::Bad,
            detail: model::chain(&error),
        }],
    };
    if output.is_json() {
        output.json(&findings)?;
    } else {
        for finding in &findings {
            let (word, tone) = match finding.verdict {
                FindingVerdict::Good => ("good   ", Tone::Good),
                FindingVerdict::Limited => ("limited", Tone::Busy),
                FindingVerdict::Bad => ("bad    ", Tone::Bad),
            };
            let word = output.paint(tone, word);
            output.line(&format!("{word}  {:<15} {}", finding.subject, finding.detail))?;
        }
    }
    let bad = findings.iter().any(|it| it.verdict == FindingVerdict::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
