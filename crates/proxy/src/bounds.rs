//! How large and how slow bodies may be: by the policy of their edge, else by what they are.
//!
//! A page whose length was told and that stops coming is broken; an event stream that is silent has nothing to say. A client
//! outside may be anybody; a service inside is one of ours. So the limits that hold where nobody wrote any differ.

use std::time::Duration;

use model::Instant;
use model::edge::Resilience;
use model::units::Bytes;

use crate::h1::request::Side;
use crate::limits::{
    BODY_BYTES_MAX, STALL_TIME, STREAM_IDLE_TIME, UPLOAD_BYTES_PER_SECOND, UPLOAD_GRACE,
};
use crate::met::Met;

/// What the head of an answer says of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// How far away it is.
    Told,
    /// Nothing: the answer goes on until it ends.
    Open,
}

/// How long an answer's body may stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// With the instance, which has nothing to say.
    pub(crate) instance: Duration,
    /// With the client, which takes nothing.
    pub(crate) client: Duration,
}

impl Patience {
    pub(crate) fn new(policy: &Resilience, extent: Extent) -> Self {
        let usual = match extent {
            Extent::Told => STALL_TIME,
            Extent::Open => STREAM_IDLE_TIME,
        };
        Self {
            instance: policy.idle_timeout.unwrap_or(usual),
            client: policy.idle_timeout.unwrap_or(STALL_TIME),
        }
    }
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message, which is on its way as soon as it is begun.
    Message,
    /// The client's half of a call of gRPC, which may go on for days and be silent for hours.
    Stream,
}

/// What a request's body is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadBounds {
    pub(crate) bytes_max: u64,
    /// Bytes that must come each second, on average; 0 asks for none.
    bytes_per_second: u64,
    /// Time in which something of it must come.
    stall: Duration,
}

impl UploadBounds {
    /// `route_max` is the route's own limit, which comes before that of its policy.
    pub(crate) fn new(
        policy: &Resilience,
        route_max: Option<Bytes>,
        (side, kind): (Side, Kind),
    ) -> Self {
        let (bytes_max, bytes_per_second) = match (side, kind) {
            (Side::Outside | Side::Proxied, Kind::Message) => {
                (BODY_BYTES_MAX, UPLOAD_BYTES_PER_SECOND)
            }
            (Side::Mesh, _) | (_, Kind::Stream) => (u64::MAX, 0),
        };
        let stall = match kind {
            Kind::Message => STALL_TIME,
            Kind::Stream => STREAM_IDLE_TIME,
        };
        Self {
            bytes_max: route_max.or(policy.max_body).map_or(bytes_max, |it| it.0),
            bytes_per_second: policy.min_upload_rate.map_or(bytes_per_second, |it| it.0),
            stall: policy.idle_timeout.unwrap_or(stall),
        }
    }

    /// When more must have come of a body.
    pub(crate) fn until(&self, upload: Uploaded) -> Instant {
        self.first_met(upload).0
    }

    /// The limit that a body meets that comes no faster.
    pub(crate) fn met(&self, upload: Uploaded) -> Met<'static> {
        self.first_met(upload).1
    }

    fn first_met(&self, upload: Uploaded) -> (Instant, Met<'static>) {
        let Uploaded { began, moved_at, bytes } = upload;
        let stalled = (moved_at.after(self.stall), Met::UploadSilence(self.stall));
        if self.bytes_per_second == 0 {
            return stalled;
        }
        let millis = bytes.saturating_mul(1_000) / self.bytes_per_second;
        let slow = began.after(UPLOAD_GRACE).after(Duration::from_millis(millis));
        if slow < stalled.0 { (slow, Met::UploadRate(self.bytes_per_second)) } else { stalled }
    }
}

/// How much of a request's body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uploaded {
    /// When its head had come.
    pub(crate) began: Instant,
    /// When some of it came last.
    pub(crate) moved_at: Instant,
    pub(crate) bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_may_be_silent_and_clients_must_read() {
        let usual = Resilience::default();
        let patience = |policy: &Resilience, extent| {
            let Patience { instance, client } = Patience::new(policy, extent);
            (instance.as_secs(), client.as_secs())
        };
        assert_eq!(patience(&usual, Extent::Told), (30, 30));
        assert_eq!(patience(&usual, Extent::Open), (3_600, 30));
        let idle_timeout = Some(Duration::from_mins(10));
        let longer = Resilience { idle_timeout, ..Resilience::default() };
        assert_eq!(patience(&longer, Extent::Told), (600, 600));
        assert_eq!(patience(&longer, Extent::Open), (600, 600));
    }

    #[test]
    fn who_is_inside_may_send_as_much_and_as_slowly_as_it_likes() {
        let usual = Resilience::default();
        let bounds = |side, kind| UploadBounds::new(&usual, None, (side, kind));
        assert_eq!(bounds(Side::Mesh, Kind::Message).bytes_max, u64::MAX);
        assert_eq!(bounds(Side::Outside, Kind::Stream).bytes_max, u64::MAX);
        assert_eq!(bounds(Side::Outside, Kind::Message).bytes_max, 64 << 20);
        let of_route = UploadBounds::new(&usual, Some(Bytes(7)), (Side::Outside, Kind::Stream));
        assert_eq!(of_route.bytes_max, 7);
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let until = |side, kind, bytes| {
            bounds(side, kind).until(Uploaded { began: at(1), moved_at: at(9), bytes })
        };
        assert_eq!(until(Side::Mesh, Kind::Message, 0), at(39));
        assert_eq!(until(Side::Outside, Kind::Stream, 0), at(3_609));
        // Five seconds, and one more for each 240 bytes.
        assert_eq!(until(Side::Outside, Kind::Message, 0), at(6));
        assert_eq!(until(Side::Outside, Kind::Message, 2_400), at(16));
        assert_eq!(until(Side::Outside, Kind::Message, 24_000), at(39));
    }
}
