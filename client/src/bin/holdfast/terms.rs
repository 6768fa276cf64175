//! What a lock that is to be taken is described by: options, and what they come to.

use std::time::Duration;

use holdfast_client::{Client, Election, Lock};
use serde::{Deserialize, Serialize};

use crate::values::Values;

/// The options of every command that takes a lock.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
pub(crate) struct LockArgs {
    /// What to lock
    pub(crate) resource: String,
    /// How long the lock lasts unless it is renewed [default: the server's, 10s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) ttl: Option<String>,
    /// Who asks, for people to read [default: host name and process id]
    #[arg(long, value_name = "NAME")]
    pub(crate) holder: Option<String>,
    /// What others see beside the holder; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) metadata: Vec<String>,
}

/// The same, read.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) resource: String,
    metadata: Vec<(String, String)>,
    ttl: Option<Duration>,
    holder: Option<String>,
}

impl LockArgs {
    pub(crate) fn read(&self, values: &mut Values) -> Terms {
        Terms {
            resource: self.resource.clone(),
            metadata: values.pairs("--metadata", &self.metadata),
            ttl: values.some_span("--ttl", self.ttl.as_deref()),
            holder: self.holder.clone(),
        }
    }
}

impl Terms {
    /// A lock on these terms.
    pub(crate) fn lock(&self, client: &Client) -> Lock {
        let mut lock = client.lock(self.resource.clone());
        if let Some(ttl) = self.ttl {
            lock = lock.ttl(ttl);
        }
        if let Some(holder) = &self.holder {
            lock = lock.holder(holder);
        }
        self.metadata.iter().fold(lock, |lock, (key, value)| lock.metadata(key, value))
    }

    /// An election on these terms.
    pub(crate) fn election(&self, client: &Client) -> Election {
        let mut election = client.election(self.resource.clone());
        if let Some(ttl) = self.ttl {
            election = election.ttl(ttl);
        }
        if let Some(holder) = &self.holder {
            election = election.holder(holder);
        }
        self.metadata.iter().fold(election, |election, (key, value)| election.value(key, value))
    }
}
