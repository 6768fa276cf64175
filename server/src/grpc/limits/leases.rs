//! The leases that were acquired or renewed here and have not ended, by whoever did it. What is not bounded
//! is not written down.
//!
//! A lease counts while a call or a stream is under way that may bring it, and while it lasts. Deliberately
//! absent: whether it is really held. Its time runs here from what was last said of it.

use super::Scope;
use crate::grpc::origin::Party;
use holdfast_engine::{Instant, LeaseHash, Resource};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Key = (Resource, LeaseHash);

#[derive(Debug, Clone)]
pub(super) struct LeaseBook(Option<Arc<Book>>);

#[derive(Debug)]
struct Book {
    most: usize,
    most_own: usize,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    by: HashMap<Party, Page>,
    all: usize,
    /// When those of all parties that are over may be looked for again.
    tidy_at: Instant,
}

/// The leases of one party.
#[derive(Debug, Default)]
struct Page {
    leases: HashMap<Key, Entry>,
    /// When those that are over may be looked for again.
    tidy_at: Instant,
}

/// One lease of one party.
#[derive(Debug, Default)]
struct Entry {
    /// Reservations that have not come to anything yet: a retry has one of its own, and either of the two
    /// may be the one that is granted.
    asked: usize,
    /// `None`: it was not granted.
    until: Option<Instant>,
}

/// Room for one lease; given back when it is dropped, unless it was granted.
#[derive(Debug)]
pub(crate) struct Reservation {
    place: Option<(LeaseBook, Party, Key)>,
}

impl LeaseBook {
    pub(super) fn new(most: Option<usize>, most_own: Option<usize>) -> Self {
        if most.is_none() && most_own.is_none() {
            return Self(None);
        }
        let (most, most_own) = (most.unwrap_or(usize::MAX), most_own.unwrap_or(usize::MAX));
        Self(Some(Arc::new(Book { most, most_own, pages: Mutex::default() })))
    }

    pub(super) fn reserve(
        &self,
        party: &Party,
        (resource, lease): (&Resource, LeaseHash),
        now: Instant,
    ) -> Result<Reservation, Scope> {
        let Some(book) = &self.0 else { return Ok(Reservation { place: None }) };
        let key = (resource.clone(), lease);
        let mut pages = book.pages();
        if !pages.has(party, &key) {
            pages.make_room(party, book, now)?;
        }
        // A retry, or a re-attach, counts already.
        pages.entry(party, &key).asked += 1;
        Ok(Reservation { place: Some((self.clone(), party.clone(), key)) })
    }

    /// It lasts until then, whoever acquired it, and wherever.
    pub(super) fn renewed(
        &self,
        party: &Party,
        (resource, lease): (&Resource, LeaseHash),
        until: Instant,
    ) {
        let Some(book) = &self.0 else { return };
        book.pages().entry(party, &(resource.clone(), lease)).last(until);
    }

    pub(super) fn ended(&self, party: &Party, (resource, lease): (&Resource, LeaseHash)) {
        let Some(book) = &self.0 else { return };
        book.pages().change(party, &(resource.clone(), lease), |entry| entry.until = None);
    }
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn last(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }

    fn counts(&self, now: Instant) -> bool {
        self.asked > 0 || self.until.is_some_and(|until| until > now)
    }
}

impl Pages {
    fn has(&self, party: &Party, key: &Key) -> bool {
        self.by.get(party).is_some_and(|own| own.leases.contains_key(key))
    }

    fn entry(&mut self, party: &Party, key: &Key) -> &mut Entry {
        let own = self.by.entry(party.clone()).or_default();
        own.leases.entry(key.clone()).or_insert_with(|| {
            self.all += 1;
            Entry::default()
        })
    }

    /// Also of what nothing is left to count.
    fn change(&mut self, party: &Party, key: &Key, change: impl FnOnce(&mut Entry)) {
        let Some(own) = self.by.get_mut(party) else { return };
        let Some(entry) = own.leases.get_mut(key) else { return };
        change(entry);
        if entry.asked > 0 || entry.until.is_some() {
            return;
        }
        own.leases.remove(key);
        self.all -= 1;
        // With it goes when it was tidied last: there is nothing left to look at.
        if own.leases.is_empty() {
            self.by.remove(party);
        }
    }

    fn make_room(&mut self, party: &Party, book: &Book, now: Instant) -> Result<(), Scope> {
        if let Some(own) = self.by.get_mut(party)
            && own.leases.len() >= book.most_own
        {
            self.all -= own.tidy(now);
            if own.leases.len() >= book.most_own {
                return Err(Scope::Identity);
            }
        }
        if self.all >= book.most {
            self.tidy(now);
            if self.all >= book.most {
                return Err(Scope::Replica);
            }
        }
        Ok(())
    }

    fn tidy(&mut self, now: Instant) {
        if is_due(&mut self.tidy_at, now) {
            self.by.retain(|_, own| {
                own.leases.retain(|_, entry| entry.counts(now));
                !own.leases.is_empty()
            });
            self.all = self.by.values().map(|own| own.leases.len()).sum();
        }
    }
}

impl Page {
    /// How many were over.
    fn tidy(&mut self, now: Instant) -> usize {
        let before = self.leases.len();
        if is_due(&mut self.tidy_at, now) {
            self.leases.retain(|_, entry| entry.counts(now));
        }
        before - self.leases.len()
    }
}

/// Not at every call: who calls while all is full must not cost a look at all of it, under a lock that
/// everybody needs. Whoever is refused is told to come again as late as this.
fn is_due(tidy_at: &mut Instant, now: Instant) -> bool {
    let due = now >= *tidy_at;
    if due {
        *tidy_at = now + super::RETRY;
    }
    due
}

impl Reservation {
    /// It was granted, and lasts until then.
    pub(crate) fn granted(self, until: Instant) {
        if let Some((book, party, (resource, lease))) = &self.place {
            book.renewed(party, (resource, *lease), until);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some((LeaseBook(Some(book)), party, key)) = &self.place else { return };
        book.pages().change(party, key, |entry| entry.asked -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn lease() -> LeaseHash {
        LeaseHash::of("lease")
    }

    fn party(name: &str) -> Party {
        Party::Identity(name.into())
    }

    #[test]
    fn each_has_so_many_and_those_that_are_over_make_room() {
        let book = LeaseBook::new(None, Some(2));
        let (a, b) = (party("a"), party("b"));
        let reserve =
            |party, name, now| book.reserve(party, (&Resource::new(name), lease()), at(now));
        reserve(&a, "1", 0).unwrap().granted(at(10));
        reserve(&a, "2", 5).unwrap().granted(at(15));
        assert_eq!(reserve(&a, "3", 9).unwrap_err(), Scope::Identity);
        assert!(reserve(&b, "3", 9).is_ok(), "and given back: it was not granted");
        drop(reserve(&a, "1", 9).expect("a retry is not one more"));
        assert_eq!(reserve(&a, "3", 9).unwrap_err(), Scope::Identity, "nor is it one less");

        reserve(&a, "3", 20).unwrap().granted(at(30));
        book.ended(&a, (&Resource::new("3"), lease()));
        reserve(&a, "4", 20).unwrap().granted(at(30));
        reserve(&a, "5", 20).unwrap().granted(at(30));
        let four = Resource::new("4");
        book.renewed(&a, (&four, lease()), at(40));
        reserve(&a, "6", 35).unwrap().granted(at(45));
        assert_eq!(reserve(&a, "7", 35).unwrap_err(), Scope::Identity, "4 was renewed");
    }

    #[test]
    fn the_same_lease_twice_is_one_whichever_of_the_two_is_granted() {
        let book = LeaseBook::new(None, Some(1));
        let a = party("a");
        let reserve = |name| book.reserve(&a, (&Resource::new(name), lease()), at(0));
        let (first, second) = (reserve("1").unwrap(), reserve("1").unwrap());
        drop(first);
        assert_eq!(reserve("2").unwrap_err(), Scope::Identity, "the second may be granted");
        second.granted(at(10));
        assert_eq!(reserve("2").unwrap_err(), Scope::Identity, "the second was granted");
        let one = Resource::new("1");
        book.ended(&a, (&one, lease()));
        // A stream that was open while it ended, and that took the place of an acquired lease.
        reserve("2").unwrap().granted(at(10));
        drop(reserve("2").unwrap());
        assert!(book.reserve(&a, (&one, lease()), at(10)).is_ok(), "nothing outlasts its time");
    }

    #[test]
    fn whoever_is_full_and_goes_on_asking_is_looked_through_no_more_than_once_in_a_while() {
        let book = LeaseBook::new(None, Some(1));
        let a = party("a");
        let at = |millis| Instant::default() + Duration::from_millis(millis);
        let reserve = |name, now| book.reserve(&a, (&Resource::new(name), lease()), at(now));
        reserve("1", 0).unwrap().granted(at(1_500));
        assert_eq!(reserve("2", 1_000).unwrap_err(), Scope::Identity, "looked at");
        assert_eq!(reserve("2", 1_600).unwrap_err(), Scope::Identity, "1 is over, unseen");
        assert!(reserve("2", 2_000).is_ok());
    }

    #[test]
    fn whoever_renews_a_lease_has_it() {
        let book = LeaseBook::new(None, Some(1));
        let a = party("a");
        book.renewed(&a, (&Resource::new("1"), lease()), at(10));
        let reserve = |now| book.reserve(&a, (&Resource::new("2"), lease()), at(now));
        assert_eq!(reserve(9).unwrap_err(), Scope::Identity);
        assert!(reserve(10).is_ok());
    }

    #[test]
    fn all_have_so_many_together() {
        let book = LeaseBook::new(Some(2), None);
        let reserve = |name, now| {
            let lease = (&Resource::new(name), lease());
            book.reserve(&party(name), lease, at(now))
        };
        reserve("a", 1).unwrap().granted(at(11));
        reserve("b", 1).unwrap().granted(at(20));
        assert_eq!(reserve("c", 5).unwrap_err(), Scope::Replica);
        reserve("c", 12).unwrap().granted(at(22));
        assert_eq!(reserve("d", 14).unwrap_err(), Scope::Replica);
    }

    #[test]
    fn nothing_is_written_down_without_a_bound() {
        let book = LeaseBook::new(None, None);
        let lease = (&Resource::new("1"), lease());
        book.reserve(&party("a"), lease, at(0)).unwrap().granted(at(1));
        assert!(book.0.is_none());
    }
}
