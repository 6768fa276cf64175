//! The span of a call. It is the current one while the call is polled, so that whoever serves it can say
//! what it is about without knowing whether anybody listens.
//!
//! Deliberately absent: when it is polled and when it ends, which `grpc/layers` knows.

use super::export::Traces;
use super::{outcome, time, words};
use crate::clock;
use crate::telemetry::rpc;
use holdfast_engine::{Answer, Now, Resource};
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer,
};
use opentelemetry::{Context, ContextGuard, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::sync::{Arc, Weak};

const TRACEPARENT: &str = "traceparent";
const CANCELLED: usize = 1;
/// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the codes that the semantic
/// conventions call the server's fault.
const FAULTS: [usize; 6] = [2, 4, 12, 13, 14, 15];

/// The methods that are about more than one resource: what they are about shows in their rounds.
const ABOUT_MANY: [&str; 4] = ["KeepAlive", "Session", "ListLocks", "GetClusterStatus"];

/// The span of a call that is sampled. It ends when this is dropped.
#[derive(Debug)]
pub struct CallSpan {
    context: Context,
    began: Now,
    has_status: bool,
}

/// The call of which rounds hang below. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Parent(Arc<Context>);

/// The same, without keeping it.
#[derive(Debug)]
pub(super) struct WeakParent(Weak<Context>);

/// Marks the context of a call that is about one resource.
struct AboutOne;

impl Traces {
    /// A call came in. `None` if it is not sampled, or not one of ours: paths come from strangers.
    pub fn begin(&self, path: &str, headers: &HeaderMap) -> Option<CallSpan> {
        let name = rpc::known(path)?.strip_prefix('/')?;
        let incoming = match headers.contains_key(TRACEPARENT) {
            true => TraceContextPropagator::new()
                .extract_with_context(&Context::new(), &Headers(headers)),
            false => Context::new(),
        };
        let began = clock::now();
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Server)
            .with_start_time(time::wall(began));
        let mut span = self.tracer.build_with_context(builder, &incoming);
        if !span.is_recording() {
            return None;
        }
        let (service, method) = name.split_once('/')?;
        span.set_attributes([
            KeyValue::new(words::RPC_SYSTEM, "grpc"),
            KeyValue::new(words::RPC_SERVICE, service),
            KeyValue::new(words::RPC_METHOD, method),
        ]);
        let context = match ABOUT_MANY.contains(&method) {
            true => Context::new(),
            false => Context::new().with_value(AboutOne),
        };
        Some(CallSpan { context: context.with_span(span), began, has_status: false })
    }
}

impl CallSpan {
    /// Makes it the current one of this thread, for as long as the guard lives.
    pub fn enter(&self) -> ContextGuard {
        self.context.clone().attach()
    }

    /// The call has its status: a gRPC code, and the reason of an error.
    pub fn answered(&mut self, code: usize, reason: Option<&str>) {
        self.has_status = true;
        let span = self.context.span();
        span.set_attribute(KeyValue::new(words::RPC_STATUS, code as i64));
        if let Some(reason) = reason {
            span.set_attribute(KeyValue::new(words::REASON, reason.to_owned()));
        }
        if FAULTS.contains(&code) {
            span.set_status(Status::error(reason.unwrap_or_default().to_owned()));
        }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        if !self.has_status {
            self.answered(CANCELLED, None);
        }
        self.context.span().end_with_timestamp(time::later(self.began, clock::now()));
    }
}

impl Parent {
    pub(super) fn context(&self) -> Context {
        Context::new().with_remote_span_context(self.span_context())
    }

    /// Its span says that it waited for the other, if it is about one resource.
    pub(super) fn link(&self, other: &Self) {
        if self.0.get::<AboutOne>().is_some() {
            self.0.span().add_link(other.span_context(), Vec::new());
        }
    }

    fn span_context(&self) -> SpanContext {
        self.0.span().span_context().clone()
    }

    pub(super) fn downgrade(&self) -> WeakParent {
        WeakParent(Arc::downgrade(&self.0))
    }
}

impl WeakParent {
    pub(super) fn upgrade(&self) -> Option<Parent> {
        self.0.upgrade().map(Parent)
    }
}

/// What the current call is about, if it is about one resource.
pub fn name_resource(resource: &Resource) {
    Context::map_current(|context| {
        if context.get::<AboutOne>().is_some() {
            let name = resource.name().to_owned();
            context.span().set_attribute(KeyValue::new(words::RESOURCE, name));
        }
    });
}

/// What the engine answered the current call.
pub fn note_answer(answer: &Answer) {
    if let Some(word) = outcome::word(answer) {
        note_outcome(word);
    }
}

/// What the current call came to, if it is about one resource: others come to many things.
pub fn note_outcome(outcome: &'static str) {
    Context::map_current(|context| {
        if context.get::<AboutOne>().is_some() {
            context.span().set_attribute(KeyValue::new(words::OUTCOME, outcome));
        }
    });
}

/// What rounds of the current call hang below; `None` if it is not sampled.
pub fn parent() -> Option<Parent> {
    Context::map_current(|context| {
        let sampled = context.has_active_span();
        sampled.then(|| Parent(Arc::new(context.clone())))
    })
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    /// A `tracestate` may be 15 KB of a stranger's, and every span would carry it: there is none.
    fn get(&self, key: &str) -> Option<&str> {
        if key != TRACEPARENT {
            return None;
        }
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::traces::testing::{Kept, get};
    use opentelemetry::trace::TraceId;

    const ACQUIRE: &str = "/holdfast.v1.LockService/Acquire";
    const KEEP_ALIVE: &str = "/holdfast.v1.LockService/KeepAlive";
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn traceparent(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(TRACEPARENT), value.parse().unwrap())])
    }

    #[test]
    fn the_decision_of_the_caller_is_followed_and_that_of_the_ratio_otherwise() {
        let header = |flags: &str| traceparent(&format!("00-{TRACE}-00f067aa0ba902b7-{flags}"));
        for (ratio, headers, sampled) in [
            (0.0, header("01"), true),
            (1.0, header("00"), false),
            (0.0, HeaderMap::new(), false),
            (1.0, HeaderMap::new(), true),
            (0.0, traceparent("nonsense"), false),
            (1.0, traceparent("nonsense"), true),
        ] {
            let (kept, traces) = Kept::traces(ratio);
            let begun = traces.begin(ACQUIRE, &headers);
            assert_eq!(begun.is_some(), sampled, "{ratio} {headers:?}");
            drop(begun);
            let spans = kept.spans(&traces);
            assert_eq!(spans.len(), usize::from(sampled));
            let same = spans
                .iter()
                .all(|span| span.span_context.trace_id() == TraceId::from_hex(TRACE).unwrap());
            assert_eq!(same && sampled, headers == header("01"), "{spans:?}");
        }
    }

    #[test]
    fn paths_of_strangers_are_no_spans() {
        let (_, traces) = Kept::traces(1.0);
        for path in ["/grpc.health.v1.Health/Check", "/holdfast.v1.LockService/Steal", "", "other"]
        {
            assert!(traces.begin(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }

    #[test]
    fn a_call_is_current_only_while_it_is_entered() {
        let (kept, traces) = Kept::traces(1.0);
        let span = traces.begin(ACQUIRE, &HeaderMap::new()).unwrap();
        assert!(parent().is_none());
        name_resource(&Resource::new("nobody's"));
        let entered = span.enter();
        assert!(parent().is_some());
        name_resource(&Resource::new("mine"));
        note_outcome("held");
        drop(entered);
        note_outcome("nobody's");
        assert!(parent().is_none());
        drop(span);

        let [span] = &kept.spans(&traces)[..] else { panic!("one") };
        assert_eq!(
            (get(span, words::RESOURCE), get(span, words::OUTCOME)),
            ("mine".into(), "held".into())
        );
        assert_eq!(get(span, words::RPC_STATUS), "1", "nobody answered it");
    }

    #[test]
    fn what_is_about_many_resources_names_none() {
        let (kept, traces) = Kept::traces(1.0);
        let span = traces.begin(KEEP_ALIVE, &HeaderMap::new()).unwrap();
        let entered = span.enter();
        for resource in ["a", "b"] {
            name_resource(&Resource::new(resource));
            note_outcome("renewed");
        }
        assert!(parent().is_some(), "its rounds do");
        drop(entered);
        drop(span);
        let [span] = &kept.spans(&traces)[..] else { panic!("one") };
        assert_eq!(span.attributes.len(), 4, "{span:?}");
    }

    #[test]
    fn faults_of_the_server_are_errors_and_no_others() {
        let (kept, traces) = Kept::traces(1.0);
        for (code, reason) in [(0, None), (9, Some("LEASE_LOST")), (14, Some("NO_QUORUM"))] {
            traces.begin(ACQUIRE, &HeaderMap::new()).unwrap().answered(code, reason);
        }
        let spans = kept.spans(&traces);
        let status = |at: usize| spans[at].status.clone();
        assert_eq!((status(0), status(1)), (Status::Unset, Status::Unset));
        assert_eq!(status(2), Status::error("NO_QUORUM"));
        assert_eq!(get(&spans[1], words::REASON), "LEASE_LOST");
    }
}
