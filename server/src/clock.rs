//! The one place that reads this machine's clocks.

use holdfast_engine::{Instant, Now};
use rustix::time::{ClockId, clock_gettime};
use std::time::SystemTime;

/// Both clocks, read together: CLOCK_BOOTTIME, which counts suspend, and the wall clock.
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let nanos = boot.tv_sec as u64 * 1_000_000_000 + boot.tv_nsec as u64;
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let wall_micros = wall.as_micros() as u64;
    Now { boot: Instant::from_nanos(nanos), wall_micros }
}
