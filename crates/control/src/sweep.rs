//! Removing what nobody needs any more: folders of instances that are forgotten, and artifacts of releases that are.

use std::sync::Arc;

use model::release::Digest;
use world::World;

use crate::parts::Parts;

/// Removes it, unless something is being baked.
pub(crate) async fn sweep(parts: &Parts, world: &Arc<World>) {
    let Ok(guard) = Arc::clone(&parts.bakes).try_write_owned() else { return };
    let (world, parts) = (Arc::clone(world), parts.clone());
    let swept = tokio::task::spawn_blocking(move || {
        let _guard = guard;
        let known = |application: &_, id: &_| world.remembers(application, id);
        if let Err(error) = parts.processes.sweep(&known) {
            tracing::warn!(error = %model::chain(&error), "old instance folders could not be removed");
        }
        let services = || world.applications.values().flat_map(|it| it.services.values());
        let in_use = |digest: &Digest| {
            services()
                .flat_map(|it| it.releases.values())
                .any(|it| it.artifact.as_ref() == Some(digest))
        };
        if let Err(error) = parts.bakery.sweep(&in_use) {
            tracing::warn!(error = %model::chain(&error), "old artifacts could not be removed");
        }
    });
    if let Err(error) = swept.await {
        tracing::warn!(%error, "sweeping ended early");
    }
}
