//! An attempt over HTTP/2, as far as the head of its answer, and a look behind it.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};

use crate::answer::{Failure, Sent};
use crate::core::Core;
use crate::h2::call::Got;
use crate::h2::checks::{fits, settle_length};
use crate::h2::interim::Interim;
use crate::h2::uplink::Uplink;
use crate::h2::upload::Sending;
use crate::upstream::Upstream;

/// An answer over HTTP/2.
pub(crate) struct Answered {
    pub(crate) response: Response<RecvStream>,
    pub(crate) uplink: Uplink,
    pub(crate) next: Peeked,
}

/// What was read of an answer behind its head, to find out whether it is one.
#[derive(Debug, Default)]
pub(crate) enum Peeked {
    /// Nothing.
    #[default]
    Nothing,
    /// Its beginning.
    Data(Bytes),
    /// Its end: there is no body.
    End(Option<HeaderMap>),
}

/// Time in which an instance that has sent the head of a call's answer may say that the call failed, for it to be tried again:
/// many servers send an empty head, and the status in trailers of its own. A caller of gRPC can do nothing with a head alone.
const PEEK_TIME: Duration = Duration::from_millis(100);

/// Whether a call's answer is looked into before it is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peeks {
    Yes,
    No,
}

pub(super) async fn http2(
    core: Rc<Core>,
    upstream: Rc<Upstream>,
    request: Request<()>,
    (sending, peeks): (Sending, Peeks),
    interim: Rc<Interim>,
) -> Result<Got, (Failure, Sent)> {
    let placed = upstream.h2.place(upstream.address, &core).await;
    let (place, mut sender) = placed.map_err(|error| (Failure::Connect(error), Sent::No))?;
    let begun = sender.send_request(request, sending.is_end());
    let (mut answer, stream) = begun.map_err(|_| (Failure::Reset, Sent::No))?;
    let mut uplink = Uplink::new(stream, sending, &Rc::new(place));
    let answered = poll_fn(|context| {
        uplink.poll(context);
        while let Poll::Ready(Some(Ok(early))) = answer.poll_informational(context) {
            interim.http2(early);
        }
        Pin::new(&mut answer).poll(context)
    })
    .await;
    match answered {
        Ok(mut response) => {
            if !fits(response.headers(), 0, core.front.heads) {
                return Err((Failure::Garbage("its head is too large"), Sent::Perhaps));
            }
            if settle_length(response.headers_mut()).is_none() {
                return Err((Failure::Garbage("its content-length is wrong"), Sent::Perhaps));
            }
            // Where the client goes on, both sides may talk at any time.
            let next = if peeks == Peeks::Yes && uplink.is_done() {
                peek(&core, &mut response).await
            } else {
                Peeked::Nothing
            };
            Ok(Got::Http2(Box::new(Answered { response, uplink, next })))
        }
        // It says itself that it has not looked at the request (RFC 9113, section 8.7).
        Err(error) if error.reason() == Some(Reason::REFUSED_STREAM) => {
            Err((Failure::Reset, Sent::No))
        }
        // What the protocol's library takes for none is none.
        Err(error) if error.is_library() => {
            Err((Failure::Garbage("it breaks the rules of HTTP/2"), Sent::Perhaps))
        }
        Err(_) => Err((Failure::Reset, Sent::Perhaps)),
    }
}

/// Waits a moment for what comes behind the head of an answer that does not say yet what a call came to.
async fn peek(core: &Rc<Core>, response: &mut Response<RecvStream>) -> Peeked {
    let is_told = response.headers().contains_key("grpc-status");
    if is_told || response.body().is_end_stream() {
        return Peeked::Nothing;
    }
    let mut deadline = core.deadline(core.tick().after(PEEK_TIME));
    let mut is_at_end = false;
    poll_fn(|context| {
        let body = response.body_mut();
        if !is_at_end {
            match body.poll_data(context) {
                Poll::Ready(Some(Ok(data))) => {
                    // An error here is one of the stream's, which comes again.
                    drop(body.flow_control().release_capacity(data.len()));
                    return Poll::Ready(Peeked::Data(data));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Peeked::Nothing),
                Poll::Ready(None) => is_at_end = true,
                Poll::Pending => return deadline.poll(context).map(|()| Peeked::Nothing),
            }
        }
        match body.poll_trailers(context) {
            Poll::Ready(Ok(trailers)) => Poll::Ready(Peeked::End(trailers)),
            Poll::Ready(Err(_)) => Poll::Ready(Peeked::Nothing),
            Poll::Pending => deadline.poll(context).map(|()| Peeked::Nothing),
        }
    })
    .await
}
