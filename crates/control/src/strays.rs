//! Instances that run and that the world does not know: their events were lost with a part of the
//! journal.
//!
//! They are stopped and forgotten before anything is planned. Their numbers may be given out again, and
//! a new instance must not be taken for an old one whose folder is still there.

use model::{ApplicationName, InstanceId};
use runtime::Processes;
use runtime::processes::ProcessesError;
use world::World;

/// Stops every instance that `world` does not know, and removes its folder. Takes as long as the slowest
/// of them, which is its grace period at most.
pub(crate) async fn stop(processes: &Processes, world: &World) {
    let listed = match processes.list() {
        Ok(listed) => listed,
        Err(error) => {
            tracing::error!(error = %model::chain(&error), "instances that nobody knows cannot be looked for");
            return;
        }
    };
    let mut stops = tokio::task::JoinSet::new();
    for (application, instance) in listed {
        if !world.remembers(&application, &instance) {
            stops.spawn(stop_one(processes.clone(), application, instance));
        }
    }
    while let Some(stopped) = stops.join_next().await {
        match stopped {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = %model::chain(&error), "an instance that nobody knows cannot be stopped");
            }
            Err(error) => {
                tracing::error!(%error, "stopping an instance that nobody knows ended early");
            }
        }
    }
}

async fn stop_one(
    processes: Processes,
    application: ApplicationName,
    instance: InstanceId,
) -> Result<(), ProcessesError> {
    if processes.observe(&application, &instance)?.is_alive() {
        tracing::warn!(%application, %instance, "an instance that nobody knows runs; stopping it");
    }
    processes.stop(&application, &instance).await?;
    processes.remove(&application, &instance)
}
