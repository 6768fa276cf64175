//! A replica that asks who calls, and callers who say so.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::admin_service_client::AdminServiceClient;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{
    AcquireRequest, DescribeLockRequest, DescribeLockResponse, ExtendRequest, ForceReleaseRequest,
    ForceReleaseResponse, GetClusterStatusRequest, HoldResponse, Lease, ListLocksRequest,
    ReleaseOutcome, ReleaseRequest, WatchLeaderRequest, WatchLeaderResponse,
};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::streams::wire;
use holdfast_tests::tokens;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// How long one call may take.
const BOUND: Duration = Duration::from_secs(20);

/// Files that the configuration names, beside each other.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix("holdfast-access-").expect("in a test"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaced in one step, as who deploys does.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        fs::write(&new, text).expect("in a test");
        fs::rename(&new, &path).expect("in a test");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

/// A token and its entry for the file.
pub(crate) async fn new_token(name: &str) -> (String, String) {
    tokens::new_token(name).await.expect("in a test")
}

/// A replica of its own three masters, with this configuration.
pub(crate) async fn dev(config: &str) -> Holdfastd {
    let args = vec!["--dev".to_owned()];
    let options = HoldfastdOptions { config: config.to_owned(), args, ..Default::default() };
    Holdfastd::start(options).await.expect("in a test")
}

/// Lines of `[auth]`.
pub(crate) fn auth(settings: &[(&str, &Path)]) -> String {
    let lines = settings.iter().map(|(key, path)| format!("{key} = {path:?}\n"));
    format!("[auth]\n{}", lines.collect::<String>())
}

/// Somebody who calls, with or without a token.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    authorization: Vec<String>,
}

impl Client {
    pub(crate) fn anonymous(channel: Channel) -> Self {
        Self { channel, authorization: Vec::new() }
    }

    pub(crate) fn with_token(channel: Channel, token: &str) -> Self {
        Self { channel, authorization: vec![format!("Bearer {token}")] }
    }

    pub(crate) fn with_header(mut self, authorization: &str) -> Self {
        self.authorization.push(authorization.to_owned());
        self
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for value in &self.authorization {
            request.metadata_mut().append("authorization", value.parse().expect("in a test"));
        }
        request.set_timeout(BOUND);
        request
    }

    fn locks(&self) -> LockServiceClient<Channel> {
        LockServiceClient::new(self.channel.clone())
    }

    fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// `None`: somebody else holds it.
    pub(crate) async fn acquire(&self, resource: &str) -> Result<Option<Lease>, Status> {
        let request = AcquireRequest { resource: resource.to_owned(), ..Default::default() };
        self.acquire_as(request).await
    }

    pub(crate) async fn acquire_as(
        &self,
        request: AcquireRequest,
    ) -> Result<Option<Lease>, Status> {
        let answer = self.locks().acquire(self.request(request)).await?.into_inner();
        Ok(match answer.outcome {
            Some(Outcome::Lease(lease)) => Some(lease),
            _ => None,
        })
    }

    pub(crate) async fn extend(&self, lease: &Lease) -> Result<(), Status> {
        let request = ExtendRequest {
            resource: lease.resource.clone(),
            lease_id: lease.lease_id.clone(),
            fencing_token: lease.fencing_token,
            ttl: Some(wire(Duration::from_secs(10))),
            ..Default::default()
        };
        self.locks().extend(self.request(request)).await.map(drop)
    }

    pub(crate) async fn release(&self, lease: &Lease) -> Result<ReleaseOutcome, Status> {
        let request = ReleaseRequest {
            resource: lease.resource.clone(),
            lease_id: lease.lease_id.clone(),
            fencing_token: lease.fencing_token,
        };
        Ok(self.locks().release(self.request(request)).await?.into_inner().outcome())
    }

    pub(crate) async fn describe(&self, resource: &str) -> Result<DescribeLockResponse, Status> {
        let request = DescribeLockRequest { resource: resource.to_owned() };
        Ok(self.admin().describe_lock(self.request(request)).await?.into_inner())
    }

    pub(crate) async fn list(&self) -> Result<Vec<String>, Status> {
        let request = self.request(ListLocksRequest::default());
        let locks = self.admin().list_locks(request).await?.into_inner().locks;
        Ok(locks.into_iter().map(|lock| lock.resource).collect())
    }

    pub(crate) async fn force(&self, lease: &Lease) -> Result<ForceReleaseResponse, Status> {
        let request = ForceReleaseRequest {
            resource: lease.resource.clone(),
            fencing_token: lease.fencing_token,
            reason: "a test".to_owned(),
            immediate: false,
        };
        Ok(self.admin().force_release(self.request(request)).await?.into_inner())
    }

    pub(crate) async fn status(&self) -> Result<(), Status> {
        self.admin().get_cluster_status(self.request(GetClusterStatusRequest {})).await.map(drop)
    }

    /// The stream and its first message.
    pub(crate) async fn watch(
        &self,
        resource: &str,
    ) -> Result<Streaming<WatchLeaderResponse>, Status> {
        let resource = resource.to_owned();
        let mut request = self.request(WatchLeaderRequest { resource, ..Default::default() });
        // It lasts as long as its test.
        request.metadata_mut().remove("grpc-timeout");
        let opened = self.locks().watch_leader(request).await?;
        let mut stream = opened.into_inner();
        stream.message().await?;
        Ok(stream)
    }

    /// Does anybody wait for it?
    pub(crate) async fn queued(&self, resource: &str) -> bool {
        let Ok(shown) = self.describe(resource).await else { return false };
        shown.waiter_count > 0
    }

    /// Waits for it in a Hold, until that is refused.
    pub(crate) async fn queue(&self, resource: &str) -> Status {
        use futures_util::{StreamExt, stream};
        use holdfast_proto::v1::HoldRequest;
        use holdfast_proto::v1::hold_request::Message;
        use holdfast_tests::streams::{by_connection, start};
        let start = by_connection(start(resource, "waits", BOUND));
        let first = HoldRequest { message: Some(Message::Start(start)) };
        let requests = stream::iter([first]).chain(stream::pending());
        let mut said = match self.locks().hold(self.request(requests)).await {
            Ok(opened) => opened.into_inner(),
            Err(status) => return status,
        };
        loop {
            match said.message().await {
                Ok(Some(HoldResponse { event: Some(Event::Queued(_)), .. })) => {}
                Ok(other) => panic!("not refused: {other:?}"),
                Err(status) => return status,
            }
        }
    }

    /// A Hold that is granted, and kept alive by its connection.
    pub(crate) async fn hold(
        &self,
        resource: &str,
        ttl: Duration,
    ) -> Result<Streaming<HoldResponse>, Status> {
        self.hold_until(resource, ttl, std::future::pending()).await
    }

    /// The same, and given back when its client ends it.
    pub(crate) async fn hold_until(
        &self,
        resource: &str,
        ttl: Duration,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Streaming<HoldResponse>, Status> {
        use futures_util::{StreamExt, stream};
        use holdfast_proto::v1::HoldRequest;
        use holdfast_proto::v1::hold_request::Message;
        use holdfast_tests::streams::{by_connection, start};
        let start = by_connection(start(resource, resource, ttl));
        let first = HoldRequest { message: Some(Message::Start(start)) };
        let requests = stream::iter([first]).chain(stream::pending().take_until(end));
        let mut request = self.request(requests);
        // It lasts as long as its test.
        request.metadata_mut().remove("grpc-timeout");
        let mut responses = self.locks().hold(request).await?.into_inner();
        match responses.message().await? {
            Some(said) if matches!(said.event, Some(Event::Granted(_))) => Ok(responses),
            other => panic!("not granted: {other:?}"),
        }
    }
}

/// The identity that masters show for a lease.
pub(crate) fn identity(described: &DescribeLockResponse) -> &str {
    let shown = described.masters.iter().find(|master| !master.lease_fingerprint.is_empty());
    shown.map_or("", |master| master.identity.as_str())
}
