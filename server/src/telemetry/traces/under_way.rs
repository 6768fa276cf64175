//! The rounds that are under way and sampled, and whose they are.
//!
//! A round begins when it is written and ends with its last answer, which may be after that of its call. So a
//! call is forgotten when it has its answer and the last of its rounds has ended without leading to another:
//! nothing is kept here that the engine does not keep too.

use super::answer::{Answer, Silence, kind};
use super::call::{Parent, WeakParent};
use super::export::Traces;
use super::round::{Asked, Round};
use crate::clock;
use holdfast_engine::{Ask, CallId, Cause, MasterId, Now, Resource, Step};
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
            rounds: HashMap::new(),
            asks: HashMap::new(),
            writing: None,
            idle: Vec::new(),
        }
    }

    pub(super) fn called(&mut self, id: CallId, parent: Parent) {
        self.callers.insert(id, Caller { parent, rounds: 0, ended: false });
    }

    pub(super) fn ended(&mut self, id: CallId) {
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
            let round = Round::begin(&self.tracer, &parent, kind, (step, &ask.request), now);
            self.rounds.insert(step.number, round);
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
