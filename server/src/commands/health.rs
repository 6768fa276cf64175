//! `holdfastd health`: what `/readyz` of the replica on this machine says, for health checks of containers that have no
//! shell and no curl.
//!
//! Deliberately absent: an HTTP library; one request of HTTP/1.0 is two lines.

use anyhow::{Context, Result, bail};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Below the three seconds that the image allows its health check.
const PATIENCE: Duration = Duration::from_secs(2);
/// Far above what `/readyz` says of fifteen masters.
const MAX_ANSWER: u64 = 64 * 1024;
const REQUEST: &[u8] = b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n";

/// Asks the replica whose admin port listens there; what it says, if it is ready, and else an error that says why not.
pub(super) async fn ready(listen: SocketAddr) -> Result<String> {
    let address = reachable(listen);
    let answer = timeout(PATIENCE, ask(address)).await;
    let answer = answer.with_context(|| format!("no answer from {address} within 2 s"))?;
    let answer = answer.with_context(|| format!("cannot ask {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some("503") => bail!("{}", body.trim_end()),
        _ => bail!("{address} answers, but not as the admin port of holdfastd does"),
    }
}

/// Who listens everywhere is asked on the loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Who answers once with these bytes.
    async fn answering(bytes: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; REQUEST.len()];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        });
        address
    }

    async fn reason(listen: SocketAddr) -> String {
        format!("{:#}", ready(listen).await.unwrap_err())
    }

    #[tokio::test]
    async fn the_answer_decides_and_gives_the_reason() {
        let up = answering(b"HTTP/1.0 200 OK\r\n\r\nready\ndetail: x\n").await;
        assert_eq!(ready(up).await.unwrap(), "ready\ndetail: x\n");
        let draining =
            answering(b"HTTP/1.0 503 Service Unavailable\r\n\r\nnot ready\ndraining\n").await;
        assert_eq!(reason(draining).await, "not ready\ndraining");
        for stranger in [&b"SSH-2.0-x\r\n"[..], b"", b"HTTP/1.0 404 Not Found\r\n\r\n"] {
            let address = answering(stranger).await;
            assert!(reason(address).await.contains("answers, but not as"));
        }
    }

    #[tokio::test]
    async fn nobody_there_is_a_reason_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let reason = reason(address).await;
        assert!(reason.starts_with(&format!("cannot ask {address}: ")), "{reason}");
    }

    #[tokio::test]
    async fn who_accepts_and_is_silent_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reason = reason(silent.local_addr().unwrap()).await;
        assert!(reason.contains("within 2 s"), "{reason}");
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listen, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("127.0.0.2:3", "127.0.0.2:3"),
            ("[fd00::1]:4", "[fd00::1]:4"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
