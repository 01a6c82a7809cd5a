//! Why a command failed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use api::{ApiError, ErrorKind};

/// Why a command failed. What cannot be said in a line was printed before.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The control process said no.
    #[error("{0}")]
    Api(ApiError),
    /// The control process cannot be reached.
    #[error("the control process cannot be reached at {socket}")]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The control process is there and does not answer.
    #[error(
        "the control process ({}) has not answered for {silence_max:?}; is it stopped, or the machine too busy? `kill -CONT` wakes a stopped one, `kill -KILL` ends it, and instances go on meanwhile",
        pid.map_or_else(|| "process unknown".to_owned(), |it| format!("process {it}"))
    )]
    Silent {
        /// Its process, where that could be read.
        pid: Option<u32>,
        /// The time it had.
        silence_max: Duration,
    },
    /// The control process answered something else than this command understands.
    #[error(
        "the control process gave an answer that this version does not understand ({0}); is it of another version? `pelago shutdown` ends it"
    )]
    Answer(String),
    /// The control process did not start.
    #[error("the control process did not start:\n{0}")]
    NotStarted(String),
    /// Writing the answer failed.
    #[error("the answer could not be written")]
    Output(#[source] io::Error),
    /// A file could not be read or written.
    #[error("{path} cannot be {verb}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        verb: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What was written on the command line, or in a file, is not right.
    #[error("{0}")]
    Wrong(String),
}

impl CommandError {
    /// Whether nobody reads our output any more.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What kind of trouble it is, as the API calls it.
    pub(crate) const fn kind(&self) -> ErrorKind {
        match self {
            Self::Api(error) => error.kind,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::NotStarted(_) => {
                ErrorKind::Unavailable
            }
            Self::Answer(_) | Self::Output(_) => ErrorKind::Internal,
            Self::File { .. } | Self::Wrong(_) => ErrorKind::Invalid,
        }
    }

    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::Wrong(message.into())
    }
}

impl From<ApiError> for CommandError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<io::Error> for CommandError {
    /// Every plain I/O error in this crate is one of writing the answer.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    fn shown(error: &CommandError, format: Format) -> String {
        let (mut output, page) = captured::output(Look::Plain, format);
        output.error(error);
        page.text()
    }

    #[test]
    fn errors_as_people_and_programs_see_them() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error =
            CommandError::Unreachable { socket: "/data/pelago.sock".into(), source: refused };
        insta::assert_snapshot!(shown(&error, Format::Text), @"error: the control process cannot be reached at /data/pelago.sock: connection refused");
        insta::assert_snapshot!(shown(&error, Format::Json), @r#"{"kind":"unavailable","message":"the control process cannot be reached at /data/pelago.sock: connection refused"}"#);
        let error = CommandError::Api(ApiError::no_application("blog"));
        insta::assert_snapshot!(shown(&error, Format::Text), @"error: there is no application `blog`; `pelago ps --all` lists what there is");
        insta::assert_snapshot!(shown(&error, Format::Json), @r#"{"kind":"not_found","message":"there is no application `blog`; `pelago ps --all` lists what there is"}"#);
    }
}
