//! Connections to one callee that are kept and used again: a bounded number, the last used first.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use model::Instant;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::connection::{Connection, ExchangeError};
use crate::origin::Origin;

/// Idle connections are closed after this time: below the 60 s after which common servers and
/// proxies close them from their side, which would race with the next request.
const IDLE_MAX: Duration = Duration::from_secs(45);

/// The connections to one callee.
pub(crate) struct Pool {
    pub(crate) origin: Origin,
    clock: Clock,
    /// The last used is the last. Never more than there are permits.
    idle: Mutex<Vec<(Connection, Instant)>>,
    permits: Semaphore,
}

impl Pool {
    /// No connections yet, and never more than `connections_max`.
    pub(crate) fn new(origin: Origin, connections_max: usize, clock: Clock) -> Self {
        let permits = Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS));
        Self { origin, clock, idle: Mutex::default(), permits }
    }

    /// Sends `request` on an idle connection or a new one, and waits its turn if there are as many
    /// as may be. A request that was not sent because its connection had closed is sent again.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<StatusCode, ExchangeError> {
        let _permit = self.permits.acquire().await.map_err(|_| ExchangeError::Closed)?;
        let mut request = request;
        while let Some(mut connection) = self.take_idle() {
            match connection.exchange(request, &mut sink).await {
                Err(ExchangeError::Unsent(unsent)) => request = *unsent,
                ended => return self.keep(connection, ended),
            }
        }
        let mut connection = Connection::open(self.origin.address).await?;
        let ended = connection.exchange(request, &mut sink).await;
        self.keep(connection, ended)
    }

    fn take_idle(&self) -> Option<Connection> {
        let now = (self.clock)();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let first_fresh = idle.partition_point(|(_, since)| IDLE_MAX < now.since(*since));
        drop(idle.drain(..first_fresh));
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(
        &self,
        connection: Connection,
        ended: Result<StatusCode, ExchangeError>,
    ) -> Result<StatusCode, ExchangeError> {
        if ended.is_ok() && connection.is_open() {
            let now = (self.clock)();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((connection, now));
        }
        ended
    }
}
