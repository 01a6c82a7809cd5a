//! The arguments of `pelago import`. How large a spigo architecture becomes is asked here, since its files say it only for
//! the size in which spigo could run them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `pelago import`.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// File to read
    pub file: PathBuf,
    /// What kind of file it is [default: by its name and what stands in it]
    #[arg(long, value_name = "KIND")]
    pub kind: Option<KindName>,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// File to write the scenario to that a spigo architecture comes with
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Regions of a spigo architecture, at most 6 [default: what it says]
    #[arg(long, value_name = "NUMBER")]
    pub regions: Option<u32>,
    /// Instances of a spigo architecture, as a percentage of what it says: `1000%`
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = percent)]
    pub scale: u32,
}

/// A kind of file that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KindName {
    /// A Compose file
    Compose,
    /// A Procfile
    Procfile,
    /// A spigo architecture
    Spigo,
}

impl KindName {
    /// The kind that is meant.
    pub const fn meant(self) -> manifest::Kind {
        match self {
            Self::Compose => manifest::Kind::Compose,
            Self::Procfile => manifest::Kind::Procfile,
            Self::Spigo => manifest::Kind::Spigo,
        }
    }
}

/// A whole percentage that may be more than everything.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix('%').and_then(|it| it.trim_end().parse().ok());
    match number {
        Some(percent) if (1..=SCALE_PERCENT_MAX).contains(&percent) => Ok(percent),
        Some(_) => Err(format!("write from 1% to {SCALE_PERCENT_MAX}%")),
        None => Err(format!("`{text}` is not a whole percentage; write for example `1000%`")),
    }
}

/// Instances as a percentage of what is written, at most: a thousand times as many.
const SCALE_PERCENT_MAX: u32 = 100_000;
