//! One worker: a thread with a runtime of its own, and everything that runs on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use host::Clock;
use model::service::Protocol;
use model::{ApplicationName, InstanceId, Rng};
use telemetry::report::Signals;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use world::routing::Table;

use crate::connections::Crosses;
use crate::core::{Core, Told};
use crate::counters::Extent;
use crate::deadline::Deadline;
use crate::front::{Front, peer_of};
use crate::h1::client::{self, Entry};
use crate::stream::Stream;
use crate::tcp;

/// Time between two looks at connections nobody uses.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// Time to wait when no connection can be accepted, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time between two looks whether the last connection has ended.
const ENDED_EVERY: Duration = Duration::from_millis(100);

/// An address that is listened on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Gateway,
    GatewayTls,
    /// An edge, by its key in the table.
    Edge(String),
}

/// What the main thread tells a worker.
#[derive(Debug)]
pub(crate) enum Order {
    Table(Arc<Table>),
    Listen(Place, std::net::TcpListener),
    Leave(Place),
    Drain(ApplicationName, InstanceId),
    Elsewhere {
        /// Requests in flight in data planes that were replaced, by edge.
        in_flight: Arc<BTreeMap<String, u32>>,
        /// How many share the places they take.
        workers: usize,
    },
    Signals {
        extent: Extent,
        answer: oneshot::Sender<Signals>,
    },
    Certificates(Arc<ServerConfig>),
    /// End when no client is connected any more.
    Finish,
}

/// What a worker begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) number: usize,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    pub(crate) told: mpsc::UnboundedSender<(usize, Told)>,
    pub(crate) front: Front,
    /// Clients' connections it may hold.
    pub(crate) clients_max: u32,
}

/// Runs a worker on this thread until it is told to finish, or nobody can tell it anything any more.
pub(crate) fn run(beginning: Beginning) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(Worker::new(&beginning).run(beginning.orders));
    Ok(())
}

struct Worker {
    core: Rc<Core>,
    listeners: BTreeMap<Place, JoinHandle<()>>,
    tls: Rc<RefCell<Option<TlsAcceptor>>>,
    clients_max: u32,
}

impl Worker {
    fn new(beginning: &Beginning) -> Self {
        let Beginning { number, clock, rng, told, front, clients_max, .. } = beginning;
        let core = Core::new(*clock, rng.clone(), *number, told.clone(), front.clone());
        Self {
            core: Rc::new(core),
            listeners: BTreeMap::new(),
            tls: Rc::default(),
            clients_max: *clients_max,
        }
    }

    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let clock = self.core.clock;
        let mut tidy = Deadline::new(clock, clock.now().after(TIDY_EVERY));
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None | Some(Order::Finish) => break,
                    Some(order) => self.obey(order),
                },
                () = tidy.passed() => {
                    self.core.tidy();
                    self.core.flush_decisions();
                    tidy.set(clock.now().after(TIDY_EVERY));
                }
            }
        }
        self.listeners.values().for_each(JoinHandle::abort);
        self.core.flush_decisions();
        self.core.finish();
        self.outlast(&mut orders).await;
        self.core.tell_last();
    }

    /// Goes on until no client is connected any more.
    async fn outlast(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) {
        let clock = self.core.clock;
        let retired_at = clock.now();
        let mut tidy = Deadline::new(clock, retired_at.after(TIDY_EVERY));
        let mut pause = Deadline::new(clock, retired_at.after(ENDED_EVERY));
        while self.core.connections.count() > 0 {
            tokio::select! {
                order = orders.recv() => match order {
                    None => break,
                    Some(order) => self.obey(order),
                },
                () = tidy.passed() => {
                    self.core.tidy();
                    tidy.set(clock.now().after(TIDY_EVERY));
                }
                () = pause.passed() => {
                    let now = self.core.tick();
                    self.core.connections.cut(now, retired_at);
                    pause.set(now.after(ENDED_EVERY));
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Table(table) => self.core.apply(&table),
            Order::Listen(place, listener) => self.listen(place, listener),
            Order::Leave(place) => {
                if let Some(listener) = self.listeners.remove(&place) {
                    listener.abort();
                }
            }
            Order::Drain(application, instance) => self.core.drain(application, instance),
            Order::Elsewhere { in_flight, workers } => {
                self.core.count_elsewhere(&in_flight, workers);
            }
            Order::Signals { extent, answer } => drop(answer.send(self.core.signals(extent))),
            Order::Certificates(config) => {
                *self.tls.borrow_mut() = Some(TlsAcceptor::from(config));
            }
            Order::Finish => {}
        }
    }

    fn listen(&mut self, place: Place, listener: std::net::TcpListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(?place, %error, "an address cannot be listened on");
                return;
            }
        };
        let accepting = accept(
            Rc::clone(&self.core),
            self.clients_max,
            listener,
            place.clone(),
            Rc::clone(&self.tls),
        );
        let before = self.listeners.insert(place, tokio::task::spawn_local(accepting));
        if let Some(before) = before {
            before.abort();
        }
    }
}

/// Accepts connections for as long as the place is listened on.
async fn accept(
    core: Rc<Core>,
    clients_max: u32,
    listener: TcpListener,
    place: Place,
    tls: Rc<RefCell<Option<TlsAcceptor>>>,
) {
    loop {
        if core.connections.count() >= clients_max {
            pause(&core).await;
            continue;
        }
        let (mut stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(?place, %error, "a connection could not be accepted");
                pause(&core).await;
                continue;
            }
        };
        // A socket that cannot be told so still works.
        drop(stream.set_nodelay(true));
        let entered = core.connections.enter();
        let number = entered.number;
        let mut crosses = Crosses::default();
        let serving = match &place {
            Place::Gateway => {
                let (core, entry) = (Rc::clone(&core), Entry::Gateway(crosses.clone()));
                tokio::task::spawn_local(async move {
                    let _entered = entered;
                    if let Some(peer) = peer_of(&core, &mut stream, peer).await {
                        client::serve(core, Stream::Plain(stream), entry, peer).await;
                    }
                })
            }
            Place::GatewayTls => {
                let acceptor = tls.borrow().clone();
                let (core, entry) = (Rc::clone(&core), Entry::Gateway(crosses.clone()));
                tokio::task::spawn_local(async move {
                    let _entered = entered;
                    if let Some(peer) = peer_of(&core, &mut stream, peer).await
                        && let Some(stream) = shake_hands(&core, acceptor, stream).await
                    {
                        client::serve(core, stream, entry, peer).await;
                    }
                })
            }
            Place::Edge(key) => {
                let Some(edge) = core.edge(key) else { continue };
                crosses = Crosses::at(&edge);
                let core = Rc::clone(&core);
                tokio::task::spawn_local(async move {
                    let _entered = entered;
                    if edge.protocol() == Protocol::Tcp {
                        tcp::serve(core, stream, edge, peer).await;
                    } else {
                        client::serve(core, Stream::Plain(stream), Entry::Mesh(edge), peer).await;
                    }
                })
            }
        };
        core.connections.serve(number, serving.abort_handle(), crosses);
    }
}

async fn shake_hands(
    core: &Core,
    acceptor: Option<TlsAcceptor>,
    stream: TcpStream,
) -> Option<Stream> {
    let mut deadline =
        Deadline::new(core.clock, core.clock.now().after(core.front.head_time.get()));
    tokio::select! {
        shaken = acceptor?.accept(stream) => Some(Stream::Tls(Box::new(shaken.ok()?))),
        () = deadline.passed() => None,
    }
}

async fn pause(core: &Core) {
    Deadline::new(core.clock, core.clock.now().after(ACCEPT_PAUSE)).passed().await;
}
