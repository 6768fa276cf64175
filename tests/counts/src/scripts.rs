//! The hot paths of a master: a redis-server under callgrind, asked as the server asks it, one ask a call
//! and many. What it does every now and then (expiry, INFO) falls into some rounds only, and the median
//! leaves those out.

use crate::callgrind::Parts;
use crate::record::{Part, tools};
use anyhow::{Result, anyhow, ensure};
use holdfast_engine::{
    Ask, Ballot, Body, Change, Claim, Deletion, Incident, Info, LeaseHash, MasterId, Nonce, Notice,
    Renewal, Request, Resource, Standing, Window,
};
use holdfast_server::masters::{Connection, Connector, Event};
use holdfast_tests::redis_bench::{connector, deployment};
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Asked for in every round.
const LOCKS: usize = 1_024;
/// Held all the time: without them Redis would shrink its tables between two rounds.
const HELD: usize = 512;
/// Asks in a call.
const TOGETHER: [usize; 2] = [1, 32];
const ROUNDS: usize = 7;
const HOUR: Duration = Duration::from_secs(3_600);

/// Instructions of an ask, for each script and number of asks in a call.
pub fn count() -> Result<(String, Part)> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut master = Master::start().await?;
        let version = &master.connection.session.version;
        let tools = tools(&format!("redis-server {version}"))?;
        let mut samples: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for round in 0..=ROUNDS {
            let figures = master.round().await?;
            // The first one finds everything cold.
            for (path, figure) in figures.into_iter().filter(|_| round > 0) {
                samples.entry(path).or_default().push(figure);
            }
        }
        let counts = samples.into_iter().map(|(path, figures)| (path, median(figures))).collect();
        Ok(("scripts".to_owned(), Part { tools, counts }))
    })
}

fn median(mut figures: Vec<u64>) -> u64 {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

#[derive(Clone, Copy)]
enum Script {
    Acquire,
    Extend,
    Release,
}

/// A lock, and the grant by which it is held.
struct Lock {
    claim: Arc<Claim>,
    nonce: Nonce,
    token: Ballot,
}

struct Master {
    connection: Connection,
    _events: UnboundedReceiver<Event>,
    /// Whose ECHO ends a part.
    marks: TcpStream,
    parts: Parts,
    locks: Vec<Lock>,
    ballot: u64,
    _server: RedisServer,
}

impl Master {
    /// It votes, and some locks are held.
    async fn start() -> Result<Self> {
        let parts = Parts::new()?;
        let program = Some(parts.wrapper("redis-server", "echoCommand")?);
        let quiet = ["hz 1", "dynamic-hz no", "activerehashing no", "jemalloc-bg-thread no"];
        let config = quiet.map(str::to_owned).to_vec();
        let options = RedisOptions { program, config, ..RedisOptions::default() };
        let server = RedisServer::start(options).await?;
        let (events, happening) = unbounded_channel();
        let connected = connector(&server, deployment("counts"))?.connect(events).await;
        let mut master = Self {
            connection: connected.map_err(|down| anyhow!("{down:?}"))?,
            _events: happening,
            marks: TcpStream::connect(server.address())?,
            parts,
            locks: (0..LOCKS + HELD).map(Lock::new).collect(),
            ballot: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros() as u64,
            _server: server,
        };
        let (incident, base) = (Incident(1), Ballot(master.ballot - 1));
        master.send(vec![Request::Observe { incident }]).await;
        let standing = master.send(vec![Request::Adopt { incident, base }]).await;
        ensure!(standing == [Body::Observed(Standing::Voting)], "it does not vote: {standing:?}");
        master.run(Script::Acquire, LOCKS..LOCKS + HELD, HELD).await?;
        master.mark()?;
        Ok(master)
    }

    /// Every lock is taken, renewed and given back, with so many asks in a call.
    async fn round(&mut self) -> Result<Vec<(String, u64)>> {
        let nothing = self.mark()?;
        let mut figures = Vec::new();
        for together in TOGETHER {
            for script in [Script::Acquire, Script::Extend, Script::Release] {
                self.run(script, 0..LOCKS, together).await?;
                let instructions = self.mark()?.saturating_sub(nothing);
                let path = format!("{}-{together}", script.name());
                figures.push((path, instructions / LOCKS as u64));
            }
        }
        Ok(figures)
    }

    async fn run(&mut self, script: Script, locks: Range<usize>, together: usize) -> Result<()> {
        for at in locks.step_by(together) {
            let mut requests = Vec::with_capacity(together);
            for lock in &mut self.locks[at..at + together] {
                self.ballot += 1;
                requests.push(script.request(lock, Ballot(self.ballot)));
            }
            let answers = self.send(requests).await;
            let refused = answers.iter().find(|answer| !script.is_done(answer));
            ensure!(refused.is_none(), "{} was refused: {refused:?}", script.name());
        }
        Ok(())
    }

    async fn send(&mut self, requests: Vec<Request>) -> Vec<Body> {
        let (now, hour) = (self.ballot, HOUR.as_micros() as u64);
        let window = Window { lo: now - hour, hi: now + hour };
        let run = &self.connection.session.run;
        let ask = |request| Ask { master: MasterId(0), id: 1, run: run.clone(), window, request };
        let asks = requests.into_iter().map(ask).collect();
        let replies = self.connection.link.send(asks).await;
        replies.into_iter().map(|reply| reply.body).collect()
    }

    /// Ends a part, and says how many instructions it had.
    fn mark(&mut self) -> Result<u64> {
        self.marks.write_all(b"ECHO mark\r\n")?;
        self.marks.read_exact(&mut [0; b"$4\r\nmark\r\n".len()])?;
        self.parts.take()
    }
}

impl Lock {
    fn new(number: usize) -> Self {
        let claim = Claim {
            resource: Resource::new(&format!("resource-{number}")),
            lease: LeaseHash::of(&format!("lease-{number}")),
            ttl: HOUR,
            info: Info { holder: format!("holder-{number}").into(), ..Info::default() },
        };
        let nonce = Nonce::acquired(number as u64);
        Self { claim: Arc::new(claim), nonce, token: Ballot::ZERO }
    }
}

impl Script {
    fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Extend => "extend",
            Self::Release => "release",
        }
    }

    /// As a Hold asks.
    fn request(self, lock: &mut Lock, ballot: Ballot) -> Request {
        let (resource, lease) = (lock.claim.resource.clone(), lock.claim.lease);
        let (nonce, token) = (lock.nonce, lock.token);
        match self {
            Self::Acquire => {
                lock.token = ballot;
                Request::Acquire { claim: Arc::clone(&lock.claim), nonce, ballot }
            }
            Self::Extend => {
                let renewal = Renewal { resource, lease, token, ttl: HOUR, nonce, metadata: None };
                Request::Extend { renewal: Arc::new(renewal), ballot }
            }
            Self::Release => {
                let notice = Notice { origin: 1, change: Change::Released, lease: Some(lease) };
                Request::Release { resource, lease, token, ballot, notice, listens: false }
            }
        }
    }

    fn is_done(self, answer: &Body) -> bool {
        match self {
            Self::Acquire | Self::Extend => matches!(answer, Body::Ok { .. }),
            Self::Release => *answer == Body::Released(Deletion::Deleted),
        }
    }
}
