//! Measurements of this process, read from /proc on request of the page.
//!
//! Unreadable values keep their last one: a scrape never fails because of a measurement.

use std::fs;

use prometheus::{Counter, Gauge, IntCounter, IntGauge};

use super::builder::Builder;

/// Ticks per second of the processor times in /proc: the kernel shows them in this unit on x86-64
/// and ARM alike, independent of its own tick.
const TICKS_PER_SECOND: f64 = 100.0;

/// One reading of /proc.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reading {
    cpu_seconds: Option<f64>,
    /// Since the system was booted.
    started_after_boot: Option<f64>,
    booted_at: Option<f64>,
    virtual_bytes: Option<i64>,
    resident_bytes: Option<i64>,
    virtual_bytes_max: Option<f64>,
    open_files: Option<i64>,
    open_files_max: Option<f64>,
    network_received: Option<u64>,
    network_sent: Option<u64>,
}

impl Reading {
    fn take() -> Self {
        let stat = file("/proc/self/stat");
        let status = file("/proc/self/status");
        let limits = file("/proc/self/limits");
        let traffic = file("/proc/self/net/netstat");
        Self {
            cpu_seconds: stat_field(&stat, 14)
                .zip(stat_field(&stat, 15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            started_after_boot: stat_field(&stat, 22).map(|ticks| ticks / TICKS_PER_SECOND),
            booted_at: file("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()),
            virtual_bytes: status_bytes(&status, "VmSize:"),
            resident_bytes: status_bytes(&status, "VmRSS:"),
            virtual_bytes_max: soft_limit(&limits, "Max address space"),
            // The listing itself has one descriptor open, which is not counted.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .and_then(|files| i64::try_from(files.count()).ok())
                .map(|count| count - 1),
            open_files_max: soft_limit(&limits, "Max open files"),
            network_received: ip_counter(&traffic, "InOctets"),
            network_sent: ip_counter(&traffic, "OutOctets"),
        }
    }
}

fn file(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Field of /proc/self/stat by its number in proc(5). The second one, the name, may hold spaces and
/// parentheses.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn status_bytes(status: &str, name: &str) -> Option<i64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse::<i64>().ok()?.checked_mul(1024)
}

/// No limit is shown as the largest number of 64 bits, as etcd shows it.
#[expect(clippy::cast_precision_loss, reason = "the format carries floats")]
fn soft_limit(limits: &str, name: &str) -> Option<f64> {
    let soft = limits.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX as f64) } else { soft.parse().ok() }
}

/// A counter of the group `IpExt`, which names its columns in one line and gives their values in
/// the next.
fn ip_counter(traffic: &str, name: &str) -> Option<u64> {
    let mut lines = traffic.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let place = lines.next()?.split_ascii_whitespace().position(|column| column == name)?;
    lines.next()?.split_ascii_whitespace().nth(place)?.parse().ok()
}

/// The families `process_*` and `os_fd_*`.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    cpu_seconds: Counter,
    start_time: Gauge,
    virtual_bytes: IntGauge,
    resident_bytes: IntGauge,
    virtual_bytes_max: Gauge,
    open_files: [IntGauge; 2],
    open_files_max: [Gauge; 2],
    network_received: IntCounter,
    network_sent: IntCounter,
}

impl ProcessMetrics {
    pub(super) fn new(builder: &Builder) -> Self {
        Self {
            cpu_seconds: builder.float_counter("process_cpu_seconds_total"),
            start_time: builder.float_gauge("process_start_time_seconds"),
            virtual_bytes: builder.gauge("process_virtual_memory_bytes"),
            resident_bytes: builder.gauge("process_resident_memory_bytes"),
            virtual_bytes_max: builder.float_gauge("process_virtual_memory_max_bytes"),
            open_files: [builder.gauge("process_open_fds"), builder.gauge("os_fd_used")],
            open_files_max: [builder.float_gauge("process_max_fds"), builder.float_gauge("os_fd_limit")],
            network_received: builder.counter("process_network_receive_bytes_total"),
            network_sent: builder.counter("process_network_transmit_bytes_total"),
        }
    }

    /// Reads /proc. Only one thread at a time calls this, so that no counter is moved forward
    /// twice.
    pub(super) fn refresh(&self) {
        let now = Reading::take();
        if let Some(seconds) = now.cpu_seconds {
            self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
        if let Some((boot, started)) = now.booted_at.zip(now.started_after_boot) {
            self.start_time.set(boot + started);
        }
        for (gauge, value) in [(&self.virtual_bytes, now.virtual_bytes), (&self.resident_bytes, now.resident_bytes)] {
            value.into_iter().for_each(|value| gauge.set(value));
        }
        now.virtual_bytes_max.into_iter().for_each(|value| self.virtual_bytes_max.set(value));
        now.open_files.into_iter().for_each(|value| self.open_files.iter().for_each(|gauge| gauge.set(value)));
        now.open_files_max.into_iter().for_each(|value| self.open_files_max.iter().for_each(|gauge| gauge.set(value)));
        for (counter, value) in [(&self.network_received, now.network_received), (&self.network_sent, now.network_sent)]
        {
            value.into_iter().for_each(|value| counter.inc_by(value.saturating_sub(counter.get())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194304 99 0 0 0 250 150 0 0 20 0 9 0 12345 1000 50";
        assert_eq!(
            (stat_field(stat, 14), stat_field(stat, 15), stat_field(stat, 22)),
            (Some(250.0), Some(150.0), Some(12345.0))
        );
        assert_eq!(stat_field("", 14), None);
    }

    #[test]
    fn limits_sizes_and_traffic_are_read() {
        let limits = "Max open files            1024                 524288               files\nMax address space         unlimited            unlimited            bytes\n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024.0));
        assert_eq!(soft_limit(limits, "Max address space"), Some(18_446_744_073_709_551_615.0));
        assert_eq!(status_bytes("VmPeak:\t 9 kB\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2_097_152));
        let traffic = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 70 80\n";
        assert_eq!((ip_counter(traffic, "InOctets"), ip_counter(traffic, "OutOctets")), (Some(70), Some(80)));
    }

    #[test]
    fn this_process_has_every_figure() {
        let now = Reading::take();
        assert!(now.cpu_seconds.is_some() && now.started_after_boot.is_some() && now.booted_at.is_some());
        assert!(now.virtual_bytes > now.resident_bytes && now.resident_bytes > Some(0));
        assert!(now.open_files >= Some(3) && now.open_files_max.is_some() && now.virtual_bytes_max.is_some());
    }
}
