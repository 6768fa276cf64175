//! The dashboard at the admin port: what it answers, and what somebody sees who opens it in a browser.
//!
//! `page` needs Chromium; without it those tests end at once, except in continuous integration.

mod page;
mod port;

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1::{AcquireRequest, Lease, acquire_response};
use holdfast_server::auth::{NewToken, new_token};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use tempfile::TempDir;

/// Longer than any test here takes: what ends does so by no expiry.
const LONG: Duration = Duration::from_secs(600);
/// For what is free: one try is too few on a machine that stands still in it for a second.
const WAIT: Duration = Duration::from_secs(30);
const BOUND: Duration = Duration::from_secs(40);

async fn cluster() -> Arc<Cluster> {
    let options = ClusterOptions {
        args: ["--max-ttl", "600s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        config: "[log]\nformat = \"json\"\n".to_owned(),
        ..ClusterOptions::default()
    };
    Arc::new(Cluster::start(3, 1, options).await.expect("a cluster"))
}

/// The line of the audit log with these words in it.
async fn audited(replica: &Holdfastd, words: &str) -> String {
    let line = replica.process().wait_for_line(words, BOUND).await.expect("it is written down");
    assert!(line.contains("holdfast::audit"), "{line}");
    line
}

const POLICY: &str = r#"
[[rules]]
identities = ["token:reader"]
resources = ["open/*"]
allow = ["describe", "watch"]

[[rules]]
identities = ["token:operator"]
resources = ["*"]
allow = ["acquire", "describe", "watch", "force-release"]

[[rules]]
identities = ["token:operator"]
allow = ["admin"]
"#;

/// A replica that asks for tokens: a reader's, who may look at what is `open/`, and an operator's.
struct Guarded {
    replica: Holdfastd,
    reader: String,
    operator: String,
    _folder: TempDir,
}

impl Guarded {
    async fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        let [reader, operator] =
            ["reader", "operator"].map(|name| new_token(name).expect("a name"));
        let entry = |token: &NewToken| format!("{}\n", token.entry);
        let tokens = [entry(&reader), entry(&operator)].concat();
        std::fs::write(file("tokens.toml"), tokens).expect("a file");
        std::fs::write(file("policy.toml"), POLICY).expect("a file");
        let config = format!(
            "[log]\nformat = \"json\"\n[auth]\ntokens_file = {:?}\npolicy_file = {:?}\n",
            file("tokens.toml"),
            file("policy.toml"),
        );
        let args = ["--dev", "--max-ttl", "600s"].map(str::to_owned).to_vec();
        let options = HoldfastdOptions { args, config, ..HoldfastdOptions::default() };
        let replica = Holdfastd::start(options).await.expect("a replica");
        replica.wait_readyz(200, "a quorum of masters votes").await.expect("it is ready");
        Self { replica, reader: reader.token, operator: operator.token, _folder: folder }
    }

    /// Locks it, as the operator.
    async fn lock(&self, resource: &str) -> Lease {
        let mut request = tonic::Request::new(AcquireRequest {
            resource: resource.to_owned(),
            ttl: LONG.try_into().ok(),
            wait: WAIT.try_into().ok(),
            ..AcquireRequest::default()
        });
        let bearer = format!("Bearer {}", self.operator).parse().expect("ASCII");
        request.metadata_mut().insert("authorization", bearer);
        let answer = self.replica.lock_client().acquire(request).await.expect("an answer");
        match answer.into_inner().outcome {
            Some(acquire_response::Outcome::Lease(lease)) => lease,
            other => panic!("{other:?}"),
        }
    }
}
