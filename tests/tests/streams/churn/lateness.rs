//! How late this process is: what it reads may have waited for it for so long.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often it looks at the clock.
const TICK: Duration = Duration::from_millis(20);
/// What came while the process stood still has been read so long after.
const READ: Duration = Duration::from_secs(5);

/// When this process did not get to look at the clock.
#[derive(Debug)]
pub(super) struct Lateness(Mutex<Looks>);

#[derive(Debug)]
struct Looks {
    last: Instant,
    /// How late a look was, and when.
    late: Vec<(Instant, Duration)>,
}

impl Lateness {
    pub(super) fn new() -> Lateness {
        Lateness(Mutex::new(Looks { last: Instant::now(), late: Vec::new() }))
    }

    /// Looks at the clock for ever.
    pub(super) async fn measure(&self) {
        loop {
            self.look();
            sleep(TICK).await;
        }
    }

    /// How much later than it came anything may be read now.
    pub(super) fn now(&self) -> Duration {
        self.look();
        self.looks().late.iter().map(|(_, late)| *late).sum()
    }

    fn look(&self) {
        let (mut looks, now) = (self.looks(), Instant::now());
        let late = (now - looks.last).saturating_sub(2 * TICK);
        looks.last = now;
        looks.late.retain(|(at, _)| now - *at < READ);
        if !late.is_zero() {
            looks.late.push((now, late));
        }
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::test]
async fn a_process_that_stood_still_knows_for_how_long() {
    let lateness = std::sync::Arc::new(Lateness::new());
    let measured = std::sync::Arc::clone(&lateness);
    let measuring = tokio::spawn(async move { measured.measure().await });
    tokio::task::yield_now().await;
    // All of it: there is one thread.
    std::thread::sleep(Duration::from_millis(500));
    assert!(lateness.now() >= Duration::from_millis(400), "{:?}", lateness.now());
    measuring.abort();
}
