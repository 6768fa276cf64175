//! Those who know nothing but the contract, and use the generated client: a Hold whose client stays where it is
//! to the end, and renewals by KeepAlive. Both go on through the next replica when theirs has gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_proto::v1::acquire_response::Outcome as Acquired;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::keep_alive_response::Result as Renewed;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{AtRiskReason, ExtendRequest, HoldResponse, KeepAliveRequest};
use holdfast_tests::calls::Lease;
use holdfast_tests::streams::{HoldStream, hold_over, keep_alive_over, re_attach, start, wire};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;
use tonic::transport::Channel;

use crate::ledger::Ledger;
use crate::over::Over;
use crate::{LOOK, TTL};

/// A client, and the replica that it talks to.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) replicas: Vec<Channel>,
    pub(crate) at: usize,
    pub(crate) resource: String,
    pub(crate) over: Over,
}

/// A lease as its client knows it, by its own clock.
#[derive(Debug, Clone, Copy)]
struct Known {
    token: u64,
    until: Instant,
}

impl Plain {
    fn channel(&self) -> Channel {
        self.replicas[self.at].clone()
    }

    fn go_on(&mut self) {
        self.at = (self.at + 1) % self.replicas.len();
    }

    fn lost(&self, why: impl ToString) {
        self.ledger.lost(&self.resource, "a plain client", why);
    }

    /// A grant or a renewal that was asked for then.
    fn heard(&self, before: Option<Known>, lease: Lease, asked: Instant) -> Known {
        let token = lease.fencing_token;
        match before {
            None => self.ledger.granted(&self.resource, "a plain client", token),
            Some(known) if known.token == token => {}
            Some(known) => {
                let what = format!("{}: token {token} in place of {}", self.resource, known.token);
                self.ledger.violated(what);
            }
        }
        let until = asked + lease.valid_for;
        Known { token, until: before.map_or(until, |known| known.until.max(until)) }
    }

    /// Holds the lock on one stream after the other. Tells which replicas said that they drain.
    pub(crate) async fn hold(mut self) -> Vec<usize> {
        let (mut known, mut drains) = (None, Vec::new());
        let mut request = start(&self.resource, "a plain hold", TTL);
        while !self.over.is() {
            if let Some(Known { token, .. }) = known {
                request = re_attach(request, token);
            }
            let asked = Instant::now();
            if let Ok(stream) = hold_over(self.channel()).await {
                stream.start(request.clone());
                if self.stay(stream, asked, (&mut known, &mut drains)).await.is_none() {
                    return drains;
                }
            }
            if known.is_some_and(|known| known.until <= Instant::now()) {
                self.lost("no replica in time");
                return drains;
            }
            self.go_on();
            sleep(LOOK).await;
        }
        drains
    }

    /// To the end of the stream, whatever is said; `None`: it is over.
    async fn stay(
        &mut self,
        mut stream: HoldStream,
        asked: Instant,
        (known, drains): (&mut Option<Known>, &mut Vec<usize>),
    ) -> Option<Status> {
        let mut sent = BTreeMap::from([(0, asked)]);
        loop {
            let beat = *sent.values().next_back()? + TTL / 4;
            let HoldResponse { sequence, event, .. } = tokio::select! {
                message = stream.message() => match message {
                    Ok(Some(message)) => message,
                    Ok(None) => return Some(Status::unavailable("the end")),
                    Err(status) => return Some(status),
                },
                () = sleep_until(beat) => {
                    let sequence = sent.len() as u64;
                    sent.insert(sequence, Instant::now());
                    stream.heartbeat(sequence);
                    continue;
                }
                () = self.over.comes() => {
                    self.ledger.gives_back(&self.resource);
                    stream.release();
                    stream.until(|event| matches!(event, Event::Released(_))).await;
                    return None;
                }
            };
            match event {
                Some(Event::Granted(lease) | Event::Renewed(lease)) => {
                    *known = Some(self.heard(*known, lease.into(), sent[&sequence]));
                }
                Some(Event::AtRisk(risk)) if risk.reason() == AtRiskReason::ServerDraining => {
                    drains.push(self.at);
                }
                Some(Event::Lost(lost)) => {
                    self.lost(lost.reason().as_str_name());
                    return None;
                }
                _ => {}
            }
        }
    }

    /// Takes the lock, and renews it over one KeepAlive after the other.
    pub(crate) async fn keep_alive(mut self) {
        let request = start(&self.resource, "a plain lease", TTL).acquire.expect("an acquire");
        let asked = Instant::now();
        let answer = LockServiceClient::new(self.channel()).acquire(request.clone()).await;
        let Some(Acquired::Lease(lease)) = answer.expect("an answer").into_inner().outcome else {
            return self.ledger.failed("a plain client", "somebody has its lock");
        };
        let mut known = self.heard(None, lease.into(), asked);
        let extend = ExtendRequest {
            resource: self.resource.clone(),
            lease_id: request.lease_id,
            fencing_token: known.token,
            ttl: Some(wire(TTL)),
            ..ExtendRequest::default()
        };
        while let Some(goes_on) = self.renew(&extend, known).await {
            known = goes_on;
            if known.until <= Instant::now() {
                return self.lost("no replica in time");
            }
            self.go_on();
            sleep(LOOK).await;
        }
        self.ledger.gives_back(&self.resource);
    }

    /// To the end of the stream; `None`: it is over.
    async fn renew(&mut self, extend: &ExtendRequest, mut known: Known) -> Option<Known> {
        let Ok(mut stream) = keep_alive_over(self.channel()).await else { return Some(known) };
        for sequence in 1.. {
            let asked = Instant::now();
            stream.send(KeepAliveRequest { extend: Some(extend.clone()), sequence });
            let Ok(Some(answer)) = stream.message().await else { break };
            match answer.result {
                Some(Renewed::Lease(lease)) => {
                    known = self.heard(Some(known), lease.into(), asked);
                }
                Some(Renewed::Lost(lost)) => {
                    self.lost(lost.reason().as_str_name());
                    return None;
                }
                // Repeated.
                Some(Renewed::Error(_)) | None => {}
            }
            tokio::select! {
                () = sleep(TTL / 20) => {}
                () = self.over.comes() => return None,
            }
        }
        Some(known)
    }
}
