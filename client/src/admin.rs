//! The calls of operators, retried and routed like all others. Their messages are the contract's own.

use holdfast_proto::v1;
use holdfast_proto::v1::admin_service_client::AdminServiceClient;

use crate::client::Client;
use crate::error::Error;

/// How many locks one call asks for.
const PAGE: u32 = 500;

/// The calls of operators. Made by [`Client::admin`].
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// All locks whose resource begins with `prefix`, page by page until the last.
    pub async fn list_locks(&self, prefix: &str) -> Result<Vec<v1::LockInfo>, Error> {
        let mut locks = Vec::new();
        let mut page_token = String::new();
        loop {
            let (prefix, page_size) = (prefix.to_owned(), PAGE);
            let request = v1::ListLocksRequest { prefix, page_size, page_token };
            let page = self
                .client
                .call(self.client.patience(), |channel| {
                    let request = request.clone();
                    async move { AdminServiceClient::new(channel).list_locks(request).await }
                })
                .await?
                .into_inner();
            locks.extend(page.locks);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(locks);
            }
        }
    }

    /// What each master knows about a resource, and who waits for it.
    pub async fn describe_lock(&self, resource: &str) -> Result<v1::DescribeLockResponse, Error> {
        let request = v1::DescribeLockRequest { resource: resource.to_owned() };
        let answer = self
            .client
            .call(self.client.patience(), |channel| {
                let request = request.clone();
                async move { AdminServiceClient::new(channel).describe_lock(request).await }
            })
            .await?;
        Ok(answer.into_inner())
    }

    /// Takes a lock back from its holder.
    pub async fn force_release(
        &self,
        request: v1::ForceReleaseRequest,
    ) -> Result<v1::ForceReleaseResponse, Error> {
        let answer = self
            .client
            .call(self.client.patience(), |channel| {
                let request = request.clone();
                async move { AdminServiceClient::new(channel).force_release(request).await }
            })
            .await?;
        Ok(answer.into_inner())
    }

    /// How the masters and the replica that answers fare.
    pub async fn cluster_status(&self) -> Result<v1::GetClusterStatusResponse, Error> {
        let answer = self
            .client
            .call(self.client.patience(), |channel| async move {
                let request = v1::GetClusterStatusRequest {};
                AdminServiceClient::new(channel).get_cluster_status(request).await
            })
            .await?;
        Ok(answer.into_inner())
    }
}
