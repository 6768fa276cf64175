//! A replica that asks who its clients are, by bearer tokens, and lets them do what a policy says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, ClusterOptions};
use crate::holdfastd::Holdfastd;
use crate::tokens::new_token;

/// How long a replica may take to read files again that it was told of.
const BOUND: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
/// What it logs then.
const READ_AGAIN: &str = "were read again";

/// The replica, its masters, and the files that it and its clients read.
#[derive(Debug)]
pub struct Guarded {
    /// First, so that it is killed before its masters.
    pub replica: Holdfastd,
    /// It has no replica of its own: those are asked without a token.
    pub masters: Cluster,
    tokens: BTreeMap<String, Token>,
    folder: TempDir,
}

#[derive(Debug)]
struct Token {
    text: String,
    entry: String,
}

impl Guarded {
    /// With a token for each of these names.
    pub async fn start(names: &[&str], policy: &str) -> Result<Guarded> {
        let folder = TempDir::with_prefix("holdfast-guarded-")?;
        let mut tokens = BTreeMap::new();
        for name in names {
            let (text, entry) = new_token(name).await?;
            tokens.insert((*name).to_owned(), Token { text, entry });
        }
        let files = ["tokens.toml", "policy.toml"].map(|name| folder.path().join(name));
        replace(&files[0], &entries(tokens.values()))?;
        replace(&files[1], policy)?;
        let auth = format!("[auth]\ntokens_file = {:?}\npolicy_file = {:?}\n", files[0], files[1]);
        let options = ClusterOptions {
            config: auth,
            args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
            master_settings: vec!["command_timeout = \"2s\"".to_owned()],
            ..ClusterOptions::default()
        };
        let masters = Cluster::start(3, 0, options).await?;
        let replica = Holdfastd::start(masters.replica_options()).await?;
        replica.wait_readyz(200, "").await?;
        Ok(Guarded { replica, masters, tokens, folder })
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("http://{}", self.replica.grpc_address())
    }

    /// The token of this name; panics if there is none.
    pub fn token(&self, name: &str) -> &str {
        &self.tokens[name].text
    }

    /// A file of clients with the token of this name in it.
    pub fn token_file(&self, file: &str, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(file);
        replace(&path, self.token(name))?;
        Ok(path)
    }

    /// Comes back when the policy is in force.
    pub async fn set_policy(&self, policy: &str) -> Result<()> {
        self.set("policy.toml", policy).await
    }

    /// Comes back when no other tokens are known.
    pub async fn keep_tokens(&self, names: &[&str]) -> Result<()> {
        let kept = names.iter().map(|name| &self.tokens[*name]);
        self.set("tokens.toml", &entries(kept)).await
    }

    async fn set(&self, file: &str, content: &str) -> Result<()> {
        let readings = || {
            let lines = self.replica.process().lines();
            lines.iter().filter(|line| line.contains(READ_AGAIN)).count()
        };
        let before = readings();
        replace(&self.folder.path().join(file), content)?;
        self.replica.process().signal(Signal::HUP)?;
        let deadline = Instant::now() + BOUND;
        while readings() == before {
            let quote = || self.replica.process().quote();
            ensure!(Instant::now() < deadline, "{file} is not read again{}", quote());
            sleep(LOOK).await;
        }
        Ok(())
    }
}

fn entries<'a>(tokens: impl Iterator<Item = &'a Token>) -> String {
    tokens.map(|token| format!("{}\n", token.entry)).collect()
}

/// Whoever reads it reads the old one or the new one.
fn replace(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::rename(&new, path).context("a file that is replaced")
}
