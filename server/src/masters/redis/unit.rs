//! A replicated unit: several processes, one vote. Finds the process that is the primary, and says what
//! must be true of it, so that a failover which forgets locks cannot lead to two holders.
//!
//! Deliberately absent: causing a failover, and trusting whoever did.

use super::connector::{open, refused};
use super::endpoint::Endpoint;
use super::info::Info;
use super::looking::info;
use crate::config::Address;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use holdfast_engine::Down;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The longest pause between two heartbeats. A replica acknowledges every second.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// So many of them in `max_lag`: an acknowledgement is noted with the next one, and must not come too late
/// for that.
const HEARTBEATS: u32 = 16;
/// Redis 6 tests for replicas before a script runs, not before it writes.
const LEAST_VERSION: u32 = 7;

/// A unit, checked.
#[derive(Clone, Debug)]
pub struct Unit {
    /// How to find its primary.
    pub primary: Primary,
    /// A heartbeat this old must have been acknowledged by its replicas.
    pub max_lag: Duration,
    /// False under `restart_policy = "trust"`: then nothing is demanded of it.
    pub fenced: bool,
}

/// Who is the primary?
#[derive(Clone, Debug)]
pub enum Primary {
    /// One of these.
    OneOf(Vec<Endpoint>),
    /// The one that Sentinels name.
    NamedBy {
        /// Where they are.
        sentinels: Vec<Endpoint>,
        /// What they call the unit.
        name: String,
        /// How to get to a server, but for its address.
        server: Endpoint,
    },
}

/// What of `min-replicas-*` can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) to_write: u32,
    pub(super) max_lag: u64,
}

impl Unit {
    /// From one heartbeat to the next.
    pub(super) fn heartbeat(&self) -> Duration {
        HEARTBEAT.min(self.max_lag / HEARTBEATS)
    }

    /// For the whole handshake.
    pub(super) fn connect_timeout(&self) -> Duration {
        match &self.primary {
            Primary::OneOf(endpoints) => endpoints[0].connect_timeout,
            Primary::NamedBy { server, .. } => server.connect_timeout,
        }
    }

    /// The endpoint of the process that is the primary now, and may vote as one.
    pub(super) async fn find(&self) -> Result<Endpoint, Down> {
        let candidates = match &self.primary {
            Primary::OneOf(endpoints) => {
                endpoints.iter().map(|it| (it.address().to_string(), it.clone())).collect()
            }
            Primary::NamedBy { sentinels, name, server } => {
                let addresses = named_by(sentinels, name).await?;
                let who = || format!("the primary that Sentinel names for {name}");
                addresses.into_iter().map(|at| (who(), server.at(at))).collect::<Vec<_>>()
            }
        };
        let mut looks: FuturesUnordered<_> = candidates
            .into_iter()
            .map(async |(who, endpoint)| match self.look_at(&endpoint).await {
                Ok(()) => Ok(endpoint),
                Err(down) => Err((who, down)),
            })
            .collect();
        let mut failures = BTreeMap::new();
        while let Some(looked) = looks.next().await {
            match looked {
                Ok(endpoint) => return Ok(endpoint),
                Err((who, down)) => drop(failures.insert(who, down)),
            }
        }
        Err(none_of(failures))
    }

    async fn look_at(&self, endpoint: &Endpoint) -> Result<(), Down> {
        let look = async {
            let (mut connection, io) = open(endpoint).await?;
            let judged = async {
                let info = info(&mut connection).await?;
                if !info.is_primary() {
                    return Err(Down::Unreachable("is a replica now".into()));
                }
                if let Some(why) = info.unfit() {
                    return Err(Down::Misconfigured(why.into()));
                }
                self.judge(&info, &mut connection).await.map(drop)
            };
            tokio::select! {
                () = io => Err(Down::Unreachable("connection closed".into())),
                judged = judged => judged,
            }
        };
        tokio::time::timeout(endpoint.connect_timeout, look)
            .await
            .unwrap_or_else(|_| Err(Down::Unreachable("no answer in time".into())))
    }

    /// How many replicas must follow this primary; or why it must not vote as it is.
    pub(super) async fn judge(
        &self,
        info: &Info,
        connection: &mut MultiplexedConnection,
    ) -> Result<u32, Down> {
        if !self.fenced {
            return Ok(0);
        }
        let settings = settings(connection).await?;
        demands(info, settings, self.max_lag, self.least_replicas())
    }

    /// Whoever is listed may be promoted, and must have been heard of.
    fn least_replicas(&self) -> u32 {
        match &self.primary {
            Primary::OneOf(endpoints) => u32::try_from(endpoints.len() - 1).unwrap_or(u32::MAX),
            Primary::NamedBy { .. } => 0,
        }
    }
}

/// What docs/protocol.md, "Units that fail over", asks of Redis.
fn demands(
    info: &Info,
    settings: Option<Settings>,
    max_lag: Duration,
    least: u32,
) -> Result<u32, Down> {
    let unfenced = |why: String| Err(Down::Misconfigured(format!("unfenced unit: {why}").into()));
    let seconds = max_lag.as_secs();
    if info.major_version().is_none_or(|version| version < LEAST_VERSION) {
        return unfenced(format!("version {} is older than 7.0", info.version()));
    }
    let attached = info.replicas_online().max(least);
    let Some(following) = info.good_replicas() else {
        let all = attached.max(1);
        return unfenced(format!(
            "set min-replicas-to-write {all} and min-replicas-max-lag {seconds} on each of its servers"
        ));
    };
    let to_write = match settings {
        Some(Settings { to_write, .. }) if to_write < attached => {
            return unfenced(format!(
                "min-replicas-to-write is {to_write} with {attached} replicas; it must be all of them"
            ));
        }
        Some(Settings { max_lag: configured, .. }) if configured > seconds => {
            return unfenced(format!(
                "min-replicas-max-lag is {configured}; it must be at most max_lag ({seconds})"
            ));
        }
        Some(Settings { to_write, .. }) => to_write,
        // With one replica, any value that is set means all of them.
        None if attached <= 1 => 1,
        None => {
            return unfenced(format!(
                "CONFIG GET is not allowed, so min-replicas-to-write cannot be compared with its \
                 {attached} replicas; allow it (+config|get) or keep one replica"
            ));
        }
    };
    if following < to_write {
        let why = format!("{following} of {to_write} replicas follow it: it takes no writes");
        return Err(Down::Unreachable(why.into()));
    }
    Ok(to_write)
}

/// `None`: it does not let us see them.
async fn settings(connection: &mut MultiplexedConnection) -> Result<Option<Settings>, Down> {
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("min-replicas-*");
    let settings: RedisResult<BTreeMap<String, u64>> = get.query_async(connection).await;
    match settings {
        Ok(settings) => Ok(settings.get("min-replicas-to-write").and_then(|to_write| {
            let to_write = u32::try_from(*to_write).ok()?;
            Some(Settings { to_write, max_lag: *settings.get("min-replicas-max-lag")? })
        })),
        // Not permitted, or renamed away.
        Err(error) if matches!(refused(error.clone()), Down::Misconfigured(_)) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// Every address that a Sentinel names: those that are behind name the one of before.
async fn named_by(sentinels: &[Endpoint], name: &str) -> Result<BTreeSet<Address>, Down> {
    let answers = join_all(sentinels.iter().map(async |sentinel| {
        let patience = sentinel.connect_timeout / 2;
        let asked = tokio::time::timeout(patience, ask(sentinel, name)).await;
        let late = || Err(Down::Unreachable("no answer in time".into()));
        asked.unwrap_or_else(|_| late())
    }));
    let (mut addresses, mut failures) = (BTreeSet::new(), BTreeMap::new());
    for (sentinel, answer) in sentinels.iter().zip(answers.await) {
        match answer {
            Ok(address) => drop(addresses.insert(address)),
            Err(down) => drop(failures.insert(format!("Sentinel {}", sentinel.address()), down)),
        }
    }
    if addresses.is_empty() { Err(none_of(failures)) } else { Ok(addresses) }
}

async fn ask(sentinel: &Endpoint, name: &str) -> Result<Address, Down> {
    let (mut connection, io) = open(sentinel).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer = tokio::select! {
        () = io => return Err(Down::Unreachable("connection closed".into())),
        answer = question.query_async(&mut connection) => answer,
    };
    let found: Option<(String, u16)> =
        answer.map_err(|error: RedisError| Down::Unreachable(error.to_string().into()))?;
    match found {
        Some((host, port)) => Ok(Address::Tcp { host, port }),
        None => Err(Down::Misconfigured(format!("knows no {name}").into())),
    }
}

/// Misconfigured if one of them is: that will not pass by itself.
fn none_of(failures: BTreeMap<String, Down>) -> Down {
    let text = |(who, down): (&String, &Down)| match down {
        Down::Unreachable(why) | Down::Misconfigured(why) => format!("{who}: {why}"),
    };
    let texts: Vec<String> = failures.iter().map(text).collect();
    let why: Arc<str> = texts.join("; ").into();
    match failures.values().any(|down| matches!(down, Down::Misconfigured(_))) {
        true => Down::Misconfigured(why),
        false => Down::Unreachable(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(10);
    const WELL: &str = "redis_version:7.0.15\r\nrole:master\r\n\
                        slave0:ip=::1,port=1,state=online,offset=1,lag=0\r\n\
                        slave1:ip=::1,port=2,state=send_bulk,offset=0,lag=0\r\n\
                        min_slaves_good_slaves:1\r\n";

    fn of(info: &str, settings: Option<(u32, u64)>) -> Result<u32, Down> {
        let settings = settings.map(|(to_write, max_lag)| Settings { to_write, max_lag });
        demands(&Info::parse(info), settings, LAG, 1)
    }

    fn why(info: &str, settings: Option<(u32, u64)>) -> String {
        match of(info, settings).unwrap_err() {
            Down::Misconfigured(why) => why.to_string(),
            Down::Unreachable(why) => format!("unreachable: {why}"),
        }
    }

    #[test]
    fn a_primary_that_all_its_replicas_follow_may_vote() {
        assert_eq!(of(WELL, Some((1, 10))), Ok(1));
        assert_eq!(of(WELL, None), Ok(1));
        let two = WELL.replace("slaves:1", "slaves:2").replace("send_bulk", "online");
        assert_eq!(of(&two, Some((2, 3))), Ok(2));
    }

    #[test]
    fn what_is_missing_is_named() {
        let two = WELL.replace("slaves:1", "slaves:2").replace("send_bulk", "online");
        let unset = WELL.replace("min_slaves_good_slaves:1\r\n", "");
        for (info, settings, expected) in [
            (WELL.replace("7.0.15", "6.2.7"), None, "version 6.2.7 is older than 7.0"),
            (
                unset,
                Some((0, 10)),
                "set min-replicas-to-write 1 and min-replicas-max-lag 10 on each of its servers",
            ),
            (
                two.clone(),
                Some((1, 10)),
                "min-replicas-to-write is 1 with 2 replicas; it must be all of them",
            ),
            (
                WELL.to_owned(),
                Some((1, 11)),
                "min-replicas-max-lag is 11; it must be at most max_lag (10)",
            ),
            (
                two,
                None,
                "CONFIG GET is not allowed, so min-replicas-to-write cannot be compared with its 2 \
                 replicas; allow it (+config|get) or keep one replica",
            ),
        ] {
            assert_eq!(why(&info, settings), format!("unfenced unit: {expected}"));
        }
        let alone = WELL.replace("slaves:1", "slaves:0").replace("online", "wait_bgsave");
        let expected = "unreachable: 0 of 1 replicas follow it: it takes no writes";
        assert_eq!(why(&alone, Some((1, 10))), expected);
    }
}
