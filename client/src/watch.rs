//! Who holds a resource, now and at every change.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::watch_leader_response::State;
use tokio::time::{Instant, timeout};
use tonic::{Response, Status, Streaming};

use crate::client::{Client, wire};
use crate::error::{self, Error};
use crate::replicas::Route;
use crate::retry::Pauses;

/// Who holds a resource, at once and at every change. Made by [`Client::watch`] and
/// [`Election::observe`](crate::Election::observe).
///
/// When its stream breaks it says [`LeaderState::Unknown`], goes on through the next replica, and never
/// shows a term lower than one it has shown.
///
/// ```no_run
#[doc = include_str!("../examples/observe.rs")]
/// ```
#[derive(Debug)]
#[must_use = "nothing is sent before `next`"]
pub struct Watch {
    client: Client,
    resource: String,
    bookmark_interval: Option<Duration>,
    newest: u64,
    phase: Phase,
    pauses: Pauses,
}

/// What a watch is doing.
enum Phase {
    Pausing(Instant),
    Opening(Route, Pin<Box<dyn Future<Output = Result<Said, Status>> + Send>>),
    Open(Route, Box<Said>),
}

type Said = Streaming<v1::WatchLeaderResponse>;

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pausing(_) => "Pausing",
            Self::Opening(..) => "Opening",
            Self::Open(..) => "Open",
        })
    }
}

/// One thing a [`Watch`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observation {
    /// Who holds the resource.
    pub state: LeaderState,
    /// Why this is said.
    pub reason: WatchReason,
    /// How old the view was when the replica wrote it.
    pub age: Duration,
}

/// Who holds a resource, who is its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaderState {
    /// Somebody.
    Led(Leader),
    /// Nobody; this is the highest term seen, or 0.
    Vacant {
        /// The highest term of this resource that the replica has seen; 0 if none.
        last_term: u64,
    },
    /// It cannot be told at present. What was known is a guess from here on.
    Unknown(UnknownReason),
}

/// Who leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leader {
    /// The identity the leader gave itself.
    pub holder: String,
    /// What the leader publishes, such as its address.
    pub metadata: BTreeMap<String, String>,
    /// The term: the fencing token of its lease.
    pub term: u64,
    /// Time until the lease expires if it is neither extended nor released.
    pub remaining: Duration,
}

/// Why a [`Watch`] says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchReason {
    /// The present state, at the beginning and after a gap.
    Snapshot,
    /// A new term.
    Elected,
    /// The same term with other metadata.
    Updated,
    /// The holder gave the lock back.
    Released,
    /// The lease ended in another way; usually it ran out.
    Expired,
    /// An administrator took the lease back.
    Forced,
    /// Nothing changed; as asked for by [`Watch::bookmark_interval`].
    Bookmark,
    /// Only what can be told changed.
    Visibility,
}

/// Why it cannot be told who holds a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownReason {
    /// Too few masters could be read.
    NoQuorum,
    /// The masters do not show the same lease. Usually it passes within moments.
    Disagreement,
    /// Another Redlock library holds the resource.
    ForeignHolder,
    /// What is readable is older than what was shown before.
    StaleView,
    /// No replica of Holdfast answers.
    Unreachable,
}

impl Watch {
    pub(crate) fn new(client: Client, resource: String) -> Self {
        let pauses = client.retry().pauses();
        let phase = Phase::Pausing(Instant::now());
        Self { client, resource, bookmark_interval: None, newest: 0, phase, pauses }
    }

    /// Asks to confirm an unchanged state this often, and so how fresh the view is.
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.bookmark_interval = Some(interval);
        self
    }

    /// Never shows a term below this one, which was seen earlier.
    pub fn after_term(mut self, term: u64) -> Self {
        self.newest = self.newest.max(term);
        self
    }

    /// The next thing to say. It waits for as long as it takes, through outages.
    ///
    /// Cancel safe: nothing is lost if the future is dropped, not even the progress of a connection.
    ///
    /// # Errors
    /// What a retry does not change, such as a resource that is no resource.
    pub async fn next(&mut self) -> Result<Observation, Error> {
        loop {
            match &mut self.phase {
                Phase::Pausing(until) => {
                    tokio::time::sleep_until(*until).await;
                    self.open();
                }
                Phase::Opening(route, opening) => {
                    let (route, opened) = (*route, opening.await);
                    match opened {
                        Ok(stream) => self.phase = Phase::Open(route, Box::new(stream)),
                        Err(status) => self.broke(route, &status)?,
                    }
                }
                Phase::Open(route, stream) => {
                    let (route, said) = (*route, stream.message().await);
                    match said {
                        Ok(Some(message)) => {
                            self.pauses = self.client.retry().pauses();
                            return Ok(self.observe(message));
                        }
                        Ok(None) => self.broke(route, &Status::unavailable("the stream ended"))?,
                        Err(status) => self.broke(route, &status)?,
                    }
                    let state = LeaderState::Unknown(UnknownReason::Unreachable);
                    let reason = WatchReason::Visibility;
                    return Ok(Observation { state, reason, age: Duration::ZERO });
                }
            }
        }
    }

    fn open(&mut self) {
        let (route, connection) = self.client.replicas().current();
        // One that is longer than the contract can say is as good as none.
        let bookmark_interval =
            self.bookmark_interval.and_then(|span| wire(span, "bookmark_interval").ok());
        let request = v1::WatchLeaderRequest {
            resource: self.resource.clone(),
            after_fencing_token: self.newest,
            bookmark_interval,
        };
        let mut service = LockServiceClient::new(connection.channel.clone());
        let bound = self.client.retry().attempt_timeout;
        let opening = async move {
            let opened = timeout(bound, service.watch_leader(request)).await;
            let silent = |_| error::silence("no answer in time".to_owned());
            opened.map_err(silent)?.map(Response::into_inner)
        };
        self.phase = Phase::Opening(route, Box::pin(opening));
    }

    fn broke(&mut self, route: Route, status: &Status) -> Result<(), Error> {
        self.client.replicas().blame(route, status);
        let error = Error::from_status(status);
        let pause = self.pauses.next().max(error::retry_after(status).unwrap_or_default());
        self.phase = Phase::Pausing(Instant::now() + pause);
        if !error.is_transient() {
            return Err(error);
        }
        tracing::debug!(self.resource, %error, ?pause, "a watch is opened again");
        Ok(())
    }

    fn observe(&mut self, message: v1::WatchLeaderResponse) -> Observation {
        let reason = WatchReason::from_wire(message.reason());
        let age = message.age.and_then(|age| age.try_into().ok()).unwrap_or_default();
        let state = match message.state {
            Some(State::Leader(leader)) => LeaderState::Led(leader.into()),
            Some(State::Vacant(vacant)) => {
                LeaderState::Vacant { last_term: vacant.last_fencing_token }
            }
            Some(State::Unknown(unknown)) => LeaderState::Unknown(match unknown.reason() {
                v1::UnknownReason::Disagreement => UnknownReason::Disagreement,
                v1::UnknownReason::ForeignHolder => UnknownReason::ForeignHolder,
                v1::UnknownReason::StaleView => UnknownReason::StaleView,
                v1::UnknownReason::Unspecified | v1::UnknownReason::NoQuorum => {
                    UnknownReason::NoQuorum
                }
            }),
            None => LeaderState::Unknown(UnknownReason::NoQuorum),
        };
        if let LeaderState::Led(Leader { term, .. }) | LeaderState::Vacant { last_term: term } =
            &state
        {
            self.newest = self.newest.max(*term);
        }
        Observation { state, reason, age }
    }
}

impl LeaderState {
    /// The leader, if it is known that there is one.
    pub fn leader(&self) -> Option<&Leader> {
        match self {
            Self::Led(leader) => Some(leader),
            Self::Vacant { .. } | Self::Unknown(_) => None,
        }
    }
}

impl From<v1::Leader> for Leader {
    fn from(leader: v1::Leader) -> Self {
        let v1::Leader { holder, metadata, fencing_token: term, remaining } = leader;
        let remaining = remaining.and_then(|span| span.try_into().ok()).unwrap_or_default();
        Self { holder, metadata: metadata.into_iter().collect(), term, remaining }
    }
}

impl WatchReason {
    fn from_wire(reason: v1::WatchReason) -> Self {
        match reason {
            v1::WatchReason::Snapshot => Self::Snapshot,
            v1::WatchReason::Elected => Self::Elected,
            v1::WatchReason::Updated => Self::Updated,
            v1::WatchReason::Released => Self::Released,
            v1::WatchReason::Expired => Self::Expired,
            v1::WatchReason::Forced => Self::Forced,
            v1::WatchReason::Bookmark => Self::Bookmark,
            v1::WatchReason::Unspecified => Self::Visibility,
        }
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoQuorum => "too few masters can be read",
            Self::Disagreement => "the masters do not show the same lease",
            Self::ForeignHolder => "another Redlock library holds it",
            Self::StaleView => "what can be read is older than what was seen",
            Self::Unreachable => "no replica of Holdfast answers",
        })
    }
}
