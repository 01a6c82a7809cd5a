//! What one data plane process allows itself and others. Each with its reason.

use std::time::Duration;

/// Clients' connections a worker holds, at most; more wait in the kernel's queue. At 2 KiB each they are 20 MiB.
const CLIENTS_MAX: u64 = 10_000;
/// Descriptors that a process keeps for what is not a client's or an instance's: its listeners, its logs, and whoever feeds it.
const DESCRIPTORS_KEPT: u64 = 64;

/// Clients' connections a worker holds where the process may have so many descriptors open: each has one to an instance, too.
pub(crate) fn clients_max(open_files: Option<u64>, workers: usize) -> u32 {
    let shared = open_files.map_or(u64::MAX, |it| it.saturating_sub(DESCRIPTORS_KEPT));
    let each = shared / 2 / (workers.max(1) as u64);
    u32::try_from(each.clamp(1, CLIENTS_MAX)).unwrap_or(u32::MAX)
}
/// Time after an answer in which a connection is ready for the next request, and larger for it.
pub(crate) const AWAKE_TIME: Duration = Duration::from_secs(1);
/// Time a connection without a request still has when the process ends: a request may be on its way.
pub(crate) const FINISH_TIME: Duration = Duration::from_secs(2);
/// Connections that are so: 4 KiB each.
pub(crate) const AWAKE_MAX: u32 = 256;
/// Time a connection may be open without a request, as nginx's `keepalive_timeout`.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(75);
/// Time in which some byte of a body must move, as nginx's `send_timeout`, halved.
pub(crate) const STALL_TIME: Duration = Duration::from_secs(30);
/// Time in which an instance must say something in an answer whose end is not told: an event stream, a call of gRPC, a long
/// poll. As long as a tunnel, which is what they are used for.
pub(crate) const STREAM_IDLE_TIME: Duration = Duration::from_hours(1);
/// Bytes a client outside must send of a body each second, on average, as Kestrel's `MinRequestBodyDataRate`: slower than
/// any line, and fast enough that whoever pretends holds nothing for long.
pub(crate) const UPLOAD_BYTES_PER_SECOND: u64 = 240;
/// Time it has before that, as there.
pub(crate) const UPLOAD_GRACE: Duration = Duration::from_secs(5);
/// Time in which some byte must move through a tunnel, or a raw TCP edge.
pub(crate) const TUNNEL_TIME: Duration = Duration::from_hours(1);
/// Silence after which the kernel asks whether the other side of a tunnel is still there.
pub(crate) const KEEP_ALIVE_IDLE: Duration = Duration::from_mins(1);
/// Time between two such questions that are not answered.
pub(crate) const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How many of them: two minutes after its last word, whoever is gone is known to be.
pub(crate) const KEEP_ALIVE_TIMES: u32 = 4;
/// Silence after which a raw connection in which the instance spoke last is taken to be idle: databases answer, and
/// programs that keep connections open for later say nothing then.
pub(crate) const QUIET_TIME: Duration = Duration::from_secs(1);
/// Connections to one instance that are kept open without a request.
pub(crate) const POOLED_MAX: usize = 256;
/// Time a connection to an instance is kept without a request.
pub(crate) const POOLED_TIME: Duration = Duration::from_mins(1);
/// Time after which such a connection is not used for what must not be sent twice: many servers close
/// theirs after a few seconds (gunicorn 2, Node and uvicorn 5), and it would get lost on the way.
pub(crate) const POOLED_FRESH: Duration = Duration::from_secs(1);
/// Bytes of a body from outside, at most, where the route says nothing else. nginx has 1 MiB, and everybody
/// raises it.
pub(crate) const BODY_BYTES_MAX: u64 = 64 << 20;
/// Time in which the rest of a request is still read whose answer came before its end, as nginx's `lingering_time`. Most
/// clients send all before they read, and an answer is lost to the reset of a connection that is closed meanwhile. What
/// counts is time and not bytes: an upload may be large, and dropping it costs little.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(30);
/// Time for which a client that has ended its half of a connection is taken to wait for the answer, since something of it came last.
/// Whoever has gone away for good looks the same until something is written, and holds its instance meanwhile.
pub(crate) const HALF_CLOSED_TIME: Duration = Duration::from_secs(5);
/// Time without a byte after which no more is expected, as nginx's `lingering_timeout`.
pub(crate) const LINGER_IDLE: Duration = Duration::from_secs(5);
/// Spans a worker keeps until they are fetched, once a second.
pub(crate) const SPANS_MAX: usize = 1_000;
/// Those of them that are of requests refused before they cross an edge: whoever tries something out sees why, and a flood
/// leaves room for the others.
pub(crate) const REFUSED_SPANS_MAX: usize = 100;
/// Traces that begin here within a second and are all sampled: whoever tries something out sees every request.
pub(crate) const TRACES_SAMPLED: u32 = 100;
/// One of so many traces beyond them is sampled.
pub(crate) const SAMPLE_ONE_IN: u64 = 100;
/// Time a request may take before its span is kept for being slow.
pub(crate) const SLOW: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_descriptors_for_instances_and_for_control() {
        assert_eq!(clients_max(Some(1_024), 1), 480);
        assert_eq!(clients_max(Some(1_024), 4), 120);
        assert_eq!(clients_max(Some(64), 1), 1);
        assert_eq!(clients_max(Some(1 << 20), 2), 10_000);
        assert_eq!(clients_max(None, 1), 10_000);
    }
}
