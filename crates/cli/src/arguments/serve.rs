//! The long-lived processes: what is said to a control process, and to a data plane.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use model::heads::{HeadSize, HeadTime};
use model::network::Networks;
use model::units::Share;

/// `pelago serve`. What is not said is as the data folder has it stored, and stored if it is said.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "What is said here is stored in the data folder, and holds until it is said otherwise. `pelago doctor` shows it."
)]
pub struct Serve {
    /// Loopback address of the HTTP API, or `none` [default: 127.0.0.1:8640]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<Listen>,
    /// Loopback address where requests from outside come in, or `none` [default: `$PELAGO_GATEWAY`, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Option<Listen>,
    /// Loopback address where those come in that are encrypted, or `none` [default: `$PELAGO_GATEWAY_TLS`, else none]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway_tls: Option<Listen>,
    /// Loopback address where telemetry comes in and is asked for, or `none` [default: `$PELAGO_TELEMETRY`, else 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    pub telemetry: Option<Listen>,
    /// Time telemetry is kept [default: 15d]
    #[arg(long, value_name = "DURATION")]
    pub telemetry_age: Option<String>,
    /// Bytes of telemetry kept on disk: two fifths each for metrics and traces, a fifth for logs [default: 5GiB]
    #[arg(long, value_name = "SIZE")]
    pub telemetry_size: Option<String>,
    /// Address metrics are sent on to by Prometheus' remote write, or `none` [default: none]
    #[arg(long, value_name = "URL")]
    pub remote_write: Option<String>,
    /// Threads that pass requests on [default: 1]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX))]
    pub proxy_workers: Option<u16>,
    /// File where requests from outside are logged, or `none` [default: `$PELAGO_ACCESS_LOG`, else none]
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<LogFile>,
    /// Share of requests that are logged; those that fail or are slow are always [default: 100%]
    #[arg(long, value_name = "SHARE")]
    pub access_log_sample: Option<Share>,
    /// Folder where every decision of the data plane is logged, to be decided again by `pelago sim replay`, or `none`
    #[arg(long, value_name = "FOLDER")]
    pub decision_log: Option<LogFile>,
    /// Have each connection from outside begin with a PROXY protocol header, as a load balancer sends it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub proxy_protocol: Option<bool>,
    /// Proxies in front of the gateway whose word is taken for whom a request comes from (`x-forwarded-for` and its kin):
    /// addresses or networks, with commas between, or `none` [default: none]
    #[arg(long, value_name = "NETWORKS")]
    pub trusted_proxies: Option<Networks>,
    /// Tell instances where a request came from with `forwarded` (RFC 7239) as well
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub forwarded: Option<bool>,
    /// Say with `via` that a request and its answer passed the gateway
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub via: Option<bool>,
    /// Size of a head, at most: of requests at the gateway and inside, and of answers; 4KiB to 48KiB [default: 16KiB]
    #[arg(long, value_name = "SIZE")]
    pub head_size: Option<HeadSize>,
    /// Time for the head of a request, from its first byte; 1s to 10m [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub head_timeout: Option<HeadTime>,
    /// End when nothing has run for so long
    #[arg(long, value_name = "DURATION")]
    pub idle_exit: Option<String>,
    /// Leave the terminal (what `up` does when no control process is there)
    #[arg(long, hide = true)]
    pub background: bool,
}

/// Threads of the data plane, at most: more than the cores of large machines there are would only wait
/// for each other.
const WORKERS_MAX: i64 = 256;

/// `pelago proxy`.
#[derive(Clone, Debug, Args)]
pub struct Proxy {
    /// Unix socket on which it is fed
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Loopback address where requests from outside come in, or `none`
    #[arg(long, value_name = "ADDRESS", default_value = "none")]
    pub gateway: Listen,
    /// Loopback address where those come in that are encrypted, or `none`
    #[arg(long, value_name = "ADDRESS", default_value = "none")]
    pub gateway_tls: Listen,
    /// Folder of certificates
    #[arg(long, value_name = "FOLDER")]
    pub tls_folder: Option<PathBuf>,
    /// Threads that pass requests on
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX))]
    pub workers: u16,
    /// File where requests from outside are logged, or `none`
    #[arg(long, value_name = "FILE", default_value = "none")]
    pub access_log: LogFile,
    /// Share of requests that are logged; those that fail or are slow are always
    #[arg(long, value_name = "SHARE", default_value_t = Share::ALL)]
    pub access_log_sample: Share,
    /// Folder where every decision is logged
    #[arg(long, value_name = "FOLDER")]
    pub decision_log: Option<PathBuf>,
    /// Have each connection from outside begin with a PROXY protocol header
    #[arg(long = "proxy-protocol")]
    pub is_behind_balancer: bool,
    /// Proxies whose word is taken for whom a request comes from
    #[arg(long, default_value = "none")]
    pub trusted_proxies: Networks,
    /// What the gateway says of itself
    #[command(flatten)]
    pub says: Says,
    /// Size of a head, at most
    #[arg(long, value_name = "SIZE", default_value_t)]
    pub head_size: HeadSize,
    /// Time for the head of a request
    #[arg(long, value_name = "DURATION", default_value_t)]
    pub head_timeout: HeadTime,
    /// Where its listening sockets come from
    #[arg(long, value_enum, default_value_t = SocketsFrom::New)]
    pub sockets: SocketsFrom,
}

/// What a gateway says of itself.
#[derive(Clone, Copy, Debug, Args)]
pub struct Says {
    /// Say where a request came from with `forwarded`
    #[arg(long)]
    pub forwarded: bool,
    /// Say with `via` what passed
    #[arg(long)]
    pub via: bool,
}

/// Where listening sockets come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SocketsFrom {
    /// They are made.
    #[default]
    New,
    /// From standard input: those of one that has died.
    Inherited,
    /// From the one that is fed on the same socket, which ends.
    TakenOver,
}

/// An address to listen on, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    None,
    /// On this address of loopback.
    Tcp(SocketAddr),
}

impl Listen {
    /// The address, if there is one.
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::None => None,
            Self::Tcp(address) => Some(address),
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "write an address such as 127.0.0.1:8640, or none".to_owned())?;
        if address.ip().is_loopback() {
            Ok(Self::Tcp(address))
        } else {
            Err("only a loopback address will do: whoever reaches it reaches what runs here"
                .to_owned())
        }
    }
}

/// A file to log to, if any. One that is called `none` is written `./none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFile {
    /// Nowhere.
    None,
    /// To the end of this file.
    At(PathBuf),
}

impl LogFile {
    /// The file, if there is one.
    pub fn path(self) -> Option<PathBuf> {
        match self {
            Self::None => None,
            Self::At(path) => Some(path),
        }
    }

    /// The same file, told from the root; a relative path is one from `folder`.
    #[must_use]
    pub fn within(self, folder: &Path) -> Self {
        match self {
            Self::None => Self::None,
            Self::At(path) => Self::At(folder.join(path)),
        }
    }
}

impl std::fmt::Display for LogFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::At(path) => path.display().fmt(f),
        }
    }
}

impl std::str::FromStr for LogFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("write a file, or none".to_owned()),
            "none" => Ok(Self::None),
            path => Ok(Self::At(path.into())),
        }
    }
}
