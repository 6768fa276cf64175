//! The one place that reads this machine's clocks.

use holdfast_engine::{Instant, Now};
use rustix::time::{ClockId, clock_gettime};

/// Both clocks, read together: CLOCK_BOOTTIME, which counts suspend, and the wall clock.
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let wall = clock_gettime(ClockId::Realtime);
    let nanos = boot.tv_sec as u64 * 1_000_000_000 + boot.tv_nsec as u64;
    let wall_micros = wall.tv_sec as u64 * 1_000_000 + wall.tv_nsec as u64 / 1_000;
    Now { boot: Instant::from_nanos(nanos), wall_micros }
}
