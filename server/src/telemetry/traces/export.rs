//! Spans on their way to the collector: sampled, queued, and sent in batches by a thread of their own.
//!
//! Whatever becomes of the collector, nobody waits for it: a full queue drops spans, an export that fails
//! is logged now and then, and the last one at shutdown has a bound.

use crate::clock;
use crate::config::OtlpEndpoint;
use crate::telemetry::Throttle;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
    SpanExporter,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::transport::{ClientTlsConfig, Endpoint};
use tracing::warn;

/// Spans that wait to be sent. At about a kilobyte each this is some megabytes, and half a second of the
/// calls that a busy replica serves with all of them sampled.
const MAX_QUEUE: usize = 8_192;
/// Spans of one export.
const MAX_BATCH: usize = 512;
/// Spans that are fewer wait for so long.
const PACE: Duration = Duration::from_secs(1);
/// An export, and a connection for it, take no longer. Nobody waits for them but the next batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// A collector that went away without a word is noticed by a ping that nobody answers.
const PING_EVERY: Duration = Duration::from_secs(10);
/// At shutdown the last spans are sent in so long or not at all: somebody may be waiting to kill us.
const LAST_EXPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// Exports that fail are logged no more often.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// The way to the collector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    /// The last export failed.
    failing: Arc<AtomicBool>,
    pub(super) tracer: SdkTracer,
}

/// Why there are no spans.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// Most likely the certificates of this machine.
    #[error("the way to the collector cannot be set up")]
    Transport(#[source] tonic::transport::Error),
    /// The exporter does not want it so.
    #[error("the exporter of spans cannot be set up")]
    Exporter(#[source] ExporterBuildError),
}

impl Traces {
    /// Spans of so many of the calls that come without a trace, and of those whose trace is sampled. Called
    /// within the runtime; connects when there is something to send.
    pub fn to_collector(endpoint: &OtlpEndpoint, sample_ratio: f64) -> Result<Self, TracesError> {
        let mut channel = Endpoint::from_shared(endpoint.to_string())
            .map_err(TracesError::Transport)?
            .connect_timeout(EXPORT_TIMEOUT)
            .timeout(EXPORT_TIMEOUT)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(EXPORT_TIMEOUT);
        if endpoint.is_tls() {
            let roots = ClientTlsConfig::new().with_native_roots().timeout(EXPORT_TIMEOUT);
            channel = channel.tls_config(roots).map_err(TracesError::Transport)?;
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(channel.connect_lazy())
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(TracesError::Exporter)?;
        Ok(Self::over(exporter, sample_ratio))
    }

    pub(super) fn over(exporter: impl SpanExporter + 'static, sample_ratio: f64) -> Self {
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_QUEUE)
            .with_max_export_batch_size(MAX_BATCH)
            .with_scheduled_delay(PACE)
            .build();
        let failing = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&failing);
        let exporter = Noted { exporter, failing: noted, failures: Throttle::new(LOG_PERIOD) };
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let root = Sampler::TraceIdRatioBased(sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(root)))
            .with_resource(resource())
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("holdfast");
        Self { provider, failing, tracer }
    }

    /// Sends what is left, for as long as there is patience, and ends.
    pub async fn close(self) {
        // It waits for the exporting thread, which must not stall the runtime that moves its bytes.
        let provider = self.provider;
        let closing = move || provider.shutdown_with_timeout(LAST_EXPORT_TIMEOUT);
        let in_time = matches!(tokio::task::spawn_blocking(closing).await, Ok(Ok(())));
        if !in_time || self.failing.load(Ordering::Relaxed) {
            warn!("the last spans could not be exported");
        }
    }

    #[cfg(test)]
    pub(super) fn flush(&self) {
        self.provider.force_flush().unwrap();
    }
}

/// Who speaks. A replica that starts again is another instance.
fn resource() -> Resource {
    let mut random = [0; 16];
    // Any name will do, and without randomness nothing else works either.
    let _ = getrandom::fill(&mut random);
    let instance = format!("{:032x}", u128::from_ne_bytes(random));
    Resource::builder_empty()
        .with_service_name("holdfast")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .build()
}

/// An exporter whose failures are logged.
#[derive(Debug)]
struct Noted<E> {
    exporter: E,
    failing: Arc<AtomicBool>,
    failures: Throttle,
}

impl<E: SpanExporter> SpanExporter for Noted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        self.failing.store(exported.is_err(), Ordering::Relaxed);
        if let Err(error) = &exported
            && let Some(unsaid) = self.failures.admit(clock::now().boot)
        {
            warn!(%error, spans, unsaid, "spans could not be exported");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::traces::testing::Kept;

    #[tokio::test]
    async fn what_is_left_is_sent_at_the_end_and_nothing_after_it() {
        let (kept, traces) = Kept::traces(1.0);
        let path = "/holdfast.v1.LockService/Acquire";
        drop(traces.begin(path, &http::HeaderMap::new()).unwrap());
        traces.clone().close().await;
        assert_eq!(kept.exported().len(), 1);
        assert!(traces.begin(path, &http::HeaderMap::new()).is_none());
    }
}
