//! Bytes in both directions, as they come: upgraded connections, and raw TCP edges.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use traffic::Outcome;

use crate::buffer::{Buffer, Buffers};
use crate::core::Core;
use crate::crossing::{self, Asked, Crossing};
use crate::deadline::Deadline;
use crate::h1::exchange::Tunnelled;
use crate::limits::{QUIET_TIME, TUNNEL_TIME};
use crate::stream::{self, Stream, poll_fill};

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    buffer: Buffer,
    written: usize,
    bytes: u64,
    is_ended: bool,
    is_shut: bool,
}

/// A tunnel is asked nothing.
struct Nothing;

impl Asked for Nothing {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn method(&self) -> &'static str {
        "CONNECT"
    }

    fn path(&self) -> &'static str {
        ""
    }
}

/// What a connection begins with, and when it ends though neither end wants it to.
pub(crate) struct Terms<D> {
    /// What the client and the instance have said already.
    pub(crate) said: [Buffer; 2],
    /// When the instance departs. Once it does, a connection that is idle is closed: one that somebody keeps for later would
    /// hold up its end, for which a database waits.
    pub(crate) departure: D,
    /// Silence after which it is closed.
    pub(crate) idle: Duration,
}

/// Passes bytes on until both ends have said all, or one is gone. `said` is what the client and the
/// instance have said already.
pub(crate) async fn run(
    core: Rc<Core>,
    client: Stream,
    mut tunnelled: Tunnelled,
    said: [Buffer; 2],
) {
    let mut crossing = tunnelled.crossing.take();
    let status = tunnelled.status;
    let Some(stream) = tunnelled.connected.stream() else { return };
    crossing.as_mut().map(Crossing::tunnels);
    let idle = crossing.as_ref().map_or(TUNNEL_TIME, Crossing::tunnel_idle);
    // Whoever upgraded a connection means to keep it, also when its instance departs.
    let terms = Terms { said, departure: pending(), idle };
    let bytes = pass(&core, client, stream, terms).await;
    core.tick();
    if let Some(mut crossing) = crossing {
        crossing.bytes_in += bytes[0];
        crossing.bytes_out += bytes[1];
        finish(crossing, status);
    }
}

fn finish(crossing: Crossing, status: u16) {
    let end = crossing::End::of(Outcome::Ok, Some(status), None);
    crossing.finish(&Nothing, &end);
}

/// Passes bytes on. Returns how many went each way.
pub(crate) async fn pass(
    core: &Core,
    mut client: Stream,
    instance: &mut TcpStream,
    Terms { said, departure, idle }: Terms<impl Future<Output = ()>>,
) -> [u64; 2] {
    client.keep_alive();
    stream::keep_alive(instance);
    let mut deadline = Deadline::new(core.clock, core.clock.now().after(idle));
    let mut quiet = Deadline::new(core.clock, core.clock.now().after(QUIET_TIME));
    let mut departure = pin!(departure);
    let (mut departs, mut is_asked) = (false, false);
    let [up, down] = said;
    let mut up = Flow { buffer: up, ..Flow::default() };
    let mut down = Flow { buffer: down, ..Flow::default() };
    let lost = poll_fn(|context| {
        let before = [up.bytes, down.bytes];
        let mut ends = Both { client: &mut client, instance, buffers: &core.buffers };
        let upward = up.poll(context, &mut ends, Way::Up);
        let downward = down.poll(context, &mut ends, Way::Down);
        if let (Poll::Ready(Err(lost)), _) | (_, Poll::Ready(Err(lost))) = (upward, downward) {
            return Poll::Ready(Some(lost));
        }
        if upward.is_ready() && downward.is_ready() {
            return Poll::Ready(None);
        }
        let moved = [before[0] < up.bytes, before[1] < down.bytes];
        if moved != [false, false] {
            // What the client said last has no answer yet.
            is_asked = moved[0];
            deadline.set(core.clock.now().after(idle));
            quiet.set(core.clock.now().after(QUIET_TIME));
        }
        departs = departs || departure.as_mut().poll(context).is_ready();
        if departs && !is_asked && quiet.poll(context).is_ready() {
            return Poll::Ready(None);
        }
        deadline.poll(context).map(|()| None)
    })
    .await;
    // Whoever is told of an end takes what came before it for all there is: a loss is told as one.
    match lost {
        Some(End::Client) => stream::reset(instance),
        Some(End::Instance) => client.reset(),
        None => {}
    }
    core.buffers.give(up.buffer);
    core.buffers.give(down.buffer);
    [up.bytes, down.bytes]
}

/// The two ends of a tunnel.
struct Both<'a> {
    client: &'a mut Stream,
    instance: &'a mut TcpStream,
    buffers: &'a Buffers,
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

/// One end of a tunnel.
#[derive(Clone, Copy)]
enum End {
    Client,
    Instance,
}

impl Way {
    const fn from(self) -> End {
        match self {
            Self::Up => End::Client,
            Self::Down => End::Instance,
        }
    }

    const fn to(self) -> End {
        match self {
            Self::Up => End::Instance,
            Self::Down => End::Client,
        }
    }
}

impl Flow {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        ends: &mut Both<'_>,
        way: Way,
    ) -> Poll<Result<(), End>> {
        let Both { client, instance, buffers } = ends;
        loop {
            while let Some(left) =
                self.buffer.filled().get(self.written..).filter(|it| !it.is_empty())
            {
                let written = match way {
                    Way::Up => Pin::new(&mut **instance).poll_write(context, left),
                    Way::Down => Pin::new(&mut **client).poll_write(context, left),
                };
                match written {
                    Poll::Ready(Ok(count)) if 0 < count => {
                        self.written += count;
                        self.bytes += count as u64;
                    }
                    Poll::Ready(_) => return Poll::Ready(Err(way.to())),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let flushed = match way {
                Way::Up => Poll::Ready(Ok(())),
                Way::Down => Pin::new(&mut **client).poll_flush(context),
            };
            if matches!(flushed, Poll::Ready(Err(_))) {
                return Poll::Ready(Err(way.to()));
            }
            self.buffer.truncate(0);
            self.written = 0;
            if self.is_ended {
                return self.poll_shut(context, ends, way);
            }
            let readable = match way {
                Way::Up => client.poll_readable(context),
                Way::Down => instance.poll_read_ready(context).map(drop),
            };
            if readable.is_pending() {
                buffers.give(std::mem::take(&mut self.buffer));
                return Poll::Pending;
            }
            if self.buffer.capacity() == 0 {
                self.buffer = buffers.small();
            }
            let read = match way {
                Way::Up => client.poll_fill(context, &mut self.buffer),
                Way::Down => poll_fill(instance, context, &mut self.buffer),
            };
            match read {
                Poll::Ready(Ok(0)) => self.is_ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(way.from())),
                Poll::Pending => {
                    buffers.give(std::mem::take(&mut self.buffer));
                    return Poll::Pending;
                }
            }
        }
    }

    /// Passes the end on: the other direction may go on.
    fn poll_shut(
        &mut self,
        context: &mut Context<'_>,
        ends: &mut Both<'_>,
        way: Way,
    ) -> Poll<Result<(), End>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        let shut = match way {
            Way::Up => Pin::new(&mut *ends.instance).poll_shutdown(context),
            Way::Down => Pin::new(&mut *ends.client).poll_shutdown(context),
        };
        shut.map(|shut| {
            self.is_shut = true;
            shut.map_err(|_| way.to())
        })
    }
}
