//! `pelago proxy`: the data plane.

use std::io;
use std::process::ExitCode;

use ::proxy::Sockets;
use cli::arguments::{Proxy, SocketsFrom};
use cli::visible::Log;
use host::Clock;

/// Why the data plane could not run.
#[derive(Debug, thiserror::Error)]
enum ProxyError {
    #[error("the terminal cannot be left")]
    Terminal(#[source] io::Error),
    #[error(transparent)]
    Entropy(#[from] host::entropy::EntropyError),
    #[error(transparent)]
    Run(#[from] ::proxy::RunError),
}

pub(crate) fn run(asked: Proxy) -> ExitCode {
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    let subscriber = subscriber.with_writer(|| Log::of_text(io::stderr()));
    // A log that cannot be written must not end what is logged.
    subscriber.with_max_level(tracing::Level::INFO).log_internal_errors(false).init();
    match serve(asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", model::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn serve(asked: Proxy) -> Result<(), ProxyError> {
    // It goes on when the control process that started it, and whatever that runs in, ends.
    host::process::leave_terminal().map_err(ProxyError::Terminal)?;
    ::proxy::run(&::proxy::Options {
        socket: asked.socket,
        gateway: asked.gateway.address(),
        gateway_tls: asked.gateway_tls.address(),
        tls_folder: asked.tls_folder,
        front: ::proxy::GatewayOptions {
            access_log: asked
                .access_log
                .path()
                .map(|file| ::proxy::AccessLog { file, sample: asked.access_log_sample }),
            decision_log: asked.decision_log,
            proxy_protocol: asked.is_behind_balancer,
            trusted_proxies: asked.trusted_proxies,
            says: ::proxy::Says { forwarded: asked.says.forwarded, via: asked.says.via },
            head_size: asked.head_size,
            head_time: asked.head_timeout,
        },
        workers: usize::from(asked.workers),
        sockets: match asked.sockets {
            SocketsFrom::New => Sockets::New,
            SocketsFrom::Inherited => Sockets::Inherited,
            SocketsFrom::TakenOver => Sockets::TakenOver,
        },
        seed: host::entropy::seed()?,
        clock: Clock::start(),
    })?;
    Ok(())
}
