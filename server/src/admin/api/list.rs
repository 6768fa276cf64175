//! One page of locks, as ListLocks has it.

use super::super::access::Visitor;
use super::super::dashboard::{Dashboard, call};
use super::{Failure, words};
use crate::auth::Permission;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use holdfast_proto::v1::ListLocksRequest;
use holdfast_proto::v1::admin_service_server::AdminService;
use serde::Deserialize;
use serde_json::{Value, json};

/// Locks of a page; what a person can look at.
const MAX_PAGE_SIZE: u32 = 200;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::admin) struct Asked {
    prefix: String,
    page_size: u32,
    page_token: String,
}

impl Default for Asked {
    fn default() -> Self {
        Self { prefix: String::new(), page_size: 50, page_token: String::new() }
    }
}

/// Shows only what the caller may describe.
pub(in crate::admin) async fn list(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Failure> {
    let shared = &dashboard.0;
    let origin = shared.access.authorize(&visitor, Permission::Describe, None)?;
    let Query(Asked { prefix, page_size, page_token }) =
        asked.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    let _call = shared.admit_call().await?;
    let page_size = page_size.clamp(1, MAX_PAGE_SIZE);
    let request = call(origin, ListLocksRequest { prefix, page_size, page_token });
    let page = shared.admin.list_locks(request).await?.into_inner();
    Ok(Json(json!({
        "locks": page.locks.iter().map(words::lock).collect::<Vec<_>>(),
        "next_page_token": page.next_page_token,
    })))
}
