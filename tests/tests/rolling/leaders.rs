//! Two candidates that lead in turn, and those who watch: every one of them must see every term.
//!
//! A watch shows what is, not all that was: the next term begins when everybody has seen the last.

use std::sync::Arc;

use holdfast_client::{Client, LeaderState};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use crate::ledger::Ledger;
use crate::over::Over;
use crate::{BOUND, TTL};

/// What a watch showed, the same once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Led(u64),
    Vacant,
}

/// Watches a resource, for as long as anybody looks at what is seen.
pub(crate) fn watch(
    ledger: &Arc<Ledger>,
    client: &Client,
    resource: &str,
) -> watch::Receiver<Vec<Shown>> {
    let (show, shown) = watch::channel(Vec::new());
    let (ledger, mut watch) = (Arc::clone(ledger), client.watch(resource));
    tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                next = watch.next() => next,
                () = show.closed() => return,
            };
            let next = match next {
                Ok(observation) => match observation.state {
                    LeaderState::Led(leader) => Shown::Led(leader.term),
                    LeaderState::Vacant { .. } => Shown::Vacant,
                    _ => continue,
                },
                Err(error) => return ledger.failed("who watches", error),
            };
            show.send_if_modified(|shown| {
                let is_new = shown.last() != Some(&next);
                shown.extend(is_new.then_some(next));
                is_new
            });
        }
    });
    shown
}

/// The candidates and who watches them.
#[derive(Debug)]
pub(crate) struct Leaders {
    resign: Arc<Notify>,
    elected: mpsc::UnboundedReceiver<u64>,
    watchers: Vec<watch::Receiver<Vec<Shown>>>,
    terms: Vec<u64>,
}

const RESOURCE: &str = "leader";

impl Leaders {
    /// Comes back when the first one leads, and all see it.
    pub(crate) async fn start(ledger: &Arc<Ledger>, clients: &[Client], over: &Over) -> Leaders {
        let (tell, elected) = mpsc::unbounded_channel();
        let resign = Arc::new(Notify::new());
        for (number, client) in clients.iter().take(2).enumerate() {
            let candidate = Candidate {
                ledger: Arc::clone(ledger),
                client: client.clone(),
                who: format!("candidate {number}"),
                resign: Arc::clone(&resign),
                elected: tell.clone(),
            };
            tokio::spawn(candidate.campaign(over.clone()));
        }
        let watchers = clients.iter().map(|client| watch(ledger, client, RESOURCE)).collect();
        let mut leaders = Leaders { resign, elected, watchers, terms: Vec::new() };
        leaders.next().await;
        leaders
    }

    /// The leader makes room for the other one.
    pub(crate) async fn hand_over(&mut self) {
        self.resign.notify_one();
        self.next().await;
    }

    async fn next(&mut self) {
        let elected = timeout(BOUND, self.elected.recv()).await.expect("an election");
        let term = elected.expect("candidates");
        self.terms.push(term);
        for watcher in &mut self.watchers {
            let seen = watcher.wait_for(|shown| shown.contains(&Shown::Led(term)));
            let seen = timeout(BOUND, seen).await.map(|seen| seen.is_ok());
            assert_eq!(seen, Ok(true), "term {term} of {:?}: {:?}", self.terms, watcher.borrow());
        }
    }

    /// All saw all terms, in their order.
    pub(crate) fn no_gap(&self) {
        for watcher in &self.watchers {
            let shown = watcher.borrow();
            let terms = shown.iter().filter_map(|shown| match shown {
                Shown::Led(term) => Some(*term),
                Shown::Vacant => None,
            });
            assert_eq!(terms.collect::<Vec<_>>(), self.terms, "{shown:?}");
        }
    }
}

struct Candidate {
    ledger: Arc<Ledger>,
    client: Client,
    who: String,
    resign: Arc<Notify>,
    elected: mpsc::UnboundedSender<u64>,
}

impl Candidate {
    async fn campaign(self, mut over: Over) {
        let election = self.client.election(RESOURCE).ttl(TTL);
        while !over.is() {
            let elected = tokio::select! {
                elected = election.campaign() => elected,
                () = over.comes() => return,
            };
            let leadership = match elected {
                Ok(leadership) => leadership,
                Err(error) => return self.ledger.failed(&self.who, error),
            };
            self.ledger.granted(RESOURCE, &self.who, leadership.term());
            let _ = self.elected.send(leadership.term());
            tokio::select! {
                reason = leadership.lost() => {
                    self.ledger.lost(RESOURCE, &self.who, reason);
                    continue;
                }
                () = self.resign.notified() => {}
                () = over.comes() => {}
            }
            self.ledger.gives_back(RESOURCE);
            if let Err(error) = leadership.resign().await {
                self.ledger.failed(&self.who, error);
            }
        }
    }
}
