//! What the whole machine does, so that a run says how much of it was others' work.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// What all cores together have been busy for since the machine started, to the tick of the kernel.
pub(crate) fn busy() -> Result<Duration> {
    busy_in(&fs::read_to_string("/proc/stat")?)
}

/// A hundredth of a second, whatever the kernel's own tick.
const TICK_MILLIS: u64 = 10;

fn busy_in(stat: &str) -> Result<Duration> {
    let line = stat.lines().next().context("an empty /proc/stat")?;
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; the guest's is in user.
    let &[user, nice, system, _, _, irq, softirq, steal, ..] = ticks.as_slice() else {
        anyhow::bail!("/proc/stat begins with {line:?}")
    };
    Ok(Duration::from_millis((user + nice + system + irq + softirq + steal) * TICK_MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_not_work() {
        let stat = "cpu  100 1 20 5000 60 3 4 5 7 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_in(stat).unwrap(), Duration::from_millis(1_330));
        assert!(busy_in("cpu 1 2").is_err());
        assert!(busy().is_ok());
    }
}
