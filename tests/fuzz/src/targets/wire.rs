//! Target `wire`: the bytes of a master on connections of their own: at each step of the handshake and in
//! answer to what is asked, right, cut short, with bits that flipped, lengths that are huge or negative,
//! arrays without end, slow, silent, and garbage. A connection comes to something in time, nothing
//! of it stays behind, and memory is bounded.
//!
//! What well-framed answers mean is in `answers`.

use crate::bench::{PATIENCE, ask, connector, not_begun, runtime};
use crate::fake_master::{About, Answer, FakeMaster, right};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory::{self, Growth};
use crate::resp::{Resp, bulk, value};
use crate::scripts::{nearly_right, requests, right_answer};
use crate::values::{Damage, damages, garbage};
use holdfast_engine::{Down, Resource};
use holdfast_server::masters::{Connection, Connector};
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::yield_now;
use tokio::time::timeout;

/// A master that says nothing is given up after this.
const SILENCE: Duration = Duration::from_millis(40);
/// Each of a hundred nested arrays makes room for 4,096 values before they come, whatever it says.
const MOST_BYTES: usize = 64 << 20;
/// Over all cases: what the allocators of both sides keep.
const GROWTH: u64 = 256 << 20;
const LARGEST: usize = 200_000;

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let runtime = runtime().map_err(not_begun)?;
    let master = runtime.block_on(FakeMaster::start()).map_err(not_begun)?;
    let growth = Growth::of_at_most(GROWTH).map_err(not_begun)?;
    hunt(plan, &case(), |case| {
        let said = case.clone();
        let mut answered = 0;
        master.behave(move |about, command| said.answer(about, command, &mut answered));
        memory::within(MOST_BYTES, || converse(&runtime, &master, &case.push))??;
        growth.check()
    })
}

/// How one connection goes.
#[derive(Debug, Clone)]
struct Case {
    /// Which step of the handshake is not right, and what is said there.
    handshake: Option<(About, Said)>,
    /// What is said to the asks, one after the other; then nothing.
    answers: Vec<Said>,
    /// What is said to whoever subscribed, unasked.
    push: Vec<u8>,
}

/// Bytes, and how they come.
#[derive(Debug, Clone)]
struct Said {
    bytes: Vec<u8>,
    damages: Vec<Damage>,
    piece: usize,
    hang_up: bool,
}

impl Case {
    fn answer(&self, about: About, command: &[Vec<u8>], answered: &mut usize) -> Answer {
        match (&self.handshake, about) {
            (Some((step, said)), _) if *step == about => said.answer(right(about, command)),
            (_, About::Ask) => {
                *answered += 1;
                self.answers
                    .get(*answered - 1)
                    .map_or_else(|| Answer::of(Vec::new()), |said| said.answer(said.bytes.clone()))
            }
            _ => Answer::of(right(about, command)),
        }
    }
}

impl Said {
    /// Damages are done to what is right; what has none is said as it is.
    fn answer(&self, right: Vec<u8>) -> Answer {
        let mut bytes = if self.damages.is_empty() { self.bytes.clone() } else { right };
        self.damages.iter().for_each(|damage| damage.befall(&mut bytes));
        Answer { bytes, piece: self.piece, hang_up: self.hang_up }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let step = select(vec![About::Info, About::Load, About::SelfTest, About::Subscribe]);
    let handshake = prop_oneof![3 => Just(None), 2 => (step, said()).prop_map(Some)];
    let word = select(vec!["message", "pmessage", "subscribe", "unsubscribe", "pong", ""]);
    let push = (word, vec(value(), 0..4))
        .prop_map(|(word, fields)| Resp::Array([vec![bulk(word)], fields].concat()).encode());
    let push =
        prop_oneof![2 => Just(Vec::new()), 2 => push, 1 => said().prop_map(|said| said.bytes)];
    (handshake, vec(said(), 0..4), push).prop_map(|(handshake, answers, push)| Case {
        handshake,
        answers,
        push,
    })
}

fn said() -> impl Strategy<Value = Said> {
    let well_formed = prop_oneof![right_answer(), nearly_right(), value()];
    let lengths = vec![
        "$536870912\r\n",
        "$9223372036854775807\r\n",
        "$-9223372036854775808\r\n",
        "$-2\r\n",
        "*1000000000\r\n",
        "*9223372036854775807\r\n",
        "*-7\r\n",
        "%4611686018427387904\r\n",
        "%9223372036854775807\r\n",
        "|1\r\n",
        "|9223372036854775807\r\n",
        "|-1\r\n",
        "~2147483648\r\n",
        ">4\r\n",
        ">-1\r\n",
        "!-1\r\n",
        "=9223372036854775807\r\n",
        "$1e9\r\n",
        "*\r\n",
        "$+5\r\n",
        "*2147483647\r\n*2147483647\r\n",
        "$99999999999999999999\r\n",
        ":99999999999999999999\r\n",
    ];
    let lengths = (vec(select(lengths), 1..4), garbage(64))
        .prop_map(|(lengths, rest)| [lengths.concat().into_bytes(), rest].concat());
    let nested = (
        select(vec!["*1\r\n", "*4096\r\n", "%1\r\n", "~9\r\n", "|1\r\n", ">2\r\n"]),
        1..20_000_usize,
    )
        .prop_map(|(part, times)| part.repeat(times).into_bytes());
    let endless = (select(vec!["+", "-", ":", "$", "*", "("]), 0..LARGEST)
        .prop_map(|(kind, length)| (kind.to_owned() + &"1".repeat(length)).into_bytes());
    let twice = (well_formed.clone(), 1..400_usize)
        .prop_map(|(value, times)| value.encode().repeat(times.min(1 + LARGEST / 2_000)));
    let bytes = prop_oneof![
        4 => well_formed.prop_map(|value| value.encode()),
        2 => garbage(LARGEST),
        3 => lengths,
        1 => nested,
        1 => endless,
        1 => twice,
        1 => Just(Vec::new()),
    ];
    let damages = prop_oneof![1 => Just(Vec::new()), 1 => damages()];
    let piece = prop_oneof![4 => Just(usize::MAX), 1 => 1..400_usize, 1 => Just(1)];
    (bytes, damages, piece, prop::bool::weighted(0.5)).prop_map(
        |(bytes, damages, piece, hang_up)| {
            // Byte by byte, but not all day.
            let piece = piece.max(bytes.len() / 2_000);
            Said { bytes, damages, piece, hang_up }
        },
    )
}

fn converse(runtime: &Runtime, master: &FakeMaster, push: &[u8]) -> Verdict {
    runtime.block_on(async {
        let (events, mut happened) = unbounded_channel();
        let mut connector = connector(master.port(), SILENCE)?;
        let connected = timeout(PATIENCE, connector.connect(events)).await;
        match connected.map_err(|_| "a handshake without end".to_owned())? {
            Err(Down::Unreachable(why) | Down::Misconfigured(why)) if why.is_empty() => {
                return Err("no connection, and no word why".to_owned());
            }
            Err(_) => {}
            Ok(connection) => {
                master.push(push);
                ask_all(connection).await?;
            }
        }
        while happened.try_recv().is_ok() {}
        nothing_is_left(master, PATIENCE).await
    })
}

/// One ask of every kind, in two writes. What is not answered in time is given up, as the driver does.
async fn ask_all(mut connection: Connection) -> Verdict {
    let requests = requests(&Resource::new("r"));
    let (some, others) = requests.split_at(3);
    for requests in [some, others] {
        let asks = requests.iter().cloned().map(ask).collect();
        if let Ok(replies) = timeout(SILENCE, connection.link.send(asks)).await
            && replies.len() != requests.len()
        {
            return Err(format!("{} replies to {} asks", replies.len(), requests.len()));
        }
    }
    Ok(())
}

/// The master listens, on one task; all others were of this connection, on either side.
async fn nothing_is_left(master: &FakeMaster, patience: Duration) -> Verdict {
    let metrics = Handle::current().metrics();
    let ended = async {
        while metrics.num_alive_tasks() > 1 {
            yield_now().await;
        }
    };
    let left = timeout(patience, ended).await;
    left.map_err(|_| format!("tasks are left of connection {}", master.accepted()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_left_is_found() {
        runtime().unwrap().block_on(async {
            let master = FakeMaster::start().await.unwrap();
            assert_eq!(nothing_is_left(&master, PATIENCE).await, Ok(()));
            let task = tokio::spawn(std::future::pending::<()>());
            assert!(nothing_is_left(&master, SILENCE).await.is_err());
            task.abort();
        });
    }
}
