//! The command line of releases and rollouts, as written.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use model::ReleaseNumber;
use model::rollout::Strategy;

/// `pelago deploy`.
#[derive(Clone, Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct Deploy {
    /// Services [default: those in which something has changed]
    pub services: Vec<String>,
    /// File, or a folder with one [default: pelago.yaml, compose.yaml or Procfile here]
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// File or folder that the service runs in, in place of what the file says
    #[arg(long, value_name = "PATH", conflicts_with = "image")]
    pub artifact: Option<PathBuf>,
    /// Image that the service runs, in place of what the file says
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,
    /// What is new about it, for people to read
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// The way it takes over, in place of what the file says
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyName>,
    /// Roll the services out as one: in the order of their calls, and back together
    #[arg(long)]
    pub together: bool,
    /// Make a release even where nothing has changed
    #[arg(long)]
    pub force: bool,
    /// Release an application that runs from another folder as it is described here
    #[arg(long)]
    pub take_over: bool,
    /// Return as soon as the rollout has begun
    #[arg(long, short)]
    pub detach: bool,
}

/// Ways for a release to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StrategyName {
    /// A growing share of traffic, judged at every step.
    Canary,
    /// All of it at once, from a full set of new instances.
    Bluegreen,
    /// One instance after another.
    Rolling,
    /// All instances at once.
    Immediate,
    /// The old instances end before the new ones start.
    Recreate,
}

impl StrategyName {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Bluegreen => "bluegreen",
            Self::Rolling => "rolling",
            Self::Immediate => "immediate",
            Self::Recreate => "recreate",
        }
    }

    /// The strategy.
    pub const fn meant(self) -> Strategy {
        match self {
            Self::Canary => Strategy::Canary,
            Self::Bluegreen => Strategy::Bluegreen,
            Self::Rolling => Strategy::Rolling,
            Self::Immediate => Strategy::Immediate,
            Self::Recreate => Strategy::Recreate,
        }
    }
}

/// `pelago releases`.
#[derive(Clone, Debug, Args)]
pub struct Releases {
    /// Only this service
    pub service: Option<String>,
}

/// `pelago diff`.
#[derive(Clone, Debug, Args)]
pub struct Diff {
    /// The first release: `cart@r11`
    pub from: String,
    /// The second: `cart@r12`, or `r12` [default: the one that serves]
    pub to: Option<String>,
    /// Show the values of environment variables, which may be secret
    #[arg(long)]
    pub show_values: bool,
}

/// `pelago rollout`.
#[derive(Clone, Debug, Args)]
pub struct Rollout {
    /// What to do [default: list them]
    #[command(subcommand)]
    pub action: Option<RolloutAction>,
}

/// What can be done with a rollout.
#[derive(Clone, Debug, Subcommand)]
pub enum RolloutAction {
    /// Follow it to its end
    Watch {
        /// Service.
        service: String,
    },
    /// Leave it where it is
    Pause {
        /// Service.
        service: String,
    },
    /// Let it go on
    Resume {
        /// Service.
        service: String,
    },
    /// Take the step it is in for good enough
    Promote {
        /// Service.
        service: String,
    },
    /// End it: the old release gets all the traffic again
    Abort {
        /// Service.
        service: String,
    },
}

/// `pelago rollback`.
#[derive(Clone, Debug, Args)]
pub struct Rollback {
    /// Service
    pub service: String,
    /// Release to go back to [default: the one before]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<ReleaseNumber>,
    /// Return as soon as it is recorded
    #[arg(long, short)]
    pub detach: bool,
}

/// `pelago traffic`.
#[derive(Clone, Debug, Args)]
pub struct Traffic {
    /// What to do.
    #[command(subcommand)]
    pub action: TrafficAction,
}

/// What can be done with traffic.
#[derive(Clone, Debug, Subcommand)]
pub enum TrafficAction {
    /// Share requests to a service among its releases, for as long as wanted
    Set(SetTraffic),
}

/// `pelago traffic set`.
#[derive(Clone, Debug, Args)]
pub struct SetTraffic {
    /// Service
    pub service: String,
    /// Each release's share: `r11=90% r12=10%`; a release alone gets everything
    #[arg(required = true, value_name = "RELEASE=SHARE")]
    pub shares: Vec<String>,
    /// Requests with this header go to one release: `x-beta=1:r12`, or `x-beta:r12` for any value
    #[arg(long, value_name = "NAME=VALUE:RELEASE")]
    pub header: Vec<String>,
    /// Requests with this cookie go to one release: `beta=1:r12`, or `beta:r12` for any value
    #[arg(long, value_name = "NAME=VALUE:RELEASE")]
    pub cookie: Vec<String>,
    /// What keeps a caller at one release: `header:NAME`, `cookie:NAME` or `client`
    #[arg(long, value_name = "KEY")]
    pub sticky: Option<String>,
}
