//! Waiters of a resource are granted in the order in which they came, inside one replica.
//!
//! Whoever was told that it waits before another one asked came first. Only those count that had one place
//! for all their wait: one Hold stream, on which the grant came too. One that was cut off, or that a
//! restart of the replica threw out, ends without a grant on that stream and is held against nobody; and
//! across replicas no order is promised.

use std::collections::BTreeMap;

use crate::checkers::violation::{Verdict, told};
use crate::history::{Grant, History, Session, Way};

pub(super) fn check(history: &History) -> Verdict {
    let mut verdict = Verdict::new("FIFO");
    let mut queues: BTreeMap<(&str, usize), Vec<(Grant, &Session)>> = BTreeMap::new();
    for session in history.sessions.values().filter(|session| session.way == Way::Queue) {
        if let (Some(replica), Some(grant)) = (session.replica, session.granted) {
            queues.entry((&session.resource, replica)).or_default().push((grant, session));
        }
    }
    for ((resource, replica), granted) in queues {
        in_order(resource, replica, &granted, &mut verdict);
    }
    verdict
}

fn in_order(resource: &str, replica: usize, granted: &[(Grant, &Session)], verdict: &mut Verdict) {
    // Those that are known to have waited, by when that was known; with the latest grant so far.
    let mut waited: Vec<_> = granted
        .iter()
        .filter_map(|(grant, session)| Some((session.queued?, *grant, *session)))
        .collect();
    waited.sort_by_key(|(queued, ..)| *queued);
    let mut latest: Vec<(Grant, &Session)> = Vec::with_capacity(waited.len());
    for (_, grant, session) in &waited {
        let best = latest.last().filter(|best| best.0.token > grant.token);
        latest.push(*best.unwrap_or(&(*grant, *session)));
    }
    for (grant, session) in granted {
        let before = waited.partition_point(|(queued, ..)| *queued < session.asked);
        let Some((first, waiter)) = before.checked_sub(1).map(|index| latest[index]) else {
            continue;
        };
        verdict.looked_at += 1;
        if first.token > grant.token {
            let what = format!(
                "{resource} on replica {replica}: {} came first and was overtaken by {}",
                waiter.name, session.name,
            );
            verdict.object(what, [told(waiter), told(session)].concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::checkers::made_up::Story;
    use crate::history::{Event, Nanos};

    use super::*;

    impl Story {
        fn waits(&mut self, session: &str, replica: usize, asked: Nanos) -> &mut Story {
            let (session, resource) = (session.to_owned(), "r".to_owned());
            let (way, outlives_connection, replica) = (Way::Queue, false, Some(replica));
            let event = Event::Asked {
                session: session.clone(),
                way,
                resource,
                outlives_connection,
                replica,
            };
            self.event(asked, event).queued(&session, asked + 1)
        }
    }

    fn verdict(story: &Story) -> (u64, u64) {
        let verdict = check(&story.history());
        (verdict.looked_at, verdict.count)
    }

    #[test]
    fn in_order_is_fine() {
        let mut story = Story::default();
        story.waits("a#1", 0, 10).waits("b#1", 0, 20).waits("c#1", 0, 30);
        story.granted("a#1", 40, 1, 45).granted("b#1", 50, 2, 55).granted("c#1", 60, 3, 65);
        assert_eq!(verdict(&story), (2, 0));
    }

    #[test]
    fn overtaking_is_not() {
        let mut story = Story::default();
        story.waits("a#1", 0, 10).waits("b#1", 0, 20).waits("c#1", 0, 30);
        story.granted("a#1", 40, 1, 45).granted("c#1", 50, 2, 55).granted("b#1", 60, 3, 65);
        assert_eq!(verdict(&story), (2, 1));
    }

    #[test]
    fn an_order_that_nobody_knew_is_none() {
        let mut story = Story::default();
        story.waits("a#1", 0, 10).waits("b#1", 0, 10);
        story.granted("b#1", 50, 2, 55).granted("a#1", 60, 3, 65);
        assert_eq!(verdict(&story), (0, 0));
    }

    #[test]
    fn there_is_no_order_across_replicas() {
        let mut story = Story::default();
        story.waits("a#1", 0, 10).waits("b#1", 1, 20);
        story.granted("b#1", 50, 2, 55).granted("a#1", 60, 3, 65);
        assert_eq!(verdict(&story), (0, 0));
    }
}
