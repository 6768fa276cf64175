//! Two unary calls that do nothing, with as many bytes as an acquire and a release: what no gRPC service
//! of this stack can be faster than.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use holdfast_tests::ports;
use holdfast_tests::process::Process;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

use super::holdfast::channels;
use super::{Servers, Worker};
use crate::load::Plan;
use crate::measure::Role;
use crate::output;
use crate::wire::echo::Ping;
use crate::wire::echo::echo_client::EchoClient;
use crate::wire::echo::echo_server::{self, EchoServer};

/// About as long as an AcquireRequest.
const PAYLOAD_BYTES: usize = 64;
const READY: &str = "echo is listening";
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How the server is started.
#[derive(Debug, Args)]
pub struct EchoOptions {
    #[arg(long)]
    listen: SocketAddr,
}

/// Serves until it is killed.
pub fn echo(options: EchoOptions) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(options.listen).await?;
        output::progress(READY);
        let incoming =
            tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder().add_service(EchoServer::new(Echo)).serve_with_incoming(incoming).await?;
        Ok(ExitCode::SUCCESS)
    })
}

struct Echo;

#[tonic::async_trait]
impl echo_server::Echo for Echo {
    async fn once(&self, ping: Request<Ping>) -> Result<Response<Ping>, Status> {
        Ok(Response::new(ping.into_inner()))
    }
}

pub(super) async fn start() -> Result<Servers> {
    let address = ports::loopback(ports::free());
    let process = Process::spawn("echo", std::env::current_exe()?, |command| {
        command.args(["echo", "--listen", &address.to_string()]);
    })?;
    process.wait_for_line(READY, START_TIMEOUT).await?;
    let role = Role::new("server", [process.id()]);
    Ok(Servers::new([format!("http://{address}")], [role], process))
}

pub(super) fn clients(plan: &Plan) -> Result<Vec<EchoWorker>> {
    let channels = channels(&plan.addresses)?;
    let worker = |channel: &Channel| EchoWorker { client: EchoClient::new(channel.clone()) };
    Ok(channels.iter().cycle().map(worker).take(plan.workers).collect())
}

pub(super) struct EchoWorker {
    client: EchoClient<Channel>,
}

impl EchoWorker {
    async fn call(&mut self) -> Result<()> {
        self.client.once(Ping { payload: vec![b'x'; PAYLOAD_BYTES] }).await?;
        Ok(())
    }
}

impl Worker for EchoWorker {
    async fn acquire(&mut self, _: &str) -> Result<()> {
        self.call().await
    }

    async fn release(&mut self) -> Result<()> {
        self.call().await
    }
}
