//! How the masters and this replica fare: what GetClusterStatus says, and what /readyz does.

use super::super::access::Visitor;
use super::super::dashboard::{Dashboard, Shared, call};
use super::{Failure, words};
use crate::auth::Permission;
use crate::grpc::Origin;
use axum::Json;
use axum::extract::State;
use holdfast_proto::v1::GetClusterStatusRequest;
use holdfast_proto::v1::admin_service_server::AdminService;
use serde_json::Value;

/// Once, for who asks.
pub(in crate::admin) async fn status(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
) -> Result<Json<Value>, Failure> {
    let origin = dashboard.0.access.authorize(&visitor, Permission::Admin, None)?;
    Ok(Json(present(&dashboard.0, origin).await?))
}

/// As it is.
pub(super) async fn present(shared: &Shared, origin: Origin) -> Result<Value, Failure> {
    let request = call(origin, GetClusterStatusRequest {});
    let status = shared.admin.get_cluster_status(request).await?;
    Ok(words::status(status.get_ref(), &shared.readiness.report()))
}
