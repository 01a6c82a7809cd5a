//! Where requests from outside come in: the addresses that are wanted, and how they are had.
//!
//! An address that another program has is tried again for as long as it is wanted, so that a gateway gets it
//! without anybody's help once it is free. Until then the address before, if there was one, goes on.

use std::net::SocketAddr;

use telemetry::GatewayAddresses;

use crate::listeners::{Changes, Listeners};
use crate::worker::Place;

/// The gateway's addresses.
#[derive(Debug)]
pub(crate) struct Entrances {
    wanted: GatewayAddresses,
    /// Places whose address could not be had at the last try: each is complained of once.
    missing: Vec<Place>,
}

impl Entrances {
    pub(crate) const fn new(wanted: GatewayAddresses) -> Self {
        Self { wanted, missing: Vec::new() }
    }

    /// Where the gateway was told to listen.
    pub(crate) const fn wanted(&self) -> GatewayAddresses {
        self.wanted
    }

    /// Opens what is wanted and not open, and closes what is not wanted.
    pub(crate) fn follow(&mut self, listeners: &mut Listeners) -> Changes {
        let mut changes = Changes::default();
        self.one(listeners, &Place::Gateway, self.wanted.plain, &mut changes);
        self.one(listeners, &Place::GatewayTls, self.wanted.tls, &mut changes);
        changes
    }

    fn one(
        &mut self,
        listeners: &mut Listeners,
        place: &Place,
        wanted: Option<SocketAddr>,
        changes: &mut Changes,
    ) {
        let Some(address) = wanted else {
            if listeners.close(place) {
                changes.closed.push(place.clone());
            }
            return;
        };
        match listeners.gateway(place, address) {
            Ok(Some(socket)) => {
                if self.missing.contains(place) {
                    tracing::info!(%address, "the gateway listens there again");
                    self.missing.retain(|it| it != place);
                }
                // Workers still accept from the socket before.
                changes.closed.push(place.clone());
                changes.opened.push((place.clone(), socket));
            }
            Err(error) if !self.missing.contains(place) => {
                tracing::warn!(%address, %error, "the gateway does not listen there, and tries again");
                self.missing.push(place.clone());
            }
            Ok(None) | Err(_) => {}
        }
    }
}
