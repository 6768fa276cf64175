//! AdminService: how the masters fare, what is locked, and locks taken back. One file an rpc.
//!
//! Deliberately absent: deciding what a reading means or what may be taken back, which is the
//! engine's.

mod audit;
mod describe;
mod force;
mod list;
mod shown;
mod status;

use super::errors::Refusal;
use super::origin::Origin;
use super::server::Context;
use crate::auth::Permission;
use crate::clock;
use audit::Entry;
use holdfast_engine::{MasterId, MasterView, Status as ReplicaStatus};
use holdfast_proto::v1::admin_service_server::AdminService;
use holdfast_proto::v1::{
    DescribeLockRequest, DescribeLockResponse, ForceReleaseRequest, ForceReleaseResponse,
    GetClusterStatusRequest, GetClusterStatusResponse, ListLocksRequest, ListLocksResponse,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};
use tracing::{debug, error, warn};

/// The service.
#[derive(Debug)]
pub struct AdminApi {
    context: Arc<Context>,
}

impl AdminApi {
    /// The service over what `context` names.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    fn authorize(
        &self,
        origin: &Origin,
        permission: Permission,
        resource: Option<&str>,
    ) -> Result<(), Refusal> {
        Ok(self.context.gate.permits(&origin.caller, permission, resource)?)
    }

    fn answer<T>(
        &self,
        rpc: &'static str,
        outcome: Result<T, Refusal>,
    ) -> Result<Response<T>, Status> {
        outcome.map(Response::new).map_err(|refusal| {
            let status = refusal.to_status(&self.context.masters);
            match refusal {
                Refusal::Misanswered => error!(rpc, "the engine answered another question"),
                Refusal::Denied(_) => warn!(rpc, why = status.message(), "permission denied"),
                _ => debug!(rpc, code = ?status.code(), why = status.message(), "refused"),
            }
            status
        })
    }
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn list_locks(
        &self,
        request: Request<ListLocksRequest>,
    ) -> Result<Response<ListLocksResponse>, Status> {
        let outcome = self.list(&request, clock::now()).await;
        self.answer("ListLocks", outcome)
    }

    async fn describe_lock(
        &self,
        request: Request<DescribeLockRequest>,
    ) -> Result<Response<DescribeLockResponse>, Status> {
        let outcome = self.describe(request).await;
        self.answer("DescribeLock", outcome)
    }

    async fn force_release(
        &self,
        request: Request<ForceReleaseRequest>,
    ) -> Result<Response<ForceReleaseResponse>, Status> {
        let entry = Entry::of(&request);
        let outcome = self.force(&request, clock::now()).await;
        let answered = self.answer("ForceRelease", outcome);
        entry.conclude(answered.as_ref().map(Response::get_ref));
        answered
    }

    async fn get_cluster_status(
        &self,
        request: Request<GetClusterStatusRequest>,
    ) -> Result<Response<GetClusterStatusResponse>, Status> {
        let outcome = self.status(&Origin::of(&request)).await;
        self.answer("GetClusterStatus", outcome)
    }
}

fn views(status: &ReplicaStatus) -> impl Iterator<Item = (MasterId, &MasterView)> {
    status.masters.iter().enumerate().map(|(index, view)| (MasterId(index as u8), view))
}
