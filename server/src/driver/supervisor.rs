//! Keeps one master connected: fails fast, reconnects in the background with backoff, and never
//! replays anything on a new connection.

use super::core::LinkEvent;
use crate::masters::{Connector, Event};
use holdfast_engine::MasterId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Shortest and longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

type Told = Result<(), SendError<(MasterId, LinkEvent)>>;

/// Runs for as long as the driver listens. `reset` asks for a new connection.
pub(super) async fn supervise(
    master: MasterId,
    mut connector: Box<dyn Connector>,
    reset: Arc<Notify>,
    driver: UnboundedSender<(MasterId, LinkEvent)>,
) {
    let tell = |event| driver.send((master, event));
    let mut pause = BACKOFF.0;
    loop {
        let (events, happening) = mpsc::unbounded_channel();
        let told = match connector.connect(events).await {
            Ok(connection) => {
                pause = BACKOFF.0;
                match tell(LinkEvent::Up(connection)) {
                    Ok(()) => follow(happening, &reset, tell).await,
                    gone => gone,
                }
            }
            // What happened besides says less than why it failed.
            Err(down) => tell(LinkEvent::Down(down)),
        };
        if told.is_err() {
            return;
        }
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

/// Passes on what happens on a connection, to its end.
async fn follow(
    mut happening: UnboundedReceiver<Event>,
    reset: &Notify,
    tell: impl Fn(LinkEvent) -> Told,
) -> Told {
    loop {
        let event = tokio::select! {
            () = reset.notified() => return Ok(()),
            event = happening.recv() => event,
        };
        match event {
            None => return Ok(()),
            Some(Event::Closed(down)) => return tell(LinkEvent::Down(down)),
            Some(event) => tell(LinkEvent::Happened(event))?,
        }
    }
}
