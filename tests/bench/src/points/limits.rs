//! What five masters can do when nothing is decided: redis-benchmark on all of them at the same time,
//! with one command under way per connection, and with many.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_tests::process::Process;
use tokio::time::Instant;

use super::Point;
use crate::bench::{Bench, Label};
use crate::measure::Cpu;
use crate::sample::Figures;
use crate::systems::{Servers, Shape, System};

/// How many commands a connection sends before it reads an answer, and how many each master gets.
const DEPTHS: [(u64, u64); 2] = [(1, 60_000), (32, 400_000)];
const CONNECTIONS: &str = "16";
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for (depth, commands) in DEPTHS {
        let measured = match bench.servers(System::Rslock, Shape::default()).await {
            Ok(servers) => flood(servers, depth, commands).await,
            Err(error) => Err(error),
        };
        let system = "redis-benchmark".to_owned();
        bench.record(Label { point: Point::Limits, system, size: depth, repetition }, measured);
    }
}

async fn flood(servers: &Servers, depth: u64, commands: u64) -> Result<Figures> {
    let (cpu, began) = (Cpu::read(&servers.roles)?, Instant::now());
    let mut floods = Vec::new();
    for address in &servers.addresses {
        // redis://127.0.0.1:port/0
        let port = address.rsplit(':').next().and_then(|end| end.split('/').next());
        let port = port.context("an address with a port")?;
        floods.push(Process::spawn("redis-benchmark", "redis-benchmark", |command| {
            command.args(["-p", port, "-c", CONNECTIONS, "-P", &depth.to_string()]);
            command.args(["-n", &commands.to_string(), "-r", "1000000", "-q"]);
            command.args(["SET", "flood:__rand_int__", "x", "NX", "PX", "1000"]);
        })?);
    }
    for flood in &mut floods {
        let status = flood.wait_exit(TIMEOUT).await?;
        ensure!(status.success(), "{status}{}", flood.quote());
    }
    let lasted = began.elapsed().as_secs_f64();
    let spent = Cpu::read(&servers.roles)?.since(&cpu);
    let all = (commands * servers.addresses.len() as u64) as f64;
    let redis = spent.get("redis").copied().unwrap_or_default();
    Ok(Figures::from([
        ("commands_per_s".to_owned(), all / lasted),
        ("cpu_redis_us".to_owned(), redis.as_secs_f64() * 1e6 / all),
    ]))
}
