//! The names of things: resources, leases, masters, and the random numbers that tell attempts and
//! incidents apart. Owns their forms on the masters; does not make random numbers.

use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

/// How many buckets share a floor on a master. Part of the configuration fingerprint.
pub const BUCKETS: u32 = 65_536;

/// What is locked. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    name: Arc<str>,
    bucket: u16,
}

impl Resource {
    /// The resource called `name`; its bucket follows from the name alone, the same everywhere.
    pub fn new(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        Self { name: name.into(), bucket: u16::from_be_bytes([digest[0], digest[1]]) }
    }

    /// The name the client gave.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of the [`BUCKETS`] floors of a master this resource raises.
    pub fn bucket(&self) -> u16 {
        self.bucket
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

/// What a lock on a master carries of a lease: a hash, so that the capability itself (`lease_id`)
/// never rests on Redis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseHash([u8; 16]);

impl LeaseHash {
    /// The hash of a lease_id: the first 128 bits of its SHA-256.
    pub fn of(lease_id: &str) -> Self {
        let digest = Sha256::digest(lease_id.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }

    /// A hash as it was read from a master.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 128 bits.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Enough of the hash to tell leases apart in logs and for operators: 8 hex digits.
    pub fn fingerprint(&self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for LeaseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease:{}", self.fingerprint())
    }
}

/// The attempt or session that a lock on a master belongs to; only its own cleanup may delete it.
///
/// Two kinds: a session that came by acquire, and one that came by re-attach. A lock changes hands
/// from the first kind to the second once, and never back (docs/adr/0002).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Nonce(u64);

impl Nonce {
    /// Touched by more than one attempt: no attempt may clean it up.
    pub const SHARED: Self = Self(0);

    const REATTACHED: u64 = 1 << 60;

    /// The nonce of an attempt to acquire, from 60 random bits.
    pub const fn acquired(random: u64) -> Self {
        Self(random & (Self::REATTACHED - 1) | 1)
    }

    /// The nonce of a session that re-attaches, from 60 random bits.
    pub const fn reattached(random: u64) -> Self {
        Self(random & (Self::REATTACHED - 1) | 1 | Self::REATTACHED)
    }

    /// Did its session come by re-attach?
    pub const fn is_reattached(self) -> bool {
        self.0 & Self::REATTACHED != 0
    }

    /// What a lock of nonce `self` carries after an extend or repair by `touch`.
    pub fn touched_by(self, touch: Self) -> Self {
        let handover = touch.is_reattached() && !self.is_reattached() && self != Self::SHARED;
        if self == touch || handover { touch } else { Self::SHARED }
    }

    /// The 61 bits.
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

/// One loss of memory (or proven clock step) of a master: random, written by the first observer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Incident(pub u64);

/// The identity of one master process, learned on the connection it is used on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(pub Arc<str>);

impl RunId {
    /// Of a process that can become a replica and a primary again: with `replid`, which is another one
    /// after that.
    pub fn of_unit(process: &str, replid: &str) -> Self {
        Self(format!("{process}+{replid}").into())
    }

    /// The process alone.
    pub(crate) fn process(&self) -> &str {
        self.0.split_once('+').map_or(&*self.0, |(process, _)| process)
    }
}

/// A master's place in the configuration of this process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MasterId(pub u8);

impl MasterId {
    /// As an index into a list with one element a master.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of masters.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MasterSet(u32);

impl MasterSet {
    /// Adds one.
    pub fn insert(&mut self, master: MasterId) {
        self.0 |= 1 << master.0;
    }

    /// Takes one out.
    pub fn remove(&mut self, master: MasterId) {
        self.0 &= !(1 << master.0);
    }

    /// Is it in?
    pub fn contains(self, master: MasterId) -> bool {
        self.0 & (1 << master.0) != 0
    }

    /// Is nobody in?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = MasterId> {
        (0..32).map(MasterId).filter(move |master| self.contains(*master))
    }
}

impl FromIterator<MasterId> for MasterSet {
    fn from_iter<I: IntoIterator<Item = MasterId>>(masters: I) -> Self {
        let mut set = Self::default();
        for master in masters {
            set.insert(master);
        }
        set
    }
}

/// Who holds a lock, for people, and what they publish with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Info {
    /// The holder's text identity.
    pub holder: Arc<str>,
    /// The holder's metadata, encoded; opaque to the engine and to the masters.
    pub metadata: Arc<[u8]>,
}
