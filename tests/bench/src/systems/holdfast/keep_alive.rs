//! Renewals on KeepAlive streams, one a worker, one renewal at a time.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use holdfast_proto::v1::keep_alive_response;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{ExtendRequest, KeepAliveRequest, KeepAliveResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::channels;
use super::unary::{acquire, extension};
use crate::load::Plan;
use crate::systems::{TTL, Worker};

pub(in crate::systems) fn keep_alives(plan: &Plan) -> Result<Vec<KeepAliveWorker>> {
    let worker = |channel: &Channel| KeepAliveWorker {
        client: LockServiceClient::new(channel.clone()),
        stream: None,
    };
    let channels = channels(&plan.addresses)?;
    Ok(channels.iter().cycle().map(worker).take(plan.workers).collect())
}

/// What it is acquired with is its first turn.
pub(in crate::systems) struct KeepAliveWorker {
    client: LockServiceClient<Channel>,
    stream: Option<KeepAlive>,
}

struct KeepAlive {
    extend: ExtendRequest,
    requests: mpsc::Sender<KeepAliveRequest>,
    responses: Streaming<KeepAliveResponse>,
}

impl KeepAliveWorker {
    async fn open(&mut self, resource: &str) -> Result<KeepAlive> {
        let lease = acquire(&mut self.client, resource, TTL, Duration::ZERO).await?;
        let (requests, outgoing) = mpsc::channel(1);
        let responses = self.client.keep_alive(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(KeepAlive { extend: extension(&lease)?, requests, responses })
    }
}

impl Worker for KeepAliveWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let Some(KeepAlive { extend, requests, responses }) = &mut self.stream else {
            self.stream = Some(self.open(resource).await?);
            return Ok(());
        };
        let request = KeepAliveRequest { extend: Some(extend.clone()), sequence: 0 };
        requests.send(request).await.context("the stream has ended")?;
        match responses.message().await?.context("the stream has ended")?.result {
            Some(keep_alive_response::Result::Lease(_)) => Ok(()),
            other => bail!("not renewed: {other:?}"),
        }
    }

    async fn release(&mut self) -> Result<()> {
        Ok(())
    }
}
