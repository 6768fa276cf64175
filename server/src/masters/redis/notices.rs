//! Notices between replicas: who gives a resource back publishes it, who waits for it subscribes.
//!
//! A second connection, as RESP2 wants it. When it is lost the whole master is connected anew.

use super::connector::{Deployment, TaskGuard, refused, unreachable};
use super::endpoint::Endpoint;
use crate::masters::Event;
use futures_util::StreamExt;
use holdfast_engine::{Down, Resource};
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use std::sync::Arc;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// The subscriptions of one connection.
pub(super) struct Notices {
    wishes: UnboundedSender<Wish>,
    _task: TaskGuard,
}

enum Wish {
    Subscribe(Resource),
    Unsubscribe(Resource),
}

impl Notices {
    pub(super) fn subscribe(&self, resource: Resource) {
        // A closed channel: the connection is lost, and the driver has been told.
        let _ = self.wishes.send(Wish::Subscribe(resource));
    }

    pub(super) fn unsubscribe(&self, resource: Resource) {
        let _ = self.wishes.send(Wish::Unsubscribe(resource));
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
    let (sink, stream) = connection.split();
    let (wishes, wished) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let why = serve(sink, stream, wished, &deployment, &events).await;
        // A closed channel: the driver has gone, and nobody needs to know.
        let _ = events.send(Event::Closed(Down::Unreachable(why.into())));
    });
    Ok(Notices { wishes, _task: TaskGuard(task) })
}

async fn serve(
    mut sink: PubSubSink,
    mut stream: PubSubStream,
    mut wished: UnboundedReceiver<Wish>,
    deployment: &Deployment,
    events: &UnboundedSender<Event>,
) -> String {
    loop {
        tokio::select! {
            wish = wished.recv() => {
                let done = match wish {
                    None => return "not needed any more".into(),
                    Some(Wish::Subscribe(resource)) => {
                        let done = sink.subscribe(deployment.channel(&resource)).await;
                        let _ = events.send(Event::Subscribed(resource));
                        done
                    }
                    Some(Wish::Unsubscribe(resource)) => {
                        sink.unsubscribe(deployment.channel(&resource)).await
                    }
                };
                if let Err(error) = done {
                    return error.to_string();
                }
            }
            message = stream.next() => {
                let Some(message) = message else { return "connection closed".into() };
                let resource = message.get_channel_name().strip_prefix(&deployment.channel_prefix());
                let origin = message.get_payload::<u64>();
                if let (Some(name), Ok(origin)) = (resource, origin) {
                    let resource = Resource::new(name);
                    let _ = events.send(Event::Notice { resource, origin });
                }
            }
        }
    }
}
