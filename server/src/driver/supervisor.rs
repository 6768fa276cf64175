//! Keeps one master connected: fails fast, reconnects in the background with backoff, and never
//! replays anything on a new connection.

use super::core::LinkEvent;
use crate::masters::{Connector, Event};
use holdfast_engine::MasterId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedSender};

/// Shortest and longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Runs for as long as the driver listens. `reset` asks for a new connection.
pub(super) async fn supervise(
    master: MasterId,
    mut connector: Box<dyn Connector>,
    reset: Arc<Notify>,
    driver: UnboundedSender<(MasterId, LinkEvent)>,
) {
    let mut pause = BACKOFF.0;
    loop {
        let (events, mut happening) = mpsc::unbounded_channel();
        let connected = connector.connect(events).await;
        let told = match connected {
            Ok(connection) => {
                pause = BACKOFF.0;
                driver.send((master, LinkEvent::Up(connection)))
            }
            Err(down) => driver.send((master, LinkEvent::Down(down))),
        };
        if told.is_err() {
            return;
        }
        // Ends at once if there is no connection: nobody holds the other end then.
        loop {
            let event = tokio::select! {
                () = reset.notified() => break,
                event = happening.recv() => event,
            };
            let told = match event {
                None => break,
                Some(Event::Closed(down)) => {
                    let told = driver.send((master, LinkEvent::Down(down)));
                    if told.is_err() {
                        return;
                    }
                    break;
                }
                Some(event) => driver.send((master, LinkEvent::Happened(event))),
            };
            if told.is_err() {
                return;
            }
        }
        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}
