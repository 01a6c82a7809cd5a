//! The command line of simulation, as written.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};

/// Replications on a command line, at most: what `simulator` takes.
const REPLICATIONS_MAX: i64 = 1_000;
/// Threads on a command line, at most: there are not more replications.
const THREADS_MAX: i64 = 1_000;

/// `pelago sim`.
#[derive(Clone, Debug, Args)]
pub struct Sim {
    /// What to ask.
    #[command(subcommand)]
    pub question: Question,
}

/// What to ask of an application in virtual time.
#[derive(Clone, Debug, Subcommand)]
pub enum Question {
    /// Report how it does: objectives, latencies, the bottleneck, where time goes
    Run(Box<Run>),
    /// Find the largest load that meets the objectives, and what gives way first
    Capacity(Box<FindCapacity>),
    /// Compare two variants with the same users and the same luck
    Compare(Box<Compare>),
    /// Try values of a parameter
    Sweep(Box<Sweep>),
    /// Map from which shocks it recovers, and from which it does not
    Storm(Box<Storm>),
    /// Decide again what the data plane decided, from its logs (`pelago serve --decision-log`), and compare
    Replay(Decisions),
    /// List the built-in architectures
    List,
    /// Print the file of a built-in architecture
    Show(Show),
}

/// `pelago sim run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// File, folder with one, or name of a built-in architecture [default: the file here]
    pub what: Option<String>,
    /// Go on until goodput and mean latency have at most this error, with 95 % confidence
    #[arg(long, value_name = "SHARE")]
    pub precision: Option<String>,
    /// Show every service and every edge
    #[arg(long)]
    pub all: bool,
    /// Exit with 1 unless every objective is met
    #[arg(long)]
    pub check: bool,
    /// Write for other tools: zipkin, otlp, prometheus, graph, graphml, dot or mermaid; may be repeated
    #[arg(long, value_name = "FORM=FILE")]
    pub export: Vec<String>,
    /// The moment that spans begin at
    #[arg(long, value_name = "TIME", default_value = "2026-01-01T00:00:00Z")]
    pub epoch: String,
    /// How it is played.
    #[command(flatten)]
    pub playing: Playing,
}

/// `pelago sim replay`.
#[derive(Clone, Debug, Args)]
pub struct Decisions {
    /// Logs, one of each worker
    #[arg(required = true, value_name = "FILE")]
    pub logs: Vec<PathBuf>,
}

/// `pelago sim capacity`.
#[derive(Clone, Debug, Args)]
pub struct FindCapacity {
    /// File, folder with one, or name of a built-in architecture [default: the file here]
    pub what: Option<String>,
    /// How far apart the load that meets the objectives and the one that misses them may be in the end
    #[arg(long, value_name = "SHARE", default_value = "2%")]
    pub precision: String,
    /// Exit with 1 if it bears less than this many requests a second
    #[arg(long, value_name = "RATE")]
    pub check: Option<String>,
    /// How it is played.
    #[command(flatten)]
    pub playing: Playing,
}

/// `pelago sim compare`.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// The first: file, folder with one, or name of a built-in architecture
    pub what: String,
    /// The second [default: the first, with what `--with` changes]
    pub other: Option<String>,
    /// Change this in the second, as in `services.cart.replicas=3`; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub with: Vec<String>,
    /// Scenario of the second [default: that of the first, if it is the same application]
    #[arg(long, value_name = "FILE")]
    pub with_scenario: Option<PathBuf>,
    /// Show every figure, not only those that differ
    #[arg(long)]
    pub all: bool,
    /// How it is played.
    #[command(flatten)]
    pub playing: Playing,
}

/// `pelago sim sweep`.
#[derive(Clone, Debug, Args)]
pub struct Sweep {
    /// File, folder with one, or name of a built-in architecture
    pub what: String,
    /// What to change: a path such as `services.cart.replicas`, or `load`
    pub parameter: String,
    /// Values to try
    #[arg(required = true)]
    pub values: Vec<String>,
    /// How it is played.
    #[command(flatten)]
    pub playing: Playing,
}

/// `pelago sim storm`.
#[derive(Clone, Debug, Args)]
pub struct Storm {
    /// File, folder with one, or name of a built-in architecture [default: the file here]
    pub what: Option<String>,
    /// The shock: `load 3`, `slow cart by 10`, `lose zone b` and so on, as in a scenario
    #[arg(long, value_name = "FAULT", default_value = "load 3")]
    pub trigger: String,
    /// Loads to try, as factors of the scenario's
    #[arg(
        long,
        value_name = "FACTOR",
        value_delimiter = ',',
        default_value = "0.25,0.5,0.75,1,1.25,1.5"
    )]
    pub loads: Vec<f64>,
    /// How long the shock lasts
    #[arg(
        long,
        value_name = "DURATION",
        value_delimiter = ',',
        default_value = "1s,5s,10s,30s,60s"
    )]
    pub sizes: Vec<String>,
    /// Time before the shock that says how it was
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub before: String,
    /// Time to recover after it
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub after: String,
    /// How it is played.
    #[command(flatten)]
    pub playing: Playing,
}

/// How replications are played.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Playing")]
pub struct Playing {
    /// What it is put through [default: scenario.yaml beside the file, else the architecture's own, else 100 requests/s]
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Requests a second from outside in place of the scenario's: `200/s`, or `50/s..200/s in 2m, 200/s for 3m`
    #[arg(long, value_name = "RATE")]
    pub load: Option<String>,
    /// Users in place of the scenario's, each of whom waits for an answer, thinks, and sends again
    #[arg(long, value_name = "NUMBER", conflicts_with = "load", value_parser = value_parser!(u32).range(1..))]
    pub users: Option<u32>,
    /// Time each of them thinks, on average
    #[arg(long, value_name = "DURATION", default_value = "1s", requires = "users")]
    pub think: String,
    /// Virtual time of one replication [default: the scenario's, or 5m]
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<String>,
    /// Time at the beginning that is not counted [default: the scenario's, or found from the run]
    #[arg(long, value_name = "DURATION")]
    pub warm_up: Option<String>,
    /// Something that goes wrong: `at 60s for 30s slow cart by 10`; may be repeated
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Change this in the file or the scenario, as in `services.cart.replicas=3`; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Independent replications
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = value_parser!(u32).range(1..=REPLICATIONS_MAX))]
    pub replications: u32,
    /// Seed of all randomness: the same gives the same, to the byte
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads to play on; they change nothing but the time it takes [default: one a core]
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u16).range(1..=THREADS_MAX))]
    pub threads: Option<u16>,
    /// Write the answer as a page with plots, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `pelago sim show`.
#[derive(Clone, Debug, Args)]
pub struct Show {
    /// Name of a built-in architecture
    pub name: String,
    /// Print its scenario
    #[arg(long)]
    pub scenario: bool,
}
