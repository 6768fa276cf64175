//! CMD while it runs: everything that can happen to it and to its lock, in one loop.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use super::boottime::{Boot, sleep_until};
use super::events::Event;
use super::group::{Group, Stage};
use super::partner::Partner;
use super::schedule::{Schedule, Step};
use super::terminal::Terminal;
use super::wire::{Grant, News};
use crate::exit::{Failure, Kind};
use crate::output::Output;
use crate::view::millis;

/// The exit code of a CMD that was killed.
const KILLED: u8 = 128 + 9;

/// How CMD came to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// CMD's exit code.
    pub(crate) code: u8,
    /// CMD was stopped because of the lock.
    pub(crate) stopped: bool,
    /// Why the lock is lost, as far as that is known.
    pub(crate) loss: Option<String>,
    /// Until when the lock was valid.
    pub(crate) deadline: Boot,
    /// The lock must be given back without it.
    pub(crate) keeper_is_gone: bool,
}

impl Ended {
    /// What `run` comes to.
    pub(crate) fn result(self) -> Result<u8, Failure> {
        // While this process was frozen, the keeper did what had to be done.
        let by_keeper = self.code == KILLED && self.loss.is_some();
        if !self.stopped && !by_keeper {
            return Ok(self.code);
        }
        let why = why(self.loss.as_deref());
        Err(Failure::new(Kind::Lost, format!("{why}; the command was stopped")))
    }
}

/// CMD, its lock, and who wants something of it.
#[derive(Debug)]
pub(crate) struct Ward<'a> {
    group: Group,
    schedule: Schedule,
    terminal: Option<Terminal>,
    partner: &'a mut Partner,
    signals: &'a mut UnboundedReceiver<Signal>,
    output: Output,
    keeper_is_gone: bool,
    /// Why the lock is lost.
    loss: Option<String>,
    /// CMD was stopped for that.
    stopped: bool,
}

impl<'a> Ward<'a> {
    pub(crate) fn new(
        group: Group,
        grant: &Grant,
        partner: &'a mut Partner,
        signals: &'a mut UnboundedReceiver<Signal>,
        output: Output,
    ) -> Self {
        let schedule = Schedule::new(grant.ttl, grant.deadline);
        let terminal = Terminal::of_stdin();
        let (keeper_is_gone, loss, stopped) = (false, None, false);
        Self { group, schedule, terminal, partner, signals, output, keeper_is_gone, loss, stopped }
    }

    /// Comes back when nothing of CMD runs any more.
    pub(crate) async fn guard(mut self) -> io::Result<Ended> {
        let mut children = signal(SignalKind::child())?;
        if let Some(terminal) = &self.terminal {
            terminal.lend(&self.group);
        }
        loop {
            match self.group.poll()? {
                Stage::Over => return Ok(self.ended()),
                Stage::LeaderEnded => {
                    self.leader_ended();
                    continue;
                }
                Stage::Stopped => self.leader_stopped(),
                Stage::Running | Stage::Lingering => {}
            }
            let next = self.schedule.next();
            let look = self.schedule.look();
            tokio::select! {
                biased;
                news = self.partner.news(), if !self.keeper_is_gone => self.hear(news),
                () = async {
                    match next {
                        Some((at, _)) => sleep_until(at, look).await,
                        None => std::future::pending().await,
                    }
                } => {
                    if let Some((_, step)) = next {
                        self.take(step);
                    }
                }
                Some(signal) = self.signals.recv() => self.group.signal(signal),
                _ = children.recv() => {}
            }
        }
    }

    fn hear(&mut self, news: Option<News>) {
        match news {
            Some(News::Renewed { deadline }) => {
                self.schedule.moved(deadline);
                self.output.note(&Event::renewed(deadline));
            }
            Some(News::AtRisk { reason, deadline }) => {
                self.schedule.moved(deadline);
                self.output.note(&Event::AtRisk { reason, valid_for_ms: self.valid_for_ms() });
            }
            Some(News::Lost { reason }) => self.lose(reason),
            Some(_) => {}
            None => {
                self.keeper_is_gone = true;
                self.lose("the process that renews it has ended".to_owned());
            }
        }
    }

    fn lose(&mut self, reason: String) {
        self.loss.get_or_insert(reason);
        self.schedule.end(Boot::now());
    }

    fn take(&mut self, step: Step) {
        self.schedule.done(step);
        let valid_for_ms = self.valid_for_ms();
        if self.group.code().is_none() {
            self.stopped = true;
            self.output.note(&match step {
                Step::Terminate => {
                    Event::Terminated { reason: why(self.loss.as_deref()), valid_for_ms }
                }
                Step::Kill => Event::Killed { valid_for_ms },
            });
        }
        match step {
            Step::Terminate => {
                self.group.signal(Signal::TERM);
                // One that was stopped would not see it.
                self.group.signal(Signal::CONT);
            }
            Step::Kill => self.group.signal(Signal::KILL),
        }
    }

    fn leader_ended(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.take_back(&self.group);
        }
        self.schedule.end(Boot::now());
    }

    fn leader_stopped(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.stop_with(&self.group);
        }
    }

    fn ended(self) -> Ended {
        let Self { stopped, loss, keeper_is_gone, .. } = self;
        let code = self.group.code().unwrap_or(1);
        Ended { code, stopped, loss, deadline: self.schedule.deadline(), keeper_is_gone }
    }

    fn valid_for_ms(&self) -> u64 {
        millis(self.schedule.deadline().remaining())
    }
}

fn why(loss: Option<&str>) -> String {
    match loss {
        Some(reason) => format!("the lock is lost: {reason}"),
        None => "the lock is about to be lost: no renewal came in time".to_owned(),
    }
}
