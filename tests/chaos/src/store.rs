//! The storage that the locks protect: it keeps the highest fencing token of each resource and refuses
//! lower ones. It is never disturbed, so that what it saw is what was written.
//!
//! One line of JSON asks, one answers. Deliberately absent: the data.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::history::{Event, Recorder};

/// How long a write may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A write that is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) session: String,
    pub(crate) resource: String,
    pub(crate) token: u64,
}

/// The store of one run.
#[derive(Debug)]
pub(crate) struct Store {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    shelf: Arc<Shelf>,
}

impl Store {
    /// Serves until the runtime ends.
    pub(crate) async fn serve(history: &Path) -> Result<Store> {
        let shelf = Arc::new(Shelf::new(history)?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = Arc::clone(&shelf);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&serving).talk(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Store { address, shelf })
    }

    /// How much was written, for whoever watches.
    pub(crate) fn progress(&self) -> String {
        let accepted = self.shelf.accepted.load(Ordering::Relaxed);
        let refused = self.shelf.refused.load(Ordering::Relaxed);
        format!("{accepted} fenced writes, {refused} refused")
    }
}

#[derive(Debug)]
struct Shelf {
    highest: Mutex<HashMap<String, u64>>,
    accepted: AtomicU64,
    refused: AtomicU64,
    recorder: Recorder,
}

impl Shelf {
    fn new(history: &Path) -> Result<Shelf> {
        let recorder = Recorder::create(&history.join("store.jsonl"))?;
        let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Shelf { highest: Mutex::default(), accepted, refused, recorder })
    }

    async fn talk(self: Arc<Shelf>, stream: TcpStream) -> Result<()> {
        let (from, mut to) = stream.into_split();
        let mut lines = BufReader::new(from).lines();
        while let Some(line) = lines.next_line().await? {
            let accepted = self.decide(serde_json::from_str(&line)?);
            to.write_all(format!("{accepted}\n").as_bytes()).await?;
        }
        Ok(())
    }

    /// Compares, keeps and records in one step, so that the record has the order of the decisions.
    fn decide(&self, Request { session, resource, token }: Request) -> bool {
        let mut all = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = all.entry(resource.clone()).or_default();
        let accepted = token >= *highest;
        *highest = token.max(*highest);
        let highest = *highest;
        let count = if accepted { &self.accepted } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        self.recorder.record(Event::Write { session, resource, token, accepted, highest });
        accepted
    }
}

/// Asks for a write, and returns whether it was accepted.
pub(crate) async fn write(store: SocketAddr, request: &Request) -> Result<bool> {
    let ask = async {
        let mut stream = TcpStream::connect(store).await?;
        stream.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await?;
        anyhow::Ok(answer.trim().parse()?)
    };
    timeout(PATIENCE, ask).await.context("the store does not answer")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_tokens_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path()).unwrap();
        let write = |resource: &str, token| {
            let (session, resource) = ("a#1".to_owned(), resource.to_owned());
            shelf.decide(Request { session, resource, token })
        };
        assert!(write("r", 2) && write("r", 2) && write("r", 3) && !write("r", 2));
        assert!(write("other", 1));
    }
}
