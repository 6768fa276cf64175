//! The quorum protocol of Holdfast, as state machines without I/O.
//!
//! ```text
//!              calls            Output::Answer
//!                │                    ▲
//!                ▼                    │
//!   ┌────────────────────── Replica ──┴───────────────────┐
//!   │  queues (who is next)        masters (who may vote)  │
//!   │        │                       ▲        │            │
//!   │        ▼                       │        ▼            │
//!   │  Acquire Extend Release   quarantine   clock         │   one file each: the counts
//!   │  Reading          └─ Tally (one round's answers)     │
//!   └────────┬──────────────────────────────▲──────────────┘
//!            ▼ Output::Ask                  │ Reply
//!          masters: Redis or memory, somebody else's business
//! ```
//!
//! Time ([`Now`]) and randomness (a seed) come in, commands ([`Output`]) go out. The server and the
//! simulator run this same code; the server's `driver` is the one place where it meets a runtime.
//!
//! **Invariant: deliberately absent.** No tokio, no redis, no clock, no entropy, no threads, no
//! iteration over hash maps. `Cargo.toml` is the proof.

mod acquire;
mod ballot;
mod clock;
mod extend;
mod hold;
mod ids;
mod master;
mod mutants;
mod params;
mod quarantine;
mod queue;
mod reading;
mod release;
mod replica;
mod script;
mod step;
mod tally;
mod time;
mod view;

pub use acquire::{Acquire, Contention, Failure, Grant, Verdict as AcquireVerdict};
pub use ballot::{Ballot, BallotClock};
pub use clock::{MasterClock, Sample};
pub use extend::{Extend, Loss, Verdict as ExtendVerdict};
pub use hold::{
    Hangup, Hold, HoldEvent, Liveness, LostBy, Risk, Tenure, lost_at, renewal_interval,
};
pub use ids::{BUCKETS, Incident, Info, LeaseHash, MasterId, MasterSet, Nonce, Resource, RunId};
pub use master::{Down, MasterState, Session};
pub use mutants::{Mutant, Mutants};
pub use params::{
    BACKOFF, CLOCK_WINDOW, EPSILON, GIVE_UP, MAX_WAITERS, MIN_TTL, POLL, PROBE, Params, ROUNDS,
    RestartPolicy, WATCH_POLL,
};
pub use quarantine::Stopwatch;
pub use reading::{Doubt, Leader, Leadership, Reading, TokenStanding};
pub use release::{Outcome, Release};
pub use replica::{
    Answer, Call, CallId, Forced, GiveBack, Granted, Held, Live, MasterAnswer, MasterView, Output,
    Replica, Status, Waiter,
};
pub use script::{
    Ask, Body, Change, Claim, Deletion, Lock, Notice, Occupant, Renewal, Reply, Request, Standing,
    Window,
};
pub use step::{Cause, Step};
pub use tally::Tally;
pub use time::{Instant, Now};
pub use view::{Ending, Seen, View};
