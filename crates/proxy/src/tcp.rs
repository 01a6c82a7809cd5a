//! Raw TCP edges: a connection is balanced once, and its bytes are passed on.

use std::net::SocketAddr;
use std::rc::Rc;

use model::route::Priority;
use tokio::net::TcpStream;
use traffic::{Next, Outcome};

use crate::buffer::Buffer;
use crate::connected::Connected;
use crate::core::Core;
use crate::crossing::{Asked, Crossing, End, Facts};
use crate::deadline::Deadline;
use crate::edge::Edge;
use crate::stream::Stream;
use crate::trace::{Sent, TraceContext};
use crate::tunnel::{self, Terms};
use crate::upstream::Upstream;

/// A connection, which says nothing about itself.
struct Connection;

impl Asked for Connection {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn method(&self) -> &'static str {
        "TCP"
    }

    fn path(&self) -> &'static str {
        ""
    }
}

/// Serves a connection to an edge whose callee speaks something of its own.
pub(crate) async fn serve(core: Rc<Core>, client: TcpStream, edge: Rc<Edge>, peer: SocketAddr) {
    core.tick();
    // A connection says nothing of the trace it is part of, and would stand in one of its own: only failures do.
    let trace = TraceContext::of(&Sent::default(), &mut core.rng.borrow_mut());
    let facts = Facts {
        client: peer.ip(),
        // Until a connection is made, nothing was said to anybody.
        idempotent: true,
        priority: Priority::default(),
        time_left: None,
        deadline_by: traffic::DeadlineBy::default(),
        trace,
    };
    let Ok(mut crossing) = Crossing::begin(&core, &edge, &Connection, facts).await else { return };
    let connected = match connect(&core, &mut crossing).await {
        Ok(connected) => connected,
        Err(outcome) => {
            let error = Some("connect-failure");
            return crossing.finish(&Connection, &End::of(outcome, None, error));
        }
    };
    let mut connected = connected;
    let upstream = connected.upstream();
    let Some(instance) = connected.stream() else { return };
    crossing.tunnels();
    let said = [Buffer::default(), Buffer::default()];
    let terms = Terms { said, departure: upstream.left(), idle: crossing.tunnel_idle() };
    let bytes = tunnel::pass(&core, Stream::Plain(client), instance, terms).await;
    core.tick();
    [crossing.bytes_in, crossing.bytes_out] = bytes;
    crossing.finish(&Connection, &End::of(Outcome::Ok, None, None));
}

/// Connects to one instance, or to another.
async fn connect(core: &Core, crossing: &mut Crossing) -> Result<Connected, Outcome> {
    loop {
        let place = crossing.attempt().map_err(|_| Outcome::GatewayError)?;
        let upstream = crossing.upstream(place).map(Rc::clone).ok_or(Outcome::GatewayError)?;
        let mut deadline = Deadline::new(core.clock, crossing.deadline());
        let outcome = tokio::select! {
            connected = Upstream::connect(upstream.address) => match connected {
                Ok(stream) => {
                    core.tick();
                    let _goes_on: Next = crossing.answered(place, Outcome::Ok);
                    return Ok(Connected::opened(stream, upstream));
                }
                Err(_) => Outcome::ConnectFailure,
            },
            () = deadline.passed() => Outcome::Timeout,
        };
        core.tick();
        let next = crossing.answered(place, outcome);
        crossing.released(place);
        let Next::Retry { after, .. } = next else { return Err(outcome) };
        Deadline::new(core.clock, core.now().after(after)).passed().await;
    }
}
