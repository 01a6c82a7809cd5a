//! `pelago plan`.

use api::change::{ChangeAction, PlanView};
use api::request::{Apply, Deploy};

use super::up;
use crate::arguments::Plan;
use crate::client::Target;
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::{Context, daemon, input};

pub(crate) async fn run(
    context: &Context,
    asked: &Plan,
    output: &mut Output,
) -> Result<(), CommandError> {
    let described = input::read(context, asked.file.file.as_deref(), output)?;
    let client = daemon::ensure(context).await?;
    let folder = described.folder.display().to_string();
    let apply = Apply { definition: described.application, folder, deploy: Deploy::default() };
    let shown = asked.show_values.then_some("true");
    let target = Target::new(&["v1", "plan"]).with("show_values", shown);
    let plan: PlanView = client.post(target, &apply).await?;
    let name = apply.definition.name.to_string();
    if let Some(other) = up::other_folder(&client, &name, &apply.folder).await? {
        output.note(&format!(
            "note: {name} runs as described in {other}; `up` needs `--take-over`"
        ))?;
    }
    if output.is_json() {
        return output.json(&plan);
    }
    if plan.changes.is_empty() && plan.whole.is_empty() {
        return output.line(&format!("{}: nothing would change", plan.application));
    }
    for change in &plan.changes {
        let (sign, tone) = match change.action {
            ChangeAction::Create | ChangeAction::Start => ("+", Tone::Good),
            ChangeAction::Release | ChangeAction::Scale | ChangeAction::Amend => ("~", Tone::Busy),
            ChangeAction::Remove => ("-", Tone::Bad),
        };
        let line = format!("{sign} {} {}", change.action, change.service);
        output.line(&output.paint(tone, &line))?;
        for detail in &change.details {
            output.line(&format!("    {detail}"))?;
        }
    }
    if !plan.whole.is_empty() {
        output.line(&output.paint(Tone::Busy, &format!("~ change {}", plan.application)))?;
    }
    for line in &plan.whole {
        output.line(&format!("    {line}"))?;
    }
    Ok(())
}
