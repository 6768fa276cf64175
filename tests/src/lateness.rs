//! When this machine, or this process, stood still, and for how long. What masters are asked then comes too
//! late for their votes, and what is read then has waited.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// How often a thread of its own looks at the clock.
const TICK: Duration = Duration::from_millis(20);
/// For so long it is known how late a look was.
const KEPT: Duration = Duration::from_secs(60);

struct Looks {
    last: Instant,
    /// How late a look was, and when.
    late: Vec<(Instant, Duration)>,
}

static LOOKS: LazyLock<Mutex<Looks>> = LazyLock::new(|| {
    thread::spawn(|| {
        loop {
            drop(look());
            thread::sleep(TICK);
        }
    });
    Mutex::new(Looks { last: Instant::now(), late: Vec::new() })
});

/// Now. Of what was before the first call nothing is known.
pub fn begin() -> Instant {
    drop(look());
    Instant::now()
}

/// For how long this process stood still since then, all in all.
pub fn since(then: Instant) -> Duration {
    look().since(then).sum()
}

/// The longest of those times. What has to be over a while before a deadline is asked for only where that while
/// was not slept through.
pub fn longest_since(then: Instant) -> Duration {
    look().since(then).max().unwrap_or_default()
}

impl Looks {
    fn since(&self, then: Instant) -> impl Iterator<Item = Duration> {
        self.late.iter().filter(move |(at, _)| *at >= then).map(|(_, late)| *late)
    }
}

fn look() -> MutexGuard<'static, Looks> {
    let mut looks = LOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let late = (now - looks.last).saturating_sub(2 * TICK);
    looks.last = now;
    looks.late.retain(|(at, _)| now - *at < KEPT);
    if !late.is_zero() {
        looks.late.push((now, late));
    }
    looks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_late_is_known_for_a_while() {
        let began = begin();
        let looks = LOOKS.lock().unwrap();
        // Nobody can look meanwhile.
        thread::sleep(Duration::from_millis(300));
        drop(looks);
        assert!(since(began) >= Duration::from_millis(200), "{:?}", since(began));
        assert!(
            longest_since(began) >= Duration::from_millis(200)
                && longest_since(began) <= since(began)
        );
        let later = Instant::now() + KEPT;
        assert_eq!((since(later), longest_since(later)), Default::default());
    }
}
