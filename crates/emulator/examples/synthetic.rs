//! One synthetic service, to measure: `synthetic PORT [JSON workload] [CALLEE=URL ..]`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program of its own, with its own clock"
)]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use emulator::{Clock, Emulated, Limits, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("a port is missing")?.parse()?;
    let workload = match arguments.next() {
        Some(json) => serde_json::from_str(&json)?,
        None => model::workload::Workload::default(),
    };
    let mut callees = std::collections::BTreeMap::new();
    for argument in arguments {
        let (name, url) = argument.split_once('=').ok_or("write CALLEE=URL")?;
        callees.insert(name.parse()?, url.to_owned());
    }
    let origin = Instant::now();
    let clock: Clock = Arc::new(move || model::Instant::ZERO.after(origin.elapsed()));
    let emulated = Emulated {
        name: "synthetic".parse()?,
        instance: format!("synthetic.{port}"),
        listen: ([127, 0, 0, 1], port).into(),
        workload,
        callees,
        seed: u64::from(port),
        limits: Limits::default(),
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let shutdown = async {
        terminate.recv().await;
    };
    let served = serve(emulated, clock, shutdown).await?;
    println!("answered {}, cut off {}", served.answered, served.cut_off);
    Ok(())
}
