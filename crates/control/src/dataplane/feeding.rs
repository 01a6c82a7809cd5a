//! What a data plane is fed: the table, what changes in it, whom it is to drain, and what others have in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::io::AsyncWrite;
use tokio::sync::{mpsc, watch};
use world::World;
use world::routing::{Feed, Table};

use super::Key;
use super::wire::{WireError, send};

/// Requests that data planes that were replaced have in flight, by edge.
pub(super) type InFlight = Arc<BTreeMap<String, u32>>;

/// Where what it is fed comes from.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) worlds: &'a mut watch::Receiver<Arc<World>>,
    /// Instances to drain.
    pub(super) asked: mpsc::Receiver<Key>,
    /// What is in flight elsewhere, for the one that serves.
    pub(super) elsewhere: Option<watch::Receiver<InFlight>>,
}

/// What comes next.
enum Next {
    World,
    Drain(Key),
    Elsewhere,
}

/// Sends the table, and then what changes in it, until no further world is published. An instance is
/// drained only after the table without it has been sent.
pub(super) async fn feed(
    mut sources: Sources<'_>,
    to: &mut (impl AsyncWrite + Unpin + Send),
    counts_elsewhere: impl Fn() -> bool,
) -> Result<(), WireError> {
    let mut table = Table::of(&current(sources.worlds));
    send(to, &Feed::Table(table.clone())).await?;
    while let Some(next) = sources.next().await {
        let world = current(sources.worlds);
        if table.index != world.index {
            let later = Table::of(&world);
            let patch = table.patch_to(&later);
            table = later;
            if !patch.is_empty() {
                send(to, &Feed::Patch(patch)).await?;
            }
        }
        match next {
            Next::Drain((application, instance)) => {
                send(to, &Feed::Drain { application, instance }).await?;
            }
            // One of an earlier version would close the connection.
            Next::Elsewhere if counts_elsewhere() => {
                if let Some(in_flight) = sources.elsewhere() {
                    send(to, &Feed::Elsewhere(in_flight)).await?;
                }
            }
            Next::World | Next::Elsewhere => {}
        }
    }
    Ok(())
}

impl Sources<'_> {
    /// Nothing when no further world will be published.
    async fn next(&mut self) -> Option<Next> {
        tokio::select! {
            changed = self.worlds.changed() => changed.is_ok().then_some(Next::World),
            Some(key) = self.asked.recv() => Some(Next::Drain(key)),
            () = changed(&mut self.elsewhere) => Some(Next::Elsewhere),
        }
    }

    fn elsewhere(&mut self) -> Option<InFlight> {
        Some(Arc::clone(&self.elsewhere.as_mut()?.borrow_and_update()))
    }
}

async fn changed(elsewhere: &mut Option<watch::Receiver<InFlight>>) {
    if let Some(receiver) = elsewhere
        && receiver.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

fn current(worlds: &mut watch::Receiver<Arc<World>>) -> Arc<World> {
    Arc::clone(&worlds.borrow_and_update())
}
