//! How it is seen that a fault happened: in the kernel, in the network, at a master. Not by having asked
//! for it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_tests::process::Process;
use holdfast_tests::proxy::Proxy;
use tokio::time::{Instant, sleep};

/// How long traffic is waited for that meets a disturbed link: replicas look at their masters by
/// themselves, too.
const TRAFFIC_TIMEOUT: Duration = Duration::from_secs(3);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The process is gone: /proc has nobody of this id.
pub(super) fn gone(pid: u32) -> Result<String> {
    ensure!(!fs::exists(format!("/proc/{pid}"))?, "process {pid} is still there");
    Ok(format!("process {pid} is gone"))
}

/// The process is stopped: the kernel says T.
pub(super) fn stopped(process: &Process) -> Result<String> {
    let pid = process.id();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which is in brackets and may hold anything.
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    let state = state.context("no state in /proc")?;
    ensure!(state == 'T', "process {pid} is in state {state}");
    Ok(format!("process {pid} is in state T"))
}

/// Something met the disturbance of a link.
pub(super) async fn disturbed(links: &[(&Proxy, usize)]) -> Result<String> {
    let deadline = Instant::now() + TRAFFIC_TIMEOUT;
    loop {
        let met: usize = links.iter().map(|(link, before)| link.disturbed() - before).sum();
        if met > 0 {
            return Ok(format!("{met} messages met it by then"));
        }
        ensure!(Instant::now() < deadline, "nothing met it in {TRAFFIC_TIMEOUT:?}");
        sleep(LOOK_INTERVAL).await;
    }
}

/// Looks until something is there.
pub(super) async fn seen<F>(bound: Duration, mut look: impl FnMut() -> F) -> Result<String>
where
    F: Future<Output = Option<String>>,
{
    let deadline = Instant::now() + bound;
    loop {
        if let Some(evidence) = look().await {
            return Ok(evidence);
        }
        ensure!(Instant::now() < deadline, "nobody saw it in {bound:?}");
        sleep(LOOK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use holdfast_tests::redis_server::{RedisOptions, RedisServer};
    use tokio::net::TcpStream;

    use super::*;

    fn sleeper() -> Process {
        Process::spawn("sleep", "sleep", |command| {
            command.arg("600");
        })
        .unwrap()
    }

    #[test]
    fn a_process_that_runs_is_neither_stopped_nor_gone() {
        let mut process = sleeper();
        assert!(stopped(&process).is_err() && gone(process.id()).is_err());
        process.freeze().unwrap();
        assert!(stopped(&process).is_ok() && gone(process.id()).is_err());
        process.thaw().unwrap();
        let pid = process.id();
        process.kill().unwrap();
        assert!(gone(pid).is_ok());
    }

    #[tokio::test]
    async fn a_link_that_nothing_goes_through_is_not_seen_to_be_disturbed() {
        let server = RedisServer::start(RedisOptions::default()).await.unwrap();
        let link = Proxy::start(server.address()).unwrap();
        link.hang();
        assert!(disturbed(&[(&link, link.disturbed())]).await.is_err());

        let stream = TcpStream::connect(link.address()).await.unwrap();
        stream.writable().await.unwrap();
        assert!(stream.try_write(b"PING\r\n").unwrap() > 0);
        assert!(disturbed(&[(&link, 0)]).await.is_ok());
    }

    #[tokio::test]
    async fn what_never_comes_is_not_seen() {
        assert!(seen(Duration::ZERO, async || None).await.is_err());
        let mut looks = 0;
        let third = seen(TRAFFIC_TIMEOUT, || {
            looks += 1;
            let found = (looks == 3).then(|| "there".to_owned());
            async { found }
        });
        assert_eq!(third.await.unwrap(), "there");
    }
}
