//! The clocks of one process, as functions of the true time: they drift, and wall clocks step.

/// Nanoseconds of true time since the simulation began.
pub(crate) type Nanos = u64;

/// The wall clock shows this at the beginning, in microseconds since 1970.
const EPOCH: i64 = 1_800_000_000_000_000;
/// And the boot clock this, so that nothing is as old as the process.
const BOOTED: i64 = 1_000_000_000_000;

/// A clock steps by so much at least, in microseconds: smaller steps of a master are outside the assumptions
/// of docs/protocol.md, as nobody can tell them from a slow message.
pub(crate) const LEAST_STEP: i64 = 1_200_000;

/// One process's clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Faster than true time by so many millionths.
    rate_ppm: i64,
    /// The wall clock is ahead by so much.
    ahead_micros: i64,
    /// When it is right.
    right_micros: i64,
}

impl Clock {
    /// Faster than true time by `rate_ppm`; the wall clock is ahead by `ahead_micros`.
    pub(crate) fn new(rate_ppm: i64, ahead_micros: i64) -> Self {
        Self { rate_ppm, ahead_micros, right_micros: ahead_micros }
    }

    /// What the clock that never steps shows, in nanoseconds.
    pub(crate) fn boot(&self, now: Nanos) -> u64 {
        (BOOTED + self.passed(now)) as u64
    }

    /// What the wall clock shows, in microseconds.
    pub(crate) fn wall_micros(&self, now: Nanos) -> u64 {
        (EPOCH + self.passed(now) / 1_000 + self.ahead_micros) as u64
    }

    /// The first moment at which [`boot`](Self::boot) shows `boot`.
    pub(crate) fn when(&self, boot: u64) -> Nanos {
        let passed = i128::from(boot as i64 - BOOTED).max(0);
        let mut at = (passed * 1_000_000 / i128::from(1_000_000 + self.rate_ppm)) as u64;
        while self.boot(at) < boot {
            at += 1;
        }
        while at > 0 && self.boot(at - 1) >= boot {
            at -= 1;
        }
        at
    }

    /// The wall clock is set, to be off by so much, unless that is too little a step.
    /// Whether it was.
    pub(crate) fn set(&mut self, off_micros: i64) -> bool {
        let ahead = self.right_micros + off_micros;
        let steps = (ahead - self.ahead_micros).abs() >= LEAST_STEP;
        if steps {
            self.ahead_micros = ahead;
        }
        steps
    }

    /// It is set right; whether it was wrong.
    pub(crate) fn set_right(&mut self) -> bool {
        std::mem::replace(&mut self.ahead_micros, self.right_micros) != self.right_micros
    }

    fn passed(&self, now: Nanos) -> i64 {
        let now = now as i64;
        now + (i128::from(now) * i128::from(self.rate_ppm) / 1_000_000) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_is_the_inverse_of_boot() {
        for rate in [-5_000, -3, 0, 1, 4_999] {
            let clock = Clock::new(rate, 0);
            for now in [0, 1, 999, 1_000_000_007, 63_000_000_000_123] {
                let boot = clock.boot(now);
                let when = clock.when(boot);
                assert!(when <= now && clock.boot(when) >= boot, "{rate} {now}");
                assert!(when == 0 || clock.boot(when - 1) < boot, "{rate} {now}");
            }
        }
    }
}
