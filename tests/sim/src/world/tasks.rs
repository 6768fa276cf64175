//! Programs in virtual time: futures that belong to a process, and run only while that does.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Host {
    /// Nobody's: it cannot be stopped.
    World,
    /// A client's.
    Client(usize),
    /// A replica's, of this incarnation.
    Replica(usize, u32),
}

/// Who has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ready {
    /// A program.
    Task(usize),
    /// The driver of a replica.
    Core(usize),
}

/// A program.
pub(super) type Program = Pin<Box<dyn Future<Output = ()>>>;

/// One running program.
pub(super) struct Task {
    /// Whose.
    pub host: Host,
    /// `None`: it is being polled.
    pub program: Option<Program>,
    /// Its own.
    pub waker: Waker,
    /// Whether it is on the list.
    pub flag: Arc<Flag>,
}

/// Who is woken. Whose turn it is does not depend on the order of the wake-ups, for tokio's `watch` wakes its
/// readers in any order. The lock is never contended: there is one thread.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadyList(Arc<Mutex<BTreeSet<Ready>>>);

impl ReadyList {
    /// Somebody has something to do.
    pub(super) fn push(&self, ready: Ready) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(ready);
    }

    /// Whose turn it is.
    pub(super) fn pop(&self) -> Option<Ready> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_first()
    }

    /// What wakes it. Once until [`Flag::clear`] is called.
    pub(super) fn waker(&self, ready: Ready) -> (Waker, Arc<Flag>) {
        let flag = Arc::new(Flag { ready, set: AtomicBool::new(false), list: self.clone() });
        (Waker::from(Arc::clone(&flag)), flag)
    }
}

/// Whether somebody is on the list.
#[derive(Debug)]
pub(super) struct Flag {
    ready: Ready,
    set: AtomicBool,
    list: ReadyList,
}

impl Flag {
    /// It is about to be run.
    pub(super) fn clear(&self) {
        self.set.store(false, Ordering::Relaxed);
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.set.swap(true, Ordering::Relaxed) {
            self.list.push(self.ready);
        }
    }
}
