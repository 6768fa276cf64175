//! Tests: a driver that stands still.

use super::streams::*;
use super::*;
use crate::driver::Closed;
use crate::grpc::convert::wire;
use crate::masters::{Connection, Event as LinkEvent, Link};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdfast_engine::{Ask, Down, Reply, Resource};
use holdfast_proto::v1::LeaseLostReason;
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::hold_response::Event;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// A master whose way in blocks the driver's thread, once it is told to, until the sender is dropped.
struct Stalling(MemoryConnector, Stall);

struct StallingLink(Box<dyn Link>, Stall);

type Stall = Arc<Mutex<Option<Receiver<()>>>>;

impl Connector for Stalling {
    fn connect(
        &mut self,
        events: UnboundedSender<LinkEvent>,
    ) -> BoxFuture<'_, Result<Connection, Down>> {
        let stall = Arc::clone(&self.1);
        let connecting = self.0.connect(events);
        async move {
            let Connection { session, link } = connecting.await?;
            Ok(Connection { session, link: Box::new(StallingLink(link, stall)) })
        }
        .boxed()
    }
}

impl Link for StallingLink {
    fn send(&mut self, asks: Vec<Ask>) -> BoxFuture<'static, Vec<Reply>> {
        let stall = self.1.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(end) = stall {
            let _ = end.recv();
        }
        self.0.send(asks)
    }

    fn subscribe(&mut self, resource: &Resource) {
        self.0.subscribe(resource);
    }

    fn unsubscribe(&mut self, resource: &Resource) {
        self.0.unsubscribe(resource);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_driver_cannot_hide_that_a_lease_is_lost() -> Result<(), Closed> {
    let stall = Stall::default();
    let served = served_over(MAX_STREAMS, |master| Stalling(master, Arc::clone(&stall))).await;
    let mut talk = served.hold().await;
    let mut starting = starting("one", Duration::ZERO);
    let ttl = Duration::from_secs(2);
    starting.acquire.as_mut().unwrap().ttl = wire(ttl);
    talk.say(said(Message::Start(starting)));
    talk.granted().await;

    let (go_on, end) = channel();
    *stall.lock().unwrap() = Some(end);
    talk.say(heartbeat(1));
    // It comes while the driver stands still; `guard` says when.
    let Event::Lost(lost) = talk.event().await else { panic!("it is over") };
    assert_eq!(lost.reason(), LeaseLostReason::Expired);
    assert_eq!(talk.next().await.unwrap(), None);
    tokio::time::sleep(ttl).await;
    drop(go_on);
    // Nothing was given back that the client might still rely on: it ran out.
    served.driver.status().await?;
    assert!(matches!(served.acquire("two", Duration::ZERO).await, Ok(Outcome::Lease(_))));
    Ok(())
}
