//! Ports that nobody uses.

use std::fs;
use std::io;
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

/// Whether somebody listens on `port`, so that no other server could.
pub fn is_taken(port: u16) -> bool {
    !is_free(port) && !lingers(port)
}

/// Whether `port` cannot be listened on although nobody does: connections of a server that has ended are
/// remembered for a minute (`TIME_WAIT`), and keep the port unless that server and the next one say
/// otherwise (`SO_REUSEADDR`).
pub fn lingers(port: u16) -> bool {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let is_in_use = bound.is_err_and(|it| it.kind() == io::ErrorKind::AddrInUse);
    is_in_use && !has_listener(port)
}

/// Whether some server listens on `port`, whatever its address. What cannot be looked at counts as one.
fn has_listener(port: u16) -> bool {
    let listens = |path: &str| match fs::read_to_string(path) {
        Ok(table) => table.lines().any(|it| is_listener(it, port)),
        // A kernel without IPv6 has no table of it.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    listens("/proc/net/tcp") || listens("/proc/net/tcp6")
}

/// Whether a line of the kernel's table is of a server that listens on `port`: `0: 0100007F:1F90 00000000:0000 0A ..`
/// (proc(5)).
fn is_listener(line: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace().skip(1);
    let local = words.next().and_then(|it| it.rsplit_once(':'));
    let own = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    own == Some(port) && words.nth(1) == Some(LISTEN)
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
    fn a_line_of_the_table_says_who_listens() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1";
        assert!(is_listener(line, 8080) && !is_listener(line, 8081));
        let closed =
            "   1: 0100007F:1F90 0100007F:A1B2 06 00000000:00000000 03:00001748 00000000 0 0 0";
        assert!(!is_listener(closed, 8080) && !is_listener("", 8080));
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when";
        assert!(!is_listener(header, 8080));
    }

    #[test]
    fn what_somebody_listens_on_does_not_linger() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(!is_free(port) && has_listener(port) && !lingers(port));
    }

    #[test]
    fn folders_begin_at_ports_of_their_own() {
        let starts = ["/a", "/b", "/c"].map(|it| start(Path::new(it)));
        assert!(starts.iter().all(|it| PORTS.contains(it)));
        assert!(starts.iter().any(|it| *it != starts[0]));
        assert_eq!(start(Path::new("/a")), starts[0]);
    }
}
