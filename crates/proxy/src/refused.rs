//! A request that is answered here and crosses no edge: what is remembered of it.

use std::time::Duration;

use model::{Instant, Timestamp};
use telemetry::Span;
use telemetry::report::EdgeName;

use crate::answer::Answer;
use crate::core::Core;
use crate::crossing::Asked;
use crate::h2::grpc;
use crate::trace::{TraceContext, hex_text};

/// A request that is answered here and crosses no edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused<'a> {
    pub(crate) trace: TraceContext,
    /// The edge it was refused at, if it came that far.
    pub(crate) edge: Option<&'a EdgeName>,
    pub(crate) answer: &'a Answer,
    pub(crate) began: Instant,
}

impl Refused<'_> {
    /// Keeps its span.
    pub(crate) fn remember(&self, core: &Core, asked: &impl Asked) {
        core.spans.keep_refused(|| Span {
            edge: self.edge.cloned(),
            status: Some(self.answer.status),
            error: Some(self.answer.reason.to_owned()),
            fault: Some(self.answer.fault.word().to_owned()),
            limit: self.answer.limit.as_deref().cloned(),
            ..begun(core, &self.trace, asked, core.now().since(self.began))
        });
    }
}

/// The span of a request that ends now, with nothing of what became of it.
pub(crate) fn begun(
    core: &Core,
    trace: &TraceContext,
    asked: &impl Asked,
    duration: Duration,
) -> Span {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let now = core.clock.timestamp().as_millis();
    Span {
        trace: hex_text(trace.trace, 32),
        id: hex_text(u128::from(trace.span), 16),
        parent: trace.parent.map(|it| hex_text(u128::from(it), 16)),
        edge: None,
        start: Timestamp::from_millis(now.saturating_sub(millis)),
        duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        method: asked.method().to_owned(),
        path: asked.path().to_owned(),
        is_grpc: grpc::kind_of(asked).is_some(),
        status: None,
        release: None,
        instance: None,
        attempts: 0,
        error: None,
        fault: None,
        limit: None,
    }
}

/// What could not be read as a request says nothing.
pub(crate) struct Unread;

impl Asked for Unread {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn method(&self) -> &'static str {
        ""
    }

    fn path(&self) -> &'static str {
        ""
    }
}
