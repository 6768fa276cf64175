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
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// A master whose way in blocks the driver's thread, once it is told to.
struct Stalling(MemoryConnector, Arc<AtomicBool>);

struct StallingLink(Box<dyn Link>, Arc<AtomicBool>);

const STALL: Duration = Duration::from_secs(1);

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
        if self.1.swap(false, Ordering::SeqCst) {
            std::thread::sleep(STALL);
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
    let stall = Arc::new(AtomicBool::new(false));
    let served = served_over(MAX_STREAMS, |master| Stalling(master, Arc::clone(&stall))).await;
    let mut talk = served.hold().await;
    let mut starting = starting("one", Duration::ZERO);
    starting.acquire.as_mut().unwrap().ttl = wire(Duration::from_millis(500));
    let sent = crate::clock::now().boot;
    talk.say(said(Message::Start(starting)));
    let granted = talk.granted().await;
    let valid_for = Duration::try_from(granted.valid_for.unwrap()).unwrap();

    stall.store(true, Ordering::SeqCst);
    talk.say(heartbeat(1));
    let lost = talk.event().await;
    let took = crate::clock::now().boot.since(sent);

    assert!(took < valid_for, "{took:?}, valid for {valid_for:?}");
    let Event::Lost(lost) = lost else { panic!("{lost:?}") };
    assert_eq!(lost.reason(), LeaseLostReason::Expired);
    assert_eq!(talk.next().await.unwrap(), None);
    // Nothing was given back that the client might still rely on: it ran out.
    served.driver.status().await?;
    assert!(matches!(served.acquire("two", Duration::ZERO).await, Ok(Outcome::Lease(_))));
    Ok(())
}
