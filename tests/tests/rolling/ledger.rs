//! What all clients saw, written down as they see it, and what of it must not be.
//!
//! A client is the holder from the moment it reads its grant until just before it gives the lock back, or is
//! told that the lock is lost: two holders at a time in here are two who both relied on the lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// Of each resource that is held.
    holders: BTreeMap<String, String>,
    /// The highest token of each resource.
    newest: BTreeMap<String, u64>,
    seen: Seen,
}

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) grants: usize,
    /// Locks that ended against the will of their holders.
    pub(crate) losses: Vec<String>,
    /// Two holders, or a token that is no higher than one before.
    pub(crate) violations: Vec<String>,
    /// Calls that came to nothing.
    pub(crate) failures: Vec<String>,
}

impl Ledger {
    pub(crate) fn granted(&self, resource: &str, who: &str, token: u64) {
        let mut book = self.book();
        book.seen.grants += 1;
        if let Some(other) = book.holders.insert(resource.to_owned(), who.to_owned()) {
            book.seen.violations.push(format!("{resource}: {other} has it, and {who} as well"));
        }
        let newest = book.newest.insert(resource.to_owned(), token).unwrap_or_default();
        if token <= newest {
            book.seen.violations.push(format!("{resource}: token {token} after {newest}"));
        }
    }

    /// Written before it is done: from then on another one may have it.
    pub(crate) fn gives_back(&self, resource: &str) {
        self.book().holders.remove(resource);
    }

    pub(crate) fn lost(&self, resource: &str, who: &str, why: impl ToString) {
        let mut book = self.book();
        book.holders.remove(resource);
        book.seen.losses.push(format!("{resource}: {who}: {}", why.to_string()));
    }

    pub(crate) fn is_held(&self, resource: &str) -> bool {
        self.book().holders.contains_key(resource)
    }

    pub(crate) fn violated(&self, what: String) {
        self.book().seen.violations.push(what);
    }

    pub(crate) fn failed(&self, who: &str, why: impl ToString) {
        self.book().seen.failures.push(format!("{who}: {}", why.to_string()));
    }

    pub(crate) fn seen(&self) -> Seen {
        self.book().seen.clone()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[test]
fn two_holders_and_an_old_token_are_noticed() {
    let ledger = Ledger::default();
    ledger.granted("r", "a", 7);
    ledger.gives_back("r");
    ledger.granted("r", "b", 8);
    ledger.granted("s", "c", 1);
    assert_eq!(ledger.seen(), Seen { grants: 3, ..Seen::default() });
    ledger.granted("r", "c", 9);
    ledger.gives_back("r");
    ledger.granted("r", "d", 9);
    ledger.lost("r", "d", "taken");
    ledger.granted("r", "e", 10);
    let Seen { losses, violations, .. } = ledger.seen();
    assert_eq!(losses, ["r: d: taken"]);
    assert_eq!(violations, ["r: b has it, and c as well", "r: token 9 after 9"]);
}
