//! How a call leaves: it gives back its connection and its place among its parent's, whether it ended or was given up.

use std::time::Duration;

use traffic::Outcome;

use super::Engine;
use super::pool::{Call, CallStage, NONE};

impl Engine<'_> {
    /// Frees a call's place among its parent's, its connection and its memory.
    pub(super) fn remove_call(&mut self, call: u32) {
        let it = *self.calls.get(call);
        self.calls.remove(call);
        if it.next != NONE {
            self.calls.get_mut(it.next).previous = it.previous;
        }
        if it.previous != NONE {
            self.calls.get_mut(it.previous).next = it.next;
        } else if it.parent != NONE {
            self.jobs.get_mut(it.parent).first_call = it.next;
        }
        if it.has_connection {
            self.free_connection(&it);
        }
    }

    fn free_connection(&mut self, it: &Call) {
        let parent = self.jobs.get(it.parent).instance;
        let service = self.instances[parent as usize].service as usize;
        let edges = &self.system.parts[service].edges;
        let Some(callee) = edges.iter().position(|edge| *edge == it.edge) else { return };
        let connections = &mut self.instances[parent as usize].rare.connections[callee];
        let Some(next) = connections.waiting.pop_front() else {
            connections.in_use = connections.in_use.saturating_sub(1);
            return;
        };
        let call = self.calls.get_mut(next);
        call.has_connection = true;
        let wait = Duration::from_nanos(self.now - call.began);
        self.measure.edges[it.edge as usize].connection_wait.record(wait);
        self.cross(next);
    }

    /// Gives up the calls of a job.
    pub(super) fn cancel_calls(&mut self, job: u32) {
        loop {
            let call = self.jobs.get(job).first_call;
            if call == NONE {
                return;
            }
            self.cancel_call(call);
        }
    }

    fn cancel_call(&mut self, call: u32) {
        let it = *self.calls.get(call);
        match it.stage {
            CallStage::Free => return,
            CallStage::Connecting => {
                let parent = self.jobs.get(it.parent).instance;
                let connections = &mut self.instances[parent as usize].rare.connections;
                for of in connections {
                    of.waiting.retain(|other| *other != call);
                }
            }
            CallStage::Waiting => {
                if let (Some(ticket), Some(cell)) =
                    (self.calls.tickets[call as usize].take(), &mut self.cells[it.cell as usize])
                {
                    cell.decide.abandon(ticket);
                    cell.waiting.retain(|other| other.0 != ticket);
                }
            }
            CallStage::Trying | CallStage::Pausing => self.close(call, Outcome::Cancelled),
        }
        self.measure.edges[it.edge as usize].cancelled += 1;
        self.remove_call(call);
    }
}
