//! The keeper, as the parent sees it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::own_program;
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
        let mut command = own_program()?;
        command.arg("keep").stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let requests = Outgoing::new(child.stdin.take().ok_or_else(missing)?);
        let news = incoming(child.stdout.take().ok_or_else(missing)?);
        requests.tell(Request::Take(Box::new(order)));
        Ok(Self { child, requests, news })
    }

    /// What happens to the lock; `None`: nobody renews it any more. Cancel safe.
    pub(crate) async fn news(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// What has come by now.
    pub(crate) fn news_so_far(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// CMD is about to run.
    pub(crate) fn starting(&self, group: Pid) {
        self.requests.tell(Request::Starting { group: group.as_raw_nonzero().get() });
    }

    /// Has the lock given back, and hears what there is to hear until that is done or `bound` is over.
    /// `None`: it does not answer, and was killed.
    pub(crate) async fn give_back(&mut self, bound: Duration) -> Option<Farewell> {
        self.requests.tell(Request::Ended);
        let mut farewell = Farewell::default();
        if !timeout(LAST_WORD, self.hear(&mut farewell, true)).await.unwrap_or(false) {
            self.kill();
            return None;
        }
        // Without an answer, what is known is what was heard.
        if farewell.outcome.is_none() {
            let _ = timeout(bound, self.hear(&mut farewell, false)).await;
        }
        Some(farewell)
    }

    /// Until the release is over, or, if `noted` is enough, is begun. Whether it came to that.
    async fn hear(&mut self, farewell: &mut Farewell, noted: bool) -> bool {
        while let Some(news) = self.news.recv().await {
            match news {
                News::Lost { reason } => farewell.loss = Some(reason),
                News::Released { outcome } => {
                    farewell.outcome = Some(outcome);
                    return true;
                }
                News::Noted if noted => return true,
                _ => {}
            }
        }
        false
    }

    fn kill(&mut self) {
        // It has ended by itself, or is of no more use.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a keeper that is well needs for an answer. One that is only slow is replaced.
const LAST_WORD: Duration = Duration::from_secs(2);

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
        self.kill();
    }
}
