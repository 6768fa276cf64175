//! Holdfast as in production: the release build, and masters without persistence.

use anyhow::Result;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use tonic::transport::{Channel, Endpoint};

use crate::measure::Role;
use crate::systems::{CONNECTIONS, Servers, Shape};

pub(in crate::systems) async fn start(shape: Shape) -> Result<Servers> {
    let options = ClusterOptions {
        config: "[log]\nfilter = \"warn\"\n".to_owned(),
        args: vec!["--max-ttl".to_owned(), format!("{}s", shape.max_ttl.as_secs())],
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(shape.masters, shape.replicas, options).await?;
    let replicas = cluster.replicas.iter();
    let addresses: Vec<_> =
        replicas.map(|replica| format!("http://{}", replica.grpc_address())).collect();
    let roles = roles(&cluster);
    Ok(Servers::new(addresses, roles, cluster))
}

/// Whose CPU time is whose.
pub(super) fn roles(cluster: &Cluster) -> [Role; 2] {
    [
        Role::new("server", cluster.replicas.iter().map(|replica| replica.process().id())),
        Role::new("redis", cluster.masters.iter().map(|master| master.process().id())),
    ]
}

/// Connections to the addresses in turn.
pub(in crate::systems) fn channels(addresses: &[String]) -> Result<Vec<Channel>> {
    let channel = |address: &String| {
        Ok(Endpoint::from_shared(address.clone())?.tcp_nodelay(true).connect_lazy())
    };
    addresses.iter().cycle().take(CONNECTIONS.max(addresses.len())).map(channel).collect()
}
