//! What all clients of the churn share: where the replicas are, what was counted, what must not be.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_tests::calls::reason;
use holdfast_tests::proxy::Proxy;
use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use super::oracle::Oracle;

/// The replica that is killed now and then. A call to the other one has no excuse for not being answered.
pub(super) const VICTIM: usize = 1;

/// How much longer than asked for an answer may take. Nothing takes as long unless it is lost.
const ANSWER: Duration = Duration::from_secs(15);

/// What the harness says when it waits for a stream no longer: not even a killed replica leads to that.
const GIVEN_UP: &str = "given up by the test harness";

/// What a deployment that loses a minority may say to a client that asks for nothing odd.
const REASONS: [&str; 3] = ["LEASE_LOST", "NO_QUORUM", "SUPERSEDED"];

/// The churn.
#[derive(Debug)]
pub(super) struct Scene {
    /// Where the replicas serve.
    pub(super) replicas: [SocketAddr; 2],
    /// When clients begin no new episode.
    pub(super) until: Instant,
    oracle: Mutex<Oracle>,
    counts: Mutex<BTreeMap<String, u64>>,
}

/// A connection of one client to one replica.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) channel: Channel,
    pub(super) replica: usize,
}

impl Scene {
    pub(super) fn new(replicas: [SocketAddr; 2], until: Instant) -> Scene {
        Scene { replicas, until, oracle: Mutex::default(), counts: Mutex::default() }
    }

    /// The oracle. For a moment: nothing is awaited meanwhile.
    pub(super) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened once more.
    pub(super) fn count(&self, what: &str) {
        *self.counts().entry(what.to_owned()).or_default() += 1;
    }

    /// What happened how often.
    pub(super) fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to a replica anew.
    pub(super) async fn connect(&self, replica: usize) -> Option<Line> {
        self.connect_at(self.replicas[replica], replica).await
    }

    /// Connects to a replica through a network of the client's own.
    pub(super) async fn connect_through(&self, proxy: &Proxy, replica: usize) -> Option<Line> {
        self.connect_at(proxy.address(), replica).await
    }

    async fn connect_at(&self, address: SocketAddr, replica: usize) -> Option<Line> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        match timeout(ANSWER, endpoint.connect()).await {
            Ok(Ok(channel)) => {
                self.count("connection opened");
                return Some(Line { channel, replica });
            }
            Ok(Err(_)) if replica == VICTIM => self.count("connection refused"),
            other => {
                let violation = format!("replica {replica} cannot be connected to: {other:?}");
                self.oracle().blame(violation);
            }
        }
        None
    }

    /// Has a call that may wait for `wait` answered. `None`: its outcome is unknown, or an error.
    pub(super) async fn call<T>(
        &self,
        line: &Line,
        wait: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Option<T> {
        match timeout(wait + ANSWER, call).await {
            Ok(Ok(response)) => Some(response.into_inner()),
            Ok(Err(status)) => {
                self.failed(line.replica, &status);
                None
            }
            Err(_) => {
                self.oracle().blame(format!("replica {} did not answer a call", line.replica));
                None
            }
        }
    }

    /// A call ended with an error: is it one that may be?
    pub(super) fn failed(&self, replica: usize, status: &Status) {
        match reason(status) {
            Some(reason) => {
                self.count(&format!("error {reason}"));
                if !REASONS.contains(&reason.as_str()) {
                    self.oracle().blame(format!("replica {replica}: {status:?}"));
                }
            }
            None if replica == VICTIM && !status.message().contains(GIVEN_UP) => {
                self.count("error of a connection");
            }
            None => self.oracle().blame(format!("replica {replica}: {status:?}")),
        }
    }
}

impl Line {
    pub(super) fn locks(&self) -> LockServiceClient<Channel> {
        LockServiceClient::new(self.channel.clone())
    }
}
