//! One lock, as DescribeLock has it, and the terms that were seen of it.

use super::super::access::Visitor;
use super::super::dashboard::{Dashboard, call};
use super::{Failure, words};
use crate::auth::Permission;
use crate::clock;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use holdfast_engine::Resource;
use holdfast_proto::v1::DescribeLockRequest;
use holdfast_proto::v1::admin_service_server::AdminService;
use serde::Deserialize;
use serde_json::Value;

/// Which lock. A query, for a name may contain slashes and be a dot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Asked {
    pub(super) resource: String,
}

/// Once, for who asks.
pub(in crate::admin) async fn inspect(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Failure> {
    let shared = &dashboard.0;
    let Query(Asked { resource }) =
        asked.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    let origin = shared.access.authorize(&visitor, Permission::Describe, Some(&resource))?;
    let _call = shared.admit_call().await?;
    let request = call(origin, DescribeLockRequest { resource: resource.clone() });
    let lock = shared.admin.describe_lock(request).await?.into_inner();
    let terms = shared.driver.history().of(&Resource::new(&resource));
    Ok(Json(words::described(&lock, &terms, clock::now())))
}
