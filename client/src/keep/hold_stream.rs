//! One Hold stream: its messages, and when each was sent.

use std::collections::VecDeque;

use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{HoldHeartbeat, HoldRelease, HoldRequest, HoldResponse, HoldStart};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::clock::Moment;
use crate::replicas::Route;
use crate::token::Channel;

/// A connection that takes no more than this has stalled; what does not fit is not sent.
const UNSENT: usize = 16;

/// The server gives up a client from which it hears nothing for three heartbeats.
const UNANSWERED: usize = 64;

/// Dropped, it is reset.
#[derive(Debug)]
pub(crate) struct HoldStream {
    /// The way it goes.
    pub(crate) route: Route,
    requests: mpsc::Sender<HoldRequest>,
    responses: Streaming<HoldResponse>,
    /// When `start`, whose number is 0, and each unanswered heartbeat were sent.
    sent: VecDeque<(u64, Moment)>,
}

impl HoldStream {
    pub(crate) async fn open(
        route: Route,
        channel: Channel,
        start: HoldStart,
    ) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::channel(UNSENT);
        let sent = VecDeque::from([(0, Moment::now())]);
        let start = HoldRequest { message: Some(Message::Start(start)) };
        // There is room for it.
        let _ = requests.try_send(start);
        let responses = LockServiceClient::new(channel).hold(ReceiverStream::new(outgoing)).await?;
        Ok(Self { route, requests, responses: responses.into_inner(), sent })
    }

    /// The next message; cancel safe. Its end without one is an error here: the server says how a Hold
    /// ended before it ends.
    pub(crate) async fn message(&mut self) -> Result<HoldResponse, Status> {
        let message = self.responses.message().await?;
        message.ok_or_else(|| Status::unavailable("the stream ended"))
    }

    /// This client is alive, and asks for a renewal.
    pub(crate) fn beat(&mut self) {
        let sequence = self.sent.back().map_or(0, |(sequence, _)| *sequence) + 1;
        // Sent a moment later than this says: the deadline is early, not late.
        let sent = Moment::now();
        let beat = Message::Heartbeat(HoldHeartbeat { sequence });
        if self.requests.try_send(HoldRequest { message: Some(beat) }).is_ok() {
            self.sent.push_back((sequence, sent));
        }
        // While it waits in the queue nothing answers; the last few are enough for the grant.
        if self.sent.len() > UNANSWERED {
            self.sent.pop_front();
        }
    }

    /// Gives the lock back.
    pub(crate) fn release(&self) {
        // If it cannot be sent, the end of the stream does the same.
        let _ =
            self.requests.try_send(HoldRequest { message: Some(Message::Release(HoldRelease {})) });
    }

    /// When the message with this number was sent. Earlier ones are forgotten: they are as good as
    /// answered.
    pub(crate) fn sent_at(&mut self, sequence: u64) -> Option<Moment> {
        while self.sent.len() > 1 && self.sent.front().is_some_and(|(first, _)| *first < sequence) {
            self.sent.pop_front();
        }
        self.sent.front().filter(|(first, _)| *first == sequence).map(|(_, sent)| *sent)
    }
}
