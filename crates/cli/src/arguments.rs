//! The command line, as written.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs, releases, routes, watches and simulates an application of many services, described in one file.
#[derive(Clone, Debug, Parser)]
#[command(name = "pelago", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Data folder [default: `$PELAGO_DATA`, else `~/.local/share/pelago`]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Application that is meant [default: the one of the file here, or the only one that runs]
    #[arg(long, short = 'a', global = true, value_name = "NAME")]
    pub application: Option<String>,
    /// How answers look
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// How answers look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document, or one a line where answers go on.
    Json,
}

/// Every command.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Commands that ask the control process, or need none.
    #[command(flatten)]
    Asking(Asking),
    /// Be the control process
    Serve(Serve),
    /// Be a synthetic service, as the environment describes it
    #[command(hide = true)]
    Emulate,
    /// Send open-loop load and report what came of it
    Load(Load),
    /// Supervise an instance (what the control process starts for each)
    #[command(hide = true)]
    Supervise {
        /// The instance's folder.
        folder: PathBuf,
    },
    /// Become an instance (what a supervisor starts)
    #[command(hide = true)]
    Enter {
        /// The instance's folder.
        folder: PathBuf,
    },
}

/// Commands that ask the control process, or need none.
#[derive(Clone, Debug, Subcommand)]
pub enum Asking {
    /// Start an application, or change it to what the file says
    Up(Up),
    /// Stop an application
    Down,
    /// List what runs
    Ps(Ps),
    /// Show how everything is, now or in the past
    Status(Status),
    /// Show what instances say
    Logs(Logs),
    /// Run a command with an instance's environment, in its folder
    Exec(Exec),
    /// Replace every instance of services, one after the other
    Restart(Restart),
    /// Change the number of a service's instances
    Scale(Scale),
    /// Show what happened
    Events(Events),
    /// Show what `up` would change
    Plan(File),
    /// Look for what is wrong with the machine, or with the platform on it
    Doctor,
    /// Check a file
    Validate(File),
    /// Turn a Compose file, a Procfile or a spigo architecture into a pelago.yaml
    Import(Import),
    /// Print the JSON Schema of pelago.yaml
    Schema,
    /// End the control process; applications go on
    Shutdown,
}

/// The file of an application.
#[derive(Clone, Debug, Args)]
pub struct File {
    /// File, or a folder with one [default: pelago.yaml, compose.yaml or Procfile here]
    pub file: Option<PathBuf>,
}

/// `pelago up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Which file.
    #[command(flatten)]
    pub file: File,
    /// Leave it running and return as soon as everything is ready
    #[arg(long, short)]
    pub detach: bool,
    /// Longest time to wait for everything to be ready
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub timeout: String,
}

/// `pelago ps`.
#[derive(Clone, Debug, Args)]
pub struct Ps {
    /// Also what has ended
    #[arg(long)]
    pub all: bool,
}

/// `pelago status`.
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// Then: `@INDEX`, `14:32`, `2026-11-22 14:32`, or `5m` for five minutes ago
    #[arg(long, value_name = "WHEN")]
    pub at: Option<String>,
}

/// `pelago logs`.
#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// Services or instances (`cart`, `cart.7`) [default: all]
    pub services: Vec<String>,
    /// Go on with what they say next
    #[arg(long, short)]
    pub follow: bool,
    /// Only from then on: `5m` for five minutes ago, `14:32`, or a whole date
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only the last lines of each instance
    #[arg(long, short = 'n', value_name = "LINES")]
    pub tail: Option<usize>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Show when each line was written
    #[arg(long, short)]
    pub timestamps: bool,
}

/// `pelago exec`.
#[derive(Clone, Debug, Args)]
pub struct Exec {
    /// Service or instance
    pub target: String,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `pelago restart`.
#[derive(Clone, Debug, Args)]
pub struct Restart {
    /// Services [default: all]
    pub services: Vec<String>,
}

/// `pelago scale`.
#[derive(Clone, Debug, Args)]
pub struct Scale {
    /// How many of what: `cart=3`
    #[arg(required = true, value_name = "SERVICE=REPLICAS")]
    pub wishes: Vec<String>,
}

/// `pelago events`.
#[derive(Clone, Debug, Args)]
pub struct Events {
    /// Only this service
    pub service: Option<String>,
    /// Go on with what happens next
    #[arg(long, short)]
    pub follow: bool,
    /// Only what came after this index
    #[arg(long, value_name = "INDEX")]
    pub after: Option<u64>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "EVENTS", default_value_t = 100)]
    pub limit: usize,
}

/// `pelago import`.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// File to read
    pub file: PathBuf,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `pelago serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Loopback address of the HTTP API, or `none`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8640")]
    pub listen: Listen,
    /// End when nothing has run for so long
    #[arg(long, value_name = "DURATION")]
    pub idle_exit: Option<String>,
    /// Leave the terminal (what `up` does when no control process is there)
    #[arg(long, hide = true)]
    pub background: bool,
}

/// Where the HTTP API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Only on the Unix socket.
    None,
    /// Also on this address of loopback.
    Tcp(SocketAddr),
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
            Err("only a loopback address will do: whoever reaches the API can run programs"
                .to_owned())
        }
    }
}

/// `pelago load`.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// URL to ask
    pub url: String,
    /// Requests a second, such as `100/s`
    #[arg(long, default_value = "10/s", conflicts_with = "profile")]
    pub rate: String,
    /// How long
    #[arg(long, value_name = "DURATION", default_value = "10s", conflicts_with = "profile")]
    pub duration: String,
    /// Changing rates: `50/s for 10s, 50/s..200/s in 20s`
    #[arg(long)]
    pub profile: Option<String>,
    /// Evenly spaced requests in place of random (Poisson) arrivals
    #[arg(long)]
    pub paced: bool,
    /// Method
    #[arg(long, short = 'X', default_value = "GET")]
    pub method: String,
    /// Header, `name: value`; may be repeated
    #[arg(long, short = 'H', value_name = "HEADER")]
    pub header: Vec<String>,
    /// Body
    #[arg(long, short = 'd', value_name = "TEXT")]
    pub data_text: Option<String>,
    /// Connections at once, at most
    #[arg(long, default_value_t = 512)]
    pub connections: usize,
    /// Time after which a request has failed
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub timeout: String,
    /// Time at the beginning that is not counted
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub warmup: String,
    /// Seed of the arrivals [default: a random one, which is reported]
    #[arg(long)]
    pub seed: Option<u64>,
}
