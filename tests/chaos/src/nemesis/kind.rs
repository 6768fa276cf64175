//! The list of faults: what each is called, and what it befalls this time.

use std::collections::HashSet;
use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::deployment::{Deployment, MASTERS, REPLICAS};
use crate::history::SECOND;
use crate::nemesis::client_frozen::ClientFrozen;
use crate::nemesis::client_killed::ClientKilled;
use crate::nemesis::clients_cut_off::ClientsCutOff;
use crate::nemesis::clients_hung::ClientsHung;
use crate::nemesis::fault::{Fault, Part, Plan};
use crate::nemesis::link_cut::LinkCut;
use crate::nemesis::link_hung::{Direction, End, LinkHung};
use crate::nemesis::link_slow::LinkSlow;
use crate::nemesis::master_clock::MasterClock;
use crate::nemesis::master_flushed::MasterFlushed;
use crate::nemesis::master_frozen::MasterFrozen;
use crate::nemesis::master_killed::{MasterKilled, Memory};
use crate::nemesis::replica_clock::ReplicaClock;
use crate::nemesis::replica_frozen::ReplicaFrozen;
use crate::nemesis::replica_stopped::{How, ReplicaStopped};

/// How many masters make a quorum.
const QUORUM: usize = MASTERS / 2 + 1;
/// An append-only file that is younger has nothing forgotten yet.
const OLD: u64 = 5 * SECOND;

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of fault. A run that has not seen each of them is not a pass.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind { $($kind,)* }

        impl Kind {
            pub(crate) const ALL: &[Kind] = &[$(Kind::$kind,)*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    MasterEmpty "masters killed, restarted empty",
    MasterDisk "masters killed, restarted from disk",
    MasterOld "masters killed, restarted from an old append-only file",
    MasterFrozen "masters frozen",
    MasterFlushed "masters flushed",
    MasterClock "clock of a master steps",
    MajorityEmpty "majority of masters killed, restarted empty",
    MajorityFrozen "majority of masters frozen",
    MajorityFlushed "majority of masters flushed",
    MajorityCut "majority of masters cut off",
    LinksCut "some links cut",
    ReplicaIsolated "replica cut off all masters",
    LinksHung "some links hung",
    RepliesHeld "replies of some links held back",
    LinksSlow "some links slow",
    ClientsCutOff "clients cut off a replica",
    ClientsHung "links of clients to a replica hung",
    ClientsUnheard "replies of a replica to clients held back",
    ReplicaKilled "replica killed",
    ReplicaDrained "replica drained",
    ReplicaFrozen "replica frozen",
    ReplicaClock "clock of a replica steps",
    ClientKilled "client process killed",
    ClientFrozen "client process frozen",
}

impl Kind {
    /// One of this kind that befalls parts that are well; `None` if it has to wait.
    pub(crate) fn plan(
        self,
        rng: &mut SmallRng,
        busy: &HashSet<Part>,
        deployment: &Deployment,
    ) -> Option<Plan> {
        let masters = self.masters(rng, busy, deployment)?;
        let replica = free(rng, busy, REPLICAS, Part::Replica);
        let client = free(rng, busy, deployment.clients.len(), Part::Client);
        let kill = |memory| MasterKilled { masters: masters.clone(), memory };
        let stop = |how| Some(ReplicaStopped { replica: replica?, how });
        let (fault, longest_ms): (Box<dyn Fault>, u64) = match self {
            Kind::MasterEmpty => (Box::new(kill(Memory::Empty)), 4_000),
            Kind::MasterDisk => (Box::new(kill(Memory::Disk)), 4_000),
            Kind::MasterOld => (Box::new(kill(Memory::Old)), 4_000),
            Kind::MajorityEmpty => (Box::new(kill(Memory::Empty)), 2_000),
            Kind::MasterFrozen => (Box::new(MasterFrozen { masters: masters.clone() }), 8_000),
            Kind::MajorityFrozen => (Box::new(MasterFrozen { masters: masters.clone() }), 7_000),
            Kind::MasterFlushed | Kind::MajorityFlushed => {
                (Box::new(MasterFlushed { masters: masters.clone() }), 1_000)
            }
            Kind::MasterClock => {
                let (master, offset_ms) = (*masters.first()?, step_ms(rng));
                (Box::new(MasterClock { master, offset_ms }), 10_000)
            }
            Kind::MajorityCut => (Box::new(LinkCut { links: links_of(&masters) }), 6_000),
            Kind::LinksCut => (Box::new(LinkCut { links: some_links(rng, busy) }), 6_000),
            Kind::ReplicaIsolated => {
                let replica = replica?;
                let links = (0..MASTERS).map(|master| (replica, master)).collect();
                (Box::new(LinkCut { links }), 8_000)
            }
            Kind::LinksHung | Kind::RepliesHeld => {
                let direction =
                    if self == Kind::LinksHung { Direction::Both } else { Direction::Replies };
                let end = if rng.random::<bool>() { End::Arrives } else { End::Lost };
                (Box::new(LinkHung { links: some_links(rng, busy), direction, end }), 6_000)
            }
            Kind::LinksSlow => {
                let delay = Duration::from_millis(rng.random_range(2..=200));
                (Box::new(LinkSlow { links: some_links(rng, busy), delay }), 6_000)
            }
            Kind::ClientsHung | Kind::ClientsUnheard => {
                let direction =
                    if self == Kind::ClientsHung { Direction::Both } else { Direction::Replies };
                let end = if rng.random::<bool>() { End::Arrives } else { End::Lost };
                (Box::new(ClientsHung { replica: replica?, direction, end }), 6_000)
            }
            Kind::ClientsCutOff => (Box::new(ClientsCutOff { replica: replica? }), 4_000),
            Kind::ReplicaKilled => (Box::new(stop(How::Killed)?), 5_000),
            Kind::ReplicaDrained => (Box::new(stop(How::Drained)?), 3_000),
            Kind::ReplicaFrozen => (Box::new(ReplicaFrozen { replica: replica? }), 9_000),
            Kind::ReplicaClock => {
                let offset_ms = step_ms(rng);
                (Box::new(ReplicaClock { replica: replica?, offset_ms }), 8_000)
            }
            Kind::ClientKilled => (Box::new(ClientKilled { client: client? }), 3_000),
            Kind::ClientFrozen => (Box::new(ClientFrozen { client: client? }), 12_000),
        };
        let lasts = Duration::from_millis(rng.random_range(longest_ms / 10..=longest_ms));
        let plan = Plan { fault, lasts, votes_wanted: self.votes_wanted(masters.len()) };
        plan.is_possible(busy).then_some(plan)
    }

    /// Does it keep masters from voting, or replicas from reaching them?
    pub(crate) fn is_about_masters(self) -> bool {
        use Kind::{
            ClientFrozen, ClientKilled, ClientsCutOff, ClientsHung, ClientsUnheard, ReplicaClock,
            ReplicaDrained, ReplicaFrozen, ReplicaKilled,
        };
        !matches!(
            self,
            ReplicaKilled
                | ReplicaDrained
                | ReplicaFrozen
                | ReplicaClock
                | ClientsCutOff
                | ClientsHung
                | ClientsUnheard
                | ClientKilled
                | ClientFrozen
        )
    }

    /// It is the only one about masters: nobody has a quorum meanwhile.
    pub(crate) fn stands_alone(self) -> bool {
        use Kind::{MajorityCut, MajorityEmpty, MajorityFlushed, MajorityFrozen};
        matches!(self, MajorityEmpty | MajorityFrozen | MajorityFlushed | MajorityCut)
    }

    /// How many masters should vote before, so that a quorum is left unless it is to be taken.
    fn votes_wanted(self, masters: usize) -> usize {
        match self {
            // One that forgot has an incident already, and another one would be no news.
            Kind::MasterClock => MASTERS,
            // By which clocks else would a replica know that its own is wrong?
            Kind::ReplicaClock => QUORUM,
            _ if self.stands_alone() => MASTERS,
            _ if masters > 0 => QUORUM + masters,
            _ => 0,
        }
    }

    /// Which masters; none if it is not about masters.
    fn masters(
        self,
        rng: &mut SmallRng,
        busy: &HashSet<Part>,
        deployment: &Deployment,
    ) -> Option<Vec<usize>> {
        let count = match self {
            Kind::MasterEmpty | Kind::MasterDisk | Kind::MasterOld => {
                1 + usize::from(rng.random::<bool>())
            }
            Kind::MasterFrozen | Kind::MasterFlushed => 1 + usize::from(rng.random::<bool>()),
            Kind::MasterClock => 1,
            _ if self.stands_alone() => rng.random_range(QUORUM..=MASTERS),
            _ => return Some(Vec::new()),
        };
        let is_old = |master: &usize| {
            let file = deployment.old_files[*master].as_ref();
            self != Kind::MasterOld || file.is_some_and(|file| file.age() > OLD)
        };
        let mut masters: Vec<usize> = (0..MASTERS)
            .filter(|master| !busy.contains(&Part::Master(*master)))
            .filter(is_old)
            .collect();
        masters.shuffle(rng);
        masters.truncate(count);
        (masters.len() == count).then_some(masters)
    }
}

fn free(
    rng: &mut SmallRng,
    busy: &HashSet<Part>,
    count: usize,
    part: impl Fn(usize) -> Part,
) -> Option<usize> {
    let free: Vec<usize> = (0..count).filter(|index| !busy.contains(&part(*index))).collect();
    free.choose(rng).copied()
}

fn links_of(masters: &[usize]) -> Vec<(usize, usize)> {
    (0..REPLICAS).flat_map(|replica| masters.iter().map(move |master| (replica, *master))).collect()
}

/// From one to a third of all.
fn some_links(rng: &mut SmallRng, busy: &HashSet<Part>) -> Vec<(usize, usize)> {
    let all = links_of(&(0..MASTERS).collect::<Vec<_>>());
    let is_free = |link: &(usize, usize)| !busy.contains(&Part::Link(link.0, link.1));
    let mut links: Vec<_> = all.into_iter().filter(is_free).collect();
    links.shuffle(rng);
    links.truncate(rng.random_range(1..=MASTERS));
    links
}

/// Some seconds, beyond the skew, or minutes; ahead or back.
fn step_ms(rng: &mut SmallRng) -> i64 {
    let step = if rng.random::<bool>() {
        rng.random_range(3_500..=10_000)
    } else {
        rng.random_range(60_000..=600_000)
    };
    if rng.random::<bool>() { step } else { -step }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: HashSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }

    #[test]
    fn what_befalls_a_majority_befalls_masters() {
        assert!(Kind::ALL.iter().any(|kind| kind.stands_alone()));
        assert!(Kind::ALL.iter().any(|kind| !kind.is_about_masters()));
        assert!(Kind::ALL.iter().all(|kind| kind.is_about_masters() || !kind.stands_alone()));
    }

    #[test]
    fn clocks_step_by_more_than_the_skew_in_both_directions() {
        let mut rng = SmallRng::seed_from_u64(1);
        let steps: Vec<i64> = (0..100).map(|_| step_ms(&mut rng)).collect();
        let skew = crate::deployment::CLOCK_SKEW.as_millis() as u64;
        assert!(steps.iter().all(|step| step.unsigned_abs() > skew + 1_000));
        assert!(
            steps.iter().any(|step| *step > 60_000) && steps.iter().any(|step| *step < -60_000)
        );
    }

    #[test]
    fn links_are_chosen_among_those_that_are_well() {
        let mut rng = SmallRng::seed_from_u64(1);
        let busy: HashSet<Part> = (0..MASTERS).map(|master| Part::Link(0, master)).collect();
        for _ in 0..50 {
            let links = some_links(&mut rng, &busy);
            assert!((1..=MASTERS).contains(&links.len()));
            assert!(links.iter().all(|(replica, _)| *replica != 0));
        }
    }
}
