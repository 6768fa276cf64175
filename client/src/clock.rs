//! The one place that reads a clock.
//!
//! A lease runs on while the machine sleeps, so its end is counted on a clock that does as well.
//! Deliberately absent: the wall clock. It steps, and no deadline may.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[cfg(any(target_os = "linux", target_os = "android"))]
const COUNTS_SUSPEND: ClockId = ClockId::Boottime;
/// Elsewhere the monotonic clock may stand still while the machine sleeps.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const COUNTS_SUSPEND: ClockId = ClockId::Monotonic;

/// A moment on the monotonic clock of this machine. On Linux it counts suspend (CLOCK_BOOTTIME).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        let now = clock_gettime(COUNTS_SUSPEND);
        Self(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
    }

    /// This long after the machine was booted: how a deadline is told to another process of this machine.
    pub fn at_since_boot(span: Duration) -> Self {
        Self(span)
    }

    /// How long after the machine was booted it is.
    pub fn since_boot(self) -> Duration {
        self.0
    }

    /// What is left until then; zero if it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_sub(Self::now().0)
    }

    /// Has it come?
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits until then, and looks at the clock every `look`: the runtime's timers stand still while the
    /// machine sleeps, so after a sleep it is late by one `look` at most.
    pub async fn reached(self, look: Duration) {
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return;
            }
            tokio::time::sleep(remaining.min(look)).await;
        }
    }

    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    pub(crate) fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}
