//! AdminService: how the masters fare, and what each of them shows of a resource. Looks, and changes
//! nothing: ListLocks and ForceRelease are not served by this version.

use super::convert::{self, DescribeArgs, wire};
use super::errors::Refusal;
use super::lock_service::engine_deadline;
use super::server::Context;
use crate::clock;
use holdfast_engine::{
    Answer, Ballot, Body, Call, Doubt, Instant, Leadership, Lock, MasterAnswer, MasterId,
    MasterState, MasterView, Occupant, Reading, Standing, Status as ReplicaStatus, Waiter,
};
use holdfast_proto::v1::admin_service_server::AdminService;
use holdfast_proto::v1::{
    self, DescribeLockRequest, DescribeLockResponse, ForceReleaseRequest, ForceReleaseResponse,
    GetClusterStatusRequest, GetClusterStatusResponse, ListLocksRequest, ListLocksResponse,
    MasterLock, MasterStatus, UnknownReason, Vacant, describe_lock_response as described,
};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};
use tracing::{debug, error};

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

    async fn describe(
        &self,
        request: Request<DescribeLockRequest>,
    ) -> Result<DescribeLockResponse, Refusal> {
        let deadline = engine_deadline(&request, clock::now());
        let DescribeArgs { resource } =
            DescribeArgs::parse(request.get_ref(), &self.context.rules)?;
        let name = resource.name().to_owned();
        let answer =
            self.context.driver.call(Call::Read { resource, token: None, deadline }).await?;
        let status = self.context.driver.status().await?;
        match answer {
            Answer::Shown { reading, waiters, queue, newest } => Ok(DescribeLockResponse {
                resource: name,
                state: Some(state(&reading.leadership(&self.context.params), newest)),
                masters: self.shown(&reading, &status),
                waiter_count: waiters as u32,
                waiters: waiting(&queue, clock::now().boot),
            }),
            Answer::NoQuorum(answers) => Ok(DescribeLockResponse {
                resource: name,
                state: Some(unknown(UnknownReason::NoQuorum)),
                masters: self.unread(&answers, &status),
                ..DescribeLockResponse::default()
            }),
            other => Err(other.into()),
        }
    }

    fn shown(&self, reading: &Reading, status: &ReplicaStatus) -> Vec<MasterLock> {
        let lock = |(id, view): (MasterId, &MasterView)| {
            let (state, detail) = self.state_of(view);
            let lock = MasterLock {
                name: self.context.masters.name(id).to_owned(),
                state: state.into(),
                detail,
                ..MasterLock::default()
            };
            match reading.tally.get(id) {
                Some(Body::Read { standing, occupant }) => {
                    read(lock, standing, occupant.as_ref(), &self.context)
                }
                Some(Body::Unknown(why)) => {
                    MasterLock { detail: self.context.masters.public(why), ..lock }
                }
                _ => MasterLock { detail: "no answer".to_owned(), ..lock },
            }
        };
        views(status).map(lock).collect()
    }

    fn unread(&self, answers: &[MasterAnswer], status: &ReplicaStatus) -> Vec<MasterLock> {
        let lock = |(id, view): (MasterId, &MasterView)| {
            let (state, detail) = self.state_of(view);
            let told = answers.iter().find(|answer| answer.master == id);
            MasterLock {
                name: self.context.masters.name(id).to_owned(),
                state: state.into(),
                detail: told.map_or(detail, |told| self.context.masters.public(&told.answer)),
                ..MasterLock::default()
            }
        };
        views(status).map(lock).collect()
    }

    async fn status(&self) -> Result<GetClusterStatusResponse, Refusal> {
        let status = self.context.driver.status().await?;
        let masters = views(&status).map(|(id, view)| self.master_status(id, view)).collect();
        Ok(GetClusterStatusResponse {
            masters,
            has_quorum: status.has_quorum,
            waiters: status.waiters as u32,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            quorum: self.context.params.quorum() as u32,
            master_count: self.context.params.masters as u32,
            ..GetClusterStatusResponse::default()
        })
    }

    fn master_status(&self, id: MasterId, view: &MasterView) -> MasterStatus {
        let (state, detail) = self.state_of(view);
        let mut status = MasterStatus {
            name: self.context.masters.name(id).to_owned(),
            state: state.into(),
            detail,
            round_trip: view.round_trip.and_then(wire),
            ..MasterStatus::default()
        };
        if let MasterState::Quarantined(remaining) = &view.state {
            status.quarantine_remaining = remaining.and_then(wire);
        }
        if let Some(session) = &view.session {
            status.run_id = session.run.0.as_ref().to_owned();
            status.version = session.version.as_ref().to_owned();
        }
        if let Some(micros) = view.clock_offset_micros {
            status.clock_offset = wire(Duration::from_micros(micros.unsigned_abs()));
            if let Some(offset) = status.clock_offset.as_mut().filter(|_| micros < 0) {
                (offset.seconds, offset.nanos) = (-offset.seconds, -offset.nanos);
            }
        }
        status
    }

    fn state_of(&self, view: &MasterView) -> (v1::MasterState, String) {
        match &view.state {
            MasterState::Voting => (v1::MasterState::Voting, String::new()),
            MasterState::Quarantined(_) => {
                let why = "restarted, new or suspected: it may have forgotten leases";
                (v1::MasterState::Quarantined, why.to_owned())
            }
            MasterState::Unreachable(why) => {
                (v1::MasterState::Unreachable, self.context.masters.public(why))
            }
            MasterState::Misconfigured(why) => {
                (v1::MasterState::Misconfigured, self.context.masters.public(why))
            }
        }
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
        _: Request<ListLocksRequest>,
    ) -> Result<Response<ListLocksResponse>, Status> {
        let why = "this version of the server does not serve ListLocks: use DescribeLock";
        self.answer("ListLocks", Err(Refusal::Unimplemented(why)))
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
        _: Request<ForceReleaseRequest>,
    ) -> Result<Response<ForceReleaseResponse>, Status> {
        let why = "this version of the server does not serve ForceRelease";
        self.answer("ForceRelease", Err(Refusal::Unimplemented(why)))
    }

    async fn get_cluster_status(
        &self,
        _: Request<GetClusterStatusRequest>,
    ) -> Result<Response<GetClusterStatusResponse>, Status> {
        let outcome = self.status().await;
        self.answer("GetClusterStatus", outcome)
    }
}

fn views(status: &ReplicaStatus) -> impl Iterator<Item = (MasterId, &MasterView)> {
    status.masters.iter().enumerate().map(|(index, view)| (MasterId(index as u8), view))
}

fn state(leadership: &Leadership, newest: Ballot) -> described::State {
    match leadership {
        Leadership::Led(leader) => described::State::Leader(convert::leader(leader)),
        Leadership::Vacant => described::State::Vacant(Vacant { last_fencing_token: newest.0 }),
        Leadership::Unknown(Doubt::NoQuorum) => unknown(UnknownReason::NoQuorum),
        Leadership::Unknown(Doubt::Disagreement) => unknown(UnknownReason::Disagreement),
        Leadership::Unknown(Doubt::ForeignHolder) => unknown(UnknownReason::ForeignHolder),
    }
}

fn waiting(queue: &[Waiter], now: Instant) -> Vec<v1::Waiter> {
    let waiter = |(place, waiter): (usize, &Waiter)| v1::Waiter {
        position: place as u32 + 1,
        holder: waiter.holder.as_ref().to_owned(),
        waited: wire(now.since(waiter.since)),
        wait_remaining: wire(waiter.until.since(now)),
    };
    queue.iter().enumerate().map(waiter).collect()
}

fn unknown(reason: UnknownReason) -> described::State {
    described::State::Unknown(v1::Unknown { reason: reason.into() })
}

/// What a master that was read shows.
fn read(
    lock: MasterLock,
    standing: &Standing,
    occupant: Option<&Occupant>,
    context: &Context,
) -> MasterLock {
    let (state, detail) = match standing {
        Standing::Voting => (v1::MasterState::Voting, String::new()),
        Standing::Quarantined(_) => (v1::MasterState::Quarantined, "in quarantine".to_owned()),
        Standing::Misfit(theirs) => {
            let text = format!("belongs to a deployment configured differently: {theirs}");
            (v1::MasterState::Misconfigured, context.masters.public(&text))
        }
    };
    let ours = occupant.and_then(|occupant| occupant.lock.as_ref());
    let number = |field: fn(&Lock) -> u64| ours.map_or(0, field);
    MasterLock {
        state: state.into(),
        votes: *standing == Standing::Voting,
        lease_fingerprint: ours.map(|lock| lock.lease.fingerprint()).unwrap_or_default(),
        ballot: number(|lock| lock.ballot.0),
        first: number(|lock| lock.first.0),
        fencing_token: number(|lock| lock.token.0),
        remaining: occupant.and_then(|occupant| occupant.remaining).and_then(wire),
        holder: ours.map(|lock| lock.info.holder.as_ref().to_owned()).unwrap_or_default(),
        foreign: occupant.is_some_and(|occupant| occupant.lock.is_none()),
        detail,
        ..lock
    }
}
