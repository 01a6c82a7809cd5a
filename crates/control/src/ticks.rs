//! Work that is done again and again for as long as worlds are published.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Interval;
use world::World;

/// Waits for the next tick. False if the last world was published before it: the control process ends then.
pub(crate) async fn next(ticks: &mut Interval, worlds: &mut watch::Receiver<Arc<World>>) -> bool {
    loop {
        tokio::select! {
            _at = ticks.tick() => return true,
            changed = worlds.changed() => {
                if changed.is_err() {
                    return false;
                }
            }
        }
    }
}
