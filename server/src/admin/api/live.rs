//! What happens, as it happens: server-sent events, which the page reads with fetch so that it can show its token.
//!
//! Each stream ends by itself after a while, so that who may see it is asked anew. Deliberately absent: a
//! queue. Who reads slowly gets the latest state.

use super::super::access::Visitor;
use super::super::dashboard::{self, Dashboard, Shared};
use super::inspect::Asked;
use super::status::present;
use super::{Failure, words};
use crate::auth::Permission;
use crate::clock;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use holdfast_engine::Resource;
use holdfast_proto::v1::WatchLeaderRequest;
use holdfast_proto::v1::lock_service_server::LockService;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{MissedTickBehavior, interval};

/// How often a state is repeated that has not changed: what is older is stale.
const BEAT: Duration = Duration::from_secs(1);
/// Rights may have been taken away: who still looks comes again.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How the masters and this replica fare, every second.
pub(in crate::admin) async fn live(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
) -> Result<Response, Failure> {
    let shared = Arc::clone(&dashboard.0);
    shared.access.authorize(&visitor, Permission::Admin, None)?;
    let permit = shared.admit_stream()?;
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = (Arc::clone(&shared), visitor, beats);
    let states = stream::unfold(looking, async |(shared, visitor, mut beats)| {
        beats.tick().await;
        // They may not look any more, or the engine has ended: and so does this.
        let origin = shared.access.confirm(&visitor, Permission::Admin).ok()?;
        let status = present(&shared, origin).await.ok()?;
        Some((("status", status), (shared, visitor, beats)))
    });
    Ok(events(&shared, states, permit))
}

/// Who holds a resource: at every change, and confirmed every second.
pub(in crate::admin) async fn watch(
    State(shared): State<Dashboard>,
    visitor: Visitor,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Failure> {
    let shared = Arc::clone(&shared.0);
    let Query(Asked { resource }) =
        asked.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    let origin = shared.access.authorize(&visitor, Permission::Watch, Some(&resource))?;
    let permit = shared.admit_stream()?;
    let name = Resource::new(&resource);
    let request = WatchLeaderRequest {
        resource,
        bookmark_interval: crate::grpc::convert::wire(BEAT),
        ..WatchLeaderRequest::default()
    };
    // No deadline: it ends with the connection.
    let said = shared.locks.watch_leader(dashboard::stream(origin, request)).await?.into_inner();
    let history = shared.driver.history().clone();
    let views = said.map(move |said| match said {
        Ok(said) => ("leader", words::watched(&said, &history.of(&name), clock::now())),
        Err(status) => ("end", json!({ "message": status.message() })),
    });
    Ok(events(&shared, views, permit))
}

/// Until the server stops, or it is time to come again.
fn events(
    shared: &Shared,
    states: impl Stream<Item = (&'static str, Value)> + Send + 'static,
    permit: OwnedSemaphorePermit,
) -> Response {
    let closing = shared.closing();
    let over = async {
        tokio::select! {
            () = closing => {}
            () = tokio::time::sleep(LIFETIME) => {}
        }
    };
    let events = states.take_until(Box::pin(over)).map(move |(name, state)| {
        let _permit = &permit;
        Ok::<_, Infallible>(Bytes::from(format!("event: {name}\ndata: {state}\n\n")))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        // nginx would gather events until they are worth a packet.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}
