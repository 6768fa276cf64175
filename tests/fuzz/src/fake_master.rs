//! A master that answers what it is told to answer, over a real socket: right at the handshake and
//! nonsense after it, or nonsense from the start.
//!
//! Owns connections and commands. Deliberately absent: locks. What is right here is just enough for a
//! handshake to succeed.

use crate::resp::{Resp, bulk, take_command};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{JoinHandle, JoinSet};

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// INFO.
    Info,
    /// SCRIPT LOAD.
    Load,
    /// The script that proves the permissions.
    SelfTest,
    /// SUBSCRIBE and UNSUBSCRIBE.
    Subscribe,
    /// What the engine asks: EVALSHA, SCAN, PUBLISH.
    Ask,
    /// Anything else.
    Other,
}

/// What is sent in answer to one command.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Sent in pieces of so many bytes.
    pub piece: usize,
    /// And then the connection is closed.
    pub hang_up: bool,
}

impl Answer {
    /// All at once.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, piece: usize::MAX, hang_up: false }
    }
}

type Conduct = Box<dyn FnMut(About, &[Vec<u8>]) -> Answer + Send>;

/// The master. Dropped, it is gone with all its connections.
#[derive(Debug)]
pub struct FakeMaster {
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    conduct: Mutex<Conduct>,
    /// The connections, to push to.
    pushes: Mutex<Vec<UnboundedSender<Vec<u8>>>>,
    accepted: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl FakeMaster {
    /// Listens, and does what is right at the handshake. What it is asked then it does not answer.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            conduct: Mutex::new(Box::new(|about, command| Answer::of(right(about, command)))),
            pushes: Mutex::default(),
            accepted: AtomicUsize::new(0),
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, serving })
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How it behaves from here on.
    pub fn behave(&self, conduct: impl FnMut(About, &[Vec<u8>]) -> Answer + Send + 'static) {
        *lock(&self.shared.conduct) = Box::new(conduct);
    }

    /// Says something to every connection that subscribed to something.
    pub fn push(&self, bytes: &[u8]) {
        lock(&self.shared.pushes).retain(|push| push.send(bytes.to_vec()).is_ok());
    }

    /// How many connections there ever were.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for FakeMaster {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What is right, as far as there is a right answer without a memory.
pub fn right(about: About, command: &[Vec<u8>]) -> Vec<u8> {
    match about {
        About::Info => {
            let text = "redis_version:7.0.15\r\nrun_id:fake\r\nuptime_in_seconds:9\r\n\
                        maxmemory_policy:noeviction\r\nrole:master\r\ncluster_enabled:0\r\n";
            bulk(text).encode()
        }
        About::Load => bulk("0".repeat(40)).encode(),
        About::SelfTest => Resp::Array(Vec::new()).encode(),
        About::Subscribe => {
            let (word, channels) =
                command.split_first().map_or((&[][..], &[][..]), |(w, c)| (w, c));
            let word = word.to_ascii_lowercase();
            let told = channels.iter().flat_map(|channel| {
                Resp::Array(vec![bulk(&word), bulk(channel), Resp::Int(1)]).encode()
            });
            told.collect()
        }
        About::Ask | About::Other => Vec::new(),
    }
}

fn about(command: &[Vec<u8>]) -> About {
    let word = command.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    let is_self_test = |key: &[u8]| key.windows(19).any(|part| part == b"holdfast-self-test-");
    match word.as_slice() {
        b"INFO" => About::Info,
        b"SCRIPT" => About::Load,
        b"EVALSHA" if command.get(3).is_some_and(|key| is_self_test(key)) => About::SelfTest,
        b"EVALSHA" | b"SCAN" | b"PUBLISH" => About::Ask,
        b"SUBSCRIBE" | b"UNSUBSCRIBE" => About::Subscribe,
        _ => About::Other,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let (push, pushed) = mpsc::unbounded_channel();
        let mut pushes = lock(&shared.pushes);
        pushes.retain(|push| !push.is_closed());
        pushes.push(push);
        drop(pushes);
        let shared = Arc::clone(&shared);
        // A client that has gone is no error.
        connections.spawn(async move { drop(converse(stream, &shared, pushed).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(
    mut stream: TcpStream,
    shared: &Shared,
    mut pushed: UnboundedReceiver<Vec<u8>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut arrived, mut subscribed) = (Vec::new(), false);
    loop {
        tokio::select! {
            read = stream.read_buf(&mut arrived) => if read? == 0 {
                return Ok(());
            },
            Some(bytes) = pushed.recv() => if subscribed {
                stream.write_all(&bytes).await?;
            },
        }
        let mut whole = Vec::new();
        while let Some(command) = take_command(&mut arrived) {
            let about = about(&command);
            subscribed |= about == About::Subscribe;
            let answer = (lock(&shared.conduct))(about, &command);
            whole.extend_from_slice(&answer.bytes);
            if answer.piece < answer.bytes.len() {
                for piece in std::mem::take(&mut whole).chunks(answer.piece.max(1)) {
                    stream.write_all(piece).await?;
                    tokio::task::yield_now().await;
                }
            }
            if answer.hang_up {
                return stream.write_all(&whole).await;
            }
        }
        stream.write_all(&whole).await?;
    }
}
