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
    /// `None`: it is there.
    answer: Option<oneshot::Receiver<Answer>>,
}

impl Waiting {
    pub(super) fn new(
        stream: Arc<SessionStream>,
        sequence: u64,
        answer: oneshot::Receiver<Answer>,
    ) -> Self {
        Self { stream, sequence, answer: Some(answer) }
    }

    pub(super) async fn answer(mut self) -> Answer {
        let Some(waited) = &mut self.answer else { return Err(Status::unavailable("answered")) };
        let answer = waited.await;
        self.answer = None;
        answer.unwrap_or_else(|_| Err(Status::unavailable("nobody reads the session")))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.stream.give_up(self.sequence, answer);
        }
    }
}
