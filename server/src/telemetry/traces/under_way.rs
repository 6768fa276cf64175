//! The rounds that are under way and sampled, and whose they are.
//!
//! A round begins when it is written and ends with its last answer, which may be after that of its call. So a
//! call is forgotten when it has its answer and the last of its rounds has ended without leading to another:
//! nothing is kept here that the engine does not keep too.

use super::call::{Parent, WeakParent};
use super::export::Traces;
use super::holders::Holders;
use super::round::{Asked, Round};
use crate::clock;
use crate::telemetry::answer::{Answer, Silence, kind};
use holdfast_engine::{Ask, CallId, Cause, Instant, LeaseHash, MasterId, Now, Resource, Step};
use opentelemetry::Context;
use opentelemetry_sdk::trace::SdkTracer;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct UnderWay {
    tracer: SdkTracer,
    masters: Vec<Arc<str>>,
    quorum: usize,
    callers: HashMap<CallId, Caller>,
    /// Readings hang below the first one that is still there: they are for all.
    watchers: HashMap<Resource, Vec<WeakParent>>,
    pub(super) holders: Holders,
    rounds: HashMap<u64, Round>,
    asks: HashMap<u64, Asked>,
    /// When this write goes out, if anything of it is sampled.
    writing: Option<Now>,
    /// Callers that may be forgotten, unless this write begins another round.
    idle: Vec<CallId>,
}

#[derive(Debug)]
struct Caller {
    parent: Parent,
    rounds: usize,
    /// It waits for it.
    awaited: Option<Resource>,
    /// It has its answer, or has gone.
    ended: bool,
}

impl UnderWay {
    pub(super) fn new<'a>(
        traces: &Traces,
        masters: impl IntoIterator<Item = &'a str>,
        quorum: usize,
    ) -> Self {
        Self {
            tracer: traces.tracer.clone(),
            masters: masters.into_iter().map(Arc::from).collect(),
            quorum,
            callers: HashMap::new(),
            watchers: HashMap::new(),
            holders: Holders::default(),
            rounds: HashMap::new(),
            asks: HashMap::new(),
            writing: None,
            idle: Vec::new(),
        }
    }

    pub(super) fn called(&mut self, id: CallId, parent: Parent) {
        self.callers.insert(id, Caller { parent, rounds: 0, awaited: None, ended: false });
    }

    pub(super) fn waits(
        &mut self,
        id: CallId,
        (resource, lease): (&Resource, LeaseHash),
        now: Instant,
    ) {
        if let Some(caller) = self.callers.get_mut(&id) {
            self.holders.wait(id, (resource, lease), &caller.parent, now);
            caller.awaited = Some(resource.clone());
        }
    }

    pub(super) fn granted(
        &mut self,
        id: CallId,
        of: (&Resource, LeaseHash),
        times: (Instant, Instant),
    ) {
        self.leave(id);
        let span = self.callers.get(&id).map(|caller| &caller.parent);
        self.holders.hold(of, span, times);
    }

    fn leave(&mut self, id: CallId) {
        let awaited = self.callers.get_mut(&id).and_then(|caller| caller.awaited.take());
        if let Some(resource) = awaited {
            self.holders.leave(id, &resource);
        }
    }

    pub(super) fn ended(&mut self, id: CallId) {
        self.leave(id);
        if let Some(caller) = self.callers.get_mut(&id) {
            caller.ended = true;
            self.idle.push(id);
        }
    }

    pub(super) fn watched(&mut self, resource: &Resource, parent: &Parent) {
        let watchers = self.watchers.entry(resource.clone()).or_default();
        watchers.retain(|watcher| watcher.upgrade().is_some());
        watchers.push(parent.downgrade());
    }

    pub(super) fn unwatched(&mut self, resource: &Resource) {
        self.watchers.remove(resource);
    }

    pub(super) fn asked(&mut self, ask: &Ask, step: Step) {
        if self.callers.is_empty() && self.watchers.is_empty() {
            return;
        }
        let Some(kind) = kind(&ask.request) else { return };
        if !self.rounds.contains_key(&step.number) {
            let Some(parent) = self.parent_of(ask, step) else { return };
            let now = *self.writing.get_or_insert_with(clock::now);
            let masters = self.masters.len();
            let step = (step, &ask.request);
            let round = Round::begin(&self.tracer, &parent, kind, step, (masters, now));
            self.rounds.insert(round.step.number, round);
        }
        let now = *self.writing.get_or_insert_with(clock::now);
        if let Some(round) = self.rounds.get_mut(&step.number) {
            let name = &self.masters[ask.master.index()];
            self.asks.insert(ask.id, round.ask(&self.tracer, ask.master, name, now));
        }
    }

    pub(super) fn written(&mut self) {
        self.writing = None;
        for id in self.idle.drain(..) {
            if self.callers.get(&id).is_some_and(|caller| caller.ended && caller.rounds == 0) {
                self.callers.remove(&id);
            }
        }
    }

    pub(super) fn ends(&mut self, ask: u64, answer: impl FnOnce() -> Answer) {
        if !self.asks.is_empty()
            && let Some(asked) = self.asks.remove(&ask)
        {
            self.end(asked, answer(), clock::now());
        }
    }

    pub(super) fn lost(&mut self, master: MasterId) {
        let now = clock::now();
        let of_it: Vec<Asked> = self
            .asks
            .extract_if(|_, asked| asked.master == master)
            .map(|(_, asked)| asked)
            .collect();
        for asked in of_it {
            self.end(asked, Answer::Unknown(Silence::Error), now);
        }
    }

    /// `None`: it is for nobody, or for nobody who is sampled.
    fn parent_of(&mut self, ask: &Ask, step: Step) -> Option<Context> {
        match step.cause {
            Cause::Call(id) => {
                let caller = self.callers.get_mut(&id)?;
                caller.rounds += 1;
                Some(caller.parent.context())
            }
            Cause::Watches => {
                let (resource, _) = super::round::about(&ask.request);
                let watchers = self.watchers.get(resource?)?;
                Some(watchers.iter().find_map(WeakParent::upgrade)?.context())
            }
            Cause::Upkeep => None,
        }
    }

    fn end(&mut self, asked: Asked, answer: Answer, now: Now) {
        let number = asked.step;
        asked.end(answer, now);
        let Some(round) = self.rounds.get_mut(&number) else { return };
        if round.is_over(answer, self.quorum, now)
            && let Some(round) = self.rounds.remove(&number)
        {
            let cause = round.step.cause;
            round.end(&self.masters, self.quorum, now);
            if let Cause::Call(id) = cause
                && let Some(caller) = self.callers.get_mut(&id)
            {
                caller.rounds -= 1;
                self.idle.push(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traces::testing::{Kept, get};
    use crate::telemetry::traces::words;
    use holdfast_engine::{MasterSet, Request, RunId, Window};
    use http::HeaderMap;
    use opentelemetry_sdk::trace::SpanData;

    const WATCH: &str = "/holdfast.v1.LockService/WatchLeader";

    struct Scene {
        kept: Kept,
        traces: Traces,
        under_way: UnderWay,
        last: u64,
    }

    impl Scene {
        fn new() -> Self {
            let (kept, traces) = Kept::traces(1.0);
            let under_way = UnderWay::new(&traces, ["a", "b", "c"], 2);
            Self { kept, traces, under_way, last: 0 }
        }

        fn parent(&self) -> Parent {
            let span = self.traces.begin(WATCH, &HeaderMap::new()).unwrap();
            let _current = span.enter();
            crate::telemetry::parent().unwrap()
        }

        /// A read of all masters, of which only the first so many can be asked: their asks.
        fn read(&mut self, cause: Cause, reachable: u8) -> Vec<u64> {
            let masters = MasterSet::from_iter((0..3).map(MasterId));
            let step = Step { number: self.last + 1, masters, cause };
            let mut asks = Vec::new();
            for master in (0..reachable).map(MasterId) {
                self.last += 1;
                let request = Request::Read { resource: Resource::new("r") };
                let (run, window) = (RunId("run".into()), Window::ANY);
                let ask = Ask { master, id: self.last, run, window, request };
                self.under_way.asked(&ask, step);
                asks.push(self.last);
            }
            asks
        }

        fn answer(&mut self, ask: u64, answer: Answer) {
            self.under_way.ends(ask, || answer);
        }

        fn ended(&self, name: &str) -> Vec<SpanData> {
            let mut spans = self.kept.spans(&self.traces);
            spans.retain(|span| span.name == name);
            spans
        }

        fn is_empty(&self) -> bool {
            let UnderWay { callers, rounds, asks, holders, .. } = &self.under_way;
            callers.is_empty() && holders.is_empty() && rounds.is_empty() && asks.is_empty()
        }
    }

    #[test]
    fn a_round_ends_with_its_last_answer_and_its_call_is_forgotten_after_that() {
        let (mut scene, id) = (Scene::new(), CallId(7));
        let parent = scene.parent();
        scene.under_way.called(id, parent);
        let asks = scene.read(Cause::Call(id), 3);
        scene.under_way.written();
        scene.answer(asks[0], Answer::Ok);
        scene.answer(asks[2], Answer::Ok);
        scene.under_way.ended(id);
        scene.under_way.written();
        assert!(scene.ended("read").is_empty() && !scene.is_empty(), "one is still out");

        scene.answer(asks[1], Answer::Unknown(Silence::Timeout));
        let repair = scene.read(Cause::Call(id), 1);
        scene.under_way.written();
        scene.answer(repair[0], Answer::Ok);
        scene.under_way.written();
        assert!(scene.is_empty(), "{:?}", scene.under_way);
        assert!(scene.read(Cause::Call(id), 3).len() == 3 && scene.is_empty(), "nobody's");

        let [round, after] = &scene.ended("read")[..] else { panic!("two rounds") };
        assert_eq!(
            (get(round, words::VOTES), get(round, words::QUORUM_REACHED)),
            ("2".into(), "true".into())
        );
        assert_eq!(round.events.len(), 1, "decided once");
        assert_eq!(get(round, words::NOT_ASKED), "");
        assert!(get(after, words::NOT_ASKED).contains("b"), "{after:?}");
        assert_eq!(get(after, words::QUORUM_REACHED), "false");
        let [late] = &scene.ended("read b")[..] else { panic!("one") };
        assert_eq!(
            (get(late, words::ANSWER), get(late, words::REASON)),
            ("unknown".into(), "timeout".into())
        );
        assert_eq!(late.parent_span_id, round.span_context.span_id());
    }

    #[test]
    fn a_connection_that_is_lost_ends_what_is_out_there_and_nothing_else() {
        let (mut scene, id) = (Scene::new(), CallId(7));
        let parent = scene.parent();
        scene.under_way.called(id, parent);
        let asks = scene.read(Cause::Call(id), 3);
        scene.under_way.lost(MasterId(1));
        assert_eq!(scene.under_way.asks.len(), 2);
        scene.answer(asks[1], Answer::Ok);
        for ask in [asks[0], asks[2]] {
            scene.answer(ask, Answer::Refused("misfit"));
        }
        let [round] = &scene.ended("read")[..] else { panic!("one round") };
        assert_eq!(
            get(round, words::VOTES),
            "0",
            "an answer that comes after all counts for nothing"
        );
    }

    #[test]
    fn readings_hang_below_a_watch_that_is_still_there() {
        let (mut scene, r) = (Scene::new(), Resource::new("r"));
        let (first, second) = (scene.parent(), scene.parent());
        scene.under_way.watched(&r, &first);
        scene.under_way.watched(&r, &second);
        drop(first);
        assert_eq!(scene.read(Cause::Watches, 3).len(), 3);
        assert_eq!(scene.under_way.rounds.len(), 1);
        drop(second);
        scene.read(Cause::Watches, 3);
        scene.read(Cause::Upkeep, 3);
        assert_eq!(scene.under_way.rounds.len(), 1, "for nobody");
        scene.under_way.unwatched(&r);
        assert!(scene.under_way.watchers.is_empty());
    }
}
