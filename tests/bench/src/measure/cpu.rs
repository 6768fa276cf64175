//! The CPU time that processes have spent, to the nanosecond, as the scheduler counts it.
//!
//! Deliberately absent: what threads spent that have ended; those of what is measured here do not end.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processes with one task, such as the masters of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) pids: Vec<u32>,
}

impl Role {
    pub(crate) fn new(name: &str, pids: impl IntoIterator<Item = u32>) -> Role {
        Role { name: name.to_owned(), pids: pids.into_iter().collect() }
    }
}

/// What each role has spent so far.
#[derive(Debug)]
pub(crate) struct Cpu(BTreeMap<String, Duration>);

impl Cpu {
    pub(crate) fn read(roles: &[Role]) -> Result<Cpu> {
        let spent = roles.iter().map(|role| {
            let sum: Duration =
                role.pids.iter().map(|pid| spent(*pid)).sum::<Result<Duration>>()?;
            Ok((role.name.clone(), sum))
        });
        Ok(Cpu(spent.collect::<Result<_>>()?))
    }

    /// What each has spent since an earlier reading of the same roles.
    pub(crate) fn since(&self, before: &Cpu) -> BTreeMap<String, Duration> {
        let of = |name: &String| before.0.get(name).copied().unwrap_or_default();
        self.0.iter().map(|(name, at)| (name.clone(), at.saturating_sub(of(name)))).collect()
    }
}

/// The CPU time of all threads of a process.
fn spent(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("CPU of {pid}"))?;
    for task in tasks {
        match fs::read_to_string(task?.path().join("schedstat")) {
            Ok(text) => nanos += on_cpu_nanos(&text)?,
            // It has ended meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound) => {}
            Err(error) if error.raw_os_error() == Some(ESRCH) => {}
            Err(error) => return Err(error).context("schedstat of a thread"),
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// What a read of a file of a thread that has just ended gives.
const ESRCH: i32 = 3;

/// The first of its numbers: time on the CPU. The others are time in the queue, and how often.
fn on_cpu_nanos(schedstat: &str) -> Result<u64> {
    let first = schedstat.split_whitespace().next().context("an empty schedstat")?;
    Ok(first.parse()?)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn the_first_number_counts() {
        assert_eq!(on_cpu_nanos("685076 2119220 2\n").unwrap(), 685_076);
        assert!(on_cpu_nanos("").is_err());
    }

    #[test]
    fn what_this_process_computes_is_seen_and_what_sleeps_is_not() {
        let mut sleeper = process::Command::new("sleep").arg("60").spawn().unwrap();
        let roles = [Role::new("busy", [process::id()]), Role::new("idle", [sleeper.id()])];
        let before = Cpu::read(&roles).unwrap();
        let mut spent = BTreeMap::new();
        // Until it is seen; a reading that misses it never ends.
        while spent.get("busy").copied().unwrap_or_default() < Duration::from_millis(50) {
            std::hint::black_box((0..1_000_000_u64).fold(0, u64::wrapping_add));
            spent = Cpu::read(&roles).unwrap().since(&before);
        }
        assert!(spent["idle"] < spent["busy"], "{spent:?}");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(Cpu::read(&roles[1..]).is_err(), "nobody measures a process that is gone");
    }
}
