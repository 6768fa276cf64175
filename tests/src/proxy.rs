//! A network between a client and a server that a test can slow down, hold back and cut.
//!
//! Like a real network under TCP it never loses bytes from the middle of a connection: what is held back
//! arrives late, or the connection breaks.

use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::ports;

/// How much one read takes at most.
const CHUNK: usize = 64 * 1024;
/// How many chunks may be under way in one direction of one connection; beyond that, TCP pushes back.
const CHUNKS_UNDER_WAY: usize = 1_024;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// A listener of its own that forwards to one target. It works until it is dropped, inside the runtime
/// that started it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// Bound for as long as the proxy lives, so that its port stays its own while it does not listen.
    socket: Socket,
    network: Arc<Network>,
    running: Option<Running>,
}

impl Proxy {
    /// Starts to forward to `target`, which need not be there yet.
    pub fn start(target: SocketAddr) -> Result<Proxy> {
        Proxy::start_at(ports::loopback(ports::free()), target)
    }

    /// The same at an address that nobody has.
    pub fn start_at(address: SocketAddr, target: SocketAddr) -> Result<Proxy> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let network = Arc::new(Network {
            target,
            delay_micros: AtomicU64::new(0),
            requests_held: watch::Sender::new(false),
            replies_held: watch::Sender::new(false),
            accepted: AtomicUsize::new(0),
            disturbed: AtomicUsize::new(0),
        });
        let running = Some(Running::start(&socket, &network)?);
        Ok(Proxy { address, socket, network, running })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> usize {
        self.network.accepted.load(Ordering::Relaxed)
    }

    /// How many times something that was under way was delayed or held back.
    pub fn disturbed(&self) -> usize {
        self.network.disturbed.load(Ordering::Relaxed)
    }

    /// From here on everything arrives this much later, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.network.delay_micros.store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    /// Connections open, are accepted, and nothing goes through in either direction. `resume` delivers
    /// what was held back; `cut` loses it.
    pub fn hang(&self) {
        self.network.requests_held.send_replace(true);
        self.network.replies_held.send_replace(true);
    }

    /// Requests arrive, replies do not: whoever asked cannot know what happened.
    pub fn hang_replies(&self) {
        self.network.replies_held.send_replace(true);
    }

    /// Closes all connections and refuses new ones. How many connections it broke.
    pub async fn cut(&mut self) -> usize {
        let Some(running) = self.running.take() else { return 0 };
        // Closing it would not do: a process that is just being started has a copy of it.
        let _ = self.socket.shutdown(Shutdown::Both);
        running.stop().await
    }

    /// Undoes `delay`, `hang`, `hang_replies` and `cut`.
    pub fn resume(&mut self) -> Result<()> {
        self.delay(Duration::ZERO);
        self.network.requests_held.send_replace(false);
        self.network.replies_held.send_replace(false);
        if self.running.is_none() {
            self.running = Some(Running::start(&self.socket, &self.network)?);
        }
        Ok(())
    }
}

/// What all connections of a proxy share.
#[derive(Debug)]
struct Network {
    target: SocketAddr,
    delay_micros: AtomicU64,
    requests_held: watch::Sender<bool>,
    replies_held: watch::Sender<bool>,
    accepted: AtomicUsize,
    disturbed: AtomicUsize,
}

impl Network {
    async fn forward(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.target).await else { return };
        // Without it the kernel would add delays of its own.
        if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
            return;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let requests = self.pipe(from_client, to_server, self.requests_held.subscribe());
        let replies = self.pipe(from_server, to_client, self.replies_held.subscribe());
        // A half-closed connection goes on in the other direction.
        tokio::join!(requests, replies);
    }

    /// One direction of one connection. The delay is latency, not bandwidth: chunks travel side by side.
    async fn pipe(
        &self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
        mut held: watch::Receiver<bool>,
    ) {
        let (under_way, mut arriving) = mpsc::channel::<(Instant, Bytes)>(CHUNKS_UNDER_WAY);
        let read = async move {
            loop {
                let mut chunk = BytesMut::with_capacity(CHUNK);
                match from.read_buf(&mut chunk).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
                let delay = Duration::from_micros(self.delay_micros.load(Ordering::Relaxed));
                if !delay.is_zero() {
                    self.disturbed.fetch_add(1, Ordering::Relaxed);
                }
                if under_way.send((Instant::now() + delay, chunk.freeze())).await.is_err() {
                    return;
                }
            }
        };
        let write = async move {
            while let Some((due, chunk)) = arriving.recv().await {
                sleep_until(due).await;
                if *held.borrow() {
                    self.disturbed.fetch_add(1, Ordering::Relaxed);
                }
                if held.wait_for(|held| !held).await.is_err() || to.write_all(&chunk).await.is_err()
                {
                    return;
                }
            }
            // The end of a connection is held back as well. If the other side is gone already, that is
            // as good as told.
            if held.wait_for(|held| !held).await.is_ok() {
                let _ = to.shutdown().await;
            }
        };
        tokio::join!(read, write);
    }
}

/// The listener and its connections.
#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    /// How many connections were open at its end.
    task: JoinHandle<usize>,
}

impl Running {
    fn start(socket: &Socket, network: &Arc<Network>) -> Result<Running> {
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.try_clone()?.into())?;
        let network = Arc::clone(network);
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    // The handle was dropped or says stop: the same.
                    _ = &mut stopped => break,
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { continue };
                        network.accepted.fetch_add(1, Ordering::Relaxed);
                        connections.spawn(Arc::clone(&network).forward(client));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
            drop(listener);
            let open = connections.len();
            connections.shutdown().await;
            open
        });
        Ok(Running { stop, task })
    }

    /// Returns when no socket is open any more.
    async fn stop(self) -> usize {
        // An error in either means that it has stopped already.
        let _ = self.stop.send(());
        self.task.await.unwrap_or_default()
    }
}
