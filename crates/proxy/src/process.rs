//! The process: its main thread, and how it begins and ends.
//!
//! One that has handed its sockets to a successor is *retired*: it accepts nothing more, and lives on for the connections
//! it has, which may be open for days. It goes on being fed, on a socket of its own, so that it follows the table and
//! knows what stops.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use host::Clock;
use model::{ApplicationName, Index, InstanceId, Instant};
use telemetry::report::{Report, Signals};
use telemetry::{GatewayAddresses, GatewayOptions};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use world::routing::{Feed, Table};

use crate::core::Told;
use crate::counters::Extent;
use crate::deadline::Deadline;
use crate::entrances::Entrances;
use crate::feed::{self, Feeder, Message, Socket, Successor};
use crate::gather::Gathered;
use crate::listeners::{Changes, Listeners};
use crate::options::{Options, RunError, Sockets};
use crate::tls::{self, TlsError};
use crate::worker::{Order, Place};
use crate::workers::Workers;

/// Time between two reports of what was measured.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Time that connections get to end when the process does.
const GOODBYE: Duration = Duration::from_secs(30);

/// Time after which it ends when nobody feeds it and it has nothing to pass on.
const UNFED_TIME: Duration = Duration::from_mins(5);

/// Runs a data plane until its process is told to end (SIGTERM), or it has handed over.
pub fn run(options: &Options) -> Result<(), RunError> {
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Thread)?;
        serve(options, async {
            terminate.recv().await;
        })
        .await
    });
    // Workers whose connections are cut would be waited for otherwise.
    runtime.shutdown_background();
    ended
}

/// Runs a data plane until `end` says so, or it has handed over: several fit into one process.
pub fn run_until(options: &Options, end: impl Future<Output = ()>) -> Result<(), RunError> {
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(options, end));
    runtime.shutdown_background();
    ended
}

fn runtime() -> Result<tokio::runtime::Runtime, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(RunError::Thread)
}

async fn serve(options: &Options, end: impl Future<Output = ()>) -> Result<(), RunError> {
    let mut main = Main::begin(options).await?;
    main.serve(pin!(end)).await;
    Ok(())
}

struct Main {
    clock: Clock,
    socket: Socket,
    listeners: Listeners,
    workers: Workers,
    told: mpsc::UnboundedReceiver<(usize, Told)>,
    table: Table,
    /// Who feeds it.
    feeder: Option<Feeder>,
    /// Who has connected since, and has not said what for.
    newcomer: Option<Feeder>,
    unfed_since: Instant,
    entrances: Entrances,
    front: GatewayOptions,
    applied: Vec<Index>,
    /// The table that was reported as applied.
    reported: Option<Index>,
    /// Instances somebody waits for, with the workers that are done with them.
    draining: BTreeMap<(ApplicationName, InstanceId), BTreeSet<usize>>,
    gathered: Gathered,
    tls: Option<tls::Source>,
    is_listening: bool,
    report_all: bool,
    /// The end of all workers, once it has handed over.
    retired: Option<JoinHandle<()>>,
}

/// Whether the process goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    Out,
}

/// What the main thread waits for.
enum Event {
    Connected(UnixStream),
    Message(Option<Message>),
    /// What somebody who has connected wants.
    Wanted(Option<Message>),
    Told(usize, Told),
    Tick,
    Terminate,
    /// It was retired, and its last connection has ended.
    Ended,
}

impl Main {
    async fn begin(options: &Options) -> Result<Self, RunError> {
        let socket_error = |source| RunError::Socket { path: options.socket.clone(), source };
        let mut listeners = match options.sockets {
            Sockets::New => Listeners::default(),
            Sockets::Inherited => inherit().await,
            Sockets::TakenOver => {
                feed::take_over(&options.socket).await.map_err(RunError::TakeOver)?
            }
        };
        let wanted = GatewayAddresses { plain: options.gateway, tls: options.gateway_tls };
        let mut entrances = Entrances::new(wanted);
        // Workers get every socket that is open when they begin to listen.
        drop(entrances.follow(&mut listeners));
        let tls = match (&options.tls_folder, options.gateway_tls) {
            (Some(folder), Some(_)) => Some(tls::Source::new(folder.clone())),
            _ => None,
        };
        let socket = Socket::at(&options.socket).map_err(socket_error)?;
        let (teller, told) = mpsc::unbounded_channel();
        let workers = Workers::start(options, &teller).map_err(RunError::Thread)?;
        let count = workers.count();
        let mut main = Self {
            clock: options.clock,
            socket,
            listeners,
            workers,
            told,
            table: Table::default(),
            feeder: None,
            newcomer: None,
            unfed_since: options.clock.now(),
            entrances,
            front: options.front.clone(),
            applied: vec![Index::ZERO; count],
            reported: None,
            draining: BTreeMap::new(),
            gathered: Gathered::default(),
            tls,
            is_listening: false,
            report_all: true,
            retired: None,
        };
        main.certificates()?;
        Ok(main)
    }

    async fn serve(&mut self, mut end: Pin<&mut impl Future<Output = ()>>) {
        let mut tick = Deadline::new(self.clock, self.clock.now().after(REPORT_EVERY));
        loop {
            let event = tokio::select! {
                biased;
                message = next_message(&mut self.feeder) => Event::Message(message),
                message = next_message(&mut self.newcomer) => Event::Wanted(message),
                told = self.told.recv() => match told {
                    Some((worker, told)) => Event::Told(worker, told),
                    None => Event::Terminate,
                },
                stream = self.socket.accept() => Event::Connected(stream),
                () = end.as_mut() => Event::Terminate,
                () = ended(&mut self.retired) => Event::Ended,
                () = tick.passed() => Event::Tick,
            };
            if matches!(event, Event::Tick) {
                tick.set(self.clock.now().after(REPORT_EVERY));
            }
            if self.on(event).await == Goes::Out {
                break;
            }
        }
        self.finish().await;
    }

    async fn on(&mut self, event: Event) -> Goes {
        match event {
            Event::Connected(stream) => self.connected(stream).await,
            Event::Message(Some(Message::Feed(feed))) => self.fed(*feed).await,
            // Whoever feeds it is no successor.
            Event::Message(Some(Message::Successor(_)) | None) => self.unfed(),
            Event::Wanted(Some(Message::Feed(feed))) => {
                self.unfed();
                self.feeder = self.newcomer.take();
                self.report_all = true;
                self.reported = None;
                self.fed(*feed).await;
            }
            Event::Wanted(Some(Message::Successor(Successor::TakeOver))) => self.hand_over().await,
            Event::Wanted(Some(Message::Successor(Successor::Lend))) => self.lend().await,
            Event::Wanted(None) => self.newcomer = None,
            Event::Told(worker, told) => self.told(worker, told).await,
            Event::Tick => {
                self.tick().await;
                if self.is_forgotten() {
                    tracing::info!("nobody feeds it, and there is nothing to pass on");
                    return Goes::Out;
                }
            }
            Event::Terminate => return Goes::Out,
            Event::Ended => {
                tracing::info!("the last connection has ended");
                return Goes::Out;
            }
        }
        Goes::On
    }

    /// What is said first to whoever connects.
    fn hello(&self) -> Report {
        Report::Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            gateway: self.listeners.address(&Place::Gateway),
            gateway_tls: self.listeners.address(&Place::GatewayTls),
            options: Box::new(self.front.clone()),
            asked: Some(self.entrances.wanted()),
            workers: Some(self.workers.count()),
            is_retired: self.is_retired(),
            counts_elsewhere: true,
        }
    }

    const fn is_retired(&self) -> bool {
        self.retired.is_some()
    }

    /// Somebody has connected: a control process, or a successor. The one that feeds it goes on until
    /// it is clear which.
    async fn connected(&mut self, stream: UnixStream) {
        let mut newcomer = Feeder::new(stream);
        match newcomer.report(self.clock, &self.hello()).await {
            Ok(()) => self.newcomer = Some(newcomer),
            Err(error) => tracing::debug!(%error, "somebody connects and does not listen"),
        }
    }

    /// Whether there is nothing to pass on, and nobody who might change that.
    fn is_forgotten(&self) -> bool {
        let is_empty = self.table.backends.values().all(|it| it.endpoints.is_empty());
        let unfed = self.feeder.is_none() && self.newcomer.is_none();
        unfed && is_empty && UNFED_TIME <= self.clock.now().since(self.unfed_since)
    }

    /// Tells the control process. One that does not listen is not waited for: it will connect again.
    async fn report(&mut self, report: &Report) {
        if let Some(feeder) = &mut self.feeder
            && let Err(error) = feeder.report(self.clock, report).await
        {
            tracing::debug!(%error, "the control process does not listen");
            self.unfed();
        }
    }

    /// Nobody feeds it from now on. What is in flight elsewhere is forgotten: it may end, and nobody would say so.
    fn unfed(&mut self) {
        self.feeder = None;
        self.unfed_since = self.clock.now();
        self.count_elsewhere(&Arc::default());
    }

    async fn fed(&mut self, feed: Feed) {
        match feed {
            Feed::Table(table) => self.table = table,
            Feed::Patch(patch) => self.table.apply(patch),
            Feed::Drain { application, instance } => {
                self.draining.insert((application.clone(), instance.clone()), BTreeSet::new());
                self.workers.tell(|| Order::Drain(application.clone(), instance.clone()));
                return;
            }
            Feed::Elsewhere(in_flight) => return self.count_elsewhere(&in_flight),
        }
        let table = Arc::new(self.table.clone());
        self.workers.tell(|| Order::Table(Arc::clone(&table)));
        if !self.is_retired() {
            self.listen().await;
        }
    }

    fn count_elsewhere(&self, in_flight: &Arc<BTreeMap<String, u32>>) {
        let workers = self.workers.count();
        self.workers.tell(|| Order::Elsewhere { in_flight: Arc::clone(in_flight), workers });
    }

    /// Listens where the table says. The gateway waits for the first table: before it there is no route.
    async fn listen(&mut self) {
        let changes = self.listeners.follow(&self.table);
        if !self.is_listening {
            self.is_listening = true;
            match self.listeners.copies() {
                Ok(copies) => self.workers.listen_at(copies),
                Err(error) => tracing::error!(%error, "sockets cannot be shared with workers"),
            }
            self.report_failed(changes).await;
            return;
        }
        for place in &changes.closed {
            self.workers.tell(|| Order::Leave(place.clone()));
        }
        let Changes { opened, failed, .. } = changes;
        self.workers.listen_at(opened);
        self.report_failed(Changes { failed, ..Changes::default() }).await;
    }

    /// Listens at addresses of the gateway that could not be had before, and tells the control process.
    async fn enter(&mut self) {
        let Changes { opened, closed, .. } = self.entrances.follow(&mut self.listeners);
        if opened.is_empty() {
            return;
        }
        for place in &closed {
            self.workers.tell(|| Order::Leave(place.clone()));
        }
        self.workers.listen_at(opened);
        let hello = self.hello();
        self.report(&hello).await;
    }

    async fn report_failed(&mut self, changes: Changes) {
        for (edge, error) in changes.failed {
            tracing::warn!(%edge, %error, "the edge's address cannot be listened on");
            self.report(&Report::ListenFailed { edge, reason: error.to_string() }).await;
        }
    }

    async fn told(&mut self, worker: usize, told: Told) {
        match told {
            Told::Applied(index) => {
                if let Some(applied) = self.applied.get_mut(worker) {
                    *applied = index;
                }
                let now = self.applied.iter().min().copied();
                if self.reported != now
                    && let Some(index) = now
                {
                    self.reported = now;
                    self.report(&Report::Applied { index }).await;
                }
            }
            Told::Drained(application, instance) => {
                let key = (application, instance);
                let Some(done) = self.draining.get_mut(&key) else { return };
                done.insert(worker);
                if done.len() == self.workers.count() {
                    self.draining.remove(&key);
                    let (application, instance) = key;
                    self.report(&Report::Drained { application, instance }).await;
                }
            }
            Told::Measured(signals) => {
                let mut of_workers: Vec<_> =
                    (0..self.workers.count()).map(|_| Signals::default()).collect();
                if let Some(of_worker) = of_workers.get_mut(worker) {
                    *of_worker = signals;
                }
                let signals = self.gathered.together(self.clock.timestamp(), of_workers);
                self.report(&Report::Signals(signals)).await;
            }
        }
    }

    async fn tick(&mut self) {
        self.socket.look();
        if self.is_listening {
            // What could not be listened on is tried again.
            self.listen().await;
            self.enter().await;
        }
        if let Err(error) = self.certificates() {
            tracing::warn!(error = %model::chain(&error), "certificates go on as they were");
        }
        if self.feeder.is_some() {
            let signals = self.gather().await;
            self.report(&Report::Signals(signals)).await;
        }
    }

    /// Takes certificates that are new to the workers.
    fn certificates(&mut self) -> Result<(), TlsError> {
        let Some(source) = &mut self.tls else { return Ok(()) };
        if let Some(config) = source.changed()? {
            self.workers.tell(|| Order::Certificates(Arc::clone(&config)));
        }
        Ok(())
    }

    /// What all workers measured.
    async fn gather(&mut self) -> Signals {
        let all = std::mem::take(&mut self.report_all);
        let extent = if all { Extent::All } else { Extent::Changed };
        let of_workers = self.workers.signals(extent).await;
        self.gathered.together(self.clock.timestamp(), of_workers)
    }

    /// Hands the sockets to a successor, and is retired if that went well.
    async fn hand_over(&mut self) {
        let Some(successor) = self.newcomer.take() else { return };
        if let Err(error) = self.listeners.hand_over(successor.reports.as_ref()).await {
            tracing::error!(%error, "handing over failed; going on");
            return;
        }
        self.listeners = Listeners::default();
        self.is_listening = false;
        self.socket.retire(std::process::id());
        // The control process turns to the successor as soon as it sees this end, and finds this one by its new socket.
        self.feeder = None;
        self.workers.tell(|| Order::Finish);
        self.retired = Some(self.workers.ended());
        tracing::info!("handed over; connections that are open go on");
    }

    /// Hands copies of the sockets to whoever keeps them.
    async fn lend(&mut self) {
        let Some(keeper) = self.newcomer.take() else { return };
        if let Err(error) = self.listeners.hand_over(keeper.reports.as_ref()).await {
            tracing::warn!(%error, "the control process cannot keep the sockets");
        }
    }

    /// Lets connections end, for a while. Those of one that is retired have had theirs.
    async fn finish(&mut self) {
        if self.is_retired() {
            // Whoever looks for it finds nothing; that the file stays would do no harm.
            drop(std::fs::remove_file(self.socket.path()));
            return;
        }
        self.workers.tell(|| Order::Finish);
        let ended = self.workers.ended();
        let mut goodbye = Deadline::new(self.clock, self.clock.now().after(GOODBYE));
        tokio::select! {
            // The thread that waits for them cannot fail.
            _ = ended => {}
            () = goodbye.passed() => tracing::info!("connections that were still open are cut"),
        }
    }
}

/// Waits for the end of what has handed over.
async fn ended(retired: &mut Option<JoinHandle<()>>) {
    match retired {
        // The thread that waits for workers cannot fail.
        Some(workers) => drop(workers.await),
        None => std::future::pending().await,
    }
}

async fn next_message(feeder: &mut Option<Feeder>) -> Option<Message> {
    match feeder {
        Some(feeder) => feeder.messages.recv().await,
        None => std::future::pending().await,
    }
}

/// The sockets of a data plane that has died. Where they cannot be had, others are made.
async fn inherit() -> Listeners {
    match Listeners::take_over(io::stdin()).await {
        Ok(listeners) => listeners,
        Err(error) => {
            tracing::warn!(%error, "no sockets were inherited; others are made");
            Listeners::default()
        }
    }
}
