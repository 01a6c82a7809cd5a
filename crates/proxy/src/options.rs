//! What a data plane is told when it is started, and why it could not be.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use host::Clock;
use telemetry::GatewayOptions;

use crate::tls::TlsError;

/// What a data plane is told when it is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Unix socket on which it is fed.
    pub socket: PathBuf,
    /// The gateway's address, if there is to be a gateway.
    pub gateway: Option<SocketAddr>,
    /// The gateway's address for TLS.
    pub gateway_tls: Option<SocketAddr>,
    /// Where certificates are; a local authority is made there if there are none.
    pub tls_folder: Option<PathBuf>,
    /// What else the gateway does.
    pub front: GatewayOptions,
    /// Worker threads, at least one.
    pub workers: usize,
    /// Where its listening sockets come from.
    pub sockets: Sockets,
    /// The seed of all randomness.
    pub seed: u64,
    /// The clock.
    pub clock: Clock,
}

/// Where listening sockets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// They are made.
    New,
    /// They come over standard input, from whoever kept them since the data plane before died.
    Inherited,
    /// They are taken over from the data plane that is fed on the same socket.
    TakenOver,
}

/// Why a data plane could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its socket cannot be used.
    #[error("the socket {path} cannot be used")]
    Socket {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data plane before did not hand over.
    #[error("the sockets of the data plane that runs could not be taken over")]
    TakeOver(#[source] io::Error),
    /// A worker or the main thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
