//! etcdctl's commands that stay on a stream, against our server and, where `ETCD_BIN_DIR` names
//! one, a real etcd.
//!
//! A real etcd sends the headers of a stream with its first message. A client that awaits them
//! before it has sent its first request waits for ever, so every command here has to print
//! something before the test goes on.

use crate::servers::{one, our_daemon, real_binaries, runtime};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use testbed::Server;

/// For a state that a busy machine reaches late.
const LIMIT: Duration = Duration::from_secs(60);

/// A command that runs, and the lines that it prints.
struct Running {
    args: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    fn start(endpoint: &str, args: &[&str]) -> Self {
        // A test that runs in the background of a shell inherits that SIGINT is ignored, and so
        // would the command.
        let mut command = Command::new("env");
        command.args(["-i", "--default-signal=INT,TERM", "PATH=/usr/bin:/bin", env!("CARGO_BIN_EXE_etcd-admin")]);
        command.args(["etcdctl", "--endpoints", endpoint]).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { args: args.join(" "), input: child.stdin.take(), child, lines }
    }

    /// Waits for these lines, in this order.
    #[track_caller]
    fn prints(&self, expected: &[&str]) {
        for line in expected {
            match self.lines.recv_timeout(LIMIT) {
                Ok(got) => assert!(got.contains(line), "{}: {got:?} in place of {line:?}", self.args),
                Err(error) => panic!("{}: {line:?} is not printed: {error}", self.args),
            }
        }
    }

    /// Waits for a line and returns it.
    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{} prints nothing: {error}", self.args))
    }

    fn type_in(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn ends(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "{} does not end", self.args);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the command handles a signal in its own way.
    #[track_caller]
    fn handles(&self, signal: Signal) {
        let begun = Instant::now();
        let status = format!("/proc/{}/status", self.child.id());
        loop {
            let status = std::fs::read_to_string(&status).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            if u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (signal as i32 - 1)) != 0 {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "{} does not handle {signal}", self.args);
        }
    }

    #[track_caller]
    fn ends_on(&mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
        self.ends()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a command to its end.
#[track_caller]
fn run(endpoint: &str, args: &[&str]) -> (ExitStatus, Vec<String>) {
    let mut running = Running::start(endpoint, args);
    running.input = None;
    let status = running.ends();
    (status, running.lines.iter().collect())
}

/// Runs `check` against our server and against a real etcd, if there is one.
fn on_each_server(check: impl Fn(&str)) {
    let runtime = runtime();
    let mut daemons = vec![our_daemon()];
    match real_binaries() {
        Some(binaries) => daemons.push(binaries.join("etcd")),
        None => eprintln!("no real etcd: ETCD_BIN_DIR is not set"),
    }
    for daemon in daemons {
        let server: Server = runtime.block_on(one(&daemon));
        check(&server.endpoint());
    }
}

#[test]
fn watch_prints_events_and_ends_on_signals() {
    on_each_server(|endpoint| {
        run(endpoint, &["put", "k", "v"]);
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut watch = Running::start(endpoint, &["watch", "--rev", "1", "k"]);
            watch.prints(&["PUT", "k", "v"]);
            assert_eq!(watch.ends_on(signal).signal(), Some(signal as i32));
        }
        // Without a revision, events count from the moment at which the watcher is there: a
        // notification of progress shows it.
        let mut watch = Running::start(endpoint, &["watch", "-i"]);
        watch.type_in("watch --rev 1 k\n");
        watch.prints(&["PUT", "k", "v"]);
        watch.type_in("progress\n");
        watch.prints(&["progress notify"]);
        watch.type_in("watch --prefix other\nprogress\n");
        watch.prints(&["progress notify"]);
        run(endpoint, &["put", "other/1", "w"]);
        while watch.line() != "other/1" {}
        watch.prints(&["w"]);
        assert_eq!(watch.ends_on(Signal::SIGINT).signal(), Some(Signal::SIGINT as i32));
    });
}

#[test]
fn watch_runs_its_command_for_each_event() {
    on_each_server(|endpoint| {
        run(endpoint, &["put", "it's", "a\tb"]);
        let watch = Running::start(
            endpoint,
            &[
                "watch",
                "--rev=1",
                "it's",
                "--",
                "sh",
                "-c",
                "printf '%s %s\\n' \"$ETCD_WATCH_KEY\" \"$ETCD_WATCH_VALUE\"",
            ],
        );
        watch.prints(&["PUT", "it's", "a\tb", "\"it's\" \"a\\tb\""]);
    });
}

#[test]
fn elect_listens_and_ends_on_signals() {
    on_each_server(|endpoint| {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut early = Running::start(endpoint, &["elect", "-l", "e"]);
            let mut leader = Running::start(endpoint, &["elect", "e", "proposal"]);
            leader.prints(&["e/", "proposal"]);
            // The one was there before the leader, the other comes after it.
            early.prints(&["e/", "proposal"]);
            let mut late = Running::start(endpoint, &["elect", "--listen", "e"]);
            late.prints(&["e/", "proposal"]);
            assert_eq!(late.ends_on(signal).code(), Some(0));
            assert_eq!(leader.ends_on(signal).code(), Some(0));
            assert_eq!(early.ends_on(signal).code(), Some(0));
            // Resigned: nothing to observe, which no signal may be held up by.
            let mut alone = Running::start(endpoint, &["elect", "-l", "e"]);
            alone.handles(signal);
            assert_eq!(alone.ends_on(signal).code(), Some(0));
        }
    });
}

#[test]
fn lock_is_held_until_a_signal() {
    on_each_server(|endpoint| {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut holder = Running::start(endpoint, &["lock", "l"]);
            let key = holder.line();
            assert!(key.starts_with("l/"), "{key}");
            let mut waiter = Running::start(endpoint, &["lock", "l"]);
            // Two keys below the name: the second one waits.
            while run(endpoint, &["get", "--prefix", "l/", "--keys-only"])
                .1
                .iter()
                .filter(|line| !line.is_empty())
                .count()
                < 2
            {}
            assert_eq!(waiter.ends_on(signal).code(), Some(1));
            assert_eq!(holder.ends_on(signal).code(), Some(0));
            assert_eq!(run(endpoint, &["get", "--prefix", "l/", "--keys-only"]).1, Vec::<String>::new());
        }
        assert_eq!(
            run(endpoint, &["lock", "l", "--", "sh", "-c", "test -n \"$ETCD_LOCK_KEY\" && exit 7"]).0.code(),
            Some(7)
        );
    });
}

#[test]
fn lease_is_kept_alive_until_it_is_revoked() {
    on_each_server(|endpoint| {
        let grant = || run(endpoint, &["lease", "grant", "3"]).1[0].split_whitespace().nth(1).unwrap().to_owned();
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let id = grant();
            let mut kept = Running::start(endpoint, &["lease", "keep-alive", &id]);
            kept.prints(&["keepalived with TTL(3)", "keepalived with TTL(3)"]);
            assert_eq!(kept.ends_on(signal).signal(), Some(signal as i32));
        }
        let id = grant();
        let mut kept = Running::start(endpoint, &["lease", "keep-alive", &id]);
        kept.prints(&["keepalived with TTL(3)"]);
        run(endpoint, &["lease", "revoke", &id]);
        while !kept.line().contains("expired or revoked.") {}
        assert_eq!(kept.ends().code(), Some(0));
    });
}

#[test]
fn mirror_copies_and_ends_on_signals() {
    on_each_server(|endpoint| {
        let runtime = runtime();
        let destination = runtime.block_on(one(&our_daemon()));
        run(endpoint, &["put", "old", "1"]);
        for (signal, key) in [(Signal::SIGINT, "new1"), (Signal::SIGTERM, "new2")] {
            let mut mirror = Running::start(endpoint, &["make-mirror", &destination.endpoint()]);
            while run(&destination.endpoint(), &["get", "old"]).1.is_empty() {}
            run(endpoint, &["put", key, "2"]);
            while run(&destination.endpoint(), &["get", key]).1.is_empty() {}
            assert_eq!(mirror.ends_on(signal).signal(), Some(signal as i32));
        }
    });
}

/// A restart breaks every stream; what holds a lease or watches goes on.
#[test]
fn streams_survive_a_restart_of_the_server() {
    let runtime = runtime();
    let mut server = runtime.block_on(one(&our_daemon()));
    let endpoint = server.endpoint();
    run(&endpoint, &["put", "k", "1"]);
    let watch = Running::start(&endpoint, &["watch", "--rev=1", "k"]);
    watch.prints(&["PUT", "k", "1"]);
    let mut holder = Running::start(&endpoint, &["lock", "--ttl=60", "l"]);
    holder.prints(&["l/"]);
    let mut waiter = Running::start(&endpoint, &["lock", "--ttl=60", "l"]);
    while run(&endpoint, &["get", "--prefix", "l/", "--keys-only"]).1.iter().filter(|line| !line.is_empty()).count() < 2
    {
    }
    let mut listener = Running::start(&endpoint, &["elect", "-l", "e"]);
    let mut leader = Running::start(&endpoint, &["elect", "e", "one"]);
    leader.prints(&["e/", "one"]);
    listener.prints(&["e/", "one"]);
    let granted = run(&endpoint, &["lease", "grant", "60"]).1[0].split_whitespace().nth(1).unwrap().to_owned();
    let mut kept = Running::start(&endpoint, &["lease", "keep-alive", &granted]);
    kept.prints(&["keepalived"]);
    runtime.block_on(server.restart()).unwrap();
    run(&endpoint, &["put", "k", "2"]);
    watch.prints(&["PUT", "k", "2"]);
    for still in [&mut holder, &mut listener, &mut leader, &mut kept] {
        assert!(still.child.try_wait().unwrap().is_none(), "{} has ended", still.args);
    }
    assert_eq!(holder.ends_on(Signal::SIGTERM).code(), Some(0));
    waiter.prints(&["l/"]);
    assert_eq!(waiter.ends_on(Signal::SIGTERM).code(), Some(0));
    assert_eq!(run(&endpoint, &["get", "--prefix", "l/"]).1, Vec::<String>::new());
    assert_eq!(leader.ends_on(Signal::SIGTERM).code(), Some(0));
    assert_eq!(listener.ends_on(Signal::SIGTERM).code(), Some(0));
}
