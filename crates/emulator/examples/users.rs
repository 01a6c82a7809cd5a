//! Synthetic users, to measure: `users URL PROFILE [CONNECTIONS]`, evenly spaced.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program of its own, with its own clock"
)]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use behaviour::{Arrivals, Spacing};
use emulator::{Clock, Load, Target, load};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("a URL is missing")?;
    let profile = arguments.next().ok_or("a profile is missing")?.parse()?;
    let connections_max = arguments.next().map_or(Ok(64), |it| it.parse())?;
    let origin = Instant::now();
    let clock: Clock = Arc::new(move || model::Instant::ZERO.after(origin.elapsed()));
    let users = Load {
        targets: vec![Target::get(url)],
        arrivals: Arrivals::new(profile, Spacing::Paced),
        connections_max,
        timeout: Duration::from_secs(5),
        warmup: Duration::from_secs(1),
        seed: 1,
    };
    let interrupt = async {
        drop(tokio::signal::ctrl_c().await);
    };
    let report = load(users, clock, |_| {}, interrupt).await?;
    println!("{report}");
    Ok(())
}
