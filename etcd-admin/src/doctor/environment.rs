//! The environment of a member on its host: clock, ports, names, unit.

use super::finding::Finding;
use super::systemd::Properties;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::process::Command;

const UNIT: &str = "etcd-server.service";

/// Checks that the clock is synchronised.
pub(super) fn clock() -> Finding {
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    let said =
        asked.ok().filter(|out| out.status.success()).map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let marked = std::path::Path::new("/run/systemd/timesync/synchronized").exists();
    match said.as_deref() {
        _ if marked => Finding::good("clock", "", "synchronized"),
        Some("yes") => Finding::good("clock", "", "synchronized"),
        Some("no") => Finding::warning(
            "clock",
            "",
            "nothing synchronizes it",
            "run chrony or systemd-timesyncd: certificates, leases and tokens depend on the time",
        ),
        Some(_) | None => Finding::good("clock", "", "no time service reports whether it is synchronized"),
    }
}

/// Returns `true` if an address can be listened on. `held` is when the member itself runs and has
/// it.
pub(super) fn port(what: &str, address: SocketAddr, held: bool) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::good("port", address, format!("free for {what}")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && held => {
            Finding::good("port", address, format!("in use for {what}, and the member runs"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let remedy =
                format!("stop what listens there (ss -ltnp 'sport = :{}'), or choose another port", address.port());
            Finding::bad("port", address, format!("{what}: in use by another process"), remedy)
        }
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Finding::bad(
            "port",
            address,
            format!("{what}: this host does not have this address"),
            "correct `host`, or set `listen` in cluster.yaml",
        ),
        Err(error) => Finding::bad(
            "port",
            address,
            format!("{what}: {error}"),
            "check the address and the permission to use such a port",
        ),
    }
}

/// Checks that a host's name resolves here.
pub(super) fn name(member: &str, host: &str, port: u16) -> Finding {
    if host.parse::<IpAddr>().is_ok() {
        return Finding::good("name", member, format!("{host} is an address"));
    }
    match (host, port).to_socket_addrs() {
        Ok(addresses) => {
            let addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
            Finding::good("name", member, format!("{host} is {}", addresses.join(", ")))
        }
        Err(error) => {
            Finding::bad("name", member, format!("{host}: {error}"), "check its spelling, DNS and /etc/hosts")
        }
    }
}

/// Returns the last state of the unit in systemd. `None` where there is no systemd.
pub(super) fn unit() -> Option<Finding> {
    let unit = Properties::of(UNIT, "LoadState,ActiveState,Result,ExecMainStatus,NRestarts")?;
    if !unit.is_loaded() {
        return None;
    }
    let report = format!(
        "{}, last result {}, exit code {}, {} restarts",
        unit.get("ActiveState"),
        unit.get("Result"),
        unit.get("ExecMainStatus"),
        unit.get("NRestarts")
    );
    let remedy = match unit.get("Result") {
        "success" => return Some(Finding::good("unit", UNIT, report)),
        "watchdog" => "the watchdog stopped it after 30 s: check disk and memory (journalctl -u etcd-server)",
        "oom-kill" => "the host ran out of memory: add memory, or find the process that uses it",
        "start-limit-hit" => "it ended over and over: mend the cause, then systemctl reset-failed etcd-server",
        _ => "the last lines of journalctl -u etcd-server have the reason; etcd-admin explain lists exit statuses",
    };
    Some(Finding::bad("unit", UNIT, report, remedy))
}

/// Returns the user that systemd runs the daemon as. `None` where there is no such unit.
pub(super) fn user_of_unit() -> Option<String> {
    let unit = Properties::of(UNIT, "User")?;
    let user = unit.get("User");
    (!user.is_empty()).then(|| user.to_owned())
}
