//! A call whose answer is not there yet.

use std::sync::Arc;

use tokio::sync::oneshot;
use tonic::Status;

use crate::session::stream::{Answer, SessionStream};

/// Dropped, it is taken back.
#[derive(Debug)]
pub(super) struct Waiting {
    stream: Arc<SessionStream>,
    sequence: u64,
    answer: oneshot::Receiver<Answer>,
    answered: bool,
}

impl Waiting {
    pub(super) fn new(
        stream: Arc<SessionStream>,
        sequence: u64,
        answer: oneshot::Receiver<Answer>,
    ) -> Self {
        Self { stream, sequence, answer, answered: false }
    }

    pub(super) async fn answer(mut self) -> Answer {
        let answer = (&mut self.answer).await;
        self.answered = true;
        answer.unwrap_or_else(|_| Err(Status::unavailable("nobody reads the session")))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            self.stream.give_up(self.sequence, &mut self.answer);
        }
    }
}
