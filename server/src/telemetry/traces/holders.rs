//! Whom a call waits for: its span gets a link to that of the call to which the lock was granted, if both are
//! sampled and the grant was this replica's.
//!
//! A holder is forgotten when its lease ends, at the latest with its validity. Deliberately absent: how the
//! holders of other replicas are called, which nobody tells.

use super::call::Parent;
use holdfast_engine::{CallId, Instant, LeaseHash, Resource};
use std::collections::{BTreeMap, HashMap};

/// So many holders are known at a time. At some hundred bytes each this is a few megabytes.
const MAX_HOLDERS: usize = 10_000;
/// A new holder is told to so many of those who wait: one of them has its turn next, and a long queue must
/// not have a link for everybody before.
const NEAR: usize = 16;

/// Who holds what, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Holders {
    by_resource: HashMap<Resource, Holder>,
    /// Those that are sampled, in the order in which they came.
    waiting: HashMap<Resource, BTreeMap<CallId, Parent>>,
}

#[derive(Debug)]
struct Holder {
    lease: LeaseHash,
    until: Instant,
    span: Parent,
}

impl Holders {
    /// It is ready to wait.
    pub(super) fn wait(
        &mut self,
        id: CallId,
        (resource, lease): (&Resource, LeaseHash),
        span: &Parent,
        now: Instant,
    ) {
        if let Some(holder) = self.by_resource.get(resource)
            && holder.until > now
            && holder.lease != lease
        {
            span.link(&holder.span);
        }
        self.waiting.entry(resource.clone()).or_default().insert(id, span.clone());
    }

    /// It waits no longer.
    pub(super) fn leave(&mut self, id: CallId, resource: &Resource) {
        if let Some(waiting) = self.waiting.get_mut(resource) {
            waiting.remove(&id);
            if waiting.is_empty() {
                self.waiting.remove(resource);
            }
        }
    }

    /// It is held by somebody else from now on; with a span if that is sampled.
    pub(super) fn hold(
        &mut self,
        (resource, lease): (&Resource, LeaseHash),
        span: Option<&Parent>,
        (until, now): (Instant, Instant),
    ) {
        self.by_resource.remove(resource);
        let Some(span) = span else { return };
        for waiter in self.waiting.get(resource).iter().flat_map(|them| them.values()).take(NEAR) {
            waiter.link(span);
        }
        if self.by_resource.len() >= MAX_HOLDERS {
            self.by_resource.retain(|_, holder| holder.until > now);
        }
        if self.by_resource.len() < MAX_HOLDERS {
            let holder = Holder { lease, until, span: span.clone() };
            self.by_resource.insert(resource.clone(), holder);
        }
    }

    /// It is held until then.
    pub(super) fn renew(&mut self, resource: &Resource, lease: LeaseHash, until: Instant) {
        if let Some(holder) = self.by_resource.get_mut(resource)
            && holder.lease == lease
        {
            holder.until = until;
        }
    }

    /// It is not held by this lease any more.
    pub(super) fn end(&mut self, resource: &Resource, lease: LeaseHash) {
        if self.by_resource.get(resource).is_some_and(|holder| holder.lease == lease) {
            self.by_resource.remove(resource);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_resource.is_empty() && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traces::call::CallSpan;
    use crate::telemetry::traces::export::Traces;
    use crate::telemetry::traces::testing::Kept;
    use http::HeaderMap;
    use opentelemetry_sdk::trace::SpanData;
    use std::time::Duration;

    const ACQUIRE: &str = "/holdfast.v1.LockService/Acquire";

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    fn call(traces: &Traces) -> (CallSpan, Parent) {
        let span = traces.begin(ACQUIRE, &HeaderMap::new()).unwrap();
        let current = span.enter();
        let parent = crate::telemetry::parent().unwrap();
        drop(current);
        (span, parent)
    }

    /// To which spans it has links.
    fn links(spans: &[SpanData], at: usize) -> Vec<usize> {
        let place = |id| spans.iter().position(|span| span.span_context.span_id() == id).unwrap();
        let links = spans[at].links.iter();
        links.map(|link| place(link.span_context.span_id())).collect()
    }

    #[test]
    fn a_waiter_is_linked_to_whoever_holds_it_and_to_those_who_are_next_before_it() {
        let (kept, traces) = Kept::traces(1.0);
        let mut holders = Holders::default();
        let r = Resource::new("r");
        let lease = |name: &str| LeaseHash::of(name);
        let calls: Vec<_> = (0..5).map(|_| call(&traces)).collect();
        let span = |index: usize| &calls[index].1;

        holders.hold((&r, lease("0")), Some(span(0)), (at(10), at(0)));
        holders.wait(CallId(1), (&r, lease("1")), span(1), at(1));
        holders.wait(CallId(2), (&r, lease("2")), span(2), at(1));
        // A retry does not wait for itself, and nobody for what is over.
        holders.wait(CallId(3), (&r, lease("0")), span(3), at(1));
        holders.wait(CallId(4), (&r, lease("4")), span(4), at(10));
        holders.leave(CallId(3), &r);
        holders.leave(CallId(1), &r);
        holders.hold((&r, lease("1")), Some(span(1)), (at(20), at(11)));
        holders.renew(&r, lease("1"), at(30));
        holders.end(&r, lease("0"));
        assert!(!holders.by_resource.is_empty(), "that is somebody else's");
        holders.end(&r, lease("1"));
        for id in [2, 4] {
            holders.leave(CallId(id), &r);
        }
        assert!(holders.is_empty(), "{holders:?}");

        drop(calls);
        let spans = kept.spans(&traces);
        let of_all: Vec<_> = (0..5).map(|index| links(&spans, index)).collect();
        assert_eq!(of_all, [vec![], vec![0], vec![0, 1], vec![], vec![1]]);
    }

    #[test]
    fn there_is_an_end_to_what_is_known_of_holders() {
        let (_, traces) = Kept::traces(1.0);
        let (_span, parent) = call(&traces);
        let mut holders = Holders::default();
        for number in 0..2 * MAX_HOLDERS {
            let r = Resource::new(&number.to_string());
            let until = at(number as u64 % 2 * 1_000);
            holders.hold((&r, LeaseHash::of("a")), Some(&parent), (until, at(500)));
            assert!(holders.by_resource.len() <= MAX_HOLDERS);
        }
        assert!(holders.by_resource.len() >= MAX_HOLDERS / 2);
        // One that is not sampled is nobody to link to.
        let (first, _) =
            holders.by_resource.iter().next().map(|(r, h)| (r.clone(), h.until)).unwrap();
        let before = holders.by_resource.len();
        holders.hold((&first, LeaseHash::of("b")), None, (at(1), at(500)));
        assert_eq!(holders.by_resource.len(), before - 1);
    }
}
