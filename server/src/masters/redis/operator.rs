//! What an operator does to a master once: `bootstrap` and `accept-config`.

use super::connector::{Place, TaskGuard, open};
use super::deployment::Deployment;
use super::looking::beat;
use super::record;
use super::scripts::Scripts;
use crate::config::PROTOCOL_VERSION;
use holdfast_engine::{Ballot, Down, RunId};
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Replicas acknowledge every second.
const FOLLOWED: Duration = Duration::from_secs(10);
const FOLLOWED_LOOK: Duration = Duration::from_millis(100);

/// A connection to one master for one command.
pub struct Operator {
    connection: MultiplexedConnection,
    run: RunId,
    scripts: Arc<Scripts>,
    deployment: Arc<Deployment>,
    _io: TaskGuard,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}

/// Why a master could not be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No connection.
    #[error("{0}")]
    Unreachable(Arc<str>),
    /// A connection, but it must not vote as it is.
    #[error("{0}")]
    Unfit(Arc<str>),
    /// An error of the server.
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
}

/// What a master holds of Holdfast's.
#[derive(Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// Nothing.
    Empty,
    /// This key, for example.
    Occupied(String),
}

/// What a scan is for.
#[derive(Clone, Copy)]
enum Sought {
    AnyOfOurs,
    Lock,
}

/// What came of a bootstrap.
#[derive(Debug, PartialEq, Eq)]
pub enum Boot {
    /// It votes.
    Votes,
    /// A replica has seen it already.
    Observed,
    /// Its clock and this machine's differ by more than the skew.
    ClockOff,
}

impl From<Down> for OperatorError {
    fn from(down: Down) -> Self {
        match down {
            Down::Unreachable(why) => Self::Unreachable(why),
            Down::Misconfigured(why) => Self::Unfit(why),
        }
    }
}

impl Operator {
    /// Connects.
    pub async fn connect(
        place: &Place,
        deployment: Arc<Deployment>,
    ) -> Result<Self, OperatorError> {
        let patience = place.connect_timeout();
        let connecting = async { open(&place.endpoint().await?).await };
        let unanswered = |_| OperatorError::Unreachable("no connection in time".into());
        let (mut connection, io) =
            tokio::time::timeout(patience, connecting).await.map_err(unanswered)??;
        let io = TaskGuard(tokio::spawn(io));
        connection.set_response_timeout(patience);
        let (_, run, scripts) = place.identify(&deployment, &mut connection).await?;
        scripts.load(&mut connection).await?;
        Ok(Self { connection, run, scripts, deployment, _io: io })
    }

    /// Is any key of Holdfast's own there?
    pub async fn own_keys(&mut self) -> Result<Vacancy, OperatorError> {
        let pattern = self.deployment.own_pattern();
        Ok(self.scan(&pattern, Sought::AnyOfOurs).await?.map_or(Vacancy::Empty, Vacancy::Occupied))
    }

    /// Is any lock of Holdfast's there?
    pub async fn locks(&mut self) -> Result<Vacancy, OperatorError> {
        let pattern = self.deployment.lock_pattern("");
        Ok(self.scan(&pattern, Sought::Lock).await?.map_or(Vacancy::Empty, Vacancy::Occupied))
    }

    /// Lets it vote at once.
    pub async fn bootstrap(&mut self, base: Ballot) -> Result<Boot, OperatorError> {
        let done: i64 = redis::cmd("EVALSHA")
            .arg(&self.scripts.bootstrap.sha)
            .arg(1)
            .arg(self.deployment.state_key())
            .arg(&*self.run.0)
            .arg(&self.deployment.fingerprint)
            .arg(&record::ballot_text(base)[..])
            .arg(PROTOCOL_VERSION)
            .arg(&self.deployment.fingerprint_text)
            .arg(self.deployment.clock_skew.as_micros().to_string())
            .query_async(&mut self.connection)
            .await?;
        Ok(match done {
            1 => Boot::Votes,
            0 => Boot::Observed,
            _ => Boot::ClockOff,
        })
    }

    /// Until a unit's replicas have acknowledged a heartbeat: before, it could not vote.
    pub async fn wait_followed(&mut self) -> Result<(), OperatorError> {
        let state_key = self.deployment.state_key();
        let deadline = Instant::now() + FOLLOWED;
        let Some(heartbeat) = &self.scripts.heartbeat else { return Ok(()) };
        while !beat(&mut self.connection, heartbeat, &state_key).await? {
            if Instant::now() > deadline {
                let why = "its replicas do not acknowledge what is written";
                return Err(OperatorError::Unreachable(why.into()));
            }
            tokio::time::sleep(FOLLOWED_LOOK).await;
        }
        Ok(())
    }

    /// The configuration it belongs to, in words; `None` if it belongs to none yet.
    pub async fn configuration(&mut self) -> Result<Option<String>, OperatorError> {
        let [text] = redis::cmd("HMGET")
            .arg(self.deployment.state_key())
            .arg("cfgtext")
            .query_async(&mut self.connection)
            .await?;
        Ok(text)
    }

    /// Makes it belong to this configuration. False if it belongs to none yet.
    pub async fn accept_configuration(&mut self) -> Result<bool, OperatorError> {
        let done: i64 = redis::cmd("EVALSHA")
            .arg(&self.scripts.accept_config.sha)
            .arg(1)
            .arg(self.deployment.state_key())
            .arg(&self.deployment.fingerprint)
            .arg(PROTOCOL_VERSION)
            .arg(&self.deployment.fingerprint_text)
            .query_async(&mut self.connection)
            .await?;
        Ok(done == 1)
    }

    /// The first key that matches and is what it must be.
    async fn scan(
        &mut self,
        pattern: &str,
        sought: Sought,
    ) -> Result<Option<String>, OperatorError> {
        let mut cursor: u64 = 0;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(1_000)
                .query_async(&mut self.connection)
                .await?;
            for key in keys {
                let found = match sought {
                    Sought::AnyOfOurs => !self.is_heartbeat(&key).await?,
                    Sought::Lock => self.is_lock(&key).await?,
                };
                if found {
                    return Ok(Some(String::from_utf8_lossy(&key).into_owned()));
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(None);
            }
        }
    }

    /// A bootstrap that was given up has left no more than a heartbeat in the state.
    async fn is_heartbeat(&mut self, key: &[u8]) -> Result<bool, OperatorError> {
        if key != self.deployment.state_key().as_bytes() || self.scripts.heartbeat.is_none() {
            return Ok(false);
        }
        let belongs: [Option<String>; 2] = redis::cmd("HMGET")
            .arg(key)
            .arg("run")
            .arg("cfg")
            .query_async(&mut self.connection)
            .await?;
        Ok(belongs == [None, None])
    }

    async fn is_lock(&mut self, key: &[u8]) -> Result<bool, OperatorError> {
        // A key of another type says nothing.
        let [value]: [Option<Vec<u8>>; 1] =
            redis::cmd("MGET").arg(key).query_async(&mut self.connection).await?;
        Ok(value.is_some_and(|value| record::parse(&value).is_some()))
    }
}
