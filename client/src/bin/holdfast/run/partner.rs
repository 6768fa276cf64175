//! The keeper, as the parent sees it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::wire::{News, Order, Outgoing, Request, incoming};

/// The process that takes the lock and renews it. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Partner {
    child: Child,
    requests: Outgoing<Request>,
    news: UnboundedReceiver<News>,
}

impl Partner {
    /// Starts it. In a group of its own: the terminal's signals, and whoever stops this job, are not for
    /// it.
    pub(crate) fn start(order: Order) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("keep").stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let requests = Outgoing::new(child.stdin.take().ok_or_else(missing)?);
        let news = incoming(child.stdout.take().ok_or_else(missing)?);
        requests.tell(Request::Take(Box::new(order)));
        Ok(Self { child, requests, news })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What happens to the lock; `None`: nobody renews it any more. Cancel safe.
    pub(crate) async fn news(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// CMD runs.
    pub(crate) fn started(&self, group: i32) {
        self.requests.tell(Request::Started { group });
    }

    /// Has the lock given back, and hears what there is to hear until that is done or `bound` is over.
    pub(crate) async fn give_back(&mut self, bound: Duration) -> Farewell {
        self.requests.tell(Request::Ended);
        let mut farewell = Farewell::default();
        let listening = async {
            while let Some(news) = self.news.recv().await {
                match news {
                    News::Lost { reason } => farewell.loss = Some(reason),
                    News::Released { outcome } => {
                        farewell.outcome = Some(outcome);
                        return;
                    }
                    _ => {}
                }
            }
        };
        // Without an answer, what is known is what was heard.
        let _ = timeout(bound, listening).await;
        farewell
    }
}

/// What the keeper said last.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    /// What the release came to.
    pub(crate) outcome: Option<String>,
    /// Why the lock was lost before.
    pub(crate) loss: Option<String>,
}

impl Drop for Partner {
    fn drop(&mut self) {
        // It has ended by itself, or is of no more use. Its group's number is its own until it is reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
