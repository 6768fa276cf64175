//! HTTP on the connections that came in: HTTP/2, and HTTP/1.1 for gRPC-Web, each within its bounds; and how
//! they end.
//!
//! tonic's own server can bound neither how long the head of a request of HTTP/1.1 may take nor how large it
//! may be. Deliberately absent: what is served.

use super::incoming::{Connection, Speaks};
use super::server::Settings;
use futures_util::{Stream, StreamExt};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tonic::body::Body;
use tower::{Service, ServiceExt};
use tracing::debug;

/// A connection that is silent for so long is asked whether it still lives: whoever waits on a dead
/// one must leave the queue.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// And is closed if it does not answer for so long and the longest ttl: the end of its streams gives back
/// what their clients hold, and a client that is only cut off relies on it until its own deadline.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams of a connection that were opened and reset before they were served; a client with more is a
/// flood (rapid reset), and its connection is closed.
const MAX_PENDING_RESETS: usize = 200;
/// Streams of a connection that were reset because of what its client did wrong.
const MAX_ERROR_RESETS: usize = 1_024;
/// All headers of a call: a JWT and a trace fit many times.
const MAX_HEADER_BYTES: usize = 32 * 1_024;

/// How HTTP is spoken.
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    max_age: Option<Duration>,
}

impl Http {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(settings.connections.handshake_timeout)
            .max_buf_size(MAX_HEADER_BYTES);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.max_concurrent_streams)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_ERROR_RESETS)
            .max_header_list_size(MAX_HEADER_BYTES as u32)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT + settings.max_ttl);
        Self { http1, http2, max_age: settings.max_connection_age }
    }

    /// Serves what comes in until `ending` resolves; then asks every connection to go, and waits for that.
    pub(super) async fn serve<S>(
        self,
        incoming: impl Stream<Item = Connection>,
        service: S,
        ending: impl Future<Output = ()>,
    ) where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
    {
        let (closing, _) = watch::channel(());
        let http = Arc::new(self);
        {
            // The port is closed before the connections are waited for: nobody is to knock in vain.
            let mut incoming = pin!(incoming.take_until(ending));
            while let Some(connection) = incoming.next().await {
                let (http, service) = (Arc::clone(&http), service.clone());
                let closing = closing.subscribe();
                tokio::spawn(async move { http.connection(connection, service, closing).await });
            }
        }
        closing.send_replace(());
        closing.closed().await;
    }

    async fn connection<S>(&self, connection: Connection, service: S, closing: watch::Receiver<()>)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
    {
        let (speaks, peer) = (connection.speaks(), connection.peer().clone());
        let failure = connection.failure();
        let io = TokioIo::new(connection);
        let answer = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            service.clone().oneshot(request.map(Body::new))
        };
        match speaks {
            Speaks::Http2 => {
                let serving = self.http2.serve_connection(io, service_fn(answer));
                self.through(serving, closing).await;
            }
            Speaks::Http1 => {
                let asked = AtomicBool::new(false);
                let seen = &asked;
                let answer = service_fn(move |request| {
                    seen.store(true, Ordering::Relaxed);
                    answer(request)
                });
                self.through(self.http1.serve_connection(io, answer), closing).await;
                if !asked.load(Ordering::Relaxed) {
                    failure();
                }
            }
        }
    }

    /// Until it ends; asked to go when it is too old, or everything ends.
    async fn through<C>(&self, connection: C, mut closing: watch::Receiver<()>)
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let mut connection = pin!(connection);
        let aged = async {
            match self.max_age {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = aged => last(connection).await,
            _ = closing.changed() => last(connection).await,
        };
        if let Err(error) = ended {
            debug!(%error, "a connection failed");
        }
    }
}

/// What is under way is finished, and nothing more begins.
async fn last<C: GracefulConnection>(mut connection: Pin<&mut C>) -> C::Output {
    connection.as_mut().graceful_shutdown();
    connection.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::incoming::connections;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tower::service_fn;

    const CALL: &[u8] = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    const BOUND: Duration = Duration::from_secs(60);

    /// Answers everything at once. Dropped, the sender ends it.
    async fn serving(settings: Settings) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let answer = service_fn(async |request: Request<Body>| {
            assert!(request.extensions().get::<crate::grpc::origin::Peer>().is_some());
            Ok(Response::new(Body::empty()))
        });
        let incoming = connections(listener, None, settings.connections);
        let ending = async { drop(ended.await) };
        let http = Http::new(&settings);
        (address, end, tokio::spawn(async move { http.serve(incoming, answer, ending).await }))
    }

    async fn answered(connection: &mut TcpStream) {
        connection.write_all(CALL).await.unwrap();
        let mut said = [0; 4_096];
        let length = connection.read(&mut said).await.unwrap();
        assert!(said[..length].starts_with(b"HTTP/1.1 200 OK"));
    }

    async fn closed(connection: &mut TcpStream) {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(BOUND, connection.read_to_end(&mut rest)).await;
        end.expect("it is closed").unwrap();
    }

    #[tokio::test]
    async fn a_connection_is_asked_to_go_when_it_is_old() {
        let mut settings =
            Settings { max_connection_age: Some(Duration::ZERO), ..Settings::default() };
        settings.connections.handshake_timeout = BOUND * 2;
        let (address, _end, _serving) = serving(settings).await;
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(CALL).await.unwrap();
        closed(&mut connection).await;
    }

    #[tokio::test]
    async fn http_2_is_told_its_bounds_and_asked_to_go_when_it_is_old() {
        const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let settings = Settings { max_connection_age: Some(Duration::ZERO), ..Settings::default() };
        let (streams, headers) = (settings.max_concurrent_streams, MAX_HEADER_BYTES as u32);
        let (address, _end, _serving) = serving(settings).await;
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        connection.write_all(&EMPTY_SETTINGS).await.unwrap();
        let said = async {
            let mut frames = Vec::new();
            // Until GOAWAY.
            while frames.last().is_none_or(|(kind, _)| *kind != 7) {
                let mut head = [0; 9];
                connection.read_exact(&mut head).await.unwrap();
                let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                connection.read_exact(&mut payload).await.unwrap();
                frames.push((head[3], payload));
            }
            frames
        };
        let said = tokio::time::timeout(BOUND, said).await.expect("it is asked to go");
        let (kind, told) = &said[0];
        assert_eq!(*kind, 4, "SETTINGS come first");
        let told: Vec<&[u8]> = told.chunks(6).collect();
        for (setting, value) in [(3, streams), (6, headers)] {
            let [a, b, c, d] = value.to_be_bytes();
            assert!(told.contains(&&[0, setting, a, b, c, d][..]), "{setting} in {told:?}");
        }
    }

    #[tokio::test]
    async fn the_end_closes_the_port_and_waits_for_the_connections() {
        let mut settings = Settings::default();
        settings.connections.handshake_timeout = BOUND * 2;
        let (address, end, serving) = serving(settings).await;
        let mut connection = TcpStream::connect(address).await.unwrap();
        answered(&mut connection).await;
        answered(&mut connection).await;
        drop(end);
        closed(&mut connection).await;
        tokio::time::timeout(BOUND, serving).await.expect("it ends").unwrap();
        TcpStream::connect(address).await.unwrap_err();
    }
}
