//! The machine's clock, when it is set while instances run.

use world::Event;

use super::Reconciler;
use crate::draft::Draft;

impl Reconciler {
    /// Records that the machine's clock was set, if it was. Until that can be recorded, time goes on as if it had not been.
    pub(super) async fn follow_clock(&mut self) {
        // What has happened already must not be lost because the journal refuses this.
        if !self.unrecorded.is_empty() {
            return;
        }
        let Some(by_ms) = self.calendar.step() else { return };
        let mut draft = Draft::new(&self.world, self.calendar.now().moved(by_ms));
        draft.add(Event::ClockSet { by_ms });
        if self.record(draft).await.is_ok() {
            self.calendar.follow(by_ms);
            tracing::warn!(by_ms, "the machine's clock was set");
        }
    }
}
