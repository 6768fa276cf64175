//! Connecting to a Redis master, and the handshake: who is it, is it fit, do the scripts run?
//!
//! The identity learned here is bound to this connection. Nothing below reconnects.

use super::endpoint::Endpoint;
use super::info::Info;
use super::link::RedisLink;
use super::notices;
use super::remark;
use super::scripts::{Guard, Scripts, Source};
use super::unit::Unit;
use crate::masters::{Connection, Connector, Event};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdfast_engine::{Down, Resource, RestartPolicy, RunId, Session};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, RedisResult, ServerErrorKind};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often a connected process is looked at: is it still the one it was, and fit?
const LOOK: Duration = Duration::from_secs(2);
/// The same for a unit.
const LOOK_AT_UNIT: Duration = Duration::from_secs(1);
/// How often in a row a unit may look misconfigured before it is.
const ODD_LOOKS: u32 = 2;

/// What all masters of a deployment share.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The lock key of a resource is `prefix + resource + suffix`.
    pub key_prefix: String,
    /// See `key_prefix`.
    pub key_suffix: String,
    /// Prefix of Holdfast's own keys and channels.
    pub namespace: String,
    /// Hash of everything that replicas must agree on.
    pub fingerprint: String,
    /// The same in words.
    pub fingerprint_text: String,
    /// SKEW: how far a ballot may be ahead of a master's clock.
    pub clock_skew: Duration,
    /// What a restart of a master means.
    pub restart_policy: RestartPolicy,
}

/// Behind the namespace, in the channels of notices.
const NOTICE: &str = ":notice:";

impl Deployment {
    /// Where the lock of a resource is.
    pub fn lock_key(&self, resource: &Resource) -> String {
        self.lock_key_parts(resource).concat()
    }

    pub(super) fn lock_key_parts<'a>(&'a self, resource: &'a Resource) -> [&'a str; 3] {
        [&self.key_prefix, resource.name(), &self.key_suffix]
    }

    /// The resource whose lock is at this key. `None`: no lock can be there, because the key has
    /// another form, or is Holdfast's own.
    pub(super) fn resource(&self, key: &[u8]) -> Option<Resource> {
        let behind = key.strip_prefix(self.namespace.as_bytes());
        if behind.is_some_and(|behind| behind.starts_with(b":")) {
            return None;
        }
        let name = key.strip_prefix(self.key_prefix.as_bytes())?;
        let name = str::from_utf8(name.strip_suffix(self.key_suffix.as_bytes())?).ok()?;
        (!name.is_empty()).then(|| Resource::new(name))
    }

    /// MATCHes the keys of all locks whose resource begins with `prefix`.
    pub(super) fn lock_pattern(&self, prefix: &str) -> String {
        let before = [&self.key_prefix, prefix].concat();
        format!("{}*{}", literally(&before), literally(&self.key_suffix))
    }

    /// MATCHes Holdfast's own keys.
    pub(super) fn own_pattern(&self) -> String {
        format!("{}:*", literally(&self.namespace))
    }

    /// Where the master's own state is.
    pub fn state_key(&self) -> String {
        [&self.namespace, ":st"].concat()
    }

    /// Where notices about a resource are published.
    pub(super) fn channel(&self, resource: &Resource) -> String {
        self.channel_parts(resource).concat()
    }

    pub(super) fn channel_parts<'a>(&'a self, resource: &'a Resource) -> [&'a str; 3] {
        [&self.namespace, NOTICE, resource.name()]
    }

    /// Whoever listens to any resource listens here too. Nothing is published.
    pub(super) fn listening_channel(&self) -> String {
        [&self.namespace, ":listening"].concat()
    }

    pub(super) fn channel_prefix(&self) -> String {
        [&self.namespace, NOTICE].concat()
    }

    fn self_test_key(&self) -> String {
        let mut random = [0; 16];
        // Any name will do: nobody else's lock is called like this.
        let _ = getrandom::fill(&mut random);
        let name = u128::from_ne_bytes(random);
        format!("{}holdfast-self-test-{name:032x}{}", self.key_prefix, self.key_suffix)
    }
}

/// MATCH patterns have wildcards; names are meant as they stand.
fn literally(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// Where one vote is.
#[derive(Debug, Clone)]
pub enum Place {
    /// One independent process.
    Single(Endpoint),
    /// Whichever process is the primary.
    Unit(Unit),
}

impl Place {
    /// The way to the process that votes now.
    pub(super) async fn endpoint(&self) -> Result<Endpoint, Down> {
        match self {
            Self::Single(endpoint) => Ok(endpoint.clone()),
            Self::Unit(unit) => unit.find().await,
        }
    }

    /// For the whole handshake.
    pub(super) fn connect_timeout(&self) -> Duration {
        match self {
            Self::Single(endpoint) => endpoint.connect_timeout,
            // First it must be found.
            Self::Unit(unit) => 2 * unit.connect_timeout(),
        }
    }

    /// Who answers, and with which scripts it must be spoken to.
    pub(super) async fn identify(
        &self,
        deployment: &Deployment,
        connection: &mut MultiplexedConnection,
    ) -> Result<(Info, RunId, Arc<Scripts>), Down> {
        let info = look(connection).await?;
        let run_id = info.run_id().unwrap_or_default();
        let Self::Unit(unit) = self else {
            let run = RunId(run_id.into());
            return Ok((info, run, Scripts::plain()));
        };
        let replicas = unit.judge(&info, connection).await?;
        let replid = info.replid().unwrap_or_default();
        let run = RunId::of_unit(run_id, replid);
        let cfg = &deployment.fingerprint;
        let guard = Guard { cfg, replid, max_lag: unit.max_lag, replicas };
        let scripts = if unit.fenced { Scripts::guarded(&guard) } else { Scripts::plain() };
        Ok((info, run, scripts))
    }
}

/// Makes connections to one Redis master.
#[derive(Debug)]
pub struct RedisConnector {
    place: Place,
    deployment: Arc<Deployment>,
}

impl RedisConnector {
    /// For the master at this place.
    pub fn new(place: Place, deployment: Arc<Deployment>) -> Self {
        Self { place, deployment }
    }

    async fn shake_hands(&self, events: UnboundedSender<Event>) -> Result<Connection, Down> {
        let endpoint = self.place.endpoint().await?;
        let (mut connection, io) = open(&endpoint).await?;
        let closed = events.clone();
        let io = tokio::spawn(io.then(move |()| async move {
            // A closed channel: the driver has gone, and nobody needs to know.
            let _ = closed.send(Event::Closed(Down::Unreachable("connection closed".into())));
        }));
        let io = TaskGuard(io);
        let identified = self.place.identify(&self.deployment, &mut connection).await?;
        let (info, run, scripts) = identified;
        scripts.load(&mut connection).await.map_err(refused)?;
        match self_test(&scripts, &self.deployment, &mut connection).await {
            Ok(wrong) if wrong.is_empty() => {}
            Ok(wrong) => return Err(unable(&wrong)),
            Err(error) => return Err(refused(error)),
        }
        let notices =
            notices::listen(&endpoint, Arc::clone(&self.deployment), events.clone()).await?;
        let session = Session { run, version: info.shown_version().into() };
        let watch = Watch {
            connection: connection.clone(),
            place: self.place.clone(),
            scripts: Arc::clone(&scripts),
            deployment: Arc::clone(&self.deployment),
            remark: None,
        };
        let watch = tokio::spawn(watch.keep_looking(info, events.clone()));
        Ok(Connection {
            session,
            link: Box::new(RedisLink::new(
                connection,
                scripts,
                Arc::clone(&self.deployment),
                events,
                notices,
                [io, TaskGuard(watch)],
            )),
        })
    }
}

impl Connector for RedisConnector {
    fn connect(
        &mut self,
        events: UnboundedSender<Event>,
    ) -> BoxFuture<'_, Result<Connection, Down>> {
        let patience = self.place.connect_timeout();
        async move {
            match tokio::time::timeout(patience, self.shake_hands(events)).await {
                Ok(result) => result,
                Err(_) => Err(Down::Unreachable(
                    format!("no connection within {}", humantime::format_duration(patience)).into(),
                )),
            }
        }
        .boxed()
    }
}

/// A background task that ends with its connection.
#[derive(Debug)]
pub(super) struct TaskGuard(pub(super) JoinHandle<()>);

impl Drop for TaskGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection, and the future that moves its bytes. It never times out by itself: the driver
/// decides what is overdue.
pub(super) async fn open(
    endpoint: &Endpoint,
) -> Result<(MultiplexedConnection, BoxFuture<'static, ()>), Down> {
    let stream = endpoint.open().await.map_err(unreachable)?;
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_pipeline_buffer_size(4_096);
    let connected =
        MultiplexedConnection::new_with_config(endpoint.session(), stream, config).await;
    let (connection, io) = connected.map_err(refused)?;
    Ok((connection, io.boxed()))
}

pub(super) async fn info(connection: &mut MultiplexedConnection) -> Result<Info, Down> {
    let text: String = redis::cmd("INFO").query_async(connection).await.map_err(refused)?;
    Ok(Info::parse(&text))
}

async fn look(connection: &mut MultiplexedConnection) -> Result<Info, Down> {
    let info = info(connection).await?;
    match info.unfit() {
        None => Ok(info),
        Some(why) => Err(Down::Misconfigured(why.into())),
    }
}

/// Tries every command that will be needed, on every key: scripts are not rolled back. What does not work.
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
struct Watch {
    connection: MultiplexedConnection,
    place: Place,
    scripts: Arc<Scripts>,
    deployment: Arc<Deployment>,
    /// What was told last.
    remark: Option<Arc<str>>,
}

impl Watch {
    /// A run_id that changes on a live connection is a proxy's doing, an uptime that goes back is a
    /// machine restored from a snapshot. A unit gets its heartbeats.
    async fn keep_looking(mut self, info: Info, events: UnboundedSender<Event>) {
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

/// Is one of the last `max_lag` acknowledged? A refusal that may pass by itself is none; it ends the
/// connection that the process is not who it was.
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

/// No stream of bytes.
pub(super) fn unreachable(error: std::io::Error) -> Down {
    Down::Unreachable(error.to_string().into())
}

/// An error of the server at the handshake. Wrong credentials and missing permissions are for the
/// operator to mend; the rest may pass by itself.
pub(super) fn refused(error: RedisError) -> Down {
    let text: Arc<str> = error.to_string().into();
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::Server(ServerErrorKind::NoPerm)
        | ErrorKind::Server(ServerErrorKind::ResponseError) => Down::Misconfigured(text),
        _ if text.contains("NOAUTH") || text.contains("WRONGPASS") => Down::Misconfigured(text),
        _ => Down::Unreachable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(prefix: &str, suffix: &str) -> Deployment {
        Deployment {
            key_prefix: prefix.to_owned(),
            key_suffix: suffix.to_owned(),
            namespace: "holdfast".to_owned(),
            fingerprint: String::new(),
            fingerprint_text: String::new(),
            clock_skew: Duration::ZERO,
            restart_policy: RestartPolicy::Quarantine,
        }
    }

    #[test]
    fn a_key_says_what_it_locks() {
        for (prefix, key, suffix, name) in [
            ("redlock:", "redlock:r", "", Some("r")),
            ("redlock:", "redlock:holdfast:st", "", Some("holdfast:st")),
            ("redlock:", "redlock:", "", None),
            ("redlock:", "other:r", "", None),
            ("l:", "l:größe:x", ":x", Some("größe")),
            ("l:", "l:r", ":x", None),
            ("aba", "aba", "ba", None),
            ("", "holdfast:st", "", None),
            ("", "holdfast:", "", None),
            ("", "holdfast", "", Some("holdfast")),
            ("", "holdfast:lock", ":lock", None),
            ("hold", "holdfast:st", "", None),
            ("hold", "holdfaster", "", Some("faster")),
        ] {
            let deployment = deployment(prefix, suffix);
            let resource = deployment.resource(key.as_bytes());
            assert_eq!(resource, name.map(Resource::new), "{key} as {prefix}+{suffix}");
            if let Some(resource) = resource {
                assert_eq!(deployment.lock_key(&resource), key);
            }
        }
        assert_eq!(deployment("l:", "").resource(b"l:\xff"), None);
    }
}
