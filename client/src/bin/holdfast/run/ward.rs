//! CMD while it runs: everything that can happen to it and to its lock, in one loop.

use std::io::{self, IsTerminal, stdin};
use std::time::Duration;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use super::boottime::Boot;
use super::events::Event;
use super::group::{Group, Stage};
use super::notes::Notes;
use super::partner::Partner;
use super::schedule::{Schedule, Step};
use super::terminal::Terminal;
use super::wire::{Grant, News};
use crate::exit::{Failure, Kind};
use crate::view::millis;

/// The exit code of a CMD that was killed.
const KILLED: u8 = 128 + 9;

/// How CMD came to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// CMD's exit code.
    pub(crate) code: u8,
    /// The terminal's signal that CMD died of.
    pub(crate) interrupted: Option<i32>,
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
    /// There was nothing that could end.
    pub(crate) fn without_start(deadline: Boot) -> Self {
        let (code, interrupted, stopped, loss, keeper_is_gone) = (0, None, false, None, false);
        Self { code, interrupted, stopped, loss, deadline, keeper_is_gone }
    }

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

/// So late nobody is on a machine that is merely slow. And how long it takes at most to hear what was said.
const STOOD_STILL: Duration = Duration::from_millis(100);

/// Between two stops of CMD.
const BREATH: Duration = Duration::from_millis(10);

/// Whether CMD runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    No,
    /// The keeper was told.
    Told,
    Yes,
}

/// CMD, its lock, and who wants something of it.
#[derive(Debug)]
pub(crate) struct Ward<'a> {
    group: Group,
    schedule: Schedule,
    terminal: Option<Terminal>,
    partner: &'a mut Partner,
    signals: &'a mut UnboundedReceiver<Signal>,
    notes: &'a Notes,
    begun: Begun,
    keeper_is_gone: bool,
    /// Why the lock is lost.
    loss: Option<String>,
    /// CMD was stopped for that.
    stopped: bool,
    /// The terminal's signal that CMD died of.
    interrupted: Option<i32>,
}

impl<'a> Ward<'a> {
    pub(crate) fn new(
        group: Group,
        grant: &Grant,
        partner: &'a mut Partner,
        signals: &'a mut UnboundedReceiver<Signal>,
        notes: &'a Notes,
    ) -> Self {
        let schedule = Schedule::new(grant.ttl, grant.deadline);
        let terminal = Terminal::own();
        Self {
            group,
            schedule,
            terminal,
            partner,
            signals,
            notes,
            begun: Begun::No,
            keeper_is_gone: false,
            loss: None,
            stopped: false,
            interrupted: None,
        }
    }

    /// Comes back when nothing of CMD runs any more.
    pub(crate) async fn guard(mut self) -> io::Result<Ended> {
        let mut children = signal(SignalKind::child())?;
        loop {
            match self.group.poll()? {
                Stage::Over => return Ok(self.ended()),
                Stage::LeaderEnded => {
                    self.leader_ended();
                    continue;
                }
                Stage::Stopped if self.begun == Begun::No => {
                    self.begun = Begun::Told;
                    self.partner.starting(self.group.id());
                }
                Stage::Stopped => {
                    self.leader_stopped().await;
                    // It may have changed since.
                    continue;
                }
                Stage::Running | Stage::Lingering => {}
            }
            let next = self.schedule.next();
            let look = self.schedule.look();
            tokio::select! {
                biased;
                news = self.partner.news(), if !self.keeper_is_gone => self.hear(news),
                () = async {
                    match next {
                        Some((at, _)) => at.reached(look).await,
                        None => std::future::pending().await,
                    }
                } => {
                    if let Some((at, _)) = next {
                        self.due(at).await;
                    }
                }
                Some(signal) = self.signals.recv() => self.pass_on(signal),
                _ = children.recv() => {}
            }
        }
    }

    fn hear(&mut self, news: Option<News>) {
        match news {
            Some(News::Renewed { deadline }) => {
                self.schedule.moved(deadline);
                self.notes.note(Event::renewed(deadline));
            }
            Some(News::AtRisk { reason, deadline }) => {
                self.schedule.moved(deadline);
                self.notes.note(Event::AtRisk { reason, valid_for_ms: self.valid_for_ms() });
            }
            Some(News::Lost { reason }) => self.lose(reason),
            Some(News::Noted) => self.begin(),
            Some(News::Released { .. }) => {
                self.lose("it was given back, as nothing was started in time".to_owned());
            }
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

    /// The next step is due, unless there is news. A process that stood still hears that first: the keeper,
    /// which did not, has renewed the lock meanwhile, or has ended CMD. If the machine stood still, nobody has:
    /// CMD does not run until that is known.
    async fn due(&mut self, at: Boot) {
        let stops = self.begun == Begun::Yes && at.after(STOOD_STILL).remaining().is_zero();
        if stops {
            self.group.signal(Signal::STOP);
            tokio::time::sleep(STOOD_STILL).await;
            while let Some(news) = self.partner.news_so_far() {
                self.hear(Some(news));
            }
        }
        match self.schedule.next() {
            Some((at, step)) if at.remaining().is_zero() => self.take(step),
            _ if stops => self.group.signal(Signal::CONT),
            _ => {}
        }
    }

    fn take(&mut self, step: Step) {
        // Where this process could not do it in time there is nothing left to ask for. What has not
        // begun is not asked.
        let late = self.schedule.kill_at().remaining().is_zero();
        let step = if late || self.begun != Begun::Yes { Step::Kill } else { step };
        match step {
            Step::Terminate => self.signal(Signal::TERM),
            Step::Kill => self.signal(Signal::KILL),
        }
        self.schedule.done(step);
        if self.group.code().is_some() {
            return;
        }
        let (first, valid_for_ms) = (!self.stopped, self.valid_for_ms());
        self.stopped = true;
        if first {
            let reason = why(self.loss.as_deref());
            self.notes.note(Event::Terminated { reason, valid_for_ms });
        }
        if step == Step::Kill {
            self.notes.note(Event::Killed { valid_for_ms });
        }
    }

    fn pass_on(&self, signal: Signal) {
        if self.begun == Begun::Yes {
            self.signal(signal);
        } else {
            // It sees it when it begins.
            self.group.signal(signal);
        }
    }

    fn signal(&self, signal: Signal) {
        self.group.signal(signal);
        // One that was stopped would not see it.
        if matches!(signal, Signal::HUP | Signal::TERM) {
            self.group.signal(Signal::CONT);
        }
    }

    /// The keeper knows of it.
    fn begin(&mut self) {
        if self.begun == Begun::Told && self.may_go_on() {
            self.begun = Begun::Yes;
            // Another one's, in a pipe perhaps, is lent when CMD asks for it.
            match &self.terminal {
                Some(terminal) if stdin().is_terminal() => terminal.lend(&self.group),
                _ => self.group.signal(Signal::CONT),
            }
        }
    }

    /// Whether CMD, which does not run, may do so. This process may have been stopped for long.
    fn may_go_on(&mut self) -> bool {
        while let Some(news) = self.partner.news_so_far() {
            self.hear(Some(news));
        }
        self.schedule.allows()
    }

    fn leader_ended(&mut self) {
        let had_terminal =
            self.terminal.as_ref().is_some_and(|terminal| terminal.take_back(&self.group));
        let by_terminal = [Signal::INT.as_raw(), Signal::QUIT.as_raw()];
        self.interrupted =
            self.group.died_of().filter(|signal| had_terminal && by_terminal.contains(signal));
        self.schedule.end(Boot::now());
    }

    async fn leader_stopped(&mut self) {
        // One that is to end gets what it needs for that.
        if self.terminal.is_none() || !self.schedule.allows() {
            return;
        }
        if let Some(terminal) = &self.terminal {
            terminal.stop_with();
            // Should it be stopped again at once, with no shell to stop this as well.
            tokio::time::sleep(BREATH).await;
        }
        if self.may_go_on()
            && let Some(terminal) = &self.terminal
        {
            terminal.lend(&self.group);
        }
    }

    fn ended(self) -> Ended {
        let Self { stopped, loss, keeper_is_gone, interrupted, .. } = self;
        let code = self.group.code().unwrap_or(1);
        Ended {
            code,
            interrupted,
            stopped,
            loss,
            deadline: self.schedule.deadline(),
            keeper_is_gone,
        }
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
