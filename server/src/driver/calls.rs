//! The calls of one stream: any number under way, their answers in one queue. Dropping it cancels them all,
//! and what was granted unheard is taken back.

use super::handle::{Closed, Handle, Message};
use crate::telemetry;
use holdfast_engine::{Answer, Call, CallId, GiveBack};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Where the answers of many calls go.
pub(super) type Answers = UnboundedSender<(CallId, Answer)>;

/// The calls of one stream.
#[derive(Debug)]
pub struct Calls {
    handle: Handle,
    answers: Answers,
    answered: UnboundedReceiver<(CallId, Answer)>,
    under_way: BTreeSet<CallId>,
}

/// Where the answer to a call goes.
#[derive(Debug)]
pub(super) enum Caller {
    One(oneshot::Sender<Answer>),
    Stream(Answers),
}

impl Caller {
    /// Gives it back if nobody is there any more.
    pub(super) fn tell(self, id: CallId, answer: Answer) -> Option<Answer> {
        match self {
            Self::One(caller) => caller.send(answer).err(),
            Self::Stream(answers) => answers.send((id, answer)).err().map(|unheard| unheard.0.1),
        }
    }
}

impl Calls {
    pub(super) fn new(handle: Handle) -> Self {
        let (answers, answered) = unbounded_channel();
        Self { handle, answers, answered, under_way: BTreeSet::new() }
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Ready, if the next message may be read.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.handle.poll_room(cx)
    }

    /// Has a call served.
    pub fn begin(&mut self, call: Call) -> Result<CallId, Closed> {
        let id = CallId(self.handle.last_id.fetch_add(1, Ordering::Relaxed));
        let caller = Caller::Stream(self.answers.clone());
        self.handle.send(Message::Call(id, call, telemetry::parent(), caller))?;
        self.under_way.insert(id);
        Ok(id)
    }

    /// Takes a call back.
    pub fn cancel(&mut self, id: CallId) {
        if self.under_way.remove(&id) {
            // A driver that has gone has nothing to cancel.
            let _ = self.handle.send(Message::Cancel(id));
        }
    }

    /// The next answer.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<(CallId, Answer)> {
        // This side has a sender as well: there is no end.
        while let Poll::Ready(Some((id, answer))) = self.answered.poll_recv(cx) {
            if self.under_way.remove(&id) {
                return Poll::Ready((id, answer));
            }
            // Taken back meanwhile.
            self.give_back(answer);
        }
        Poll::Pending
    }

    /// Takes leases back whose client has gone.
    pub fn abandon(&self, leases: Vec<GiveBack>) {
        if !leases.is_empty() {
            // A driver that has gone leaves them to their ttl.
            drop(self.handle.send(Message::Abandon(leases)));
        }
    }

    /// The same, some time from now.
    pub fn abandon_after(&self, grace: Duration, leases: Vec<GiveBack>) {
        let handle = self.handle.clone();
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            drop(handle.send(Message::Abandon(leases)));
        });
    }

    fn give_back(&self, answer: Answer) {
        if let Answer::Granted(granted) = answer {
            self.handle.give_back(granted.give_back);
        }
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        // From here on the driver's sends fail; what it has sent before is there to be taken back.
        self.answered.close();
        while let Ok((id, answer)) = self.answered.try_recv() {
            self.under_way.remove(&id);
            self.give_back(answer);
        }
        for id in std::mem::take(&mut self.under_way) {
            // A driver that has gone has nothing to cancel.
            let _ = self.handle.send(Message::Cancel(id));
        }
    }
}
