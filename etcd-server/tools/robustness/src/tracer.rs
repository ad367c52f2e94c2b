//! strace on a running member, to make its calls fail or take long; it goes on untouched when this
//! is dropped.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

#[derive(Debug)]
pub(crate) struct Tracer(Child);

impl Tracer {
    /// Attaches to a process, all threads of it; returns when calls are caught. Nothing where that
    /// may not be done.
    pub(crate) fn attach(pid: u32, calls: &str, injection: &str) -> io::Result<Option<Self>> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", "signal=none", "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:{injection}"), "-p", &pid.to_string()]);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = match strace.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            spawned => spawned?,
        };
        let Some(said) = child.stderr.take() else { return Ok(None) };
        let mut said = BufReader::new(said);
        let mut first = String::new();
        said.read_line(&mut first)?;
        // It continues to report every thread that begins, and must be read.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        let tracer = Self(child);
        Ok(first.contains("attached").then_some(tracer))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Fails only when it has ended, together with the member.
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT).ok();
        self.0.wait().ok();
    }
}
