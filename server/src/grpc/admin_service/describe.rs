//! DescribeLock: what each master shows of a resource, and what follows from it.

use super::{AdminApi, views};
use crate::auth::Permission;
use crate::clock;
use crate::grpc::convert::{self, DescribeArgs, wire};
use crate::grpc::errors::Refusal;
use crate::grpc::lock_service::engine_deadline;
use crate::grpc::origin::Origin;
use crate::grpc::server::Context;
use crate::telemetry::name_resource;
use holdfast_engine::{
    Answer, Ballot, Body, Call, Instant, Leadership, Lock, MasterAnswer, MasterId, MasterView,
    Occupant, Reading, Standing, Status as ReplicaStatus, Waiter,
};
use holdfast_proto::v1::{
    self, DescribeLockRequest, DescribeLockResponse, MasterLock, UnknownReason, Vacant,
    describe_lock_response as described,
};
use tonic::Request;

impl AdminApi {
    pub(super) async fn describe(
        &self,
        request: Request<DescribeLockRequest>,
    ) -> Result<DescribeLockResponse, Refusal> {
        let deadline = engine_deadline(&request, clock::now());
        let DescribeArgs { resource } =
            DescribeArgs::parse(request.get_ref(), &self.context.rules)?;
        name_resource(&resource);
        self.authorize(&Origin::of(&request), Permission::Describe, Some(resource.name()))?;
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
}

fn state(leadership: &Leadership, newest: Ballot) -> described::State {
    match leadership {
        Leadership::Led(leader) => described::State::Leader(convert::leader(leader)),
        Leadership::Vacant => described::State::Vacant(Vacant { last_fencing_token: newest.0 }),
        Leadership::Unknown(why) => unknown(convert::doubt(*why)),
    }
}

fn waiting(queue: &[Waiter], now: Instant) -> Vec<v1::Waiter> {
    let waiter = |(place, waiter): (usize, &Waiter)| v1::Waiter {
        position: place as u32 + 1,
        holder: waiter.info.holder.as_ref().to_owned(),
        waited: wire(now.since(waiter.since)),
        wait_remaining: wire(waiter.until.since(now)),
        identity: convert::identity(&waiter.info),
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
        identity: ours.map(|lock| convert::identity(&lock.info)).unwrap_or_default(),
        foreign: occupant.is_some_and(|occupant| occupant.lock.is_none()),
        detail,
        ..lock
    }
}
