//! HTTP faces of `api`: native now; the dialects people's clients speak later.
//!
//! The same routes are served on a Unix socket, where the file's permissions say who may ask, and on
//! loopback TCP, where a token does: any program and any web page on the machine can reach a port.
//!
//! It translates, and refuses to hold state or decide.

mod answer;
mod guard;
mod native;
mod stream;
mod wait;

use std::io;
use std::sync::Arc;

use api::Platform;
use axum::Router;
use axum::middleware;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

pub use guard::Token;

/// Where to listen.
#[derive(Debug)]
pub struct Faces {
    /// The socket in the data folder.
    pub unix: UnixListener,
    /// A port of loopback, and what must be shown there.
    pub tcp: Option<(TcpListener, Token)>,
}

/// Serves until `stop` becomes true. Answers that are being waited for are cut short then.
pub async fn serve<P: Platform>(
    platform: P,
    faces: Faces,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let routes = native::routes(platform, stop.clone());
    let unix = axum::serve(faces.unix, routes.clone());
    let unix = unix.with_graceful_shutdown(stopped(stop.clone()));
    match faces.tcp {
        Some((listener, token)) => {
            let guarded = guard(routes, token);
            let tcp = axum::serve(listener, guarded).with_graceful_shutdown(stopped(stop));
            tokio::try_join!(unix.into_future(), tcp.into_future()).map(drop)
        }
        None => unix.await,
    }
}

fn guard(routes: Router, token: Token) -> Router {
    routes.layer(middleware::from_fn_with_state(Arc::new(token), guard::check))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody can ask any more, which is as good.
    drop(stop.wait_for(|it| *it).await);
}
