//! The end of a test, for all who run until then.

use tokio::sync::watch;

/// Whether it has come.
#[derive(Debug, Clone)]
pub(crate) struct Over(watch::Receiver<bool>);

impl Over {
    /// Comes when this is told `true`, or is gone.
    pub(crate) fn of(stop: &watch::Sender<bool>) -> Over {
        Over(stop.subscribe())
    }

    pub(crate) fn is(&self) -> bool {
        *self.0.borrow()
    }

    pub(crate) async fn comes(&mut self) {
        // An error: nobody is left to say so.
        let _ = self.0.wait_for(|over| *over).await;
    }
}
