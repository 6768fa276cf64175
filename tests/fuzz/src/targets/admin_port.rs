//! Target `admin-port`: bytes to the HTTP port of operators and probes: requests of any method and path,
//! headers huge, many and odd, bodies that nobody wants, cut short, slow, and garbage. Each is
//! answered or hung up on, and the port goes on answering.

use crate::bench::{PATIENCE, not_begun, runtime};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory::{self, Growth};
use crate::served::context;
use crate::values::{Damage, damages, garbage};
use holdfast_server::admin::{Access, Admin, Dashboard, Readiness, Report, serve};
use metrics_exporter_prometheus::PrometheusBuilder;
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;

/// Hyper reads no more headers than this, twice: as bytes and as a map; and the client's own buffers.
const MOST_BYTES: usize = 16 << 20;
const GROWTH: u64 = 256 << 20;
/// What HTTP/2 begins with: the port speaks that too, in frames.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let runtime = runtime().map_err(not_begun)?;
    let address = runtime.block_on(listen()).map_err(not_begun)?;
    let growth = Growth::of_at_most(GROWTH).map_err(not_begun)?;
    hunt(plan, &case(), |case| {
        let answer = memory::within(MOST_BYTES, || {
            runtime.block_on(async {
                let answer = timeout(PATIENCE, request(address, &case)).await;
                let probe = timeout(PATIENCE, request(address, &probe())).await;
                (answer, probe)
            })
        })?;
        let (Ok(answer), Ok(probe)) = answer else {
            return Err("no answer, and no end of the connection".to_owned());
        };
        judge(&case, &answer)?;
        if !probe.starts_with(b"HTTP/1.1 200 OK") || !probe.ends_with(b"ok") {
            return Err(format!("it answers no more: {}", String::from_utf8_lossy(&probe)));
        }
        growth.check()
    })
}

async fn listen() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let readiness = Readiness::new();
    readiness.publish(Report::default());
    let recorder = PrometheusBuilder::new().build_recorder();
    let admin = Admin { readiness, metrics: recorder.handle() };
    let context = Arc::new(context(None).await?);
    let access = Access::new(&context, address);
    let dashboard = Dashboard::new(&context, admin.readiness.clone(), access);
    tokio::spawn(serve(listener, admin, dashboard, pending()));
    Ok(address)
}

/// What one connection says, in pieces of so many bytes.
#[derive(Debug, Clone)]
struct Case {
    bytes: Vec<u8>,
    piece: usize,
    /// As it is known to be right: the status it must get.
    status: Option<u16>,
}

fn probe() -> Case {
    Case { bytes: PROBE.to_vec(), piece: usize::MAX, status: Some(200) }
}

fn case() -> impl Strategy<Value = Case> {
    let piece = prop_oneof![4 => Just(usize::MAX), 1 => 1..64_usize];
    let bytes = prop_oneof![
        4 => well_formed(),
        3 => (head(), damages()).prop_map(|(head, damages): (_, Vec<Damage>)| {
            let mut bytes = head.into_bytes();
            damages.iter().for_each(|damage| damage.befall(&mut bytes));
            (bytes, None)
        }),
        2 => head().prop_map(|head| (head.into_bytes(), None)),
        1 => garbage(100_000).prop_map(|bytes| (bytes, None)),
        1 => garbage(4_096).prop_map(|bytes| ([HTTP_2.to_vec(), bytes].concat(), None)),
    ];
    (bytes, piece).prop_map(|((bytes, status), piece)| {
        let piece = piece.max(bytes.len() / 1_000);
        Case { bytes, piece, status }
    })
}

/// Requests to which the answer is known.
fn well_formed() -> impl Strategy<Value = (Vec<u8>, Option<u16>)> {
    let path = select(vec![
        ("/healthz", Some(200)),
        ("/readyz", Some(200)),
        ("/metrics", Some(200)),
        ("/readyz?verbose=%ff", Some(200)),
        ("/", Some(200)),
        ("/page/main.js", Some(200)),
        ("/page/../main.js", Some(404)),
        ("/api/session", Some(200)),
        // Who asks the masters may have hung up before they answered: it has said all that it will say.
        ("/api/status", None),
        ("/api/locks?page_size=2", None),
        ("/api/locks?page_size=two", Some(400)),
        ("/api/lock?resource=standing", None),
        ("/api/lock?resource=%00", None),
        ("/healthz/", Some(404)),
        ("//healthz", Some(404)),
        ("/../healthz", Some(404)),
        ("/%68ealthz", Some(404)),
    ]);
    let method = select(vec!["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]);
    let headers = vec("x-[a-z]{1,8}: [ -~]{0,60}\r\n", 0..20);
    (method, path, headers).prop_map(|(method, (path, status), headers)| {
        let status = match (method, status) {
            ("GET" | "HEAD", status) | (_, status @ Some(404)) => status,
            // No page asks like that.
            _ if path.starts_with("/api/") => Some(403),
            _ => Some(405),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: [::1]\r\nconnection: close\r\n");
        ([head, headers.concat(), "\r\n".to_owned()].concat().into_bytes(), status)
    })
}

/// Looks like HTTP.
fn head() -> impl Strategy<Value = String> {
    let method = prop_oneof![
        select(vec!["GET", "get", "", "CONNECT", "G\0T"]).prop_map(str::to_owned),
        "[A-Z]{0,60}"
    ];
    let path = prop_oneof![
        3 => select(vec!["/healthz", "/metrics", "*", "http://a/healthz", "a:443", "", "/\u{ff}"])
            .prop_map(str::to_owned),
        1 => (0..100_000_usize).prop_map(|length| "/".repeat(length)),
        1 => "/\\PC{0,40}",
    ];
    let version = select(vec![
        "HTTP/1.1",
        "HTTP/1.0",
        "HTTP/0.9",
        "HTTP/2.0",
        "HTTP/9999999999.1",
        "http/1.1",
        "",
    ]);
    let header = prop_oneof![
        2 => "[a-zA-Z-]{0,12}:[ -~]{0,20}",
        1 => select(vec![
            "content-length: 99999999999999999999", "content-length: -1", "content-length: 5",
            "content-length: 5\r\ncontent-length: 6", "transfer-encoding: chunked",
            "transfer-encoding: gzip, chunked", "expect: 100-continue", "connection: upgrade\r\nupgrade: h2c",
            "connection: keep-alive", "host: a\r\nhost: b", "accept: application/json", " folded", ":", "\0: \0",
        ]).prop_map(str::to_owned),
        1 => (0..100_000_usize).prop_map(|length| format!("x: {}", "y".repeat(length))),
        1 => (0..400_usize).prop_map(|count| "x: y\r\n".repeat(count) + "x: y"),
    ];
    let body = prop_oneof![
        2 => Just(String::new()),
        1 => select(vec!["5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "-1\r\n", "hello", "0\r\n\r\nGET / HTTP/1.1\r\n\r\n"])
            .prop_map(str::to_owned),
        1 => (0..100_000_usize).prop_map(|length| "z".repeat(length)),
    ];
    (method, path, version, vec(header, 0..6), body).prop_map(
        |(method, path, version, headers, body)| {
            format!("{method} {path} {version}\r\n{}\r\n\r\n{body}", headers.join("\r\n"))
        },
    )
}

/// Says it all, and hears it all. A server that hangs up before it has heard everything may.
async fn request(address: SocketAddr, case: &Case) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address).await else { return answer };
    let (mut read, mut write) = stream.split();
    let say = async {
        for piece in case.bytes.chunks(case.piece) {
            if write.write_all(piece).await.is_err() {
                break;
            }
            yield_now().await;
        }
        let _ = write.shutdown().await;
    };
    let hear = async {
        let _ = read.read_to_end(&mut answer).await;
    };
    tokio::join!(say, hear);
    answer
}

fn judge(case: &Case, answer: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(answer);
    let is_http_2 = case.bytes.starts_with(HTTP_2) && answer.starts_with(b"\0\0");
    if !answer.is_empty() && !is_http_2 && !text.starts_with("HTTP/1.") {
        return Err(format!("not an answer of HTTP: {text}"));
    }
    if text.starts_with("HTTP/1.1 5") {
        return Err(format!("a fault of the server: {text}"));
    }
    match case.status {
        Some(status) if !text.starts_with(&format!("HTTP/1.1 {status} ")) => {
            Err(format!("{status} was right, but: {text:?}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_found() {
        assert_eq!(judge(&probe(), b"HTTP/1.1 200 OK\r\n\r\nok"), Ok(()));
        for answer in [&b"HTTP/1.1 404 Not Found\r\n\r\n"[..], b"", b"+OK\r\n", b"HTTP/1.1 500 x"] {
            assert!(judge(&probe(), answer).is_err());
        }
    }
}
