//! The port, and what is open to everybody on it: `/healthz`, `/readyz`, `/metrics`.

use super::dashboard::Dashboard;
use super::readiness::{Readiness, Report};
use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The version of Prometheus's text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the routes show.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Behind `/readyz`.
    pub readiness: Readiness,
    /// Behind `/metrics`.
    pub metrics: PrometheusHandle,
}

/// Serves until `shutdown` resolves and the requests under way are answered.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    dashboard: Dashboard,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(admin).merge(dashboard.router());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let ending = async move {
        shutdown.await;
        dashboard.close();
    };
    axum::serve(listener, service).with_graceful_shutdown(ending).await
}

/// The routes, without the dashboard.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// The process lives; nothing else is asked, or an outage of the masters would restart every replica.
async fn healthz() -> &'static str {
    "ok"
}

async fn readyz(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let report = admin.readiness.report();
    let code = match report.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    match accept.is_some_and(|accept| accept.contains(JSON)) {
        true => (code, [(CONTENT_TYPE, JSON)], as_json(&report)).into_response(),
        false => (code, [(CONTENT_TYPE, TEXT)], as_text(&report)).into_response(),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([(CONTENT_TYPE, METRICS)], admin.metrics.render()).into_response()
}

fn as_json(report: &Report) -> String {
    json!({
        "ready": report.is_ready(),
        "reasons": report.reasons(),
        "has_quorum": report.has_quorum,
        "masters": report.masters,
    })
    .to_string()
}

/// One fact a line: what makes it unready first, then what is worth knowing.
fn as_text(report: &Report) -> String {
    let reasons = report.reasons();
    let mut text = String::from(if reasons.is_empty() { "ready\n" } else { "not ready\n" });
    for reason in reasons {
        text += &format!("{reason}\n");
    }
    text += match report.has_quorum {
        true => "detail: a quorum of masters votes\n",
        false => "detail: no quorum of masters votes: locks cannot be taken at present\n",
    };
    for master in &report.masters {
        text += &format!("detail: master {} is {}", master.name, master.state);
        text += &match master.detail.is_empty() {
            true => "\n".to_owned(),
            false => format!(": {}\n", master.detail),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt;

    async fn get_path(readiness: &Readiness, path: &str, accept: &str) -> (StatusCode, String) {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::gauge!("holdfast_quorum").set(1.0));
        let admin = Admin { readiness: readiness.clone(), metrics: recorder.handle() };
        let request = Request::get(path).header(ACCEPT, accept).body(Body::empty()).unwrap();
        let response = router(admin).oneshot(request).await.unwrap();
        let code = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_lives_whatever_else_is_wrong() {
        let (code, body) = get_path(&Readiness::new(), "/healthz", "*/*").await;
        assert_eq!((code, body.as_str()), (StatusCode::OK, "ok"));
    }

    #[tokio::test]
    async fn readiness_is_a_status_and_names_its_reasons() {
        let readiness = Readiness::new();
        readiness.publish(Report::default());
        let (code, body) = get_path(&readiness, "/readyz", "*/*").await;
        assert_eq!(code, StatusCode::OK);
        assert!(body.starts_with("ready\n") && body.contains("no quorum"), "{body}");

        readiness.drain();
        let (code, body) = get_path(&readiness, "/readyz", "*/*").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.starts_with("not ready\ndraining"), "{body}");

        let (_, body) = get_path(&readiness, "/readyz", JSON).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["ready"], false);
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let (code, body) = get_path(&Readiness::new(), "/metrics", "*/*").await;
        assert_eq!(code, StatusCode::OK);
        assert!(body.contains("holdfast_quorum 1"), "{body}");
    }
}
