//! Notes that nobody waits for: stderr may be a pipe that is full, or a terminal that was stopped.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::events::Event;
use crate::output::Output;

/// How long whoever reads them is given at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is told meanwhile, in its order.
#[derive(Debug)]
pub(crate) struct Notes {
    events: mpsc::Sender<Event>,
    written: oneshot::Receiver<()>,
}

impl Notes {
    pub(crate) fn new(output: Output) -> Self {
        let (events, inbox) = mpsc::channel::<Event>();
        let (tell, written) = oneshot::channel();
        thread::spawn(move || {
            inbox.into_iter().for_each(|event| output.note(&event));
            // Nobody waits for it any more: as well.
            let _ = tell.send(());
        });
        Self { events, written }
    }

    pub(crate) fn note(&self, event: Event) {
        // Its thread does not end before this.
        let _ = self.events.send(event);
    }

    /// Gives them a chance to be read. Whether they were; nothing more can be told otherwise.
    pub(crate) async fn finish(self) -> bool {
        drop(self.events);
        timeout(PATIENCE, self.written).await.is_ok()
    }
}
