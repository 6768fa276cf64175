//! Looking at a connected process, at the handshake and from then on: is it still the one it was, is it
//! fit, may we do what we must? A unit gets its heartbeats.
//!
//! Deliberately absent: what must be true of it ([`Info`], [`Unit`]) and what is only worth a
//! [`remark`].

use super::connector::{Place, refused};
use super::deployment::Deployment;
use super::info::Info;
use super::remark;
use super::scripts::{Scripts, Source};
use super::unit::Unit;
use crate::masters::Event;
use holdfast_engine::Down;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

/// How often a connected process is looked at: is it still the one it was, and fit?
const LOOK: Duration = Duration::from_secs(2);
/// The same for a unit.
const LOOK_AT_UNIT: Duration = Duration::from_secs(1);
/// How often in a row a unit may look misconfigured before it is.
const ODD_LOOKS: u32 = 2;

pub(super) async fn info(connection: &mut MultiplexedConnection) -> Result<Info, Down> {
    let text: String = redis::cmd("INFO").query_async(connection).await.map_err(refused)?;
    Ok(Info::parse(&text))
}

pub(super) async fn look(connection: &mut MultiplexedConnection) -> Result<Info, Down> {
    let info = info(connection).await?;
    match info.unfit() {
        None => Ok(info),
        Some(why) => Err(Down::Misconfigured(why.into())),
    }
}

/// Proves every command that will be needed, on every key: scripts are not rolled back.
pub(super) async fn prove(
    scripts: &Scripts,
    deployment: &Deployment,
    connection: &mut MultiplexedConnection,
) -> Result<(), Down> {
    match self_test(scripts, deployment, connection).await {
        Ok(wrong) if wrong.is_empty() => Ok(()),
        Ok(wrong) => Err(unable(&wrong)),
        Err(error) => Err(refused(error)),
    }
}

/// What does not work.
async fn self_test(
    scripts: &Scripts,
    deployment: &Deployment,
    connection: &mut MultiplexedConnection,
) -> RedisResult<Vec<String>> {
    redis::cmd("EVALSHA")
        .arg(&scripts.self_test.sha)
        .arg(2)
        .arg(deployment.self_test_key())
        .arg(deployment.state_key())
        .arg(format!("{}self-test", deployment.channel_prefix()))
        .query_async(connection)
        .await
}

fn unable(wrong: &[String]) -> Down {
    Down::Misconfigured(format!("self-test: {}", wrong.join("; ")).into())
}

/// A connected process that is looked at now and then.
pub(super) struct Watch {
    pub(super) connection: MultiplexedConnection,
    pub(super) place: Place,
    pub(super) scripts: Arc<Scripts>,
    pub(super) deployment: Arc<Deployment>,
    /// What was told last.
    pub(super) remark: Option<Arc<str>>,
}

impl Watch {
    /// A run_id that changes on a live connection is a proxy's doing, an uptime that goes back is a
    /// machine restored from a snapshot. A unit gets its heartbeats.
    pub(super) async fn keep_looking(mut self, info: Info, events: UnboundedSender<Event>) {
        self.tell(&info, &events);
        let looked = match self.place.clone() {
            Place::Single(_) => self.keep_looking_at_process(info, &events).await,
            Place::Unit(unit) => self.keep_looking_at_unit(&unit, info, &events).await,
        };
        let Err(down) = looked;
        let _ = events.send(Event::Closed(down));
    }

    async fn keep_looking_at_process(
        &mut self,
        mut before: Info,
        events: &UnboundedSender<Event>,
    ) -> Result<Infallible, Down> {
        loop {
            tokio::time::sleep(LOOK).await;
            before = self.look(&before, events).await?;
        }
    }

    async fn keep_looking_at_unit(
        &mut self,
        unit: &Unit,
        mut before: Info,
        events: &UnboundedSender<Event>,
    ) -> Result<Infallible, Down> {
        let (mut due, mut odd) = (Instant::now() + LOOK_AT_UNIT, 0);
        loop {
            if let Some(heartbeat) = &self.scripts.heartbeat {
                let state_key = self.deployment.state_key();
                beat(&mut self.connection, heartbeat, &state_key).await?;
            }
            tokio::time::sleep(unit.heartbeat()).await;
            if Instant::now() < due {
                continue;
            }
            due = Instant::now() + LOOK_AT_UNIT;
            before = self.look(&before, events).await?;
            match unit.judge(&before, &mut self.connection).await {
                Ok(replicas) if replicas == self.scripts.replicas => odd = 0,
                // The scripts demand another number than they should: from a new handshake on.
                Ok(_) => return Err(Down::Unreachable("min-replicas-to-write changed".into())),
                // A backup looks like a replica, for a moment.
                Err(Down::Misconfigured(_)) if odd < ODD_LOOKS => odd += 1,
                Err(down) => return Err(down),
            }
        }
    }

    async fn look(&mut self, before: &Info, events: &UnboundedSender<Event>) -> Result<Info, Down> {
        let info = look(&mut self.connection).await?;
        if info.run_id() != before.run_id() {
            let why = "run_id changed on a live connection: a proxy is in between";
            return Err(Down::Misconfigured(why.into()));
        }
        if info.uptime_seconds() < before.uptime_seconds() {
            let _ = events.send(Event::Rewound);
        }
        self.tell(&info, events);
        self.may_still().await?;
        Ok(info)
    }

    /// Was a permission taken away since the handshake? A memory or a disk that is full passes by itself, and
    /// releases work meanwhile.
    async fn may_still(&mut self) -> Result<(), Down> {
        const PASSING: [&str; 4] = ["OOM", "MISCONF", "NOREPLICAS", "READONLY"];
        match self_test(&self.scripts, &self.deployment, &mut self.connection).await {
            Ok(mut wrong) => {
                wrong.retain(|text| !PASSING.iter().any(|passing| text.contains(passing)));
                if wrong.is_empty() { Ok(()) } else { Err(unable(&wrong)) }
            }
            Err(error) => match refused(error) {
                Down::Misconfigured(why) => Err(Down::Misconfigured(why)),
                // Whoever asks next finds out.
                Down::Unreachable(_) => Ok(()),
            },
        }
    }

    fn tell(&mut self, info: &Info, events: &UnboundedSender<Event>) {
        let remark = remark::of(info, &self.place, self.deployment.restart_policy);
        if self.remark != remark {
            self.remark.clone_from(&remark);
            let _ = events.send(Event::Remark(remark));
        }
    }
}

/// A heartbeat. True if one of the last `max_lag` is known to be acknowledged. That it is refused for now
/// (no replica, no memory) is no error; that the process is not who it was, is one.
pub(super) async fn beat(
    connection: &mut MultiplexedConnection,
    heartbeat: &Source,
    state_key: &str,
) -> Result<bool, Down> {
    let mut command = redis::cmd("EVALSHA");
    command.arg(&heartbeat.sha).arg(1).arg(state_key);
    let fresh: RedisResult<u8> = command.query_async(connection).await;
    match fresh {
        Ok(fresh) => Ok(fresh == 1),
        Err(error) if matches!(error.code(), Some("NOREPLICAS" | "MISCONF" | "BUSY" | "OOM")) => {
            Ok(false)
        }
        Err(error) => Err(Down::Unreachable(error.to_string().into())),
    }
}
