//! Every command that asks, one file each.

mod baked;
mod deploy;
mod develop;
mod doctor;
mod edges;
mod events;
mod evidence;
mod exec;
mod file;
mod graph;
mod logs;
mod metrics;
mod plan;
mod ps;
mod records;
pub(crate) mod releases;
mod rollout;
mod sim;
mod start;
mod stop;
mod top;
mod trace;
mod traffic;
mod up;
mod wishes;

use std::process::ExitCode;

use crate::Context;
use crate::arguments::{Asking, Looking};
use crate::error::CommandError;
use crate::output::Output;

/// Runs one command.
pub(crate) async fn run(
    context: &Context,
    asking: Asking,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    match asking {
        Asking::Up(up) => return up::run(context, &up, output).await,
        Asking::Down => stop::down(context, output).await?,
        Asking::Start => return start::run(context, output).await,
        Asking::Remove => stop::remove(context, output).await?,
        Asking::Ps(ps) => ps::ps(context, &ps, output).await?,
        Asking::Status(status) => ps::status(context, &status, output).await?,
        Asking::Logs(logs) => logs::run(context, logs, output).await?,
        Asking::Exec(exec) => exec::run(context, &exec, output).await?,
        Asking::Restart(restart) => wishes::restart(context, &restart, output).await?,
        Asking::Scale(scale) => wishes::scale(context, &scale, output).await?,
        Asking::Deploy(deploy) => return deploy::run(context, &deploy, output).await,
        Asking::Rollback(rollback) => return rollout::roll_back(context, &rollback, output).await,
        Asking::Rollout(rollout) => return rollout::run(context, &rollout, output).await,
        Asking::Releases(releases) => releases::list(context, &releases, output).await?,
        Asking::Diff(diff) => releases::diff(context, &diff, output).await?,
        Asking::Traffic(traffic) => traffic::run(context, &traffic, output).await?,
        Asking::Events(events) => events::run(context, &events, output).await?,
        Asking::Looking(looking) => look(context, looking, output).await?,
        Asking::Sim(sim) => return sim::run(context, sim, output),
        Asking::Plan(asked) => plan::run(context, &asked, output).await?,
        Asking::Doctor => return doctor::run(context, output).await,
        Asking::Validate(file) => file::validate(context, &file, output)?,
        Asking::Import(import) => file::import(context, &import, output)?,
        Asking::Schema => output.json(&manifest::schema())?,
        Asking::Shutdown => stop::shutdown(context, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(
    context: &Context,
    looking: Looking,
    output: &mut Output,
) -> Result<(), CommandError> {
    match looking {
        Looking::Top(top) => top::run(context, &top, output).await,
        Looking::Metrics(metrics) => metrics::run(context, &metrics, output).await,
        Looking::Trace(trace) => trace::run(context, &trace, output).await,
        Looking::Graph(graph) => graph::run(context, graph, output).await,
        Looking::Route => edges::routes(context, output).await,
        Looking::Edge => edges::edges(context, output).await,
    }
}
