//! Who breaks things: one file a kind of fault, each of which says by what it is seen that it happened.
//!
//! `storm` is one fault after the other · `kind` the list of them · `fault` what they have in common ·
//! `evidence` how to look.
//!
//! Safety must hold whatever is broken, a majority at once included. Two things are left alone because the
//! protocol assumes them away: steps of a master's clock that no replica can notice, so a clock steps by
//! more than `clock_skew`, while its links and all replicas are well, and steps back only after a replica
//! has noticed; and masters that lie.

mod storm;

mod kind;

mod client_frozen;
mod client_killed;
mod clients_cut_off;
mod clients_hung;
mod link_cut;
mod link_hung;
mod link_slow;
mod master_clock;
mod master_flushed;
mod master_frozen;
mod master_killed;
mod replica_clock;
mod replica_frozen;
mod replica_stopped;

mod evidence;
mod fault;

pub(crate) use kind::Kind;
pub(crate) use master_killed::OldFile;
pub(crate) use storm::Storm;
