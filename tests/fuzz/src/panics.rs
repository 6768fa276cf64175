//! Panics of this thread, also those that nobody hears of because a runtime caught them.
//!
//! Deliberately absent: panics of other threads. A hunt and all it starts run on one.

use crate::hunt::Verdict;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static HUNTING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `check` says, or the panic that happened meanwhile.
pub fn none_during(check: impl FnOnce() -> Verdict) -> Verdict {
    listen();
    LAST.take();
    HUNTING.set(true);
    let verdict = panic::catch_unwind(AssertUnwindSafe(check));
    HUNTING.set(false);
    match (LAST.take(), verdict) {
        (Some(panic), _) => Err(format!("a panic: {panic}")),
        (None, Ok(verdict)) => verdict,
        (None, Err(_)) => Err("a panic".to_owned()),
    }
}

/// A hunt that shrinks a panic would print it a thousand times.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if HUNTING.get() {
                LAST.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}
