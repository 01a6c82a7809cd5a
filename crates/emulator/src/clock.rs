//! The clock the emulator is handed.

use std::sync::Arc;

use model::Instant;

/// Says what time it is: never goes back, and runs as fast as the world.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;
