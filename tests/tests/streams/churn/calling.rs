//! Episodes of everything but Hold: unary calls, KeepAlive, watches, operators, bare connections.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::admin_service_client::AdminServiceClient;
use holdfast_proto::v1::describe_lock_response::State;
use holdfast_proto::v1::keep_alive_response::Result as Renewal;
use holdfast_proto::v1::{
    AcquireRequest, DescribeLockRequest, ExtendRequest, ForceReleaseOutcome, ForceReleaseRequest,
    KeepAliveRequest, ReleaseOutcome, ReleaseRequest,
};
use holdfast_tests::calls::Lease;
use holdfast_tests::streams::{KeepAliveStream, keep_alive_over, wire};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::oracle::{Name, deadline};
use super::plan::{AcquirePlan, ForcePlan, KeepAlivePlan};
use super::scene::{Line, Scene};

/// A response on a stream does not take as long.
const ANSWER: Duration = Duration::from_secs(15);
/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn name(lease: &Lease) -> Name<'_> {
    Name { resource: &lease.resource, lease_id: &lease.lease_id }
}

/// Takes a lock by a unary call, with a ttl and a wait.
pub(super) async fn acquire(
    scene: &Scene,
    line: &Line,
    resource: &str,
    lease_id: &str,
    (ttl, wait): (Duration, Duration),
) -> Option<Lease> {
    let request = AcquireRequest {
        resource: resource.to_owned(),
        holder: format!("holder of {lease_id}"),
        ttl: Some(wire(ttl)),
        wait: Some(wire(wait)),
        lease_id: lease_id.to_owned(),
        ..AcquireRequest::default()
    };
    let (highest, sent) = (scene.oracle().highest(resource), Instant::now());
    let response = scene.call(line, wait, line.locks().acquire(request)).await?;
    match response.outcome.expect("an AcquireResponse has an outcome") {
        Outcome::Lease(lease) => {
            let lease = Lease::from(lease);
            let times = (Instant::now(), deadline(sent, &lease));
            scene.oracle().granted(name(&lease), lease.fencing_token, highest, times);
            scene.count("acquire granted");
            Some(lease)
        }
        Outcome::Held(_) => {
            scene.count("acquire held");
            None
        }
    }
}

fn extend_request(lease: &Lease) -> ExtendRequest {
    ExtendRequest {
        resource: lease.resource.clone(),
        lease_id: lease.lease_id.clone(),
        fencing_token: lease.fencing_token,
        ttl: Some(wire(lease.ttl)),
        ..ExtendRequest::default()
    }
}

/// Renews a lease and replaces its metadata; says whether it was renewed.
async fn extend(scene: &Scene, line: &Line, lease: &Lease) -> bool {
    let metadata = BTreeMap::from([("value".to_owned(), lease.fencing_token.to_string())]);
    let request = ExtendRequest { metadata, ..extend_request(lease) };
    let sent = Instant::now();
    let call = scene.call(line, Duration::ZERO, line.locks().extend(request)).await;
    let Some(response) = call else { return false };
    let renewed = Lease::from(response.lease.expect("an ExtendResponse has a lease"));
    let times = (Instant::now(), deadline(sent, &renewed));
    scene.oracle().renewed(name(lease), renewed.fencing_token, times);
    scene.count("extended with metadata");
    true
}

async fn release(scene: &Scene, line: &Line, lease: &Lease) -> Option<ReleaseOutcome> {
    let request = ReleaseRequest {
        resource: lease.resource.clone(),
        lease_id: lease.lease_id.clone(),
        fencing_token: lease.fencing_token,
    };
    scene.oracle().ended(name(lease), Instant::now());
    let response = scene.call(line, Duration::ZERO, line.locks().release(request)).await?;
    scene.count(&format!("release {}", response.outcome().as_str_name()));
    Some(response.outcome())
}

pub(super) async fn acquire_and_extend(
    scene: &Scene,
    lease_id: &str,
    plan: &AcquirePlan,
) -> Option<()> {
    let line = scene.connect(plan.replica).await?;
    let acquire = acquire(scene, &line, &plan.resource, lease_id, (plan.ttl, plan.wait));
    let lease = if plan.cancel {
        let Ok(answered) = timeout(plan.wait / 2, acquire).await else {
            scene.count("acquire cancelled");
            return None;
        };
        answered?
    } else {
        acquire.await?
    };
    sleep(plan.ttl / 3).await;
    let other = scene.connect(1 - plan.replica).await?;
    extend(scene, &other, &lease).await;
    if plan.release {
        release(scene, &line, &lease).await?;
    }
    Some(())
}

pub(super) async fn force(scene: &Scene, lease_id: &str, plan: &ForcePlan) -> Option<()> {
    let line = scene.connect(plan.replica).await?;
    let mut admin = AdminServiceClient::new(line.channel.clone());
    let request = DescribeLockRequest { resource: plan.resource.clone() };
    let described = scene.call(&line, Duration::ZERO, admin.describe_lock(request)).await?;
    let (token, own) = match described.state {
        Some(State::Leader(leader)) => (leader.fencing_token, None),
        _ => {
            let (ttl, wait) = (Duration::from_secs(2), Duration::from_millis(300));
            let lease = acquire(scene, &line, &plan.resource, lease_id, (ttl, wait)).await?;
            (lease.fencing_token, Some(lease))
        }
    };
    let request = ForceReleaseRequest {
        resource: plan.resource.clone(),
        fencing_token: token,
        reason: "churn".to_owned(),
        immediate: plan.immediate,
    };
    let forced = scene.call(&line, Duration::ZERO, admin.force_release(request)).await?;
    scene.count(&format!("force {}", forced.outcome().as_str_name()));
    let (lease, line) = (own?, scene.connect(1 - plan.replica).await?);
    let taken = [ForceReleaseOutcome::Revoked, ForceReleaseOutcome::Deleted];
    if taken.contains(&forced.outcome()) && extend(scene, &line, &lease).await {
        scene.oracle().blame(format!("{lease:?} was extended after {forced:?}"));
    }
    Some(())
}

pub(super) async fn keep_alive(scene: &Scene, lease_id: &str, plan: &KeepAlivePlan) -> Option<()> {
    let line = scene.connect(plan.replica).await?;
    let times = (plan.ttl, Duration::from_millis(500));
    let held = acquire(scene, &line, &plan.held, lease_id, times).await;
    let given_back = acquire(scene, &line, &plan.given_back, lease_id, times).await;
    let gone = match &given_back {
        Some(lease) => release(scene, &line, lease).await == Some(ReleaseOutcome::Released),
        None => false,
    };
    let stream = match keep_alive_over(line.channel.clone()).await {
        Ok(stream) => stream,
        Err(status) => {
            scene.failed(line.replica, &status);
            return None;
        }
    };
    let mut renewals = Renewals { scene, line: &line, stream, sequence: 0 };
    for _ in 0..plan.rounds {
        if let Some(lease) = &held {
            renewals.renew(extend_request(lease)).await?;
        }
        if let Some(lease) = given_back.as_ref().filter(|_| gone)
            && let Renewal::Lease(renewed) = renewals.renew(extend_request(lease)).await?
        {
            scene.oracle().blame(format!("{renewed:?} had been given back"));
        }
        renewals.renew(ExtendRequest::default()).await?;
        sleep(plan.ttl / 4).await;
    }
    let mut stream = renewals.stream;
    if plan.half_close {
        stream.close();
        match timeout(ANSWER, stream.message()).await {
            Ok(Ok(None)) => scene.count("keep-alive ended by half-close"),
            Ok(Err(status)) => scene.failed(line.replica, &status),
            other => scene.oracle().blame(format!("a closed KeepAlive goes on: {other:?}")),
        }
    } else {
        scene.count("keep-alive dropped");
    }
    Some(())
}

/// The renewals of one stream, one at a time.
struct Renewals<'a> {
    scene: &'a Scene,
    line: &'a Line,
    stream: KeepAliveStream,
    sequence: u64,
}

impl Renewals<'_> {
    async fn renew(&mut self, extend: ExtendRequest) -> Option<Renewal> {
        let (scene, stream) = (self.scene, &mut self.stream);
        self.sequence += 1;
        let (sequence, sent) = (self.sequence, Instant::now());
        stream.send(KeepAliveRequest { extend: Some(extend.clone()), sequence });
        let response = match timeout(ANSWER, stream.message()).await {
            Ok(Ok(Some(response))) if response.sequence == sequence => response,
            Ok(Err(status)) => {
                scene.failed(self.line.replica, &status);
                return None;
            }
            other => {
                scene.oracle().blame(format!("renewal {sequence} was answered by {other:?}"));
                return None;
            }
        };
        let result = response.result.expect("a KeepAliveResponse has a result");
        match &result {
            Renewal::Lease(lease) => {
                let lease = Lease::from(lease.clone());
                let times = (Instant::now(), deadline(sent, &lease));
                let lease_id = &extend.lease_id;
                let name = Name { resource: &extend.resource, lease_id };
                scene.oracle().renewed(name, lease.fencing_token, times);
                scene.count("keep-alive renewed");
            }
            Renewal::Lost(_) => scene.count("keep-alive told of a loss"),
            Renewal::Error(error) => scene.count(&format!("keep-alive error {}", error.reason)),
        }
        Some(result)
    }
}

/// Connections on which little or nothing is said.
pub(super) async fn connect(scene: &Scene, replica: usize, count: u64) -> Option<()> {
    let mut open = Vec::new();
    for index in 0..count {
        let Ok(mut stream) = TcpStream::connect(scene.replicas[replica]).await else { continue };
        // Half of a beginning, a whole one, none.
        let said = [PREFACE.len() / 2, PREFACE.len(), 0][index as usize % 3];
        let _ = stream.write_all(&PREFACE[..said]).await;
        open.push(stream);
    }
    open.push(TcpStream::connect(scene.replicas[replica]).await.ok()?);
    sleep(Duration::from_millis(50)).await;
    scene.connect(replica).await?;
    scene.count("connections dropped unused");
    Some(())
}
