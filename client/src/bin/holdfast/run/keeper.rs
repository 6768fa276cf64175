//! The keeper: takes the lock, renews it, and gives it back when nothing of CMD runs any more.
//!
//! It kills CMD's group only when the parent cannot: when that has died, or is frozen at the deadline.

use std::io::{self, stdin, stdout};
use std::time::Duration;

use holdfast_client::{Error, Guard, Lock, Queued};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::mpsc::UnboundedReceiver;

use super::boottime::Boot;
use super::schedule::Schedule;
use super::wire::{Grant, News, Order, Outgoing, Request, incoming};
use crate::connect::Connection;
use crate::exit::Failure;
use crate::values::Values;
use crate::view::HeldView;

/// How often it is looked whether a killed group is gone.
const LOOK: Duration = Duration::from_millis(2);

/// The hidden command.
pub(crate) async fn keep() -> Result<u8, Failure> {
    let _ignored = ignored()?;
    let mut requests = incoming::<Request>(stdin());
    let news = Outgoing::new(stdout());
    if let Some(Request::Take(order)) = requests.recv().await {
        let taken = tokio::select! {
            taken = take(&order, &news) => taken,
            // The parent is gone, or has no more use for it.
            _ = requests.recv() => return Ok(0),
        };
        match taken {
            Ok(guard) => {
                let keeping = Keeping { guard, requests, news: &news, group: None };
                if let Heard::Nobody = keeping.run().await {
                    return Ok(0);
                }
            }
            Err(failure) => news.tell(News::Failed(failure)),
        }
    }
    news.finish();
    Ok(0)
}

/// Who stops a service signals all of it. This one ends with its parent, and not before CMD. The signals
/// come to streams that nobody reads.
fn ignored() -> io::Result<Vec<tokio::signal::unix::Signal>> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
    kinds.into_iter().chain([SignalKind::terminate()]).map(signal).collect()
}

async fn take(order: &Order, news: &Outgoing<News>) -> Result<Guard, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(&order.global, &mut values);
    let terms = order.lock.read(&mut values);
    let wait = values.some_span("--wait", order.wait.as_deref());
    values.done()?;
    let lock = terms.lock(&connection.client()?);
    Ok(hold(lock, wait, news).await?)
}

/// The first answer comes as soon as for any other call; only then it is waited through outages.
async fn hold(lock: Lock, wait: Option<Duration>, news: &Outgoing<News>) -> Result<Guard, Error> {
    // Should this process be killed, the lock is not given away while CMD may still run.
    let lock = lock.grace(FOR_ITS_TTL);
    match lock.clone().hold().await {
        Err(Error::Busy(_)) if wait != Some(Duration::ZERO) => {}
        ended => return ended,
    }
    let tell = news.sender();
    let queued = move |queued: &Queued| {
        let Queued { position, held, .. } = queued.clone();
        // If nobody is left who writes it, nobody is left who reads it.
        if let Some(tell) = tell.upgrade() {
            let _ = tell.send(News::Queued { position, held: held.map(HeldView::from) });
        }
    };
    lock.on_queued(queued).wait(wait.unwrap_or(FOR_EVER)).hold().await
}

/// The server caps a grace at what is left of the validity.
const FOR_ITS_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

struct Keeping<'a> {
    guard: Guard,
    requests: UnboundedReceiver<Request>,
    news: &'a Outgoing<News>,
    /// As long as something of it may run.
    group: Option<Pid>,
}

/// Whether somebody is left to tell.
enum Heard {
    Parent,
    Nobody,
}

/// How a lock comes to its end.
enum End {
    Lost,
    /// The parent says that nothing runs.
    Over,
    /// The parent is gone.
    Orphaned,
}

impl Keeping<'_> {
    async fn run(mut self) -> Heard {
        let lease = self.guard.lease();
        let mut schedule = Schedule::new(lease.ttl, lease.deadline.into());
        self.news.tell(News::Granted(Grant {
            lease_id: lease.lease_id.as_str().to_owned(),
            fencing_token: lease.fencing_token,
            ttl: lease.ttl,
            deadline: schedule.deadline(),
        }));
        let mut end = self.renewing(&mut schedule).await;
        if matches!(end, End::Lost) {
            end = self.after_loss(&schedule).await;
        }
        if matches!(end, End::Orphaned) {
            if self.kill_orphans(&schedule).await {
                // The ttl sees to it otherwise.
                let _ = self.guard.release().await;
            } else {
                // Something may run on: the lock is left to its ttl.
                self.guard.into_lease().await;
            }
            return Heard::Nobody;
        }
        let outcome = match self.guard.release().await {
            Ok(outcome) => crate::commands::outcome_name(outcome),
            Err(_) => "UNCONFIRMED",
        };
        self.news.tell(News::Released { outcome: outcome.to_owned() });
        Heard::Parent
    }

    /// Tells of every renewal and danger, and where the deadline is then.
    async fn renewing(&mut self, schedule: &mut Schedule) -> End {
        // A parent that is frozen must not have the lock for ever before it even starts something.
        let idle_until = schedule.deadline();
        let look = schedule.look();
        loop {
            let risk = tokio::select! {
                reason = self.guard.lost() => {
                    self.news.tell(News::Lost { reason: reason.to_string() });
                    return End::Lost;
                }
                request = self.requests.recv() => match request {
                    Some(Request::Starting { group }) => {
                        self.starting(group);
                        continue;
                    }
                    Some(Request::Ended) => return self.over(),
                    Some(Request::Take(_)) | None => return End::Orphaned,
                },
                () = idle_until.reached(look), if self.group.is_none() => return End::Over,
                risk = self.guard.at_risk() => Some(risk.to_string()),
                Ok(_) = self.guard.renewed() => None,
            };
            schedule.moved(self.guard.lease().deadline.into());
            let deadline = schedule.deadline();
            self.news.tell(match risk {
                Some(reason) => News::AtRisk { reason, deadline },
                None => News::Renewed { deadline },
            });
        }
    }

    /// The parent ends the group. If it does not, being frozen, this does.
    async fn after_loss(&mut self, schedule: &Schedule) -> End {
        let mut schedule = schedule.clone();
        schedule.end(Boot::now());
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(Request::Starting { group }) => self.starting(group),
                    Some(Request::Ended) => return self.over(),
                    Some(Request::Take(_)) | None => return End::Orphaned,
                },
                () = schedule.backup_kill_at().reached(schedule.look() / 2), if self.group.is_some() => {
                    // The parent reaps the leader last of all, so the number is still its own.
                    if let Some(group) = self.group.take() {
                        let _ = kill_process_group(group, Signal::KILL);
                    }
                }
            }
        }
    }

    fn starting(&mut self, group: i32) {
        self.group = Pid::from_raw(group);
        self.news.tell(News::Noted);
    }

    fn over(&self) -> End {
        self.news.tell(News::Noted);
        End::Over
    }

    /// Whether nothing of it runs any more.
    async fn kill_orphans(&self, schedule: &Schedule) -> bool {
        // What was never told of has not begun, and does not begin without its parent.
        let Some(group) = self.group else { return true };
        // Nobody of ours holds its number any more, but it was in use a moment ago.
        loop {
            match kill_process_group(group, Signal::KILL) {
                Err(Errno::SRCH) => return true,
                // Killed, but perhaps not gone yet.
                Ok(()) => {}
                // It may not be signalled.
                Err(_) => return false,
            }
            if schedule.deadline().remaining().is_zero() {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
