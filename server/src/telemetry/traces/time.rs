//! When spans begin and end: by the wall clock at the beginning, and for as long as the clock says that
//! does not step.

use holdfast_engine::Now;
use std::time::{Duration, SystemTime};

pub(super) fn wall(at: Now) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(at.wall_micros)
}

pub(super) fn later(began: Now, now: Now) -> SystemTime {
    wall(began) + now.boot.since(began.boot)
}
