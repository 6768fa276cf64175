//! Memory: what a piece of code has allocated at its worst moment, and what this process has resident.

use crate::hunt::Verdict;
use std::panic::{self, AssertUnwindSafe};

/// What `work` returns, unless it ever had more than `most` bytes allocated.
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> Result<T, String> {
    let mut done = None;
    // Counting nests, and a panic that flew past it would leave it one level too deep.
    let info = allocation_counter::measure(|| {
        done = Some(panic::catch_unwind(AssertUnwindSafe(work)));
    });
    match done {
        _ if info.bytes_max > most as u64 => {
            Err(format!("{} bytes were allocated at once, {most} are allowed", info.bytes_max))
        }
        Some(Ok(done)) => Ok(done),
        Some(Err(panic)) => panic::resume_unwind(panic),
        None => Err("nothing was done".to_owned()),
    }
}

/// What this process has resident, in bytes, now and at its worst moment.
pub fn resident() -> Result<Resident, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1_024)
    };
    match (field("VmRSS:"), field("VmHWM:")) {
        (Some(now), Some(most)) => Ok(Resident { now, most }),
        _ => Err("/proc/self/status says nothing of memory".to_owned()),
    }
}

/// See [`resident`].
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    /// At this moment.
    pub now: u64,
    /// At its worst.
    pub most: u64,
}

/// Watches what is resident over many cases.
#[derive(Debug)]
pub struct Growth {
    allowed: u64,
    start: u64,
}

impl Growth {
    /// From here on so many bytes more are allowed, however many cases there are.
    pub fn of_at_most(allowed: u64) -> Result<Self, String> {
        Ok(Self { allowed, start: resident()?.now })
    }

    /// Is it still within that?
    pub fn check(&self) -> Verdict {
        let now = resident()?.now;
        if now > self.start + self.allowed {
            return Err(format!("{now} bytes are resident, it began with {}", self.start));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_counts_at_its_worst_moment() {
        let work = || drop(std::hint::black_box(vec![1_u8; 100_000]));
        assert!(within(99_999, work).is_err());
        assert_eq!(within(101_000, work), Ok(()));
    }

    #[test]
    fn growth_is_noticed() {
        let growth = Growth::of_at_most(16 << 20).unwrap();
        assert_eq!(growth.check(), Ok(()));
        let ballast = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(growth.check().is_err());
        drop(ballast);
    }
}
