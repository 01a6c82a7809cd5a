//! HTTP faces of `api`, and of what `telemetry` keeps: native, and in the dialects people's clients speak.
//!
//! The same routes are served on a Unix socket, where the file's permissions say who may ask, and on
//! loopback TCP, where a token does: any program and any web page on the machine can reach a port.
//!
//! It translates, and refuses to hold state or decide.

mod answer;
mod body;
mod collector;
mod guard;
mod listen;
mod native;
mod otlp;
mod prometheus;
mod socket;
mod stream;
mod wait;
mod zipkin;

use std::io;
use std::sync::Arc;

use api::Platform;
use axum::Router;
use axum::middleware;
use host::Clock;
use telemetry::Stores;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use guard::Token;
pub use socket::Socket;

/// Where to listen.
#[derive(Debug)]
pub struct Faces {
    /// The socket in the data folder.
    pub unix: Socket,
    /// A port of loopback, and what must be shown there.
    pub tcp: Option<(TcpListener, Token)>,
    /// A port of loopback where instances send what they measure.
    pub collector: Option<TcpListener>,
    /// For how long this process has the socket.
    pub tenure: Tenure,
}

/// For how long a control process means to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// It was started on purpose.
    Lasting,
    /// A command started it for the want of one; it makes way for one that is started on purpose.
    StandIn,
}

/// What is kept of what is measured, and the clock by which.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The stores.
    pub stores: Arc<Stores>,
    /// The clock.
    pub clock: Clock,
}

/// Serves until `stop` becomes true. Answers that are being waited for are cut short then.
pub async fn serve<P: Platform>(
    platform: P,
    measured: Measured,
    faces: Faces,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let shared = prometheus::Shared::new(Arc::clone(&measured.stores), measured.clock);
    let dialects = prometheus::routes(shared).merge(zipkin::routes(measured.clone()));
    let routes = native::routes(platform, measured.clone(), faces.tenure, stop.clone())
        .merge(dialects.clone());
    let stores = Arc::clone(&measured.stores);
    let dialects = dialects.merge(otlp::routes(measured));
    let connections_max = listen::connections_max(host::limits::open_files_max());
    let unix = listen::serve(faces.unix, routes.clone(), connections_max, stop.clone());
    let tcp = async {
        let Some((listener, token)) = faces.tcp else { return Ok(()) };
        let guarded = guard(routes, token);
        listen::serve(listener, guarded, connections_max, stop.clone()).await
    };
    let collector = async {
        let Some(listener) = faces.collector else { return Ok(()) };
        let routes = collector::routes(dialects, stores);
        listen::serve(listener, routes, connections_max, stop.clone()).await
    };
    tokio::try_join!(unix, tcp, collector).map(drop)
}

fn guard(routes: Router, token: Token) -> Router {
    routes.layer(middleware::from_fn_with_state(Arc::new(token), guard::check))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can ask any more, which is as good.
    drop(stop.wait_for(|it| *it).await);
}
