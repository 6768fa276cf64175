//! Watches: each sees the latest view of its resource, and all of one resource share one upstream watch
//! in the replica.

use super::handle::{Closed, Handle, Message};
use super::history::History;
use crate::telemetry::Parent;
use holdfast_engine::{Ballot, Instant, Resource, View};
use std::collections::{HashMap, VecDeque};
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

/// So many watches wake at the same time. All at once would keep everybody else waiting, and what they
/// say from being written, until the last of thousands has spoken.
const TOGETHER: usize = 256;

/// The upstream watches of this replica.
#[derive(Debug, Default)]
pub(super) struct Hub {
    watched: HashMap<Resource, Watched>,
    /// Some of their watches are still to be woken.
    behind: VecDeque<Resource>,
    history: History,
}

#[derive(Debug)]
struct Watched {
    /// Each wakes at most [`TOGETHER`]; never empty.
    groups: Vec<watch::Sender<Option<Arc<View>>>>,
    /// So many groups are still to be woken, this one next. In turn, so that none sleeps for ever where
    /// news comes faster than all can be woken.
    asleep: usize,
    next: usize,
    latest: Option<Arc<View>>,
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
    /// None is watched, and what is seen is put down there.
    pub(super) fn new(history: History) -> Self {
        Self { history, ..Self::default() }
    }

    /// One more watches this resource, and has seen the term `after`.
    pub(super) fn join(
        &mut self,
        resource: &Resource,
        after: Ballot,
        now: Instant,
    ) -> (Views, Joined) {
        let Some(watched) = self.watched.get_mut(resource) else {
            let (sender, views) = watch::channel(None);
            let watched =
                Watched { groups: vec![sender], asleep: 0, next: 0, latest: None, awaited: None };
            self.watched.insert(resource.clone(), watched);
            return (views, Joined::First);
        };
        let mut views = watched.subscribe();
        views.mark_changed();
        let newest = watched.latest.as_ref().map_or(Ballot::ZERO, |view| view.newest);
        let ahead = newest < after;
        if ahead {
            watched.awaited = Some((watched.awaited.map_or(now, |(first, _)| first), now));
        }
        (views, if ahead { Joined::Ahead } else { Joined::Another })
    }

    /// One fewer; true: it was the last.
    pub(super) fn leave(&mut self, resource: &Resource) -> bool {
        let unwatched = self
            .watched
            .get(resource)
            .is_some_and(|watched| watched.groups.iter().all(|group| group.receiver_count() == 0));
        if unwatched {
            let view = self.watched.remove(resource).and_then(|watched| watched.latest);
            if let Some(view) = view {
                self.history.unwatch(resource, view.as_of);
            }
        }
        unwatched
    }

    /// A reading: watches wake only if it differs from the one before, the first of them at once.
    pub(super) fn show(&mut self, resource: &Resource, view: Arc<View>) {
        let Some(watched) = self.watched.get_mut(resource) else { return };
        let is_awaited = watched.awaited.is_some_and(|(first, _)| view.as_of >= first);
        if watched.awaited.is_some_and(|(_, last)| view.as_of >= last) {
            watched.awaited = None;
        }
        let before = watched.latest.replace(Arc::clone(&view));
        let is_first = before.is_none();
        let differs = before.is_none_or(|before| !before.shows_the_same(&view));
        if differs {
            self.history.show(resource, &view, is_first);
        }
        if !differs && !is_awaited {
            (0..watched.groups.len()).for_each(|group| watched.refresh(group));
            return;
        }
        let is_listed = watched.asleep > 0;
        watched.asleep = watched.groups.len();
        watched.wake_next();
        if watched.asleep > 0 && !is_listed {
            self.behind.push_back(resource.clone());
        }
    }

    /// Do some watches sleep that are to be woken?
    pub(super) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Wakes the next of them, a group.
    pub(super) fn wake_some(&mut self) {
        let Some(resource) = self.behind.pop_front() else { return };
        // Nobody may be left, or others have come since.
        let Some(watched) = self.watched.get_mut(&resource) else { return };
        watched.wake_next();
        if watched.asleep > 0 {
            self.behind.push_back(resource);
        }
    }

    /// All watches end.
    pub(super) fn close(&mut self) -> Vec<Resource> {
        let mut resources: Vec<Resource> = self.watched.drain().map(|(name, _)| name).collect();
        // The same in every run of a simulation.
        resources.sort_unstable();
        resources
    }
}

impl Watched {
    /// A place in a group that has one.
    fn subscribe(&mut self) -> Views {
        let room = |group: &watch::Sender<_>| group.receiver_count() < TOGETHER;
        match self.groups.iter().position(room) {
            Some(index) => {
                // Its turn to wake may be still to come.
                self.refresh(index);
                self.groups[index].subscribe()
            }
            None => {
                let (group, views) = watch::channel(self.latest.clone());
                self.groups.push(group);
                // Its place is before those that come around again.
                if self.asleep > 0 {
                    self.asleep += 1;
                }
                views
            }
        }
    }

    fn wake_next(&mut self) {
        if self.asleep == 0 {
            return;
        }
        self.groups[self.next].send_replace(self.latest.clone());
        self.asleep -= 1;
        self.next = (self.next + 1) % self.groups.len();
    }

    /// Nobody of this group wakes for it, and who looks sees it.
    fn refresh(&self, group: usize) {
        self.groups[group].send_if_modified(|view| {
            view.clone_from(&self.latest);
            false
        });
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
    fn many_wake_a_group_at_a_time_and_all_of_them_to_the_latest() {
        let (mut hub, r) = (Hub::default(), Resource::new("r"));
        let mut many: Vec<Views> =
            (0..2 * TOGETHER + 1).map(|_| hub.join(&r, Ballot(0), at(1)).0).collect();
        many.iter_mut().for_each(Views::mark_unchanged);
        let woken = |many: &mut [Views]| many.iter_mut().map(is_woken).filter(|it| *it).count();

        hub.show(&r, vacant(1));
        assert!(hub.is_behind());
        assert_eq!(woken(&mut many), TOGETHER);
        // What comes in between reaches those first that sleep still, and then the others anew.
        let state = Seen::Vacant(Ending::Released);
        let news = View { newest: Ballot(4), state, as_of: at(2) };
        hub.show(&r, Arc::new(news));
        let (newcomer, _) = hub.join(&r, Ballot(0), at(2));
        assert_eq!(newcomer.borrow().as_ref().unwrap().newest, Ballot(4));
        assert_eq!(woken(&mut many[..TOGETHER]), 0, "they have just been woken");
        assert_eq!(woken(&mut many), TOGETHER);
        while hub.is_behind() {
            hub.wake_some();
        }
        assert_eq!(woken(&mut many), TOGETHER + 1);
        assert!(!hub.is_behind());
        for views in &many {
            assert_eq!(views.borrow().as_ref().unwrap().newest, Ballot(4));
        }

        drop(many);
        assert!(!hub.leave(&r));
        drop(newcomer);
        assert!(hub.leave(&r));
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
