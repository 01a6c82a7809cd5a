//! `pelago graph`.

use api::graph::GraphView;

use crate::arguments::{Drawing, Graph};
use crate::client::Target;
use crate::error::CommandError;
use crate::output::Output;
use crate::{Context, daemon};

pub(crate) async fn run(
    context: &Context,
    asked: Graph,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let target = Target::new(&["v1", "graph"]).with("application", context.application.as_deref());
    let graph: GraphView = client.get(target).await?;
    if output.is_json() {
        return output.json(&graph);
    }
    if graph.nodes.is_empty() {
        return output.note("nothing runs; start an application with `pelago up`");
    }
    if !graph.connected {
        output.note("no data plane reports: what is used is not known")?;
    }
    output.block(&match asked.drawing {
        Drawing::Text => graph.text(),
        Drawing::Dot => graph.dot(),
        Drawing::Mermaid => graph.mermaid(),
    })
}
