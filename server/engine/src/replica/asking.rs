//! Asks on their way out: rounds, repairs and errands, and for masters that cannot be asked the answer
//! that is known already. And what masters answered, in words.

use super::call::{self, MasterAnswer};
use super::{Output, Replica};
use crate::ids::{MasterId, MasterSet, RunId};
use crate::master::{Outstanding, Purpose};
use crate::script::{Ask, Body, Request, Window};
use crate::step::{Cause, Step};
use crate::tally::Tally;
use crate::time::{Instant, Now};

impl Replica {
    pub(super) fn everyone(&self) -> MasterSet {
        self.masters.iter().map(|master| master.id).collect()
    }

    /// A round goes to every master that can be asked; for the others the answer is known.
    pub(super) fn fan_out(
        &mut self,
        cause: Cause,
        (operation, round): (u64, u8),
        request: &Request,
        now: Now,
    ) {
        let all = self.everyone();
        self.fan_out_to(cause, all, Purpose::Round { operation, round }, request, now);
    }

    pub(super) fn fan_out_to(
        &mut self,
        cause: Cause,
        to: MasterSet,
        purpose: Purpose,
        request: &Request,
        now: Now,
    ) {
        let step = self.next_step(cause, to);
        for master in to.iter() {
            match self.masters[master.index()].askable(&self.params, now) {
                Ok((run, window)) => {
                    self.ask(master, (purpose.clone(), step), request.clone(), (run, window), now);
                }
                Err(why) => {
                    self.echoes.push_back((master, purpose.clone(), Body::NotAsked(why)));
                }
            }
        }
    }

    /// A round that any connected process executes, also one that may not vote.
    pub(super) fn fan_out_to_connected(
        &mut self,
        cause: Cause,
        to: MasterSet,
        purpose: Purpose,
        request: &Request,
        now: Now,
    ) {
        let step = self.next_step(cause, to);
        for master in to.iter() {
            match self.masters[master.index()].run() {
                Some(run) => {
                    let why = (purpose.clone(), step);
                    self.ask(master, why, request.clone(), (run, Window::ANY), now);
                }
                None => {
                    let body = Body::NotAsked("unreachable".into());
                    self.echoes.push_back((master, purpose.clone(), body));
                }
            }
        }
    }

    /// Something a master must be told, now or when it is back; nobody waits for the answer.
    pub(super) fn errand_to_all(
        &mut self,
        cause: Cause,
        request: &Request,
        to: MasterSet,
        until: Instant,
        now: Now,
    ) {
        let step = self.next_step(cause, to);
        for master in to.iter() {
            match self.masters[master.index()].run() {
                Some(run) => {
                    let why = (Purpose::Errand, step);
                    self.ask(master, why, request.clone(), (run, Window::ANY), now);
                }
                None => self.masters[master.index()].owe(request.clone(), until),
            }
        }
    }

    pub(super) fn ask(
        &mut self,
        master: MasterId,
        (purpose, step): (Purpose, Step),
        mut request: Request,
        (run, window): (RunId, Window),
        now: Now,
    ) {
        if let Request::Release { resource, listens, .. } = &mut request {
            *listens = self.hears(master, resource);
        }
        let id = self.number();
        let outstanding = Outstanding { id, purpose, sent: now.boot, expired: false };
        self.masters[master.index()].outstanding.push_back(outstanding);
        self.outputs.push_back(Output::Ask(Ask { master, id, run, window, request }, step));
    }

    /// The step that begins with the next ask, and is called by its id.
    pub(super) fn next_step(&self, cause: Cause, masters: MasterSet) -> Step {
        Step { number: self.last_number + 1, masters, cause }
    }

    pub(super) fn explain(&self, tally: &Tally) -> Vec<MasterAnswer> {
        let explain = |master| MasterAnswer { master, answer: call::describe(tally.get(master)) };
        self.everyone().iter().map(explain).collect()
    }

    /// Nobody was asked: this replica must not propose anything while its clock is not known to fit.
    pub(super) fn explain_unfit(&self, now: Now) -> Vec<MasterAnswer> {
        let off = self.clock_is_off(now);
        let resting = self.is_resting(now);
        let answer = |master: MasterId| match self.masters[master.index()]
            .askable(&self.params, now)
        {
            _ if resting => "not asked: this replica's clock stood still a moment ago".to_owned(),
            _ if off => "not asked: this replica's clock is too far from a quorum's".to_owned(),
            Err(why) => why.to_string(),
            Ok(_) => {
                "not asked: too few other masters can be reached, or were looked at yet".to_owned()
            }
        };
        let explain = |master| MasterAnswer { master, answer: answer(master) };
        self.everyone().iter().map(explain).collect()
    }
}
