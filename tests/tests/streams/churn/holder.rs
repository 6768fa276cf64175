//! One client of a Hold: sends heartbeats, reads what comes, and tells the oracle.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{
    self, HoldResponse, HoldStart, LeaseLostReason, Liveness, ReleaseOutcome,
};
use holdfast_tests::calls::Lease;
use holdfast_tests::lateness;
use holdfast_tests::streams::{HoldStream, hold_over};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::oracle::{Name, deadline};
use super::scene::{Line, Scene};

/// Under LIVENESS_CONNECTION a client counts from receipt, which is one network delay too late. This is more
/// than that, beside what this process is late in reading.
const MARGIN: Duration = Duration::from_millis(500);
/// What is read has not waited for longer.
const UNREAD: Duration = Duration::from_secs(5);

/// The client's side of one stream.
#[derive(Debug)]
pub(super) struct Holder<'a> {
    scene: &'a Scene,
    stream: HoldStream,
    line: Line,
    start: HoldStart,
    /// The highest token that was out when it asked.
    highest: u64,
    /// When it sent what; 0 is `start`.
    sent: BTreeMap<u64, Instant>,
    next_beat: Instant,
    token: u64,
    /// It has given the lock back: a renewal that crosses that on the way is of no use any more.
    over: bool,
}

/// What a client was told.
#[derive(Debug)]
pub(super) enum Word {
    Queued,
    Granted,
    Renewed,
    AtRisk,
    Lost(LeaseLostReason),
    Released,
    Contended,
    /// The end, by either side, with an error or without.
    End,
}

impl Word {
    pub(super) fn is_last(&self) -> bool {
        use Word::{Contended, End, Lost, Released};
        matches!(self, Lost(_) | Released | Contended | End)
    }
}

impl<'a> Holder<'a> {
    /// Asks for a lock, or for one that it holds already.
    pub(super) async fn open(scene: &'a Scene, line: Line, start: HoldStart) -> Option<Holder<'a>> {
        let stream = match hold_over(line.channel.clone()).await {
            Ok(stream) => stream,
            Err(status) => {
                scene.failed(line.replica, &status);
                return None;
            }
        };
        let resource = &start.acquire.as_ref()?.resource;
        let (highest, now) = (scene.oracle().highest(resource), Instant::now());
        let (sent, token) = (BTreeMap::from([(0, now)]), start.fencing_token);
        stream.start(start.clone());
        let mut holder = Holder {
            scene,
            stream,
            line,
            start,
            highest,
            sent,
            next_beat: now,
            token,
            over: false,
        };
        holder.next_beat = now + holder.pause();
        Some(holder)
    }

    pub(super) fn token(&self) -> u64 {
        self.token
    }

    pub(super) fn name(&self) -> Name<'_> {
        let acquire = self.start.acquire.as_ref().expect("a start has an acquire");
        Name { resource: &acquire.resource, lease_id: &acquire.lease_id }
    }

    /// By when the lease ends, as the oracle knows.
    pub(super) fn valid_until(&self) -> Instant {
        self.scene.oracle().valid_until(self.name()).unwrap_or_else(Instant::now)
    }

    /// Relies on the lease no more, or until `at` at most. To be said before it is done.
    pub(super) fn ends(&self, at: Instant) {
        self.scene.oracle().ended(self.name(), at);
    }

    /// Reads, and sends heartbeats, until a word that is wanted or the last one. `None`: not until then.
    pub(super) async fn listen(
        &mut self,
        until: Instant,
        wanted: impl Fn(&Word) -> bool,
    ) -> Option<Word> {
        let beats = self.start.liveness() != Liveness::Connection;
        loop {
            tokio::select! {
                message = self.stream.message() => {
                    let word = self.hear(message);
                    if word.is_last() || wanted(&word) {
                        return Some(word);
                    }
                }
                () = sleep_until(self.next_beat), if beats => self.beat(),
                () = sleep_until(until) => return None,
            }
        }
    }

    /// The same without a sign of life.
    pub(super) async fn listen_silently(&mut self, until: Instant) -> Option<Word> {
        self.next_beat = until + self.pause();
        self.listen(until, Word::is_last).await
    }

    /// Ends the client's side.
    pub(super) fn close(&mut self) {
        self.over = true;
        self.ends(Instant::now());
        self.stream.close();
    }

    /// Gives the lock back.
    pub(super) fn release(&mut self) {
        self.over = true;
        self.ends(Instant::now());
        self.stream.release();
    }

    fn beat(&mut self) {
        let (now, sequence) = (Instant::now(), self.sent.len() as u64);
        self.sent.insert(sequence, now);
        self.stream.heartbeat(sequence);
        self.next_beat = now + self.pause();
    }

    /// A third of the ttl.
    fn pause(&self) -> Duration {
        let ttl = self.start.acquire.as_ref().and_then(|acquire| acquire.ttl);
        ttl.and_then(|ttl| ttl.try_into().ok()).map_or(Duration::ZERO, |ttl: Duration| ttl / 3)
    }

    fn hear(&mut self, message: Result<Option<HoldResponse>, Status>) -> Word {
        let response = match message {
            Ok(Some(response)) => response,
            Ok(None) => return Word::End,
            Err(status) => {
                self.scene.failed(self.line.replica, &status);
                return Word::End;
            }
        };
        let scene = self.scene;
        match response.event.expect("a HoldResponse has an event") {
            Event::Queued(_) => {
                scene.count("hold queued");
                Word::Queued
            }
            Event::Granted(lease) => {
                scene.count("hold granted");
                self.learn(response.sequence, lease, true);
                Word::Granted
            }
            Event::Renewed(lease) => {
                scene.count("hold renewed");
                self.learn(response.sequence, lease, false);
                Word::Renewed
            }
            Event::AtRisk(risk) => {
                scene.count(&format!("hold at risk {}", risk.reason().as_str_name()));
                Word::AtRisk
            }
            Event::Lost(lost) => {
                scene.count(&format!("hold lost {}", lost.reason().as_str_name()));
                Word::Lost(lost.reason())
            }
            Event::Released(outcome) => {
                let outcome = ReleaseOutcome::try_from(outcome).unwrap_or_default();
                scene.count(&format!("hold released {}", outcome.as_str_name()));
                Word::Released
            }
            Event::Contended(_) => {
                scene.count("hold contended");
                Word::Contended
            }
        }
    }

    fn learn(&mut self, sequence: u64, lease: v1::Lease, granted: bool) {
        if self.over {
            return;
        }
        let (now, lease) = (Instant::now(), Lease::from(lease));
        let mut oracle = self.scene.oracle();
        let until = match (self.start.liveness(), self.sent.get(&sequence)) {
            (Liveness::Connection, _) => {
                let late = lateness::since(now - UNREAD);
                now + lease.valid_for.saturating_sub(MARGIN + late)
            }
            (_, Some(sent)) => deadline(*sent, &lease),
            (_, None) => {
                oracle.blame(format!("{:?} answers heartbeat {sequence}: {lease:?}", self.name()));
                now
            }
        };
        let (name, token) = (self.name(), lease.fencing_token);
        if granted && self.start.fencing_token == 0 {
            oracle.granted(name, token, self.highest, (now, until));
        } else {
            oracle.renewed(name, token, (now, until));
            if token != self.token {
                oracle.blame(format!("{name:?} has token {}, and then {token}", self.token));
            }
        }
        drop(oracle);
        self.token = token;
    }
}
