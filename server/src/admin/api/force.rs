//! A lock taken back from its holder, as ForceRelease does it and writes it down.

use super::super::access::Visitor;
use super::super::dashboard::{Dashboard, call};
use super::{Failure, words};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use holdfast_proto::v1::ForceReleaseRequest;
use holdfast_proto::v1::admin_service_server::AdminService;
use serde::Deserialize;
use serde_json::Value;

/// Which lease, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    resource: String,
    fencing_token: u64,
    reason: String,
    immediate: bool,
    /// The name of the resource once more, as a person typed it.
    confirmation: String,
}

/// Only with a reason, and the name typed as it is.
pub(in crate::admin) async fn force_release(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    let shared = &dashboard.0;
    let body = body.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    let asked: Asked =
        serde_json::from_slice(&body).map_err(|error| Failure::invalid(error.to_string()))?;
    let Asked { resource, fencing_token, reason, immediate, confirmation } = asked;
    // What they may do is the service's to say: it writes down who tried.
    let origin = shared.access.identify(&visitor)?;
    shared.access.can_force()?;
    if confirmation != resource {
        return Err(Failure::invalid("confirmation: must be the name of the resource"));
    }
    if reason.trim().is_empty() {
        return Err(Failure::invalid("reason: must say why, for the audit log"));
    }
    let asked = ForceReleaseRequest { resource, fencing_token, reason, immediate };
    let forced = shared.admin.force_release(call(origin, asked)).await?;
    Ok(Json(words::forced(forced.get_ref())))
}
