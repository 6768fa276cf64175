//! The dashboard: what its handlers share, and its routes.

use super::access::Access;
use super::api::{self, Failure};
use super::page;
use super::readiness::Readiness;
use super::same_site;
use crate::driver::Handle;
use crate::grpc::{AdminApi, Context, LockApi, Origin};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::time::timeout;
use tonic::Request;

/// Streams to pages at the same time. A page in the background has none.
const MAX_STREAMS: usize = 64;
/// Requests to masters at the same time: a list scans them.
const MAX_CALLS: usize = 8;
/// The largest request: a resource twice, and a reason.
const MAX_BODY_BYTES: usize = 8 * 1_024;
/// Whoever looks at a page does not wait longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dashboard(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) admin: AdminApi,
    pub(super) locks: LockApi,
    pub(super) driver: Handle,
    pub(super) readiness: Readiness,
    pub(super) access: Access,
    streams: Arc<Semaphore>,
    calls: Semaphore,
    closing: watch::Sender<bool>,
}

impl Dashboard {
    /// Over the services of `context`, for those whom `access` lets in.
    pub fn new(context: &Arc<Context>, readiness: Readiness, access: Access) -> Self {
        Self(Arc::new(Shared {
            admin: AdminApi::new(Arc::clone(context)),
            locks: LockApi::new(Arc::clone(context)),
            driver: context.driver.clone(),
            readiness,
            access,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            calls: Semaphore::new(MAX_CALLS),
            closing: watch::Sender::new(false),
        }))
    }

    /// The page, open to everybody, and the JSON, which is not.
    pub(super) fn router(&self) -> Router {
        let api = Router::new()
            .route("/session", get(api::session))
            .route("/status", get(api::status))
            .route("/locks", get(api::list))
            .route("/lock", get(api::inspect))
            .route("/live", get(api::live))
            .route("/watch", get(api::watch))
            .route("/force-release", post(api::force_release))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(from_fn_with_state(self.clone(), same_site::guard))
            .with_state(self.clone());
        page::router().nest("/api", api)
    }

    /// Ends the streams: the server waits for them.
    pub(super) fn close(&self) {
        self.0.closing.send_replace(true);
    }
}

impl Shared {
    /// One more stream to a page, until the permit is dropped.
    pub(super) fn admit_stream(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        permit.map_err(|_| Failure::busy("too many dashboards are open on this replica"))
    }

    /// One more request to the masters, in its turn.
    pub(super) async fn admit_call(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let permit = timeout(PATIENCE, self.calls.acquire()).await;
        permit
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| Failure::busy("too many requests are under way"))
    }

    /// Resolves when the streams are to end.
    pub(super) fn closing(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut closing = self.closing.subscribe();
        async move {
            // An error: the dashboard has gone, which is no less the end.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }
}

/// A call to one of the services, as if it had come over the wire.
pub(super) fn call<T>(origin: Origin, message: T) -> Request<T> {
    let mut request = stream(origin, message);
    request.set_timeout(PATIENCE);
    request
}

/// The same for one that lasts.
pub(super) fn stream<T>(origin: Origin, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(origin);
    request
}
