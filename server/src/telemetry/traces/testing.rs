//! What the tests of this folder share: spans that stay here.

use super::export::Traces;
use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::sync::{Arc, Mutex};

/// Takes spans like a collector.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl Kept {
    pub(super) fn traces(sample_ratio: f64) -> (Self, Traces) {
        let kept = Self::default();
        let traces = Traces::over(kept.clone(), sample_ratio);
        (kept, traces)
    }

    /// What ended so far, in that order.
    pub(super) fn spans(&self, traces: &Traces) -> Vec<SpanData> {
        traces.flush();
        self.exported()
    }

    /// What was sent so far.
    pub(super) fn exported(&self) -> Vec<SpanData> {
        self.0.lock().unwrap().clone()
    }
}

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// One attribute as text, or nothing.
pub(super) fn get(span: &SpanData, key: &str) -> String {
    let found: Vec<&KeyValue> =
        span.attributes.iter().filter(|kv| kv.key.as_str() == key).collect();
    assert!(found.len() <= 1, "said twice: {span:?}");
    found.first().map_or_else(String::new, |kv| kv.value.as_str().into_owned())
}
