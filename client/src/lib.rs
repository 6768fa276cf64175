//! Distributed locks with fencing tokens, and leader election: the Rust client of Holdfast.
//!
//! ```no_run
#![doc = include_str!("../examples/lock.rs")]
//! ```
//!
//! # Which call
//!
//! | you want | use |
//! |---|---|
//! | a lock for a short piece of work | [`Lock::acquire`], [`Lock::perform`] |
//! | a lock for long, free at once when this process dies | [`Lock::hold`] |
//! | one leader among many instances | [`Election::campaign`] |
//! | to know who leads | [`Election::observe`], [`Client::watch`] |
//! | to check a token in a storage service | [`Client::check_fencing_token`] |
//! | what operators do | [`Client::admin`] |
//!
//! # What a held lock promises
//!
//! A [`Guard`] renews its lease every third of the ttl. While [`Guard::is_valid`] is true nobody else is
//! within the validity of the same lock, through crashes and restarts of any minority of masters and of
//! any replica. [`Guard::lost`] resolves *before* the validity ends, in time to stop. The deadline counts from when this
//! client sent the request that was answered, on a clock that goes on while the machine sleeps, so delay
//! on the network makes it early, never late.
//!
//! What no lock can promise: that a process which was paused notices. It may wake up after its deadline
//! in the middle of a write. So every grant has a **fencing token** that strictly increases; send it with
//! the write, and let the storage keep the highest one and refuse lower ones in the same atomic step.
//!
//! # Held by a stream
//!
//! [`Lock::hold`] puts the whole life of a lock into one stream: the queue, the grant, renewals, warnings, the
//! loss. When the process dies, the next waiter has the lock at once; when it freezes, after the ttl.
//!
//! ```no_run
#![doc = include_str!("../examples/hold.rs")]
//! ```
//!
//! # Who leads
//!
//! [`Client::watch`] shows the present state first, then every change. A stream that breaks is opened again,
//! and no term is shown after a higher one. [`Election::campaign`] is how to lead oneself.
//!
//! ```no_run
#![doc = include_str!("../examples/observe.rs")]
//! ```
//!
//! # Failures
//!
//! A call that got no answer has an unknown outcome. Every call here is safe to repeat, and is repeated
//! as the [`RetryPolicy`] says, through the next address if there are several: an acquire has a
//! `lease_id` of this client's own, so that the second try is the same acquire.
//!
//! # Who asks
//!
//! Where a server asks who its clients are, give them a certificate ([`ClientBuilder::tls`]) or a bearer
//! token: [`ClientBuilder::token_file`] for one that is replaced now and then, as Kubernetes replaces those
//! that it projects, [`ClientBuilder::token`] for a fixed one. A stream carries the token that was good as it
//! was opened.
//!
//! ```no_run
#![doc = include_str!("../examples/secure.rs")]
//! ```
//!
//! [`Error::Unauthenticated`] and [`Error::PermissionDenied`] are final: the call is not tried again. What is
//! held at that moment is: until its deadline the client goes on trying to renew it, and says
//! [`Risk::Denied`]. A call over the server's limits ([`Error::Refused`], `RATE_LIMITED`) is tried again after
//! the time that the server asks for, if that is within its patience.

mod admin;
mod client;
mod clock;
mod election;
mod error;
mod failure;
mod guard;
mod held;
mod keep;
mod lease;
mod lock;
mod loss;
mod names;
mod replicas;
mod retry;
mod session;
mod token;
mod watch;

pub use admin::Admin;
pub use client::{Client, ClientBuilder, ReleaseOutcome};
pub use clock::Moment;
pub use election::{Election, Leadership};
pub use error::{Denial, Error, Violation};
pub use guard::Guard;
pub use held::Held;
pub use lease::{Lease, LeaseId, Standing};
pub use lock::{Lock, Queued};
pub use loss::{LossReason, Risk};
pub use retry::RetryPolicy;
pub use watch::{Leader, LeaderState, Observation, UnknownReason, Watch, WatchReason};

/// The contract itself, for what this client does not wrap.
pub use holdfast_proto as proto;
pub use tonic::transport::{Certificate, ClientTlsConfig, Identity};
