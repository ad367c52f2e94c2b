//! Ports for servers that are started a moment later.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that Linux gives away by itself, to any connection: one of these would be taken now
/// and then before the server binds it.
const RANGE: Range<u16> = 10_000..32_000;

/// Number of ports that this process has given away.
static GIVEN: AtomicU16 = AtomicU16::new(0);

/// Returns free ports of 127.0.0.1; no two calls of a process give the same one.
///
/// # Errors
/// When every port is taken.
pub fn free_ports<const COUNT: usize>() -> io::Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    for port in &mut ports {
        *port = free_port()?;
    }
    Ok(ports)
}

fn free_port() -> io::Result<u16> {
    // Processes that run at the same time begin far from each other.
    let first = u16::try_from(std::process::id() * 97 % u32::from(RANGE.end - RANGE.start)).unwrap_or(0);
    for _ in RANGE {
        let offset =
            (u32::from(first) + u32::from(GIVEN.fetch_add(1, Ordering::Relaxed))) % u32::from(RANGE.end - RANGE.start);
        let port = RANGE.start + u16::try_from(offset).unwrap_or(0);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_different() {
        let [one, two, three] = free_ports().unwrap();
        assert!(one != two && two != three && one != three);
        let held = TcpListener::bind(("127.0.0.1", one)).unwrap();
        let more = free_ports::<100>().unwrap();
        assert!(more.iter().all(|port| RANGE.contains(port) && *port != held.local_addr().unwrap().port()));
    }
}
