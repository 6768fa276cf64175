//! What is under way at once: so much in all, and so much of it by one party.

use super::Scope;
use crate::grpc::origin::Party;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone)]
pub(super) struct Share(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    most: usize,
    all: AtomicUsize,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    most: usize,
    by: Mutex<HashMap<Party, usize>>,
}

/// One part, until it is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    share: Share,
    /// Only if each party has a bound.
    party: Option<Party>,
}

impl Share {
    pub(super) fn new(most: usize, own: Option<usize>) -> Self {
        let own = own.map(|most| Own { most, by: Mutex::default() });
        Self(Arc::new(Taken { most, all: AtomicUsize::new(0), own }))
    }

    pub(super) fn taken(&self) -> usize {
        self.0.all.load(Ordering::Relaxed)
    }

    /// One more.
    pub(super) fn take(&self, party: &Party) -> Result<Part, Scope> {
        let more = |all| (all < self.0.most).then_some(all + 1);
        let taken = self.0.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map_err(|_| Scope::Replica)?;
        // Counted: whatever comes now, dropping it gives it back.
        let mut part = Part { share: self.clone(), party: None };
        if let Some(own) = &self.0.own {
            let mut by = own.lock();
            let count = by.entry(party.clone()).or_default();
            if *count >= own.most {
                return Err(Scope::Identity);
            }
            *count += 1;
            part.party = Some(party.clone());
        }
        Ok(part)
    }
}

impl Own {
    fn lock(&self) -> MutexGuard<'_, HashMap<Party, usize>> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Taken { all, own, .. } = &*self.share.0;
        all.fetch_sub(1, Ordering::Relaxed);
        if let (Some(own), Some(party)) = (own, &self.party) {
            let mut by = own.lock();
            if let Some(count) = by.get_mut(party) {
                *count -= 1;
                if *count == 0 {
                    by.remove(party);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str) -> Party {
        Party::Identity(name.into())
    }

    #[test]
    fn what_one_has_too_much_of_is_not_taken_from_others() {
        let share = Share::new(3, Some(2));
        let (a, b) = (party("a"), party("b"));
        let first = share.take(&a).unwrap();
        let _second = share.take(&a).unwrap();
        assert_eq!(share.take(&a).unwrap_err(), Scope::Identity);
        let _other = share.take(&b).unwrap();
        assert_eq!(share.take(&b).unwrap_err(), Scope::Replica);
        assert_eq!(share.taken(), 3);

        drop(first);
        assert_eq!(share.taken(), 2);
        assert!(share.take(&a).is_ok());
        assert_eq!(share.taken(), 2, "given back at once");
    }

    #[test]
    fn parties_are_forgotten_with_their_last_part() {
        let share = Share::new(3, Some(2));
        drop(share.take(&party("a")).unwrap());
        assert!(share.0.own.as_ref().unwrap().lock().is_empty());
    }
}
