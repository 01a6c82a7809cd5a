//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;

/// Where ports for instances are taken from: above the registered ports people know by heart, below the
/// range from which Linux takes ports for outgoing connections (32768 to 60999), so that no such
/// connection can take an instance's port while it restarts.
pub const PORTS: Range<u16> = 20_000..28_000;

/// No port is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no port from {} to {} is free; stop what uses them", PORTS.start, PORTS.end - 1)]
pub struct NoPort;

/// Where the search for the first port of a data folder begins. Two control processes on one machine do
/// not know of each other's ports until somebody listens there, so each folder begins elsewhere.
pub fn start(folder: &Path) -> u16 {
    let hash = blake3::hash(folder.as_os_str().as_encoded_bytes());
    let [low, high, ..] = *hash.as_bytes();
    PORTS.start + u16::from_le_bytes([low, high]) % (PORTS.end - PORTS.start)
}

/// A port on loopback that is neither in `taken` nor in use, the first from `start` on.
pub fn find(start: u16, taken: &dyn Fn(u16) -> bool) -> Result<u16, NoPort> {
    let start = if PORTS.contains(&start) { start } else { PORTS.start };
    let mut candidates = (start..PORTS.end).chain(PORTS.start..start);
    candidates.find(|port| !taken(*port) && is_free(*port)).ok_or(NoPort)
}

/// Whether a server could listen on `port` of loopback now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_use_are_passed_over() {
        let first = find(20_500, &|_| false).unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(find(first, &|_| false).unwrap(), first);
        assert_eq!(find(0, &|_| true), Err(NoPort));
    }

    #[test]
    fn folders_begin_at_ports_of_their_own() {
        let starts = ["/a", "/b", "/c"].map(|it| start(Path::new(it)));
        assert!(starts.iter().all(|it| PORTS.contains(it)));
        assert!(starts.iter().any(|it| *it != starts[0]));
        assert_eq!(start(Path::new("/a")), starts[0]);
    }
}
