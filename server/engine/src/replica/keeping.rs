//! Keeping the lease of a Hold: renewals, warnings, and `lost` before the validity ends, whatever the
//! masters do.
//!
//! Source: docs/protocol.md, "Hold".

use super::call::{CallId, Granted};
use super::session::{Session, Stage, Tenancy};
use super::{Replica, Timer};
use crate::acquire::Grant;
use crate::ballot::Ballot;
use crate::extend::Loss;
use crate::hold::{HoldEvent, Liveness, LostBy, Risk, Tenure};
use crate::ids::{MasterSet, Nonce};
use crate::mutants::Mutant;
use crate::script::{Claim, Renewal};
use crate::time::{Instant, Now};
use std::sync::Arc;

impl Replica {
    pub(super) fn begin_hold(&mut self, id: CallId, granted: Granted, now: Now) {
        let Granted { grant, voters, give_back } = granted;
        self.sessions.note_ballot(id, grant.token);
        self.hold_lease(id, give_back.nonce, (grant, voters), now);
    }

    fn hold_lease(
        &mut self,
        id: CallId,
        nonce: Nonce,
        (grant, voters): (Grant, MasterSet),
        now: Now,
    ) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let (sequence, received) = session.heard;
        session.stage = Stage::Held(Tenancy {
            nonce,
            grant: grant.clone(),
            asked: session.hold.claim.ttl,
            renewed: now.boot,
            voters,
            round: None,
            again: false,
            warned: Vec::new(),
        });
        let tenure = Tenure { grant, sequence, received: Some(received) };
        self.tell_holder(id, HoldEvent::Granted(tenure));
        self.arm_session(id, now);
    }

    /// The extend that begins a re-attached session.
    pub(super) fn prove(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get(&id) else { return };
        let Stage::Proving(nonce) = session.stage else { return };
        let renewal = renewal(&session.hold.claim, session.hold.token, nonce);
        self.begin_extend(id, renewal, None, now);
    }

    /// A renewal round; it goes on trying for as long as there is something to renew.
    pub(super) fn renew(&mut self, id: CallId, asked: Option<Instant>, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Held(tenancy) = &mut session.stage else { return };
        let end = tenancy.lost_at();
        if now.boot >= end {
            self.expire_session(id, now);
            return;
        }
        let sequence = asked.map_or(0, |_| session.heard.0);
        tenancy.round = Some((sequence, asked));
        tenancy.again = false;
        let renewal = renewal(&session.hold.claim, tenancy.grant.token, tenancy.nonce);
        self.begin_extend(id, renewal, Some(end), now);
    }

    pub(super) fn renewed(&mut self, id: CallId, grant: Grant, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        if let Stage::Proving(nonce) = session.stage {
            self.hold_lease(id, nonce, (grant, MasterSet::default()), now);
            return;
        }
        let heard = session.heard;
        let Stage::Held(tenancy) = &mut session.stage else { return };
        // The client has stopped by now, or is about to: nothing revives what it gave up.
        if now.boot >= tenancy.lost_at() {
            self.expire_session(id, now);
            return;
        }
        tenancy.grant = grant.clone();
        tenancy.renewed = now.boot;
        tenancy.warned.retain(|risk| *risk == Risk::Draining);
        let (sequence, received) = tenancy.round.take().unwrap_or_default();
        let again = std::mem::take(&mut tenancy.again);
        let tenure = Tenure { grant, sequence, received };
        self.tell_holder(id, HoldEvent::Renewed(tenure));
        if again {
            self.renew(id, Some(heard.1), now);
        }
        self.arm_session(id, now);
    }

    /// Had the renewal a vote to spare?
    pub(super) fn session_settled(&mut self, id: CallId, voters: MasterSet) {
        let (quorum, masters) = (self.params.quorum(), self.params.masters);
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Held(tenancy) = &mut session.stage else { return };
        let missing = tenancy.voters.iter().any(|voter| !voters.contains(voter));
        let bare = voters.len() == quorum && masters > quorum + 1;
        tenancy.voters = voters;
        tenancy.grant.votes = voters.len();
        if bare || missing {
            self.warn_holder(id, Risk::BareQuorum);
        }
    }

    pub(super) fn warn_holder(&mut self, id: CallId, risk: Risk) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Held(tenancy) = &mut session.stage else { return };
        if !tenancy.warned.contains(&risk) {
            tenancy.warned.push(risk);
            let Grant { valid_until, votes, .. } = tenancy.grant;
            self.tell_holder(id, HoldEvent::AtRisk { risk, valid_until, votes });
        }
    }

    /// Its time came: for a renewal, a warning, or the end.
    pub(super) fn session_timeout(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        session.armed = None;
        match &session.stage {
            Stage::Acquiring { queued: Some(queued) } => {
                let silent = session.heard.1.max(*queued) + session.hold.claim.ttl;
                if session.hold.liveness == Liveness::Heartbeat && now.boot >= silent {
                    self.cancel_call(id, now);
                    self.lose(id, LostBy::ClientSilent);
                }
            }
            Stage::Held(tenancy) => {
                if now.boot >= tenancy.lost_at() {
                    self.expire_session(id, now);
                    return;
                }
                let renewal_late = tenancy.late();
                let by_itself = session.hold.liveness == Liveness::Connection;
                let due = tenancy.round.is_none() && now.boot >= tenancy.due();
                if now.boot >= renewal_late {
                    self.warn_holder(id, Risk::RenewalLate);
                }
                if by_itself && due {
                    self.renew(id, None, now);
                }
            }
            Stage::Detached(_, until) if now.boot >= *until => {
                if let Some(Session { hold, stage: Stage::Detached(tenancy, _), ballot, .. }) =
                    self.sessions.remove(id)
                {
                    self.take_back(&hold, &tenancy, ballot, now);
                }
            }
            _ => {}
        }
        self.arm_session(id, now);
    }

    /// The validity is about to end without a renewal.
    pub(super) fn expire_session(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get(&id) else { return };
        let Stage::Held(tenancy) = &session.stage else { return };
        let silent = session.hold.liveness == Liveness::Heartbeat && tenancy.round.is_none();
        let by = if tenancy.grant.ttl < tenancy.asked {
            // What it was shortened to is over.
            LostBy::Told(Loss::MaxHold)
        } else if now.boot >= tenancy.grant.valid_until {
            // Woken too late to try: nobody knows whom the masters would have voted for.
            LostBy::Expired
        } else if silent {
            LostBy::ClientSilent
        } else {
            LostBy::NoQuorum
        };
        self.lose(id, by);
    }

    /// The lease is over. Nothing is taken back: until its deadline the client may rely on it, and
    /// then it expires.
    pub(super) fn lose(&mut self, id: CallId, by: LostBy) {
        self.drop_round(id);
        let told = !self.params.mutants.has(Mutant::LossNotTold);
        if self.sessions.remove(id).is_some() && told {
            self.tell_holder(id, HoldEvent::Lost(by));
        }
    }

    pub(super) fn arm_session(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let due = match &session.stage {
            Stage::Acquiring { queued: Some(queued) }
                if session.hold.liveness == Liveness::Heartbeat =>
            {
                session.heard.1.max(*queued) + session.hold.claim.ttl
            }
            Stage::Held(tenancy) => tenancy.next(session.hold.liveness, now.boot),
            Stage::Detached(_, until) => *until,
            _ => return,
        };
        if session.armed.is_none_or(|armed| due < armed) {
            session.armed = Some(due);
            self.set_timer(due, Timer::Session(id));
        }
    }
}

fn renewal(claim: &Claim, token: Ballot, nonce: Nonce) -> Arc<Renewal> {
    let Claim { resource, lease, ttl, .. } = claim;
    let (resource, lease, ttl) = (resource.clone(), *lease, *ttl);
    Arc::new(Renewal { resource, lease, token, ttl, nonce, metadata: None })
}
