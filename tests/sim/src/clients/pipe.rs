//! One direction of a stream between a client and a replica: messages take their time and keep their order.

use crate::world::{Host, Sim};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Both ends of a stream in one direction. It ends when either end is dropped.
pub(super) fn pipe<T: 'static>(sim: &Sim) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (writer, mut written) = unbounded_channel();
    let (arrived, reader) = unbounded_channel();
    let way = sim.clone();
    sim.spawn(Host::World, async move {
        loop {
            let message = tokio::select! {
                biased;
                () = arrived.closed() => return,
                message = written.recv() => message,
            };
            way.hop().await;
            let Some(message) = message else { return };
            if arrived.send(message).is_err() {
                return;
            }
        }
    });
    (writer, reader)
}
