//! Target `liar`: one of three masters answers whatever it likes, any kind of answer to any request with
//! any numbers, while two are sound. In virtual time, on the engine alone: a lease that is kept is never
//! lost, nobody else is granted it, no call is left without an answer, and tokens rise.
//!
//! A lie is an answer of its own making that the codec would let through; what it lets through is the
//! business of `answers`. A liar as a process is in `replica`.

use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::values::number;
use holdfast_engine::{
    Answer, Ballot, Body, Call, Deletion, Incident, Info, LeaseHash, Lock, MasterId, Nonce,
    Occupant, Reply, Resource, Standing,
};
use holdfast_tests::world::{World, acquire, extend, release};
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

/// What everybody wants, and one has.
const STANDING: &str = "standing";
const HOLDER: &str = "holder";
const TTL: Duration = Duration::from_secs(10);
/// The lease is renewed at least so often.
const PACE: Duration = Duration::from_secs(2);
/// The longest wait of a call here, what it tries without a quorum, and a round.
const PATIENCE: Duration = Duration::from_secs(4);
const LIAR: u8 = 2;

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    hunt(plan, &case(), |case| check(&case))
}

/// What the liar says, and what happens meanwhile.
#[derive(Debug, Clone)]
struct Case {
    lies: Vec<Option<Reply>>,
    deeds: Vec<Deed>,
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Deed {
    /// Another one wants the standing lock.
    Want { replica: usize, wait: Duration },
    /// Another one takes another lock, and gives it back.
    Use { replica: usize, resource: &'static str, give_back: bool },
    /// Somebody looks.
    Look { replica: usize, token: Option<u64> },
    /// An operator lists what a master has.
    List { replica: usize, master: u8 },
    /// Somebody tries to renew or release with a forged token.
    Forge { replica: usize, token: u64, release: bool },
    /// The connection to the liar is lost and made anew.
    Reconnect { replica: usize },
    /// Time passes.
    Wait(Duration),
}

fn case() -> impl Strategy<Value = Case> {
    let lies = vec(prop::option::weighted(0.8, lie()), 0..40);
    (lies, vec(deed(), 1..12)).prop_map(|(lies, deeds)| Case { lies, deeds })
}

fn deed() -> impl Strategy<Value = Deed> {
    let replica = || 0..2_usize;
    let span = |most: u64| (0..most).prop_map(Duration::from_millis);
    prop_oneof![
        (replica(), prop_oneof![Just(Duration::ZERO), span(2_000)])
            .prop_map(|(replica, wait)| Deed::Want { replica, wait }),
        (replica(), select(vec!["a", "b", "c"]), any::<bool>())
            .prop_map(|(replica, resource, give_back)| Deed::Use { replica, resource, give_back }),
        (replica(), prop::option::of(number()))
            .prop_map(|(replica, token)| Deed::Look { replica, token }),
        (replica(), 0..3_u8).prop_map(|(replica, master)| Deed::List { replica, master }),
        (replica(), number(), any::<bool>()).prop_map(|(replica, token, release)| Deed::Forge {
            replica,
            token,
            release
        }),
        replica().prop_map(|replica| Deed::Reconnect { replica }),
        span(PACE.as_millis() as u64).prop_map(Deed::Wait),
    ]
}

fn lie() -> BoxedStrategy<Reply> {
    let time = prop_oneof![
        3 => Just(None),
        2 => (0..4_000_000_u64).prop_map(|by| Some(1_800_000_000_000_000 + by)),
        2 => number().prop_map(Some),
    ];
    let ballot = || {
        prop_oneof![
            2 => number(),
            1 => (0..40_000_000_u64).prop_map(|by| 1_800_000_000_000_000 + by),
        ]
        .prop_map(Ballot)
    };
    let incident = || prop::option::of(number().prop_map(Incident));
    let span = || number().prop_map(Duration::from_millis);
    let lease = select(vec![HOLDER, "other", "nobody"]).prop_map(LeaseHash::of);
    let lock = (lease, any::<u64>(), [ballot(), ballot(), ballot(), ballot()], span()).prop_map(
        |(lease, bits, ballots, ttl)| {
            let [first, ballot, token, info_ballot] = ballots;
            let info = Info { holder: "liar".into(), ..Info::default() };
            let nonce = Nonce::acquired(bits);
            Lock { lease, nonce, first, ballot, token, info_ballot, ttl, info }
        },
    );
    let occupant = (prop::option::of(lock), prop::option::of(span()))
        .prop_map(|(lock, remaining)| Occupant { lock, remaining });
    let standing = || {
        prop_oneof![
            2 => Just(Standing::Voting),
            1 => incident().prop_map(Standing::Quarantined),
            1 => Just(Standing::Misfit("a lie".into())),
        ]
    };
    let deletion =
        select(vec![Deletion::Deleted, Deletion::Newer, Deletion::Other, Deletion::Nothing]);
    let plain = select(vec![
        Body::Stale,
        Body::Absent,
        Body::Misfit,
        Body::Late,
        Body::Ahead,
        Body::Repaired,
        Body::Refused,
        Body::Cleaned,
        Body::Dropped,
        Body::Unknown("a lie".into()),
    ]);
    let body = prop_oneof![
        3 => plain,
        2 => (ballot(), any::<u32>())
            .prop_map(|(info_ballot, listeners)| Body::Ok { info_ballot, listeners }),
        2 => occupant.clone().prop_map(Body::Held),
        2 => prop::option::of(ballot()).prop_map(|first| Body::Lost { first }),
        1 => incident().prop_map(Body::NotVoting),
        1 => deletion.prop_map(Body::Released),
        1 => span().prop_map(|remaining| Body::Revoked { remaining }),
        1 => (number(), vec("[a-c]{0,2}", 0..4)).prop_map(|(cursor, names)| {
            let resources = names.iter().map(|name| Resource::new(name)).collect();
            Body::Scanned { cursor, resources }
        }),
        2 => (standing(), prop::option::of(occupant))
            .prop_map(|(standing, occupant)| Body::Read { standing, occupant }),
        1 => any::<u32>().prop_map(Body::Published),
        1 => standing().prop_map(Body::Observed),
    ];
    (time, ballot(), body)
        .prop_map(|(time_micros, seen, body)| Reply { time_micros, seen, body })
        .boxed()
}

fn check(case: &Case) -> Verdict {
    let mut world = World::new(3, 2);
    let call = world.call(0, acquire(STANDING, HOLDER, TTL, Duration::ZERO));
    let Answer::Granted(granted) = world.answer(call) else {
        return Err("the standing lease was not granted".to_owned());
    };
    let mut keeper = Keeper { world, token: granted.grant.token.0, newest: 0 };
    keeper.world.run_for(Duration::from_millis(50));
    keeper.world.lies.insert(LIAR, case.lies.iter().cloned().collect());
    for deed in &case.deeds {
        keeper.happen(deed)?;
        keeper.renew()?;
    }
    Ok(())
}

/// Who keeps the lease.
struct Keeper {
    world: World,
    token: u64,
    /// The highest token of the other locks.
    newest: u64,
}

impl Keeper {
    fn answer(&mut self, replica: usize, call: Call) -> Result<Answer, String> {
        let what = format!("{call:?}");
        let id = self.world.call(replica, call);
        let end = self.world.now + PATIENCE;
        while !self.world.answers.contains_key(&id) {
            if self.world.now >= end {
                return Err(format!("no answer to {what}"));
            }
            self.world.run_for(Duration::from_millis(5));
        }
        Ok(self.world.answers[&id].1.clone())
    }

    fn renew(&mut self) -> Verdict {
        match self.answer(0, extend(STANDING, HOLDER, self.token, TTL))? {
            Answer::Renewed(_) => Ok(()),
            other => Err(format!("the standing lease was not renewed: {other:?}")),
        }
    }

    fn happen(&mut self, deed: &Deed) -> Verdict {
        match *deed {
            Deed::Wait(span) => self.world.run_for(span),
            Deed::Reconnect { replica } => {
                self.world.disconnect(replica, LIAR);
                self.world.connect(replica, LIAR);
            }
            Deed::Want { replica, wait } => {
                let call = acquire(STANDING, "other", TTL, wait);
                if let Answer::Granted(granted) = self.answer(replica, call)? {
                    return Err(format!("the standing lock was granted twice: {granted:?}"));
                }
            }
            Deed::Use { replica, resource, give_back } => {
                self.take(replica, resource, give_back)?;
            }
            Deed::Look { replica, token } => {
                let (resource, token) = (Resource::new(STANDING), token.map(Ballot));
                self.answer(replica, Call::Read { resource, token, deadline: None })?;
            }
            Deed::List { replica, master } => {
                let (master, prefix) = (MasterId(master), "".into());
                self.answer(replica, Call::Scan { master, prefix, cursor: 0, count: 10 })?;
            }
            Deed::Forge { replica, token, release: true } => {
                self.answer(replica, release(STANDING, "nobody", token))?;
            }
            Deed::Forge { replica, token, release: false } => {
                let answer = self.answer(replica, extend(STANDING, "nobody", token, TTL))?;
                if let Answer::Renewed(grant) = answer {
                    return Err(format!("a forged lease was renewed: {grant:?}"));
                }
            }
        }
        Ok(())
    }

    /// Another lock: whoever gets it has a token above all before.
    fn take(&mut self, replica: usize, resource: &str, give_back: bool) -> Verdict {
        let call = acquire(resource, "user", Duration::from_secs(1), Duration::ZERO);
        let Answer::Granted(granted) = self.answer(replica, call)? else { return Ok(()) };
        let token = granted.grant.token.0;
        if replica == 0 {
            if token <= self.newest {
                return Err(format!("token {token} after token {}", self.newest));
            }
            self.newest = token;
        }
        if give_back {
            self.answer(replica, release(resource, "user", token))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_lease_is_found() {
        let wait = Deed::Wait(TTL * 2);
        let case = Case { lies: Vec::new(), deeds: vec![wait] };
        assert!(check(&case).expect_err("nothing was found").contains("not renewed"));
    }

    #[test]
    fn two_liars_of_three_are_found() {
        let mut world = World::new(3, 1);
        let call = world.call(0, acquire(STANDING, HOLDER, TTL, Duration::ZERO));
        let token = world.token(call);
        let absent = || Some(Reply { time_micros: None, seen: Ballot::ZERO, body: Body::Absent });
        for liar in [1, 2] {
            world.lies.insert(liar, (0..20).map(|_| absent()).collect());
        }
        let mut keeper = Keeper { world, token, newest: 0 };
        assert!(keeper.renew().is_err());
    }
}
