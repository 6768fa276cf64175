//! The span of a round, and those of the masters it was put to.

use super::time::{later, wall};
use super::words;
use crate::telemetry::answer::{Answer, Silence};
use holdfast_engine::{Ballot, MasterId, MasterSet, Now, Request, Resource, Step};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use std::sync::Arc;

/// Kinds of rounds that are decided by a quorum.
const DECIDED: [&str; 5] = ["acquire", "extend", "release", "read", "revoke"];

/// A round under way.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) step: Step,
    kind: &'static str,
    span: Span,
    began: Now,
    asked: MasterSet,
    pending: usize,
    votes: usize,
    /// A quorum of yes decides it. Not a repetition for those that were silent, nor a repair: what others
    /// said before counts there.
    is_decisive: bool,
}

/// A master that was asked in it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) master: MasterId,
    /// The number of its step.
    pub(super) step: u64,
    span: Span,
    sent: Now,
}

impl Round {
    pub(super) fn begin(
        tracer: &SdkTracer,
        parent: &Context,
        kind: &'static str,
        (step, request): (Step, &Request),
        (masters, now): (usize, Now),
    ) -> Self {
        let (resource, ballot) = about(request);
        let mut attributes = vec![
            KeyValue::new(words::ROUND, kind),
            KeyValue::new(words::MASTERS, step.masters.len() as i64),
        ];
        if let Some(resource) = resource {
            attributes.push(KeyValue::new(words::RESOURCE, resource.name().to_owned()));
        }
        if let Some(ballot) = ballot.filter(|ballot| *ballot > Ballot::ZERO) {
            attributes.push(KeyValue::new(words::BALLOT, ballot.0 as i64));
        }
        let builder = SpanBuilder::from_name(kind)
            .with_kind(SpanKind::Internal)
            .with_start_time(wall(now))
            .with_attributes(attributes);
        let span = tracer.build_with_context(builder, parent);
        let (asked, pending, votes) = (MasterSet::default(), 0, 0);
        let is_decisive = DECIDED.contains(&kind) && step.masters.len() == masters;
        Self { step, kind, span, began: now, asked, pending, votes, is_decisive }
    }

    pub(super) fn ask(
        &mut self,
        tracer: &SdkTracer,
        master: MasterId,
        name: &Arc<str>,
        now: Now,
    ) -> Asked {
        self.asked.insert(master);
        self.pending += 1;
        let builder = SpanBuilder::from_name(format!("{} {name}", self.kind))
            .with_kind(SpanKind::Client)
            .with_start_time(wall(now))
            .with_attributes([KeyValue::new(words::MASTER, Arc::clone(name))]);
        let parent = Context::new().with_remote_span_context(self.span.span_context().clone());
        let span = tracer.build_with_context(builder, &parent);
        Asked { master, step: self.step.number, span, sent: now }
    }

    /// One more answer. Was it the last?
    pub(super) fn is_over(&mut self, answer: Answer, quorum: usize, now: Now) -> bool {
        if answer == Answer::Ok {
            self.votes += 1;
            if self.is_decisive && self.votes == quorum {
                let at = later(self.began, now);
                self.span.add_event_with_timestamp(words::QUORUM, at, Vec::new());
            }
        }
        self.pending -= 1;
        self.pending == 0
    }

    pub(super) fn end(mut self, masters: &[Arc<str>], quorum: usize, now: Now) {
        self.span.set_attribute(KeyValue::new(words::VOTES, self.votes as i64));
        if self.is_decisive {
            let reached = self.votes >= quorum;
            self.span.set_attribute(KeyValue::new(words::QUORUM_REACHED, reached));
        }
        let not_asked = self.step.masters.iter().filter(|master| !self.asked.contains(*master));
        let names: Vec<StringValue> =
            not_asked.map(|master| Arc::clone(&masters[master.index()]).into()).collect();
        if !names.is_empty() {
            let names = Value::Array(Array::String(names));
            self.span.set_attribute(KeyValue::new(words::NOT_ASKED, names));
        }
        self.span.end_with_timestamp(later(self.began, now));
    }
}

impl Asked {
    pub(super) fn end(mut self, answer: Answer, now: Now) {
        self.span.set_attribute(KeyValue::new(words::ANSWER, answer.word()));
        if let Some(reason) = answer.reason() {
            self.span.set_attribute(KeyValue::new(words::REASON, reason));
        }
        // A master that is late may have done it all the same: that is no error.
        if answer == Answer::Unknown(Silence::Error) {
            self.span.set_status(Status::error("no answer"));
        }
        self.span.end_with_timestamp(later(self.sent, now));
    }
}

/// What a round is about, and the number proposed in it.
pub(super) fn about(request: &Request) -> (Option<&Resource>, Option<Ballot>) {
    match request {
        Request::Acquire { claim, ballot, .. } => (Some(&claim.resource), Some(*ballot)),
        Request::Extend { renewal, ballot } | Request::Repair { renewal, ballot, .. } => {
            (Some(&renewal.resource), Some(*ballot))
        }
        Request::Cleanup { resource, ballot, .. }
        | Request::Release { resource, ballot, .. }
        | Request::Revoke { resource, ballot, .. } => (Some(resource), Some(*ballot)),
        Request::Read { resource } | Request::Publish { resource, .. } => (Some(resource), None),
        Request::Scan { .. }
        | Request::Observe { .. }
        | Request::Adopt { .. }
        | Request::Suspect { .. } => (None, None),
    }
}
