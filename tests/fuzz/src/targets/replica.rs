//! Target `replica`: a replica with two sound masters and one that answers nonsense over its socket, at the
//! handshake and after it, well framed and not, slowly or hanging up. All the while a lease is kept, others
//! take and give back locks and operators look. No lease is lost, every call is answered in time with a
//! status of the contract, and memory is bounded.
//!
//! How the same lies fare in virtual time, a thousand times as many, is in `liar`.

use crate::bench::{PATIENCE, connector, not_begun, runtime};
use crate::fake_master::{About, Answer, FakeMaster, right};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory::Growth;
use crate::resp::value;
use crate::scripts::{nearly_right, right_answer};
use crate::served::{STANDING, Served};
use crate::statuses;
use crate::values::{Damage, damages, garbage};
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::{AcquireRequest, DescribeLockRequest, ListLocksRequest, ReleaseRequest};
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

const GROWTH: u64 = 512 << 20;
/// A deadline that a call without a quorum keeps, with room for a slow machine.
const DEADLINE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_millis(200);

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let runtime = runtime().map_err(not_begun)?;
    let master = runtime.block_on(FakeMaster::start()).map_err(not_begun)?;
    let connector = connector(master.port(), CONNECT).map_err(not_begun)?;
    let served = runtime.block_on(Served::start(Some(Box::new(connector)))).map_err(not_begun)?;
    let growth = Growth::of_at_most(GROWTH).map_err(not_begun)?;
    let mut number = 0;
    hunt(plan, &case(), |case| {
        number += 1;
        master.push(&case.push);
        let mut conduct = case;
        master.behave(move |about, command| conduct.answer(about, command));
        runtime.block_on(live(&served, number))?;
        growth.check()
    })
}

/// How the master behaves until the next case.
#[derive(Debug, Clone)]
struct Case {
    /// In turn.
    answers: Vec<Said>,
    handshake: Option<(About, Said)>,
    push: Vec<u8>,
    next: usize,
}

#[derive(Debug, Clone)]
struct Said {
    bytes: Vec<u8>,
    damages: Vec<Damage>,
    piece: usize,
    hang_up: bool,
}

impl Case {
    fn answer(&mut self, about: About, command: &[Vec<u8>]) -> Answer {
        match &self.handshake {
            Some((step, said)) if *step == about => said.answer(),
            _ if about == About::Ask => {
                self.next += 1;
                match self.answers.get(self.next % (self.answers.len() + 1)) {
                    Some(said) => said.answer(),
                    None => Answer::of(Vec::new()),
                }
            }
            _ => Answer::of(right(about, command)),
        }
    }
}

impl Said {
    fn answer(&self) -> Answer {
        let mut bytes = self.bytes.clone();
        self.damages.iter().for_each(|damage| damage.befall(&mut bytes));
        Answer { bytes, piece: self.piece, hang_up: self.hang_up }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let step = select(vec![About::Info, About::Load, About::SelfTest, About::Subscribe]);
    let handshake = prop::option::weighted(0.1, (step, said()));
    let push = prop_oneof![3 => Just(Vec::new()), 1 => said().prop_map(|said| said.bytes)];
    (vec(said(), 1..6), handshake, push).prop_map(|(answers, handshake, push)| Case {
        answers,
        handshake,
        push,
        next: 0,
    })
}

fn said() -> impl Strategy<Value = Said> {
    let bytes = prop_oneof![
        6 => right_answer().prop_map(|value| value.encode()),
        3 => nearly_right().prop_map(|value| value.encode()),
        2 => value().prop_map(|value| value.encode()),
        1 => garbage(20_000),
    ];
    let damages = prop_oneof![6 => Just(Vec::new()), 1 => damages()];
    let piece = prop_oneof![6 => Just(usize::MAX), 1 => 1..64_usize];
    (bytes, damages, piece, prop::bool::weighted(0.05)).prop_map(
        |(bytes, damages, piece, hang_up)| {
            let piece = piece.max(bytes.len() / 500);
            Said { bytes, damages, piece, hang_up }
        },
    )
}

/// What goes on in a replica.
async fn live(served: &Served, number: u64) -> Verdict {
    served.still_held().await?;
    let resource = format!("r{}", number % 16);
    let request = AcquireRequest {
        resource: resource.clone(),
        lease_id: format!("lease {number}"),
        ttl: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..AcquireRequest::default()
    };
    let acquired = answered(served.locks().acquire(due(request))).await?;
    if let Some(Outcome::Lease(lease)) = acquired.and_then(|acquired| acquired.outcome) {
        let release = ReleaseRequest {
            resource: resource.clone(),
            lease_id: lease.lease_id,
            fencing_token: lease.fencing_token,
        };
        answered(served.locks().release(due(release))).await?;
    }
    let wanted = AcquireRequest { resource: STANDING.to_owned(), ..AcquireRequest::default() };
    let wanted = answered(served.locks().acquire(due(wanted))).await?;
    if let Some(Outcome::Lease(lease)) = wanted.and_then(|wanted| wanted.outcome) {
        return Err(format!("the standing lock was granted twice: {lease:?}"));
    }
    let describe = DescribeLockRequest { resource: STANDING.to_owned() };
    answered(served.admin().describe_lock(due(describe))).await?;
    if number.is_multiple_of(8) {
        answered(served.admin().list_locks(due(ListLocksRequest::default()))).await?;
        answered(served.admin().get_cluster_status(due(Default::default()))).await?;
    }
    served.still_current().await?;
    served.still_held().await
}

fn due<T>(request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.set_timeout(DEADLINE);
    request
}

async fn answered<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Option<T>, String> {
    match timeout(PATIENCE, call).await {
        Err(_) => Err("no answer".to_owned()),
        Ok(Ok(response)) => Ok(Some(response.into_inner())),
        Ok(Err(status)) => statuses::in_the_contract(&status).map(|()| None),
    }
}
