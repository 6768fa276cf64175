//! Whether the machine stood still, as virtual ones do now and then. What has to be over a while before a deadline is
//! asked for only where that while was not slept through.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);

/// Looks from its beginning on.
#[derive(Debug)]
pub struct Stillness {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Seen {
    last: Instant,
    longest: Duration,
}

impl Stillness {
    /// Begins to look.
    pub fn begin() -> Stillness {
        let seen = Arc::new(Mutex::new(Seen { last: Instant::now(), longest: Duration::ZERO }));
        let theirs = Arc::downgrade(&seen);
        thread::spawn(move || {
            while let Some(seen) = theirs.upgrade() {
                drop(look(&seen));
                drop(seen);
                thread::sleep(LOOK);
            }
        });
        Stillness { seen }
    }

    /// The longest that nothing happened at a time, so far.
    pub fn longest(&self) -> Duration {
        look(&self.seen).longest
    }
}

/// Whoever looks first after a standstill has seen it.
fn look(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    seen.longest = seen.longest.max(now - seen.last);
    seen.last = now;
    seen
}
