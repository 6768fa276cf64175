//! grpc.health.v1: `""` is readiness, `holdfast.v1.LockService` says whether locks can be taken.
//! Follows the readiness handle; decides nothing.

use crate::admin::Readiness;
use holdfast_proto::v1::lock_service_server::SERVICE_NAME;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

/// The service, and what keeps it up to date.
pub(super) async fn health() -> (HealthServer<impl Health>, HealthReporter) {
    let (reporter, service) = health_reporter();
    // Nothing is known yet, and a probe may come before the first status does.
    for service in ["", SERVICE_NAME] {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
    (service, reporter)
}

/// Runs for as long as there is readiness to follow.
pub(super) async fn follow(readiness: Readiness, reporter: HealthReporter) {
    let mut changes = readiness.subscribe();
    loop {
        let report = changes.borrow_and_update().clone();
        let up = serving(report.is_ready());
        reporter.set_service_status("", up).await;
        let locks = serving(report.has_quorum && !report.is_draining());
        reporter.set_service_status(SERVICE_NAME, locks).await;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn serving(yes: bool) -> ServingStatus {
    if yes { ServingStatus::Serving } else { ServingStatus::NotServing }
}
