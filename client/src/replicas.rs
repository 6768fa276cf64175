//! The replicas of the service: connections to each, and which one is asked next.
//!
//! All replicas are equal, so a call that fails here is tried there. Deliberately absent: balancing. A
//! client stays with the first address until it fails; whoever lists addresses spreads clients by their
//! order. An address may be a name that stands for several (`names`), or a proxy with replicas behind it.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_proto::errors::reason;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Endpoint;

use crate::clock::Moment;
use crate::error::{self, Error};
use crate::failure::Failure;
use crate::names::Connector;
use crate::retry::RetryPolicy;
use crate::session::Session;
use crate::token::{Bearer, Channel};

/// One address.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) address: String,
    way: Way,
    bearer: Bearer,
    runtime: Handle,
    /// With how many there were before.
    connection: Mutex<(u64, Arc<Connection>)>,
}

/// How a connection is made.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) endpoint: Endpoint,
    pub(crate) connector: Connector,
}

/// A connection to a replica. Connects when it is needed, and again when the connection breaks.
#[derive(Debug)]
pub(crate) struct Connection {
    /// For what has a stream of its own, or is asked rarely.
    pub(crate) channel: Channel,
    /// For all that concerns one lease.
    pub(crate) session: Session,
}

/// Which connection a call goes through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    index: usize,
    generation: u64,
}

impl Replica {
    pub(crate) fn new(address: String, way: Way, bearer: Bearer, runtime: Handle) -> Self {
        let connection = Mutex::new((0, Connection::new(&way, &bearer, &runtime)));
        Self { address, way, bearer, runtime, connection }
    }

    fn connection(&self) -> MutexGuard<'_, (u64, Arc<Connection>)> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn new(way: &Way, bearer: &Bearer, runtime: &Handle) -> Arc<Self> {
        let channel = way.endpoint.connect_with_connector_lazy(way.connector.clone());
        let channel = Channel::new(channel, bearer.clone());
        let session = Session::new(runtime.clone(), channel.clone());
        Arc::new(Self { channel, session })
    }
}

#[derive(Debug)]
pub(crate) struct Replicas {
    all: Vec<Replica>,
    next: AtomicUsize,
}

impl Replicas {
    /// `all` has at least one.
    pub(crate) fn new(all: Vec<Replica>) -> Self {
        Self { all, next: AtomicUsize::new(0) }
    }

    pub(crate) fn all(&self) -> &[Replica] {
        &self.all
    }

    /// How many there are beside the one that is asked.
    pub(crate) fn others(&self) -> usize {
        self.all.len() - 1
    }

    /// Where the next call goes.
    pub(crate) fn current(&self) -> (Route, Arc<Connection>) {
        let index = self.next.load(Ordering::Relaxed);
        let (generation, connection) = self.all[index].connection().clone();
        (Route { index, generation }, connection)
    }

    pub(crate) fn address(&self, route: Route) -> &str {
        &self.all[route.index].address
    }

    /// Whoever still asks this one goes on with the next.
    pub(crate) fn avoid(&self, Route { index, .. }: Route) {
        let next = (index + 1) % self.all.len();
        let _ = self.next.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The same, for one that is going away or silent. Behind its address may be others, which a new
    /// connection reaches; what is under way on the old one goes on there.
    pub(crate) fn leave(&self, route: Route) {
        let replica = &self.all[route.index];
        let mut connection = replica.connection();
        // Not once for everybody who is told so.
        if connection.0 == route.generation {
            let Replica { way, bearer, runtime, .. } = replica;
            let another = Connection::new(way, bearer, runtime);
            *connection = (route.generation + 1, another);
        }
        drop(connection);
        self.avoid(route);
    }

    /// After a call through this one failed.
    pub(crate) fn blame(&self, route: Route, status: &Status) {
        match error::reason_of(status) {
            Some(reason::SERVER_DRAINING) => self.leave(route),
            // By a newer call of this client, which goes on there.
            Some(reason::SUPERSEDED) => {}
            // It is well, and this client asks too much of it: no reason to ask others as much.
            Some(reason::RATE_LIMITED) => {}
            None if error::is_silence(status) => self.leave(route),
            _ => self.avoid(route),
        }
    }
}

/// How long one call is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// One try.
    pub(crate) attempt: Duration,
    /// All of them. The last one may take its time.
    pub(crate) until: Moment,
}

/// Makes a call, through one replica after the other, until it has an answer or `patience` is used up.
pub(crate) async fn call<Call, Answer, T, E>(
    replicas: &Replicas,
    retry: &RetryPolicy,
    patience: Patience,
    call: Call,
) -> Result<T, Error>
where
    Call: Fn(Arc<Connection>) -> Answer,
    Answer: Future<Output = Result<T, E>>,
    E: Into<Failure>,
{
    let mut pauses = retry.pauses().but_not_first(replicas.others());
    loop {
        let (route, connection) = replicas.current();
        let address = replicas.address(route);
        let left = patience.until.remaining().saturating_add(retry.attempt_timeout);
        let bound = patience.attempt.min(left);
        let failure = match timeout(bound, call(connection)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure.into(),
            Err(_) => silent(address, bound).into(),
        };
        let error = failure.error();
        if !error.is_transient() {
            return Err(error);
        }
        if let Failure::Status(status) = &failure {
            replicas.blame(route, status);
        }
        let pause = pauses.next().max(failure.hint());
        if pause >= patience.until.remaining() {
            return Err(error);
        }
        tracing::debug!(address, %error, ?pause, "a call is tried again");
        tokio::time::sleep(pause).await;
    }
}

/// What is said of one that does not answer.
pub(crate) fn silent(address: &str, bound: Duration) -> Status {
    error::silence(format!("{address} does not answer within {bound:?}"))
}
