//! A synthetic service: what [`Workload`] describes, as a real HTTP/1.1 server.
//!
//! `GET /health` is answered at once. Every other path is one request of the workload, whatever its
//! method: it waits for its turn, works, makes its calls, and answers with JSON that names every
//! service the request went through. It never touches a disk and keeps nothing between requests, so that a
//! replicated store (`replication`) answers alone: which copies are asked is a matter of the simulator.

mod answer;
mod limits;
mod request;
mod trace_context;
mod turn;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use behaviour::{Behaviour, BehaviourError};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::workload::Workload;
use model::{Rng, ServiceName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use limits::Limits;

use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::origin::{Origin, UrlError};
use crate::pool::Pool;
use request::Shared;

/// A synthetic service to run.
#[derive(Clone, Debug)]
pub struct Emulated {
    /// The service it stands for.
    pub name: ServiceName,
    /// Which of its instances this is, as its answers say: `cart.7`.
    pub instance: String,
    /// Where it listens. Port 0 is any.
    pub listen: SocketAddr,
    /// What it does.
    pub workload: Workload,
    /// Where its callees are: `http://127.0.0.1:4001`. Every callee of the workload must be there.
    pub callees: BTreeMap<ServiceName, String>,
    /// What its draws follow from; instances should differ in it.
    pub seed: u64,
    /// What it puts up with.
    pub limits: Limits,
}

/// Why a synthetic service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its workload cannot be executed.
    #[error("the behaviour of `{service}` cannot be run")]
    Behaviour {
        /// The service.
        service: ServiceName,
        /// Why.
        source: BehaviourError,
    },
    /// Nobody said where a callee is.
    #[error("`{service}` calls `{callee}` and was not told where it is; set its URL")]
    UnknownCallee {
        /// The service.
        service: ServiceName,
        /// Its callee.
        callee: ServiceName,
    },
    /// The URL of a callee cannot be called.
    #[error("`{service}` cannot call `{callee}`")]
    Callee {
        /// The service.
        service: ServiceName,
        /// Its callee.
        callee: ServiceName,
        /// Why.
        source: UrlError,
    },
    /// The thread that measures waits did not start.
    #[error("the timer thread cannot be started")]
    Alarm(#[source] std::io::Error),
    /// Its address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// What a synthetic service did until it was stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests answered, health checks included.
    pub answered: u64,
    /// Connections cut off because they were not done within [`Limits::drain`].
    pub cut_off: usize,
}

/// Runs a synthetic service until `shutdown`: then it stops accepting, finishes what it works on
/// within [`Limits::drain`], and ends.
pub async fn serve(
    emulated: Emulated,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> Result<Served, ServeError> {
    let mut shutdown = pin!(shutdown);
    let service = tokio::select! {
        started = Service::start(emulated, clock) => started?,
        () = &mut shutdown => return Ok(Served::default()),
    };
    service.run(shutdown).await
}

/// A synthetic service that listens and has not begun to answer.
pub struct Service {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Service").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Connections the kernel keeps until they are accepted: enough for a burst, and below the limit of Linux
/// (`net.core.somaxconn`, 4096 since 5.4).
const BACKLOG: u32 = 1_024;

/// Pause after an accept failed, as when file descriptors have run out: long enough for some to be
/// closed, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Service {
    /// Takes its startup time, then listens.
    pub async fn start(emulated: Emulated, clock: Clock) -> Result<Self, ServeError> {
        let Emulated { name, instance, listen, workload, callees, seed, limits } = emulated;
        let started = clock();
        let alarm = Alarm::start(Clock::clone(&clock)).map_err(ServeError::Alarm)?;
        let behaviour = Behaviour::new(&workload)
            .map_err(|source| ServeError::Behaviour { service: name.clone(), source })?;
        let mut pools = Vec::with_capacity(behaviour.callees().len());
        for (place, callee) in behaviour.callees().iter().enumerate() {
            let service = || name.clone();
            let url = callees.get(callee).ok_or_else(|| ServeError::UnknownCallee {
                service: service(),
                callee: callee.clone(),
            })?;
            let origin = Origin::resolve(url).await.map_err(|source| ServeError::Callee {
                service: service(),
                callee: callee.clone(),
                source,
            })?;
            let own = behaviour.connections(place).map(usize::try_from);
            let connections = own.and_then(Result::ok).unwrap_or(limits.connections_per_callee);
            pools.push(Pool::new(origin, connections, Clock::clone(&clock)));
        }
        alarm.wait_until(started.after(workload.startup)).await;
        let (listener, address) =
            bind(listen).map_err(|source| ServeError::Listen { address: listen, source })?;
        tracing::info!(service = %name, %instance, %address, "synthetic service listens");
        let rng = Rng::new(seed).child(name.as_str());
        let shared = Shared::new(request::Parts {
            name,
            instance,
            behaviour,
            workload,
            pools,
            limits,
            clock,
            alarm,
            rng,
        });
        Ok(Self { shared: Arc::new(shared), listener, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, then drains.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Served, ServeError> {
        let Self { shared, listener, .. } = self;
        let mut connections = Connections::new(Arc::clone(&shared));
        let mut sharing = JoinSet::new();
        sharing.spawn(Arc::clone(&shared.turns).keep_sharing());
        let background = shared.turns.background(&shared.rng);
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = connections.accept_all(&listener) => {}
            () = &mut shutdown => {}
        }
        shared.stop();
        drop(background);
        let lame_duck_ends = (shared.clock)().after(shared.limits.lame_duck);
        tokio::select! {
            () = connections.accept_all(&listener) => {}
            () = shared.turns.alarm().wait_until(lame_duck_ends) => {}
        }
        drop(listener);
        let cut_off = connections.drain(shared.limits.drain).await;
        let answered = connections.answered.load(Ordering::Relaxed);
        tracing::info!(service = %shared.name, answered, cut_off, "synthetic service stopped");
        Ok(Served { answered, cut_off })
    }
}

/// Listens with `SO_REUSEADDR`, so that a replacement gets the same port while old connections end.
fn bind(listen: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = match listen {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Waits until the connections are to close.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // The sender outlives the connections; if it did not, they would have to close as well.
    drop(closing.wait_for(|it| *it).await);
}

/// The open connections, each a task that ends with it.
struct Connections {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    permits: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    answered: Arc<AtomicU64>,
}

impl Connections {
    fn new(shared: Arc<Shared>) -> Self {
        let permits = shared.limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            shared,
            tasks: JoinSet::new(),
            permits: Arc::new(Semaphore::new(permits)),
            closing: watch::Sender::new(false),
            answered: Arc::default(),
        }
    }

    /// Accepts as long as it is polled. At the limit the kernel's backlog holds what comes.
    async fn accept_all(&mut self, listener: &TcpListener) {
        while let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = self.connection(stream);
                    self.tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    let pause = (self.shared.clock)().after(ACCEPT_PAUSE);
                    self.shared.turns.alarm().wait_until(pause).await;
                }
            }
            // Ended tasks are let go as new ones come; there are never more than permits.
            while self.tasks.try_join_next().is_some() {}
        }
    }

    fn connection(&self, stream: TcpStream) -> impl Future<Output = ()> + Send + 'static {
        let (shared, answered) = (Arc::clone(&self.shared), Arc::clone(&self.answered));
        let mut closing = self.closing.subscribe();
        let service = service_fn(move |request| {
            let (shared, answered) = (Arc::clone(&shared), Arc::clone(&answered));
            async move {
                let response = request::respond(shared, request).await;
                answered.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(response)
            }
        });
        let limits = &self.shared.limits;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle)
            .max_header_size(limits.header_bytes)
            .max_buf_size(limits.header_bytes.max(limits::BUFFER_BYTES_MIN));
        async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection closed at once");
                return;
            }
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = closed(&mut closing) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }

    /// Lets every connection finish its request, for at most `limit`. Returns how many did not.
    async fn drain(&mut self, limit: Duration) -> usize {
        self.closing.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        match tokio::time::timeout(limit, all).await {
            Ok(()) => 0,
            Err(_) => self.tasks.len(),
        }
    }
}
