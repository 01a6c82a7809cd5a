//! `pelago load`: open-loop load and a report.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use behaviour::{Arrivals, Profile, Spacing};
use cli::Context;
use cli::arguments::{Format, Load};
use emulator::{Report, Second, Target};
use host::Clock;
use model::Rng;
use model::units::parse_duration;

/// Why no load could be sent.
#[derive(Debug, thiserror::Error)]
enum LoadFailure {
    #[error("{0}")]
    Wrong(String),
    #[error(transparent)]
    Load(#[from] emulator::LoadError),
    #[error("no seed could be drawn")]
    Seed(#[from] host::entropy::EntropyError),
    #[error("the report could not be written")]
    Output(#[from] io::Error),
}

pub(crate) async fn run(context: Context, asked: Load) -> ExitCode {
    match send(&context, &asked).await {
        // Whoever scripts this wants to know whether anything was answered at all.
        Ok(report) if report.answered == 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => crate::fail(&error),
    }
}

async fn send(context: &Context, asked: &Load) -> Result<Report, LoadFailure> {
    let seed = match asked.seed {
        Some(seed) => seed,
        None => host::entropy::seed()?,
    };
    let load = emulator::Load {
        targets: vec![target(asked)?],
        arrivals: Arrivals::new(profile(asked)?, spacing(asked, seed)),
        connections_max: asked.connections,
        timeout: duration("--timeout", &asked.timeout)?,
        warmup: duration("--warmup", &asked.warmup)?,
        seed,
    };
    let json = context.format == Format::Json;
    let progress = move |second: &Second| {
        if !json {
            // Progress that nobody reads is no failure.
            drop(writeln!(io::stderr(), "{}", progress_line(second)));
        }
    };
    let clock = Clock::start();
    let interrupted = async {
        // Where signals cannot be received, the load simply runs to its end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let report = emulator::load(load, Arc::new(move || clock.now()), progress, interrupted).await?;
    let mut out = io::stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::other)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{report}")?;
        writeln!(out, "seed {seed}")?;
    }
    Ok(report)
}

fn progress_line(second: &Second) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let p99_ms = second.latency.p99_us as f64 / 1e3;
    format!(
        "{:>4}s  {} offered  {} answered  {} failed  {} in flight  p99 {p99_ms:.2}ms",
        second.number + 1,
        second.offered,
        second.answered,
        second.failed + second.server_errors,
        second.in_flight,
    )
}

fn profile(asked: &Load) -> Result<Profile, LoadFailure> {
    let profile = match &asked.profile {
        Some(text) => text.parse(),
        None => Profile::parse_rate(&asked.rate, duration("--duration", &asked.duration)?),
    };
    profile.map_err(|error| LoadFailure::Wrong(error.to_string()))
}

fn spacing(asked: &Load, seed: u64) -> Spacing {
    if asked.paced { Spacing::Paced } else { Spacing::Poisson(Rng::new(seed).child("arrivals")) }
}

fn target(asked: &Load) -> Result<Target, LoadFailure> {
    let headers = asked.header.iter().map(|it| {
        let (name, value) = it.split_once(':').ok_or_else(|| {
            LoadFailure::Wrong(format!("`{it}` is no header; write `name: value`"))
        })?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    let mut target = Target::get(asked.url.clone());
    target.headers = headers.collect::<Result<_, LoadFailure>>()?;
    asked.method.clone_into(&mut target.method);
    target.body = asked.data_text.clone().unwrap_or_default().into_bytes();
    Ok(target)
}

fn duration(name: &str, text: &str) -> Result<Duration, LoadFailure> {
    parse_duration(text).map_err(|error| LoadFailure::Wrong(format!("{name}: {error}")))
}
