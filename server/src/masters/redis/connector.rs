//! Connecting to a Redis master, and the handshake: who is it, is it fit, do the scripts run?
//!
//! The identity learned here is bound to this connection. Nothing below reconnects.

use super::deployment::Deployment;
use super::endpoint::Endpoint;
use super::info::Info;
use super::link::RedisLink;
use super::looking::{Watch, look, prove};
use super::notices;
use super::scripts::{Guard, Scripts};
use super::unit::Unit;
use crate::masters::{Connection, Connector, Event};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdfast_engine::{Down, RunId, Session};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

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
        prove(&scripts, &self.deployment, &mut connection).await?;
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
