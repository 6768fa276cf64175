//! Connections as they come in: bounded in number, and in the time that TLS and the first bytes of HTTP
//! may take. Whoever connects and says nothing does not stay.
//!
//! Deliberately absent: tasks. The handshakes under way live and end with the stream of connections. Nor is
//! HTTP/1.1 understood here: whatever does not begin as HTTP/2 does is for who reads that.

use super::origin::{Peer, network};
use super::tls::Tls;
use crate::auth;
use crate::config::Limits;
use crate::telemetry::{ConnectionRefusal, Connections};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Interval;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

/// What every HTTP/2 client says first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A connection of HTTP/1.1 that is silent for so long is asked by the kernel whether it still lives, so often,
/// and closed: HTTP/1.1 has no pings, and whoever waits on a dead one must leave the queue.
const KEEPALIVE: Duration = Duration::from_secs(20);
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PROBES: u32 = 6;
/// And so is one whose client does not take what is said to it: that is not asked. As long as the above.
const UNTAKEN_MS: u32 = 50_000;
/// hyper does not see that a client of HTTP/1.1 has gone if it said more than the call that is under way. So
/// often is looked.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// When no connection can be accepted, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// At once.
    pub most: usize,
    /// At once, of one IP address (of IPv6: of its /64).
    pub most_per_address: Option<u32>,
    /// For TLS and the first bytes of HTTP; of HTTP/1.1, for the head of each request.
    pub handshake_timeout: Duration,
}

impl From<&Limits> for ConnectionLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            most: limits.max_connections,
            most_per_address: limits.max_connections_per_address.map(Into::into),
            handshake_timeout: limits.handshake_timeout,
        }
    }
}

/// The connections whose clients have begun to speak.
pub(super) fn connections(
    listener: TcpListener,
    tls: Option<Tls>,
    limits: ConnectionLimits,
) -> impl Stream<Item = Connection> {
    let places = Places::new(limits);
    let incoming = Incoming { listener, tls, limits, places, handshakes: FuturesUnordered::new() };
    stream::unfold(incoming, async |mut incoming| {
        let connection = incoming.next().await;
        Some((connection, incoming))
    })
}

struct Incoming {
    listener: TcpListener,
    tls: Option<Tls>,
    limits: ConnectionLimits,
    places: Places,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<Connection>>>,
}

impl Incoming {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, address)) => self.greet(stream, address),
                    Err(error) => {
                        warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(shaken) = self.handshakes.next() => {
                    if let Some(connection) = shaken {
                        return connection;
                    }
                }
            }
        }
    }

    /// Whoever finds no place is hung up on: to say so would take what there is too little of.
    fn greet(&self, stream: TcpStream, address: SocketAddr) {
        let place = match self.places.take(network(address.ip())) {
            Ok(place) => place,
            Err(why) => {
                debug!(%address, ?why, "a connection is refused");
                self.places.0.metrics.refused(why);
                return;
            }
        };
        let acceptor = self.tls.as_ref().map(Tls::acceptor);
        let metrics = Arc::clone(&self.places.0);
        let limit = self.limits.handshake_timeout;
        let handshake = async move {
            let shaken = tokio::time::timeout(limit, shake(stream, acceptor)).await;
            let why = match shaken {
                Ok(Ok((said, io, certificate))) => {
                    let peer = Peer { address, certificate: certificate.map(Arc::new) };
                    let is_old = said.speaks() == Speaks::Http1;
                    let looks = is_old.then(|| tokio::time::interval(LOOK_INTERVAL));
                    return Some(Connection { said, io, peer, place, looks });
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it took too long".to_owned(),
            };
            debug!(%address, why, "a handshake failed");
            metrics.metrics.refused(ConnectionRefusal::Handshake);
            None
        };
        self.handshakes.push(handshake.boxed());
    }
}

async fn shake(
    stream: TcpStream,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
) -> io::Result<(Said, Io, Option<auth::Identity>)> {
    stream.set_nodelay(true)?;
    let (mut io, certificate) = match acceptor {
        None => (Io::Plain(stream), None),
        Some(acceptor) => {
            let stream = acceptor.accept(stream).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let certificate = shown.and_then(|certificate| auth::identity_of(certificate));
            (Io::Tls(Box::new(stream)), certificate)
        }
    };
    let said = Said::read(&mut io).await?;
    if said.speaks() == Speaks::Http1 {
        let socket = io.socket();
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(socket, PROBE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(socket, PROBES)?;
        sockopt::set_tcp_user_timeout(socket, UNTAKEN_MS)?;
    }
    Ok((said, io, certificate))
}

/// What a client speaks, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    Http1,
    Http2,
}

/// The first bytes of a connection, which are there to be read again.
#[derive(Debug)]
struct Said {
    bytes: [u8; PREFACE.len()],
    length: usize,
    /// So many have been read again.
    again: usize,
}

impl Said {
    /// As many as it takes to know.
    async fn read(io: &mut Io) -> io::Result<Self> {
        let mut said = Self { bytes: [0; PREFACE.len()], length: 0, again: 0 };
        while said.length < PREFACE.len() && PREFACE.starts_with(&said.bytes[..said.length]) {
            match io.read(&mut said.bytes[said.length..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => said.length += more,
            }
        }
        Ok(said)
    }

    fn speaks(&self) -> Speaks {
        if self.bytes == *PREFACE { Speaks::Http2 } else { Speaks::Http1 }
    }
}

/// How many connections there are.
#[derive(Debug, Clone)]
struct Places(Arc<Taken>);

#[derive(Debug)]
struct Taken {
    limits: ConnectionLimits,
    count: Mutex<Count>,
    metrics: Connections,
}

#[derive(Debug, Default)]
struct Count {
    all: usize,
    /// Only if they are bounded.
    by_address: HashMap<IpAddr, u32>,
}

/// A connection that counts.
#[derive(Debug)]
struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    fn new(limits: ConnectionLimits) -> Self {
        let (count, metrics) = (Mutex::default(), Connections::new());
        Self(Arc::new(Taken { limits, count, metrics }))
    }

    fn take(&self, address: IpAddr) -> Result<Place, ConnectionRefusal> {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        if count.all >= self.0.limits.most {
            return Err(ConnectionRefusal::TooMany);
        }
        if let Some(most) = self.0.limits.most_per_address {
            let own = count.by_address.entry(address).or_default();
            if *own >= most {
                return Err(ConnectionRefusal::TooManyOfAddress);
            }
            *own += 1;
        }
        count.all += 1;
        self.0.metrics.opened();
        Ok(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut count = self.places.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.all -= 1;
        if let Some(own) = count.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                count.by_address.remove(&self.address);
            }
        }
        self.places.0.metrics.closed();
    }
}

/// A connection whose client has begun to speak, as it was before its first bytes were read.
#[derive(Debug)]
pub(super) struct Connection {
    said: Said,
    io: Io,
    peer: Peer,
    place: Place,
    /// Only of HTTP/1.1.
    looks: Option<Interval>,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(super) fn speaks(&self) -> Speaks {
        self.said.speaks()
    }

    /// To be called if it turns out that it was no HTTP.
    pub(super) fn failure(&self) -> impl FnOnce() + Send + use<> {
        let Places(taken) = self.place.places.clone();
        move || taken.metrics.refused(ConnectionRefusal::Handshake)
    }

    /// Whether the client is still there, as often as is looked.
    fn look(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(looks) = &mut self.looks else { return Ok(()) };
        while looks.poll_tick(cx).is_ready() {
            if hung_up(self.io.socket()) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        Ok(())
    }
}

/// Also behind bytes that nobody has read. A signal may interrupt it: then the next look tells.
fn hung_up(socket: &TcpStream) -> bool {
    let mut asked = [PollFd::new(socket, PollFlags::RDHUP)];
    rustix::event::poll(&mut asked, Some(&Timespec::default())).is_ok_and(|found| found > 0)
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Said { bytes, length, again } = &mut this.said;
        let rest = &bytes[*again..*length];
        if !rest.is_empty() {
            let now = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..now]);
            *again += now;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// What is looked for here is seen also by a connection that reads nothing: each time hyper is woken it flushes.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.look(cx)?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl Io {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn what_has_no_pings_is_watched_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits =
            ConnectionLimits { most: 2, most_per_address: None, handshake_timeout: KEEPALIVE * 3 };
        let mut incoming = Box::pin(connections(listener, None, limits));
        for (said, is_watched) in [(&b"POST /"[..], true), (PREFACE, false)] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said).await.unwrap();
            let connection = incoming.next().await.unwrap();
            let socket = connection.io.socket();
            assert_eq!(sockopt::socket_keepalive(socket).unwrap(), is_watched);
            let untaken = sockopt::tcp_user_timeout(socket).unwrap();
            assert_eq!(untaken, if is_watched { UNTAKEN_MS } else { 0 });
        }
    }
}
