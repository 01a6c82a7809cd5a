//! Commands that look at what was measured, as written.

use clap::Args;

/// `pelago metrics`.
#[derive(Clone, Debug, Args)]
pub struct Metrics {
    /// Expression in PromQL [default: list the metrics there are]
    pub expression: Option<String>,
    /// From when on: `5m` for five minutes ago, `14:32`, or a whole date
    #[arg(long, value_name = "WHEN", default_value = "15m")]
    pub since: String,
    /// The five minutes before an event and after it, by its index: `@43`
    #[arg(long, value_name = "INDEX", conflicts_with_all = ["since", "now"])]
    pub around: Option<String>,
    /// Time between two values [default: a sixtieth of the whole]
    #[arg(long, value_name = "DURATION")]
    pub step: Option<String>,
    /// Only the values now
    #[arg(long, conflicts_with = "step")]
    pub now: bool,
    /// Series shown, at most
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
}

/// `pelago trace`.
#[derive(Clone, Debug, Args)]
pub struct Trace {
    /// Trace to show, by its id or the beginning of it in a list [default: list the latest]
    pub id: Option<String>,
    /// Show it beside this trace
    #[arg(long, value_name = "ID", requires = "id")]
    pub compare: Option<String>,
    /// And what its services said meanwhile, whether they named the trace or not
    #[arg(long, requires = "id", conflicts_with = "compare")]
    pub logs: bool,
    /// Which of them
    #[command(flatten)]
    pub choice: TraceChoice,
    /// Only traces this service has a part in
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    pub service: Option<String>,
    /// Only traces with a part that took at least so long
    #[arg(long, value_name = "DURATION", conflicts_with = "id")]
    pub min: Option<String>,
    /// Only traces with these tags and words: `error and http.method=GET`
    #[arg(long = "where", value_name = "QUERY", conflicts_with = "id")]
    pub query: Option<String>,
    /// From when on: `5m` for five minutes ago, `14:32`, or a whole date
    #[arg(long, value_name = "WHEN", default_value = "1h")]
    pub since: String,
    /// Traces shown, at most
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
}

/// Which traces of a list.
#[derive(Clone, Copy, Debug, Args)]
pub struct TraceChoice {
    /// Only traces with a call that failed
    #[arg(long, conflicts_with = "id")]
    pub errors: bool,
    /// The slowest first
    #[arg(long, conflicts_with = "id")]
    pub slow: bool,
}
