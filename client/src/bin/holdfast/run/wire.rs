//! What the parent and the keeper say to each other: a line of JSON each.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Weak, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::boottime::Boot;
use crate::args::Global;
use crate::exit::Failure;
use crate::terms::LockArgs;
use crate::view::HeldView;

/// To the keeper. The end of it means that the parent is gone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Take this lock; the first message, once.
    Take(Box<Order>),
    /// CMD will run as the leader of this group, once that was answered with `Noted`.
    Starting { group: i32 },
    /// Nothing of CMD runs any more, or ever will: give the lock back. Answered with `Noted` at once.
    Ended,
}

/// The lock to take.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) global: Global,
    pub(crate) lock: LockArgs,
    pub(crate) wait: Option<String>,
}

/// From the keeper. The end of it means that nobody renews the lock.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    Queued {
        position: u32,
        held: Option<HeldView>,
    },
    Failed(Failure),
    Granted(Grant),
    Noted,
    Renewed {
        deadline: Boot,
    },
    /// The deadline may be an earlier one than before.
    AtRisk {
        reason: String,
        deadline: Boot,
    },
    Lost {
        reason: String,
    },
    Released {
        outcome: String,
    },
}

/// The lock is held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) lease_id: String,
    pub(crate) fencing_token: u64,
    pub(crate) ttl: Duration,
    pub(crate) deadline: Boot,
}

/// What comes in, until the other side closes it.
pub(crate) fn incoming<T>(from: impl Read + Send + 'static) -> UnboundedReceiver<T>
where
    T: DeserializeOwned + Send + 'static,
{
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(message) = serde_json::from_str(&line.unwrap_or_default()) else { return };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What goes out. Never waits for the other side, which may be frozen.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    messages: Arc<mpsc::Sender<T>>,
    writer: JoinHandle<()>,
}

impl<T: Serialize + Send + 'static> Outgoing<T> {
    pub(crate) fn new(mut to: impl Write + Send + 'static) -> Self {
        let (messages, inbox) = mpsc::channel::<T>();
        let writer = thread::spawn(move || {
            for message in inbox {
                let Ok(mut line) = serde_json::to_vec(&message) else { return };
                line.push(b'\n');
                if to.write_all(&line).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
        });
        Self { messages: Arc::new(messages), writer }
    }

    /// Nothing happens if the other side is gone: its end of the other pipe says so.
    pub(crate) fn tell(&self, message: T) {
        let _ = self.messages.send(message);
    }

    /// For whoever may outlive this.
    pub(crate) fn sender(&self) -> Weak<mpsc::Sender<T>> {
        Arc::downgrade(&self.messages)
    }

    /// Waits until all is written, or the other side is gone.
    pub(crate) fn finish(self) {
        drop(self.messages);
        // It panics only if serde does.
        let _ = self.writer.join();
    }
}
