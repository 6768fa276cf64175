//! One lock of a list, from what each master shows of it. Pure functions of one reading.

use crate::grpc::convert::{self, wire};
use holdfast_engine::{
    Ballot, Body, Leadership, LeaseHash, Lock, MasterAnswer, MasterId, MasterSet, Occupant, Params,
    Reading, Resource, Standing,
};
use holdfast_proto::v1::LockInfo;
use std::time::Duration;

/// The lock at `resource`: the lease most masters show, of two the one with the higher token. `None`:
/// there is none any more.
pub(super) fn lock_info(
    resource: &Resource,
    reading: &Reading,
    waiters: usize,
    params: &Params,
) -> Option<LockInfo> {
    let occupants = || reading.tally.iter().filter_map(|(_, body)| occupant(body));
    let of = |lease: Option<LeaseHash>| occupants().filter(move |(_, o)| o.lease() == lease);
    let rank = |lease: &Option<LeaseHash>| (of(*lease).count(), of(*lease).filter_map(token).max());
    // Locks of other libraries cannot be told apart: they are one lease.
    let lease = occupants().map(|(_, occupant)| occupant.lease()).max_by_key(rank)?;

    let locks = || of(lease).filter_map(|(_, occupant)| occupant.lock.as_ref());
    let newest = locks().max_by_key(|lock| lock.info_ballot);
    let token = match reading.leadership(params) {
        Leadership::Led(leader) if Some(leader.lease) == lease => leader.token,
        _ => of(lease).filter_map(token).max().unwrap_or_default(),
    };
    let remaining: Option<Vec<Duration>> = of(lease).map(|(_, o)| o.remaining).collect();
    Some(LockInfo {
        resource: resource.name().to_owned(),
        holder: newest.map(|lock| lock.info.holder.as_ref().to_owned()).unwrap_or_default(),
        fencing_token: token.0,
        remaining: remaining.and_then(|all| all.into_iter().max()).and_then(wire),
        votes: of(lease).filter(|(standing, _)| **standing == Standing::Voting).count() as u32,
        waiters: waiters as u32,
        foreign: lease.is_none(),
        identity: newest.map(|lock| convert::identity(&lock.info)).unwrap_or_default(),
    })
}

/// Was this lock listed already? Yes if a master that was scanned before `master` shows it: who finds
/// a name that others found too leaves it to the first of them.
pub(super) fn is_listed(reading: &Reading, master: MasterId, skipped: MasterSet) -> bool {
    let scanned = (0..master.0).map(MasterId).filter(|earlier| !skipped.contains(*earlier));
    scanned.filter_map(|earlier| reading.tally.get(earlier)).any(|body| occupant(body).is_some())
}

/// How each master answered, if those that could be read are no quorum.
pub(super) fn unread(reading: &Reading, params: &Params) -> Option<Vec<MasterAnswer>> {
    let is_read = |body: &Body| matches!(body, Body::Read { .. });
    if reading.tally.count(is_read) >= params.quorum() {
        return None;
    }
    let answer = |(master, body): (MasterId, &Body)| {
        let answer = match body {
            Body::Unknown(why) | Body::NotAsked(why) => why.as_ref().to_owned(),
            _ => "answered".to_owned(),
        };
        MasterAnswer { master, answer }
    };
    Some(reading.tally.iter().map(answer).collect())
}

fn occupant(body: &Body) -> Option<(&Standing, &Occupant)> {
    match body {
        Body::Read { standing, occupant } => Some((standing, occupant.as_ref()?)),
        _ => None,
    }
}

fn token((_, occupant): (&Standing, &Occupant)) -> Option<Ballot> {
    occupant.lock.as_ref().map(|lock: &Lock| lock.token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{
        Info, MAX_WAITERS, MIN_TTL, Mutants, Nonce, RestartPolicy, Tally, WATCH_POLL,
    };

    const MASTERS: usize = 3;

    fn params() -> Params {
        Params {
            masters: MASTERS,
            drift_ppm: 10_000,
            max_ttl: Duration::from_secs(60),
            clock_skew: Duration::from_secs(10),
            restart_policy: RestartPolicy::Quarantine,
            command_timeouts: vec![Duration::from_millis(100); MASTERS],
            connect_timeouts: vec![Duration::from_secs(1); MASTERS],
            max_lags: vec![None; MASTERS],
            max_waiters: MAX_WAITERS,
            min_ttl: MIN_TTL,
            max_hold: None,
            watch_poll: WATCH_POLL,
            mutants: Mutants::default(),
        }
    }

    fn read(occupant: Option<Occupant>) -> Option<Body> {
        Some(Body::Read { standing: Standing::Voting, occupant })
    }

    fn quarantined(occupant: Option<Occupant>) -> Option<Body> {
        Some(Body::Read { standing: Standing::Quarantined(None), occupant })
    }

    fn silent() -> Option<Body> {
        Some(Body::Unknown("timed out".into()))
    }

    fn lock(lease: &str, first: u64, token: u64, seconds: u64) -> Option<Occupant> {
        let lock = Lock {
            lease: LeaseHash::of(lease),
            nonce: Nonce::SHARED,
            first: Ballot(first),
            ballot: Ballot(token),
            token: Ballot(token),
            info_ballot: Ballot(token),
            ttl: Duration::from_secs(seconds),
            info: Info { holder: format!("{lease}{token}").into(), ..Info::default() },
        };
        Some(Occupant { lock: Some(lock), remaining: Some(Duration::from_secs(seconds)) })
    }

    fn foreign(seconds: Option<u64>) -> Option<Occupant> {
        Some(Occupant { lock: None, remaining: seconds.map(Duration::from_secs) })
    }

    /// `None`: has not answered.
    fn reading(bodies: [Option<Body>; MASTERS]) -> Reading {
        let mut tally = Tally::new(MASTERS);
        for (index, body) in bodies.into_iter().enumerate() {
            if let Some(body) = body {
                tally.record(MasterId(index as u8), body);
            }
        }
        Reading { tally }
    }

    fn info(bodies: [Option<Body>; MASTERS]) -> Option<LockInfo> {
        lock_info(&Resource::new("r"), &reading(bodies), 4, &params())
    }

    fn shown(holder: &str, token: u64, seconds: u64, votes: u32) -> Option<LockInfo> {
        Some(LockInfo {
            resource: "r".to_owned(),
            holder: holder.to_owned(),
            fencing_token: token,
            remaining: wire(Duration::from_secs(seconds)),
            votes,
            waiters: 4,
            ..LockInfo::default()
        })
    }

    #[test]
    fn a_lease_is_what_most_masters_show_and_of_two_the_newer() {
        let (a, b) = (lock("a", 5, 5, 1), lock("b", 7, 7, 9));
        for (bodies, expected) in [
            ([read(a.clone()), read(a.clone()), read(b.clone())], shown("a5", 5, 1, 2)),
            ([read(b.clone()), read(a.clone()), read(None)], shown("b7", 7, 9, 1)),
            ([read(a.clone()), read(b.clone()), silent()], shown("b7", 7, 9, 1)),
            ([read(a.clone()), read(foreign(None)), None], shown("a5", 5, 1, 1)),
            ([quarantined(a.clone()), quarantined(a.clone()), read(b)], shown("a5", 5, 1, 0)),
            ([quarantined(a.clone()), read(a.clone()), read(a)], shown("a5", 5, 1, 2)),
            ([read(None), silent(), None], None),
        ] {
            assert_eq!(info(bodies.clone()), expected, "{bodies:?}");
        }
    }

    #[test]
    fn the_token_is_the_leaders_or_the_highest_shown() {
        let extended = read(lock("a", 3, 6, 8));
        let led = [read(lock("a", 3, 3, 2)), extended.clone(), read(lock("a", 3, 3, 1))];
        assert_eq!(info(led), shown("a6", 3, 8, 3), "the newest identity, the longest time");
        assert_eq!(info([extended, read(lock("a", 7, 7, 1)), None]), shown("a7", 7, 8, 2));
    }

    #[test]
    fn a_foreign_lock_has_neither_token_nor_holder() {
        let expected = |seconds: Option<u64>| LockInfo {
            resource: "r".to_owned(),
            remaining: seconds.map(Duration::from_secs).and_then(wire),
            votes: 2,
            waiters: 4,
            foreign: true,
            ..LockInfo::default()
        };
        let two = |one, two| info([read(foreign(one)), read(foreign(two)), read(None)]).unwrap();
        assert_eq!(two(Some(3), Some(5)), expected(Some(5)));
        assert_eq!(two(Some(3), None), expected(None), "it never expires");
    }

    #[test]
    fn a_lock_is_listed_by_the_first_master_that_shows_it() {
        let (a, none) = (read(lock("a", 5, 5, 1)), read(None));
        let listed = |bodies: &[Option<Body>; MASTERS], skipped: &[u8]| {
            let skipped = skipped.iter().copied().map(MasterId).collect();
            [0, 1, 2].map(|master| is_listed(&reading(bodies.clone()), MasterId(master), skipped))
        };
        let everywhere = [a.clone(), a.clone(), a.clone()];
        assert_eq!(listed(&everywhere, &[]), [false, true, true]);
        assert_eq!(listed(&everywhere, &[0]), [false, false, true], "it was never listed there");
        assert_eq!(listed(&everywhere, &[0, 1]), [false, false, false]);
        let later = [none, a.clone(), a.clone()];
        assert_eq!(listed(&later, &[]), [false, false, true]);
        let gone = [silent(), a.clone(), a.clone()];
        assert_eq!(listed(&gone, &[]), [false, false, true], "who is silent shows nothing");
        let other = [quarantined(foreign(None)), a.clone(), a];
        assert_eq!(listed(&other, &[]), [false, true, true], "whatever lock it was");
    }

    #[test]
    fn who_cannot_be_read_is_told_of_if_the_rest_is_no_quorum() {
        let (none, late) = (read(None), Some(Body::NotAsked("down".into())));
        let unread = |bodies| unread(&reading(bodies), &params());
        assert_eq!(unread([none.clone(), quarantined(None), silent()]), None);
        let answers = unread([none, late, silent()]).unwrap();
        let texts: Vec<_> = answers.iter().map(|answer| answer.answer.as_str()).collect();
        assert_eq!(texts, ["answered", "down", "timed out"]);
    }
}
