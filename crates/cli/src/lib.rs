//! Command line to `api`, answers to text.
//!
//! One file per command. A command reads what it was given, asks the control process over the socket in
//! the data folder (starting one if none is there), and prints. It refuses to hold state or decide.

pub mod arguments;
mod build;
mod canvas;
mod changes;
mod client;
mod commands;
mod daemon;
mod error;
#[cfg(test)]
mod hostile;
mod input;
mod meant;
mod origin;
mod output;
mod plot;
mod rollout_tree;
pub mod substitute;
mod table;
mod tree;
pub mod visible;
mod watch;
mod when;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use arguments::{Asking, Format, Settings};
use model::Timestamp;

pub use daemon::{Relief, attended, relieve};
pub use error::CommandError;
pub use output::Output;

/// Everything a command needs to know of the process it runs in, read once.
#[derive(Clone, Debug)]
pub struct Context {
    /// The caller's environment.
    pub environment: BTreeMap<String, String>,
    /// The folder it was called in.
    pub folder: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// This binary.
    pub program: PathBuf,
    /// The calendar's time.
    pub now: fn() -> Timestamp,
    /// How answers should look.
    pub format: Format,
    /// Which application is meant, if it was said.
    pub application: Option<String>,
}

impl Context {
    /// A context with what was said on the command line.
    #[must_use]
    pub fn with(mut self, settings: &Settings) -> Self {
        self.format = settings.format;
        self.application.clone_from(&settings.application);
        self
    }
}

/// Runs a command that asks the control process, or needs none, and prints its answer.
pub async fn run(context: Context, asking: Asking) -> ExitCode {
    let mut output = Output::of_process(&context);
    let result = commands::run(&context, asking, &mut output).await;
    match result {
        Ok(code) => code,
        // Whoever read our output has enough; that is no failure.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}
