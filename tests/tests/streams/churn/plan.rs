//! What one client does in one episode, drawn whole before it begins: a seed says all choices again,
//! whatever the answers were.

use std::time::Duration;

use holdfast_proto::v1::Liveness;

/// How many resources there are. Half of the choices fall on the first [`HOT`], so that clients meet.
const RESOURCES: u64 = 30;
const HOT: u64 = 6;
/// One in so many resources is one of which leases are deleted.
const FORCED: u64 = 5;

/// Below `max_ttl` and at it.
const TTLS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
];

/// One episode.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    Hold(HoldPlan),
    Vanish(VanishPlan),
    Watch(WatchPlan),
    KeepAlive(KeepAlivePlan),
    Acquire(AcquirePlan),
    Force(ForcePlan),
    /// So many connections that nobody speaks on.
    Connect {
        replica: usize,
        count: u64,
    },
}

/// A Hold from its start to its end.
#[derive(Debug, Clone)]
pub(super) struct HoldPlan {
    pub(super) resource: String,
    pub(super) replica: usize,
    pub(super) liveness: Liveness,
    pub(super) ttl: Duration,
    pub(super) wait: Duration,
    pub(super) keep: Duration,
    pub(super) end: HoldEnd,
}

/// How a client ends its Hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldEnd {
    HalfClose,
    Release,
    Reset,
    /// The connection breaks.
    Cut,
    /// The connection says nothing for a while, and breaks.
    Hang,
    /// No heartbeat comes any more.
    Silence,
    /// The stream ends, and nobody comes back.
    Grace,
    /// The stream ends, and the client comes back through the other replica.
    ReAttach,
}

/// A waiter that goes away before its turn.
#[derive(Debug, Clone)]
pub(super) struct VanishPlan {
    pub(super) resource: String,
    pub(super) replica: usize,
    pub(super) after: Duration,
    /// A Hold, or an Acquire.
    pub(super) by_hold: bool,
    /// The connection breaks, or the call alone.
    pub(super) cut: bool,
}

/// A watch.
#[derive(Debug, Clone)]
pub(super) struct WatchPlan {
    pub(super) resource: String,
    pub(super) replica: usize,
    /// After the highest term that is known.
    pub(super) resumes: bool,
    pub(super) bookmarks: bool,
    /// Reads nothing for so long.
    pub(super) sleeps: Duration,
    pub(super) reads: Duration,
}

/// Renewals of a lease that is held, one that was given back, and one that never was.
#[derive(Debug, Clone)]
pub(super) struct KeepAlivePlan {
    pub(super) held: String,
    pub(super) given_back: String,
    pub(super) replica: usize,
    pub(super) ttl: Duration,
    pub(super) rounds: u64,
    /// Closed, or dropped.
    pub(super) half_close: bool,
}

/// A unary Acquire and what follows.
#[derive(Debug, Clone)]
pub(super) struct AcquirePlan {
    pub(super) resource: String,
    pub(super) replica: usize,
    pub(super) ttl: Duration,
    pub(super) wait: Duration,
    /// Half-way, the call is dropped.
    pub(super) cancel: bool,
    /// Given back, or left to its ttl.
    pub(super) release: bool,
}

/// A lease taken back by an operator.
#[derive(Debug, Clone)]
pub(super) struct ForcePlan {
    pub(super) resource: String,
    pub(super) replica: usize,
    pub(super) immediate: bool,
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of one client's episode, or of whatever else is numbered.
    pub(super) fn new(seed: u64, client: u64, episode: u64) -> Dice {
        let mut dice = Dice(seed);
        for number in [client, episode] {
            dice = Dice(dice.next() ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `count`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// Between these.
    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn replica(&mut self) -> usize {
        self.below(2) as usize
    }

    fn resource(&mut self) -> String {
        let among = if self.flip() { HOT } else { RESOURCES };
        resource(self.below(among))
    }
}

fn resource(index: u64) -> String {
    let kind = if index.is_multiple_of(FORCED) { "forced" } else { "churn" };
    format!("{kind} {index}")
}

impl Plan {
    /// The next episode.
    pub(super) fn draw(dice: &mut Dice) -> Plan {
        match dice.below(100) {
            0..45 => Plan::Hold(HoldPlan::draw(dice)),
            45..55 => Plan::Vanish(VanishPlan {
                resource: resource(dice.below(HOT)),
                replica: dice.replica(),
                after: dice.millis(50, 600),
                by_hold: dice.flip(),
                cut: dice.flip(),
            }),
            55..68 => Plan::Watch(WatchPlan {
                resource: dice.resource(),
                replica: dice.replica(),
                resumes: dice.flip(),
                bookmarks: dice.flip(),
                sleeps: if dice.flip() { dice.millis(500, 2_500) } else { Duration::ZERO },
                reads: dice.millis(200, 3_000),
            }),
            68..75 => Plan::KeepAlive(KeepAlivePlan {
                // Never the same: one lease each.
                held: resource(1 + 2 * dice.below(RESOURCES / 2)),
                given_back: resource(2 * dice.below(RESOURCES / 2)),
                replica: dice.replica(),
                ttl: dice.one_of(&TTLS[1..]),
                rounds: 2 + dice.below(4),
                half_close: dice.flip(),
            }),
            75..87 => Plan::Acquire(AcquirePlan {
                resource: dice.resource(),
                replica: dice.replica(),
                ttl: dice.one_of(&TTLS),
                wait: dice.millis(0, 3_000),
                cancel: dice.below(3) == 0,
                release: dice.flip(),
            }),
            87..94 => Plan::Force(ForcePlan::draw(dice)),
            _ => Plan::Connect { replica: dice.replica(), count: 1 + dice.below(8) },
        }
    }
}

impl HoldPlan {
    fn draw(dice: &mut Dice) -> HoldPlan {
        let liveness = if dice.below(3) == 0 { Liveness::Connection } else { Liveness::Heartbeat };
        let by_any = [
            HoldEnd::HalfClose,
            HoldEnd::Release,
            HoldEnd::Reset,
            HoldEnd::Cut,
            HoldEnd::Hang,
            HoldEnd::Grace,
            HoldEnd::ReAttach,
            HoldEnd::ReAttach,
        ];
        let by_heartbeat = [HoldEnd::Silence];
        let ends = match liveness {
            Liveness::Connection => by_any.to_vec(),
            _ => [by_any.as_slice(), &by_heartbeat].concat(),
        };
        HoldPlan {
            resource: dice.resource(),
            replica: dice.replica(),
            liveness,
            ttl: dice.one_of(&TTLS),
            wait: dice.millis(0, 4_000),
            keep: dice.millis(50, 2_500),
            end: dice.one_of(&ends),
        }
    }
}

impl ForcePlan {
    fn draw(dice: &mut Dice) -> ForcePlan {
        let immediate = dice.flip();
        let any = dice.resource();
        let forced = resource(FORCED * dice.below(RESOURCES / FORCED));
        let resource = if immediate { forced } else { any };
        ForcePlan { resource, replica: dice.replica(), immediate }
    }
}

#[test]
fn a_seed_says_the_same_choices_again() {
    let plans = |seed: u64| {
        let plan = |episode| format!("{:?}", Plan::draw(&mut Dice::new(seed, 3, episode)));
        (0..50).map(plan).collect::<Vec<_>>()
    };
    assert_eq!(plans(1), plans(1));
    assert_ne!(plans(1), plans(2));
}
