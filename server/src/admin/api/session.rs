//! Who is it that looks, and what may they do?

use super::super::access::Visitor;
use super::super::dashboard::Dashboard;
use super::Failure;
use crate::auth::Permission;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// What the page needs.
const USED: [Permission; 4] =
    [Permission::Admin, Permission::Describe, Permission::Watch, Permission::ForceRelease];

/// Answers also whoever may do nothing, and says what is missing.
pub(in crate::admin) async fn session(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
) -> Result<Json<Value>, Failure> {
    let access = &dashboard.0.access;
    let origin = access.identify(&visitor)?;
    let denied = |permission| access.permits(&origin.caller, permission, None).err();
    let missing = USED.into_iter().filter(|it| denied(*it).is_some()).map(Permission::name);
    Ok(Json(json!({
        "authentication": access.asks(),
        "identity": origin.caller.identity().map(|name| &**name),
        "missing": missing.collect::<Vec<_>>(),
        "force_release_why": denied(Permission::ForceRelease).map(Failure::into_message),
    })))
}
