//! The waiters of one resource on this replica: first come, first served, and only the head talks
//! to the masters.
//!
//! Owns the order and what is known of the present holder. Does not decide when to ask: the
//! replica does.

use crate::ids::LeaseHash;
use crate::replica::{MasterAnswer, Waiter};
use crate::script::{Claim, Occupant};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// One Acquire in the queue.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) call: u64,
    pub(crate) claim: Arc<Claim>,
    pub(crate) since: Instant,
    /// Waits for its turn; otherwise it takes what the next answer is.
    pub(crate) patient: bool,
    /// Answered by then, give or take a round.
    pub(crate) soft: Instant,
    /// Answered by then, whatever is under way.
    pub(crate) hard: Option<Instant>,
    pub(crate) stage: Stage,
    /// When its timer will go off.
    pub(crate) armed: Option<Instant>,
    /// Wants to know its place, as it changes.
    pub(crate) curious: bool,
    /// The place it was told last.
    pub(crate) told: Option<usize>,
    /// Since when its attempts have found no quorum, and how the masters answered the last one.
    pub(crate) trouble: Option<(Instant, Vec<MasterAnswer>)>,
}

/// What an entry is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Waiting,
    /// An operation is under way.
    Asking(u64),
    /// Between attempts.
    Pausing(Instant),
}

/// What is known of the present holder.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    occupant: Occupant,
    as_of: Instant,
}

impl Entry {
    /// The next moment at which its time is up or its pause over; a look at it in between costs less than
    /// a timer that outlives it by hours.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let pause = match self.stage {
            Stage::Pausing(until) => Some(until),
            _ => None,
        };
        let ends = [Some(self.soft), self.hard, pause].into_iter().flatten();
        ends.filter(|end| *end > now).chain([now + LOOK]).min().unwrap_or(now + LOOK)
    }
}

/// See [`Entry::next`].
const LOOK: Duration = Duration::from_secs(10);

impl Note {
    pub(crate) fn new(occupant: Occupant, as_of: Instant) -> Self {
        Self { occupant, as_of }
    }

    pub(crate) fn lease(&self) -> Option<LeaseHash> {
        self.occupant.lease()
    }

    /// The lease whose retry does not queue.
    pub(crate) fn holder(&self) -> Option<LeaseHash> {
        self.occupant.holder()
    }

    /// The holder, with what is left by now.
    pub(crate) fn occupant(&self, now: Instant) -> Occupant {
        let left = |remaining: Duration| remaining.saturating_sub(now.since(self.as_of));
        Occupant { remaining: self.occupant.remaining.map(left), ..self.occupant.clone() }
    }

    /// It was renewed for `ttl`.
    pub(crate) fn renewed(&mut self, ttl: Duration, now: Instant) {
        self.occupant = Occupant { remaining: Some(ttl), ..self.occupant(now) };
        self.as_of = now;
    }
}

/// The queue of one resource.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: BTreeMap<u64, Entry>,
    by_lease: BTreeMap<LeaseHash, u64>,
    impatient: BTreeSet<u64>,
    pub(crate) note: Option<Note>,
    /// When the head asks again.
    pub(crate) next_try: Instant,
    /// Something was released since the attempt under way began.
    pub(crate) woken: bool,
    /// Other replicas said that somebody waits there; until then it is believed.
    pub(crate) crowded_until: Instant,
    /// When they are told again that somebody waits here.
    pub(crate) say_again: Instant,
    pub(crate) subscribed: bool,
    /// Somebody left before somebody who wants to know its place.
    pub(crate) shifted: bool,
    /// A timer will tell the places.
    pub(crate) telling: bool,
    curious: usize,
}

impl Queue {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_lease: BTreeMap::new(),
            impatient: BTreeSet::new(),
            note: None,
            next_try: now,
            woken: false,
            crowded_until: now,
            say_again: now,
            subscribed: false,
            shifted: false,
            telling: false,
            curious: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries that wait for their turn, whoever is being served.
    pub(crate) fn waiters(&self) -> usize {
        self.entries.len() - self.impatient.len()
    }

    /// The first `most` of them.
    pub(crate) fn first_waiters(&self, most: usize) -> Vec<Waiter> {
        let waiting = self.entries.values().filter(|entry| entry.patient).take(most);
        let waiter = |entry: &Entry| Waiter {
            info: entry.claim.info.clone(),
            since: entry.since,
            until: entry.soft,
        };
        waiting.map(waiter).collect()
    }

    /// Puts down the places that changed since they were told: ticket, call and place of each.
    pub(crate) fn places_to_tell(&mut self) -> Vec<(u64, usize)> {
        let mut places = Vec::new();
        let waiting = self.entries.values_mut().filter(|entry| entry.patient);
        for (index, entry) in waiting.enumerate().filter(|(_, entry)| entry.curious) {
            let first_try = entry.told.is_none() && matches!(entry.stage, Stage::Asking(_));
            if entry.told != Some(index + 1) && !first_try {
                entry.told = Some(index + 1);
                places.push((entry.call, index + 1));
            }
        }
        places
    }

    /// The place of one of them; 1 is next.
    pub(crate) fn place_of(&self, ticket: u64) -> usize {
        self.entries.range(..=ticket).filter(|(_, entry)| entry.patient).count()
    }

    pub(crate) fn push(&mut self, ticket: u64, entry: Entry) {
        self.by_lease.insert(entry.claim.lease, ticket);
        self.curious += usize::from(entry.curious);
        if !entry.patient {
            self.impatient.insert(ticket);
        }
        self.entries.insert(ticket, entry);
    }

    pub(crate) fn remove(&mut self, ticket: u64) -> Option<Entry> {
        let entry = self.entries.remove(&ticket)?;
        self.by_lease.remove(&entry.claim.lease);
        self.impatient.remove(&ticket);
        self.curious -= usize::from(entry.curious);
        self.shifted |= self.curious > 0;
        Some(entry)
    }

    pub(crate) fn ticket_of(&self, lease: LeaseHash) -> Option<u64> {
        self.by_lease.get(&lease).copied()
    }

    pub(crate) fn get_mut(&mut self, ticket: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&ticket)
    }

    pub(crate) fn get(&self, ticket: u64) -> Option<&Entry> {
        self.entries.get(&ticket)
    }

    pub(crate) fn head(&self) -> Option<u64> {
        self.entries.first_key_value().map(|(ticket, _)| *ticket)
    }

    /// Tickets that take what the next answer is.
    pub(crate) fn impatient(&self) -> Vec<u64> {
        self.impatient.iter().copied().collect()
    }

    pub(crate) fn tickets(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    /// Does the head know who holds the lock, and waits?
    pub(crate) fn head_is_asleep(&self) -> bool {
        self.note.is_some()
            && self.entries.values().next().is_some_and(|head| head.stage == Stage::Waiting)
    }
}
