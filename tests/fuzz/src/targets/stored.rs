//! Target `stored`: what stands on a real redis-server where locks and the master's own state are: locks of
//! ours that are damaged, cut short or of other widths, locks of others, values of other types, a state
//! hash with fields that are none. Whoever asks gets an answer or an error, never a vote, and what is
//! not ours by its lease is left as it was.
//!
//! What an answer is taken for is in `answers`; here it is the scripts that read.

use crate::bench::{PATIENCE, connector, not_begun, runtime};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::resp::{Resp, bulk};
use crate::scripts::{name, requests, stored};
use crate::values::number;
use holdfast_engine::{
    Ask, Ballot, Body, Incident, MasterId, Reply, Request, Resource, RunId, Standing, Window,
};
use holdfast_server::masters::{Connection, Connector};
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const KEY: &str = "redlock:r";
const STATE: &str = "holdfast:st";
/// Nobody waits for it to end, and it is no reason for a script to do anything.
const TTL_MILLIS: &str = "3600000";

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let runtime = runtime().map_err(not_begun)?;
    let mut bench = runtime.block_on(Bench::start()).map_err(not_begun)?;
    hunt(plan, &case(), |case| runtime.block_on(bench.check(&case)))
}

/// What stands there.
#[derive(Debug, Clone)]
struct Case {
    lock: Vec<Resp>,
    /// Fields of the state, as they are written over those of a master that votes.
    state: Vec<(&'static str, Vec<u8>)>,
}

impl Case {
    /// By its form, as the scripts tell it: the lock of another replica's client.
    fn is_a_lock_of_ours(&self) -> bool {
        let [Resp::Array(words)] = &self.lock[..] else { return false };
        matches!(words.get(2), Some(Resp::Bulk(v)) if v.starts_with(b"HF1") && v.len() >= 128)
    }
}

fn case() -> impl Strategy<Value = Case> {
    let expire = || vec![bulk("PEXPIRE"), bulk(KEY), bulk(TTL_MILLIS)];
    let text = stored().prop_map(|value| {
        vec![Resp::Array(vec![
            bulk("SET"),
            bulk(KEY),
            Resp::Bulk(value),
            bulk("PX"),
            bulk(TTL_MILLIS),
        ])]
    });
    let other = select(vec![
        vec!["LPUSH", KEY, "HF1"],
        vec!["HSET", KEY, "HF1", "x"],
        vec!["SADD", KEY, "HF1"],
        vec!["XADD", KEY, "*", "HF1", "x"],
    ]);
    let other = other.prop_map(move |command| {
        vec![Resp::Array(command.into_iter().map(bulk).collect()), Resp::Array(expire())]
    });
    let content = prop_oneof![
        3 => number().prop_map(|number| number.to_string().into_bytes()),
        2 => select(vec!["", "nan", "inf", "-1", "0x10", "1e400", "x", " 1", "ours"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40),
    ];
    // `f` and the bucket of "r"; a wrong `q`, `run` or `cfg` makes it no voter.
    let bucket = format!("f{}", Resource::new("r").bucket());
    let field = select(vec!["pb", "bucket", "q", "run", "cfg", "cfgtext", "v", "other"]);
    let bucket: &'static str = Box::leak(bucket.into_boxed_str());
    let field = field.prop_map(move |field| if field == "bucket" { bucket } else { field });
    let state = prop_oneof![2 => Just(Vec::new()), 1 => vec((field, content), 1..3)];
    (prop_oneof![6 => text, 1 => other], state).prop_map(|(lock, state)| Case { lock, state })
}

/// A redis-server that votes, the server's way to it, and a way past the server.
struct Bench {
    // Before the server, which ends with it.
    connection: Connection,
    _events: UnboundedReceiver<holdfast_server::masters::Event>,
    raw: TcpStream,
    run: RunId,
    _redis: RedisServer,
}

impl Bench {
    async fn start() -> Result<Self, String> {
        let started = RedisServer::start(RedisOptions::default()).await;
        let redis = started.map_err(|error| format!("{error:#}"))?;
        let (events, happened) = unbounded_channel();
        let connected = connector(redis.port(), PATIENCE)?.connect(events).await;
        let connection = connected.map_err(|down| format!("{down:?}"))?;
        let raw = TcpStream::connect(redis.address()).await.map_err(|error| error.to_string())?;
        let run = connection.session.run.clone();
        let mut bench = Self { connection, _events: happened, raw, run, _redis: redis };
        let incident = Incident(7);
        bench.ask(vec![Request::Observe { incident }]).await?;
        let adopted = bench.ask(vec![Request::Adopt { incident, base: Ballot(1) }]).await?;
        match adopted.first().map(|reply| &reply.body) {
            Some(Body::Observed(Standing::Voting)) => Ok(bench),
            other => Err(format!("it does not vote: {other:?}")),
        }
    }

    async fn ask(&mut self, requests: Vec<Request>) -> Result<Vec<Reply>, String> {
        let ask = |request| Ask {
            master: MasterId(0),
            id: 1,
            run: self.run.clone(),
            window: Window::ANY,
            request,
        };
        let asks: Vec<Ask> = requests.into_iter().map(ask).collect();
        let replies = timeout(PATIENCE, self.connection.link.send(asks)).await;
        replies.map_err(|_| "no reply".to_owned())
    }

    async fn check(&mut self, case: &Case) -> Verdict {
        self.past(&[command(&["DEL", KEY, STATE])]).await?;
        // A master that votes, as `adopt` leaves it.
        let run = self.run.clone();
        let mut writes = vec![command(&["HSET", STATE, "run", &run.0, "cfg", "ours", "pb", "1"])];
        for (field, content) in &case.state {
            let content = Resp::Bulk(content.clone());
            writes.push(Resp::Array(vec![bulk("HSET"), bulk(STATE), bulk(field), content]));
        }
        writes.extend(case.lock.iter().cloned());
        self.past(&writes).await?;
        let look = [command(&["DUMP", KEY]), command(&["PEXPIRETIME", KEY])];
        let before = self.past(&look).await?;
        let asked: Vec<Request> = requests(&Resource::new("r"))
            .into_iter()
            .filter(|request| match request {
                // These are about the state, and change it.
                Request::Observe { .. } | Request::Adopt { .. } | Request::Suspect { .. } => false,
                // Overwrites a contender that cannot win any more.
                Request::Repair { .. } => !case.is_a_lock_of_ours(),
                _ => true,
            })
            .collect();
        let replies = self.ask(asked.clone()).await?;
        let after = self.past(&look).await?;
        if before != after {
            return Err("what is not ours was changed".to_owned());
        }
        asked.iter().zip(&replies).try_for_each(|(request, reply)| judge(request, &reply.body))
    }

    /// Commands past the server, and all that is answered to them.
    async fn past(&mut self, commands: &[Resp]) -> Result<Vec<u8>, String> {
        const LAST: &[u8] = b"$11\r\nthe-last-of\r\n";
        let mut bytes: Vec<u8> = commands.iter().flat_map(Resp::encode).collect();
        bytes.extend(command(&["ECHO", "the-last-of"]).encode());
        let talk = async {
            self.raw.write_all(&bytes).await?;
            let mut told = Vec::new();
            while !told.ends_with(LAST) {
                if self.raw.read_buf(&mut told).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok::<_, std::io::Error>(told)
        };
        let told = timeout(PATIENCE, talk).await.map_err(|_| "redis-server hangs".to_owned())?;
        told.map_err(|error| format!("redis-server: {error}"))
    }
}

fn command(words: &[&str]) -> Resp {
    Resp::Array(words.iter().map(bulk).collect())
}

/// No vote, no release of what is another's; an error says what it is.
fn judge(request: &Request, body: &Body) -> Verdict {
    let done = ["Ok", "Repaired", "Revoked"];
    if name(body).is_some_and(|name| done.contains(&name)) {
        return Err(format!("{request:?} of what is not ours came to {body:?}"));
    }
    match body {
        Body::Released(holdfast_engine::Deletion::Deleted) => {
            Err(format!("{request:?} released what is not ours"))
        }
        Body::Unknown(why) if why.is_empty() => Err("unknown, and no word why".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_over_the_lock_of_another_is_found() {
        let request = Request::Read { resource: Resource::new("r") };
        assert!(judge(&request, &Body::Ok { info_ballot: Ballot(1), listeners: 0 }).is_err());
        assert!(judge(&request, &Body::Repaired).is_err());
        assert_eq!(judge(&request, &Body::Stale), Ok(()));
    }
}
