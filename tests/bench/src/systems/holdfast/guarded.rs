//! Holdfast that asks who calls, with or without limits on what a caller may use.

use std::fs;

use anyhow::Result;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::tokens::new_token;
use tempfile::TempDir;

use super::deployment::roles;
use crate::systems::{Servers, Shape};

/// Far above what the load of this measurement needs, far below what a replica can do.
const LIMITS: &str = "\
[limits]
max_connections_per_address = 100
handshake_timeout = \"1s\"
requests_per_second = 6000
[limits.per_identity]
requests_per_second = 3000
max_leases = 1000
max_waiters = 1000
max_streams = 100
";

/// A key that nobody has the other half of: whatever is signed by it is false.
const JWKS: &str = r#"{"keys": [{
    "kty": "OKP", "crv": "Ed25519", "kid": "bench", "alg": "EdDSA",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}]}"#;

/// Five masters and a replica, and who calls it besides the load.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) servers: Servers,
    /// The token of somebody who is not the load.
    pub(crate) stranger: String,
}

pub(crate) async fn start_guarded(limited: bool) -> Result<Guarded> {
    let files = TempDir::with_prefix("holdfast-bench-")?;
    let ((good, entry), (stranger, other)) = (new_token("good").await?, new_token("bad").await?);
    let (tokens, jwks) = (files.path().join("tokens.toml"), files.path().join("jwks.json"));
    fs::write(&tokens, entry + &other)?;
    fs::write(&jwks, JWKS)?;
    let limits = if limited { LIMITS } else { "" };
    let config = format!(
        "[log]\nfilter = \"warn\"\n[auth]\ntokens_file = {tokens:?}\n\
         [auth.jwt]\njwks_file = {jwks:?}\naudience = \"bench\"\n{limits}"
    );
    let Shape { masters, max_ttl, .. } = Shape::default();
    let args = vec!["--max-ttl".to_owned(), format!("{}s", max_ttl.as_secs())];
    // The harness asks as nobody whether all masters vote, and nobody is told.
    let options = ClusterOptions { config, args, bootstrap: false, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(masters, 0, options).await?;
    cluster.bootstrap().await?;
    let replica = cluster.add_replica().await?;
    cluster.replicas[replica].wait_readyz(200, "").await?;

    let address = format!("http://{}", cluster.replicas[replica].grpc_address());
    let roles = roles(&cluster);
    let mut servers = Servers::new([address], roles, (cluster, files));
    servers.token = Some(good);
    Ok(Guarded { servers, stranger })
}
