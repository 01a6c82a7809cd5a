//! `pelago emulate`: a synthetic service, as its environment describes it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use cli::Context;
use emulator::{Emulated, Limits};
use host::Clock;
use model::ServiceName;
use model::name::url_variable;
use model::workload::Workload;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(context: Context) -> ExitCode {
    match emulated(&context.environment) {
        Ok(emulated) => serve(emulated).await,
        Err(reason) => crate::fail(&Refused(reason)),
    }
}

/// Why a synthetic service could not run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

async fn serve(emulated: Emulated) -> ExitCode {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return crate::fail(&error),
    };
    let clock = Clock::start();
    let shutdown = async move {
        let _signal: Option<()> = terminate.recv().await;
    };
    match emulator::serve(emulated, Arc::new(move || clock.now()), shutdown).await {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => crate::fail(&error),
    }
}

fn emulated(environment: &BTreeMap<String, String>) -> Result<Emulated, String> {
    let variable = |name: &str| {
        environment.get(name).ok_or_else(|| format!("{name} is not set; `pelago up` sets it"))
    };
    let workload: Workload = serde_json::from_str(variable("PELAGO_BEHAVIOUR")?)
        .map_err(|error| format!("PELAGO_BEHAVIOUR is not a behaviour: {error}"))?;
    let port: u16 =
        variable("PORT")?.parse().map_err(|_| "PORT is not a port number".to_owned())?;
    let name: ServiceName = variable("PELAGO_SERVICE")?
        .parse()
        .map_err(|error: model::name::NameError| error.to_string())?;
    let calls = workload.steps.iter().flat_map(|it| &it.parallel);
    let caches = calls.clone().filter_map(|it| it.cache.as_ref());
    let callees = calls.map(|it| &it.service).chain(caches.map(|it| &it.service));
    let callees = callees
        .map(|service| {
            let url = variable(&url_variable(service.as_str()))?;
            Ok((service.clone(), url.clone()))
        })
        .collect::<Result<BTreeMap<_, _>, String>>()?;
    Ok(Emulated {
        instance: environment.get("PELAGO_INSTANCE").cloned().unwrap_or_else(|| name.to_string()),
        name,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        workload,
        callees,
        seed: host::entropy::seed().map_err(|error| error.to_string())?,
        limits: Limits::default(),
    })
}
