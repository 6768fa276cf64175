//! Says the same thing only so often, and how often it was not said.

use holdfast_engine::Instant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A log line that may come thousands of times a second.
#[derive(Debug)]
pub struct Throttle {
    period: Duration,
    /// In microseconds; zero: at once.
    next: AtomicU64,
    unsaid: AtomicU64,
}

impl Throttle {
    /// Once per `period`.
    pub const fn new(period: Duration) -> Self {
        Self { period, next: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    /// How often it was not said since the last time, if it may be said now.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let next = self.next.load(Ordering::Relaxed);
        let later = (now + self.period).as_micros();
        let due = next == 0 || now.as_micros() >= next;
        let won = due
            && self
                .next
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if won {
            return Some(self.unsaid.swap(0, Ordering::Relaxed));
        }
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_period() {
        let throttle = Throttle::new(Duration::from_secs(5));
        let at = |seconds| Instant::default() + Duration::from_secs(seconds);

        assert_eq!(throttle.admit(at(1)), Some(0));
        assert_eq!(throttle.admit(at(2)), None);
        assert_eq!(throttle.admit(at(5)), None);
        assert_eq!(throttle.admit(at(6)), Some(2));
    }
}
