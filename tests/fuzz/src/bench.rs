//! One connection to a fake master, as the server makes it: what the targets that play a master share.

use crate::fake_master::FakeMaster;
use crate::hunt::Found;
use holdfast_engine::{Ask, MasterId, Request, RestartPolicy, RunId, Window};
use holdfast_server::config::Address;
use holdfast_server::masters::redis::{Deployment, Endpoint, Place, RedisConnector};
use holdfast_server::masters::{Connection, Connector, Event};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// No answer takes longer: it is sent at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Everything of a hunt runs on the thread of the hunt, so that its memory and its panics are seen.
pub fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// What went wrong before the first case.
pub fn not_begun(why: impl ToString) -> Found {
    Found { why: why.to_string(), case: "none: it did not begin".to_owned(), seed: 0 }
}

/// The way to a master on this port.
pub fn connector(port: u16, patience: Duration) -> Result<RedisConnector, String> {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port };
    let endpoint = Endpoint::new(address, (None, None), 0, None, patience);
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    let deployment = Deployment {
        key_prefix: "redlock:".to_owned(),
        key_suffix: String::new(),
        namespace: "holdfast".to_owned(),
        fingerprint: "ours".to_owned(),
        fingerprint_text: "max_ttl=60s".to_owned(),
        clock_skew: Duration::from_secs(10),
        restart_policy: RestartPolicy::Quarantine,
    };
    Ok(RedisConnector::new(Place::Single(endpoint), Arc::new(deployment)))
}

/// A master, and a connection to it.
#[derive(Debug)]
pub struct Bench {
    /// The other side.
    pub master: FakeMaster,
    /// This side.
    pub connection: Connection,
    /// What happens unasked.
    pub events: UnboundedReceiver<Event>,
}

impl Bench {
    /// Connects.
    pub async fn start() -> Result<Self, String> {
        let master = FakeMaster::start().await.map_err(|error| error.to_string())?;
        let (happened, events) = unbounded_channel();
        let connected = connector(master.port(), PATIENCE)?.connect(happened).await;
        let connection = connected.map_err(|down| format!("{down:?}"))?;
        Ok(Self { master, connection, events })
    }
}

/// A request to the fake master's process.
pub fn ask(request: Request) -> Ask {
    let run = RunId("fake".into());
    Ask { master: MasterId(0), id: 1, run, window: Window::ANY, request }
}
