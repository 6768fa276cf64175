//! ListLocks: the masters are scanned one after the other, in the order of the configuration, and
//! each name that is found is read on all of them.
//!
//! Owns how far one call goes. What a reading means is in `shown`, where the next call goes on is in
//! `convert/page`. Deliberately absent: anything kept between two calls.

use super::AdminApi;
use super::shown::{is_listed, lock_info, unread};
use crate::auth::{Caller, Permission};
use crate::clock;
use crate::grpc::convert::{ListArgs, Position};
use crate::grpc::errors::Refusal;
use crate::grpc::lock_service::engine_deadline;
use crate::grpc::origin::Origin;
use crate::grpc::server::Context;
use futures_util::{StreamExt, stream};
use holdfast_engine::{Answer, Call, Instant, MasterAnswer, MasterId, Now, Resource};
use holdfast_proto::v1::{ListLocksRequest, ListLocksResponse, LockInfo};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;

/// A call that has not filled its page in so long answers with what it has: locks may be few and keys
/// many.
const PATIENCE: Duration = Duration::from_secs(1);
/// Names that are read at the same time: enough to fill a pipeline, too few to be in the way of locks.
const READS: usize = 64;

impl AdminApi {
    pub(super) async fn list(
        &self,
        request: &Request<ListLocksRequest>,
        received: Now,
    ) -> Result<ListLocksResponse, Refusal> {
        let context = self.context.as_ref();
        let args = ListArgs::parse(request.get_ref(), &context.rules, &context.masters)?;
        let caller = Origin::of(request).caller;
        context.gate.permits(&caller, Permission::Describe, None)?;
        let deadline = engine_deadline(request, received);
        let patience = received.boot + PATIENCE;
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        let (at, locks) = (args.from, Vec::new());
        let mut listing =
            Listing { context, caller, args, deadline, until, at, locks, lost: Vec::new() };
        while !listing.is_complete() && !listing.is_enough() {
            match listing.step().await {
                Err(Refusal::OutOfTime) if listing.has_moved() => break,
                stepped => stepped?,
            }
        }
        Ok(listing.response())
    }
}

/// One call on its way through the masters.
struct Listing<'a> {
    context: &'a Context,
    caller: Caller,
    args: ListArgs,
    /// The caller's.
    deadline: Option<Instant>,
    /// After this what was found is enough.
    until: Instant,
    at: Position,
    locks: Vec<LockInfo>,
    /// What the masters said that could not be scanned in this call.
    lost: Vec<MasterAnswer>,
}

impl Listing<'_> {
    /// One step of one master; to the next master if this one cannot be scanned.
    async fn step(&mut self) -> Result<(), Refusal> {
        let Position { master, cursor, .. } = self.at;
        let count = self.args.page_size - self.locks.len();
        let call = Call::Scan { master, prefix: Arc::clone(&self.args.prefix), cursor, count };
        let (next, names) = match self.context.driver.call(call).await? {
            Answer::Scanned { cursor, resources } => (cursor, BTreeSet::from_iter(resources)),
            Answer::NoQuorum(answers) => return self.skip(answers),
            other => return Err(other.into()),
        };
        let shows = |resource: &&Resource| {
            let gate = &self.context.gate;
            gate.permits(&self.caller, Permission::Describe, Some(resource.name())).is_ok()
        };
        let reads: Vec<_> = names
            .iter()
            .filter(shows)
            .map(|resource| read(self.context, resource, self.at, self.deadline))
            .collect();
        let read: Vec<_> = stream::iter(reads).buffered(READS).collect().await;
        match read.into_iter().collect::<Result<Vec<_>, Refusal>>() {
            Err(_) if self.is_late() => return Err(Refusal::OutOfTime),
            found => self.locks.extend(found?.into_iter().flatten()),
        }
        match next {
            0 => self.next_master(),
            cursor => self.at = Position { cursor, ..self.at },
        }
        Ok(())
    }

    /// This master cannot be scanned: the others show what has a quorum.
    fn skip(&mut self, answers: Vec<MasterAnswer>) -> Result<(), Refusal> {
        self.lost.extend(answers);
        self.at.skipped.insert(self.at.master);
        let params = &self.context.params;
        if params.masters - self.at.skipped.len() < params.quorum() {
            return Err(Refusal::NoQuorum(self.lost_ones()));
        }
        self.next_master();
        Ok(())
    }

    fn next_master(&mut self) {
        let master = MasterId(self.at.master.0 + 1);
        self.at = Position { master, cursor: 0, ..self.at };
    }

    fn lost_ones(&self) -> Vec<MasterAnswer> {
        let answer = |master| {
            let told = self.lost.iter().find(|answer| answer.master == master).cloned();
            told.unwrap_or_else(|| {
                let answer = "could not be scanned for an earlier page".to_owned();
                MasterAnswer { master, answer }
            })
        };
        self.at.skipped.iter().map(answer).collect()
    }

    /// The page is full, or the time is over that a page may take; but some way it must go.
    fn is_enough(&self) -> bool {
        let is_full = self.locks.len() >= self.args.page_size;
        is_full || self.has_moved() && clock::now().boot >= self.until
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| clock::now().boot >= deadline)
    }

    fn has_moved(&self) -> bool {
        self.at != self.args.from
    }

    fn is_complete(&self) -> bool {
        self.at.master.index() >= self.context.params.masters
    }

    fn response(self) -> ListLocksResponse {
        let next_page_token = if self.is_complete() {
            String::new()
        } else {
            self.at.token(&self.args.prefix, &self.context.masters)
        };
        ListLocksResponse { locks: self.locks, next_page_token }
    }
}

/// The lock that was found here, unless it has gone or was listed already.
async fn read(
    context: &Context,
    resource: &Resource,
    at: Position,
    deadline: Option<Instant>,
) -> Result<Option<LockInfo>, Refusal> {
    let call = Call::Read { resource: resource.clone(), token: None, deadline };
    match context.driver.call(call).await? {
        Answer::Shown { reading, waiters, .. } => {
            if let Some(answers) = unread(&reading, &context.params) {
                return Err(Refusal::NoQuorum(answers));
            }
            if is_listed(&reading, at.master, at.skipped) {
                return Ok(None);
            }
            Ok(lock_info(resource, &reading, waiters, &context.params))
        }
        other => Err(other.into()),
    }
}
