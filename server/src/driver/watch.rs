//! Watches: each sees the latest view of its resource, and all of one resource share one upstream watch
//! in the replica.

use super::handle::{Closed, Handle, Message};
use crate::telemetry::Parent;
use holdfast_engine::{Ballot, Instant, Resource, View};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The views of one resource, as they change. `None`: nothing is known yet.
pub(super) type Views = watch::Receiver<Option<Arc<View>>>;

/// One watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    resource: Resource,
    handle: Handle,
    /// Readings hang below it while it is kept.
    _parent: Option<Parent>,
    pub(super) views: Option<Views>,
}

impl Watch {
    pub(super) fn new(resource: Resource, handle: Handle, parent: Option<Parent>) -> Self {
        Self { resource, handle, _parent: parent, views: None }
    }

    /// The next view that differs from the one returned last; the first time the present one. Whoever
    /// is slow to ask sees the latest, not every one.
    pub async fn changed(&mut self) -> Result<Arc<View>, Closed> {
        let views = self.views.as_mut().ok_or(Closed)?;
        if !views.has_changed().map_err(|_| Closed)? {
            views.changed().await.map_err(|_| Closed)?;
        }
        loop {
            if let Some(view) = &*views.borrow_and_update() {
                return Ok(Arc::clone(view));
            }
            views.changed().await.map_err(|_| Closed)?;
        }
    }

    /// The newest view, changed or not: how fresh it is moves on with every reading.
    pub fn latest(&self) -> Option<Arc<View>> {
        self.views.as_ref().and_then(|views| views.borrow().clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.views.take());
        // A driver that has gone watches nothing.
        let _ = self.handle.send(Message::Unwatch(self.resource.clone()));
    }
}

/// The upstream watches of this replica.
#[derive(Debug, Default)]
pub(super) struct Hub {
    watched: HashMap<Resource, Watched>,
}

#[derive(Debug)]
struct Watched {
    sender: watch::Sender<Option<Arc<View>>>,
    /// Some wait for a reading that begins from then on, whether it shows anything new or not: since
    /// when the first of them, and the last.
    awaited: Option<(Instant, Instant)>,
}

/// What another watch of a resource means for the upstream watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// There was none.
    First,
    /// It knows of a later term than was read: time for a reading.
    Ahead,
    /// Nothing.
    Another,
}

impl Hub {
    /// One more watches this resource, and has seen the term `after`.
    pub(super) fn join(
        &mut self,
        resource: &Resource,
        after: Ballot,
        now: Instant,
    ) -> (Views, Joined) {
        let Some(watched) = self.watched.get_mut(resource) else {
            let (sender, views) = watch::channel(None);
            self.watched.insert(resource.clone(), Watched { sender, awaited: None });
            return (views, Joined::First);
        };
        let mut views = watched.sender.subscribe();
        views.mark_changed();
        let newest = views.borrow().as_ref().map_or(Ballot::ZERO, |view| view.newest);
        let ahead = newest < after;
        if ahead {
            watched.awaited = Some((watched.awaited.map_or(now, |(first, _)| first), now));
        }
        (views, if ahead { Joined::Ahead } else { Joined::Another })
    }

    /// One fewer; true: it was the last.
    pub(super) fn leave(&mut self, resource: &Resource) -> bool {
        let watched = self.watched.get(resource);
        let unwatched = watched.is_some_and(|watched| watched.sender.receiver_count() == 0);
        if unwatched {
            self.watched.remove(resource);
        }
        unwatched
    }

    /// A reading: watches wake only if it differs from the one before.
    pub(super) fn show(&mut self, resource: &Resource, view: Arc<View>) {
        let Some(Watched { sender, awaited }) = self.watched.get_mut(resource) else { return };
        let is_awaited = awaited.is_some_and(|(first, _)| view.as_of >= first);
        if awaited.is_some_and(|(_, last)| view.as_of >= last) {
            *awaited = None;
        }
        sender.send_if_modified(|before| {
            let differs = before.as_ref().is_none_or(|before| !before.shows_the_same(&view));
            *before = Some(view);
            differs || is_awaited
        });
    }

    /// All watches end.
    pub(super) fn close(&mut self) -> Vec<Resource> {
        let mut resources: Vec<Resource> = self.watched.drain().map(|(name, _)| name).collect();
        // The same in every run of a simulation.
        resources.sort_unstable();
        resources
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{Ending, Seen};
    use std::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    /// Nobody holds it, read at `millis`.
    fn vacant(millis: u64) -> Arc<View> {
        let state = Seen::Vacant(Ending::Expired);
        Arc::new(View { state, as_of: at(millis), newest: Ballot(3) })
    }

    fn is_woken(views: &mut Views) -> bool {
        let woken = views.has_changed().expect("the hub lives");
        views.mark_unchanged();
        woken
    }

    #[test]
    fn watches_wake_for_news_and_those_ahead_for_a_reading_of_their_own_time() {
        let (mut hub, r) = (Hub::default(), Resource::new("r"));
        let (mut first, joined) = hub.join(&r, Ballot(0), at(1));
        assert_eq!(joined, Joined::First);
        // The first reading is still under way.
        let (mut ahead, joined) = hub.join(&r, Ballot(7), at(2));
        assert_eq!(joined, Joined::Ahead);
        is_woken(&mut ahead);

        hub.show(&r, vacant(1));
        assert!(is_woken(&mut first) && is_woken(&mut ahead), "it is the first");
        hub.show(&r, vacant(2));
        assert!(is_woken(&mut ahead), "begun after it joined");
        is_woken(&mut first);
        hub.show(&r, vacant(3));
        assert!(!is_woken(&mut first) && !is_woken(&mut ahead), "no news");

        let (mut another, joined) = hub.join(&r, Ballot(3), at(4));
        assert_eq!(joined, Joined::Another);
        assert!(is_woken(&mut another), "the present state is news to it");
        for millis in [5, 6] {
            assert_eq!(hub.join(&r, Ballot(7), at(millis)).1, Joined::Ahead);
        }
        hub.show(&r, vacant(5));
        assert!(is_woken(&mut another), "the first of them waits no longer than it must");
        hub.show(&r, vacant(6));
        assert!(is_woken(&mut another));
        hub.show(&r, vacant(7));
        assert!(!is_woken(&mut another));
    }

    #[test]
    fn the_last_to_leave_ends_the_upstream_watch() {
        let (mut hub, r) = (Hub::default(), Resource::new("r"));
        let views = [(); 2].map(|()| hub.join(&r, Ballot(0), at(1)).0);
        let [one, other] = views;
        drop(one);
        assert!(!hub.leave(&r));
        drop(other);
        assert!(hub.leave(&r));
        assert!(!hub.leave(&r), "once");
    }
}
