//! The command line, as written.

mod import;
mod measured;
mod releases;
mod serve;
pub mod simulation;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use import::{Import, KindName};
pub use measured::{Metrics, Trace, TraceChoice};
pub use releases::{
    Deploy, Diff, Releases, Rollback, Rollout, RolloutAction, SetTraffic, StrategyName, Traffic,
    TrafficAction,
};
pub use serve::{Listen, LogFile, Proxy, Serve, SocketsFrom};

/// Runs an application of many services, described in one file: starts it in order, heals it, remembers.
#[derive(Clone, Debug, Parser)]
#[command(name = "pelago", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(
    after_help = "Begin with `pelago up` where there is a pelago.yaml, a compose.yaml or a Procfile."
)]
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
    /// Be the data plane (what the control process starts)
    #[command(hide = true)]
    Proxy(Proxy),
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
    /// Start an application that was stopped, as it was described last; its file is not needed
    Start,
    /// Forget an application that was stopped: its releases, its instances' logs, its ports
    Remove,
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
    /// Make a new release and move traffic to it, step by step
    Deploy(Deploy),
    /// Give all traffic to an earlier release again
    Rollback(Rollback),
    /// List rollouts, follow one, pause, resume, promote or abort it
    Rollout(Rollout),
    /// List releases
    Releases(Releases),
    /// Show how two releases differ
    Diff(Diff),
    /// Share traffic among releases
    Traffic(Traffic),
    /// Show what happened
    Events(Events),
    /// Commands that look at what crosses the mesh.
    #[command(flatten)]
    Looking(Looking),
    /// Show what `up` would change
    Plan(Plan),
    /// Simulate an application in virtual time: how it does, what it bears, whether it recovers
    Sim(simulation::Sim),
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

/// Commands that look at what crosses the mesh, and at what was measured.
#[derive(Clone, Debug, Subcommand)]
pub enum Looking {
    /// Show what crosses every edge, live
    Top(Top),
    /// Evaluate an expression in PromQL and plot it, or list the metrics there are
    Metrics(Metrics),
    /// List traces, show one as a waterfall, or two side by side
    Trace(Trace),
    /// Draw who calls whom, as declared and as seen
    Graph(Graph),
    /// List the routes from outside
    Route,
    /// List the declared calls
    Edge,
}

/// The file of an application.
#[derive(Clone, Debug, Args)]
pub struct File {
    /// File, or a folder with one [default: pelago.yaml, compose.yaml or Procfile here]
    pub file: Option<PathBuf>,
}

/// `pelago plan`.
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Which file.
    #[command(flatten)]
    pub file: File,
    /// Show the values of environment variables, which may be secret
    #[arg(long)]
    pub show_values: bool,
}

/// `pelago up`.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line, each by itself")]
pub struct Up {
    /// Which file.
    #[command(flatten)]
    pub file: File,
    /// Leave it running and return as soon as everything is ready
    #[arg(long, short)]
    pub detach: bool,
    /// Make an application of this name that runs from another folder what is described here
    #[arg(long)]
    pub take_over: bool,
    /// Longest time to wait for everything to be ready
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub timeout: String,
    /// For development: build again and replace at once what a changed file belongs to
    #[arg(long, conflicts_with = "detach")]
    pub watch: bool,
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
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line, each by itself")]
pub struct Logs {
    /// Services or instances (`cart`, `cart.7`) [default: all]
    pub services: Vec<String>,
    /// Go on with what they say next
    #[arg(long, short)]
    pub follow: bool,
    /// Only from then on: `5m` for five minutes ago, `14:32`, or a whole date
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only the last so many lines of each instance
    #[arg(long, short = 'n', value_name = "LINES")]
    pub tail: Option<usize>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// Search everything that was kept: words, "phrases", -not, field=value, /regular expressions/
    #[arg(long, value_name = "QUERY", conflicts_with_all = ["grep", "timestamps"])]
    pub search: Option<String>,
    /// Search for what is at least this grave: trace, debug, info, warn, error, fatal
    #[arg(long, value_name = "SEVERITY", conflicts_with_all = ["grep", "timestamps"])]
    pub severity: Option<String>,
    /// Search for what was said in this trace
    #[arg(long, value_name = "ID", conflicts_with_all = ["grep", "timestamps"])]
    pub trace: Option<String>,
    /// Show when each line was written
    #[arg(long, short)]
    pub timestamps: bool,
    /// Write what was said as it is, also what a terminal would act on: to a file or a pipe only
    #[arg(long)]
    pub raw: bool,
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
    /// Also what is counted every second of a rollout
    #[arg(long)]
    pub counts: bool,
}

/// `pelago top`.
#[derive(Clone, Debug, Args)]
pub struct Top {
    /// Print one table and return
    #[arg(long)]
    pub once: bool,
    /// Time from one table to the next
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub interval: String,
}

/// `pelago graph`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Graph {
    /// In which form
    #[arg(long = "as", value_enum, value_name = "FORM", default_value_t = Drawing::Text)]
    pub drawing: Drawing,
}

/// Forms of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// An outline for people.
    #[default]
    Text,
    /// Graphviz.
    Dot,
    /// A Mermaid flowchart.
    Mermaid,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use model::units::Share;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::try_parse_from(line.split_whitespace()).map_err(|it| it.to_string())
    }

    fn asking(line: &str) -> Asking {
        match parse(line).unwrap().command {
            Command::Asking(asking) => asking,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn settings_hold_before_and_after_the_command() {
        for line in ["pelago --format json -a shop ps", "pelago ps --format json -a shop"] {
            let settings = parse(line).unwrap().settings;
            assert_eq!(
                (settings.format, settings.application.as_deref()),
                (Format::Json, Some("shop"))
            );
        }
    }

    #[test]
    fn commands_as_people_type_them() {
        assert!(matches!(asking("pelago up -d"), Asking::Up(Up { detach: true, .. })));
        assert!(matches!(asking("pelago ps --all"), Asking::Ps(Ps { all: true })));
        let Asking::Logs(logs) =
            asking("pelago logs cart web.7 -f -n 5 -t --since 5m --grep error")
        else {
            panic!()
        };
        assert_eq!(
            (logs.services.len(), logs.tail, logs.follow, logs.timestamps),
            (2, Some(5), true, true)
        );
        let Asking::Exec(exec) = asking("pelago exec cart ls -l --all") else { panic!() };
        assert_eq!(
            (exec.target.as_str(), exec.command.join(" ").as_str()),
            ("cart", "ls -l --all")
        );
        let Asking::Scale(scale) = asking("pelago scale cart=3 web=0") else { panic!() };
        assert_eq!(scale.wishes, ["cart=3", "web=0"]);
        let Asking::Looking(Looking::Top(top)) = asking("pelago top --once --interval 5s") else {
            panic!()
        };
        assert_eq!((top.once, top.interval.as_str()), (true, "5s"));
        let Asking::Looking(Looking::Graph(graph)) = asking("pelago graph --as mermaid") else {
            panic!()
        };
        assert_eq!(graph.drawing, Drawing::Mermaid);
        assert!(matches!(asking("pelago route"), Asking::Looking(Looking::Route)));
        assert!(matches!(asking("pelago edge -a shop"), Asking::Looking(Looking::Edge)));
        let Asking::Status(status) = asking("pelago status --at @17") else { panic!() };
        assert_eq!(status.at.as_deref(), Some("@17"));
    }

    #[test]
    fn the_api_is_only_on_loopback() {
        assert_eq!("none".parse(), Ok(Listen::None));
        assert_eq!("[::1]:0".parse(), Ok(Listen::Tcp("[::1]:0".parse().unwrap())));
        insta::assert_snapshot!(parse("pelago serve --listen 0.0.0.0:80").unwrap_err(), @"
        error: invalid value '0.0.0.0:80' for '--listen <ADDRESS>': only a loopback address will do: whoever reaches it reaches what runs here

        For more information, try '--help'.
        ");
        insta::assert_snapshot!(parse("pelago serve --listen 8640").unwrap_err(), @"
        error: invalid value '8640' for '--listen <ADDRESS>': write an address such as 127.0.0.1:8640, or none

        For more information, try '--help'.
        ");
    }

    #[test]
    fn requests_are_logged_to_a_file_or_not_at_all() {
        let serve = |line: &str| match parse(line).unwrap().command {
            Command::Serve(serve) => (serve.access_log, serve.access_log_sample),
            other => panic!("{other:?}"),
        };
        assert_eq!(serve("pelago serve"), (None, None));
        assert_eq!(
            serve("pelago serve --access-log a.log --access-log-sample 1%"),
            (Some(LogFile::At("a.log".into())), Some(Share::from_percent(1)))
        );
        assert_eq!(serve("pelago serve --access-log none").0, Some(LogFile::None));
        insta::assert_snapshot!(parse("pelago serve --access-log-sample 5").unwrap_err(), @"
        error: invalid value '5' for '--access-log-sample <SHARE>': `5` has no unit; write a percentage such as `20%`

        For more information, try '--help'.
        ");
    }

    #[test]
    fn what_was_typed_wrong_is_answered_with_what_would_be_right() {
        insta::assert_snapshot!(parse("pelago statsu").unwrap_err(), @"
        error: unrecognized subcommand 'statsu'

          tip: some similar subcommands exist: 'start', 'status'

        Usage: pelago [OPTIONS] <COMMAND>

        For more information, try '--help'.
        ");
        insta::assert_snapshot!(parse("pelago scale").unwrap_err(), @"
        error: the following required arguments were not provided:
          <SERVICE=REPLICAS>...

        Usage: pelago scale <SERVICE=REPLICAS>...

        For more information, try '--help'.
        ");
        insta::assert_snapshot!(parse("pelago exec cart").unwrap_err(), @"
        error: the following required arguments were not provided:
          <COMMAND>...

        Usage: pelago exec <TARGET> <COMMAND>...

        For more information, try '--help'.
        ");
        insta::assert_snapshot!(parse("pelago load x --rate 5/s --profile 5/s").unwrap_err(), @"
        error: the argument '--rate <RATE>' cannot be used with '--profile <PROFILE>'

        Usage: pelago load --rate <RATE> <URL>

        For more information, try '--help'.
        ");
    }

    #[test]
    fn help_is_worth_reading() {
        insta::assert_snapshot!(Arguments::command().render_help(), @"
        Runs an application of many services, described in one file: starts it in order, heals it, remembers

        Usage: pelago [OPTIONS] <COMMAND>

        Commands:
          up        Start an application, or change it to what the file says
          down      Stop an application
          start     Start an application that was stopped, as it was described last; its file is not needed
          remove    Forget an application that was stopped: its releases, its instances' logs, its ports
          ps        List what runs
          status    Show how everything is, now or in the past
          logs      Show what instances say
          exec      Run a command with an instance's environment, in its folder
          restart   Replace every instance of services, one after the other
          scale     Change the number of a service's instances
          deploy    Make a new release and move traffic to it, step by step
          rollback  Give all traffic to an earlier release again
          rollout   List rollouts, follow one, pause, resume, promote or abort it
          releases  List releases
          diff      Show how two releases differ
          traffic   Share traffic among releases
          events    Show what happened
          top       Show what crosses every edge, live
          metrics   Evaluate an expression in PromQL and plot it, or list the metrics there are
          trace     List traces, show one as a waterfall, or two side by side
          graph     Draw who calls whom, as declared and as seen
          route     List the routes from outside
          edge      List the declared calls
          plan      Show what `up` would change
          sim       Simulate an application in virtual time: how it does, what it bears, whether it recovers
          doctor    Look for what is wrong with the machine, or with the platform on it
          validate  Check a file
          import    Turn a Compose file, a Procfile or a spigo architecture into a pelago.yaml
          schema    Print the JSON Schema of pelago.yaml
          shutdown  End the control process; applications go on
          serve     Be the control process
          load      Send open-loop load and report what came of it

        Options:
              --data <FOLDER>       Data folder [default: `$PELAGO_DATA`, else `~/.local/share/pelago`]
          -a, --application <NAME>  Application that is meant [default: the one of the file here, or the
                                    only one that runs]
              --format <FORMAT>     How answers look [default: text] [possible values: text, json]
          -h, --help                Print help (see more with '--help')
          -V, --version             Print version

        Begin with `pelago up` where there is a pelago.yaml, a compose.yaml or a Procfile.
        ");
    }

    #[test]
    fn so_is_the_help_of_a_command() {
        let help = |name: &str| {
            let mut command = Arguments::command();
            command.find_subcommand_mut(name).unwrap().render_help().to_string()
        };
        insta::assert_snapshot!(help("logs"), @r#"
        Show what instances say

        Usage: logs [OPTIONS] [SERVICES]...

        Arguments:
          [SERVICES]...  Services or instances (`cart`, `cart.7`) [default: all]

        Options:
          -f, --follow               Go on with what they say next
              --since <WHEN>         Only from then on: `5m` for five minutes ago, `14:32`, or a whole date
          -n, --tail <LINES>         Only the last so many lines of each instance
              --grep <TEXT>          Only lines that contain this text
              --search <QUERY>       Search everything that was kept: words, "phrases", -not, field=value,
                                     /regular expressions/
              --severity <SEVERITY>  Search for what is at least this grave: trace, debug, info, warn,
                                     error, fatal
              --trace <ID>           Search for what was said in this trace
          -t, --timestamps           Show when each line was written
              --raw                  Write what was said as it is, also what a terminal would act on: to a
                                     file or a pipe only
          -h, --help                 Print help
        "#);
        insta::assert_snapshot!(help("top"), @"
        Show what crosses every edge, live

        Usage: top [OPTIONS]

        Options:
              --once                 Print one table and return
              --interval <DURATION>  Time from one table to the next [default: 1s]
          -h, --help                 Print help
        ");
        insta::assert_snapshot!(help("graph"), @"
        Draw who calls whom, as declared and as seen

        Usage: graph [OPTIONS]

        Options:
              --as <FORM>  In which form [default: text] [possible values: text, dot, mermaid]
          -h, --help       Print help (see more with '--help')
        ");
        insta::assert_snapshot!(help("load"), @"
        Send open-loop load and report what came of it

        Usage: load [OPTIONS] <URL>

        Arguments:
          <URL>  URL to ask

        Options:
              --rate <RATE>                Requests a second, such as `100/s` [default: 10/s]
              --duration <DURATION>        How long [default: 10s]
              --profile <PROFILE>          Changing rates: `50/s for 10s, 50/s..200/s in 20s`
              --paced                      Evenly spaced requests in place of random (Poisson) arrivals
          -X, --method <METHOD>            Method [default: GET]
          -H, --header <HEADER>            Header, `name: value`; may be repeated
          -d, --data-text <TEXT>           Body
              --connections <CONNECTIONS>  Connections at once, at most [default: 512]
              --timeout <DURATION>         Time after which a request has failed [default: 10s]
              --warmup <DURATION>          Time at the beginning that is not counted [default: 0s]
              --seed <SEED>                Seed of the arrivals [default: a random one, which is reported]
          -h, --help                       Print help
        ");
    }
}
