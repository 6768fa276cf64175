//! Notices between replicas: who changes what a resource shows publishes it, who waits for the
//! resource or watches it subscribes. One channel a resource; the payload is
//! `{origin} {change} {lease}`. Nobody is told what nobody else hears, so whoever listens to anything
//! is in one more channel, for good: one look there spares masters the looks at each.
//!
//! A second connection, as RESP2 wants it. When it is lost the whole master is connected anew.

use super::connector::{TaskGuard, refused, unreachable};
use super::deployment::Deployment;
use super::endpoint::Endpoint;
use super::record::{lease_text, parse_lease};
use crate::masters::Event;
use futures_util::StreamExt;
use holdfast_engine::{Change, Down, Notice, Resource};
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Msg, RedisResult};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// How many wishes one command fulfils at most. Without batches each would wait for the answer to
/// the one before.
const BATCH: usize = 1_000;

/// The subscriptions of one connection.
pub(super) struct Notices {
    wishes: UnboundedSender<Wish>,
    listening: Arc<AtomicBool>,
    _task: TaskGuard,
}

struct Wish {
    resource: Resource,
    /// Subscribed to, or not any more?
    listen: bool,
}

impl Notices {
    /// Does the master count this connection among those that listen to something?
    pub(super) fn listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    pub(super) fn subscribe(&self, resource: Resource) {
        self.wish(resource, true);
    }

    pub(super) fn unsubscribe(&self, resource: Resource) {
        self.wish(resource, false);
    }

    fn wish(&self, resource: Resource, listen: bool) {
        // A closed channel: the connection is lost, and the driver has been told.
        let _ = self.wishes.send(Wish { resource, listen });
    }
}

/// Connects, and proves that subscribing is allowed.
pub(super) async fn listen(
    endpoint: &Endpoint,
    deployment: Arc<Deployment>,
    events: UnboundedSender<Event>,
) -> Result<Notices, Down> {
    let stream = endpoint.open().await.map_err(unreachable)?;
    let mut connection = PubSub::new(endpoint.session(), stream).await.map_err(refused)?;
    let test = format!("{}self-test", deployment.channel_prefix());
    connection.subscribe(test).await.map_err(refused)?;
    connection.subscribe(deployment.listening_channel()).await.map_err(refused)?;
    connection.unsubscribe(deployment.listening_channel()).await.map_err(refused)?;
    let (sink, stream) = connection.split();
    let (wishes, wished) = mpsc::unbounded_channel();
    let listening = Arc::new(AtomicBool::new(false));
    let now_listening = Arc::clone(&listening);
    let task = tokio::spawn(async move {
        let why = serve(sink, stream, wished, &deployment, &events, &now_listening).await;
        // A closed channel: the driver has gone, and nobody needs to know.
        let _ = events.send(Event::Closed(Down::Unreachable(why.into())));
    });
    Ok(Notices { wishes, listening, _task: TaskGuard(task) })
}

async fn serve(
    mut sink: PubSubSink,
    mut stream: PubSubStream,
    mut wished: UnboundedReceiver<Wish>,
    deployment: &Deployment,
    events: &UnboundedSender<Event>,
    listening: &AtomicBool,
) -> String {
    let mut wishes = Vec::new();
    loop {
        tokio::select! {
            count = wished.recv_many(&mut wishes, BATCH) => {
                if count == 0 {
                    return "not needed any more".into();
                }
                if let Err(error) = fulfil(&wishes, &mut sink, deployment, events, listening).await {
                    return error.to_string();
                }
                wishes.clear();
            }
            message = stream.next() => {
                let Some(message) = message else { return "connection closed".into() };
                if let Some(notice) = heard(&message, deployment) {
                    let _ = events.send(notice);
                }
            }
        }
    }
}

/// In their order: one command for as many in a row as wish for the same.
async fn fulfil(
    wishes: &[Wish],
    sink: &mut PubSubSink,
    deployment: &Deployment,
    events: &UnboundedSender<Event>,
    listening: &AtomicBool,
) -> RedisResult<()> {
    for alike in wishes.chunk_by(|one, next| one.listen == next.listen) {
        let channels: Vec<String> =
            alike.iter().map(|wish| deployment.channel(&wish.resource)).collect();
        if !alike[0].listen {
            sink.unsubscribe(channels).await?;
            continue;
        }
        if !listening.load(Ordering::Relaxed) {
            sink.subscribe(deployment.listening_channel()).await?;
            listening.store(true, Ordering::Relaxed);
        }
        sink.subscribe(channels).await?;
        for wish in alike {
            let _ = events.send(Event::Subscribed(wish.resource.clone()));
        }
    }
    Ok(())
}

/// `None`: nothing that a replica says.
fn heard(message: &Msg, deployment: &Deployment) -> Option<Event> {
    let name = message.get_channel_name().strip_prefix(&deployment.channel_prefix())?;
    let notice = parse(str::from_utf8(message.get_payload_bytes()).ok()?)?;
    Some(Event::Notice(Resource::new(name), notice))
}

/// A lease in a notice is so long.
const LEASE_DIGITS: usize = 32;
/// What stands for no lease in a notice.
const NO_LEASE: &str = "-";

/// A notice as it is published.
pub(super) fn write_payload(notice: Notice, to: &mut impl Write) -> io::Result<()> {
    let change = match notice.change {
        Change::Elected => "elected",
        Change::Updated => "updated",
        Change::Released => "released",
        Change::Forced => "forced",
        Change::Awaited => "awaited",
    };
    write!(to, "{} {change} ", notice.origin)?;
    match notice.lease {
        Some(lease) => to.write_all(&lease_text(lease)),
        None => to.write_all(NO_LEASE.as_bytes()),
    }
}

fn parse(payload: &str) -> Option<Notice> {
    let fields: Vec<&str> = payload.split(' ').collect();
    let [origin, change, lease] = *fields else { return None };
    let change = match change {
        "elected" => Change::Elected,
        "updated" => Change::Updated,
        "released" => Change::Released,
        "forced" => Change::Forced,
        "awaited" => Change::Awaited,
        _ => return None,
    };
    let lease = match lease {
        NO_LEASE => None,
        hex if hex.len() == LEASE_DIGITS => Some(parse_lease(hex.as_bytes())?),
        _ => return None,
    };
    Some(Notice { origin: origin.parse().ok()?, change, lease })
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::LeaseHash;

    #[test]
    fn a_notice_is_text() {
        let lease = LeaseHash::from_bytes([0xab; 16]);
        for (change, text) in [
            (Change::Elected, "elected"),
            (Change::Updated, "updated"),
            (Change::Released, "released"),
            (Change::Forced, "forced"),
            (Change::Awaited, "awaited"),
        ] {
            for (lease, hex) in [(Some(lease), "ab".repeat(16)), (None, "-".to_owned())] {
                let notice = Notice { origin: u64::MAX, change, lease };
                let expected = format!("18446744073709551615 {text} {hex}");
                let mut payload = Vec::new();
                write_payload(notice, &mut payload).unwrap();
                assert_eq!(payload, expected.as_bytes());
                assert_eq!(parse(&expected), Some(notice));
            }
        }
    }

    #[test]
    fn anything_else_is_nobodys_notice() {
        for text in [
            "",
            "7",
            "7 released",
            "7 released ",
            " released -",
            "7 freed -",
            "7 Released -",
            "7 released - -",
            "7  released -",
            "x released -",
            "-7 released -",
            "7 released --",
            "7 released nolease",
            "7 released 7",
            "7 released +1111111111111111111111111111111",
            "18446744073709551616 released -",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
