//! The small process beside a worker.

use rustix::process::Pid;

/// The process that watches over this one.
pub fn watchdog_of(pid: i32) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let all_threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.filter_map(Result::ok);
    let children = all_threads.fold(children, |known, thread| {
        known + " " + &std::fs::read_to_string(thread.path().join("children")).unwrap_or_default()
    });
    let is_watchdog = |child: &i32| {
        std::fs::read_to_string(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.contains("watchdog"))
    };
    children.split_whitespace().filter_map(|child| child.parse().ok()).find(is_watchdog).and_then(Pid::from_raw)
}
