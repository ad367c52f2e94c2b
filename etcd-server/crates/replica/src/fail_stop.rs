//! Panics: a failed assertion means that the state in memory may be wrong, so it ends the member
//! as a fault does.

use crate::OpenError;
use std::any::Any;
use std::sync::Arc;
use std::thread::JoinHandle;
use types::Fault;

/// Called when a member cannot continue; must end the process.
pub(crate) type OnFault = Arc<dyn Fn(Fault) + Send + Sync>;

/// Reports every panic of this process to `on_fault`, on the thread that panics and before anything
/// is unwound.
///
/// Without it a panic of a tokio task ends that task alone, although the task may have left a state
/// in doubt that it shares with the member, such as the deadlines of leases. A panic of any
/// goroutine ends etcd, too.
pub fn report_panics(on_fault: Arc<dyn Fn(Fault) + Send + Sync>) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let text = panic_text(panic.payload());
        let place = panic.location().map_or_else(String::new, |place| format!(" ({place})"));
        on_fault(Fault::store(format_args!("run the {name} thread"), format_args!("{text}{place}")));
    }));
}

/// Starts a thread whose fault, or panic, ends the member.
pub(crate) fn spawn(
    name: &'static str,
    on_fault: &OnFault,
    run: impl FnOnce() -> Result<(), Fault> + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let on_fault = Arc::clone(on_fault);
    let guarded = move || {
        let fault = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault,
            Err(panic) => Fault::store(format_args!("run the {name} thread"), panic_text(&*panic)),
        };
        on_fault(fault);
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(guarded).map_err(OpenError::Thread)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panicked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::process::Command;

    /// Set in the process that is to end.
    const IN_CHILD: &str = "REPLICA_PANICS_IN_A_TASK";
    const EXIT_STATUS: i32 = 70;

    fn apply(index: u64, applied: u64) {
        assert!(index == applied + 1, "entry {index} is applied behind entry {applied}");
    }

    #[test]
    fn broken_assertion_of_a_thread_is_a_fault() {
        let faults: Arc<Mutex<Vec<String>>> = Arc::default();
        let reported = Arc::clone(&faults);
        let on_fault: OnFault = Arc::new(move |fault| reported.lock().push(fault.to_string()));
        let thread = spawn("apply", &on_fault, || {
            apply(7, 5);
            Ok(())
        });
        thread.unwrap().join().unwrap();
        assert_eq!(*faults.lock(), ["run the apply thread: entry 7 is applied behind entry 5"]);
    }

    #[test]
    fn broken_assertion_of_a_task_ends_the_process() {
        if std::env::var_os(IN_CHILD).is_some() {
            report_panics(Arc::new(|fault| {
                eprintln!("{fault}");
                std::process::exit(EXIT_STATUS)
            }));
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            drop(runtime.block_on(runtime.spawn(async { apply(7, 5) })));
            return;
        }
        let name = "fail_stop::tests::broken_assertion_of_a_task_ends_the_process";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(IN_CHILD, "1")
            .output()
            .unwrap();
        let reason = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.code(), Some(EXIT_STATUS), "{reason}");
        assert!(reason.contains("entry 7 is applied behind entry 5 (") && reason.contains("fail_stop.rs"), "{reason}");
    }
}
