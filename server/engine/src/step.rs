//! What an ask is part of. Nothing here decides anything: it lets whoever carries the asks out relate each
//! of them to the others of its step, and the step to whom it is for.

use crate::ids::MasterSet;
use crate::replica::CallId;

/// One step of the protocol, put to several masters at the same moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The same for all asks of the step, and for no others of this replica.
    pub number: u64,
    /// Whom it is put to; those that cannot be asked are among them.
    pub masters: MasterSet,
    /// Whom it is for.
    pub cause: Cause,
}

/// Whom a step is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// This call, or this Hold; it may have its answer already.
    Call(CallId),
    /// Everybody who watches the resource.
    Watches,
    /// Nobody in particular: probes, notices, and what masters are owed.
    Upkeep,
}
