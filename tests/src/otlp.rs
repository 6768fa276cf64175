//! A collector of spans: takes them by OTLP over gRPC, in this process, and tells what came.
//!
//! Deliberately absent: what a span should look like.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// How long spans may take to come: batches wait for a second.
const BOUND: Duration = Duration::from_secs(30);

/// A span as it was exported, with its ids in hexadecimal digits.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Which trace it belongs to.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// That of its parent; empty without one.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// Server, client or internal.
    pub kind: SpanKind,
    /// What is said about it.
    pub attributes: BTreeMap<String, String>,
    /// How many attributes there are, those that were said twice included.
    pub said: usize,
    /// What its events are called, and when they were, since the epoch.
    pub events: Vec<(String, Duration)>,
    /// The traces and ids of the spans that it has links to.
    pub links: Vec<(String, String)>,
    /// When it began and ended, since the epoch.
    pub time: (Duration, Duration),
    /// Is it marked as an error?
    pub is_error: bool,
    /// What is said about who exported it.
    pub resource: BTreeMap<String, String>,
}

impl Exported {
    /// One of its attributes, or nothing.
    pub fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// How long it took.
    pub fn took(&self) -> Duration {
        self.time.1.saturating_sub(self.time.0)
    }
}

/// The collector. Dropped, it ends.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: watch::Receiver<Received>,
    _serving: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<Exported>,
    /// Everything, as it came.
    text: String,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Result<Collector> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, received) = watch::channel(Received::default());
        let server = Server::builder().add_service(TraceServiceServer::new(Sink(sender)));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let served = server.serve_with_incoming(TcpIncoming::from(listener)).await;
            served.expect("a collector that serves");
        });
        Ok(Collector { address, received, _serving: serving })
    }

    /// Where it takes spans.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span that came.
    pub fn spans(&self) -> Vec<Exported> {
        self.received.borrow().spans.clone()
    }

    /// Everything that came, as text.
    pub fn text(&self) -> String {
        self.received.borrow().text.clone()
    }

    /// Waits until the spans of a trace are as the test wants them.
    pub async fn wait(
        &self,
        trace: &str,
        wanted: impl Fn(&[Exported]) -> bool,
    ) -> Result<Vec<Exported>> {
        let of_it = |received: &Received| -> Vec<Exported> {
            received.spans.iter().filter(|span| span.trace == trace).cloned().collect()
        };
        let mut received = self.received.clone();
        let there = received.wait_for(|received| wanted(&of_it(received)));
        if let Ok(there) = timeout(BOUND, there).await {
            return Ok(of_it(&*there?));
        }
        bail!("not within {BOUND:?}: {:#?}", of_it(&self.received.borrow()))
    }
}

#[derive(Debug)]
struct Sink(watch::Sender<Received>);

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        self.0.send_modify(|received| {
            received.text += &format!("{request:?}\n");
            for exporter in &request.resource_spans {
                let resource = exporter.resource.as_ref();
                let resource = resource.map_or_else(BTreeMap::new, |r| table(&r.attributes));
                let spans = exporter.scope_spans.iter().flat_map(|scope| &scope.spans);
                received.spans.extend(spans.map(|span| exported(span, &resource)));
            }
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn exported(span: &Span, resource: &BTreeMap<String, String>) -> Exported {
    let time = Duration::from_nanos;
    let events = span.events.iter().map(|event| (event.name.clone(), time(event.time_unix_nano)));
    let links = span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id)));
    let status = span.status.as_ref().map(|status| status.code());
    Exported {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        kind: span.kind(),
        attributes: table(&span.attributes),
        said: span.attributes.len(),
        events: events.collect(),
        links: links.collect(),
        time: (time(span.start_time_unix_nano), time(span.end_time_unix_nano)),
        is_error: status == Some(StatusCode::Error),
        resource: resource.clone(),
    }
}

fn table(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| (attribute.key.clone(), text(attribute.value.as_ref()));
    attributes.iter().map(text).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(",")
        }
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
