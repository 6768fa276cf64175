//! What this process uses of its machine, by the names that every Prometheus client gives to it. Read from
//! /proc; where there is none, there are no such metrics.

use super::names;
use metrics::{Counter, Gauge, counter, gauge};
use std::fs;

/// In which the kernel tells CPU time to programs, on every architecture.
const TICKS_PER_SECOND: u64 = 100;
/// What it counts resident memory in, in `status`.
const KIB: f64 = 1024.0;

/// Looks at this process.
pub struct ProcessWatch {
    cpu: Counter,
    memory: Gauge,
    threads: Gauge,
    fds: Gauge,
}

impl ProcessWatch {
    /// On the recorder that is installed. `None` without a /proc.
    pub fn new() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
        let began = field(&stat, 22)? as f64 / TICKS_PER_SECOND as f64;
        gauge!(names::PROCESS_START).set(boot + began);
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        if let Some(most) = max_fds(&limits) {
            gauge!(names::PROCESS_MAX_FDS).set(most);
        }
        Some(Self {
            cpu: counter!(names::PROCESS_CPU),
            memory: gauge!(names::PROCESS_MEMORY),
            threads: gauge!(names::PROCESS_THREADS),
            fds: gauge!(names::PROCESS_FDS),
        })
    }

    /// How it is now. Meant to come every few seconds: open files are counted one by one.
    pub fn look(&self) {
        if let Ok(stat) = fs::read_to_string("/proc/self/stat")
            && let (Some(user), Some(system)) = (field(&stat, 14), field(&stat, 15))
        {
            self.cpu.absolute((user + system) / TICKS_PER_SECOND);
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let number = |key: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(key))?;
                line.split_whitespace().next()?.parse::<f64>().ok()
            };
            if let Some(resident) = number("VmRSS:") {
                self.memory.set(resident * KIB);
            }
            if let Some(threads) = number("Threads:") {
                self.threads.set(threads);
            }
        }
        if let Ok(fds) = fs::read_dir("/proc/self/fd") {
            self.fds.set(fds.count() as f64);
        }
    }
}

impl std::fmt::Debug for ProcessWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessWatch").finish_non_exhaustive()
    }
}

/// Number `place` of proc_pid_stat(5). The second, the program's name, may have spaces in it.
fn field(stat: &str, place: usize) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(place - 3)?.parse().ok()
}

fn max_fds(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn a_name_with_spaces_and_brackets_is_no_field() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 12345 1 1";
        assert_eq!(
            (field(stat, 14), field(stat, 15), field(stat, 22)),
            (Some(250), Some(50), Some(12345))
        );
        assert_eq!(
            max_fds("Max open files            1024                 4096    files"),
            Some(1024.0)
        );
    }

    #[test]
    fn a_process_has_memory_threads_and_files() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || ProcessWatch::new().unwrap().look());
        let text = recorder.handle().render();
        for name in [
            names::PROCESS_MEMORY,
            names::PROCESS_THREADS,
            names::PROCESS_FDS,
            names::PROCESS_START,
            names::PROCESS_MAX_FDS,
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            assert!(value.is_some_and(|value| value.parse::<f64>().unwrap() >= 1.0), "{text}");
        }
        assert!(text.contains(names::PROCESS_CPU), "{text}");
    }
}
