//! `pelago serve`: the control process.

mod access;
mod options;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use api::Platform as _;
use cli::arguments::{Format, Listen, Serve};
use cli::substitute::SOCKET;
use cli::visible::Log;
use cli::{Context, Relief};
use control::dataplane::{AccessLog, GatewayOptions, Settings};
use control::{Access, Control, FolderLock, LockError};
use host::limits::Usual;
use host::reserve::{Reserve, Tended};
use host::{Clock, files};
use model::Index;
use model::units::{UnitError, parse_duration};
use options::Options;
use server::{Faces, Measured, Socket, Tenure, Token};
use telemetry::Stores;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use world::{Desired, World};

/// Time in which a control process that a command started must have made way.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);
/// How often the folder's lock is tried until then.
const LOCK_POLL: Duration = Duration::from_millis(20);
/// Time open connections get to end when the process does.
const GOODBYE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("{option}")]
    Unit { option: &'static str, source: UnitError },
    #[error(transparent)]
    Options(#[from] options::OptionsError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Open(#[from] control::OpenError),
    #[error("no secret could be made for the API")]
    Entropy(#[from] host::entropy::EntropyError),
    #[error("{path} cannot be used")]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Stores(#[from] telemetry::stores::OpenError),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("the API ended")]
    Server(#[source] io::Error),
    #[error(
        "the data folder {folder} can only be read, and there is no other place for sockets; make it writable"
    )]
    Substitute { folder: PathBuf, source: io::Error },
    #[error(
        "the data folder can be written again, but no new control process could take over; start it again"
    )]
    Anew(#[source] io::Error),
}

pub(crate) async fn run(context: Context, asked: Serve, usual: Option<Usual>) -> ExitCode {
    let json = context.format == Format::Json;
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    // A log that cannot be written must not end what is logged.
    let subscriber = subscriber.with_max_level(tracing::Level::INFO).log_internal_errors(false);
    if json {
        subscriber.with_writer(|| Log::of_json(io::stderr())).json().init();
    } else {
        subscriber.with_writer(|| Log::of_text(io::stderr())).init();
    }
    match serve(&context, &asked, usual).await {
        Ok(End::Asked) => ExitCode::SUCCESS,
        Ok(End::Regained) => failed(&ServeError::Anew(access::begin_anew(&context, usual))),
        Err(error) => failed(&error),
    }
}

fn failed(error: &ServeError) -> ExitCode {
    tracing::error!("{}", model::chain(error));
    ExitCode::FAILURE
}

/// Why a control process ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was to.
    Asked,
    /// Its folder could only be read until now.
    Regained,
}

async fn serve(context: &Context, asked: &Serve, usual: Option<Usual>) -> Result<End, ServeError> {
    if asked.background {
        host::process::leave_terminal().map_err(ServeError::Signals)?;
    }
    let idle_exit = asked.idle_exit.as_deref().map(parse_duration).transpose();
    let idle_exit =
        idle_exit.map_err(|source| ServeError::Unit { option: "--idle-exit", source })?;
    let folder = &context.data;
    let file = |source| ServeError::File { path: folder.clone(), source };
    // It holds environments, and a socket through which programs can be run: a folder that is made here is nobody
    // else's. One that was there is left as its owner made it, who may have others in it.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file)?;
    // Before anything else in the folder is looked at: another control process may be in charge of it.
    let lock = Arc::new(take_charge(context, asked).await?);
    let access = access::of(folder)
        .map_err(|source| ServeError::Substitute { folder: folder.clone(), source })?;
    let written = access::written(folder, &access);
    tend_reserve(folder, &access);
    let options = Options::of(context, asked, folder)?;
    let clock = Clock::start();
    let stores = open_stores(&options, written, clock)?;
    let collector = bind_collector(&options, folder).await;
    let opened = control::open(control::Options {
        folder: folder.clone(),
        access: access.clone(),
        lock: Arc::clone(&lock),
        program: context.program.clone(),
        environment: context.environment.clone(),
        clock,
        described: options.describe(),
        data_plane: Some(data_plane(&options)),
        stores: Arc::clone(&stores),
        collector: collector.as_ref().and_then(|it| it.local_addr().ok()),
        remote_write: options.remote_write.clone(),
        usual,
    })
    .await?;
    if let Some(damage) = &opened.damage {
        tracing::warn!("the journal was damaged: {damage}");
    }
    let control = opened.control;
    let tcp = bind_port(options.listen, folder).await?;
    let tenure = if asked.background { Tenure::StandIn } else { Tenure::Lasting };
    // We have the folder's lock: a socket that is there belonged to somebody who is gone.
    let unix = written.join(SOCKET);
    let unix = Socket::at(&unix).map_err(|source| ServeError::File { path: unix, source })?;
    let faces = Faces { unix, tcp, collector, tenure };
    let (stop, stopped) = watch::channel(false);
    let measured = Measured { stores, clock };
    let server = tokio::spawn(server::serve(control.clone(), measured, faces, stopped));
    tracing::info!(data = %folder.display(), "in charge");
    let mut task = opened.task;
    let end = wait_for_end(&control, idle_exit, &mut task, access::regained(folder, &access)).await;
    // The control task first: whoever is told that something is recorded must be told the truth.
    stop.send_replace(true);
    if tokio::time::timeout(GOODBYE, server).await.is_err() {
        tracing::info!("connections that were still open are cut");
    }
    // Left behind, it would only be in the way of nobody: the next one in charge replaces it.
    drop(fs::remove_file(written.join(SOCKET)));
    access::tidy(&access);
    end
}

/// Takes the folder's lock. A control process that a command started makes way for one that is started on purpose,
/// or a service manager could not start its own while applications run. One that is about to end, and so answers
/// nobody any more, is waited for.
async fn take_charge(context: &Context, asked: &Serve) -> Result<FolderLock, ServeError> {
    let taken = FolderLock::acquire(&context.data);
    let Err(LockError::Owned { .. }) = taken else { return Ok(taken?) };
    tracing::info!("another control process has the folder; whether it goes on is looked into");
    let patient = async {
        let mut ticks = tokio::time::interval(LOCK_POLL);
        loop {
            ticks.tick().await;
            match FolderLock::acquire(&context.data) {
                Err(LockError::Owned { .. }) => {}
                other => return other,
            }
            let relief = if asked.background {
                cli::attended(context).await
            } else {
                cli::relieve(context).await
            };
            if relief == Relief::Refused {
                return FolderLock::acquire(&context.data);
            }
        }
    };
    match tokio::time::timeout(LOCK_PATIENCE, patient).await {
        Ok(taken) => Ok(taken?),
        Err(_) => Ok(FolderLock::acquire(&context.data)?),
    }
}

/// On a full disk there must be room to begin.
fn tend_reserve(folder: &Path, access: &Access) {
    if access.is_read_only() {
        return;
    }
    let reserve = Reserve::of(folder);
    match files::space(folder).and_then(|space| reserve.tend(space)) {
        Ok(Tended::GivenUp) => tracing::warn!("the disk is full; the reserve is given up"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "no room is kept in reserve for a full disk"),
    }
}

/// Opens what is kept of what is measured.
fn open_stores(options: &Options, folder: &Path, clock: Clock) -> Result<Arc<Stores>, ServeError> {
    let limits = telemetry::stores::Limits::of(options.telemetry_age, options.telemetry_size.0);
    let (stores, damage) = Stores::open(&folder.join("telemetry"), limits, clock.timestamp())?;
    for it in damage {
        let file = it.file.display();
        tracing::warn!(%file, reason = it.reason, "damaged telemetry was set aside");
    }
    Ok(Arc::new(stores))
}

/// The port where instances send what they measure. Instances that run know the one of the control process before
/// this one, so that is tried too; one that another program has is no reason not to run.
async fn bind_collector(options: &Options, folder: &Path) -> Option<TcpListener> {
    let wanted = options.telemetry.address()?;
    let path = folder.join("telemetry.address");
    let before = files::read_if_there(&path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "the port before cannot be read, and may become another");
        None
    });
    let before = before.and_then(|it| String::from_utf8(it).ok()?.trim().parse().ok());
    // A port that was asked for by number is wanted more than the one before.
    let before = before.filter(|it: &SocketAddr| wanted.port() == 0 || it.ip() == wanted.ip());
    let any = SocketAddr::new(wanted.ip(), 0);
    let candidates = if wanted.port() == 0 {
        [before, None, Some(any)]
    } else {
        [Some(wanted), before, Some(any)]
    };
    for address in candidates.into_iter().flatten() {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let shown = listener.local_addr().unwrap_or(address);
                note(&path, shown);
                tracing::info!(address = %shown, "telemetry is taken in and answered for");
                return Some(listener);
            }
            Err(error) => tracing::warn!(%address, %error, "telemetry cannot be taken in here"),
        }
    }
    None
}

/// Writes down where something listens. Where the disk refuses it, whoever looks for the address is told the one before.
fn note(path: &Path, address: SocketAddr) {
    if let Err(error) = files::write_whole(path, address.to_string().as_bytes()) {
        tracing::warn!(path = %path.display(), %error, "an address could not be written down");
    }
}

/// What the data plane is to be.
fn data_plane(options: &Options) -> Settings {
    let access_log = options.access_log.clone().path();
    Settings {
        gateway: options.gateway.address(),
        gateway_tls: options.gateway_tls.address(),
        options: GatewayOptions {
            access_log: access_log
                .map(|file| AccessLog { file, sample: options.access_log_sample }),
            decision_log: options.decision_log.clone().path(),
            proxy_protocol: options.proxy_protocol,
            trusted_proxies: options.trusted_proxies.clone(),
            says: options.says,
            head_size: options.head_size,
            head_time: options.head_timeout,
        },
        workers: usize::from(options.proxy_workers.get()),
    }
}

/// Until a signal, the API, idleness or a disk that has `regained` its health ends the control process, and its task has ended too.
async fn wait_for_end(
    control: &Control,
    idle_exit: Option<Duration>,
    task: &mut tokio::task::JoinHandle<()>,
    regained: impl Future<Output = ()>,
) -> Result<End, ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let (end, why) = tokio::select! {
        _ = terminate.recv() => (End::Asked, "terminated"),
        _ = interrupt.recv() => (End::Asked, "interrupted"),
        () = idle(control, idle_exit) => (End::Asked, "idle"),
        () = regained => (End::Regained, "the data folder can be written; beginning anew"),
        ended = &mut *task => {
            return match ended {
                Ok(()) => Ok(End::Asked),
                Err(error) => Err(ServeError::Server(io::Error::other(error))),
            };
        }
    };
    tracing::info!(why, "ending; instances go on");
    control.shut_down();
    task.await.map_err(|error| ServeError::Server(io::Error::other(error)))?;
    Ok(end)
}

/// Until nothing has run for so long; for good, if that does not matter.
async fn idle(control: &Control, idle_exit: Option<Duration>) {
    let Some(idle_exit) = idle_exit else { return std::future::pending().await };
    loop {
        let world = control.world();
        let changed = control.changed(world.index);
        if is_idle(&world) {
            if tokio::time::timeout(idle_exit, changed).await.is_err() {
                return;
            }
        } else {
            let _next: Arc<World> = changed.await;
        }
    }
}

fn is_idle(world: &World) -> bool {
    world.index != Index::ZERO
        && world.applications.values().all(|it| it.desired == Desired::Stopped)
}

/// A port that is in use is no reason not to run: the socket is there.
async fn bind_port(
    listen: Listen,
    folder: &Path,
) -> Result<Option<(TcpListener, Token)>, ServeError> {
    let Listen::Tcp(address) = listen else { return Ok(None) };
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%address, %error, "the API is only on the socket; choose another address with --listen");
            return Ok(None);
        }
    };
    let path = folder.join("token");
    let found = match files::read_if_there(&path) {
        Ok(found) => found,
        Err(error) => {
            let path = path.display();
            tracing::warn!(%path, %error, "the API is only on the socket; its token cannot be read; remove it");
            return Ok(None);
        }
    };
    let found = found.map(|it| String::from_utf8_lossy(&it).trim().to_owned());
    // An empty one, of a power cut, would let everybody in.
    let token = if let Some(token) = found.filter(|it| !it.is_empty()) {
        token
    } else {
        let token = host::entropy::secret()?;
        if let Err(error) = files::write_synced(&path, token.as_bytes(), 0o600) {
            tracing::warn!(%address, %error, "the API is only on the socket; its token cannot be written down");
            return Ok(None);
        }
        token
    };
    let shown = listener.local_addr().unwrap_or(address);
    note(&folder.join("address"), shown);
    tracing::info!(address = %shown, "the API listens");
    Ok(Some((listener, Token::new(token))))
}
