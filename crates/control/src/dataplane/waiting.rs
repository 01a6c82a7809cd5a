//! Who waits for an instance to be drained, and by which data planes.
//!
//! Those that were replaced may have connections to it as well as the one that serves. While none is connected, nobody
//! waits.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::{mpsc, oneshot};

use super::Key;

/// Instances that may wait for a data plane to be told to drain them; more are stopped undrained.
pub(super) const DRAINS_MAX: usize = 4_096;

/// A data plane that is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plane {
    /// The one that serves.
    Serving,
    /// One that has handed over: its process.
    Retired(u32),
}

/// What is waited for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Data planes that are connected, each with the way to ask it.
    planes: BTreeMap<Plane, mpsc::Sender<Key>>,
    draining: BTreeMap<Key, Draining>,
}

#[derive(Debug, Default)]
struct Draining {
    /// Those that have not said yet that it is drained.
    planes: BTreeSet<Plane>,
    told: Vec<oneshot::Sender<()>>,
}

impl Waiting {
    /// Whether the one that serves is connected.
    pub(super) fn is_connected(&self) -> bool {
        self.planes.contains_key(&Plane::Serving)
    }

    /// A data plane is there, and can be asked.
    pub(super) fn enter(&mut self, plane: Plane, asks: mpsc::Sender<Key>) {
        self.planes.insert(plane, asks);
    }

    /// A data plane is not there any more: nothing of it is in flight.
    pub(super) fn leave(&mut self, plane: Plane) {
        self.planes.remove(&plane);
        let keys: Vec<Key> = self.draining.keys().cloned().collect();
        for key in keys {
            self.drained(plane, &key);
        }
    }

    /// Asks every data plane to drain an instance; told when all have. Nothing if none could be asked.
    pub(super) fn ask(&mut self, key: &Key) -> Option<oneshot::Receiver<()>> {
        let asked = self.planes.iter().filter(|(_, asks)| asks.try_send(key.clone()).is_ok());
        let asked: Vec<Plane> = asked.map(|(plane, _)| *plane).collect();
        if asked.is_empty() {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let draining = self.draining.entry(key.clone()).or_default();
        draining.planes.extend(asked);
        draining.told.push(tell);
        Some(told)
    }

    /// A data plane has nothing in flight to an instance any more.
    pub(super) fn drained(&mut self, plane: Plane, key: &Key) {
        let Some(draining) = self.draining.get_mut(key) else { return };
        draining.planes.remove(&plane);
        if !draining.planes.is_empty() {
            return;
        }
        for tell in self.draining.remove(key).into_iter().flat_map(|it| it.told) {
            // Whoever waited may have given up.
            let _heard: Result<(), ()> = tell.send(());
        }
    }

    /// Nobody waits for an instance any longer.
    pub(super) fn forget(&mut self, key: &Key) {
        self.draining.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue_13_an_instance_is_drained_when_every_data_plane_has_said_so() {
        let mut waiting = Waiting::default();
        let key: Key = ("shop".parse().unwrap(), "cart.1".parse().unwrap());
        assert!(waiting.ask(&key).is_none(), "nobody is there");
        let mut asked = Vec::new();
        for plane in [Plane::Serving, Plane::Retired(7), Plane::Retired(8)] {
            let (asks, receiver) = mpsc::channel(1);
            waiting.enter(plane, asks);
            asked.push(receiver);
        }
        let mut told = waiting.ask(&key).unwrap();
        assert!(asked.iter_mut().all(|it| it.try_recv() == Ok(key.clone())));
        waiting.drained(Plane::Serving, &key);
        waiting.leave(Plane::Retired(7));
        assert!(told.try_recv().is_err());
        waiting.drained(Plane::Retired(8), &key);
        assert_eq!(told.try_recv(), Ok(()));
        // One that cannot take more is not waited for.
        let mut told = waiting.ask(&key).unwrap();
        waiting.leave(Plane::Serving);
        waiting.leave(Plane::Retired(8));
        assert_eq!(told.try_recv(), Ok(()));
    }
}
