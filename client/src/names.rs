//! Names that stand for several addresses, such as those of all replicas: every new connection begins with another one of
//! them.
//!
//! Deliberately absent: which of them is well. One that refuses is passed over by the connector; one that is silent is
//! given up by whoever waits for it, with its connection (`replicas`).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tonic::codegen::Service;

pub(crate) type Connector = HttpConnector<InTurn>;

/// Opens connections to one address of a client. Clones take turns.
pub(crate) fn connector(timeout: Duration) -> Connector {
    let mut connector = HttpConnector::new_with_resolver(InTurn::from_any());
    // https is what comes over it.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(timeout));
    connector
}

/// Asks the system, and puts what it says into another order each time.
#[derive(Debug, Clone)]
pub(crate) struct InTurn {
    system: GaiResolver,
    turn: Arc<AtomicUsize>,
}

impl InTurn {
    /// Clients are spread over the addresses, whatever order the system has for them.
    fn from_any() -> Self {
        let mut turn = [0; 2];
        // Without randomness they begin with the first: no reason to fail.
        let _ = getrandom::fill(&mut turn);
        let turn = Arc::new(AtomicUsize::new(u16::from_ne_bytes(turn).into()));
        Self { system: GaiResolver::new(), turn }
    }
}

impl Service<Name> for InTurn {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let found = self.system.call(name);
        Box::pin(async move { Ok(from(turn, found.await?.collect()).into_iter()) })
    }
}

fn from(turn: usize, mut all: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if let Some(first) = turn.checked_rem(all.len()) {
        all.rotate_left(first);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_begins_with_the_next_address_and_knows_all() {
        let all: Vec<SocketAddr> = (1..=3).map(|host| ([127, 0, 0, host], 1).into()).collect();
        for turn in 0..6 {
            let turned = from(turn, all.clone());
            assert_eq!((turned.len(), turned[0]), (3, all[turn % 3]));
            assert!(all.iter().all(|address| turned.contains(address)));
        }
        assert_eq!(from(7, Vec::new()), []);
    }
}
