//! The client: how to get to the service, and the calls that need no lock in hand.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use tokio::runtime::Handle;
use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::admin::Admin;
use crate::clock::Moment;
use crate::election::Election;
use crate::error::Error;
use crate::failure::Failure;
use crate::keep::Renewals;
use crate::lease::{Lease, LeaseId, Standing};
use crate::lock::Lock;
use crate::names;
use crate::replicas::{Connection, Patience, Replica, Replicas, Way, call};
use crate::retry::RetryPolicy;
use crate::token::{Bearer, Channel, Source};
use crate::watch::Watch;

/// Connections that are silent are asked for a sign of life this often, so that a host that is gone is
/// noticed although nothing is sent.
const PING_EVERY: Duration = Duration::from_secs(5);
/// A stall of a replica that is shorter costs no stream.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client of the service. Cheap to clone; all clones share their connections.
///
/// It connects when it is first used, connects again when a connection breaks, and goes to the next
/// address when a replica fails. It belongs to the tokio runtime it was made in.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    replicas: Replicas,
    renewals: Arc<Renewals>,
    retry: RetryPolicy,
    holder: String,
    drift: f64,
}

/// How a [`Client`] is made.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    addresses: Vec<String>,
    tls: Option<ClientTlsConfig>,
    token: Option<Source>,
    retry: RetryPolicy,
    holder: Option<String>,
    drift: f64,
}

impl Client {
    /// A client of the replica at `address`, such as `http://127.0.0.1:7420`; `https://` speaks TLS and
    /// trusts the certificates this machine trusts.
    pub fn new(address: impl Into<String>) -> Result<Self, Error> {
        Self::builder().address(address).build()
    }

    /// A client of several replicas, or with other settings.
    pub fn builder() -> ClientBuilder {
        let (addresses, tls, token, holder) = (Vec::new(), None, None, None);
        ClientBuilder { addresses, tls, token, retry: RetryPolicy::default(), holder, drift: 0.01 }
    }

    /// The lock of `resource`: how to take it is said on the [`Lock`].
    pub fn lock(&self, resource: impl Into<String>) -> Lock {
        Lock::new(self.clone(), resource.into())
    }

    /// The leadership of `resource`, to campaign for or to observe.
    pub fn election(&self, resource: impl Into<String>) -> Election {
        Election::new(self.clone(), resource.into())
    }

    /// Who holds `resource`, at once and at every change. Nothing is sent before the first
    /// [`Watch::next`].
    pub fn watch(&self, resource: impl Into<String>) -> Watch {
        Watch::new(self.clone(), resource.into())
    }

    /// Renews a lease once, such as one that [`Guard::into_lease`](crate::Guard::into_lease) left. A
    /// [`Guard`](crate::Guard) does that by itself.
    pub async fn extend(
        &self,
        resource: &str,
        lease_id: &LeaseId,
        fencing_token: u64,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        let request = v1::ExtendRequest {
            resource: resource.to_owned(),
            lease_id: lease_id.as_str().to_owned(),
            fencing_token,
            ttl: Some(wire(ttl, "ttl")?),
            ..v1::ExtendRequest::default()
        };
        self.send_extend(&request, self.patience()).await
    }

    /// Gives a lease back. A fencing token of 0 stands for one that was never learned: then any lease
    /// with this `lease_id` is given back.
    pub async fn release(
        &self,
        resource: &str,
        lease_id: &LeaseId,
        fencing_token: u64,
    ) -> Result<ReleaseOutcome, Error> {
        self.send_release(resource, lease_id, fencing_token, self.patience()).await
    }

    /// Asks, on behalf of a storage service, how a fencing token stands. Advice, not a guard: the storage
    /// must still keep the highest token it has seen and compare on every write.
    ///
    /// ```no_run
    /// # async fn ask(client: holdfast_client::Client, token: u64) -> Result<(), holdfast_client::Error> {
    /// use holdfast_client::Standing;
    ///
    /// if client.check_fencing_token("accounts/7", token).await? != Standing::Current {
    ///     println!("{token} is not the holder's");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn check_fencing_token(
        &self,
        resource: &str,
        fencing_token: u64,
    ) -> Result<Standing, Error> {
        let request = v1::CheckFencingTokenRequest { resource: resource.to_owned(), fencing_token };
        let answer = self
            .call(self.patience(), |channel| {
                let request = request.clone();
                async move { LockServiceClient::new(channel).check_fencing_token(request).await }
            })
            .await?;
        Standing::from_wire(&answer.into_inner())
    }

    /// The calls of operators.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// The addresses it was built with.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.inner.replicas.all().iter().map(|replica| replica.address.as_str())
    }

    pub(crate) fn holder(&self) -> &str {
        &self.inner.holder
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.inner.retry
    }

    pub(crate) fn drift(&self) -> f64 {
        self.inner.drift
    }

    pub(crate) fn replicas(&self) -> &Replicas {
        &self.inner.replicas
    }

    pub(crate) fn renewals(&self) -> &Arc<Renewals> {
        &self.inner.renewals
    }

    /// What a call that waits for nobody may take.
    pub(crate) fn patience(&self) -> Patience {
        let RetryPolicy { give_up_after, attempt_timeout, .. } = *self.retry();
        Patience { attempt: attempt_timeout, until: Moment::now().after(give_up_after) }
    }

    pub(crate) async fn call<Call, Answer, T>(
        &self,
        patience: Patience,
        rpc: Call,
    ) -> Result<T, Error>
    where
        Call: Fn(Channel) -> Answer,
        Answer: Future<Output = Result<T, tonic::Status>>,
    {
        let rpc = |connection: Arc<Connection>| rpc(connection.channel.clone());
        call(&self.inner.replicas, &self.inner.retry, patience, rpc).await
    }

    /// What concerns one lease goes over a session.
    pub(crate) async fn ask<Ask, Answer, T>(&self, patience: Patience, ask: Ask) -> Result<T, Error>
    where
        Ask: Fn(Arc<Connection>) -> Answer,
        Answer: Future<Output = Result<T, Failure>>,
    {
        call(&self.inner.replicas, &self.inner.retry, patience, ask).await
    }

    pub(crate) async fn send_extend(
        &self,
        request: &v1::ExtendRequest,
        patience: Patience,
    ) -> Result<Lease, Error> {
        let ask = |connection: Arc<Connection>| async move {
            connection.session.extend(|| request.clone()).await
        };
        let (sent, answer) = self.ask(patience, ask).await?;
        let lease = answer.lease.ok_or_else(|| Error::contract("an extend without a lease"))?;
        Lease::received(lease, sent, self.drift())
    }

    pub(crate) async fn send_release(
        &self,
        resource: &str,
        lease_id: &LeaseId,
        fencing_token: u64,
        patience: Patience,
    ) -> Result<ReleaseOutcome, Error> {
        let request = || v1::ReleaseRequest {
            resource: resource.to_owned(),
            lease_id: lease_id.as_str().to_owned(),
            fencing_token,
        };
        let ask =
            |connection: Arc<Connection>| async move { connection.session.release(request).await };
        let answer = self.ask(patience, ask).await?;
        Ok(ReleaseOutcome::from_wire(answer.outcome()))
    }
}

impl ClientBuilder {
    /// One more replica. The first one that answers is used; the others are there for when it fails. To
    /// spread many clients, give them the same addresses in different orders.
    ///
    /// A name that stands for several addresses is as good: a client begins with any of them, and a new
    /// connection, after one that broke or fell silent, with the next.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// More replicas.
    #[must_use]
    pub fn addresses(self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        addresses.into_iter().fold(self, Self::address)
    }

    /// How `https://` addresses are spoken to: a certificate authority, a client certificate, a server
    /// name. Without it they must have a certificate that this machine trusts.
    #[must_use]
    pub fn tls(mut self, tls: ClientTlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The bearer token that says who this client is, to servers that ask. It is sent with every call and
    /// every stream, over `http://` in clear, and never shown.
    ///
    /// Of this and [`token_file`](Self::token_file) the last one counts.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Source::Fixed(token.into()));
        self
    }

    /// The same from a file, which is read again as it changes: once a second at most, when something is
    /// sent. So a token that ends, such as one that Kubernetes projects, is replaced in time.
    ///
    /// A file that cannot be read is an error of [`build`](Self::build); later, the last token that was
    /// read stays in use.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = Some(Source::File(path.into()));
        self
    }

    /// How often and how long calls are tried.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Who this is, for people to read; a [`Lock`] may say otherwise. Without it, the host's name and
    /// the process id.
    #[must_use]
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    /// How much clocks may differ in speed; the server's `lease.drift`. 0.01 if it is not changed there.
    #[must_use]
    pub fn drift(mut self, drift: f64) -> Self {
        self.drift = drift;
        self
    }

    /// Checks the settings. Opens no connection yet.
    ///
    /// # Errors
    /// [`Error::Invalid`], with what does not fit; also outside a tokio runtime.
    pub fn build(self) -> Result<Client, Error> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Error::invalid("runtime", "a client is made inside a tokio runtime"));
        };
        if self.addresses.is_empty() {
            return Err(Error::invalid("address", "at least one, such as http://127.0.0.1:7420"));
        }
        if !(0.0..0.5).contains(&self.drift) {
            return Err(Error::invalid("drift", "a fraction from 0 to 0.5, such as 0.01"));
        }
        let bearer = Bearer::new(self.token.as_ref())?;
        let replica = |address: &String| replica(address, self.tls.as_ref(), &bearer, &runtime);
        let replicas = self.addresses.iter().map(replica).collect::<Result<Vec<_>, _>>()?;
        let holder = self.holder.unwrap_or_else(host_and_process);
        let replicas = Replicas::new(replicas);
        let renewals = Arc::new(Renewals::new(runtime));
        let (retry, drift) = (self.retry, self.drift);
        let inner = Inner { replicas, renewals, retry, holder, drift };
        Ok(Client { inner: Arc::new(inner) })
    }
}

fn replica(
    address: &str,
    tls: Option<&ClientTlsConfig>,
    bearer: &Bearer,
    runtime: &Handle,
) -> Result<Replica, Error> {
    let unfit = |_| Error::invalid("address", &format!("{address:?} is not http(s)://host:port"));
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("http" | "https")) {
        return Err(Error::invalid("address", &format!("{address:?} is not http(s)://host:port")));
    }
    let mut endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(unfit)?
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    if scheme == Some("https") {
        let tls = tls.cloned().unwrap_or_else(|| ClientTlsConfig::new().with_native_roots());
        let unfit = |error| Error::invalid("tls", &format!("does not fit: {error}"));
        endpoint = endpoint.tls_config(tls).map_err(unfit)?;
    }
    let way = Way { endpoint, connector: names::connector(CONNECT_TIMEOUT) };
    Ok(Replica::new(address.to_owned(), way, bearer.clone(), runtime.clone()))
}

fn host_and_process() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}

/// What a release came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseOutcome {
    /// The lease was given back; the next waiter may go on.
    Released,
    /// Nobody held the resource: the lease had expired, or was released before.
    NotHeld,
    /// Another lease holds the resource. It was not touched.
    HeldByAnother,
    /// Too few masters answered. The lease is gone at the latest after its ttl.
    Unconfirmed,
}

impl ReleaseOutcome {
    pub(crate) fn from_wire(outcome: v1::ReleaseOutcome) -> Self {
        match outcome {
            v1::ReleaseOutcome::Released => Self::Released,
            v1::ReleaseOutcome::NotHeld => Self::NotHeld,
            v1::ReleaseOutcome::HeldByAnother => Self::HeldByAnother,
            v1::ReleaseOutcome::Unspecified | v1::ReleaseOutcome::Unconfirmed => Self::Unconfirmed,
        }
    }
}

/// A span as the contract writes it.
pub(crate) fn wire(span: Duration, field: &str) -> Result<prost_types::Duration, Error> {
    span.try_into().map_err(|_| Error::invalid(field, "is too long"))
}
